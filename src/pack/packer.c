/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From source files to parcels. A file that lies in one piece is opened, read and closed on
 * the spot. A large one is shared by the threads that read its pieces: it stays open until
 * the last of the bytes that this stream takes from it has been read. Streams go through
 * files in order, so only a few are open at any time and a list is enough. Files without
 * content lie in no parcel, and are looked at all the same.
 */
#include "pack/pack_internal.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "fsio/fsio.h"

#define LOOK                                                                           \
	64 /* entries in a share of packer_look: neighbours have a directory in common */

struct source_file {
	struct source_file *next;
	uint64_t left; /* bytes of it that this stream has still to read */
	uint32_t entry;
	struct source from;
};

struct packer {
	struct manifest *m;
	const struct plan *plan;
	const struct ahead *ahead;
	uint32_t stream;
	uint32_t node; /* that reads it: without streams the first looks at all */
	uid_t euid;
	struct fsio_patience patience;
	struct activity *activity;
	struct source_feed *feed; /* or NULL */
	uint64_t bytes;		  /* atomic */
	struct pack_clock clock;
	uint64_t looked; /* atomic: shares of entries in packer_look */
	pthread_mutex_t lock;
	struct source_file *open; /* lock */
};

int packer_new(struct manifest *m, const struct plan *plan, uint32_t stream,
	const struct ahead *ahead, struct packer **out, struct ebt_err *err)
{
	struct packer *p = calloc(1, sizeof(*p));

	if (!p)
		return ebt_fail(err, -ENOMEM, "packer");
	p->m = m;
	p->plan = plan;
	p->ahead = ahead;
	p->stream = stream;
	p->node = stream < plan->n_streams ? plan->streams[stream].reader : 0;
	p->euid = geteuid();
	pthread_mutex_init(&p->lock, NULL);
	*out = p;
	return 0;
}

void packer_be_patient(struct packer *p, const struct fsio_patience *how)
{
	p->patience = *how;
}

void packer_show(struct packer *p, struct activity *a)
{
	p->activity = a;
}

void packer_feed(struct packer *p, struct source_feed *f)
{
	p->feed = f;
	if (f) {
		f->stopped = p->patience.stopped;
		f->stopped_arg = p->patience.arg;
	}
}

void packer_free(struct packer *p)
{
	struct source_file *f;

	if (!p)
		return;
	while ((f = p->open)) {
		p->open = f->next;
		source_close(&f->from);
		free(f);
	}
	pthread_mutex_destroy(&p->lock);
	free(p);
}

uint64_t packer_bytes(const struct packer *p)
{
	return __atomic_load_n(&p->bytes, __ATOMIC_RELAXED);
}

void packer_rate(const struct packer *p, struct rates_busy *sum)
{
	pack_clock_sum(&p->clock, sum);
}

#define NAME 512 /* bytes of a source in a message */

static const char *name_of(const struct packer *p, uint32_t entry, char name[NAME])
{
	char path[PATH_MAX];

	if (manifest_source_path(p->m, entry, path, sizeof(path)) < 0)
		path[0] = '\0';
	return text_name(path, name, NAME);
}

static void show_name(const void *arg, uint64_t index, char *out, size_t size)
{
	char name[NAME];

	snprintf(out, size, "%s", name_of(arg, (uint32_t)index, name));
}

/* What is being read, and from where if that is known: a failover of one OST takes minutes. */
static void show_source(const void *arg, uint64_t index, char *out, size_t size)
{
	const struct pack_source *src = arg;
	int64_t ost = plan_ost_at(
		src->packer->plan->layouts, src->piece->entry, src->piece->off);
	char name[NAME];

	(void)index;
	name_of(src->packer, src->piece->entry, name);
	if (ost < 0)
		snprintf(out, size, "%s", name);
	else
		snprintf(out, size, "%s (OST %lld)", name, (long long)ost);
}

static int fail_at(const struct packer *p, uint32_t entry, int code, const char *what,
	struct ebt_err *err)
{
	char name[NAME];

	return ebt_fail(err, code, "%s: %s", name_of(p, entry, name), what);
}

/* What no errno says: the file is not what the scan saw, or not what it says itself. */
static int refuse(
	const struct packer *p, uint32_t entry, const char *what, struct ebt_err *err)
{
	char name[NAME];

	return ebt_failx(err, -ESTALE, "%s: %s", name_of(p, entry, name), what);
}

/*
 * The directory of @entry in its own source: where sources meet, the entry of the directory
 * names only one of them. Links on the way are followed, as they were by the scan.
 */
static int open_place(const struct packer *p, uint32_t entry, struct pack_place *from)
{
	const struct manifest_entry *e = &p->m->entries[entry];
	char path[PATH_MAX];
	int r;

	if (pack_place_is(from, e->source, e->parent))
		return from->fd;
	r = manifest_source_path(p->m, entry, path, sizeof(path));
	if (r < 0)
		return r;
	*strrchr(path, '/') = '\0';
	return pack_place_at(
		from, e->source, e->parent, AT_FDCWD, *path ? path : "/", 0);
}

