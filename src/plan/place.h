/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where outputs go on the parallel file system: which targets (OSTs) hold each file
 * and which node writes there. Pure and deterministic: every rank makes the same
 * placement from the same input. On file systems without targets the caller makes
 * virtual ones, one a writer.
 *
 * Writers are nodes, spread evenly or named. As long as there are enough targets each has one
 * owner, the only node that writes to it; the usable targets in order of their index
 * are dealt to the writers in runs of equal length. With more writers than targets
 * several share one, but an object (one stripe object of one file) always has exactly
 * one writer.
 *
 * Files come in two kinds. Big ones, place_big_min bytes and more, are known to
 * everybody; there are never more than PLACE_BIG_PER_TARGET of them for each target. They are dealt
 * largest first, whole to a target of the file's own node that is below its share, or
 * else to the least loaded one; a file that fits nowhere is split over as few targets
 * as it takes. If that leaves a target more than 5 % above its share, the files it has
 * are split finer and all are dealt again.
 *
 * Of small files everybody knows only how many bytes and files each node has. What the
 * big ones leave uneven the small ones level: each target gets a quota. A node first
 * fills the quotas of its own targets; what it has above that, its surplus, and what
 * its targets still miss, their deficits, are laid on two lines of the same length in
 * the order of nodes, and a file goes to the target that faces its middle. So no more
 * bytes leave their node than must, one node with far more than others does not move
 * everybody's files, and a target is off its quota by two small files or so.
 *
 * A file costs something even when it is empty, so files count as their bytes plus
 * PLACE_FILE_COST. All of that together is kept below 1/32 of the bytes, or bytes
 * would no longer be level.
 *
 * Targets are numbered by their position in the input. Memory: 24 bytes per node, 64 per
 * target, 24 per big file and 4 per stripe object of one.
 */
#ifndef PLAN_PLACE_H
#define PLAN_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/scope.h"
#include "ebt/err.h"

#define PLACE_NONE	     UINT32_MAX
#define PLACE_STRIPE_SIZE    (4u << 20)	 /* Lustre's default; no object is smaller */
#define PLACE_STRIPE_UNIT    (64u << 10) /* stripe sizes are multiples of it */
#define PLACE_STRIPES_MAX    2000	 /* of one file, Lustre's limit */
#define PLACE_BIG_PER_TARGET 8
#define PLACE_SPREAD	     0.17 /* free space that differs by more counts */
#define PLACE_SPACE_FLOOR    0.5  /* and makes no target's share smaller than this */
#define PLACE_LEVEL	     1.05 /* largest load over its share, if sizes allow */

/*
 * Bytes that take a target as long as a file does: at 1 GB/s, 60 us to create and
 * close.
 */
#define PLACE_FILE_COST (64u << 10)

/* Start from zeros: all is automatic. */
struct place_rules {
	uint32_t stripe_count;	   /* of big files, if they fill them; 0: by size */
	uint32_t max_stripe_count; /* site rule; 0: none */
	uint64_t stripe_size;	   /* bytes; 0: PLACE_STRIPE_SIZE */
	bool plain;		   /* virtual targets: one range of the file each */
};

struct place_stripes {
	uint64_t size; /* bytes */
	uint32_t count;
};

struct place_target {
	uint64_t avail; /* bytes; UINT64_MAX: not known */
	double weight;	/* speed, relative to the others; 0: not known, as 1 */
	uint32_t index; /* on the file system, of this target alone */
	bool usable;	/* not full, read-only, inactive or degraded */
};

struct place_file {
	uint64_t size;
	uint64_t id;	  /* settles the order of files of one size */
	const char *name; /* for messages; may be NULL */
	uint32_t home;	  /* node that has the data, or most of them */
	/* Given by a rule of the file's own. 0: as the rules of all say. */
	uint32_t stripe_size; /* bytes */
	uint32_t stripes;     /* or one a usable target, if these are fewer */
};

