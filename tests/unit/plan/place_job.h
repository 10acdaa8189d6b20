/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Jobs made by rule from a fixed seed, and their placements. What a target gets is
 * counted file by file through the same calls that a drain makes, never taken from the
 * plan's own sums.
 */
#ifndef TESTS_UNIT_PLAN_PLACE_JOB_H
#define TESTS_UNIT_PLAN_PLACE_JOB_H

#include "plan/place.h"
#include "suite.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

#define NODES_MAX   64
#define TARGETS_MAX 64
#define FILES_MAX   20000

struct job { /* the outputs of all nodes, and where they may go */
	struct place_input in;
	struct place_target targets[TARGETS_MAX];
	struct place_file files[FILES_MAX]; /* by node */
	struct place_file big[FILES_MAX];
	uint64_t small_bytes[NODES_MAX], small_files[NODES_MAX];
	uint64_t total, big_min;
	uint32_t n_files;
};

struct outcome {
	uint64_t on[TARGETS_MAX]; /* bytes, counted */
	uint64_t files_on[TARGETS_MAX];
	uint64_t small, small_moved, big, big_moved;
};

#define SCOPED_JOB   SCOPED(scope_free)
#define SCOPED_PLACE SCOPED(place_freep)

uint64_t job_random(unsigned *seed);
/* Free with scope_free. All targets are alike and usable. */
struct job *job_new(uint32_t nodes, uint32_t targets);
/* Nodes come in ascending order. */
void job_add(struct job *j, uint32_t node, uint64_t size);
/* Tells big from small ones; before place_new. */
void job_sort(struct job *j);
/* Both; a failure ends the test. */
struct place *job_place(struct job *j);
void job_count(const struct job *j, const struct place *p, struct outcome *o);
/* Largest bytes of a target over the mean of those in use. */
double job_level(const struct job *j, const struct outcome *o);

#endif
