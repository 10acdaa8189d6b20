/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names and attributes. The kernel may not keep any of them: every look at a path comes
 * here, so that all clients see the same at once, and cache.c decides what of it the client
 * would have asked the MDS. Names that do not exist are told for nothing: a real client asks
 * once, with the open or rename, where the kernel here looks up first.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/scope.h"
#include "emul.h"

#define PAGE_OF_NAMES 1000 /* directory entries one request brings */

/*
 * How long a kernel may use attributes. A tick for directories spares one call per
 * component of every path; a name is looked up each time and brings them along.
 */
#define DIR_TIMEOUT 1e-9

struct listing {
	DIR *dir;
	struct dirent *ahead; /* read, not yet delivered */
	off_t at;
	unsigned long count;
};

static double timeout_of(mode_t mode)
{
	return S_ISDIR(mode) ? DIR_TIMEOUT : 0;
}

int ns_entry(struct client *c, struct inode *i, struct fuse_entry_param *out)
{
	int r;

	*out = (struct fuse_entry_param){.ino = (fuse_ino_t)(uintptr_t)i};
	r = inode_stat(c->e, i, &out->attr);
	out->attr_timeout = timeout_of(out->attr.st_mode);
	return r;
}

/* With the reference of inode_lookup, whose count for the kernel goes if it fails. */
static void reply_entry(fuse_req_t req, struct inode *i)
{
	struct client *c = client_of(req);
	struct fuse_entry_param entry;
	int r = ns_entry(c, i, &entry);

	if (r < 0 ? fuse_reply_err(req, -r), true : fuse_reply_entry(req, &entry) < 0)
		inode_forget(c->e, i, 1);
	inode_unref(c->e, i);
}

static void reply(fuse_req_t req, int r)
{
	fuse_reply_err(req, r < 0 ? -r : 0);
}

static void ns_init(void *data, struct fuse_conn_info *conn)
{
	conn->want &= ~(unsigned)(FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO |
				  FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
				  FUSE_CAP_SPLICE_MOVE | FUSE_CAP_WRITEBACK_CACHE |
				  FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_HANDLE_KILLPRIV);
	conn->want |=
		conn->capable & (FUSE_CAP_ASYNC_DIO | FUSE_CAP_ASYNC_READ |
					FUSE_CAP_DONT_MASK | FUSE_CAP_PARALLEL_DIROPS |
					FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_POSIX_ACL);
	conn->max_write = EMUL_MAX_IO;
	conn->max_background = 64;
	conn->congestion_threshold = 64;
}

static void ns_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct client *c = client_of(req);
	struct inode *i;
	int r = inode_lookup(c->e, inode_of(c->e, parent), name, true, &i);

	if (r < 0) {
		reply(req, r);
		return;
	}
	md_want(c, i, MDS_LOOKUP);
	reply_entry(req, i);
}

static void ns_forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups)
{
	struct emul *e = client_of(req)->e;

	inode_forget(e, inode_of(e, ino), lookups);
	fuse_reply_none(req);
}

static void ns_forget_multi(fuse_req_t req, size_t n, struct fuse_forget_data *f)
{
	struct emul *e = client_of(req)->e;

	for (size_t k = 0; k < n; k++)
		inode_forget(e, inode_of(e, f[k].ino), f[k].nlookup);
	fuse_reply_none(req);
}

static void ns_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct client *c = client_of(req);
	struct inode *i = inode_of(c->e, ino);
	struct stat st;
	int r;

	if (i != &c->e->inodes.root)
		md_want(c, i, MDS_GETATTR);
	r = inode_stat(c->e, i, &st);
	if (r < 0)
		reply(req, r);
	else
		fuse_reply_attr(req, &st, timeout_of(st.st_mode));
}

static int set_times(struct inode *i, const struct stat *attr, int what)
{
	struct timespec now, t[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};
	char path[INODE_PATH];

	clock_gettime(CLOCK_REALTIME, &now);
	if (what & FUSE_SET_ATTR_ATIME)
		t[0] = what & FUSE_SET_ATTR_ATIME_NOW ? now : attr->st_atim;
	if (what & FUSE_SET_ATTR_MTIME)
		t[1] = what & FUSE_SET_ATTR_MTIME_NOW ? now : attr->st_mtim;

	SCOPED_LOCK(&i->lock);

	if (utimensat(AT_FDCWD, inode_path(i, path), t, 0) < 0)
		return -errno;
	if (what & FUSE_SET_ATTR_MTIME)
		i->touched = false;
	return 0;
}

static int set_attributes(
	struct client *c, struct inode *i, const struct stat *attr, int what)
{
	char path[INODE_PATH];
	int r = 0;

	inode_path(i, path);
	if (what & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID) &&
		fchownat(i->fd, "", what & FUSE_SET_ATTR_UID ? attr->st_uid : (uid_t)-1,
			what & FUSE_SET_ATTR_GID ? attr->st_gid : (gid_t)-1,
			AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (what & FUSE_SET_ATTR_MODE && chmod(path, attr->st_mode & 07777) < 0)
		return -errno;
	if (what & FUSE_SET_ATTR_SIZE)
		r = file_truncate(c, i, (uint64_t)attr->st_size);
	if (r == 0 && what & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME))
		r = set_times(i, attr, what);
	return r;
}

