/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/scope.h"
#include "clock.h"
#include "object.h"

#define NAME_SIZE 32

/* An OST never lets its last megabyte go. */
#define RESERVED (1 << 20)

static const char *name_of(const struct object *b, char *out)
{
	snprintf(out, NAME_SIZE, "%" PRIx64, b->id);
	return out;
}

int ost_open(struct ost *o, unsigned index, int dir, const struct ost_model *model)
{
	*o = (struct ost){.index = index,
		.dir = dir,
		.model = model,
		.slow = 1,
		.next_id = 2,
		.tail = &o->head};
	clock_cond_init(&o->moved);
	return -pthread_mutex_init(&o->lock, NULL);
}

uint64_t ost_available(struct ost *o)
{
	SCOPED_LOCK(&o->lock);

	if (o->faults & OST_FULL || o->used + RESERVED >= o->capacity)
		return 0;
	return o->capacity - o->used - RESERVED;
}

int ost_refuses(struct ost *o)
{
	if (o->faults & OST_INACTIVE)
		return -EREMOTEIO;
	if (o->faults & OST_READONLY)
		return -EROFS;
	return ost_available(o) ? 0 : -ENOSPC;
}

static struct object *make(struct ost *o, uint64_t id)
{
	struct object *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->ost = o;
	b->id = id;
	b->refs = 1;
	b->fd = -1;
	b->writer = -1;
	b->last = &b->first;
	clock_cond_init(&b->turn);
	return b;
}

struct object *object_new(struct ost *o)
{
	SCOPED_LOCK(&o->lock);
	struct object *b = make(o, o->next_id);

	if (b) {
		o->next_id++;
		o->objects++;
	}
	return b;
}

int object_load(struct ost *o, uint64_t id, struct object **out)
{
	struct object *b = make(o, id);
	char name[NAME_SIZE];
	struct stat st;

	if (!b)
		return -ENOMEM;
	/* Nothing was ever written to what has no file. */
	if (fstatat(o->dir, name_of(b, name), &st, 0) == 0) {
		b->size = (uint64_t)st.st_size;
		b->blocks = (uint64_t)st.st_blocks;
	}
	*out = b;
	return 0;
}

uint64_t object_id(const struct object *b)
{
	return b->id;
}

void object_unref_locked(struct object *b)
{
	if (--b->refs)
		return;
	if (b->fd >= 0)
		close(b->fd);
	pthread_cond_destroy(&b->turn);
	free(b);
}

void object_unref(struct object *b)
{
	struct ost *o = b->ost;
	SCOPED_LOCK(&o->lock);

	object_unref_locked(b);
}

void object_destroy(struct object *b)
{
	struct ost *o = b->ost;
	char name[NAME_SIZE];
	SCOPED_LOCK(&o->lock);

	if (b->destroyed)
		return;
	b->destroyed = true;
	ost_discard_locked(b);
	unlinkat(o->dir, name_of(b, name), 0);
	o->used -= b->blocks * 512;
	o->objects--;
	b->size = 0;
	b->blocks = 0;
}

void object_space(struct object *b, uint64_t *size, uint64_t *blocks)
{
	SCOPED_LOCK(&b->ost->lock);

	*size = b->size;
	*blocks = b->blocks;
}

