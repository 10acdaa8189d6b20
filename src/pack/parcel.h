/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A parcel: the unit that travels. Header and payload lie one after the other in a buffer of
 * the pool, so one message carries both and a node forwards exactly what it received. What
 * the payload holds follows from the plan (plan_walk_start); the header only proves it.
 *
 * Pools are the memory bound of a run: all buffers are reserved before work starts, and whoever
 * wants to read or receive waits for a free one. Thread-safe.
 */
#ifndef PACK_PARCEL_H
#define PACK_PARCEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/queue.h"
#include "base/scope.h"
#include "ebt/err.h"

#define PARCEL_MAGIC                                                                   \
	0x31504245u /* "EBP1" in memory on little-endian: also tells byte order */

enum parcel_flags {
	PARCEL_ZERO = 1,  /* all zeros: the payload is left out */
	PARCEL_ABORT = 2, /* carries nothing: the sender is winding down */
	PARCEL_COMPRESSED = 4,
};

/* As it travels, in the byte order of the machines, which are of one kind. */
struct parcel_header {
	uint32_t magic, flags;
	uint32_t stream;
	uint32_t length; /* bytes that follow; 0 with PARCEL_ZERO */
	uint64_t seq;	 /* in the stream */
	struct ebt_digest
		digest;	  /* of the content as the plan has it: leaves in order */
	uint32_t codec;	  /* enum block_codec; BLOCK_NONE but for PARCEL_COMPRESSED */
	uint32_t content; /* bytes of it, zeros counted */
	uint64_t reserved[2];
};
_Static_assert(sizeof(struct parcel_header) == 64, "the header's size is on the wire");

struct parcel {
	struct queue_item item; /* first: queues and the free list hang it by this */
	struct pool *pool;
	struct parcel_header *header; /* right before payload */
	unsigned char *payload;	      /* page-aligned */
	/* What the plan has here, for who writes it: the payload unless that is compressed. */
	const unsigned char *content;
	uint32_t stream; /* what it is meant for, also before it has arrived */
	uint64_t seq;
	int refs;   /* atomic: writer and sends that still need it */
	bool local; /* filled on this node */
};

/*
 * -EPROTO if what was received is not the parcel of @bytes that p->stream and p->seq stand for, or
 * its lengths cannot be.
 * Says nothing about its content: unpacker_store does.
 */
int parcel_check(const struct parcel *p, uint64_t bytes, struct ebt_err *err);

struct pool;

/*
 * Memory of pools, of those of one stream after the other: pages that were used stay, and need not
 * be cleared again. Not touched before they are used. From zeros.
 */
struct pool_memory {
	unsigned char *at;
	uint64_t length, used; /* bytes; who uses it again sets used to 0 */
};
int pool_memory_new(struct pool_memory *m, uint64_t length, struct ebt_err *err);
void pool_memory_free(struct pool_memory *m);

/*
 * @count buffers for payloads of @bytes, out of what is left of @memory, which must last longer.
 * Each takes pool_stride of it. -ENOMEM: it does not suffice.
 */
int pool_new(uint64_t bytes, uint32_t count, struct pool_memory *memory,
	struct pool **out, struct ebt_err *err);
/* All parcels must be back. */
void pool_free(struct pool *p);
DEFINE_SCOPED(struct pool, pool_free)
uint32_t pool_count(const struct pool *p);
uint64_t pool_stride(uint64_t bytes); /* memory one buffer takes */

/* A parcel with one reference; the one used last first, while it is in the cache. */
struct parcel *pool_try(struct pool *p);  /* NULL: none free */
struct parcel *pool_wait(struct pool *p); /* NULL: the pool was closed */
void pool_close(struct pool *p);	  /* ends all waiting */

void parcel_ref(struct parcel *p, int n);
void parcel_unref(struct parcel *p); /* the last one returns it to its pool */

#endif