static void ns_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int what,
	struct fuse_file_info *fi)
{
	struct client *c = client_of(req);
	struct inode *i = inode_of(c->e, ino);
	struct stat st;
	int r;

	md_request(c, MDS_SETATTR);
	r = set_attributes(c, i, attr, what);
	md_changed(c, i);
	if (r == 0)
		r = inode_stat(c->e, i, &st);
	if (r < 0)
		reply(req, r);
	else
		fuse_reply_attr(req, &st, timeout_of(st.st_mode));
}

static void ns_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct client *c = client_of(req);
	char target[4097];
	ssize_t n;

	md_request(c, MDS_READLINK);
	n = readlinkat(inode_of(c->e, ino)->fd, "", target, sizeof(target) - 1);
	if (n < 0) {
		reply(req, -errno);
		return;
	}
	target[n] = '\0';
	fuse_reply_readlink(req, target);
}

mode_t ns_mode(fuse_req_t req, struct inode *dir, mode_t mode)
{
	char path[INODE_PATH];

	if (getxattr(inode_path(dir, path), "system.posix_acl_default", NULL, 0) > 0)
		return mode;
	return mode & ~fuse_req_ctx(req)->umask;
}

int ns_give(fuse_req_t req, struct inode *dir, const char *name, mode_t mode)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct stat st;

	if (fstat(dir->fd, &st) < 0)
		return -errno;
	/* Under a set-group-ID directory the group is that of the directory already. */
	if (fchownat(dir->fd, name, ctx->uid,
		    st.st_mode & S_ISGID ? (gid_t)-1 : ctx->gid,
		    AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (mode & (S_ISUID | S_ISGID) && fchmodat(dir->fd, name, mode & 07777, 0) < 0)
		return -errno;
	return 0;
}

/* What was made just now. */
static void reply_made(fuse_req_t req, struct inode *dir, const char *name, int r)
{
	struct client *c = client_of(req);
	struct inode *i;

	if (r == 0)
		r = inode_lookup(c->e, dir, name, true, &i);
	if (r < 0) {
		reply(req, r);
		return;
	}
	md_made(c, i);
	reply_entry(req, i);
}

static void ns_mknod(
	fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t dev)
{
	struct client *c = client_of(req);
	struct inode *dir = inode_of(c->e, parent);
	int r;

	md_request(c, MDS_MKNOD);
	mode = ns_mode(req, dir, mode);
	r = mknodat(dir->fd, name, mode, dev) < 0 ? -errno
						  : ns_give(req, dir, name, mode);
	reply_made(req, dir, name, r);
}

/* A directory starts with the default layout of its parent. */
static void inherit_layout(struct inode *dir, const char *name)
{
	unsigned char bytes[LOV_WISH_MAX];
	char path[INODE_PATH], child[32];
	ssize_t len =
		getxattr(inode_path(dir, path), EMUL_LOV_XATTR, bytes, sizeof(bytes));
	SCOPED_FD int fd = -1;

	if (len < 0)
		return;
	fd = openat(dir->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	snprintf(child, sizeof(child), "/proc/self/fd/%d", fd);
	setxattr(child, EMUL_LOV_XATTR, bytes, (size_t)len, 0);
}

static void ns_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct client *c = client_of(req);
	struct inode *dir = inode_of(c->e, parent);
	int r;

	md_request(c, MDS_MKDIR);
	mode = ns_mode(req, dir, mode);
	r = mkdirat(dir->fd, name, mode) < 0
		    ? -errno
		    : ns_give(req, dir, name, mode & ~(mode_t)(S_ISUID | S_ISGID));
	if (r == 0)
		inherit_layout(dir, name);
	reply_made(req, dir, name, r);
}

static void ns_symlink(
	fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct client *c = client_of(req);
	struct inode *dir = inode_of(c->e, parent);
	int r;

	md_request(c, MDS_SYMLINK);
	r = symlinkat(target, dir->fd, name) < 0 ? -errno : ns_give(req, dir, name, 0);
	reply_made(req, dir, name, r);
}

static void ns_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	struct client *c = client_of(req);
	struct inode *dir = inode_of(c->e, parent), *i = inode_of(c->e, ino);
	int r;

	md_request(c, MDS_LINK);
	/* Not by the path in /proc, which would follow a symbolic link's own target. */
	r = linkat(i->fd, "", dir->fd, name, AT_EMPTY_PATH) < 0 ? -errno : 0;
	if (r == 0)
		md_changed(c, i);
	reply_made(req, dir, name, r);
}

static void ns_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct client *c = client_of(req);
	struct inode *dir = inode_of(c->e, parent), *i = NULL;
	int r;

	md_request(c, MDS_UNLINK);
	r = inode_lookup(c->e, dir, name, false, &i);
	if (r == 0 && unlinkat(dir->fd, name, 0) < 0)
		r = -errno;
	if (i && r == 0) {
		md_changed(c, i);
		inode_name_gone(i);
	}
	reply(req, r);
	if (i)
		inode_unref(c->e, i);
}

