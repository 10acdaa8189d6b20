/* SPDX-License-Identifier: BSD-3-Clause */
/* What options of a run come to: values with their defaults, and what the user named. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "fsio/fsio.h"
#include "stage/roots.h"
#include "stage/stage_internal.h"
#include "stage/archives.h"

#define DOUBLE '=' /* in place of an enum archive_kind: named before */

unsigned stage_io_threads(const struct ebt_stage_options *o)
{
	if (o->io_threads > STREAM_THREADS)
		return STREAM_THREADS;
	return o->io_threads ? o->io_threads : EBT_STAGE_IO_THREADS;
}

unsigned stage_write_threads(const struct ebt_stage_options *o)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (o->write_threads)
		return o->write_threads > STREAM_THREADS ? STREAM_THREADS
							 : o->write_threads;
	return cpus < 1 ? 1 : cpus > 4 ? 4 : (unsigned)cpus;
}

unsigned stage_window(const struct ebt_stage_options *o)
{
	return o->window ? o->window : 1;
}

uint64_t stage_memory(const struct ebt_stage_options *o)
{
	return o->memory ? o->memory : EBT_STAGE_MEMORY;
}

uint64_t stage_floor(const struct ebt_stage_options *o, uint64_t size)
{
	double usual = EBT_STAGE_KEEP_FREE * (double)size;

	if (o->keep_free)
		return o->keep_free;
	if (o->keep_free_share < 0)
		return 0;
	if (o->keep_free_share > 0)
		return (uint64_t)(o->keep_free_share * (double)size);
	return usual < EBT_STAGE_KEEP_FREE_MOST ? (uint64_t)usual
						: EBT_STAGE_KEEP_FREE_MOST;
}

/* Is source @path to be unpacked? */
static bool is_archive(const struct filter *patterns, const char *path)
{
	while (*path == '/')
		path++;
	return patterns && filter_wants(patterns, path, false);
}

/* What --unpack says, as rules: the first that matches takes it. */
static int load_patterns(
	const struct ebt_stage_options *o, struct filter **out, struct ebt_err *err)
{
	SCOPED(filter_freep) struct filter *f = NULL;
	int r = filter_new(&f, err);

	for (size_t i = 0; i < o->n_unpack && r == 0; i++) {
		if (strcmp(o->unpack[i], "-") != 0)
			r = filter_add(
				f, true, *o->unpack[i] ? o->unpack[i] : "*", err);
	}
	if (r == 0)
		r = filter_add(f, false, "*", err);
	if (r == 0)
		*out = TAKE(f);
	return r;
}

/* An absolute path, so that every reader finds it, if it is a file. */
static int put_archive(
	const char *path, const char *cwd, struct buf *out, struct ebt_err *err)
{
	char name[512], whole[PATH_MAX];
	struct stat st;

	if (strlen(cwd) + 1 + strlen(path) >= PATH_MAX)
		return ebt_fail(
			err, -ENAMETOOLONG, "%s", text_name(path, name, sizeof(name)));
	buf_put8(out, stat(path, &st) == 0 && !S_ISREG(st.st_mode) ? ARCHIVE_PIPED
								   : ARCHIVE_FILE);
	snprintf(whole, sizeof(whole), "%s/%s", path[0] == '/' ? "" : cwd, path);
	roots_normalise(whole + 1, true);
	buf_put(out, whole, strlen(whole) + 1);
	return 0;
}

static int by_path(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;
	int c = strcmp(x + 1, y + 1);

	return c ? c : x < y ? -1 : x > y;
}

/* An archive that is named several times is unpacked where it is named first. */
static int drop_doubles(struct buf *archives)
{
	char *begin = (char *)archives->data, *end = begin + archives->len, *to = begin;
	SCOPED_FREE char **all = NULL;
	size_t n = 0, len;

	for (char *p = begin; p < end; p += strlen(p) + 1)
		n++;
	all = calloc(n + 1, sizeof(*all));
	if (!all)
		return -ENOMEM;
	n = 0;
	for (char *p = begin; p < end; p += strlen(p) + 1)
		all[n++] = p;
	qsort(all, n, sizeof(*all), by_path);
	for (size_t i = 1; i < n; i++) {
		if (strcmp(all[i] + 1, all[i - 1] + 1) == 0)
			all[i][0] = DOUBLE;
	}
	for (char *p = begin; p < end; p += len) {
		len = strlen(p) + 1;
		if (*p == DOUBLE)
			continue;
		memmove(to, p, len);
		to += len;
	}
	archives->len = (size_t)(to - begin);
	return 0;
}

int stage_roots(const struct ebt_stage_options *o, struct buf *out,
	struct buf *archives, struct ebt_err *err)
{
	SCOPED(filter_freep) struct filter *patterns = NULL;
	SCOPED_FREE char *cwd = getcwd(NULL, 0);
	SCOPED_FREE const char **roots = calloc(o->n_sources + 1, sizeof(*roots));
	int code = -errno, r = o->n_unpack ? load_patterns(o, &patterns, err) : 0;
	size_t n = 0;
	char name[512];

	if (!roots)
		return ebt_fail(err, -ENOMEM, "list of sources");
	for (size_t i = 0; i < o->n_sources && !cwd; i++) {
		text_name(o->sources[i], name, sizeof(name));
		if (fsio_cwd_gone(o->sources[i]))
			return ebt_failx(err, -ENOENT, "%s: " FSIO_CWD_GONE, name);
		if (o->sources[i][0] != '/')
			return ebt_fail(err, code, "%s: working directory", name);
	}
	for (size_t i = 0; i < o->n_unpack && r == 0; i++) {
		if (strcmp(o->unpack[i], "-") == 0)
			r = put_archive(UNPACK_STDIN, "", archives, err);
	}
	/* Without one nothing is relative to it. */
	for (size_t i = 0; i < o->n_sources && r == 0; i++) {
		if (is_archive(patterns, o->sources[i]))
			r = put_archive(o->sources[i], cwd ? cwd : "/", archives, err);
		else
			roots[n++] = o->sources[i];
	}
	if (r == 0 && (!buf_ok(archives) || drop_doubles(archives) < 0))
		r = ebt_fail(err, -ENOMEM, "list of sources");
	return r < 0 ? r
		     : roots_encode(roots, n, o->relative, cwd ? cwd : "/", out, err);
}
