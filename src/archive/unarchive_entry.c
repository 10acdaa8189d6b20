/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the header of a member to what the caller gets. libarchive delivers whatever is written
 * there: names that lead elsewhere, links to nothing, numbers without bounds. All of it is judged
 * here, before anything is made of it.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "archive/unarchive_internal.h"
#include "base/text.h"

#define BLOCK	   4096		 /* bytes: what allocated is rounded to */
#define HOLES	   (64ull << 20) /* as of scan_map_sparse's callers */
#define HOLE_SHARE 8
#define NS_PER_S   1000000000

int unarchive_refuse(
	const struct unarchive *u, int code, struct ebt_err *err, const char *fmt, ...)
{
	char name[256], text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return ebt_failx(err, code, "%s: member %llu, %s: %s", u->name,
		(unsigned long long)u->serial, text_name(u->path, name, sizeof(name)),
		text);
}

/* The path of the member as it is written, for messages until it has one. */
static const char *raw_name(struct unarchive *u, struct archive_entry *entry)
{
	const char *raw = u->headers.path ? (const char *)u->raw_path.data
					  : archive_entry_pathname(entry);

	snprintf(u->path, sizeof(u->path), "%s", raw ? raw : "without a name");
	return raw;
}

/* What it is a link to, of either kind, as @known has it. */
static const char *raw_link(const struct unarchive *u, const char *known)
{
	return known && u->headers.link ? (const char *)u->raw_link.data : known;
}

static enum names_kind kind_here(struct archive_entry *entry, bool hard_link)
{
	switch (archive_entry_filetype(entry)) {
	case AE_IFREG:
		return NAMES_FILE;
	case AE_IFDIR:
		return NAMES_DIR;
	case AE_IFLNK:
		return NAMES_SYMLINK;
	case AE_IFIFO:
		return NAMES_FIFO;
	case AE_IFSOCK:
		return NAMES_SOCKET;
	case AE_IFCHR:
	case AE_IFBLK:
		return NAMES_DEVICE;
	default:
		/* tar does not say of what a hard link is one. */
		return hard_link ? NAMES_FILE : NAMES_NONE;
	}
}

static const char *kind_name(enum names_kind kind)
{
	switch (kind) {
	case NAMES_DIR:
		return "a directory";
	case NAMES_FILE:
		return "a file";
	case NAMES_SYMLINK:
		return "a symbolic link";
	default:
		return "a FIFO, socket or device";
	}
}

static int count_left(
	struct unarchive *u, enum unarchive_left kind, struct ebt_err *err)
{
	if (!u->left[kind].n)
		u->left[kind].first = strdup(u->path);
	if (!u->left[kind].first)
		return ebt_fail(err, -ENOMEM, "%s", u->name);
	u->left[kind].n++;
	return 0;
}

static int leave_out(struct unarchive *u, enum names_kind kind, struct ebt_err *err)
{
	return count_left(u,
		kind == NAMES_FIFO     ? UNARCHIVE_FIFO
		: kind == NAMES_SOCKET ? UNARCHIVE_SOCKET
				       : UNARCHIVE_DEVICE,
		err);
}

/* What lies above has to be directories. *missing: bytes of the first that is not there, or 0. */
static int check_above(struct unarchive *u, size_t *missing, struct ebt_err *err)
{
	enum names_kind kind;
	char above[256];
	const char *slash;

	*missing = 0;
	for (slash = strchr(u->path, '/'); slash; slash = strchr(slash + 1, '/')) {
		size_t len = (size_t)(slash - u->path);

		kind = names_get(u->names, u->path, len, NULL);
		/* On, as what was left out may lie in a directory that was never made up. */
		if (kind == NAMES_NONE && !*missing)
			*missing = len;
		if (kind == NAMES_NONE || kind == NAMES_DIR)
			continue;
		snprintf(u->above, sizeof(u->above), "%.*s", (int)len, u->path);
		return unarchive_refuse(u, -EINVAL, err,
			"its name leads through %s, which is %s",
			text_name(u->above, above, sizeof(above)), kind_name(kind));
	}
	return 0;
}

/*
 * cpio of the odc kind has 18 bits for the number of an inode. Names of one inode have all else in
 * common; where they do not, libarchive was told of a link that there is not.
 */
