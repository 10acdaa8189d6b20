/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Attributes come in any order and some of them twice; they leave sorted, each once, the last one
 * of a name. ACLs come as text or by their entries, and leave as the attribute by which the kernel
 * takes them: version 2, then entries of tag, permissions and ID, all little-endian.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "archive/unarchive_internal.h"

#define VALUE_MAX    65536 /* bytes, as the kernel has it */
#define ACCESS_NAME  "system.posix_acl_access"
#define DEFAULT_NAME "system.posix_acl_default"
#define ACL_VERSION  2
#define ACL_ENTRY    8 /* bytes */
#define ACL_NOBODY   UINT32_MAX
#define ACL_MOST     8191 /* entries that fit into a value */
#define LOOKUP_BYTES (1u << 20)
#define LOOKUP_FIRST 4096

/* As the kernel numbers them. */
enum acl_tag {
	ACL_USER_OBJ = 1,
	ACL_USER = 2,
	ACL_GROUP_OBJ = 4,
	ACL_GROUP = 8,
	ACL_MASK = 16,
	ACL_OTHER = 32,
};

struct acl_entry {
	uint32_t tag, perm, id;
};

struct attr {
	size_t name, name_len, value, len; /* where in bytes */
	size_t order;
};

void attrs_release(struct attrs *a)
{
	buf_release(&a->list);
	buf_release(&a->bytes);
	buf_release(&a->packed);
}

void attrs_clear(struct attrs *a)
{
	a->list.len = a->bytes.len = a->packed.len = 0;
	a->flaw = NULL;
	a->flaw_name[0] = '\0';
}

static int flawed(struct attrs *a, const char *name, const char *flaw)
{
	a->flaw = flaw;
	snprintf(a->flaw_name, sizeof(a->flaw_name), "%s", name);
	return -EINVAL;
}

static int put(struct attrs *a, const char *name, const void *value, size_t len)
{
	struct attr x = {.name = a->bytes.len,
		.name_len = strlen(name),
		.value = a->bytes.len + strlen(name) + 1,
		.len = len,
		.order = a->list.len / sizeof(struct attr)};

	if (len > VALUE_MAX)
		return flawed(a, name, "an extended attribute of more than 64 KiB");
	buf_put(&a->bytes, name, x.name_len + 1);
	buf_put(&a->bytes, value, len);
	buf_put(&a->list, &x, sizeof(x));
	return buf_ok(&a->bytes) && buf_ok(&a->list) ? 0 : -ENOMEM;
}

/* An ACL as a file system has it, which GNU tar can be told to take for an attribute. */
static bool is_acl_value(const unsigned char *p, size_t len)
{
	return len >= 4 + 3 * ACL_ENTRY && (len - 4) % ACL_ENTRY == 0 &&
	       p[0] == ACL_VERSION && !p[1] && !p[2] && !p[3];
}

int attrs_put(
	void *attrs, const char *name, size_t name_len, const void *value, size_t len)
{
	struct attrs *a = attrs;
	char copy[FSIO_XATTR_NAME];

	/* The file system that such a name came from was no Linux one, or it is made up. */
	if (name_len == 0 || name_len >= sizeof(copy) || memchr(name, '\0', name_len))
		return flawed(a, "", "an extended attribute with an impossible name");
	memcpy(copy, name, name_len);
	copy[name_len] = '\0';
	if (!fsio_xattr_wanted(copy))
		return 0;
	if (strncmp(copy, "system.", 7) == 0 && !is_acl_value(value, len))
		return flawed(a, copy, "an ACL that is damaged");
	return put(a, copy, value, len);
}

static int by_name(const void *x, const void *y, void *arg)
{
	const struct attr *a = x, *b = y;
	const struct buf *bytes = arg;
	int c = strcmp((const char *)bytes->data + a->name,
		(const char *)bytes->data + b->name);

	return c ? c : (a->order > b->order) - (a->order < b->order);
}

int attrs_pack(struct attrs *a)
{
	struct attr *list = (struct attr *)a->list.data;
	size_t n = a->list.len / sizeof(*list);
	const char *bytes = (const char *)a->bytes.data;

	a->packed.len = 0;
	if (n == 0)
		return 0;
	qsort_r(list, n, sizeof(*list), by_name, &a->bytes);
	for (size_t i = 0; i < n; i++) {
		if (i + 1 < n &&
			strcmp(bytes + list[i].name, bytes + list[i + 1].name) == 0)
			continue;
		buf_put16(&a->packed, (uint16_t)list[i].name_len);
		buf_put32(&a->packed, (uint32_t)list[i].len);
		buf_put(&a->packed, bytes + list[i].name, list[i].name_len);
		buf_put(&a->packed, bytes + list[i].value, list[i].len);
	}
	return buf_ok(&a->packed) ? 0 : -ENOMEM;
}

/* GNU tar writes names without numbers. Those of this machine are meant, or none. */
static int look_up(const char *name, bool group, uint32_t *id)
{
	struct passwd pw, *user = NULL;
	struct group gr, *g = NULL;
	int r = ERANGE;

	for (size_t n = LOOKUP_FIRST; r == ERANGE && n <= LOOKUP_BYTES; n *= 2) {
		SCOPED_FREE char *text = malloc(n);

		if (!text)
			return -ENOMEM;
		r = group ? getgrnam_r(name, &gr, text, n, &g)
			  : getpwnam_r(name, &pw, text, n, &user);
		if (r == 0 && group && g)
			*id = g->gr_gid;
		if (r == 0 && !group && user)
			*id = user->pw_uid;
	}
	return g || user ? 0 : -ENOENT;
}

