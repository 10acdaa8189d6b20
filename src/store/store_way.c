/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way to a store, from the root to the directory. Each component is opened in the one
 * before, which has been looked at, and each link is read and walked here: so nobody can
 * exchange a part of the way behind our back, and what was looked at is what gets used. A
 * relative path counts from the root too, as whoever can rename the working directory can put
 * another store under its name.
 *
 *   /tmp      root's, sticky    each to his own
 *   /tmp/me   ours, 0700        from here on nobody else gets in
 *   /tmp/me/s                   the store
 *
 * Directories that are missing are made where the path itself names them, never where a link
 * does. They are remembered, and go again with store_way_unmake if they are empty by then.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "store/store_internal.h"

#define LINKS_MAX 40 /* on one way, as the kernel has it */

struct way {
	struct store_way *p;
	enum store_use use;
	char *rest;	/* what is left to walk, allocated */
	const char *at; /* in rest */
	size_t own;	/* bytes at its end that the path names itself, not a link */
	unsigned links; /* so far */
	unsigned depth; /* components of p->real */
	int closed;	/* the first depth at which others are kept out; -1: none */
	bool vanished;	/* what we stood in has no name any more */
	struct ebt_err *err;
};

static void way_release(struct way *w)
{
	scope_free(&w->rest);
}

static int fail(const struct way *w, int code, const char *what)
{
	char shown[320], there[320];

	text_name(w->p->path, shown, sizeof(shown));
	text_name(w->p->real, there, sizeof(there));
	if (strcmp(shown, there) == 0)
		return ebt_fail(w->err, code, "%s%s", what, shown);
	return ebt_fail(w->err, code, "%s: %s%s", shown, what, there);
}

/* p->real gets component @name, or loses its last one. */
static int name_below(struct way *w, const char *name, size_t len)
{
	size_t old = strcmp(w->p->real, "/") == 0 ? 0 : strlen(w->p->real);
	char *real = realloc(w->p->real, old + len + 2);

	if (!real)
		return fail(w, -ENOMEM, "");
	w->p->real = real;
	real[old] = '/';
	memcpy(real + old + 1, name, len);
	real[old + 1 + len] = '\0';
	w->depth++;
	return 0;
}

static void name_above(struct way *w)
{
	char *slash = strrchr(w->p->real, '/');

	slash[slash == w->p->real] = '\0';
	if (w->depth)
		w->depth--;
	if (w->closed > (int)w->depth)
		w->closed = -1;
}

/* Stands in directory @fd, which p->real names, if it may be part of the way. */
static int stand(struct way *w, int fd)
{
	enum store_danger danger;
	struct stat st;

	scope_close(&w->p->fd);
	w->p->fd = fd;
	if (w->use == STORE_READ)
		return 0;
	if (fstat(fd, &st) < 0)
		return fail(w, -errno, "");
	if (w->closed < 0 && store_closed(&st))
		w->closed = (int)w->depth;
	w->p->guard.closed = w->closed >= 0;
	danger = store_danger(&w->p->guard, fd, ".", &st);
	return danger ? store_refuse(w->p->path, w->p->real, danger, &st, w->err) : 0;
}

static int start(struct way *w)
{
	int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	strcpy(w->p->real, "/");
	w->depth = 0;
	w->closed = -1;
	return fd < 0 ? fail(w, -errno, "") : stand(w, fd);
}

/* Link @fd takes the place of the component that was @name. */
static int follow(struct way *w, int fd, const struct stat *st)
{
	char target[PATH_MAX], shown[320], there[320];
	size_t left = strlen(w->at);
	char *rest;
	ssize_t n;

	if (store_stranger(st->st_uid))
		return ebt_failx(w->err, -EPERM,
			"%s: %s is a link of another user's (%u)",
			text_name(w->p->path, shown, sizeof(shown)),
			strcmp(w->p->path, w->p->real) == 0
				? "it"
				: text_name(w->p->real, there, sizeof(there)),
			(unsigned)st->st_uid);
	n = readlinkat(fd, "", target, sizeof(target));
	if (n < 0 || n == sizeof(target))
		return fail(w, n < 0 ? -errno : -ENAMETOOLONG, "");
	if (++w->links > LINKS_MAX)
		return fail(w, -ELOOP, "");
	name_above(w);
	rest = malloc((size_t)n + left + 2);
	if (!rest)
		return fail(w, -ENOMEM, "");
	memcpy(rest, target, (size_t)n);
	rest[n] = '/';
	strcpy(rest + n + 1, w->at);
	if (w->own > left)
		w->own = left;
	free(w->rest);
	w->rest = rest;
	w->at = rest;
	return *rest == '/' ? start(w) : 0;
}