static uint64_t looks(const struct unarchive *u, struct archive_entry *entry)
{
	const uint64_t what[] = {(uint64_t)archive_entry_mtime(entry),
		(uint64_t)archive_entry_size(entry), (uint64_t)archive_entry_uid(entry),
		(uint64_t)archive_entry_gid(entry),
		(uint64_t)archive_entry_mode(entry)};

	return archive_format(u->a) == ARCHIVE_FORMAT_CPIO_POSIX
		       ? digest_bytes(what, sizeof(what)).lo
		       : 0;
}

/* 1: the member at hand is a symbolic link to @target; or a failure. */
static int take_target(struct unarchive *u, const char *target, struct ebt_err *err)
{
	char *copy = strdup(target);

	if (!copy)
		return ebt_fail(err, -ENOMEM, "%s", u->name);
	free(u->target);
	u->target = copy;
	u->m.e.target = copy;
	return 1;
}

/* Of a hard link, whose target is @raw: 1, 0: left out like its target, or a failure. */
static int judge_link(struct unarchive *u, struct archive_entry *entry, const char *raw,
	struct ebt_err *err)
{
	const char *flaw = names_normalise(raw, u->link);
	enum names_kind kind;
	uint64_t then = 0;
	char name[256];

	text_name(raw, name, sizeof(name));
	if (!flaw && !u->link[0])
		flaw = "the directory of all";
	if (flaw)
		return unarchive_refuse(
			u, -EINVAL, err, "a hard link to %s, %s", name, flaw);
	kind = names_get(u->names, u->link, strlen(u->link), &then);
	if (strcmp(u->link, u->path) == 0)
		return unarchive_refuse(u, -EINVAL, err, "a hard link to itself");
	if (kind == NAMES_NONE)
		return unarchive_refuse(u, -EINVAL, err,
			"a hard link to %s, which does not come before it", name);
	if (kind >= NAMES_FIFO)
		return leave_out(u, kind, err);
	/* As in a tree: a symbolic link of several names is several. */
	if (kind == NAMES_SYMLINK)
		return take_target(u, (const char *)u->targets.data + then, err);
	if (kind != NAMES_FILE)
		return unarchive_refuse(u, -EINVAL, err,
			"a hard link to %s, which is %s", name, kind_name(kind));
	u->m.link = then == looks(u, entry) ? u->link : NULL;
	return 1;
}

/* *at: where the target is kept, for hard links to it. */
static int judge_symlink(struct unarchive *u, struct archive_entry *entry, uint64_t *at,
	struct ebt_err *err)
{
	const char *target = u->m.e.target ? u->m.e.target
					   : raw_link(u, archive_entry_symlink(entry));

	if (!target || !target[0])
		return unarchive_refuse(
			u, -EINVAL, err, "a symbolic link without a target");
	if (strlen(target) >= PATH_MAX)
		return unarchive_refuse(u, -EINVAL, err,
			"a symbolic link whose target has more than 4095 bytes");
	*at = u->targets.len;
	buf_put(&u->targets, target, strlen(target) + 1);
	if (!buf_ok(&u->targets))
		return ebt_fail(err, -ENOMEM, "%s", u->name);
	return u->m.e.target ? 0 : take_target(u, target, err);
}

static int judge_owner(
	struct unarchive *u, struct archive_entry *entry, struct ebt_err *err)
{
	int64_t uid = archive_entry_uid(entry), gid = archive_entry_gid(entry);
	struct manifest_entry *e = &u->m.e;

	/* 7z has no owners, and a zip without them tells of root. */
	e->no_owner = u->o.no_owner || u->kind == KIND_7Z ||
		      (u->kind == KIND_ZIP && uid == 0 && gid == 0);
	if (e->no_owner)
		return 0;
	/* The last number is none: it means that nothing is to be changed. */
	if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX)
		return unarchive_refuse(u, -EINVAL, err,
			"owner %lld and group %lld are not numbers of users here",
			(long long)uid, (long long)gid);
	e->uid = (uint32_t)uid;
	e->gid = (uint32_t)gid;
	return 0;
}

static uint32_t nanoseconds(long ns)
{
	return ns >= 0 && ns < NS_PER_S ? (uint32_t)ns : 0;
}

