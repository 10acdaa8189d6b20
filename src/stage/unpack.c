/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the thread finds belongs to it while it works, and while it rests to whoever takes that. So
 * the lock is only about which of the two it is.
 */
#include "stage/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "archive/unarchive.h"
#include "base/text.h"
#include "stage/unpack_index.h"
#include "stage/unpack_links.h"

#define LOOK_NS 5000000 /* between looks of who waits at whether to give up */

/* What the thread does. All but the first are rests. */
enum doing {
	WORKS,
	FULL,	/* it waits for room, and that what was found is taken */
	FEEDS,	/* until its last member was read, or nobody wants it */
	PAUSED, /* because somebody holds it */
	OVER,	/* for good */
};

struct feed {
	struct source_feed source; /* first: who reads has only this */
	const char *path; /* of the archive: the thread may be at another one */
	struct manifest_entry e;
	struct manifest_extent *extents; /* ours, of e */
	uint64_t off;			 /* lock: all before it was read */
	bool reading;			 /* lock: somebody is at it */
	bool given;			 /* lock: to whoever took what was found */
};

struct unpack {
	struct feed feed; /* first: see read_feed */
	const struct unpack_input *in;
	pthread_t thread;
	bool running;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum doing doing;   /* lock; to be read at any time */
	bool held;	    /* lock; likewise */
	bool ending;	    /* lock; likewise */
	int code;	    /* lock: what it came to */
	struct ebt_err err; /* lock */
	struct manifest *m; /* flat: found and not taken yet */
	struct ahead *ahead;
	struct unarchive *archive; /* the one at hand */
	struct picks *picks;	   /* of it; NULL: it is read whole */
	uint32_t index;
	struct stat st;
	struct unpack_links links; /* of it */
	bool linked;		   /* it has ended: they can be made */
};

static const char *path_of(const struct unpack *u)
{
	return u->in->archives[u->index];
}

static bool ends(void *arg)
{
	const struct unpack *u = arg;

	return __atomic_load_n(&u->ending, __ATOMIC_RELAXED) ||
	       u->in->stopped(u->in->stopped_arg, NULL) < 0;
}

static void set_doing(struct unpack *u, enum doing doing)
{
	__atomic_store_n(&u->doing, doing, __ATOMIC_RELEASE);
	pthread_cond_broadcast(&u->changed);
}

/* Until it has what it waits for, and nobody holds it. */
static int rest(struct unpack *u, enum doing why)
{
	SCOPED_LOCK(&u->lock);

	set_doing(u, why);
	while (!u->ending && (u->held || u->doing == why))
		pthread_cond_wait(&u->changed, &u->lock);
	set_doing(u, WORKS);
	return u->ending || u->code < 0 ? -ECANCELED : 0;
}

/* A little while, or until something has changed. */
static void wait_little(struct unpack *u)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += LOOK_NS;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_cond_timedwait(&u->changed, &u->lock, &until);
}

/* Bytes of content of @e that lie before @off. */
static uint64_t data_before(const struct manifest_entry *e, uint64_t off)
{
	uint64_t sum = 0;

	if (!e->n_extents)
		return off;
	for (uint32_t i = 0; i < e->n_extents && e->extents[i].off < off; i++) {
		uint64_t end = e->extents[i].off + e->extents[i].len;

		sum += (end < off ? end : off) - e->extents[i].off;
	}
	return sum;
}

/* Locked: the turn of who wants what lies from @off on. */
static int wait_turn(struct unpack *u, uint64_t off, struct ebt_err *err)
{
	struct feed *f = &u->feed;
	char name[512];

	text_name(f->path, name, sizeof(name));
	while (u->doing == FEEDS && !u->ending &&
		(f->reading || data_before(&f->e, f->off) < data_before(&f->e, off))) {
		if (f->source.stopped && f->source.stopped(f->source.stopped_arg))
			return ebt_failx(err, -ECANCELED, "%s: given up", name);
		wait_little(u);
	}
	if (u->code < 0 && err)
		*err = u->err;
	if (u->code < 0)
		return u->code;
	if (u->ending)
		return ebt_failx(err, -ECANCELED, "%s: given up", name);
	return u->doing != FEEDS || off < f->off
		       ? ebt_failx(err, -EPROTO, "%s: read out of order", name)
		       : 0;
}

static int read_feed(struct source_feed *source, uint64_t off, void *to, size_t len,
	struct ebt_err *err)
{
	struct unpack *u = (struct unpack *)source;
	struct feed *f = &u->feed;
	struct ebt_err why = {0};
	int r;

