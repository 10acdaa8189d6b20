/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The journal as a file. It is read once and then kept in memory together with what is
 * appended, some 100 bytes per file. A seal is not synced: it is for the next run on this node,
 * which finds it in the page cache however this process ended. If the node goes down, seals
 * may be lost, and what they were about is written once more.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal/journal_format.h"
#include "fsio/fsio.h"

#define NAME	   "drain"
#define ASIDE	   "drain.damaged"
#define ASIDE_MOST 99
/* Bytes; only keeps a huge hole from being read for ever. */
#define FILE_MAX   ((uint64_t)1 << 36)

struct journal {
	int dotfd;
	char *dest;
	struct journal_head head; /* id "": none */
	pthread_mutex_t lock;
	int fd;		  /* lock: for appending; -1 before the first */
	struct buf bytes; /* lock: what is proven, as it is in the file */
	bool torn;	  /* lock: the file may hold more than that */
	bool damaged;	  /* lock: and that is no torn end */
};

/* -EPERM and the like: what is there cannot be ours, so it is neither read nor replaced. */
static int open_own(int dotfd, int flags, struct stat *st, struct ebt_err *err)
{
	/* O_NONBLOCK: a planted FIFO must not hang us. */
	SCOPED_FD int fd =
		openat(dotfd, NAME, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0 && errno == ELOOP)
		return ebt_failx(err, -EPERM, "journal .ebt/" NAME " is a link");
	if (fd < 0 || fstat(fd, st) < 0)
		return ebt_fail(err, -errno, "journal .ebt/" NAME);
	if (!S_ISREG(st->st_mode))
		return ebt_failx(
			err, -EPERM, "journal .ebt/" NAME " is no regular file");
	if (st->st_uid != geteuid())
		return ebt_failx(err, -EPERM,
			"journal .ebt/" NAME " belongs to user %u, not to us",
			(unsigned)st->st_uid);
	return TAKE_FD(fd);
}

static int load(struct journal *j, struct ebt_err *err)
{
	struct stat st;
	SCOPED_FD int fd = open_own(j->dotfd, O_RDONLY, &st, err);
	ssize_t n;
	void *p;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	if ((uint64_t)st.st_size > FILE_MAX)
		return ebt_fail(err, -EFBIG, "journal .ebt/" NAME);
	p = buf_extend(&j->bytes, (size_t)st.st_size);
	if (!p)
		return ebt_fail(err, -ENOMEM, "journal .ebt/" NAME);
	n = fsio_read(fd, p, (size_t)st.st_size, 0);
	if (n < 0)
		return ebt_fail(err, (int)n, "journal .ebt/" NAME);
	j->bytes.len = (size_t)n;
	return 0;
}

static int keep_head(
	struct journal *j, const struct journal_head *h, struct ebt_err *err)
{
	char *dest = strdup(h->dest);

	if (!dest)
		return ebt_fail(err, -ENOMEM, "journal");
	free(j->dest);
	j->dest = dest;
	j->head = *h;
	j->head.dest = dest;
	return 0;
}