static void fill_times(const struct unarchive *u, struct manifest_entry *e,
	struct archive_entry *entry)
{
	e->mtime = archive_entry_mtime(entry);
	e->mtime_ns = nanoseconds(archive_entry_mtime_nsec(entry));
	if (u->headers.mtime.tv_sec) {
		e->mtime = u->headers.mtime.tv_sec;
		e->mtime_ns = (uint32_t)u->headers.mtime.tv_nsec;
	}
	e->atime = e->mtime;
	e->atime_ns = e->mtime_ns;
	if (u->headers.atime.tv_sec) {
		e->atime = u->headers.atime.tv_sec;
		e->atime_ns = (uint32_t)u->headers.atime.tv_nsec;
	} else if (archive_entry_atime_is_set(entry)) {
		e->atime = archive_entry_atime(entry);
		e->atime_ns = nanoseconds(archive_entry_atime_nsec(entry));
	}
}

/* What holds data, rounded out to leaves as scan_map_sparse does it. */
static int fill_extents(struct unarchive *u)
{
	const struct manifest_extent *map = (const struct manifest_extent *)u->map.data;
	size_t n = u->map.len / sizeof(*map);
	struct manifest_entry *e = &u->m.e;
	struct manifest_extent x = {0};

	u->extents.len = 0;
	for (size_t i = 0; i < n; i++) {
		uint64_t off = map[i].off / DIGEST_LEAF * DIGEST_LEAF;
		uint64_t end = (map[i].off + map[i].len + DIGEST_LEAF - 1) /
			       DIGEST_LEAF * DIGEST_LEAF;

		end = end < e->size ? end : e->size;
		if (x.len && x.off + x.len >= off) {
			x.len = end - x.off;
			continue;
		}
		if (x.len)
			buf_put(&u->extents, &x, sizeof(x));
		x = (struct manifest_extent){.off = off, .len = end - off};
	}
	if (!x.len)
		x.len = DIGEST_LEAF;
	buf_put(&u->extents, &x, sizeof(x));
	if (!buf_ok(&u->extents))
		return -ENOMEM;
	e->extents = (const struct manifest_extent *)u->extents.data;
	e->n_extents = (uint32_t)(u->extents.len / sizeof(x));
	return 0;
}

/* The map of a sparse file, and what follows from it. */
static int judge_map(
	struct unarchive *u, struct archive_entry *entry, struct ebt_err *err)
{
	struct manifest_entry *e = &u->m.e;
	uint64_t end = 0;
	int64_t off, len;

	u->map.len = 0;
	u->map_bytes = 0;
	u->is_sparse = e->size && archive_entry_sparse_reset(entry) > 0;
	e->allocated = (e->size + BLOCK - 1) / BLOCK * BLOCK;
	if (!u->is_sparse)
		return 0;
	while (archive_entry_sparse_next(entry, &off, &len) == ARCHIVE_OK) {
		struct manifest_extent x = {.off = (uint64_t)off, .len = (uint64_t)len};

		if (off < 0 || len < 0 || x.off < end || x.off > e->size ||
			x.len > e->size - x.off)
			return unarchive_refuse(u, -EBADMSG, err,
				"its map of holes is out of order or out of bounds");
		end = x.off + x.len;
		u->map_bytes += x.len;
		if (x.len)
			buf_put(&u->map, &x, sizeof(x));
	}
	e->allocated = (u->map_bytes + BLOCK - 1) / BLOCK * BLOCK;
	if (!buf_ok(&u->map) ||
		(e->size > e->allocated + HOLES &&
			e->allocated < e->size / HOLE_SHARE && fill_extents(u) < 0))
		return ebt_fail(err, -ENOMEM, "%s", u->name);
	return 0;
}

static int judge_file(
	struct unarchive *u, struct archive_entry *entry, struct ebt_err *err)
{
	int64_t size = archive_entry_size_is_set(entry) ? archive_entry_size(entry) : 0;
	int r;

	if (size < 0)
		return unarchive_refuse(u, -EBADMSG, err, "a size below zero");
	u->m.e.size = (uint64_t)size;
	u->m.content = size > 0;
	r = judge_map(u, entry, err);
	if (r < 0)
		return r;
	if (u->kind == KIND_TAR && u->in.seekable && !u->in.decoder && !u->in.frames &&
		u->m.content && !u->is_sparse && !u->headers.map)
		u->m.at = (uint64_t)archive_filter_bytes(u->a, 0);
	return 0;
}

