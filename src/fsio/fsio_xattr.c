/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Extended attributes as one packed string, so that two files compare with memcmp.
 * Almost no file has any: that answer costs one system call and no allocation.
 */
#include "fsio/fsio.h"

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/scope.h"

#define VALUE_MAX  65536 /* XATTR_SIZE_MAX */
#define LIST_SMALL 1024	 /* bytes tried before a buffer is allocated */
#define RETRIES	   8	 /* how often attributes may grow between asking and reading */

/* A file by descriptor or by path; the path of an O_PATH descriptor is under /proc. */
struct place {
	const char *path;
	int fd;
	bool follow;
};

/*
 * trusted.* by which file systems speak of themselves: copied, they would describe the
 * wrong file.
 */
static const char *const own_names[] = {"trusted.SGI_ACL_DEFAULT",
	"trusted.SGI_ACL_FILE", "trusted.dmv", "trusted.fid", "trusted.hsm",
	"trusted.link", "trusted.lma", "trusted.lmv", "trusted.lov", "trusted.projid",
	"trusted.som", "trusted.version"};
static const char *const own_prefixes[] = {
	"trusted.afr.", "trusted.gfid", "trusted.glusterfs.", "trusted.overlay."};

static bool starts(const char *name, const char *prefix)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

static bool is_acl(const char *name)
{
	return strcmp(name, "system.posix_acl_access") == 0 ||
	       strcmp(name, "system.posix_acl_default") == 0;
}

static bool travels(const char *name)
{
	if (starts(name, "user.") || is_acl(name) ||
		strcmp(name, "security.capability") == 0)
		return true;
	if (!starts(name, "trusted."))
		return false;
	for (size_t i = 0; i < sizeof(own_names) / sizeof(own_names[0]); i++)
		if (strcmp(name, own_names[i]) == 0)
			return false;
	for (size_t i = 0; i < sizeof(own_prefixes) / sizeof(own_prefixes[0]); i++)
		if (starts(name, own_prefixes[i]))
			return false;
	return true;
}

/* Everybody sees capabilities, only root can give them on. */
bool fsio_xattr_wanted(const char *name)
{
	return travels(name) && (name[0] == 'u' || is_acl(name) || geteuid() == 0);
}

static ssize_t do_list(const struct place *p, char *list, size_t size)
{
	ssize_t n = !p->path	? flistxattr(p->fd, list, size)
		    : p->follow ? listxattr(p->path, list, size)
				: llistxattr(p->path, list, size);

	return n < 0 ? -errno : n;
}

static ssize_t do_get(const struct place *p, const char *name, void *value, size_t size)
{
	ssize_t n = !p->path	? fgetxattr(p->fd, name, value, size)
		    : p->follow ? getxattr(p->path, name, value, size)
				: lgetxattr(p->path, name, value, size);

	return n < 0 ? -errno : n;
}

static bool is_none(ssize_t code)
{
	return code == -ENOTSUP || code == -EOPNOTSUPP || code == -ENODATA;
}

/*
 * The names in *list, which is @small or, if that does not suffice, allocated and owned
 * by *heap. Bytes, 0 for none, or a negative errno.
 */
