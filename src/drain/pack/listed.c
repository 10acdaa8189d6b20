/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Indexes of archives, NAME.idx: written beside those that have their names, and read to find out
 * what an archive holds that is to be replaced.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "drain/pack/pack.h"
#include "fsio/fsio.h"

#define BLOCK	   (256u << 10) /* bytes read or written at a time */
#define FIRST_LINE 256		/* bytes that it has at most */
#define LINE	   64		/* bytes that one of a member has, or so */

/* Length of @path without @ending and a number behind it; 0: it does not end so. */
static size_t without(const char *path, const char *ending)
{
	size_t len = strlen(path), n = strlen(ending), end = len;

	while (end && path[end - 1] >= '0' && path[end - 1] <= '9')
		end--;
	if (end == len || !end || path[end - 1] != '.')
		end = len;
	else
		end--;
	return end > n && memcmp(path + end - n, ending, n) == 0 ? end - n : 0;
}

static bool has_member(const struct pack_owned *o, const char *path)
{
	return pack_is_key(o, pack_find(o, path), path) || pack_is_named(o, path);
}

/* Not 0: what is in the archive is not in this one. */
static int find(void *arg, const struct index_head *head, const struct index_member *m,
	struct ebt_err *err)
{
	const struct pack_owned *o = arg;
	size_t torn = without(m->path, DRAIN_TORN);
	SCOPED_FREE char *path = NULL;

	(void)head;
	(void)err;
	/* A directory is nothing to lose, and neither is what never was read. */
	if (m->type == INDEX_DIR || without(m->path, DRAIN_GAP))
		return 0;
	path = torn ? strndup(m->path, torn) : strdup(m->path);
	return path && has_member(o, path) ? 0 : 1;
}

struct count {
	const struct pack_owned *o;
	size_t n;
};

static int count(void *arg, const struct index_head *head, const struct index_member *m,
	struct ebt_err *err)
{
	struct count *c = arg;
	size_t i = pack_find(c->o, m->path);

	(void)head;
	(void)err;
	c->n += pack_is_key(c->o, i, m->path) && c->o->item[i].type == m->type;
	return 0;
}

static int feed_all(int fd, struct index_reader *r, struct ebt_err *err)
{
	SCOPED_FREE void *block = malloc(BLOCK);
	uint64_t at = 0;
	ssize_t n;
	int code = 0;

	if (!block)
		return ebt_fail(err, -ENOMEM, "index");
	while (code == 0 && (n = fsio_read(fd, block, BLOCK, at)) > 0) {
		code = index_feed(r, block, (size_t)n, err);
		at += (uint64_t)n;
	}
	if (code == 0 && n < 0)
		code = ebt_fail(err, (int)n, "index");
	return code == 0 ? index_finish(r, err) : code;
}

