/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From parcels to files below incoming. A file that came in one piece is created, written,
 * given its attributes and closed by one thread in one go. A large one is shared: opened by
 * its first piece, finished by whoever writes the last of its bytes.
 */
#include "pack/pack_internal.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "attr/attr.h"
#include "base/text.h"
#include "fsio/fsio.h"
#include "store/store.h"

#define HOLE                                                                           \
	4096 /* granularity at which zeros become holes again; page and block size */

#define SHARE 64 /* entries of unpacker_small: neighbours have a directory in common */

struct target_file {
	struct target_file *next;
	uint64_t left; /* bytes that have still to be written, zeros counted */
	uint32_t entry;
	int fd;
};

struct unpacker {
	struct manifest *m;
	const uint64_t *need;
	const struct plan *plan;
	int treefd;
	struct attr_made made; /* what a file of ours looks like when just created */
	struct activity *activity;
	struct pack_clock clock;
	uint64_t bytes;	   /* atomic: content written */
	uint64_t expected; /* content of all needed files, zeros counted */
	uint64_t finished; /* atomic: content of files that are complete */
	uint64_t small;	   /* atomic: entries that unpacker_small has come to */
	pthread_mutex_t lock;
	struct target_file *open; /* lock */
};

int unpacker_new(struct manifest *m, const uint64_t *need, const struct plan *plan,
	int treefd, struct unpacker **out, struct ebt_err *err)
{
	struct unpacker *u = calloc(1, sizeof(*u));

	if (!u)
		return ebt_fail(err, -ENOMEM, "unpacker");
	u->m = m;
	u->need = need;
	u->plan = plan;
	u->treefd = treefd;
	u->made = attr_made_file();
	pthread_mutex_init(&u->lock, NULL);
	for (uint32_t i = 0; i < m->count; i++) {
		if (manifest_has_data(m, i) && manifest_needed(u->need, i))
			u->expected += manifest_data(&m->entries[i]);
	}
	*out = u;
	return 0;
}

void unpacker_show(struct unpacker *u, struct activity *a)
{
	u->activity = a;
}

void unpacker_free(struct unpacker *u)
{
	struct target_file *f;

	if (!u)
		return;
	while ((f = u->open)) {
		u->open = f->next;
		close(f->fd);
		free(f);
	}
	pthread_mutex_destroy(&u->lock);
	free(u);
}

uint64_t unpacker_bytes(const struct unpacker *u)
{
	return __atomic_load_n(&u->bytes, __ATOMIC_RELAXED);
}

static int fail_at(const struct unpacker *u, uint32_t entry, int code, const char *what,
	struct ebt_err *err)
{
	char path[PATH_MAX], name[512];

	if (manifest_path(u->m, entry, path, sizeof(path)) < 0)
		path[0] = '\0';
	return ebt_fail(err, code, "%s: %s", text_name(path, name, sizeof(name)), what);
}

/* @why knows all but the path. */
static int fail_for(const struct unpacker *u, uint32_t entry, const struct ebt_err *why,
	struct ebt_err *err)
{
	char path[PATH_MAX], name[512];

	if (manifest_path(u->m, entry, path, sizeof(path)) < 0)
		path[0] = '\0';
	return ebt_failx(err, why->code, "%s: %.400s",
		text_name(path, name, sizeof(name)), why->text);
}

/*
 * A descriptor to reach the parent of @entry and the name to use with it. MANIFEST_ROOT and
 * MANIFEST_NONE are the same number: the root needs no descriptor of its own.
 */
static int place_at(const struct unpacker *u, uint32_t entry, struct pack_place *to,
	struct ebt_err *err)
{
	uint32_t dir = u->m->entries[entry].parent;
	char path[PATH_MAX];
	int r;

	if (dir == MANIFEST_ROOT)
		return u->treefd;
	if (pack_place_is(to, 0, dir))
		return to->fd;
	r = manifest_path(u->m, dir, path, sizeof(path));
	if (r >= 0)
		r = pack_place_at(to, 0, dir, u->treefd, path, O_NOFOLLOW);
	return r < 0 ? fail_at(u, dir, r, "open", err) : r;
}

/* How a new file for @e looks: its own mode from the start, as far as umask lets it. */
static struct attr_made made_for(
	const struct unpacker *u, const struct manifest_entry *e)
{
	struct attr_made made = u->made;

	made.mode &= e->mode;
	return made;
}