static ssize_t list_names(
	const struct place *p, char small[LIST_SMALL], char **list, char **heap)
{
	ssize_t n = do_list(p, small, LIST_SMALL), need;

	*list = small;
	for (int i = 0; n == -ERANGE && i < RETRIES; i++) {
		need = do_list(p, NULL, 0);
		if (need < 0)
			return is_none(need) ? 0 : need;
		scope_free(heap);
		*heap = *list = malloc((size_t)need + 1);
		if (!*list)
			return -ENOMEM;
		n = do_list(p, *list, (size_t)need + 1);
	}
	return is_none(n) ? 0 : n;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Append one attribute; one that vanished since it was listed is left out. */
static int pack_one(const struct place *p, const char *name, struct buf *out)
{
	size_t start = out->len, len = strlen(name);
	ssize_t n = -ERANGE, room;
	void *value;

	for (int i = 0; n == -ERANGE && i < RETRIES; i++) {
		out->len = start;
		room = do_get(p, name, NULL, 0);
		if (room < 0)
			return is_none(room) ? 0 : (int)room;
		buf_put16(out, (uint16_t)len);
		buf_put32(out, 0);
		buf_put(out, name, len);
		value = buf_extend(out, (size_t)room + 1); /* size 0 would only ask */
		if (!value)
			return -ENOMEM;
		n = do_get(p, name, value, (size_t)room + 1);
	}
	if (n < 0) {
		out->len = start;
		return is_none(n) ? 0 : (int)n;
	}
	buf_patch32(out, start + 2, (uint32_t)n);
	out->len = start + 6 + len + (size_t)n;
	return 0;
}

static int pack_all(const struct place *p, struct buf *out)
{
	SCOPED_FREE char *heap = NULL;
	SCOPED_FREE char **names = NULL;
	char small[LIST_SMALL], *list, *name;
	size_t start = out->len, count = 0;
	ssize_t n = list_names(p, small, &list, &heap);
	int r;

	if (n <= 0)
		return (int)n;
	/* The shortest listed name and its NUL take more than two bytes. */
	names = malloc(((size_t)n / 2 + 1) * sizeof(*names));
	if (!names)
		return -ENOMEM;
	for (name = list; name < list + n; name += strlen(name) + 1)
		if (fsio_xattr_wanted(name))
			names[count++] = name;
	qsort(names, count, sizeof(*names), by_name);
	for (size_t i = 0; i < count; i++) {
		r = pack_one(p, names[i], out);
		if (r < 0) {
			out->len = start;
			return r;
		}
	}
	return 0;
}

int fsio_xattrs_get_at(const char *path, struct buf *out)
{
	return pack_all(&(struct place){.path = path}, out);
}

int fsio_xattrs_get_fd(int fd, struct buf *out)
{
	char proc[32];
	int r = pack_all(&(struct place){.fd = fd}, out);

	if (r != -EBADF)
		return r;
	/* O_PATH refuses flistxattr(2), not the way through /proc. */
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	return pack_all(&(struct place){.path = proc, .follow = true}, out);
}

/* Names come from a file or a network: only what we would have packed is taken. */
int fsio_xattrs_next(struct reader *r, struct fsio_xattr *x)
{
	uint16_t name_len;
	uint32_t value_len;
	const void *p;

	if (reader_left(r) == 0)
		return 0;
	name_len = reader_get16(r);
	value_len = reader_get32(r);
	p = reader_take(r, name_len);
	x->value = reader_take(r, value_len);
	x->len = value_len;
	if (r->failed || name_len == 0 || name_len >= sizeof(x->name) ||
		value_len > VALUE_MAX)
		return -EBADMSG;
	memcpy(x->name, p, name_len);
	x->name[name_len] = '\0';
	return strlen(x->name) == name_len && travels(x->name) ? 1 : -EBADMSG;
}

static bool is_packed(const void *packed, size_t len, const char *name)
{
	struct reader r = reader_of(packed, len);
	struct fsio_xattr x;

	while (fsio_xattrs_next(&r, &x) == 1)
		if (strcmp(x.name, name) == 0)
			return true;
	return false;
}

static int remove_others(int fd, const void *packed, size_t len, bool acls)
{
	SCOPED_FREE char *heap = NULL;
	char small[LIST_SMALL], *list, *name;
	ssize_t n = list_names(&(struct place){.fd = fd}, small, &list, &heap);

	if (n <= 0)
		return (int)n;
	for (name = list; name < list + n; name += strlen(name) + 1)
		if (fsio_xattr_wanted(name) && (acls || !is_acl(name)) &&
			!is_packed(packed, len, name) && fremovexattr(fd, name) < 0 &&
			!is_none(-errno))
			return -errno;
	return 0;
}

static int prepare(int fd, const void *packed, size_t len, enum fsio_others others)
{
	struct reader r = reader_of(packed, len);
	struct fsio_xattr x;
	int code;

	while ((code = fsio_xattrs_next(&r, &x)) == 1)
		;
	return code == 0 && others
		       ? remove_others(fd, packed, len, others == FSIO_OTHERS_REMOVE)
		       : code;
}

int fsio_xattrs_set(int fd, const void *packed, size_t len, enum fsio_others others)
{
	struct reader r = reader_of(packed, len);
	struct fsio_xattr x;
	int result = prepare(fd, packed, len, others);

	if (result < 0)
		return result;
	while (fsio_xattrs_next(&r, &x) == 1) {
		if (fsetxattr(fd, x.name, x.value, x.len, 0) == 0)
			continue;
		if (errno != EOPNOTSUPP)
			return -errno;
		result = -ENOTSUP; /* said at the end: the others are still wanted */
	}
	return result;
}

int fsio_xattrs_bring(int fd, const void *packed, size_t len, enum fsio_others others,
	void (*refused)(void *arg, const char *name, int code), void *arg)
{
	struct reader r = reader_of(packed, len);
	struct fsio_xattr x;
	int result = prepare(fd, packed, len, others);

	while (result == 0 && fsio_xattrs_next(&r, &x) == 1) {
		if (fsetxattr(fd, x.name, x.value, x.len, 0) < 0)
			refused(arg, x.name, -errno);
	}
	return result;
}
