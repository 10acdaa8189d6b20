/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * --done=FILE: a file that is there if, and only if, the run ended with status 0. A status
 * alone cannot prove that: a launcher that is hit by a signal before its ranks have reached
 * main may say 0 of a run that never began. So what an earlier run left goes before anything
 * else is done, and it is written when nothing is left that could fail. All by the first rank.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/scope.h"
#include "base/text.h"
#include "cmd/cmd.h"
#include "fsio/fsio.h"

static int holder = -1; /* the directory that FILE is in */

static int fail(const struct cmd_common *c, int code, const char *before,
	const char *after, struct ebt_err *err)
{
	char shown[512];

	return ebt_fail(err, code, "%s--done=%s%s", before,
		text_name(c->done, shown, sizeof(shown)), after);
}

/* What could not be made in the end is better said before hours of work. */
static int try_to_make(int dir, struct ebt_err *err)
{
	char id[33], name[48];
	int fd, r = fsio_random_id(id, err);

	if (r < 0)
		return r;
	snprintf(name, sizeof(name), ".%s.new", id);
	fd = openat(
		dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	close(fd);
	return unlinkat(dir, name, 0) < 0 ? -errno : 0;
}

int cmd_done_begin(const struct cmd_common *c, struct ebt_err *err)
{
	const char *base = text_base(c->done);
	SCOPED_FREE char *dir = strndup(c->done, (size_t)(base - c->done));
	SCOPED_FD int fd = -1;
	char shown[512];
	int r;

	if (!dir)
		return fail(c, -ENOMEM, "", "", err);
	if (fsio_cwd_gone(c->done))
		return ebt_failx(err, -ENOENT, "--done=%s: " FSIO_CWD_GONE,
			text_name(c->done, shown, sizeof(shown)));
	fd = open(*dir ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fail(c, -errno, "", ": its directory", err);
	if (unlinkat(fd, base, 0) < 0 && errno != ENOENT)
		return fail(c, -errno, "", ": to remove what an earlier run left", err);
	/* Nor may it come back after a crash. */
	if (fsync(fd) < 0 && errno != EINVAL)
		return fail(c, -errno, "", ": sync of its directory", err);
	r = try_to_make(fd, err);
	if (r < 0)
		return fail(c, r, "", ": to make a file there", err);
	holder = TAKE_FD(fd);
	return 0;
}

int cmd_done_end(const struct cmd_common *c, struct ebt_err *err)
{
	const struct cmd_outcome *o = &c->outcome;
	char text[512], counts[128] = "", at[32];
	time_t now = time(NULL);
	struct ebt_err why = {0};
	struct tm utc;
	int n, r;

	if (o->id[0])
		snprintf(counts, sizeof(counts),
			",\"id\":\"%s\",\"files\":%llu,\"bytes\":%llu", o->id,
			(unsigned long long)o->files, (unsigned long long)o->bytes);
	strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
	n = snprintf(text, sizeof(text),
		"{\"schema\":\"%s\",\"type\":\"done\",\"what\":\"%s\"%s,\"time\":\"%s"
		"\"}\n",
		cmd_program.schema, o->what, counts, at);
	r = fsio_save(holder, text_base(c->done), text, (size_t)n, &why);
	return r < 0 ? fail(c, r, "all is done, but not ", "", err) : 0;
}

int cmd_done_check(const struct cmd_common *c, const char *with, struct ebt_err *err)
{
	if (c->done && !*text_base(c->done))
		return ebt_failx(err, -EINVAL, "--done=%s names no file", c->done);
	if (c->done && with)
		return ebt_failx(
			err, -EINVAL, "--done and %s exclude each other", with);
	return 0;
}
