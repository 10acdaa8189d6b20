/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libarchive writes the header into memory and gets no further.
 * Then further pax records go in: behind those that are there, or else in a pax header of their
 * own in front, which is two blocks more.
 *
 * Such are extended attributes, of which libarchive codes more bytes of names than GNU tar
 * decodes, and ACLs, because it has numbers of users as int and writes 0 for those that do not
 * fit. And a "comment", which POSIX has readers ignore, fills room.
 */
#include "archive/header.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* POSIX ACLs as the kernel hands them out: linux/posix_acl_xattr.h, linux/posix_acl.h. */
#define ACL_VERSION   2
#define ACL_ENTRY     8 /* bytes */
#define ACL_USER_OBJ  0x01
#define ACL_USER      0x02
#define ACL_GROUP_OBJ 0x04
#define ACL_GROUP     0x08
#define ACL_MASK      0x10
#define ACL_OTHER     0x20

/* Offsets in a header block, POSIX pax: ustar interchange format. */
#define AT_MODE	    100
#define AT_UID	    108
#define AT_GID	    116
#define AT_SIZE	    124
#define AT_SUM	    148
#define AT_TYPE	    156
#define AT_LINKNAME 157
#define AT_MAGIC    257
#define AT_PREFIX   345
#define LEN_NAME    100
#define LEN_PREFIX  155

struct header_maker {
	/* Names are bytes, and most of them UTF-8. 0: there is no such locale here. */
	locale_t utf8;
};

int header_maker_new(struct header_maker **out, struct ebt_err *err)
{
	static const char *const names[] = {"C.UTF-8", "C.utf8", "en_US.UTF-8"};
	struct header_maker *m = calloc(1, sizeof(*m));

	if (!m)
		return ebt_fail(err, -ENOMEM, "archive headers");
	/*
	 * setlocale(3) would change it for the whole process. Without any of them names that
	 * are not ASCII still are the bytes that they are, and marked as such.
	 */
	for (size_t i = 0; !m->utf8 && i < sizeof(names) / sizeof(names[0]); i++)
		m->utf8 = newlocale(LC_CTYPE_MASK, names[i], (locale_t)0);
	*out = m;
	return 0;
}

void header_maker_free(struct header_maker *m)
{
	if (!m)
		return;
	if (m->utf8)
		freelocale(m->utf8);
	free(m);
}

/* Where libarchive writes to. */
struct sink {
	struct archive *a;
	struct buf *out;
	bool full; /* the header is there, and all else refused */
};

/*
 * Closing would write the content that never came, padding, and the end of an archive, and is
 * told off at the first byte. archive_write_fail would keep it from trying, but then it forgets
 * to free what open took.
 */
static void sink_close(struct sink *s)
{
	int saved = errno;

	s->full = true;
	archive_write_free(s->a);
	errno = saved;
}

static void free_entry(struct archive_entry **e)
{
	archive_entry_free(*e);
}

/* "LEN KEY=VALUE\n", where LEN counts itself. */
static void put_record(struct buf *out, const char *key, const void *value, size_t len)
{
	size_t rest = strlen(key) + len + 3, total = rest + 1;

	for (size_t limit = 10; total >= limit; limit *= 10)
		total++;
	buf_printf(out, "%zu %s=", total, key);
	buf_put(out, value, len);
	buf_put8(out, '\n');
}

/* An entry of an ACL as text; false if it is none. */
static bool put_acl_entry(
	struct buf *text, unsigned tag, unsigned permissions, uint32_t id)
{
	const char *name = tag == ACL_USER_OBJ || tag == ACL_USER     ? "user"
			   : tag == ACL_GROUP_OBJ || tag == ACL_GROUP ? "group"
			   : tag == ACL_MASK			      ? "mask"
			   : tag == ACL_OTHER			      ? "other"
								      : NULL;

	if (!name || permissions > 7)
		return false;
	buf_printf(text, "%s%s:", text->len ? "," : "", name);
	if (tag == ACL_USER || tag == ACL_GROUP)
		buf_printf(text, "%" PRIu32, id);
	buf_printf(text, ":%c%c%c", permissions & 4 ? 'r' : '-',
		permissions & 2 ? 'w' : '-', permissions & 1 ? 'x' : '-');
	return true;
}

/*
 * An ACL, the value of an attribute, becomes record @key; none at all where it has no entries.
 * What the owning group may becomes *group. False: it is no ACL.
 */