/* A call has failed: true if that was because of what @e replaces, which is gone now. */
static bool gives_way(const struct manifest_entry *e, int dirfd)
{
	int saved = errno;
	bool gone = saved == EEXIST && (e->marks & MANIFEST_AGAIN) &&
		    unlinkat(dirfd, e->name, 0) == 0;

	errno = saved;
	return gone;
}

static int create(const struct unpacker *u, uint32_t entry, struct pack_place *to,
	struct ebt_err *err)
{
	const struct manifest_entry *e = &u->m->entries[entry];
	int dirfd = place_at(u, entry, to, err);
	int fd;

	if (dirfd < 0)
		return dirfd;
	do {
		fd = openat(dirfd, e->name,
			O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			made_for(u, e).mode);
	} while (fd < 0 && gives_way(e, dirfd));
	return fd < 0 ? fail_at(u, entry, -errno, "create", err) : fd;
}

/* Size, attributes, close: after this the file is as the source was. Takes the descriptor. */
static int finish_file(struct unpacker *u, uint32_t entry, int fd, struct ebt_err *err)
{
	const struct manifest_entry *e = &u->m->entries[entry];
	struct attr_made made = made_for(u, e);
	struct ebt_err why = {0};
	int r = 0;

	/* A hole at the end was not written; elsewhere the last write set the size. */
	if (e->allocated < e->size && ftruncate(fd, (off_t)e->size) < 0)
		r = fail_at(u, entry, -errno, "set size", err);
	if (r == 0) {
		r = attr_set(fd, e, &made, &why);
		if (r < 0)
			fail_for(u, entry, &why, err);
	}
	if (close(fd) < 0 && r == 0)
		r = fail_at(u, entry, -errno, "close", err);
	if (r == 0)
		__atomic_add_fetch(&u->finished, manifest_data(e), __ATOMIC_RELAXED);
	return r;
}

/* Writes @data but for whole blocks of zeros: they stay the hole that they are. */
static int write_sparse(int fd, const unsigned char *data, size_t len, uint64_t off)
{
	size_t n, run = 0;
	int r;

	for (size_t at = 0; at < len; at += n) {
		n = HOLE - (off + at) % HOLE;
		if (n > len - at)
			n = len - at;
		if (!digest_is_zero(data + at, n))
			continue;
		r = run < at ? fsio_write(fd, data + run, at - run, off + run) : 0;
		if (r < 0)
			return r;
		run = at + n;
	}
	return run < len ? fsio_write(fd, data + run, len - run, off + run) : 0;
}

int unpacker_write(struct unpacker *u, const struct plan_piece *part, int fd,
	const void *data, struct ebt_err *err)
{
	const struct manifest_entry *e = &u->m->entries[part->entry];
	int r = 0;

	if (data && e->allocated < e->size)
		r = write_sparse(fd, data, part->len, part->off);
	else if (data)
		r = fsio_write(fd, data, part->len, part->off);
	if (r < 0)
		return fail_at(u, part->entry, r, "write", err);
	__atomic_add_fetch(&u->bytes, part->len, __ATOMIC_RELAXED);
	return 0;
}

static int share_open(struct unpacker *u, uint32_t entry, struct pack_place *to,
	struct target_file **out, struct ebt_err *err)
{
	const struct manifest_entry *e = &u->m->entries[entry];
	struct target_file *f;
	SCOPED_LOCK(&u->lock);

	for (f = u->open; f; f = f->next) {
		if (f->entry == entry) {
			*out = f;
			return 0;
		}
	}
	f = calloc(1, sizeof(*f));
	if (!f)
		return fail_at(u, entry, -ENOMEM, "create", err);
	f->fd = create(u, entry, to, err);
	if (f->fd < 0) {
		int r = f->fd;

		free(f);
		return r;
	}
	f->entry = entry;
	f->left = manifest_data(e);
	f->next = u->open;
	u->open = f;
	*out = f;
	return 0;
}

static int share_done(
	struct unpacker *u, struct target_file *f, uint64_t len, struct ebt_err *err)
{
	struct target_file **at;
	int r;

	{
		SCOPED_LOCK(&u->lock);
		f->left -= len;
		if (f->left > 0)
			return 0;
		for (at = &u->open; *at != f; at = &(*at)->next)
			;
		*at = f->next;
	}
	r = finish_file(u, f->entry, f->fd, err);
	free(f);
	return r;
}