static int tag_of(int tag)
{
	switch (tag) {
	case ARCHIVE_ENTRY_ACL_USER_OBJ:
		return ACL_USER_OBJ;
	case ARCHIVE_ENTRY_ACL_USER:
		return ACL_USER;
	case ARCHIVE_ENTRY_ACL_GROUP_OBJ:
		return ACL_GROUP_OBJ;
	case ARCHIVE_ENTRY_ACL_GROUP:
		return ACL_GROUP;
	case ARCHIVE_ENTRY_ACL_MASK:
		return ACL_MASK;
	case ARCHIVE_ENTRY_ACL_OTHER:
		return ACL_OTHER;
	default:
		return 0;
	}
}

static int by_tag(const void *x, const void *y)
{
	const struct acl_entry *a = x, *b = y;

	if (a->tag != b->tag)
		return a->tag < b->tag ? -1 : 1;
	return (a->id > b->id) - (a->id < b->id);
}

static int acl_next(struct attrs *a, struct archive_entry *e, int which, const char *as,
	struct acl_entry *x)
{
	int type, perm, tag, id, r;
	const char *name = NULL;

	r = archive_entry_acl_next(e, which, &type, &perm, &tag, &id, &name);
	if (r == ARCHIVE_EOF)
		return 0;
	if (r != ARCHIVE_OK || !tag_of(tag))
		return flawed(a, as, "an ACL that is not one of POSIX");
	*x = (struct acl_entry){.tag = (uint32_t)tag_of(tag),
		.perm = (uint32_t)perm & 7u,
		.id = ACL_NOBODY};
	if (x->tag != ACL_USER && x->tag != ACL_GROUP)
		return 1;
	x->id = (uint32_t)id;
	if (id >= 0)
		return 1;
	r = name && name[0] ? look_up(name, x->tag == ACL_GROUP, &x->id) : -ENOENT;
	if (r == -ENOENT)
		return flawed(a, name ? name : "",
			"an ACL for somebody who has no number in it and is not known "
			"here");
	return r < 0 ? r : 1;
}

/* What the kernel asks for: one of each, a mask where others are named. 0 or a flaw. */
static const char *complete(struct acl_entry *list, size_t *n)
{
	uint32_t count[33] = {0}, mask = 0;

	for (size_t i = 0; i < *n; i++) {
		count[list[i].tag]++;
		if (list[i].tag == ACL_USER || list[i].tag == ACL_GROUP ||
			list[i].tag == ACL_GROUP_OBJ)
			mask |= list[i].perm;
	}
	if (count[ACL_USER_OBJ] != 1 || count[ACL_GROUP_OBJ] != 1 ||
		count[ACL_OTHER] != 1 || count[ACL_MASK] > 1)
		return "an ACL without the entries that each has once";
	if ((count[ACL_USER] || count[ACL_GROUP]) && !count[ACL_MASK])
		list[(*n)++] = (struct acl_entry){ACL_MASK, mask, ACL_NOBODY};
	qsort(list, *n, sizeof(*list), by_tag);
	return NULL;
}

static uint32_t perm_of(const struct acl_entry *list, size_t n, uint32_t tag)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].tag == tag)
			return list[i].perm;
	return 7;
}

/* The ACL of one kind, which is there. */
static int put_acl(struct attrs *a, struct archive_entry *e, int which, const char *as,
	uint32_t *mode)
{
	SCOPED_FREE struct acl_entry *list = NULL;
	SCOPED_BUF struct buf value = {0};
	int count = archive_entry_acl_reset(e, which), r;
	const char *flaw;
	size_t n = 0;

	/* No more than the permission bits: there is no ACL. */
	if (count <= 0)
		return 0;
	if (count >= ACL_MOST)
		return flawed(a, as, "an ACL of more than 64 KiB");
	list = calloc((size_t)count + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	while ((r = acl_next(a, e, which, as, &list[n])) > 0)
		if (++n > (size_t)count)
			return flawed(a, as, "an ACL that is damaged");
	if (r < 0)
		return r;
	flaw = complete(list, &n);
	if (flaw)
		return flawed(a, as, flaw);
	buf_put32(&value, ACL_VERSION);
	for (size_t i = 0; i < n; i++) {
		buf_put16(&value, (uint16_t)list[i].tag);
		buf_put16(&value, (uint16_t)list[i].perm);
		buf_put32(&value, list[i].id);
	}
	if (!buf_ok(&value))
		return -ENOMEM;
	if (which == ARCHIVE_ENTRY_ACL_TYPE_ACCESS)
		*mode = (*mode & ~070u) | perm_of(list, n, ACL_MASK) << 3;
	return put(a, as, value.data, value.len);
}

int attrs_put_acls(struct attrs *a, struct archive_entry *e, uint32_t *mode)
{
	int types = archive_entry_acl_types(e), r = 0;

	if (types & ARCHIVE_ENTRY_ACL_TYPE_NFS4)
		return flawed(a, "", "an NFSv4 ACL");
	if (types & ARCHIVE_ENTRY_ACL_TYPE_ACCESS)
		r = put_acl(a, e, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, ACCESS_NAME, mode);
	if (r == 0 && (types & ARCHIVE_ENTRY_ACL_TYPE_DEFAULT))
		r = put_acl(a, e, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, DEFAULT_NAME, mode);
	return r;
}

uint32_t attrs_mask(struct archive_entry *e)
{
	int type, perm, tag, id;
	uint32_t mask = 7;
	const char *name;

	if (archive_entry_acl_reset(e, ARCHIVE_ENTRY_ACL_TYPE_ACCESS) <= 0)
		return mask;
	while (archive_entry_acl_next(e, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, &type, &perm,
		       &tag, &id, &name) == ARCHIVE_OK)
		if (tag == ARCHIVE_ENTRY_ACL_MASK)
			mask &= (uint32_t)perm;
	return mask;
}