static int put_listed(struct unarchive *u, struct archive_entry *entry)
{
	const char *name;
	const void *value;
	size_t len;
	int r = 0;

	archive_entry_xattr_reset(entry);
	while (r == 0 &&
		archive_entry_xattr_next(entry, &name, &value, &len) == ARCHIVE_OK)
		r = attrs_put(&u->attrs, name, strlen(name), value, len);
	return r;
}

static int fail_attrs(const struct unarchive *u, int code, struct ebt_err *err)
{
	char name[FSIO_XATTR_NAME];

	if (code != -EINVAL)
		return ebt_fail(err, code, "%s", u->name);
	text_name(u->attrs.flaw_name, name, sizeof(name));
	return unarchive_refuse(
		u, code, err, "%s%s%s", u->attrs.flaw, name[0] ? ": " : "", name);
}

/* Those of tar were gathered from the headers. */
static int judge_attrs(
	struct unarchive *u, struct archive_entry *entry, struct ebt_err *err)
{
	struct manifest_entry *e = &u->m.e;
	int r = 0;

	/* As every file system shows it, which is not what every archive says. */
	if (e->kind == MANIFEST_SYMLINK) {
		e->mode = 0777;
		return 0;
	}
	e->mode = (uint32_t)archive_entry_perm(entry) & 07777u;
	if (u->o.no_xattrs) {
		e->mode &= ~070u | attrs_mask(entry) << 3;
		return 0;
	}
	if (u->kind != KIND_TAR)
		r = put_listed(u, entry);
	if (r == 0)
		r = attrs_put_acls(&u->attrs, entry, &e->mode);
	if (r == 0)
		r = attrs_pack(&u->attrs);
	if (r < 0)
		return fail_attrs(u, r, err);
	e->xattrs = u->attrs.packed.len ? u->attrs.packed.data : NULL;
	e->xattrs_len = (uint32_t)u->attrs.packed.len;
	return 0;
}

/* With a NUL, and where it stays. */
static int keep_raw(struct buf *b, const char *name, size_t len, struct ebt_err *err)
{
	b->len = 0;
	if (name) {
		buf_put(b, name, len);
		buf_put8(b, 0);
	}
	return buf_ok(b) ? 0 : ebt_fail(err, -ENOMEM, "names of an archive");
}

static int look_at_headers(struct unarchive *u, uint64_t start, struct ebt_err *err)
{
	uint64_t end = (uint64_t)archive_filter_bytes(u->a, 0);
	const unsigned char *p;
	size_t len = 0;
	int r = 0;

	u->headers = (struct headers){0};
	attrs_clear(&u->attrs);
	if (u->kind != KIND_TAR && u->kind != KIND_CPIO)
		return 0;
	p = input_at(&u->in, start, &len);
	if (!p || end < start || end - start > len)
		return unarchive_refuse(u, -EBADMSG, err, "its headers are damaged");
	len = (size_t)(end - start);
	if (u->kind == KIND_TAR)
		r = headers_tar(p, len, &u->headers, u->o.no_xattrs ? NULL : attrs_put,
			&u->attrs);
	else
		headers_cpio(p, len, &u->headers);
	if (r == -EBADMSG)
		return unarchive_refuse(u, r, err, "its headers are damaged");
	if (r < 0)
		return fail_attrs(u, r, err);
	if (u->headers.large_acl && !u->o.no_xattrs)
		return unarchive_refuse(u, -EINVAL, err,
			"an ACL with an id above 2147483647, which cannot be read");
	r = keep_raw(&u->raw_path, u->headers.path, u->headers.path_len, err);
	if (r == 0)
		r = keep_raw(&u->raw_link, u->headers.link, u->headers.link_len, err);
	if (r < 0)
		return r;
	return u->headers.volume
		       ? unarchive_refuse(u, -EINVAL, err,
				 "a part of a file that lies in several archives")
		       : 0;
}

/* Its place: 1, 0: it is left out, or a failure. */
static int judge_name(struct unarchive *u, struct archive_entry *entry,
	enum names_kind *kind, struct ebt_err *err)
{
	const char *raw = raw_name(u, entry), *flaw;
	const char *hard = raw_link(u, archive_entry_hardlink(entry));
	enum names_kind was;
	int r = 1;

