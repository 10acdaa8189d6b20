/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * New files on chosen OSTs. Opening with O_LOV_DELAY_CREATE makes a file without objects;
 * the attribute lustre.lov then says where they go. The metadata server takes a list of OSTs
 * as it is or refuses (lustre/lod/lod_qos.c): EINVAL for an unknown one, EREMOTEIO for an
 * inactive one, ENOSPC for a full one. A file whose layout was refused must not be written
 * and goes away again.
 *
 * A composite layout is one blob: its components in order, without numbers and flags, each
 * with a layout of its own, of which those whose OSTs are chosen have the form with a list. It
 * is what llapi_layout_file_open sends.
 *
 * A site may restrict layouts to a group, and the client reports EEXIST as success, older
 * ones every failure (lustre/llite/xattr.c). So success means little before the layout was
 * read back, which costs nothing: the client has it. A file that still has none cannot be
 * written by this descriptor; opened once more, for writing, it gets the default.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "pfs/lov.h"
#include "pfs/pfs_internal.h"

#define LOV_XATTR	   "lustre.lov"
#define O_LOV_DELAY_CREATE (O_NOCTTY | FASYNC)
#define STRIPE_ALIGN	   65536u
#define OST_ANY		   0xffffu /* as first OST: the server's choice, or the list's */

static void put16(unsigned char *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}

static void put32(unsigned char *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static void put64(unsigned char *p, uint64_t v)
{
	memcpy(p, &v, sizeof(v));
}

/* A bit for each index: OSTs have 16 of them. False for an index that none has. */
static bool look_at_osts(const uint32_t *osts, uint32_t count, bool *repeated)
{
	unsigned char seen[65536 / 8] = {0};

	*repeated = false;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t ost = osts[i];

		if (ost >= OST_ANY)
			return false;
		*repeated = *repeated || seen[ost / 8] & 1u << ost % 8;
		seen[ost / 8] |= (unsigned char)(1u << ost % 8);
	}
	return true;
}

/* The head of a layout of its own. Its length. */
static size_t put_head(unsigned char *p, uint32_t magic, const struct pfs_rule *rule)
{
	size_t len = magic == MAGIC_V1 ? HEAD_LEN : HEAD_V3_LEN;

	memset(p, 0, len);
	put32(p, magic);
	put32(p + 4, rule->on_mdt
			     ? PATTERN_MDT
			     : PATTERN_RAID0 |
				       (rule->overstriped ? PATTERN_OVERSTRIPED : 0));
	put32(p + 24, rule->stripe_size);
	put16(p + 28, rule->count == PFS_ALL ? OST_ANY : (uint16_t)rule->count);
	put16(p + 30, OST_ANY);
	if (magic != MAGIC_V1)
		memcpy(p + 32, rule->pool, PFS_POOL_NAME - 1);
	return len;
}

/* @osts: all of them are chosen; NULL: by the file system. */
static size_t put_rule(unsigned char *p, const struct pfs_rule *rule,
	const uint32_t *osts, uint32_t count)
{
	size_t len = put_head(p,
		osts		? MAGIC_SPECIFIC
		: rule->pool[0] ? MAGIC_V3
				: MAGIC_V1,
		rule);

	for (uint32_t i = 0; osts && i < count; i++) {
		memset(p + len, 0, ENTRY_LEN);
		put32(p + len + 20, osts[i]);
		len += ENTRY_LEN;
	}
	return len;
}

static ssize_t put_composite(unsigned char *p, const struct pfs_stripes *wish)
{
	const struct pfs_policy *policy = wish->policy;
	size_t len = HEAD_LEN + (size_t)policy->n_rules * COMPONENT_LEN;

	memset(p, 0, len);
	put32(p, MAGIC_COMPOSITE);
	put16(p + 14, (uint16_t)policy->n_rules);
	for (uint32_t i = 0; i < policy->n_rules; i++) {
		unsigned char *entry = p + HEAD_LEN + (size_t)i * COMPONENT_LEN;
		struct pfs_rule rule = policy->rule[i];
		size_t size;

		if (i == wish->rule) {
			rule.count = wish->count;
			rule.stripe_size = wish->size ? wish->size : rule.stripe_size;
			size = put_rule(p + len, &rule, wish->osts, wish->count);
		} else if (wish->also_osts && i == wish->also) {
			size = put_rule(
				p + len, &rule, wish->also_osts, pfs_also_count(wish));
		} else {
			size = put_rule(p + len, &rule, NULL, 0);
		}
		put64(entry + 8, rule.start);
		put64(entry + 16, rule.end);
		put32(entry + 24, (uint32_t)len);
		put32(entry + 28, (uint32_t)size);
		len += size;
	}
	put32(p + 4, (uint32_t)len);
	return (ssize_t)len;
}

