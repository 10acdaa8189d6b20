/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parallel walk. On one node: threads take items from a shared list (a root to look at, a
 * directory to list, a batch of names of a large directory) and add what they find to a flat
 * manifest of their own. Between nodes: rounds of a fraction of a second, after which the
 * readers even out what is left to list (scan_share.c).
 */
#ifndef STAGE_SCAN_H
#define STAGE_SCAN_H

#include <pthread.h>
#include <sys/stat.h>

#include "stage/stage_internal.h"

#define SCAN_DEVS 16
#define SCAN_THREADS 64 /* at most */

enum scan_skip { SCAN_FIFO, SCAN_SOCKET, SCAN_DEVICE, SCAN_SKIPS };

struct scan_item {
	struct scan_item *next;
	uint32_t base;   /* index into scan.bases */
	uint32_t names;  /* bytes of names after path; 0: a root or a directory */
	uint8_t flags;   /* enum root_flags, and SCAN_ROOT */
	uint32_t path_len;
	char path[];     /* below DEST, NUL-terminated; then names, each NUL-terminated */
};
#define SCAN_ROOT 0x80 /* not looked at yet; else a directory to be listed */

struct scan {
	struct stage *st;
	const char **bases;
	uint32_t n_bases;
	dev_t base_devs[SCAN_DEVS]; /* of the first bases, as this node numbers them */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct scan_item *items; /* lock */
	uint32_t n_items;        /* lock */
	unsigned busy;           /* lock: threads that may still add items */
	double deadline;         /* of this round; threads leave after it */
	int code;                /* lock: first failure */
	struct ebt_err err;      /* lock */
	uint64_t skipped[SCAN_SKIPS];    /* lock */
	char *skipped_name[SCAN_SKIPS];  /* lock: the first one */
	dev_t store_dev;         /* our own store is not to be staged into itself */
	ino_t store_ino;
};

struct scan_item *scan_item_new(uint32_t base, unsigned flags, const char *path,
	const char *names, uint32_t names_len);
void scan_push(struct scan *s, struct scan_item *list);

/* scan_walk.c: one round of all threads on this node; entries go into @shards. */
void scan_round(struct scan *s, struct manifest **shards, unsigned threads);

/* scan_share.c: collective over readers. Evens out the items; false: none left anywhere. */
bool scan_share_all(struct scan *s, MPI_Comm readers, bool failed);

#endif