/* Nothing of it is needed once the placement is made. */
struct place_input {
	const struct place_target *targets;
	const struct place_file *big;
	const uint64_t *small_bytes; /* of each node; NULL: there are no small files */
	const uint64_t *small_files;
	uint64_t small_max; /* bytes of the largest small file */
	struct place_rules rules;
	uint32_t n_targets, n_big;
	uint32_t nodes;	    /* >= 1 */
	uint32_t writers;   /* 0: one a usable target, if there are nodes for it */
	const bool *writes; /* of each node: these write. NULL: evenly spread ones */
};

/* -EINVAL and what is wrong with them. */
int place_rules_check(const struct place_rules *r, struct ebt_err *err);

/*
 * From how many bytes on a file is big, in a drain of @total bytes in @files files: as few
 * as can be, so that the most is placed file by file, and yet never more big files than
 * PLACE_BIG_PER_TARGET for each usable target, so that everybody can know them all. Where
 * there are no more files than that, every file with content is big.
 */
uint64_t place_big_min(uint64_t total, uint64_t files, uint32_t usable);
/* Bytes of stripe object @object of a file. They never grow with its number. */
uint64_t place_object_bytes(
	uint64_t size, const struct place_stripes *s, uint32_t object);

/* Immutable once made, so threads may share it. */
struct place;

/*
 * -EINVAL: the input contradicts itself. -ENOSPC: a file, or all small files together,
 * do not fit on the usable targets, 5 % of whose free space is left to others.
 * -EOVERFLOW, -ENOMEM.
 */
int place_new(const struct place_input *in, struct place **out, struct ebt_err *err);
void place_free(struct place *p);
DEFINE_SCOPED(struct place, place_free)

uint32_t place_usable(const struct place *p);  /* targets that are in use */
uint32_t place_writers(const struct place *p); /* nodes that write */
/* Largest planned bytes of a target over what it should have; 1 is level. */
double place_level(const struct place *p);

/* Targets of the stripe objects of big file @k, in stripe order, and its stripes. */
const uint32_t *place_big(
	const struct place *p, uint32_t k, struct place_stripes *stripes);
/*
 * The target of a small file of @size bytes on @node, which has @bytes in @files small
 * files before it. All of a node's small files must be counted in one order. Files
 * next to each other mostly have one target: who writes them should work at several
 * places at once.
 */
uint32_t place_small(const struct place *p, uint32_t node, uint64_t bytes,
	uint64_t files, uint64_t size);
/*
 * Would targets be as level, PLACE_LEVEL, if the file system dealt all @files small files out in
 * turn? @squares: the sum of the squares of their bytes.
 */
bool place_in_turn(const struct place *p, uint64_t files, double squares);
/* Bytes planned for a target: exact for big files, the quota for small ones. */
uint64_t place_planned(const struct place *p, uint32_t target);

/*
 * The only node that writes to @target; PLACE_NONE of an unusable or a shared target.
 */
uint32_t place_owner(const struct place *p, uint32_t target);
/*
 * The node that writes an object on @target of a file whose data are on @home: the
 * owner, or of a shared target @home itself if it writes at all, or else one of those
 * that share it. @target must be usable.
 */
uint32_t place_writer(const struct place *p, uint32_t target, uint32_t home);
/* The file system's number of a target, usable or not. */
uint32_t place_index(const struct place *p, uint32_t target);
/* Whether objects may go there. */
bool place_has(const struct place *p, uint32_t target);
/* The usable target after @target, round and round, in the order of their index. */
uint32_t place_next(const struct place *p, uint32_t target);

/*
 * Another target for an object whose own turned bad: usable, not in @bad, not among
 * the @taken ones of the same file, with room for @bytes. Calls with @counter
 * ascending by one spread over all of these, less to those that have much to do. The
 * placement does not change, so room is as planned. PLACE_NONE: there is none.
 */
struct place_ask {
	const bool *bad;       /* of each target */
	const uint32_t *taken; /* targets */
	uint32_t n_taken;
	uint64_t bytes;
	uint64_t counter;
};
uint32_t place_substitute(const struct place *p, const struct place_ask *ask);

#endif