/* Bytes that put_composite writes at most, or those of one layout. */
static size_t room_of(const struct pfs_stripes *w)
{
	size_t n = w->osts ? (size_t)w->count * ENTRY_LEN : 0;
	bool named = w->osts || (w->pool && *w->pool);

	if (!w->policy)
		return n + (named ? HEAD_V3_LEN : HEAD_LEN);
	if (w->also_osts)
		n += (size_t)pfs_also_count(w) * ENTRY_LEN;
	return n + HEAD_LEN +
	       (size_t)w->policy->n_rules * (COMPONENT_LEN + HEAD_V3_LEN);
}

ssize_t pfs_lustre_encode(const struct pfs_stripes *wish, void *lov, size_t cap)
{
	struct pfs_rule one = {.stripe_size = wish->size, .count = wish->count};
	const struct pfs_policy *policy = wish->policy;
	bool repeated = false, also_repeated = false;

	if (wish->count == 0 || wish->count > PFS_STRIPES_MAX)
		return -EINVAL;
	if (wish->size % STRIPE_ALIGN)
		return -EINVAL;
	if (wish->osts && !look_at_osts(wish->osts, wish->count, &repeated))
		return -EINVAL;
	/* Nothing is chosen on the metadata target, nor in what we do not know. */
	if (policy && (!policy->composite || policy->strange ||
			      wish->rule >= policy->n_rules ||
			      policy->rule[wish->rule].on_mdt))
		return -EINVAL;
	if (wish->also_osts &&
		(!policy || wish->also >= policy->n_rules || wish->also == wish->rule ||
			policy->rule[wish->also].on_mdt ||
			pfs_also_count(wish) > PFS_STRIPES_MAX ||
			!look_at_osts(wish->also_osts, pfs_also_count(wish),
				&also_repeated) ||
			also_repeated))
		return -EINVAL;
	if (wish->pool && *wish->pool && !pfs_pool_name_ok(wish->pool))
		return -EINVAL;
	if (room_of(wish) > cap)
		return -ERANGE;
	if (policy)
		return put_composite(lov, wish);
	one.overstriped = repeated;
	if (wish->pool)
		memcpy(one.pool, wish->pool, strlen(wish->pool));
	return (ssize_t)put_rule(lov, &one, wish->osts, wish->count);
}

/*
 * 0, -ENODATA where the file has no layout yet, or why it is not known. *kept, unless NULL:
 * it is what was wished, as far as it can be told.
 */
static int read_layout(
	int fd, struct pfs_layout **out, const struct pfs_stripes *wish, bool *kept)
{
	unsigned char lov[PFS_LOV_MAX];
	ssize_t len = fgetxattr(fd, LOV_XATTR, lov, sizeof(lov));
	int r = len < 0 ? -errno : pfs_lustre_parse(lov, (size_t)len, out);

	if (kept)
		*kept = r == 0 && pfs_lustre_keeps(lov, (size_t)len, wish) &&
			(wish->policy || pfs_layout_keeps(*out, wish));
	return r;
}

static int layout(int fd, struct pfs_layout **out)
{
	return read_layout(fd, out, NULL, NULL) == 0;
}

/*
 * Opens what *fd is open on once more, in its place. Its objects are made on the way. 1:
 * somebody has put another file there, which is not ours to touch.
 */
static int open_again(const struct pfs_new *n, int *fd)
{
	SCOPED_FD int again =
		openat(n->dirfd, n->name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat before, now;

	if (again < 0 || fstat(*fd, &before) < 0 || fstat(again, &now) < 0)
		return -errno;
	if (before.st_dev != now.st_dev || before.st_ino != now.st_ino)
		return 1;
	close(*fd);
	*fd = TAKE_FD(again);
	return 0;
}

static int create(const struct pfs_new *n, struct pfs_layout **got, bool *kept,
	struct ebt_err *err)
{
	unsigned char lov[PFS_LUSTRE_ENCODE_MAX];
	ssize_t len = n->wish ? pfs_lustre_encode(n->wish, lov, sizeof(lov)) : 0;
	SCOPED_FD int fd = -1;
	int r;

	if (len < 0)
		return pfs_fail_new(n, (int)len, err);
	fd = pfs_open_new(n, n->wish ? O_LOV_DELAY_CREATE : 0);
	if (fd < 0)
		return pfs_fail_new(n, fd, err);
	if (!n->wish)
		return TAKE_FD(fd);
	if (fsetxattr(fd, LOV_XATTR, lov, (size_t)len, 0) < 0)
		return pfs_fail_new(n, pfs_undo(n, -errno), err);
	r = read_layout(fd, got, n->wish, kept);
	if (r == -ENODATA) {
		r = open_again(n, &fd);
		if (r)
			return pfs_fail_new(n, r > 0 ? -EEXIST : pfs_undo(n, r), err);
		read_layout(fd, got, NULL, NULL);
	}
	return TAKE_FD(fd);
}

const struct pfs_calls pfs_lustre = {
	.name = "lustre",
	.magic = 0x0bd00bd0u,
	.create = create,
	.layout = layout,
	.targets = pfs_lustre_targets,
	.policy = pfs_lustre_policy_at,
	.pool = pfs_lustre_pool,
};
