/* SPDX-License-Identifier: BSD-3-Clause */
/* One staging run as its steps see it. */
#ifndef STAGE_STAGE_INTERNAL_H
#define STAGE_STAGE_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "ebt/stage.h"
#include "job/job.h"
#include "manifest/manifest.h"
#include "pack/ahead.h"
#include "pack/parcel.h"
#include "plan/plan.h"
#include "plan/rates.h"
#include "plan/schedule.h"
#include "source/source.h"
#include "store/store.h"
#include "stream/stream.h"

/*
 * What is brought in one go: all that the scan had found when it was its turn, see scan.c. Of a
 * run whose scan is over at once there is one. When all were brought, these together.
 */
struct stage_batch {
	struct manifest *m;
	uint64_t *need; /* one bit per entry; NULL: all */
	/* With overwrite auto, as need: what this node has not, or not by EBT's hand. */
	uint64_t *lacks;
	bool renews; /* then: some node has what another one lacks, and gets it again */
	struct plan_layouts
		layouts; /* of large files, where more than one node reads */
	struct plan *plan;
	struct ahead *ahead;	  /* what this node read while it looked, or none */
	struct source_feed *feed; /* of an entry that this node decodes, or none */
	/* As need, without what an earlier batch brought; NULL: nothing of that is in it. */
	uint64_t *moves;
};

/*
 * The batches before, each a tree: what was brought is kept in files of the store, and of several
 * that are alike in size one is made.
 */
#define STAGE_KEPT_ALIKE 16
struct stage_kept {
	struct manifest *parts[STAGE_KEPT_ALIKE * 8];
	unsigned level[STAGE_KEPT_ALIKE *
		       8]; /* descending: how often they were joined */
	size_t n;
	uint64_t entries;
};

/* What plans and streams of all batches come to. */
struct stage_sum {
	uint64_t bytes, parcels;
	uint32_t readers;
	enum schedule_algo algo; /* of the largest batch */
	uint64_t parcel, largest;
	double predicted, bound;
};

struct stage {
	const struct ebt_stage_options *o;
	struct job job;
	bool link_assumed;
	struct cost_model cost; /* assumed, then measured: see rates */
	struct rates rates;
	struct rates_busy reads, writes, sends; /* of this node, of all batches */
	struct stream_compress
		compress;	     /* of batches, as far as there is memory for it */
	uint64_t contexts;	     /* bytes that are kept for codecs */
	struct compress_watch watch; /* automatic: of this node as a reader */
	char id[33];
	struct store *store;
	struct buf roots, archives; /* what the user named: see stage_roots */
	struct walk *walk;
	struct stage_batch b; /* at hand */
	struct stage_kept before;
	struct manifest
		*old; /* of the store, once it was asked for; NULL: it has none */
	bool knows_old;
	bool chosen;  /* of one of them not all was needed */
	bool renewed; /* renews of one of them */
	struct stage_sum sum;
	uint32_t batches; /* so far, with the one at hand */
	uint64_t unchanged;
	uint64_t skipped;
	uint64_t reopened;    /* atomic: opens of sources that were tried again */
	uint64_t links_apart; /* names staged as files of their own: see links.c */
	bool warned_times;
	struct pool_memory memory; /* parcels of one batch after the other */
	struct transport
		beside; /* check.c: ranks whose stores may lie on one file system, or none */
	int treefd;
	struct ebt_stage_node self; /* what this node has to report */
};

/* options.c: values with their defaults filled in. */
unsigned stage_io_threads(const struct ebt_stage_options *o);
unsigned stage_write_threads(const struct ebt_stage_options *o);
unsigned stage_window(const struct ebt_stage_options *o);
uint64_t stage_memory(const struct ebt_stage_options *o);
/*
 * compress.c: what @text (NULL: auto) says, -EINVAL, or -ENOTSUP where a codec is not built in. And
 * collective, st->compress of the run.
 */
int stage_compress_parse(
	const char *text, struct stream_compress *c, struct ebt_err *err);
int stage_compress_open_all(struct stage *st, struct ebt_err *err);
/* compress.c: for -vv, what this node has found out in the batch. */
void stage_compress_note(const struct stage *st);
/* compress.c: stage_memory without the contexts of codecs. */
uint64_t stage_buffers(const struct stage *st);
/* Bytes that are to stay free of @size. */
uint64_t stage_floor(const struct ebt_stage_options *o, uint64_t size);
/* Readers of the plan, 0: chosen there; bytes for parcels. Both once there is a batch. */
unsigned stage_readers(const struct stage *st);
uint64_t stage_pool(const struct stage *st);

/*
 * What the user named, on the first node: a list as roots_encode makes it, and archives: how it is
 * to be read, enum archive_kind in one byte, and its path with its NUL.
 */
int stage_roots(const struct ebt_stage_options *o, struct buf *out,
	struct buf *archives, struct ebt_err *err);
/* scan.c: the walk begins. */
int stage_scan_open_all(struct stage *st, struct ebt_err *err);
/*
 * scan.c: the next batch, st->b.m on all nodes and st->b.ahead on this one, while the walk goes
 * on beside. *more: further ones will come, also after one without entries.
 */
