/* SPDX-License-Identifier: BSD-3-Clause */
#include "files.h"

#include <fcntl.h>
#include <mpi.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fsio/fsio.h"

void must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	MPI_Abort(MPI_COMM_WORLD, 99);
}

void set_time(const char *path, long seconds)
{
	struct timespec t[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};

	must(utimensat(AT_FDCWD, path, t, AT_SYMLINK_NOFOLLOW) == 0, path);
}

void put(const char *dir, const char *name, const void *data, size_t len, uint64_t off,
	long seconds)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	must(fd >= 0 && fsio_write(fd, data, len, off) == 0 && close(fd) == 0, path);
	set_time(path, seconds);
}

void put_text(const char *dir, const char *name, const char *text, long seconds)
{
	put(dir, name, text, strlen(text), 0, seconds);
}

void put_dir(const char *dir, const char *name, mode_t mode)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	must(mkdir(path, 0755) == 0 && chmod(path, mode) == 0, path);
}

void put_link(const char *dir, const char *name, const char *target)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	must(symlink(target, path) == 0, path);
}
