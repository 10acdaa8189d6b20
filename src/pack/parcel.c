/* SPDX-License-Identifier: BSD-3-Clause */
#include "pack/parcel.h"

#include <assert.h>
#include <errno.h>
#include <sys/mman.h>

#include "codec/block.h"

#define PAGE 4096

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t freed;
	struct queue_item *free; /* lock; last in, first out */
	bool closed;		 /* lock */
	struct parcel *parcels;
	uint32_t count;
};

uint64_t pool_stride(uint64_t bytes)
{
	/* A page before the payload holds the header at its end. */
	return PAGE + (bytes + PAGE - 1) / PAGE * PAGE;
}

int pool_memory_new(struct pool_memory *m, uint64_t length, struct ebt_err *err)
{
	void *at = mmap(NULL, length, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		return ebt_fail(err, -ENOMEM, "buffers of %llu bytes",
			(unsigned long long)length);
	/* One fault for 2 MiB in place of 512, where the system has it; else nothing is lost. */
	madvise(at, length, MADV_HUGEPAGE);
	*m = (struct pool_memory){.at = at, .length = length};
	return 0;
}

void pool_memory_free(struct pool_memory *m)
{
	if (m->at)
		munmap(m->at, m->length);
	*m = (struct pool_memory){0};
}

int pool_new(uint64_t bytes, uint32_t count, struct pool_memory *memory,
	struct pool **out, struct ebt_err *err)
{
	uint64_t stride = pool_stride(bytes);
	unsigned char *at = memory->at + memory->used;
	struct pool *p;

	if ((memory->length - memory->used) / stride < count)
		return ebt_fail(err, -ENOMEM, "parcel pool of %u x %llu bytes", count,
			(unsigned long long)stride);
	p = calloc(1, sizeof(*p));
	if (p)
		p->parcels = calloc(count, sizeof(*p->parcels));
	if (!p || !p->parcels) {
		free(p);
		return ebt_fail(err, -ENOMEM, "parcel pool");
	}
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->freed, NULL);
	p->count = count;
	memory->used += stride * count;
	for (uint32_t i = count; i-- > 0;) {
		struct parcel *q = &p->parcels[i];

		q->pool = p;
		q->payload = at + i * stride + PAGE;
		q->header = (struct parcel_header *)q->payload - 1;
		q->item.next = p->free;
		p->free = &q->item;
	}
	*out = p;
	return 0;
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	free(p->parcels);
	pthread_cond_destroy(&p->freed);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

uint32_t pool_count(const struct pool *p)
{
	return p->count;
}

static struct parcel *take_locked(struct pool *p)
{
	struct parcel *q = (struct parcel *)p->free;

	if (q) {
		p->free = q->item.next;
		q->refs = 1;
		q->local = false;
		q->content = q->payload;
	}
	return q;
}

struct parcel *pool_try(struct pool *p)
{
	SCOPED_LOCK(&p->lock);
	return take_locked(p);
}

struct parcel *pool_wait(struct pool *p)
{
	SCOPED_LOCK(&p->lock);
	while (!p->free && !p->closed)
		pthread_cond_wait(&p->freed, &p->lock);
	return p->closed ? NULL : take_locked(p);
}

void pool_close(struct pool *p)
{
	SCOPED_LOCK(&p->lock);
	p->closed = true;
	pthread_cond_broadcast(&p->freed);
}

void parcel_ref(struct parcel *p, int n)
{
	__atomic_add_fetch(&p->refs, n, __ATOMIC_RELAXED);
}

void parcel_unref(struct parcel *p)
{
	struct pool *pool = p->pool;
	int left = __atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL);

	assert(left >= 0);
	if (left > 0)
		return;
	SCOPED_LOCK(&pool->lock);
	p->item.next = pool->free;
	pool->free = &p->item;
	pthread_cond_signal(&pool->freed);
}

/* What a header may say of a parcel of @bytes. */
static bool lengths_hold(const struct parcel_header *h, uint64_t bytes)
{
	if (h->content != bytes)
		return false;
	switch (h->flags) {
	case 0:
		return h->length == bytes && h->codec == BLOCK_NONE;
	case PARCEL_ZERO:
		return h->length == 0 && h->codec == BLOCK_NONE;
	case PARCEL_COMPRESSED:
		return h->length > 0 && h->length < bytes && h->codec != BLOCK_NONE;
	default:
		return false;
	}
}

int parcel_check(const struct parcel *p, uint64_t bytes, struct ebt_err *err)
{
	const struct parcel_header *h = p->header;

	if (h->magic == PARCEL_MAGIC && h->stream == p->stream && h->seq == p->seq &&
		lengths_hold(h, bytes))
		return 0;
	return ebt_failx(err, -EPROTO,
		"parcel %llu of stream %u: another one arrived in its place",
		(unsigned long long)p->seq, p->stream);
}