int unpacker_open(struct unpacker *u, const struct plan_piece *piece,
	struct pack_place *to, struct pack_target *dst, struct ebt_err *err)
{
	int r;

	dst->shared = NULL;
	activity_begin(u->activity, &dst->call, "writing", manifest_show_path, u->m,
		piece->entry);
	if (piece->len == u->m->entries[piece->entry].size) {
		dst->fd = create(u, piece->entry, to, err);
		r = dst->fd < 0 ? dst->fd : 0;
	} else {
		r = share_open(u, piece->entry, to, &dst->shared, err);
		if (r == 0)
			dst->fd = dst->shared->fd;
	}
	if (r < 0)
		activity_end(u->activity, &dst->call);
	return r;
}

int unpacker_done(struct unpacker *u, const struct plan_piece *piece,
	struct pack_target *dst, int r, struct ebt_err *err)
{
	/* Others may still write a shared one: after a failure unpacker_free closes it. */
	if (dst->shared)
		r = r < 0 ? r : share_done(u, dst->shared, piece->len, err);
	else if (r == 0)
		r = finish_file(u, piece->entry, dst->fd, err);
	else
		close(dst->fd);
	if (r == 0)
		pack_clock_add(&u->clock, piece, dst->shared != NULL, dst->call.since);
	activity_end(u->activity, &dst->call);
	return r;
}

static int store_piece(struct unpacker *u, const struct plan_piece *piece,
	const void *data, struct pack_place *to, struct ebt_err *err)
{
	struct pack_target dst;
	int r = unpacker_open(u, piece, to, &dst, err);

	if (r < 0)
		return r;
	return unpacker_done(
		u, piece, &dst, unpacker_write(u, piece, dst.fd, data, err), err);
}

/* The first file that has something in it: to name one. */
static uint32_t first_of(const struct unpacker *u, const struct parcel *parcel)
{
	struct plan_piece piece;
	struct plan_walk w;

	plan_walk_start(u->plan, parcel->stream, parcel->seq, &w);
	plan_walk_next(&w, &piece);
	return piece.entry;
}

int unpacker_damaged(const struct unpacker *u, const struct parcel *parcel,
	const struct ebt_err *why, struct ebt_err *err)
{
	return fail_for(u, first_of(u, parcel), why, err);
}

/* The digest of what arrived against the header's; sums go into the manifest when it holds. */
static int check(struct unpacker *u, const struct parcel *parcel, struct ebt_err *err)
{
	const struct parcel_header *h = parcel->header;
	struct ebt_digest sums[PLAN_PIECES_MAX];
	struct digest_run run = {0};
	struct plan_piece piece;
	struct plan_walk w;
	uint32_t n = 0;

	plan_walk_start(u->plan, parcel->stream, parcel->seq, &w);
	while (plan_walk_next(&w, &piece)) {
		if (!(h->flags & PARCEL_ZERO)) {
			sums[n++] =
				pack_digest(parcel->content + piece.at, &piece, &run);
			continue;
		}
		for (uint32_t at = 0; at < piece.len; at += DIGEST_LEAF)
			digest_run_add(&run, (struct ebt_digest){0});
	}
	if (!digest_equal(digest_run_end(&run), h->digest))
		return fail_at(u, first_of(u, parcel), -EBADMSG,
			"damaged on the way (digest differs)", err);
	/* What was packed on this node has its digests already. */
	if (parcel->local || (h->flags & PARCEL_ZERO))
		return 0;
	n = 0;
	plan_walk_start(u->plan, parcel->stream, parcel->seq, &w);
	while (plan_walk_next(&w, &piece))
		manifest_sum_digest(u->m, piece.entry, sums[n++]);
	return 0;
}

int unpacker_store(struct unpacker *u, const struct parcel *parcel,
	struct pack_place *to, struct ebt_err *err)
{
	bool zero = parcel->header->flags & PARCEL_ZERO;
	struct plan_piece piece;
	struct plan_walk w;
	int r;