/* Forgets what is not proven. */
static int check(struct journal *j, struct ebt_err *err)
{
	SCOPED_JOURNAL_SCAN struct journal_scan s = {
		.data = j->bytes.data, .len = j->bytes.len};
	struct journal_record rec;
	int r;

	while ((r = journal_scan_next(&s, &rec, err)) > 0) {
		if (rec.kind == JOURNAL_HEAD)
			r = keep_head(j, &rec.head, err);
		else if (rec.kind == JOURNAL_END)
			j->head.finished = true;
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	j->torn = s.at < j->bytes.len;
	j->damaged = j->torn && !journal_scan_torn(&s);
	j->bytes.len = s.at;
	return 0;
}

int journal_open(int dotfd, struct journal **out, struct ebt_err *err)
{
	SCOPED(journal_closep) struct journal *j = calloc(1, sizeof(*j));
	int r;

	if (!j)
		return ebt_fail(err, -ENOMEM, "journal");
	pthread_mutex_init(&j->lock, NULL);
	j->fd = j->dotfd = -1;
	j->dotfd = fcntl(dotfd, F_DUPFD_CLOEXEC, 0);
	if (j->dotfd < 0)
		return ebt_fail(err, -errno, "journal");
	r = load(j, err);
	if (r == 0)
		r = check(j, err);
	if (r < 0)
		return r;
	*out = TAKE(j);
	return 0;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	scope_close(&j->fd);
	scope_close(&j->dotfd);
	pthread_mutex_destroy(&j->lock);
	buf_release(&j->bytes);
	free(j->dest);
	free(j);
}

bool journal_damaged(const struct journal *j)
{
	return j->damaged;
}

/* A name that nobody has yet, by @fn: link or rename. */
static int keep(int dotfd, int (*fn)(int dotfd, const char *to), struct ebt_err *err)
{
	char to[64] = ASIDE;
	int r = fn(dotfd, to);

	for (int i = 2; r == -EEXIST && i <= ASIDE_MOST; i++) {
		snprintf(to, sizeof(to), ASIDE ".%d", i);
		r = fn(dotfd, to);
	}
	return r < 0 ? ebt_fail(err, r, "journal .ebt/%s", to) : 0;
}

static int by_rename(int dotfd, const char *to)
{
	return fsio_rename_new(dotfd, NAME, dotfd, to);
}

static int by_link(int dotfd, const char *to)
{
	return linkat(dotfd, NAME, dotfd, to, 0) < 0 ? -errno : 0;
}

int journal_set_aside(int dotfd, struct ebt_err *err)
{
	return keep(dotfd, by_rename, err);
}

int journal_mend(struct journal *j, struct ebt_err *err)
{
	SCOPED_LOCK(&j->lock);
	int r = j->bytes.len ? keep(j->dotfd, by_link, err)
			     : journal_set_aside(j->dotfd, err);

	/* It has a name still, until the new one takes its place. */
	if (r == 0 && j->bytes.len)
		r = fsio_save(j->dotfd, NAME, j->bytes.data, j->bytes.len, err);
	if (r < 0)
		return r;
	scope_close(&j->fd);
	j->torn = j->damaged = false;
	return 0;
}

const struct journal_head *journal_head(const struct journal *j)
{
	return j->head.id[0] ? &j->head : NULL;
}

/* Whom records of one kind go to. */
struct taker {
	int (*seal)(void *arg, const struct journal_seal *s);
	int (*frames)(void *arg, const struct journal_frames *f);
	int (*packed)(void *arg, const struct journal_packed *p);
	int (*split)(void *arg, const char *path);
	void *arg;
};

static int give(const struct taker *t, const struct journal_record *rec)
{
	const char *path = rec->paths;
	int r = 0;

	if (journal_is_seal(rec) && t->seal)
		return t->seal(t->arg, &rec->seal);
	if (rec->kind == JOURNAL_FRAMES && t->frames)
		return t->frames(t->arg, &rec->frames);
	if (rec->kind == JOURNAL_PACKED && t->packed)
		return t->packed(t->arg, &rec->packed);
	if (rec->kind != JOURNAL_SPLIT || !t->split)
		return 0;
	for (uint32_t i = 0; i < rec->n_paths && r == 0; i++, path += strlen(path) + 1)
		r = t->split(t->arg, path);
	return r;
}

/* All records; stops at and returns the first non-zero. */
static int each(const struct journal *j, const struct taker *t)
{
	SCOPED_JOURNAL_SCAN struct journal_scan s = {
		.data = j->bytes.data, .len = j->bytes.len};
	struct journal_record rec;
	int r, code;

	while ((r = journal_scan_next(&s, &rec, NULL)) > 0) {
		code = give(t, &rec);
		if (code)
			return code;
	}
	return r;
}

int journal_each(const struct journal *j,
	int (*fn)(void *arg, const struct journal_seal *s), void *arg)
{
	return each(j, &(struct taker){.seal = fn, .arg = arg});
}

int journal_each_frames(const struct journal *j,
	int (*fn)(void *arg, const struct journal_frames *f), void *arg)
{
	return each(j, &(struct taker){.frames = fn, .arg = arg});
}

int journal_each_packed(const struct journal *j,
	int (*fn)(void *arg, const struct journal_packed *p), void *arg)
{
	return each(j, &(struct taker){.packed = fn, .arg = arg});
}

int journal_each_split(
	const struct journal *j, int (*fn)(void *arg, const char *path), void *arg)
{
	return each(j, &(struct taker){.split = fn, .arg = arg});
}

/* Seals, splits and what is packed, as they lie in the file, one after the other. */
static int copy_seals(const struct journal *j, struct buf *out, struct ebt_err *err)
{
	SCOPED_JOURNAL_SCAN struct journal_scan s = {
		.data = j->bytes.data, .len = j->bytes.len};
	struct journal_record rec;
	int r;

	while ((r = journal_scan_next(&s, &rec, err)) > 0) {
		/* Directories that a finished drain made are done with: see journal.h. */
		if (rec.kind == JOURNAL_SPLIT || rec.kind == JOURNAL_PACKED ||
			(journal_is_seal(&rec) &&
				(rec.seal.n_sources || !j->head.finished)))
			buf_put(out, j->bytes.data + rec.start, rec.end - rec.start);
	}
	return r;
}

static int open_for_append(struct journal *j, struct ebt_err *err)
{
	struct stat st;

	j->fd = open_own(j->dotfd, O_WRONLY | O_APPEND, &st, err);
	if (j->fd == -ENOENT)
		return ebt_fail(err, -ENOENT, "journal .ebt/" NAME);
	return j->fd < 0 ? j->fd : 0;
}

int journal_begin(struct journal *j, const char *id, const char *dest, bool atomic,
	bool keep, struct ebt_err *err)
{
	SCOPED_BUF struct buf b = {0};
	struct journal_head head = {
		.dest = dest, .atomic = atomic, .version = JOURNAL_VERSION};
	SCOPED_LOCK(&j->lock);
	int r = 0;

	if (strlen(id) != sizeof(head.id) - 1 ||
		strspn(id, "0123456789abcdef") != sizeof(head.id) - 1 || dest[0] != '/')
		return ebt_failx(
			err, -EINVAL, "journal of drain '%s' to '%s'", id, dest);
	memcpy(head.id, id, sizeof(head.id));
	journal_put_head(&b, id, dest, atomic);
	if (keep)
		r = copy_seals(j, &b, err);
	if (r == 0 && !buf_ok(&b))
		r = ebt_fail(err, -ENOMEM, "journal");
	if (r == 0)
		r = fsio_save(j->dotfd, NAME, b.data, b.len, err);
	if (r < 0)
		return r;
	scope_close(&j->fd);
	r = open_for_append(j, err);
	if (r < 0)
		return r;
	buf_release(&j->bytes);
	j->bytes = b;
	b = (struct buf){0};
	j->torn = false;
	return keep_head(j, &head, err);
}

/* One write of the whole record, and if it is cut short the file is cut where it was. */
static int write_record(struct journal *j, const struct buf *rec, struct ebt_err *err)
{
	off_t end = (off_t)j->bytes.len;
	ssize_t n;
	int r;

	if (j->fd < 0) {
		r = open_for_append(j, err);
		if (r < 0)
			return r;
	}
	if (j->torn && ftruncate(j->fd, end) < 0)
		return ebt_fail(err, -errno, "journal .ebt/" NAME);
	j->torn = false;
	do
		n = write(j->fd, rec->data, rec->len);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)rec->len)
		return 0;
	/* What was cut short met a limit, of the file system or of this user. */
	r = ebt_fail(err, n < 0 ? -errno : -ENOSPC, "journal .ebt/" NAME);
	j->torn = ftruncate(j->fd, end) < 0;
	return r;
}