	{
		SCOPED_LOCK(&u->lock);
		r = wait_turn(u, off, err);
		f->reading = r == 0;
	}
	if (r < 0)
		return r;
	r = unarchive_read(u->archive, off, to, len, &why);
	if (r < 0 && err)
		*err = why;
	SCOPED_LOCK(&u->lock);
	f->reading = false;
	f->off = off + len;
	if (r < 0) {
		u->code = r;
		u->err = why;
	}
	set_doing(u, r < 0 || data_before(&f->e, f->off) == manifest_data(&f->e)
			     ? WORKS
			     : FEEDS);
	return r;
}

/* Is @path wanted, and every directory above it? */
static bool wants(const struct unpack *u, const char *path, bool dir)
{
	SCOPED_FREE char *above = u->in->filter ? strdup(path) : NULL;

	for (char *slash = above ? strchr(above, '/') : NULL; slash;
		slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (!filter_wants(u->in->filter, above, true))
			return false;
		*slash = '/';
	}
	return filter_wants(u->in->filter, path, dir);
}

static int add(struct unpack *u, struct manifest_entry *e, struct ebt_err *err)
{
	int r = manifest_add_source(u->m, path_of(u), &e->source, err);

	if (r == 0)
		r = manifest_add(u->m, e, err);
	__atomic_add_fetch(u->in->found, r == 0, __ATOMIC_RELAXED);
	return r;
}

static int read_all(struct unpack *u, const struct manifest_entry *e,
	unsigned char *data, struct ebt_err *err)
{
	struct manifest_extent whole = {0, e->size};
	const struct manifest_extent *x = e->n_extents ? e->extents : &whole;
	uint32_t n = e->n_extents ? e->n_extents : 1;
	int r = 0;

	for (uint32_t i = 0; i < n && r == 0; i++)
		r = unarchive_read(
			u->archive, x[i].off, data + x[i].off, x[i].len, err);
	return r;
}

/* Content into memory: 1, or 0 where there is no room for it, however long one waits. */
static int keep(struct unpack *u, struct manifest_entry *e, struct ebt_err *err)
{
	unsigned char *data = u->ahead ? ahead_room(u->ahead, e) : NULL;
	int r = 0;

	if (!data) {
		r = rest(u, FULL);
		data = r == 0 && u->ahead ? ahead_room(u->ahead, e) : NULL;
	}
	if (r < 0 || !data)
		return r;
	r = read_all(u, e, data, err);
	return r < 0 ? r : 1;
}

/* Content that is decoded later, into parcels: the thread waits for that. */
static int feed(struct unpack *u, const struct manifest_entry *e, struct ebt_err *err)
{
	struct feed *f = &u->feed;
	size_t bytes = e->n_extents * sizeof(*e->extents);

	free(TAKE(f->extents));
	*f = (struct feed){.path = path_of(u), .e = *e};
	f->extents = bytes ? malloc(bytes) : NULL;
	if (bytes && !f->extents)
		return ebt_fail(err, -ENOMEM, "archives");
	if (bytes)
		memcpy(f->extents, e->extents, bytes);
	f->e.extents = f->extents;
	f->source =
		(struct source_feed){.dev = e->dev, .ino = e->ino, .read = read_feed};
	return rest(u, FEEDS);
}

/* @placed: it lies in the archive as it is, so that only what is small is read here. */
static int take_file(
	struct unpack *u, struct manifest_entry *e, bool placed, struct ebt_err *err)
{
	bool small = e->size <= (placed ? AHEAD_FILE_MAX : u->in->hold);
	int kept = 0, r;

	if (e->size && small && !u->in->dry)
		kept = keep(u, e, err);
	if (kept < 0)
		return kept;
	if (e->size && (kept || !placed || (u->in->dry && small)))
		e->marks |= MANIFEST_AHEAD;
	r = add(u, e, err);
	return r == 0 && e->size && !kept && !placed && !u->in->dry ? feed(u, e, err)
								    : r;
}

static int take_member(struct unpack *u, const struct member *m, struct ebt_err *err)
{
	bool placed = m->at != UNARCHIVE_NOWHERE;
	struct manifest_entry e = m->e;
	bool again = m->again && e.kind != MANIFEST_DIR;
	bool wanted = wants(u, e.name, e.kind == MANIFEST_DIR);
	/* Of cpio the last name has the content, of all: whether that name is wanted or not. */
	bool fills = m->link && m->content && e.size && wants(u, m->link, false);
	int r = 0;

	if (!wanted && !fills)
		return 0;
	/* Numbers of content that is placed are bytes of the archive, others are not. */
	e.dev = manifest_dev(u->in->node, 2 * u->in->numbers[u->index] + placed);
	e.ino = placed ? m->at : m->where;
	e.changed = manifest_time(u->st.st_ctim);
	e.marks = MANIFEST_MEMBER | (again ? MANIFEST_AGAIN : 0);
	if (m->link)
		r = unpack_links_add(&u->links, e.name, m->link,
			(again ? UNPACK_LINK_AGAIN : 0u) |
				(fills ? UNPACK_LINK_FILLS : 0u) |
				(wanted ? 0u : UNPACK_LINK_UNWANTED),
			err);
	else if (again && e.kind == MANIFEST_FILE)
		r = unpack_links_replaced(&u->links, e.name, err);
	if (r < 0 || (m->link && !fills))
		return r;
	if (m->link) {
		e.name = m->link;
		e.marks |= MANIFEST_AGAIN;
	}
	return e.kind == MANIFEST_FILE ? take_file(u, &e, placed, err)
				       : add(u, &e, err);
}