	/* What was packed here and never left its buffer is as it was digested. */
	r = parcel->local && parcel->content == parcel->payload ? 0
								: check(u, parcel, err);
	if (r < 0)
		return r;
	plan_walk_start(u->plan, parcel->stream, parcel->seq, &w);
	while (plan_walk_next(&w, &piece)) {
		r = store_piece(
			u, &piece, zero ? NULL : parcel->content + piece.at, to, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int make_dir(
	struct unpacker *u, uint32_t i, struct pack_place *to, struct ebt_err *err)
{
	int dirfd = place_at(u, i, to, err);

	if (dirfd < 0)
		return dirfd;
	/* An earlier batch may have needed it. */
	return mkdirat(dirfd, u->m->entries[i].name, 0700) < 0 && errno != EEXIST
		       ? fail_at(u, i, -errno, "mkdir", err)
		       : 0;
}

int unpacker_begin(struct unpacker *u, struct ebt_err *err)
{
	SCOPED_PLACE struct pack_place place = PACK_PLACE_INIT;
	struct activity_call call;
	int r = 0;

	for (uint32_t i = 0; i < u->m->count && r == 0; i++) {
		if (u->m->entries[i].kind != MANIFEST_DIR)
			continue;
		activity_begin(
			u->activity, &call, "making", manifest_show_path, u->m, i);
		r = make_dir(u, i, &place, err);
		activity_end(u->activity, &call);
	}
	return r;
}

/* Of what no parcel brings: a symlink, or a file without content. */
static int make_small(
	struct unpacker *u, uint32_t i, struct pack_place *to, struct ebt_err *err)
{
	const struct manifest_entry *e = &u->m->entries[i];
	struct ebt_err why = {0};
	int dirfd, fd, r;

	if (e->kind == MANIFEST_FILE) {
		fd = create(u, i, to, err);
		return fd < 0 ? fd : finish_file(u, i, fd, err);
	}
	dirfd = place_at(u, i, to, err);
	if (dirfd < 0)
		return dirfd;
	do {
		r = symlinkat(e->target, dirfd, e->name);
	} while (r < 0 && gives_way(e, dirfd));
	if (r < 0)
		return fail_at(u, i, -errno, "symlink", err);
	r = attr_set_link(dirfd, e, &why);
	return r < 0 ? fail_for(u, i, &why, err) : 0;
}

int unpacker_small(struct unpacker *u, struct pack_place *to, struct ebt_err *err)
{
	uint64_t at = __atomic_fetch_add(&u->small, SHARE, __ATOMIC_RELAXED);
	uint64_t end = at + SHARE;
	int r = 0;

	if (at >= u->m->count)
		return 1;
	for (; at < end && at < u->m->count && r == 0; at++) {
		const struct manifest_entry *e = &u->m->entries[at];
		struct activity_call call;
		uint32_t i = (uint32_t)at;

		if (e->kind != MANIFEST_DIR && manifest_needed(u->need, i) &&
			(e->kind == MANIFEST_SYMLINK ||
				(manifest_has_data(u->m, i) && e->size == 0))) {
			activity_begin(u->activity, &call, "making", manifest_show_path,
				u->m, i);
			r = make_small(u, i, to, err);
			activity_end(u->activity, &call);
		}
	}
	return r;
}

void unpacker_rate(const struct unpacker *u, struct rates_busy *sum)
{
	pack_clock_sum(&u->clock, sum);
}

int unpacker_finish(struct unpacker *u, struct ebt_err *err)
{
	SCOPED_PLACE struct pack_place place = PACK_PLACE_INIT;
	struct activity_call call;
	char first[PATH_MAX];
	int dirfd, r;

	if (u->finished != u->expected)
		return ebt_failx(err, -EIO, "%llu of %llu bytes are in complete files",
			(unsigned long long)u->finished,
			(unsigned long long)u->expected);
	for (uint32_t i = 0; i < u->m->count; i++) {
		const struct manifest_entry *e = &u->m->entries[i];

		if (e->kind != MANIFEST_FILE || manifest_has_data(u->m, i) ||
			!manifest_needed(u->need, i))
			continue;
		r = manifest_path(u->m, e->group, first, sizeof(first));
		if (r < 0)
			return fail_at(u, e->group, r, "link", err);
		dirfd = place_at(u, i, &place, err);
		if (dirfd < 0)
			return dirfd;
		activity_begin(
			u->activity, &call, "linking", manifest_show_path, u->m, i);
		do {
			r = linkat(u->treefd, first, dirfd, e->name, 0) < 0 ? -errno
									    : 0;
		} while (r < 0 && gives_way(e, dirfd));
		activity_end(u->activity, &call);
		if (r < 0)
			return fail_at(u, i, r, "link", err);
	}
	return 0;
}