static int open_index(const struct drain *d, const char *path)
{
	SCOPED_FREE char *name = malloc(DRAIN_NAME_SIZE);

	if (!name)
		return -ENOMEM;
	if (snprintf(name, DRAIN_NAME_SIZE, "%s" PATTERN_INDEX, path) >=
		DRAIN_NAME_SIZE)
		return -ENAMETOOLONG;
	return fsio_open_beneath(
		d->dest.fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
}

/* It is of the archive that @st is of. */
static bool is_of(const struct index_head *h, const struct stat *st)
{
	const struct timespec t = {.tv_sec = h->mtime, .tv_nsec = h->mtime_ns};

	return h->size == (uint64_t)st->st_size && fsio_time_could_be(t, st->st_mtim);
}

int pack_look(const struct drain *d, const char *path, struct stat *st)
{
	SCOPED_FD int fd = fsio_open_beneath(d->dest.fd, path, O_PATH | O_NOFOLLOW);

	if (fd < 0)
		return fd;
	return fstat(fd, st) < 0 ? -errno : S_ISREG(st->st_mode) ? 0 : -EINVAL;
}

/* Goes through the index of the archive @path. */
static bool each_member(const struct drain *d, const char *path, index_fn fn, void *arg)
{
	SCOPED(index_reader_freep) struct index_reader *r = NULL;
	SCOPED_FD int fd = open_index(d, path);
	struct stat st;

	return fd >= 0 && pack_look(d, path, &st) == 0 &&
	       index_reader_new(fn, arg, &r, NULL) == 0 && feed_all(fd, r, NULL) == 0 &&
	       is_of(index_head(r), &st);
}

bool pack_keeps_all(const struct drain *d, const struct pack_owned *o, const char *path)
{
	return each_member(d, path, find, (void *)o);
}

bool pack_is_within(const struct drain *d, const struct pack_owned *o, const char *path)
{
	struct count c = {.o = o};

	return each_member(d, path, count, &c) && c.n == o->n;
}

/* What is under the name of the index of @o: 1, it is this one; 0, there is none, or an older one. */
static int is_listed(const struct drain *d, const char *path, const struct stat *st,
	struct ebt_err *err)
{
	SCOPED(index_reader_freep) struct index_reader *r = NULL;
	SCOPED_FD int fd = open_index(d, path);
	char line[FIRST_LINE], *end;
	struct ebt_err why = {0};
	ssize_t n;
	int code;

	if (fd == -ENOENT)
		return 0;
	n = fd < 0 ? fd : fsio_read(fd, line, sizeof(line), 0);
	code = n < 0 ? (int)n : index_reader_new(NULL, NULL, &r, &why);
	end = n > 0 ? memchr(line, '\n', (size_t)n) : NULL;
	if (code == 0 && end)
		code = index_feed(r, line, (size_t)(end + 1 - line), &why);
	if (code == 0 && end && index_head(r))
		return is_of(index_head(r), st);
	return ebt_failx(err, code < 0 ? code : -EEXIST,
		"%s" PATTERN_INDEX ": is there already, and no index of an archive",
		path);
}

struct writing {
	int fd;
	uint64_t at;
	struct buf b;
};

static int flush(struct writing *w, size_t most)
{
	int r = 0;

	if (!buf_ok(&w->b))
		return -ENOMEM;
	if (w->b.len > most) {
		r = fsio_write(w->fd, w->b.data, w->b.len, w->at);
		w->at += w->b.len;
		w->b.len = 0;
	}
	return r;
}

static const char *link_of(const struct pack_owned *o, const struct pack_item *m,
	const uint32_t *const *number)
{
	return m->type == INDEX_HARDLINK ? o->item[number[m->node][m->head]].path
					 : NULL;
}

/* Items by node and number: what hard links name. */
static uint32_t **number_items(const struct drain *d, const struct pack_owned *o)
{
	size_t nodes = (size_t)d->job.n_nodes, total = 0;
	uint32_t **number = calloc(nodes + 1, sizeof(*number)), *all;
	SCOPED_FREE uint32_t *count = calloc(nodes, sizeof(*count));

	all = calloc(o->n + 1, sizeof(*all));
	if (!number || !count || !all) {
		free(number);
		free(all);
		return NULL;
	}
	for (size_t i = 0; i < o->n; i++)
		count[o->item[i].node]++;
	for (size_t k = 0; k < nodes; k++) {
		number[k] = all + total;
		total += count[k];
	}
	for (size_t i = 0; i < o->n; i++)
		number[o->item[i].node][o->item[i].number] = (uint32_t)i;
	return number;
}

static int put_all(const struct drain *d, const struct pack_owned *o,
	const struct stat *st, struct writing *w, struct ebt_err *err)
{
	uint32_t **number = number_items(d, o);
	struct index_head head = {.size = (uint64_t)st->st_size,
		.unpacked = o->bytes,
		.mtime = st->st_mtim.tv_sec,
		.mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
		.members = o->n};
	int r = number ? index_put_head(&w->b, &head, err)
		       : ebt_fail(err, -ENOMEM, "index");

	for (size_t i = 0; i < o->n && r == 0; i++) {
		const struct pack_item *m = &o->item[i];
		struct index_member line = {.header = m->header,
			.data = m->header + m->room,
			.packed = m->packed,
			.size = m->size,
			.type = m->type,
			.path = m->path,
			.link = link_of(o, m, (const uint32_t *const *)number)};

		r = index_put(&w->b, &line, err);
		if (r == 0 && (r = flush(w, BLOCK)) < 0)
			ebt_fail(err, r, "write");
	}
	if (r == 0 && (r = flush(w, 0)) < 0)
		ebt_fail(err, r, "write");
	if (number)
		free(number[0]);
	free(number);
	return r;
}

/* An index that is complete but for its name. */
struct pack_draft {
	int fd, dir;
	char temp[96];
};

static void draft_free(struct pack_draft *f)
{
	if (f->fd >= 0)
		close(f->fd);
	if (f->dir >= 0)
		close(f->dir);
	free(f);
}

/*
 * A large one over many targets, in small stripes: all of them have their part of the archive to
 * write, and one that has all of the index as well would be the last.
 */
static int create(struct drain *d, int dir, const char *temp, uint64_t bytes)
{
	struct pfs_stripes wish = {.size = PLACE_STRIPE_UNIT};
	uint64_t count = bytes / PLACE_STRIPE_UNIT;
	int fd = -1;

	for (uint32_t i = 0; d->at.targets && !d->at.tiered && i < d->at.n_targets; i++)
		wish.count += d->at.pools[0].in[i] &&
			      pfs_target_usable(&d->at.targets->target[i]);
	if (wish.count > count)
		wish.count = (uint32_t)count;
	if (wish.count > 1) {
		wish.pool = d->at.pools[0].name;
		fd = pfs_create(d->dest.pfs, dir, temp, 0600, &wish, NULL, NULL, NULL);
	}
	if (fd >= 0)
		return fd;
	fd = openat(
		dir, temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

/* A temporary name beside @path: not like those of files, whose numbers it does not know. */
static int open_temp(struct drain *d, const struct pack_owned *o, const char *path,
	struct pack_draft *f)
{
	const char *slash = strrchr(path, '/');
	SCOPED_FREE char *above = strndup(path, slash ? (size_t)(slash - path) : 0);

	f->dir = above ? drain_open_made(d, above, O_PATH | O_DIRECTORY) : -ENOMEM;
	if (f->dir < 0)
		return f->dir;
	snprintf(f->temp, sizeof(f->temp), DRAIN_TEMPORARY "%s-%d-idx%u", d->id,
		d->job.node, o->archive);
	if (unlinkat(f->dir, f->temp, 0) < 0 && errno != ENOENT)
		return -errno;
	f->fd = create(d, f->dir, f->temp, (uint64_t)o->n * LINE);
	return f->fd < 0 ? f->fd : 0;
}

/* The index of @o, which is, or will be, at @path and look as @st says. NULL: @err. */
static struct pack_draft *draft(struct drain *d, const struct pack_owned *o,
	const char *path, const struct stat *st, struct ebt_err *err)
{
	struct pack_draft *f = calloc(1, sizeof(*f));
	struct writing w = {0};
	int r = 0;

	if (!f) {
		ebt_fail(err, -ENOMEM, "index");
		return NULL;
	}
	f->fd = f->dir = -1;
	r = open_temp(d, o, path, f);
	if (r < 0)
		ebt_fail(err, r, "%s" PATTERN_INDEX, path);
	w.fd = f->fd;
	if (r == 0)
		r = put_all(d, o, st, &w, err);
	buf_release(&w.b);
	if (r == 0 && fsync(f->fd) < 0)
		r = ebt_fail(err, -errno, "%s" PATTERN_INDEX, path);
	if (r == 0)
		return f;
	if (f->fd >= 0)
		unlinkat(f->dir, f->temp, 0);
	draft_free(f);
	return NULL;
}

static void *draft_all(void *drain)
{
	struct drain *d = drain;

	for (struct pack_owned *o = d->pack.owned; o; o = o->next) {
		struct stat st = {.st_size = (off_t)o->bytes, .st_mtim = o->mtime};

		/* How long a compressed one is nobody knows. What fails is tried again. */
		if (o->path && !patterns_archive(d->pack.patterns, o->archive)->zstd)
			o->draft = draft(d, o, o->path, &st, NULL);
	}
	return NULL;
}

void pack_draft(struct drain *d)
{
	d->pack.drafts = d->pack.owned &&
			 pthread_create(&d->pack.drafting, NULL, draft_all, d) == 0;
}

void pack_draft_end(struct drain *d)
{
	if (d->pack.drafts)
		pthread_join(d->pack.drafting, NULL);
	d->pack.drafts = false;
}

static void drop_draft(struct pack_owned *o)
{
	if (!o->draft)
		return;
	unlinkat(o->draft->dir, o->draft->temp, 0);
	draft_free(TAKE(o->draft));
}

void pack_drop_drafts(struct drain *d)
{
	for (struct pack_owned *o = d->pack.owned; o; o = o->next)
		drop_draft(o);
}

/* As the archive may be read, its index may. */
static int name_draft(
	const struct pack_draft *f, const char *base, const struct stat *st)
{
	if (fchmod(f->fd, st->st_mode & 0644) < 0)
		return -errno;
	/* As root for somebody: it is theirs. As somebody it may not be. */
	if (fchown(f->fd, st->st_uid, st->st_gid) < 0 && errno != EPERM)
		return -errno;
	return renameat(f->dir, f->temp, f->dir, base) < 0 ? -errno : 0;
}

/* It says what is: no member got another name, and the archive looks as it was to. */
static bool is_right(const struct pack_owned *o, const struct stat *st)
{
	const struct index_head h = {.size = o->bytes,
		.mtime = o->mtime.tv_sec,
		.mtime_ns = (uint32_t)o->mtime.tv_nsec};

	return o->draft && !o->mended && is_of(&h, st);
}

static int list(struct drain *d, struct pack_owned *o, struct ebt_err *err)
{
	SCOPED_FREE char *base = malloc(DRAIN_NAME_SIZE);
	struct stat st;
	int r = base ? pack_look(d, o->as, &st) : -ENOMEM;

	if (r == 0)
		r = is_listed(d, o->as, &st, err);
	else
		ebt_fail(err, r, "%s", o->as);
	/* By an earlier run, which may have left attributes behind: members were shorter. */
	if (r == 0 && (uint64_t)st.st_size != o->bytes &&
		!patterns_archive(d->pack.patterns, o->archive)->zstd)
		r = ebt_failx(
			err, -EBADMSG, "it is not of the size that it would have");
	if (r)
		return r < 0 ? r : 0;
	snprintf(base, DRAIN_NAME_SIZE, "%s" PATTERN_INDEX, text_base(o->as));
	if (!is_right(o, &st)) {
		drop_draft(o);
		o->draft = draft(d, o, o->as, &st, err);
	}
	if (!o->draft)
		return err ? err->code : -EIO;
	r = name_draft(o->draft, base, &st);
	if (r < 0)
		return ebt_fail(err, r, "%s" PATTERN_INDEX, o->as);
	draft_free(TAKE(o->draft));
	return 0;
}

int pack_list(void *drain, struct ebt_err *err)
{
	struct drain *d = drain;

	(void)err;
	for (struct pack_owned *o = d->pack.owned; o; o = o->next) {
		struct ebt_err why = {0};
		char root[DRAIN_PATH];

		if (!o->done && !o->in_place)
			continue;
		/* The archive is there: without an index it takes longer to find something in it. */
		if (list(d, o, &why) < 0)
			log_warn(&d->job.log, "%s: no index of %s: %s",
				drain_path(d, "", root), o->as, why.text);
	}
	return 0;
}