static void warn_left(const struct unpack *u)
{
	static const char *const what[UNARCHIVE_LEFT_KINDS] = {
		"FIFOs", "sockets", "devices", "file flags"};
	char name[512], shown[512];
	const char *first;
	uint64_t n;

	text_name(path_of(u), name, sizeof(name));
	for (int i = 0; i < UNARCHIVE_LEFT_KINDS; i++) {
		n = unarchive_left(u->archive, (enum unarchive_left)i, &first);
		if (n)
			log_warn(u->in->log, "%s: %s left out: %llu, first of %s", name,
				what[i], (unsigned long long)n,
				text_name(first, shown, sizeof(shown)));
	}
}

/* A whole archive, to the batch in which its links go. */
static int take_archive(struct unpack *u, struct ebt_err *err)
{
	struct activity_call call;
	struct member m;
	int r = 1;

	while (r > 0) {
		activity_begin(u->in->activity, &call, "unpacking", activity_text,
			path_of(u), 0);
		r = unarchive_next(u->archive, &m, err);
		activity_end(u->in->activity, &call);
		if (r <= 0)
			break;
		if (__atomic_load_n(&u->held, __ATOMIC_RELAXED))
			r = rest(u, PAUSED);
		else if (u->in->most && u->m->count >= u->in->most)
			r = rest(u, FULL);
		else
			r = 0;
		if (r == 0)
			r = take_member(u, &m, err);
		r = r < 0 ? r : 1;
	}
	return r;
}

static int check_same(const struct unpack *u, int fd, struct ebt_err *err)
{
	char name[512];
	struct stat now;

	if (fstat(fd, &now) == 0 &&
		(!S_ISREG(now.st_mode) ||
			(now.st_size == u->st.st_size &&
				manifest_time(now.st_ctim) ==
					manifest_time(u->st.st_ctim))))
		return 0;
	return ebt_failx(err, -ESTALE, "%s: changed while it was being read",
		text_name(path_of(u), name, sizeof(name)));
}

static bool wants_path(void *arg, const char *path, bool dir)
{
	return wants(arg, path, dir);
}

/* Where rules leave out members its index may say which have to be read. */
static void use_index(struct unpack *u, int fd, struct unarchive_options *o)
{
	const struct unpack_index x = {.path = path_of(u),
		.fd = fd,
		.st = &u->st,
		.how = o,
		.wants = wants_path,
		.arg = u,
		.activity = u->in->activity,
		.log = u->in->log};

	if (!u->in->filter || strcmp(path_of(u), UNPACK_STDIN) == 0)
		return;
	u->picks = unpack_index_picks(&x);
	o->picks = u->picks;
}

static int open_archive(struct unpack *u, int fd, struct ebt_err *err)
{
	const struct unpack_input *in = u->in;
	struct unarchive_options o = {
		.concatenated = in->concatenated,
		.no_xattrs = in->no_xattrs,
		.no_owner = in->no_owner,
		.threads = in->threads,
		.umask = 022,
		.stopped = ends,
		.arg = u,
	};
	char name[512];

	text_name(path_of(u), name, sizeof(name));
	if (fd < 0 || fstat(fd, &u->st) < 0)
		return ebt_fail(err, -errno, "%s", name);
	if (S_ISDIR(u->st.st_mode))
		return ebt_failx(
			err, -EISDIR, "%s: a directory is no archive to unpack", name);
	use_index(u, fd, &o);
	return unarchive_open(fd, name, &o, &u->archive, err);
}

/* Its links go with the next batch. Where all is taken in one go, nothing was brought before. */
static int end_archive(struct unpack *u, struct ebt_err *err)
{
	struct unpack_brought b = {u->in->brought, u->in->brought_arg};
	int r;

	warn_left(u);
	if (u->in->most) {
		u->linked = true;
		return rest(u, FULL);
	}
	r = unpack_links_resolve(&u->links, path_of(u), u->m, &b, err);
	unpack_links_release(&u->links);
	return r;
}

