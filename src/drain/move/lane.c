/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lanes: what each thread that writes has for itself, its buffers and the directory that it has
 * open. That is the one that it used last, as the next file often lies there as well.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drain/move/move.h"

int move_lane_init(struct move_lane *l, struct move *m, struct ebt_err *err)
{
	*l = (struct move_lane){.m = m, .source = MOVE_SOURCE_INIT, .dirfd = -1};
	l->name = malloc(DRAIN_NAME_SIZE);
	if (!l->name)
		return ebt_fail(err, -ENOMEM, "names");
	for (int i = 0; i < MOVE_DEPTH; i++) {
		l->block[i] = malloc(m->block);
		if (!l->block[i])
			return ebt_fail(
				err, -ENOMEM, "buffers to write (see --memory)");
	}
	return 0;
}

void move_lane_release(struct move_lane *l)
{
	for (int i = 0; i < MOVE_DEPTH; i++)
		free(l->block[i]);
	move_source_close(&l->source);
	if (l->dirfd >= 0)
		close(l->dirfd);
	free(l->dir);
	free(l->name);
}

int move_dir(struct move_lane *l, const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;
	int fd;

	if (l->dirfd >= 0 && strlen(l->dir) == len && memcmp(l->dir, path, len) == 0)
		return l->dirfd;
	if (l->dirfd >= 0)
		close(l->dirfd);
	l->dirfd = -1;
	free(l->dir);
	l->dir = strndup(path, len);
	if (!l->dir)
		return -ENOMEM;
	fd = drain_open_made(l->m->d, l->dir, O_PATH | O_DIRECTORY);
	l->dirfd = fd;
	l->asked = l->counted = false;
	l->layout = 0;
	return fd;
}
