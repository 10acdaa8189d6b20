/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef STORE_STORE_INTERNAL_H
#define STORE_STORE_INTERNAL_H

#include <sys/stat.h>

#include "base/buf.h"
#include "store/store.h"

#define STORE_OWN ".ebt" /* our directory in the store */

typedef void store_step_fn(void *arg);

struct store {
	char *path;
	int dirfd;         /* of the store */
	int ebtfd;         /* of .ebt */
	int lockfd;        /* holds the lock */
	int runfd;         /* incoming/ID, -1 between runs */
	char id[33];       /* of the run in runfd */
	bool made_dest, made_ebt; /* by this process */
	bool takes_xattrs;        /* of user.*, known after store_begin */
	/*
	 * Called by publish after each change on disk, so that tests can stop right
	 * there.
	 */
	store_step_fn *step;
	void *step_arg;
};

static inline void store_step(const struct store *s)
{
	if (s->step)
		s->step(s->step_arg);
}

/* Open directories of a manifest below a root, never through a link. */
struct store_level {
	uint32_t dir; /* entry */
	int fd;       /* -1: closed for now, or not reached yet */
};
struct store_walk {
	const struct manifest *m;
	int root;   /* the caller's */
	int flags;  /* O_RDONLY or O_PATH */
	bool force; /* give directories of ours the bits we need */
	struct store_level *levels;
	size_t depth, cap;
};
/*
 * Descriptor of directory entry @dir (MANIFEST_ROOT: the root), valid until the next
 * call, or a negative errno. Neighbours in the order of the manifest cost one openat.
 */
int store_walk_to(struct store_walk *w, uint32_t dir);
void store_walk_release(struct store_walk *w);
#define SCOPED_WALK SCOPED(store_walk_release)

/* Differences between an entry and what is on disk, as bits. */
enum store_diff {
	STORE_DIFF_MISSING = 1 << 0,
	STORE_DIFF_KIND = 1 << 1,
	STORE_DIFF_SIZE = 1 << 2,
	STORE_DIFF_CONTENT = 1 << 3,
	STORE_DIFF_TARGET = 1 << 4,
	STORE_DIFF_MODE = 1 << 5,
	STORE_DIFF_OWNER = 1 << 6,
	STORE_DIFF_MTIME = 1 << 7,
	STORE_DIFF_XATTRS = 1 << 8,
	STORE_DIFF_LINKS = 1 << 9,
	STORE_DIFF_UNREADABLE = 1 << 10,
};
/*
 * All but content and links of @e against the object at @dirfd under its name, which
 * @st describes. Bits, or a negative errno. @scratch is overwritten.
 */
int store_diff(
	int dirfd, const struct manifest_entry *e, const struct stat *st, struct buf *scratch);
/* "mode, mtime" */
const char *store_diff_text(int bits, char *out, size_t size);

/* Names of one inode must stay so: who was found where, one element an entry. */
struct store_ident {
	dev_t dev;
	ino_t ino; /* 0: not seen */
};
/* NULL in *idents if @m has no hard links. */
int store_idents_new(const struct manifest *m, struct store_ident **idents);
bool store_ident_differs(
	const struct manifest *m, const struct store_ident *idents, uint32_t i);

/*
 * Permission bits of @e for a file that belongs to these: no set-id bits for anybody
 * else.
 */
uint32_t store_mode(const struct manifest_entry *e, uint32_t uid, uint32_t gid);

#define STORE_BUFFER (8 * DIGEST_LEAF)
/*
 * Digest of the @size bytes of @fd; holes are not read. @data: STORE_BUFFER bytes. 1 if
 * the file ends early, 0, or a negative errno.
 */
int store_digest(int fd, uint64_t size, void *data, struct ebt_digest *digest);
/*
 * Open a file of ours for reading even if its mode forbids; *opened: restore
 * st->st_mode.
 */
int store_open_file(int dirfd, const char *name, const struct stat *st, bool *opened);

/* Record of a publication that has begun. */
struct store_record {
	char id[33];
	char boot[40];
	enum store_overwrite how;
};
/* 1 and *rec, 0 if there is none, or a negative errno. */
int store_record_load(struct store *s, struct store_record *rec, struct ebt_err *err);
int store_record_save(struct store *s, const struct store_record *rec, struct ebt_err *err);
int store_record_drop(struct store *s, struct ebt_err *err);
int store_boot_id(char boot[40]);

bool store_id_ok(const char *id);
/*
 * Make or open directory @name, private to us, with nothing inherited from its parent.
 */
int store_private_dir(int dirfd, const char *name, bool *made);
/* Open incoming/@id of an earlier begin, here or in a process before. */
int store_open_run(struct store *s, const char *id, struct ebt_err *err);
void store_close_run(struct store *s);
/*
 * Remove incoming/@id. The manifest goes first: without it the rest is known as
 * rubbish.
 */
int store_remove_run(struct store *s, const char *id, struct ebt_err *err);

/* What store_seal kept as @need; NULL: everything was brought. The caller frees it. */
int store_load_need(
	struct store *s, const struct manifest *m, uint64_t **need, struct ebt_err *err);

/* True if the open run was sealed with no_xattrs. */
bool store_no_xattrs(const struct store *s);
/*
 * As store_set_attributes on a directory that may have existed; with @keep its extended
 * attributes are left alone.
 */
int store_set_directory(int fd, const struct manifest_entry *e, bool keep, struct ebt_err *err);

struct store_verify {
	const struct manifest *m;
	int roots[2];         /* the first that has the entry counts; -1: only one */
	const uint64_t *need; /* entries to look at, NULL: all */
	bool skip_dirs;
	unsigned threads;
	void (*tell)(void *arg, const char *path, const char *what);
	void *arg;
};
int store_verify_run(const struct store_verify *v, uint64_t *bad, struct ebt_err *err);

/* Path of entry @i below the store, allocated; NULL when memory is short. */
char *store_entry_path(const struct manifest *m, uint32_t i);
/* ebt_fail with "@doing STORE/PATH". */
int store_fail(const struct store *s, int code, const char *doing, const struct manifest *m,
	uint32_t i, struct ebt_err *err);

#endif
