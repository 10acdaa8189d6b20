/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * unsteady DIRECTORY OFFSET MOUNTPOINT: shows DIRECTORY, to be read only, with OFFSET added to
 * the numbers of inodes. Mounted once for each rank it is a file system whose inode numbers
 * differ from node to node, and the number of one file is that of another elsewhere.
 */
#define FUSE_USE_VERSION 31

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

struct shown {
	const char *dir;
	unsigned long offset;
};

/* The path below the directory that is shown; of no other thread. */
static const char *real(const char *path, char out[PATH_MAX])
{
	const struct shown *s = fuse_get_context()->private_data;

	snprintf(out, PATH_MAX, "%s%s", s->dir, path);
	return out;
}

static int get_attributes(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	const struct shown *s = fuse_get_context()->private_data;
	char at[PATH_MAX];

	if (lstat(real(path, at), st) < 0)
		return -errno;
	st->st_ino += s->offset;
	return 0;
}

static int read_link(const char *path, char *to, size_t size)
{
	char at[PATH_MAX];
	ssize_t n = readlink(real(path, at), to, size - 1);

	if (n < 0)
		return -errno;
	to[n] = '\0';
	return 0;
}

static int list(const char *path, void *to, fuse_fill_dir_t fill, off_t off,
	struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
	char at[PATH_MAX];
	DIR *dir = opendir(real(path, at));
	struct dirent *d;

	if (!dir)
		return -errno;
	while ((d = readdir(dir)))
		fill(to, d->d_name, NULL, 0, 0);
	closedir(dir);
	return 0;
}

static int open_file(const char *path, struct fuse_file_info *fi)
{
	char at[PATH_MAX];
	int fd = open(real(path, at), O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	fi->fh = (uint64_t)fd;
	return 0;
}

static int read_file(
	const char *path, char *to, size_t len, off_t off, struct fuse_file_info *fi)
{
	ssize_t n = pread((int)fi->fh, to, len, off);

	return n < 0 ? -errno : (int)n;
}

static int close_file(const char *path, struct fuse_file_info *fi)
{
	close((int)fi->fh);
	return 0;
}

static void *start(struct fuse_conn_info *conn, struct fuse_config *config)
{
	config->use_ino = 1;
	return fuse_get_context()->private_data;
}

int main(int argc, char **argv)
{
	static const struct fuse_operations ops = {
		.init = start,
		.getattr = get_attributes,
		.readlink = read_link,
		.readdir = list,
		.open = open_file,
		.read = read_file,
		.release = close_file,
	};
	struct shown s;

	if (argc != 4) {
		fputs("usage: unsteady DIRECTORY OFFSET MOUNTPOINT\n", stderr);
		return 2;
	}
	s = (struct shown){.dir = argv[1], .offset = strtoul(argv[2], NULL, 10)};
	return fuse_main(2, ((char *[]){argv[0], argv[3], NULL}), &ops, &s);
}