static bool put_acl(struct buf *records, const char *key, const struct fsio_xattr *x,
	unsigned *group)
{
	struct reader r = reader_of(x->value, x->len);
	SCOPED_BUF struct buf text = {0};
	unsigned tag, permissions;

	if (reader_get32(&r) != ACL_VERSION || r.failed ||
		reader_left(&r) % ACL_ENTRY != 0)
		return false;
	while (reader_left(&r)) {
		tag = reader_get16(&r);
		permissions = reader_get16(&r);
		if (!put_acl_entry(&text, tag, permissions, reader_get32(&r)))
			return false;
		if (tag == ACL_GROUP_OBJ)
			*group = permissions;
	}
	if (text.failed)
		records->failed = true;
	if (text.len)
		put_record(records, key, text.data, text.len);
	return true;
}

/*
 * The name ends at the first '=' of a record. GNU tar, which is the one to restore most of them,
 * codes that sign, and '%' with it.
 */
static void put_xattr(struct buf *records, const struct fsio_xattr *x)
{
	char key[16 + 3 * FSIO_XATTR_NAME];
	char *to = stpcpy(key, "SCHILY.xattr.");

	for (const char *p = x->name; *p; p++) {
		if (*p == '=' || *p == '%')
			to += sprintf(to, "%%%02X", (unsigned)*p);
		else
			*to++ = *p;
	}
	*to = '\0';
	put_record(records, key, x->value, x->len);
}

static int fail_member(
	const struct header *h, int code, const char *why, struct ebt_err *err)
{
	char name[512];

	return ebt_failx(err, code, "%s: %s", text_name(h->path, name, sizeof(name)),
		why ? why : "cannot be put into an archive");
}

/*
 * Extended attributes and ACLs. Of a hard link only the first name has them. *mode is that of the
 * file: where there is an ACL its group bits are the mask, and would give the group more than it
 * had where ACLs are not restored.
 */
static int put_xattrs(const struct header *h, struct buf *records, uint32_t *mode,
	struct ebt_err *err)
{
	struct reader r = reader_of(h->e->xattrs, h->e->xattrs_len);
	unsigned group = *mode >> 3 & 7, unused;
	struct fsio_xattr x;
	bool ok = true;
	int left;

	while (ok && (left = fsio_xattrs_next(&r, &x)) != 0) {
		if (left < 0)
			ok = false;
		else if (strcmp(x.name, "system.posix_acl_access") == 0)
			ok = put_acl(records, "SCHILY.acl.access", &x, &group);
		else if (strcmp(x.name, "system.posix_acl_default") == 0)
			ok = put_acl(records, "SCHILY.acl.default", &x, &unused);
		else
			put_xattr(records, &x);
	}
	if (!ok)
		return fail_member(h, -EBADMSG, "extended attributes are damaged", err);
	if (h->link)
		records->len = 0;
	*mode = (*mode & ~(uint32_t)070) | group << 3;
	return 0;
}

static int put_attributes(struct archive_entry *ae, const struct header *h,
	struct buf *records, struct ebt_err *err)
{
	const struct manifest_entry *e = h->e;
	uint32_t mode = e->mode & 07777;
	int r = put_xattrs(h, records, &mode, err);

	if (r < 0)
		return r;
	archive_entry_copy_pathname(ae, h->path);
	archive_entry_set_filetype(ae, e->kind == MANIFEST_DIR	     ? AE_IFDIR
				       : e->kind == MANIFEST_SYMLINK ? AE_IFLNK
								     : AE_IFREG);
	archive_entry_set_perm(ae, mode);
	archive_entry_set_uid(ae, e->uid);
	archive_entry_set_gid(ae, e->gid);
	archive_entry_set_nlink(ae, 1);
	/*
	 * libarchive writes -1.75 for what is -2 seconds and 250 milliseconds: before 1970 only
	 * whole seconds, cut down as file systems that have no others do.
	 */
	archive_entry_set_mtime(ae, e->mtime, e->mtime < 0 ? 0 : (long)e->mtime_ns);
	if (h->link)
		archive_entry_copy_hardlink(ae, h->link);
	else if (e->kind == MANIFEST_SYMLINK)
		archive_entry_copy_symlink(ae, e->target);
	archive_entry_set_size(
		ae, e->kind == MANIFEST_FILE && !h->link ? (int64_t)e->size : 0);
	return 0;
}

static la_ssize_t keep(struct archive *a, void *arg, const void *data, size_t len)
{
	struct sink *s = arg;

	if (!s->full) {
		buf_put(s->out, data, len);
		if (buf_ok(s->out))
			return (la_ssize_t)len;
	}
	archive_set_error(a, ENOMEM, "out of memory");
	return -1;
}

static int fail_writer(const struct header *h, struct archive *a, struct ebt_err *err)
{
	int code = archive_errno(a) == ENOMEM ? -ENOMEM : -EINVAL;

	return fail_member(h, code, archive_error_string(a), err);
}