int stage_scan_next_all(struct stage *st, bool *more, struct ebt_err *err);
/* The memory of @ahead (or NULL), of a batch that was brought, is used for a further one. */
void stage_scan_keep(struct stage *st, struct ahead *ahead);
/* Ends it where it stands; not collective. */
void stage_scan_close(struct stage *st);
/*
 * batch.c: the one at hand was brought and is noted. There is none then, unless it was the only one:
 * the first, and no @more.
 */
int stage_batch_done(struct stage *st, bool more, struct ebt_err *err);
/* batch.c: all batches, brought, become the one at hand. */
int stage_batch_join(struct stage *st, struct ebt_err *err);
void stage_batch_release(struct stage_batch *b);
/*
 * links.c: hard links that no node has seen enough of to tell are looked at by the readers,
 * then st->b.m has them on all nodes. @readers: TRANSPORT_NONE on other nodes.
 */
int stage_links_all(
	struct stage *st, const struct transport *readers, struct ebt_err *err);
/*
 * scan.c: readers lie spread over the nodes, the first one on the first node. Only they take
 * part in making their communicator, and none may be missing then; others get TRANSPORT_NONE.
 * @nodes has room for all of them.
 */
struct transport stage_open_readers(
	const struct stage *st, unsigned readers, int *nodes);

/*
 * lock.c: st->store, locked on all nodes, once no other run has it on any. After a failure it may
 * still be locked where that could be done, and is but a name elsewhere, or NULL.
 */
int stage_lock_all(struct stage *st, enum store_use use, struct ebt_err *err);
/* recover.c: open the store, finish or remove what earlier runs left. */
int stage_open_store_all(
	struct stage *st, bool create, uint32_t *recovered, struct ebt_err *err);
/* recover.c: open the store, end what earlier runs left; *done nodes had something to end. */
int stage_give_up_all(struct stage *st, uint32_t *done, struct ebt_err *err);
/* known.c: is what the store has compared with what is to come, so that not all of it is needed? */
bool stage_compares(const struct stage *st);
/* known.c: st->old, unless it was asked for before. */
int stage_know(struct stage *st, struct ebt_err *err);
/* check.c: what the user lets the store replace. */
enum store_overwrite stage_policy(const struct stage *st);
/*
 * here.c: once need is known, st->b.moves; and, the others being in place, the links of what an
 * earlier batch brought. Not collective.
 */
int stage_here_begin(struct stage *st, struct ebt_err *err);
int stage_here_finish(struct stage *st, struct ebt_err *err);
/* Of the batch at hand: the entries that come, as need. */
static inline const uint64_t *stage_moves(const struct stage *st)
{
	return st->b.moves ? st->b.moves : st->b.need;
}
/* origins.c: .ebt/roots of the store will say of what it holds copies. */
int stage_origins_all(struct stage *st, struct ebt_err *err);
void stage_kept_release(struct stage_kept *k); /* kept.c */
/* kept.c: the latest that is known of @path among what was brought, or NULL. */
const struct manifest *stage_kept_find(
	const struct stage_kept *k, const char *path, uint32_t *entry);
/* check.c: targets in the way, what is needed (st->b.need, st->unchanged). */
int stage_compare_all(struct stage *st, struct ebt_err *err);
/* check.c: of all batches together, targets in the way that could not be told before. */
int stage_compare_end_all(struct stage *st, struct ebt_err *err);
/* check.c: the first half of it on this node alone: -EEXIST names the first few. */
int stage_check_conflicts(struct stage *st, struct ebt_err *err);
/* check.c: space and inodes for what is needed, on every node. */
int stage_space_all(struct stage *st, struct ebt_err *err);
/* times.c: one warning on all nodes together where stores do not hold times as they are. */
void stage_warn_times_all(struct stage *st);
/* layouts.c: st->b.layouts, the same on all nodes; empty where OSTs do not matter. */
int stage_layouts_all(struct stage *st, struct ebt_err *err);
void stage_layouts_release(struct plan_layouts *l);
/* rates.c: what this node measured in a batch; and collective, for the next ones. */
void stage_rates_add(struct stage *st, const struct stream_result *res);
void stage_rates_all(struct stage *st, const struct stream_result *res);
/* Of this node and of all batches, into st->self. */
void stage_rates_report(struct stage *st);
/* check.c: the plan from the manifest, the same on all nodes. */
int stage_plan_all(struct stage *st, struct ebt_err *err);

/*
 * publish.c: agree on digests, seal, commit, rename. *keep: a record may be left, on whatever
 * node, which speaks of what was brought: it must stay everywhere.
 */
int stage_publish_all(struct stage *st, bool *keep, struct ebt_err *err);
/* publish.c: store_publish; a failure says how to give the publication up. */
int stage_finish(struct stage *st, struct ebt_err *err);
#define STAGE_WAY_OUT 512
/* publish.c: how to give it up, in parentheses, as the end of a message. Returns @out. */
const char *stage_way_out(const struct stage *st, char out[STAGE_WAY_OUT]);

#endif
