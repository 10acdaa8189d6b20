/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Content lies in blocks that are filled from the front; a hash of device and inode says where.
 * Room is taken under a lock, reading goes on side by side. What was read in vain leaves a gap.
 */
#include "pack/ahead.h"

#include <errno.h>
#include <string.h>

#include "source/source.h"

#define BLOCK (4u << 20) /* bytes; what is larger has one of its own */
#define SLOTS 1024	 /* of the first table, a power of two */

struct block {
	struct block *next;
	uint64_t size, used; /* bytes */
	unsigned char data[];
};

/* An inode, and as what it was read. */
struct slot {
	uint64_t dev, ino, size, changed;
	int64_t mtime;
	uint32_t mtime_ns;
	const unsigned char *data; /* NULL: a free slot */
};

struct ahead {
	uint64_t memory, taken;
	bool dry;
	pthread_mutex_t lock;
	struct block *blocks; /* lock */
	struct block *spare;  /* lock: of before, empty */
	struct slot *slots;   /* lock; at most half of them in use */
	uint64_t n_slots, used;
};

int ahead_new(uint64_t memory, bool dry, struct ahead **out, struct ebt_err *err)
{
	struct ahead *a = calloc(1, sizeof(*a));

	if (!a)
		return ebt_fail(err, -ENOMEM, "content read ahead");
	a->memory = memory;
	a->dry = dry;
	pthread_mutex_init(&a->lock, NULL);
	*out = a;
	return 0;
}