static void ns_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct client *c = client_of(req);

	md_request(c, MDS_RMDIR);
	reply(req, unlinkat(inode_of(c->e, parent)->fd, name, AT_REMOVEDIR) < 0 ? -errno
										: 0);
}

static void ns_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
	fuse_ino_t new_parent, const char *new_name, unsigned flags)
{
	struct client *c = client_of(req);
	struct inode *from = inode_of(c->e, parent), *to = inode_of(c->e, new_parent);
	struct inode *moved = NULL, *replaced = NULL;
	int r;

	if (flags && !c->e->sw.rename_flags) {
		reply(req, -EINVAL);
		return;
	}
	md_request(c, MDS_RENAME);
	r = inode_lookup(c->e, from, name, false, &moved);
	if (r == 0)
		inode_lookup(c->e, to, new_name, false, &replaced);
	if (r == 0 &&
		syscall(SYS_renameat2, from->fd, name, to->fd, new_name, flags) < 0)
		r = -errno;
	if (r == 0)
		md_changed(c, moved);
	if (r == 0 && replaced) {
		md_changed(c, replaced);
		inode_name_gone(replaced);
	}
	reply(req, r);
	if (moved)
		inode_unref(c->e, moved);
	if (replaced)
		inode_unref(c->e, replaced);
}

static void ns_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct client *c = client_of(req);
	struct listing *l = calloc(1, sizeof(*l));
	SCOPED_FD int fd = openat(
		inode_of(c->e, ino)->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (l && fd >= 0)
		l->dir = fdopendir(fd);
	if (!l || !l->dir) {
		reply(req, l ? -errno : -ENOMEM);
		free(l);
		return;
	}
	fd = -1;
	fi->fh = (uint64_t)(uintptr_t)l;
	if (fuse_reply_open(req, fi) < 0) {
		closedir(l->dir);
		free(l);
	}
}

static void ns_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t at,
	struct fuse_file_info *fi)
{
	struct client *c = client_of(req);
	struct listing *l = (struct listing *)(uintptr_t)fi->fh;
	SCOPED_FREE char *page = malloc(size);
	size_t used = 0, n;

	if (!page) {
		reply(req, -ENOMEM);
		return;
	}
	if (at != l->at) {
		seekdir(l->dir, at);
		l->ahead = NULL;
		l->at = at;
	}
	if (at == 0)
		l->count = 0;
	for (;;) {
		struct stat st = {0};

		if (l->count % PAGE_OF_NAMES == 0) {
			md_request(c, MDS_READDIR);
			l->count++;
		}
		errno = 0;
		if (!l->ahead)
			l->ahead = readdir(l->dir);
		if (!l->ahead)
			break;
		st.st_ino = l->ahead->d_ino;
		st.st_mode = (mode_t)l->ahead->d_type << 12;
		n = fuse_add_direntry(req, page + used, size - used, l->ahead->d_name,
			&st, l->ahead->d_off);
		if (n > size - used)
			break;
		used += n;
		l->at = l->ahead->d_off;
		l->ahead = NULL;
		l->count++;
	}
	if (!used && errno)
		reply(req, -errno);
	else
		fuse_reply_buf(req, page, used);
}

static void ns_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct listing *l = (struct listing *)(uintptr_t)fi->fh;

	closedir(l->dir);
	free(l);
	reply(req, 0);
}

static void ns_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct emul *e = client_of(req)->e;
	struct statvfs v = {.f_bsize = 4096, .f_frsize = 4096, .f_namemax = 255};

	for (unsigned k = 0; k < e->n_osts; k++) {
		struct ost *o = &e->osts[k];
		uint64_t available;

		if (o->faults & OST_INACTIVE)
			continue;
		available = ost_available(o);
		v.f_blocks += o->capacity / 4096;
		v.f_bavail += available / 4096;
		v.f_bfree += available / 4096;
		v.f_ffree += available / 4096;
	}
	v.f_favail = v.f_ffree;
	v.f_files = v.f_ffree + e->inodes.count;
	fuse_reply_statfs(req, &v);
}

void ns_ops(struct fuse_lowlevel_ops *ops)
{
	ops->init = ns_init;
	ops->lookup = ns_lookup;
	ops->forget = ns_forget;
	ops->forget_multi = ns_forget_multi;
	ops->getattr = ns_getattr;
	ops->setattr = ns_setattr;
	ops->readlink = ns_readlink;
	ops->mknod = ns_mknod;
	ops->mkdir = ns_mkdir;
	ops->symlink = ns_symlink;
	ops->link = ns_link;
	ops->unlink = ns_unlink;
	ops->rmdir = ns_rmdir;
	ops->rename = ns_rename;
	ops->opendir = ns_opendir;
	ops->readdir = ns_readdir;
	ops->releasedir = ns_releasedir;
	ops->statfs = ns_statfs;
}