int object_open(struct object *b)
{
	char name[NAME_SIZE];
	SCOPED_LOCK(&b->ost->lock);

	if (b->fd < 0)
		b->fd = openat(b->ost->dir, name_of(b, name),
			O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (b->fd < 0)
		return -errno;
	b->opens++;
	return 0;
}

void object_close(struct object *b)
{
	SCOPED_LOCK(&b->ost->lock);

	if (--b->opens)
		return;
	close(b->fd);
	b->fd = -1;
}

static int writable(const struct ost *o, size_t len)
{
	if (o->faults & (OST_FAILING | OST_INACTIVE))
		return -EIO;
	if (o->faults & OST_READONLY)
		return -EROFS;
	if (o->faults & OST_FULL || o->used + len + RESERVED > o->capacity)
		return -ENOSPC;
	return 0;
}

/* What the object takes now is what its file takes. */
static void measure_locked(struct object *b, uint64_t end)
{
	struct stat st;

	if (b->size < end)
		b->size = end;
	if (fstat(b->fd, &st) < 0)
		return;
	b->ost->used += ((uint64_t)st.st_blocks - b->blocks) * 512;
	b->blocks = (uint64_t)st.st_blocks;
}

static void enter_locked(struct ost *o)
{
	if (++o->counts.in_flight > o->counts.peak)
		o->counts.peak = o->counts.in_flight;
}

static int write_all(int fd, const char *data, size_t len, uint64_t at)
{
	while (len) {
		ssize_t n = pwrite(fd, data, len, (off_t)at);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n <= 0)
			continue;
		data += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int object_write(
	struct object *b, int client, const void *data, size_t len, uint64_t at)
{
	struct ost *o = b->ost;
	int r;

	pthread_mutex_lock(&o->lock);
	enter_locked(o);
	if (client >= 0)
		extent_lock_locked(b, client, true);
	r = writable(o, len);
	if (r == 0 && client >= 0)
		r = ost_queue_write_locked(b, client, len);
	if (r == 0) {
		pthread_mutex_unlock(&o->lock);
		r = write_all(b->fd, data, len, at);
		pthread_mutex_lock(&o->lock);
	}
	if (r == 0) {
		measure_locked(b, at + len);
		if (client >= 0) {
			o->counts.bytes_written += len;
			o->counts.writes++;
		}
	}
	if (client >= 0)
		extent_unlock_locked(b);
	o->counts.in_flight--;
	pthread_mutex_unlock(&o->lock);
	return r;
}

static int read_all(int fd, char *data, size_t len, uint64_t at)
{
	while (len) {
		ssize_t n = pread(fd, data, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		data += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	memset(data, 0, len);
	return 0;
}

int object_read(struct object *b, int client, void *data, size_t len, uint64_t at)
{
	struct ost *o = b->ost;

	if (client >= 0) {
		SCOPED_LOCK(&o->lock);

		if (o->faults & OST_INACTIVE)
			return -EIO;
		enter_locked(o);
		extent_lock_locked(b, client, false);
		ost_queue_read_locked(o, client, len);
		o->counts.bytes_read += len;
		o->read_by[client] += len;
		o->counts.reads++;
		extent_unlock_locked(b);
		o->counts.in_flight--;
	}
	return read_all(b->fd, data, len, at);
}

int object_truncate(struct object *b, int client, uint64_t size)
{
	struct ost *o = b->ost;
	SCOPED_LOCK(&o->lock);
	bool foreign = client >= 0 && size < b->size && b->writer != client &&
		       (b->writer >= 0 || b->readers);
	int r = 0;

	if (size == b->size)
		return 0;
	if (foreign)
		extent_lock_locked(b, client, true);
	if (o->faults & (OST_FAILING | OST_INACTIVE))
		r = -EIO;
	else if (o->faults & OST_READONLY)
		r = -EROFS;
	else if (ftruncate(b->fd, (off_t)size) < 0)
		r = -errno;
	if (r == 0) {
		b->size = size;
		measure_locked(b, size);
	}
	if (foreign) {
		extent_unlock_locked(b);
		if (!b->users && !b->first && !b->moving)
			b->writer = -1;
	}
	return r;
}

int object_sync(struct object *b, int client)
{
	SCOPED_LOCK(&b->ost->lock);

	if (client < 0 || b->writer != client || clock_now() >= b->dirty_until)
		return 0;
	if (!(b->ost->faults & (OST_FAILING | OST_INACTIVE)))
		ost_drain_locked(b);
	return b->ost->faults & (OST_FAILING | OST_INACTIVE) ? -EIO : 0;
}

int64_t object_seek(struct object *b, uint64_t at, int whence)
{
	/* The position of the descriptor means nothing to anybody. */
	off_t r = lseek(b->fd, (off_t)at, whence);

	return r < 0 ? -errno : r;
}