void ahead_free(struct ahead *a)
{
	struct block *b;

	if (!a)
		return;
	ahead_clear(a);
	while ((b = a->spare)) {
		a->spare = b->next;
		free(b);
	}
	free(a->slots);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

void ahead_clear(struct ahead *a)
{
	struct block *b;

	while ((b = a->blocks)) {
		a->blocks = b->next;
		if (b->size > BLOCK) {
			a->taken -= b->size;
			free(b);
			continue;
		}
		b->next = a->spare;
		a->spare = b;
	}
	if (a->slots)
		memset(a->slots, 0, a->n_slots * sizeof(*a->slots));
	a->used = 0;
}

uint64_t ahead_memory(const struct ahead *a)
{
	return a->taken;
}

static uint64_t hash_of(uint64_t dev, uint64_t ino)
{
	const uint64_t key[] = {dev, ino};

	return digest_bytes(key, sizeof(key)).lo;
}

/* The slot of the inode, or the free one where it belongs. */
static struct slot *slot_of(
	struct slot *slots, uint64_t n_slots, uint64_t dev, uint64_t ino)
{
	uint64_t i = hash_of(dev, ino);

	while (slots[i & (n_slots - 1)].data &&
		(slots[i & (n_slots - 1)].dev != dev ||
			slots[i & (n_slots - 1)].ino != ino))
		i++;
	return &slots[i & (n_slots - 1)];
}

static bool is_of(const struct slot *s, const struct manifest_entry *e)
{
	return s->size == e->size && s->changed == e->changed && s->mtime == e->mtime &&
	       s->mtime_ns == e->mtime_ns;
}

const unsigned char *ahead_find(const struct ahead *a, const struct manifest_entry *e)
{
	const struct slot *s;

	if (!a || !a->n_slots)
		return NULL;
	s = slot_of(a->slots, a->n_slots, e->dev, e->ino);
	return s->data && is_of(s, e) ? s->data : NULL;
}

/* Twice the table, within the bound. */
static bool grow(struct ahead *a)
{
	uint64_t n = a->n_slots ? 2 * a->n_slots : SLOTS;
	uint64_t more = (n - a->n_slots) * sizeof(struct slot);
	struct slot *slots;

	if (a->memory - a->taken < more)
		return false;
	slots = calloc(n, sizeof(*slots));
	if (!slots)
		return false;
	for (uint64_t i = 0; i < a->n_slots; i++) {
		const struct slot *s = &a->slots[i];

		if (s->data)
			*slot_of(slots, n, s->dev, s->ino) = *s;
	}
	free(a->slots);
	a->slots = slots;
	a->n_slots = n;
	a->taken += more;
	return true;
}

/* Of so many bytes, an empty one of before if it may be. */
static struct block *take_block(struct ahead *a, uint64_t size)
{
	struct block *b = a->spare;

	if (b && size == BLOCK) {
		a->spare = b->next;
		return b;
	}
	/* Of what they have taken a larger one can be made. */
	while (size > BLOCK && a->memory - a->taken < size && (b = a->spare)) {
		a->spare = b->next;
		a->taken -= b->size;
		free(b);
	}
	if (a->memory - a->taken < size)
		return NULL;
	b = malloc(sizeof(*b) + size);
	if (b) {
		b->size = size;
		a->taken += size;
	}
	return b;
}

static unsigned char *take_room(struct ahead *a, uint64_t bytes)
{
	struct block *b = a->blocks, **at;

	if (!b || bytes > b->size - b->used) {
		b = take_block(a, bytes > BLOCK ? bytes : BLOCK);
		if (!b)
			return NULL;
		b->used = 0;
		/* The one that is being filled stays in front. */
		at = b->size > BLOCK && a->blocks ? &a->blocks->next : &a->blocks;
		b->next = *at;
		*at = b;
	}
	b->used += bytes;
	return b->data + b->used - bytes;
}

/*
 * The slot where the content belongs: 0; 1 or 0 without one where another name of the inode has
 * brought it, as @e or as something else; -ENOSPC.
 */
static int slot_for(struct ahead *a, const struct manifest_entry *e, struct slot **slot)
{
	struct slot *s;

	*slot = NULL;
	if (2 * a->used >= a->n_slots && !grow(a))
		return -ENOSPC;
	s = slot_of(a->slots, a->n_slots, e->dev, e->ino);
	if (s->data)
		return is_of(s, e);
	*slot = s;
	return 0;
}

/* Room for the content in *data, or what ahead_read is to return at once. */
static int begin(struct ahead *a, const struct manifest_entry *e, unsigned char **data)
{
	struct slot *s;
	int r;
	SCOPED_LOCK(&a->lock);

	*data = NULL;
	r = slot_for(a, e, &s);
	if (!s)
		return r;
	/* One without content has a place, too: NULL is that of what is not here. */
	*data = take_room(a, e->size ? e->size : 1);
	return *data ? 0 : -ENOSPC;
}

static int end(
	struct ahead *a, const struct manifest_entry *e, const unsigned char *data)
{
	struct slot *s;
	int r;
	SCOPED_LOCK(&a->lock);

	/* Others may have come while this one read. */
	r = slot_for(a, e, &s);
	if (!s)
		return r;
	*s = (struct slot){.dev = e->dev,
		.ino = e->ino,
		.size = e->size,
		.changed = e->changed,
		.mtime = e->mtime,
		.mtime_ns = e->mtime_ns,
		.data = data};
	a->used++;
	return 1;
}

/* All of it, no more, and still what @e says. */
static bool read_all(int fd, const struct manifest_entry *e, unsigned char *data)
{
	struct source s = source_of_file(fd, 0);
	ssize_t n = source_read(&s, 0, data, e->size, NULL);

	return n == (ssize_t)e->size &&
	       source_state(&s, e, manifest_node(e), NULL) == SOURCE_SAME;
}

int ahead_read(struct ahead *a, int fd, const struct manifest_entry *e)
{
	unsigned char *data;
	int r;

	if (e->size > AHEAD_FILE_MAX || e->n_extents)
		return 0;
	r = begin(a, e, &data);
	if (!data)
		return r;
	return a->dry || read_all(fd, e, data) ? end(a, e, data) : 0;
}

unsigned char *ahead_room(struct ahead *a, const struct manifest_entry *e)
{
	unsigned char *data;

	return begin(a, e, &data) == 0 && data && end(a, e, data) == 1 ? data : NULL;
}