/* What libarchive makes of it; what it does not, further records, into @records. */
static int write_header(const struct header *h, struct buf *out, struct buf *records,
	struct ebt_err *err)
{
	SCOPED(free_entry) struct archive_entry *ae = archive_entry_new();
	SCOPED(sink_close) struct sink sink = {.a = archive_write_new(), .out = out};
	struct archive *a = sink.a;
	const struct manifest_entry *e = h->e;
	bool map = h->sparse && !h->link && e->kind == MANIFEST_FILE;
	int r;

	if (!ae || !a)
		return fail_member(h, -ENOMEM, "out of memory", err);
	if (archive_write_set_format_pax(a) != ARCHIVE_OK ||
		archive_write_set_bytes_per_block(a, 0) != ARCHIVE_OK ||
		archive_write_open2(a, &sink, NULL, keep, NULL, NULL) != ARCHIVE_OK)
		return fail_writer(h, a, err);
	r = put_attributes(ae, h, records, err);
	if (r < 0)
		return r;
	for (uint32_t i = 0; map && i < e->n_extents; i++)
		archive_entry_sparse_add_entry(
			ae, (int64_t)e->extents[i].off, (int64_t)e->extents[i].len);
	/* What is no UTF-8 is worth a warning, and is then marked as being bytes. */
	r = archive_write_header(a, ae);
	if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
		return fail_writer(h, a, err);
	/* The sparse map is held back until there is content. */
	if (map && archive_write_data(a, "", 0) < 0)
		return fail_writer(h, a, err);
	return 0;
}

/* @len - 1 octal digits and a NUL. */
static void put_octal(unsigned char *field, int len, uint64_t v)
{
	for (field[--len] = '\0'; len > 0; v /= 8)
		field[--len] = (unsigned char)('0' + v % 8);
}

static uint64_t get_octal(const unsigned char *field, int len)
{
	uint64_t v = 0;

	for (int i = 0; i < len && field[i] >= '0' && field[i] <= '7'; i++)
		v = v * 8 + (field[i] - '0');
	return v;
}

static void put_sum(unsigned char *block)
{
	unsigned sum = 0;

	memset(block + AT_SUM, ' ', 8);
	for (int i = 0; i < HEADER_BLOCK; i++)
		sum += block[i];
	put_octal(block + AT_SUM, 7, sum);
}

/* A pax header for the member of which @of is the header. */
static void make_pax(const unsigned char *of, unsigned char *block)
{
	static const char before[] = "PaxHeader/";
	const unsigned char *name = of, *end = of + LEN_NAME;
	size_t len;

	/* Of the name the last component, as far as there is room. */
	for (const unsigned char *p = of; p < end && *p; p++)
		if (*p == '/' && p + 1 < end && p[1])
			name = p + 1;
	len = strnlen((const char *)name, (size_t)(end - name));
	if (len > LEN_NAME - sizeof(before))
		len = LEN_NAME - sizeof(before);
	memcpy(block, of, HEADER_BLOCK);
	memset(block, 0, LEN_NAME);
	memcpy(block, before, sizeof(before) - 1);
	memcpy(block + sizeof(before) - 1, name, len);
	memset(block + AT_PREFIX, 0, LEN_PREFIX);
	memset(block + AT_LINKNAME, 0, LEN_NAME);
	put_octal(block + AT_MODE, 8, 0644);
	put_octal(block + AT_UID, 8, 0);
	put_octal(block + AT_GID, 8, 0);
	block[AT_TYPE] = 'x';
}

static uint64_t padded(uint64_t len)
{
	return (len + HEADER_BLOCK - 1) / HEADER_BLOCK * HEADER_BLOCK;
}

/* Appends @made with @records behind its own. */
static int insert(const struct header *h, const struct buf *made,
	const struct buf *records, struct buf *out, struct ebt_err *err)
{
	bool pax = made->len >= HEADER_BLOCK && made->data[AT_TYPE] == 'x';
	uint64_t own = pax ? get_octal(made->data + AT_SIZE, 12) : 0;
	/* Where the header of the member begins, and where it then will. */
	uint64_t old = pax ? HEADER_BLOCK + padded(own) : 0;
	uint64_t new = HEADER_BLOCK + padded(own + records->len);
	unsigned char *p;

	if (made->len < old + HEADER_BLOCK || made->len % HEADER_BLOCK != 0)
		return fail_member(h, -EINVAL, NULL, err);
	if (records->len == 0)
		new = old;
	p = buf_extend(out, new + made->len - old);
	if (!p)
		return fail_member(h, -ENOMEM, "out of memory", err);
	memcpy(p + new, made->data + old, made->len - old);
	if (new == 0)
		return 0;
	if (pax)
		memcpy(p, made->data, HEADER_BLOCK + own);
	else
		make_pax(made->data, p);
	put_octal(p + AT_SIZE, 12, own + records->len);
	put_sum(p);
	p += HEADER_BLOCK + own;
	if (records->len)
		memcpy(p, records->data, records->len);
	memset(p + records->len, 0, new - HEADER_BLOCK - own - records->len);
	return 0;
}