static int append(
	struct journal *j, const struct buf *rec, bool ends, struct ebt_err *err)
{
	SCOPED_LOCK(&j->lock);
	size_t len = j->bytes.len;
	int r;

	if (!j->head.id[0] || j->head.finished)
		return ebt_failx(err, -EINVAL, "journal: no drain is under way");
	if (!buf_ok(rec) || !buf_extend(&j->bytes, rec->len)) {
		j->bytes.failed = false; /* and holds what it held */
		return ebt_fail(err, -ENOMEM, "journal");
	}
	j->bytes.len = len;
	r = write_record(j, rec, err);
	if (r < 0)
		return r;
	buf_put(&j->bytes, rec->data, rec->len);
	j->head.finished = ends;
	return 0;
}

int journal_add(struct journal *j, const struct buf *records, struct ebt_err *err)
{
	return append(j, records, false, err);
}

int journal_seal(struct journal *j, const struct journal_seal *s, struct ebt_err *err)
{
	SCOPED_BUF struct buf rec = {0};

	journal_put_seal(&rec, s);
	return append(j, &rec, false, err);
}

int journal_split(struct journal *j, const char *paths, uint32_t n, struct ebt_err *err)
{
	SCOPED_BUF struct buf rec = {0};

	journal_put_split(&rec, paths, n);
	return append(j, &rec, false, err);
}

int journal_finish(struct journal *j, struct ebt_err *err)
{
	SCOPED_BUF struct buf rec = {0};

	journal_put_end(&rec);
	return append(j, &rec, true, err);
}