	if (!raw)
		return unarchive_refuse(
			u, -EINVAL, err, "it has none that can be read");
	flaw = names_normalise(raw, u->path);
	if (flaw) {
		raw_name(u, entry);
		return unarchive_refuse(u, -EINVAL, err, "%s", flaw);
	}
	/* A link that was made of a directory's or a link's number is none of ours. */
	*kind = kind_here(entry, hard);
	if (*kind == NAMES_NONE)
		return unarchive_refuse(u, -EINVAL, err, "of an unknown kind");
	if (!u->path[0])
		return *kind == NAMES_DIR ? 0
					  : unarchive_refuse(u, -EINVAL, err,
						    "it would be the directory of all");
	r = check_above(u, &u->implied, err);
	if (r < 0)
		return r;
	r = hard && *kind == NAMES_FILE ? judge_link(u, entry, hard, err) : 1;
	if (r <= 0)
		return r;
	if (u->m.e.target)
		*kind = NAMES_SYMLINK;
	was = names_get(u->names, u->path, strlen(u->path), NULL);
	if (was != NAMES_NONE && was != *kind)
		return unarchive_refuse(u, -EINVAL, err,
			"%s, and %s of that name comes "
			"before it",
			kind_name(*kind), kind_name(was));
	u->m.again = was != NAMES_NONE;
	return 1;
}

int unarchive_judge(struct unarchive *u, struct archive_entry *entry, uint64_t start,
	struct ebt_err *err)
{
	struct member *m = &u->m;
	enum names_kind kind = NAMES_NONE;
	unsigned long set, clear;
	uint64_t what;
	int r;

	u->serial++;
	*m = (struct member){.at = UNARCHIVE_NOWHERE};
	m->e = (struct manifest_entry){.name = u->path,
		.parent = MANIFEST_ROOT,
		.group = MANIFEST_NONE,
		.nlink = 1};
	u->implied = 0;
	raw_name(u, entry);
	r = look_at_headers(u, start, err);
	if (r < 0)
		return r;
	if (archive_entry_is_encrypted(entry))
		return unarchive_refuse(u, -EINVAL, err, "it is encrypted");
	r = judge_name(u, entry, &kind, err);
	if (r <= 0)
		return r;
	what = looks(u, entry);
	if (kind == NAMES_SYMLINK)
		r = judge_symlink(u, entry, &what, err);
	if (r < 0)
		return r;
	if (names_put(u->names, u->path, strlen(u->path), kind, what) < 0)
		return ebt_fail(err, -ENOMEM, "%s", u->name);
	if (kind >= NAMES_FIFO)
		return leave_out(u, kind, err);
	m->e.kind = kind == NAMES_DIR	 ? MANIFEST_DIR
		    : kind == NAMES_FILE ? MANIFEST_FILE
					 : MANIFEST_SYMLINK;
	if (kind == NAMES_FILE)
		r = judge_file(u, entry, err);
	if (r >= 0)
		r = judge_owner(u, entry, err);
	if (r >= 0)
		r = judge_attrs(u, entry, err);
	if (r < 0)
		return r;
	fill_times(u, &m->e, entry);
	archive_entry_fflags(entry, &set, &clear);
	if (set || clear)
		r = count_left(u, UNARCHIVE_FLAGS, err);
	return r < 0 ? r : 1;
}

int unarchive_imply(struct unarchive *u, struct member *m, struct ebt_err *err)
{
	size_t len = u->implied;
	const char *slash = strchr(u->path + len + 1, '/');

	snprintf(u->above, sizeof(u->above), "%.*s", (int)len, u->path);
	*m = (struct member){.implied = true, .at = UNARCHIVE_NOWHERE};
	m->e = (struct manifest_entry){.name = u->above,
		.kind = MANIFEST_DIR,
		.mode = 0777u & ~u->o.umask,
		.mtime = u->m.e.mtime,
		.mtime_ns = u->m.e.mtime_ns,
		.atime = u->m.e.atime,
		.atime_ns = u->m.e.atime_ns,
		.no_owner = true,
		.parent = MANIFEST_ROOT,
		.group = MANIFEST_NONE,
		.nlink = 1};
	if (names_put(u->names, u->path, len, NAMES_DIR, 0) < 0)
		return ebt_fail(err, -ENOMEM, "%s", u->name);
	/* Nothing can lie below what was not there. */
	u->implied = slash ? (size_t)(slash - u->path) : 0;
	return 0;
}