/* Is there such a member at all? */
static bool can_be(const struct header *h)
{
	return manifest_path_ok(h->path) && (!h->link || manifest_path_ok(h->link)) &&
	       (h->e->kind != MANIFEST_SYMLINK || h->e->target) &&
	       (h->e->kind != MANIFEST_FILE || h->e->size <= INT64_MAX);
}

/* All but what fills room, in *out, which is empty. */
static int natural(const struct header_maker *m, const struct header *h,
	struct buf *out, struct ebt_err *err)
{
	SCOPED_BUF struct buf made = {0};
	SCOPED_BUF struct buf records = {0};
	locale_t before;
	int r;

	if (!can_be(h))
		return fail_member(h, -EINVAL, NULL, err);
	before = m->utf8 ? uselocale(m->utf8) : (locale_t)0;
	r = write_header(h, &made, &records, err);
	if (before)
		uselocale(before);
	if (r < 0)
		return r;
	if (!buf_ok(&made) || !buf_ok(&records))
		return fail_member(h, -ENOMEM, "out of memory", err);
	return insert(h, &made, &records, out, err);
}

int header_length(const struct header_maker *m, const struct header *h,
	uint64_t *length, struct ebt_err *err)
{
	SCOPED_BUF struct buf b = {0};
	int r = natural(m, h, &b, err);

	if (r == 0)
		*length = b.len;
	return r;
}

/* @path with as much behind it as a drain ever puts there. NULL: no memory. */
static char *lengthened(const char *path)
{
	size_t len = strlen(path);
	char *p = malloc(len + HEADER_SUFFIX + 1);

	if (!p)
		return NULL;
	memcpy(p, path, len);
	memset(p + len, '.', HEADER_SUFFIX);
	p[len + HEADER_SUFFIX] = '\0';
	return p;
}

int header_room(const struct header_maker *m, const struct header *h, uint64_t *room,
	struct ebt_err *err)
{
	SCOPED_FREE char *path = lengthened(h->path);
	SCOPED_FREE char *link = h->link ? lengthened(h->link) : NULL;
	struct header longest = *h;
	int r, again;

	if (!path || (h->link && !link))
		return fail_member(h, -ENOMEM, "out of memory", err);
	if (!can_be(h))
		return fail_member(h, -EINVAL, NULL, err);
	/* What is behind a name never makes it shorter, so there is no need to try others. */
	longest.path = path;
	longest.link = link;
	r = header_length(m, &longest, room, err);
	if (r == 0)
		return 0;
	/* Once more, for a text with the name as it is. */
	again = header_length(m, h, room, err);
	return again < 0 ? again : r;
}

/* Appends @made with as much in it that it becomes @room bytes. */
static int fill(const struct header *h, const struct buf *made, uint64_t room,
	struct buf *out, struct ebt_err *err)
{
	bool pax = made->data[AT_TYPE] == 'x';
	uint64_t own = pax ? get_octal(made->data + AT_SIZE, 12) : 0;
	/* To the end of the last block of records: more than the shortest comment. */
	uint64_t len = room - made->len + (pax ? padded(own) - own : 0);
	SCOPED_BUF struct buf comment = {0};
	char *p;

	if (!pax)
		len -= HEADER_BLOCK; /* that of the pax header */
	p = buf_extend(&comment, len);
	if (!p)
		return fail_member(h, -ENOMEM, "out of memory", err);
	memset(p, ' ', len);
	p[sprintf(p, "%" PRIu64 " comment=", len)] = ' ';
	p[len - 1] = '\n';
	return insert(h, made, &comment, out, err);
}

int header_make(const struct header_maker *m, const struct header *h, uint64_t room,
	struct buf *out, struct ebt_err *err)
{
	SCOPED_BUF struct buf made = {0};
	size_t start = out->len;
	char name[512];
	int r = natural(m, h, &made, err);

	if (r < 0)
		return r;
	if (room == 0 || room == made.len) {
		buf_put(out, made.data, made.len);
	} else if (room < made.len || room % HEADER_BLOCK != 0 ||
		   (made.data[AT_TYPE] != 'x' && room < made.len + 2 * HEADER_BLOCK)) {
		return ebt_failx(err, -ENOSPC,
			"%s: header of %zu bytes, where it has room for %" PRIu64,
			text_name(h->path, name, sizeof(name)), made.len, room);
	} else {
		r = fill(h, &made, room, out, err);
	}
	if (r == 0 && !buf_ok(out))
		r = fail_member(h, -ENOMEM, "out of memory", err);
	if (r < 0)
		out->len = start;
	return r;
}
