/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The staging plan: who reads what, in which parcels, and which schedule carries them. Pure
 * and deterministic: every rank computes the same plan from the same manifest and options.
 *
 * Content is dealt to R readers as segments (a range of one file); a reader's segments,
 * which ascend by entry and offset, are its stream; a stream is cut into parcels: many small
 * files whole, or pieces of large ones at multiples of DIGEST_LEAF. What a parcel holds
 * follows from the plan, so only bytes and digests travel, never descriptions.
 *
 * Where layouts are known, whole OSTs are dealt to readers first, and what lies on no known
 * OST makes the readers level. Parcels follow the order of segments, except that a reader's
 * OSTs take turns: so reading ahead keeps several of them busy.
 *
 * Memory: 24 bytes a segment (at most one a file and split, or one a stripe) and 16 bytes a
 * parcel.
 */
#ifndef PLAN_PLAN_H
#define PLAN_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/scope.h"
#include "ebt/err.h"
#include "manifest/manifest.h"
#include "plan/cost.h"
#include "pfs/pfs.h"
#include "plan/schedule.h"

#define PLAN_PARCEL_MIN (128 * 1024)
#define PLAN_PARCEL_MAX (8 * 1024 * 1024)
#define PLAN_PIECES_MAX 1024 /* files in one parcel */

struct plan_segment {
	uint64_t off, len; /* bytes of the file; off is a multiple of DIGEST_LEAF */
	uint32_t entry;	   /* in the manifest */
};

struct plan_parcel {
	uint64_t skip; /* bytes of the first segment that went into earlier parcels */
	uint32_t segment; /* first segment in this parcel */
	uint32_t pieces;  /* segments it takes from */
};

/* One piece of a parcel's payload. */
struct plan_piece {
	uint64_t off; /* in the file */
	uint32_t len; /* bytes, never above the parcel size */
	uint32_t at;  /* where it starts in the payload */
	uint32_t entry;
};

struct plan_stream {
	uint32_t reader; /* node that reads it */
	struct plan_segment *segments;
	struct plan_parcel *parcels;
	uint32_t n_segments;
	uint64_t n_parcels;
	uint64_t bytes;
};

/* Layouts of some of the files, ascending by entry. Whose they are is up to the caller. */
struct plan_layout {
	uint32_t entry; /* in the manifest */
	struct pfs_layout *layout;
};
struct plan_layouts {
	struct plan_layout *of;
	uint32_t count;
};
/* The one of @entry; NULL: it is not known. @l may be NULL. */
const struct pfs_layout *plan_layout_of(const struct plan_layouts *l, uint32_t entry);
/* The OST that has byte @off of @entry; -1: it is not known, or none has. */
int64_t plan_ost_at(const struct plan_layouts *l, uint32_t entry, uint64_t off);

struct plan_options {
	uint32_t nodes;	      /* >= 1 */
	uint32_t readers;     /* 0: chosen */
	uint32_t readers_max; /* upper limit of the choice, as measured; 0: none */
	uint64_t parcel; /* payload bytes, a multiple of PLAN_PARCEL_MIN; 0: chosen */
	uint64_t
		parcel_max; /* upper limit of the choice, from the memory bound; 0: none */
	enum schedule_algo algo;
	/* The node is slow in sending: where a schedule has an end that sends nothing, it is there. */
	bool has_leaf;
	uint32_t leaf;
	struct cost_model cost;
	const struct plan_layouts *layouts; /* or NULL; not used with one reader */
};

struct plan {
	uint32_t nodes;
	enum schedule_algo algo; /* never AUTO */
	bool has_leaf;
	uint32_t leaf;
	uint64_t parcel; /* payload bytes of a full parcel */
	uint64_t bytes;	 /* of all streams */
	uint64_t n_parcels;
	uint32_t n_streams; /* readers that got something to read; may be 0 */
	struct plan_stream *streams;
	const struct plan_layouts *layouts; /* the caller's, or NULL */
	double predicted, bound;	    /* seconds, by the cost model */
};

/* How many readers auto means, and which nodes they are: spread evenly, reader 0 on node 0. */
uint32_t plan_readers(const struct plan_options *o, uint64_t bytes);
uint32_t plan_reader_node(uint32_t reader, uint32_t readers, uint32_t nodes);
/* Between nodes and the relative ranks of a stream's schedule, where the reader is 0. */
uint32_t plan_rank(const struct plan *p, uint32_t stream, uint32_t node);
uint32_t plan_node(const struct plan *p, uint32_t stream, uint32_t rank);

/*
 * Content of the entries whose bit is set in @need (NULL: all), dealt to readers by OSTs as
 * far as layouts are known, and the rest in manifest order by bytes. What was read ahead goes to
 * the node that has it, if that is a reader. @m is a tree.
 */
int plan_stage(const struct manifest *m, const uint64_t *need,
	const struct plan_options *o, struct plan **out, struct ebt_err *err);
/* The same for @bytes of content that is one large file, for simulations without a manifest. */
int plan_bytes(uint64_t bytes, const struct plan_options *o, struct plan **out,
	struct ebt_err *err);
void plan_free(struct plan *p);
DEFINE_SCOPED(struct plan, plan_free)

/*
 * Payload bytes of parcel @seq, and its pieces. The cursor form walks the pieces; at the end
 * it returns false.
 */
uint64_t plan_parcel_bytes(const struct plan *p, uint32_t stream, uint64_t seq);
struct plan_walk {
	const struct plan *p;
	const struct plan_stream *s;
	uint64_t skip, at;
	uint32_t segment, left;
};
void plan_walk_start(
	const struct plan *p, uint32_t stream, uint64_t seq, struct plan_walk *w);
bool plan_walk_next(struct plan_walk *w, struct plan_piece *piece);

/*
 * Bytes that node @node sends and receives under the plan. Walks the node's sends, so it
 * costs about as much as the plan has pieces. Of mpi-bcast an estimate. -ENOMEM.
 */
int plan_link_bytes(const struct plan *p, uint32_t node, uint64_t *out, uint64_t *in,
	struct ebt_err *err);

#endif
