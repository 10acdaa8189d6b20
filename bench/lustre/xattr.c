/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Extended attributes. "lustre.lov" is the layout, as is "trusted.lov" for root; everything
 * else is kept with the empty file. What the kernel itself looks for (security.*, access
 * control lists) is not a request to the MDS.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/scope.h"
#include "emul.h"

#define LOV_NAME "lustre.lov"
#define LIST_MAX 65536 /* LOV_BYTES_MAX is less */

static bool is_lov(const char *name)
{
	return strcmp(name, LOV_NAME) == 0 || strcmp(name, EMUL_LOV_XATTR) == 0;
}

static bool is_foreign(const char *name)
{
	return strncmp(name, "lustre.", 7) == 0;
}

static bool is_kernels(const char *name)
{
	return strncmp(name, "security.", 9) == 0 || strncmp(name, "system.", 7) == 0;
}

/* Length of the layout in @bytes, or negative. */
static ssize_t print_layout(struct emul *e, struct inode *i, unsigned char *bytes)
{
	SCOPED_FREE struct lov_wish *w = malloc(sizeof(*w));

	if (!w)
		return -ENOMEM;
	if (S_ISDIR(i->type)) {
		place_default(e, i, w);
		return (ssize_t)lov_print_wish(w, bytes);
	}

	SCOPED_LOCK(&i->lock);

	if (!i->lov)
		return -ENODATA;
	return (ssize_t)lov_print(i->lov, e->sw.lov_v3, i->ino, bytes);
}

static void reply_bytes(fuse_req_t req, const void *bytes, ssize_t len, size_t room)
{
	if (len < 0)
		fuse_reply_err(req, (int)-len);
	else if (room == 0)
		fuse_reply_xattr(req, (size_t)len);
	else if ((size_t)len > room)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, bytes, (size_t)len);
}

static void get(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct client *c = client_of(req);
	struct inode *i = inode_of(c->e, ino);
	SCOPED_FREE unsigned char *bytes = malloc(LIST_MAX);
	char path[INODE_PATH];
	ssize_t len;

	if (!bytes) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	if (is_lov(name)) {
		md_want_layout(c, i);
		len = print_layout(c->e, i, bytes);
	} else if (is_foreign(name)) {
		len = -ENODATA;
	} else {
		if (!is_kernels(name))
			md_want_xattrs(c, i);
		len = getxattr(inode_path(i, path), name, bytes, LIST_MAX);
		if (len < 0)
			len = -errno;
	}
	reply_bytes(req, bytes, len, size);
}

static int set_default(struct emul *e, struct inode *dir, const struct lov_wish *w)
{
	unsigned char bytes[LOV_WISH_MAX];
	size_t len = lov_print_wish(w, bytes);
	char path[INODE_PATH];
	int r = place_check(e, w);

	if (r < 0 || w->n_ost)
		return -EINVAL;
	return setxattr(inode_path(dir, path), EMUL_LOV_XATTR, bytes, len, 0) < 0
		       ? -errno
		       : 0;
}

static int set_layout(struct client *c, struct inode *i, const void *value, size_t size)
{
	SCOPED_FREE struct lov_wish *w = malloc(sizeof(*w));
	int refuse = c->e->sw.refuse, r;

	if (!w)
		return -ENOMEM;
	r = lov_parse_wish(value, size, w);
	if (r < 0)
		return r;
	if (refuse == REFUSE_NOTHING_DONE)
		return 0;
	if (S_ISDIR(i->type))
		return refuse ? 0 : set_default(c->e, i, w);
	if (!S_ISREG(i->type))
		return -EOPNOTSUPP;
	if (refuse)
		place_default(c->e, &c->e->inodes.root, w);
	r = place_objects(c->e, i, w);
	if (r == 0)
		md_changed(c, i);
	return r;
}

static void set(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
	size_t size, int flags)
{
	struct client *c = client_of(req);
	struct inode *i = inode_of(c->e, ino);
	char path[INODE_PATH];
	int r = 0;

	if (is_lov(name)) {
		md_request(c, MDS_LAYOUT);
		r = set_layout(c, i, value, size);
	} else if (is_foreign(name)) {
		r = -EOPNOTSUPP;
	} else {
		md_request(c, MDS_SETXATTR);
		if (setxattr(inode_path(i, path), name, value, size, flags) < 0)
			r = -errno;
		md_changed(c, i);
	}
	fuse_reply_err(req, -r);
}

/* trusted.lov stays out of it: a program that copies it would fight with the layout. */
static ssize_t list_names(struct emul *e, struct inode *i, char *names)
{
	SCOPED_FREE char *all = malloc(LIST_MAX);
	char path[INODE_PATH];
	ssize_t len, n = 0;

	if (!all)
		return -ENOMEM;
	len = listxattr(inode_path(i, path), all, LIST_MAX);
	if (len < 0)
		return -errno;
	for (const char *p = all; p < all + len; p += strlen(p) + 1) {
		if (strcmp(p, EMUL_LOV_XATTR) == 0)
			continue;
		memcpy(names + n, p, strlen(p) + 1);
		n += (ssize_t)strlen(p) + 1;
	}
	if (e->sw.list_lov && i->lov) {
		memcpy(names + n, LOV_NAME, sizeof(LOV_NAME));
		n += (ssize_t)sizeof(LOV_NAME);
	}
	return n;
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct client *c = client_of(req);
	struct inode *i = inode_of(c->e, ino);
	SCOPED_FREE char *names = malloc(LIST_MAX + sizeof(LOV_NAME));

	if (!names) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	md_want_xattrs(c, i);
	reply_bytes(req, names, list_names(c->e, i, names), size);
}

static void discard(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct client *c = client_of(req);
	struct inode *i = inode_of(c->e, ino);
	char path[INODE_PATH];
	int r = 0;

	md_request(c, MDS_SETXATTR);
	if (is_lov(name) && !S_ISDIR(i->type))
		; /* a file keeps its layout, and says nothing */
	else if (is_foreign(name) && !is_lov(name))
		r = -EOPNOTSUPP;
	else if (removexattr(
			 inode_path(i, path), is_lov(name) ? EMUL_LOV_XATTR : name) < 0)
		r = -errno;
	md_changed(c, i);
	fuse_reply_err(req, -r);
}

void xattr_ops(struct fuse_lowlevel_ops *ops)
{
	ops->getxattr = get;
	ops->setxattr = set;
	ops->listxattr = list;
	ops->removexattr = discard;
}