static int try_source(const struct packer *p, uint32_t entry, struct pack_place *from)
{
	const struct manifest_entry *e = &p->m->entries[entry];
	/* Not to wait on a FIFO that took the file's place, not to follow a link that did. */
	int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	int dirfd = open_place(p, entry, from), fd;

	if (dirfd < 0)
		return dirfd;
	/* Only the owner may leave the access time alone. */
	if (p->euid == 0 || p->euid == e->uid)
		flags |= O_NOATIME;
	fd = openat(dirfd, e->name, flags);
	if (fd < 0 && errno == EPERM && (flags & O_NOATIME))
		fd = openat(dirfd, e->name, flags & ~O_NOATIME);
	return fd < 0 ? -errno : fd;
}

/* An archive is named by the user, as a link perhaps; whether it is the same is asked later. */
static int try_archive(const struct packer *p, uint32_t entry)
{
	int fd = open(p->m->sources[p->m->entries[entry].source],
		O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	return fd < 0 ? -errno : fd;
}

/* The one at hand is what its content is decoded from, or it is in memory; else it lies in a file. */
static int open_source(const struct packer *p, uint32_t entry, struct pack_place *from,
	struct source *out, struct ebt_err *err)
{
	const struct manifest_entry *e = &p->m->entries[entry];
	bool member = e->marks & MANIFEST_MEMBER;
	struct fsio_again again = {0};
	int fd;

	if (p->feed && member && p->feed->dev == e->dev && p->feed->ino == e->ino) {
		*out = source_of_feed(p->feed);
		return 0;
	}
	/* With its directory: that may be what is stale. */
	while (fsio_again(&again, &p->patience,
		fd = member ? try_archive(p, entry) : try_source(p, entry, from)))
		pack_place_end(from);
	if (fd < 0)
		return fail_at(p, entry, fd, "open", err);
	*out = source_of_file(fd, member ? e->ino : 0);
	return 0;
}

/* After the last read: is this still the file that the scan saw? */
static int check_unchanged(const struct packer *p, uint32_t entry,
	const struct source *from, struct ebt_err *err)
{
	int r = source_state(from, &p->m->entries[entry], p->node, NULL);

	if (r < 0)
		return fail_at(p, entry, r, "stat", err);
	if (r == SOURCE_CHANGED)
		return refuse(p, entry, "changed while it was being staged", err);
	return r == SOURCE_ODD
		       ? refuse(p, entry, "has content although its size is 0", err)
		       : 0;
}

/* Bytes that this stream takes from @entry. Segments of a stream ascend by entry. */
static uint64_t stream_share(const struct packer *p, uint32_t entry)
{
	const struct plan_stream *s = &p->plan->streams[p->stream];
	uint32_t lo = 0, hi = s->n_segments;
	uint64_t sum = 0;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (s->segments[mid].entry < entry)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < s->n_segments && s->segments[lo].entry == entry; lo++)
		sum += s->segments[lo].len;
	return sum;
}

static int share_open(struct packer *p, uint32_t entry, struct pack_place *from,
	struct source_file **out, struct ebt_err *err)
{
	struct source_file *f;
	int r;
	SCOPED_LOCK(&p->lock);

	for (f = p->open; f; f = f->next) {
		if (f->entry == entry) {
			*out = f;
			return 0;
		}
	}
	f = calloc(1, sizeof(*f));
	if (!f)
		return fail_at(p, entry, -ENOMEM, "open", err);
	r = open_source(p, entry, from, &f->from, err);
	if (r < 0) {
		free(f);
		return r;
	}
	f->entry = entry;
	f->left = stream_share(p, entry);
	f->next = p->open;
	p->open = f;
	*out = f;
	return 0;
}

/* @len bytes of @f have been read; whoever reads the last ones checks and closes it. */
static int share_done(
	struct packer *p, struct source_file *f, uint64_t len, struct ebt_err *err)
{
	struct source_file **at;
	int r;

	{
		SCOPED_LOCK(&p->lock);
		f->left -= len;
		if (f->left > 0)
			return 0;
		for (at = &p->open; *at != f; at = &(*at)->next)
			;
		*at = f->next;
	}
	r = check_unchanged(p, f->entry, &f->from, err);
	source_close(&f->from);
	free(f);
	return r;
}

int packer_open(struct packer *p, const struct plan_piece *piece,
	struct pack_place *from, struct pack_source *src, struct ebt_err *err)
{
	const struct manifest_entry *e = &p->m->entries[piece->entry];
	const unsigned char *ahead = ahead_find(p->ahead, e);
	int r;

	*src = (struct pack_source){
		.packer = p, .piece = piece, .from = source_of_memory(ahead)};
	if (ahead)
		return 0;
	activity_begin(p->activity, &src->call, "reading", show_source, src, 0);
	if (piece->len == e->size) {
		r = open_source(p, piece->entry, from, &src->from, err);
	} else {
		r = share_open(p, piece->entry, from, &src->shared, err);
		if (r == 0)
			src->from = src->shared->from;
	}
	if (r < 0)
		activity_end(p->activity, &src->call);
	return r;
}