/* Directory @name, the component just passed, is made and remembered, or somebody was faster. */
static int make(struct way *w, const char *name)
{
	struct store_way *p = w->p;
	struct store_way_made *made;
	struct stat st;

	if (mkdirat(p->fd, name, 0700) < 0 ||
		fstatat(p->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		w->vanished = errno == ENOENT;
		return errno == EEXIST ? 0 : -errno;
	}
	made = realloc(p->made, (p->n_made + 1) * sizeof(*made));
	if (!made)
		return -ENOMEM;
	p->made = made;
	made[p->n_made++] =
		(struct store_way_made){.len = strlen(p->whole) - strlen(w->at),
			.dev = st.st_dev,
			.ino = st.st_ino};
	return 0;
}

/*
 * Component @name of p->fd, which may be a link. With O_DIRECTORY an automounter mounts what
 * belongs there, with O_PATH alone it does not, see open(2).
 */
static int open_one(struct way *w, const char *name)
{
	int fd = openat(w->p->fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		fd = openat(w->p->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* One component, at most NAME_MAX bytes; @own: not out of a link. */
static int step(struct way *w, const char *name, size_t len, bool own)
{
	SCOPED_FD int fd = -1;
	struct stat st;
	int r;

	if (strcmp(name, "..") == 0) {
		name_above(w);
		fd = openat(w->p->fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		return fd < 0 ? fail(w, -errno, "") : stand(w, TAKE_FD(fd));
	}
	r = name_below(w, name, len);
	if (r < 0)
		return r;
	fd = open_one(w, name);
	if (fd == -ENOENT && w->use == STORE_CREATE && own) {
		r = make(w, name);
		if (r < 0)
			return fail(w, r, "mkdir ");
		fd = open_one(w, name);
		w->vanished = fd == -ENOENT;
	}
	if (fd < 0 || fstat(fd, &st) < 0)
		return fail(w, fd < 0 ? fd : -errno, "");
	if (S_ISLNK(st.st_mode))
		return follow(w, fd, &st);
	if (!S_ISDIR(st.st_mode))
		return fail(w, -ENOTDIR, "");
	return stand(w, TAKE_FD(fd));
}

static int walk(struct way *w)
{
	char name[NAME_MAX + 1];
	int r = start(w);

	while (r == 0) {
		bool own;
		size_t len;

		w->at += strspn(w->at, "/");
		if (!*w->at)
			return 0;
		own = strlen(w->at) <= w->own;
		len = strcspn(w->at, "/");
		if (len > NAME_MAX)
			return fail(w, -ENAMETOOLONG, "");
		memcpy(name, w->at, len);
		name[len] = '\0';
		w->at += len;
		if (strcmp(name, ".") != 0)
			r = step(w, name, len, own);
	}
	return r;
}

static int absolute(const char *path, char **out, struct ebt_err *err)
{
	SCOPED_FREE char *cwd = *path == '/' ? NULL : getcwd(NULL, 0);
	char shown[320];

	if (!*path)
		return ebt_fail(err, -ENOENT, "a store has an empty name");
	if (*path != '/' && !cwd)
		return ebt_fail(err, -errno, "%s: working directory",
			text_name(path, shown, sizeof(shown)));
	if (asprintf(out, "%s%s%s", cwd ? cwd : "", cwd ? "/" : "", path) < 0) {
		*out = NULL;
		return ebt_fail(
			err, -ENOMEM, "%s", text_name(path, shown, sizeof(shown)));
	}
	return 0;
}

int store_way_open(
	struct store_way *p, const char *path, enum store_use use, struct ebt_err *err)
{
	SCOPED(way_release) struct way w = {.p = p, .use = use, .err = err};
	int r = 0;

	scope_close(&p->fd);
	p->fd = -1;
	p->path = path;
	if (!p->whole)
		r = absolute(path, &p->whole, err);
	if (r < 0)
		return r;
	free(p->real);
	p->real = strdup("/");
	w.rest = strdup(p->whole);
	if (!p->real || !w.rest)
		return ebt_fail(err, -ENOMEM, "path of a store");
	w.at = w.rest;
	w.own = strlen(w.rest);
	r = walk(&w);
	return r < 0 && w.vanished ? 1 : r;
}

/* The last of what was made: 0, or a negative errno if it is in use. */
static int unmake_one(const struct store_way *p, const struct store_way_made *made)
{
	SCOPED(store_way_release) struct store_way above = {.fd = -1};
	SCOPED_FREE char *whole = strndup(p->whole, made->len);
	char *name = whole ? strrchr(whole, '/') : NULL;
	struct stat st;

	if (!name)
		return -ENOMEM;
	*name++ = '\0';
	if (store_way_open(&above, *whole ? whole : "/", STORE_READ, NULL) != 0)
		return -ENOENT;
	if (fstatat(above.fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (st.st_dev != made->dev || st.st_ino != made->ino)
		return -ENOENT;
	return unlinkat(above.fd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

bool store_way_unmake(struct store_way *p)
{
	size_t before = p->n_made;
	int r = 0;

	while (p->n_made && (r == 0 || r == -ENOENT)) {
		r = unmake_one(p, &p->made[p->n_made - 1]);
		if (r == 0 || r == -ENOENT)
			p->n_made--;
	}
	return p->n_made < before;
}

void store_way_release(struct store_way *p)
{
	scope_close(&p->fd);
	scope_free(&p->whole);
	scope_free(&p->real);
	scope_free(&p->made);
}
