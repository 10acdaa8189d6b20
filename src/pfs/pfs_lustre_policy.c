/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The default layout of a directory, which new files in it get: the same attribute as that of a
 * file, without objects. A directory that has none of its own has that of the file system's
 * root; some clients answer with that one at once, others with ENODATA. Directories inherit
 * when they are made, so what lies between does not matter.
 *
 * A file's own layout is read in the same way, to see whether the components of a request
 * are there as they were asked for, also those that have no objects yet.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "pfs/lov.h"
#include "pfs/pfs_internal.h"

#define MAGIC_EXTENDING 0x0bd80bd0u
#define COUNT_ALL	0xffffu

static bool known_magic(uint32_t magic)
{
	return magic == MAGIC_V1 || magic == MAGIC_V3;
}

static int read_rule(const unsigned char *p, size_t len, struct pfs_policy *out,
	struct pfs_rule *rule)
{
	uint32_t magic, pattern;

	if (len < HEAD_LEN)
		return -EBADMSG;
	magic = pfs_get32(p);
	if (magic == MAGIC_FOREIGN || magic == MAGIC_EXTENDING) {
		out->strange = true;
		return 0;
	}
	if (!known_magic(magic) || (magic == MAGIC_V3 && len < HEAD_V3_LEN))
		return -EBADMSG;
	pattern = pfs_get32(p + 4);
	rule->on_mdt = pattern & PATTERN_MDT;
	rule->overstriped = pattern & PATTERN_OVERSTRIPED;
	/* 0 is a default that says nothing about it. */
	if (pattern & ~(PATTERN_RAID0 | PATTERN_MDT | PATTERN_OVERSTRIPED))
		out->strange = true;
	rule->stripe_size = pfs_get32(p + 24);
	rule->count = pfs_get16(p + 28);
	if (rule->count == COUNT_ALL)
		rule->count = PFS_ALL;
	else if (rule->count > PFS_STRIPES_MAX)
		return -EBADMSG;
	if (magic == MAGIC_V3)
		memcpy(rule->pool, p + 32,
			strnlen((const char *)p + 32, PFS_POOL_NAME - 1));
	return 0;
}

static int read_component(const unsigned char *lov, size_t len,
	const unsigned char *entry, struct pfs_policy *out)
{
	struct pfs_rule *rule = &out->rule[out->n_rules];
	uint32_t at = pfs_get32(entry + 24), size = pfs_get32(entry + 28);
	uint64_t before = out->n_rules ? rule[-1].end : 0;
	int r;

	if (at > len || size > len - at)
		return -EBADMSG;
	r = read_rule(lov + at, size, out, rule);
	if (r < 0)
		return r;
	rule->start = pfs_get64(entry + 8);
	rule->end = pfs_get64(entry + 16);
	if (rule->start >= rule->end)
		return -EBADMSG;
	if (pfs_get32(entry + 4) & ~FLAG_INIT || rule->start != before)
		out->strange = true;
	out->n_rules++;
	return 0;
}

static int read_composite(const unsigned char *lov, size_t len, struct pfs_policy *out)
{
	uint32_t total, n;
	int r = pfs_lustre_composite(lov, len, &total, &n);

	if (r < 0)
		return r;
	out->composite = true;
	/* Mirrors, and more components than anybody gives to all files. */
	out->strange = pfs_get16(lov + 16) || n > PFS_RULES_MAX;
	for (uint32_t i = 0; i < n && i < PFS_RULES_MAX && r == 0; i++)
		r = read_component(
			lov, total, lov + HEAD_LEN + (size_t)i * COMPONENT_LEN, out);
	return r;
}

int pfs_lustre_policy(const void *lov, size_t len, struct pfs_policy *out)
{
	int r;

	memset(out, 0, sizeof(*out));
	if (len < sizeof(uint32_t) || len > PFS_LOV_MAX)
		return -EBADMSG;
	if (pfs_get32(lov) == MAGIC_COMPOSITE)
		return read_composite(lov, len, out);
	r = read_rule(lov, len, out, &out->rule[0]);
	out->rule[0].end = UINT64_MAX;
	out->n_rules = r == 0;
	return r;
}

/* As a component that was asked for may be read back: what was left open has a value. */
static bool keeps_rule(const struct pfs_rule *got, const struct pfs_rule *asked)
{
	return got->start == asked->start && got->end == asked->end &&
	       got->on_mdt == asked->on_mdt &&
	       (!asked->overstriped || got->overstriped) &&
	       (!asked->stripe_size || got->stripe_size == asked->stripe_size) &&
	       /* Without one a file may inherit that of its directory. */
	       (!asked->pool[0] || strcmp(got->pool, asked->pool) == 0);
}

bool pfs_lustre_keeps(const void *lov, size_t len, const struct pfs_stripes *wish)
{
	struct pfs_policy got, asked = {.n_rules = 1, .rule[0].end = UINT64_MAX};
	uint32_t chosen = 0;

	if (pfs_lustre_policy(lov, len, &got) < 0 || got.strange)
		return false;
	if (wish->policy) {
		asked = *wish->policy;
		chosen = wish->rule;
	} else {
		snprintf(asked.rule[0].pool, PFS_POOL_NAME, "%s",
			wish->pool ? wish->pool : "");
	}
	if (wish->size)
		asked.rule[chosen].stripe_size = wish->size;
	if (got.composite != asked.composite || got.n_rules != asked.n_rules ||
		got.rule[chosen].count != wish->count)
		return false;
	for (uint32_t i = 0; i < got.n_rules; i++)
		if (!keeps_rule(&got.rule[i], &asked.rule[i]))
			return false;
	return true;
}

/* 1: it has one. 0: none of its own, or nothing that could be asked. */
static int ask(const char *path, struct pfs_policy *out)
{
	unsigned char lov[PFS_LOV_MAX];
	ssize_t len = getxattr(path, "lustre.lov", lov, sizeof(lov));

	memset(out, 0, sizeof(*out));
	if (len < 0)
		return 0;
	/* Whatever it is: the file system knows what to make of it. */
	if (pfs_lustre_policy(lov, (size_t)len, out) < 0) {
		memset(out, 0, sizeof(*out));
		out->strange = true;
	}
	return 1;
}

/* Makes the path that of the directory above, if it is of the same file system. */
static bool go_up(char *path, dev_t dev)
{
	char *slash = strrchr(path, '/');
	struct stat st;

	if (!slash || !path[1])
		return false;
	slash[slash == path] = '\0';
	return stat(path, &st) == 0 && st.st_dev == dev;
}

void pfs_lustre_policy_at(const char *path, struct pfs_policy *out)
{
	SCOPED_FREE char *real = NULL, *root = NULL;
	struct stat st;

	if (ask(path, out) || stat(path, &st) < 0)
		return;
	real = realpath(path, NULL);
	if (!real)
		return;
	do {
		free(root);
		root = strdup(real);
	} while (root && go_up(real, st.st_dev));
	if (root)
		ask(root, out);
}