int packer_read(struct packer *p, const struct plan_piece *part,
	const struct pack_source *src, void *data, struct ebt_err *err)
{
	struct ebt_err why = {0};
	ssize_t n = source_read(&src->from, part->off, data, part->len, &why);

	if (n < 0 && why.text[0]) {
		if (err)
			*err = why;
		return (int)n;
	}
	if (n < 0)
		return fail_at(p, part->entry, (int)n, "read", err);
	if ((uint64_t)n < part->len) {
		/* It shrank, or is one of those below /sys, which never had as much. */
		int r = check_unchanged(p, part->entry, &src->from, err);

		return r < 0 ? r
			     : refuse(p, part->entry,
				       "has less content than its size says", err);
	}
	__atomic_add_fetch(&p->bytes, part->len, __ATOMIC_RELAXED);
	return 0;
}

int packer_done(struct packer *p, const struct plan_piece *piece,
	struct pack_source *src, int r, struct ebt_err *err)
{
	if (src->from.kind == SOURCE_MEMORY)
		return r;
	if (r == 0 && !src->shared)
		r = check_unchanged(p, piece->entry, &src->from, err);
	/* Others may still read a shared one: after a failure packer_free closes it. */
	else if (r == 0)
		r = share_done(p, src->shared, piece->len, err);
	if (!src->shared)
		source_close(&src->from);
	if (r == 0)
		pack_clock_add(&p->clock, piece, src->shared != NULL, src->call.since);
	activity_end(p->activity, &src->call);
	return r;
}

/* A file without content has none: those below /proc say so too. */
static int look_at(
	struct packer *p, uint32_t entry, struct pack_place *from, struct ebt_err *err)
{
	SCOPED(source_close) struct source s = {.fd = -1};
	int r = open_source(p, entry, from, &s, err);

	return r < 0 ? r : check_unchanged(p, entry, &s, err);
}

int packer_look(struct packer *p, const uint64_t *need, struct pack_place *from,
	struct ebt_err *err)
{
	uint64_t share = __atomic_fetch_add(&p->looked, 1, __ATOMIC_RELAXED);
	uint32_t streams = p->plan->n_streams ? p->plan->n_streams : 1;
	uint64_t at = (share * streams + p->stream) * LOOK, end = at + LOOK;
	struct activity_call call;
	int r = 0;

	if (at >= p->m->count)
		return 1;
	for (; at < end && at < p->m->count && r == 0; at++) {
		if (manifest_needed(need, (uint32_t)at) &&
			manifest_has_data(p->m, (uint32_t)at) &&
			p->m->entries[at].size == 0 &&
			!(p->m->entries[at].marks & MANIFEST_MEMBER) &&
			!ahead_find(p->ahead, &p->m->entries[at])) {
			activity_begin(
				p->activity, &call, "looking at", show_name, p, at);
			r = look_at(p, (uint32_t)at, from, err);
			activity_end(p->activity, &call);
		}
	}
	return r;
}

void packer_walk(const struct packer *p, uint64_t seq, struct plan_walk *w)
{
	plan_walk_start(p->plan, p->stream, seq, w);
}

void packer_sum(struct packer *p, const struct plan_piece *piece, struct ebt_digest sum)
{
	manifest_sum_digest(p->m, piece->entry, sum);
}

static int fetch_piece(struct packer *p, const struct plan_piece *piece, void *to,
	struct pack_place *from, struct ebt_err *err)
{
	struct pack_source src;
	int r = packer_open(p, piece, from, &src, err);

	if (r < 0)
		return r;
	return packer_done(p, piece, &src, packer_read(p, piece, &src, to, err), err);
}

int packer_fill(struct packer *p, uint64_t seq, struct parcel *parcel,
	struct pack_place *from, struct ebt_err *err)
{
	struct parcel_header *h = parcel->header;
	struct digest_run run = {0};
	struct plan_piece piece;
	struct plan_walk w;
	bool zero = true;
	uint32_t length = 0;
	int r;

	plan_walk_start(p->plan, p->stream, seq, &w);
	while (plan_walk_next(&w, &piece)) {
		const struct manifest_entry *e = &p->m->entries[piece.entry];
		struct ebt_digest sum = {0};

		r = fetch_piece(p, &piece, parcel->payload + piece.at, from, err);
		if (r < 0)
			return r;
		sum = pack_digest(parcel->payload + piece.at, &piece, &run);
		manifest_sum_digest(p->m, piece.entry, sum);
		/* Zeros are left out only where the file may have holes: elsewhere they are rare. */
		if (e->allocated >= e->size || sum.lo || sum.hi)
			zero = false;
		length = piece.at + piece.len;
	}
	*h = (struct parcel_header){
		.magic = PARCEL_MAGIC,
		.flags = zero ? PARCEL_ZERO : 0,
		.stream = p->stream,
		.length = zero ? 0 : length,
		.seq = seq,
		.digest = digest_run_end(&run),
		.content = length,
	};
	parcel->stream = p->stream;
	parcel->seq = seq;
	parcel->local = true;
	return 0;
}