static int unpack_one(struct unpack *u, struct ebt_err *err)
{
	bool piped = strcmp(path_of(u), UNPACK_STDIN) == 0;
	SCOPED_FD int fd = piped ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
				 : open(path_of(u), O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int r = open_archive(u, fd, err);

	if (r == 0)
		r = take_archive(u, err);
	if (r == 0)
		r = check_same(u, fd, err);
	if (r == 0)
		r = end_archive(u, err);
	unarchive_free(TAKE(u->archive));
	picks_free(TAKE(u->picks));
	return r;
}

static void *work(void *arg)
{
	struct unpack *u = arg;
	struct ebt_err err = {0};
	int r = 0;

	while (r == 0 && u->index < u->in->n) {
		r = unpack_one(u, &err);
		u->index += r == 0;
	}
	SCOPED_LOCK(&u->lock);
	if (r < 0 && u->code == 0) {
		u->code = r;
		u->err = err;
	}
	set_doing(u, OVER);
	return NULL;
}

int unpack_start(const struct unpack_input *in, struct ahead *ahead,
	struct unpack **out, struct ebt_err *err)
{
	SCOPED(unpack_endp) struct unpack *u = calloc(1, sizeof(*u));
	int r;

	if (!u)
		return ebt_fail(err, -ENOMEM, "archives");
	u->in = in;
	u->ahead = ahead;
	pthread_mutex_init(&u->lock, NULL);
	pthread_cond_init(&u->changed, NULL);
	r = manifest_new(&u->m, err);
	if (r < 0)
		return r;
	r = pthread_create(&u->thread, NULL, work, u);
	u->running = r == 0;
	if (r)
		return ebt_fail(err, -r, "thread");
	*out = TAKE(u);
	return 0;
}

void unpack_stop(struct unpack *u)
{
	SCOPED_LOCK(&u->lock);

	__atomic_store_n(&u->ending, true, __ATOMIC_RELAXED);
	pthread_cond_broadcast(&u->changed);
}

void unpack_end(struct unpack *u)
{
	if (!u)
		return;
	if (u->running) {
		unpack_stop(u);
		pthread_join(u->thread, NULL);
	}
	unpack_links_release(&u->links);
	manifest_free(u->m);
	free(u->feed.extents);
	pthread_cond_destroy(&u->changed);
	pthread_mutex_destroy(&u->lock);
	free(u);
}

bool unpack_waits(const struct unpack *u)
{
	return __atomic_load_n(&u->doing, __ATOMIC_ACQUIRE) != WORKS;
}

bool unpack_over(const struct unpack *u)
{
	return __atomic_load_n(&u->doing, __ATOMIC_ACQUIRE) == OVER;
}

void unpack_hold(struct unpack *u, void (*turn)(void *arg), void *arg)
{
	SCOPED_LOCK(&u->lock);

	__atomic_store_n(&u->held, true, __ATOMIC_RELAXED);
	/* Nobody has asked for all of it by now: then nobody needs it. */
	if (u->doing == FEEDS && u->feed.given)
		set_doing(u, PAUSED);
	while (u->doing == WORKS) {
		wait_little(u);
		turn(arg);
	}
}

int unpack_take(struct unpack *u, struct manifest *to, struct source_feed **feed,
	struct ebt_err *err)
{
	struct unpack_brought b = {u->in->brought, u->in->brought_arg};
	SCOPED_MANIFEST struct manifest *found = TAKE(u->m);
	bool over;
	int r;

	*feed = NULL;
	{
		SCOPED_LOCK(&u->lock);
		over = u->doing == OVER;
		r = u->code;
		if (r < 0 && err)
			*err = u->err;
		if (u->doing == FEEDS) {
			u->feed.given = true;
			*feed = &u->feed.source;
		}
	}
	if (r == 0)
		r = manifest_new(&u->m, err);
	if (r == 0 && u->linked)
		r = unpack_links_resolve(&u->links, path_of(u), found, &b, err);
	if (r == 0 && u->linked)
		unpack_links_release(&u->links);
	if (r == 0)
		u->linked = false;
	if (r == 0)
		r = manifest_append(to, found, err);
	return r < 0 ? r : !over;
}

void unpack_go_on(struct unpack *u, struct ahead *ahead)
{
	SCOPED_LOCK(&u->lock);

	u->ahead = ahead;
	__atomic_store_n(&u->held, false, __ATOMIC_RELAXED);
	if (u->doing == FULL || u->doing == PAUSED)
		set_doing(u, WORKS);
	else
		pthread_cond_broadcast(&u->changed);
}
