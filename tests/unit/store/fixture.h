/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Small trees for the tests of the store: a table of items is a manifest, and files on
 * disk, as a run would bring them. Owner is whoever runs the test.
 */
#ifndef TESTS_UNIT_STORE_FIXTURE_H
#define TESTS_UNIT_STORE_FIXTURE_H

#include "store/store_internal.h"
#include "suite.h"

#define SCOPED_STORE SCOPED(store_closep)
#define ID_A	     "0123456789abcdef0123456789abcdef"
#define ID_B	     "fedcba9876543210fedcba9876543210"

struct item {
	const char *path;
	enum manifest_kind kind;
	uint32_t mode;
	const char *text;  /* content, repeated @times, or link target */
	unsigned times;	   /* 0 counts as 1 */
	unsigned inode;	   /* same number: hard links */
	const char *xattr; /* value of user.test */
	unsigned age;	   /* added to mtime */
};
#define DIRECTORY(p, m)                                                                \
	{                                                                              \
		.path = (p), .kind = MANIFEST_DIR, .mode = (m)                         \
	}
#define PLAIN(p, t)                                                                    \
	{                                                                              \
		.path = (p), .kind = MANIFEST_FILE, .mode = 0644, .text = (t)          \
	}
#define LINK(p, t)                                                                     \
	{                                                                              \
		.path = (p), .kind = MANIFEST_SYMLINK, .mode = 0777, .text = (t)       \
	}

struct items {
	const struct item *item;
	size_t n;
};
#define ITEMS(a) ((struct items){(a), sizeof(a) / sizeof((a)[0])})

/*
 * One of everything: nested read-only directories, odd names, links across directories.
 */
extern const struct items everything;

/* The tree of @items, digests included. The caller frees it. */
struct manifest *fixture_manifest(struct items items, const char *id);
/* Create below @treefd what @m lists and @need (NULL: all) wants; directories 0700. */
void fixture_bring(
	int treefd, const struct manifest *m, const uint64_t *need, struct items items);
/* begin, bring, seal; and commit if @how is not negative. */
void fixture_prepare(struct store *s, const char *id, const struct manifest *m,
	const uint64_t *need, struct items items, int how);
/* All of it: a published run. */
void fixture_publish(const char *dest, const char *id, struct items items, int how);

struct store *fixture_open(const char *dest);
/* @act on the store in a process that dies after step @k. False once it gets through. */
bool fixture_until(const char *dest, int k, int (*act)(struct store *s));
/* The same of its publication. */
bool fixture_publish_until(const char *dest, int k);
/* "TMP/name" */
const char *fixture_dest(const char *tmp, const char *name, char out[128]);
void fixture_write(int dirfd, const char *name, const char *text);

/*
 * All that is below @dest but `.ebt` as text: names, kinds, modes, sizes, times, link
 * counts, content. The caller frees it.
 */
char *fixture_snapshot(const char *dest);
/* How many entries of @m differ from @dest. */
uint64_t fixture_verify(const char *dest, const struct manifest *m);
/* True, and says that the test is not tried, for those who cannot give files away. */
bool fixture_needs_root(void);
/* Names in .ebt/incoming of @dest. */
int fixture_incoming(const char *dest);

#endif
