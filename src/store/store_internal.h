/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef STORE_STORE_INTERNAL_H
#define STORE_STORE_INTERNAL_H

#include <sys/stat.h>
#include <unistd.h>

#include "attr/attr.h"
#include "base/buf.h"
#include "store/store.h"

#define STORE_OWN	".ebt"	    /* our directory in the store */
#define STORE_INCOMING	"incoming"  /* in it, that of incoming trees */
#define STORE_NO_XATTRS "no_xattrs" /* in that of a run: see store_seal.c */

typedef void store_step_fn(void *arg);

/* Why others could replace what is put into a directory. */
enum store_danger {
	STORE_SAFE = 0,
	STORE_FOREIGN = 1, /* it is another user's */
	STORE_GROUP = 2,   /* a group may write to it that others belong to */
	STORE_WORLD = 3,   /* all may write to it */
};
struct store_guard {
	bool closed; /* a directory of ours above, or the directory itself, lets nobody in */
	/* What a manifest of ours says of it, if it does: its owner and whom its mode lets in. */
	const struct manifest_entry *named;
	/* Of the lookup before. */
	bool asked, own;
	uid_t uid;
	gid_t gid;
};
/* Of directory @name in @dirfd, "." for that itself, which @st describes. O_PATH will do. */
enum store_danger store_danger(
	struct store_guard *g, int dirfd, const char *name, const struct stat *st);
/* ebt_failx with -EPERM: @path cannot be used because of @where, which it leads through. */
int store_refuse(const char *path, const char *where, enum store_danger danger,
	const struct stat *st, struct ebt_err *err);
/* Neither us nor root; root of outside where a user namespace does not know him. */
bool store_stranger(uid_t uid);
/* A directory of ours into which nobody else gets. */
bool store_closed(const struct stat *st);

/* A directory that was made on the way to a store. */
struct store_way_made {
	size_t len; /* of its path in store_way.whole */
	dev_t dev;
	ino_t ino;
};
struct store_way {
	const char *path;	  /* as it was given, the caller's */
	char *whole;		  /* the same from the root */
	char *real;		  /* where that is, without links */
	int fd;			  /* O_PATH; -1 */
	struct store_guard guard; /* of what lies there */
	struct store_way_made *made;
	size_t n_made;
};
/*
 * Walks to @path; *p: zeros but for fd, or of a walk before. With STORE_CREATE what is missing is
 * made. A way that others could turn elsewhere is -EPERM; with STORE_READ only a link of
 * somebody else's is. 1: somebody removed what we stood in, try again.
 */
int store_way_open(
	struct store_way *p, const char *path, enum store_use use, struct ebt_err *err);
/*
 * Removes directories that were made on the way as far as they are empty. True if one went:
 * another store's may be empty now.
 */
bool store_way_unmake(struct store_way *p);
void store_way_release(struct store_way *p);

struct store {
	char *path;
	enum store_use use;
	uint64_t identity; /* see store_identity */
	struct store_way way;
	int dirfd;		   /* of the store */
	int ebtfd;		   /* of .ebt */
	int lockfd;		   /* holds the lock; -1 on a read-only file system */
	int runfd;		   /* incoming/ID, -1 between runs */
	char id[33];		   /* of the run in runfd */
	bool made_ebt;		   /* by this process */
	bool gone;		   /* .ebt, as all was given up */
	bool (*enough)(void *arg); /* see store_limit_removal */
	void *enough_arg;
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
	int fd;	      /* -1: closed for now, or not reached yet */
};
struct store_walk {
	const struct manifest *m;
	int root;   /* the caller's */
	int flags;  /* O_RDONLY or O_PATH */
	bool force; /* give directories of ours the bits we need */
	uint32_t
		stuck; /* the directory that the last call that failed could not enter */
	struct store_level *levels;
	size_t depth, cap;
	uint64_t steps;
	uint32_t near; /* see store_walk_passed */
};
/*
 * Descriptor of directory entry @dir (MANIFEST_ROOT: the root), valid until the next
 * call, or a negative errno. Neighbours in the order of the manifest cost one openat.
 */
int store_walk_to(struct store_walk *w, uint32_t dir);
/*
 * A manifest that lies in files is let go now and then, by steps of store_walk_to. Where many
 * entries may lie between two of them, as where a missing directory is left out: we are at @i.
 */
void store_walk_passed(struct store_walk *w, uint32_t i);
void store_walk_release(struct store_walk *w);
/* Give directory @name the bits that its owner needs, if it is ours and lacks any. */
void store_open_up(int parent, const char *name);
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
 * All but content and links of entry @e of @m against the object at @dirfd under its name,
 * which @st describes; times as the store of @m holds them. Bits, or a negative errno.
 * @scratch is overwritten.
 */
int store_diff(int dirfd, const struct manifest *m, const struct manifest_entry *e,
	const struct stat *st, struct buf *scratch);
/* "mode, mtime" */
const char *store_diff_text(int bits, char *out, size_t size);

/* Names of one inode must stay so: who was found where, one element per entry. */
struct store_ident {
	dev_t dev;
	ino_t ino; /* 0: not seen */
};
/* NULL in *idents if @m has no hard links. */
int store_idents_new(const struct manifest *m, struct store_ident **idents);
bool store_ident_differs(
	const struct manifest *m, const struct store_ident *idents, uint32_t i);

#define STORE_BUFFER (8 * DIGEST_LEAF)
/*
 * Digest of the @size bytes of @fd; holes are not read. @data: STORE_BUFFER bytes. 1 if
 * the file ends early, 0, or a negative errno: -EINTR if @stopped, asked before each
 * buffer unless it is NULL, says so.
 */
int store_digest(int fd, uint64_t size, void *data, bool (*stopped)(void *arg),
	void *arg, struct ebt_digest *digest);
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
int store_record_save(
	struct store *s, const struct store_record *rec, struct ebt_err *err);
int store_record_drop(struct store *s, struct ebt_err *err);

/* IDs come from records and from other nodes: nothing that could leave incoming. */
bool store_id_ok(const char *id);
/* Descriptor of the directory of incoming trees, or a negative errno. */
int store_open_incoming(const struct store *s);
/* "STORE/.ebt/incoming/ID: ..." */
int store_fail_run(
	const struct store *s, int code, const char *id, struct ebt_err *err);
/* The sealed run that is here, or "": there is one at most, each run removes others first. */
int store_sealed_run(struct store *s, char id[33], struct ebt_err *err);
/* The directory with which run @runfd tries whether it can be published, see store_try. */
int store_make_trial(int runfd);
/* True unless run @id, here in @incoming, died while that was out. */
bool store_trial_is_home(int incoming, const char *id);
/* Removes it from wherever in the store @m, the manifest of @id, may have led it. */
int store_end_trial(struct store *s, const struct manifest *m, const char *id);
/* False for a directory of somebody else's, whose attributes we leave alone. */
static inline bool store_may_change(const struct stat *st)
{
	return geteuid() == 0 || st->st_uid == geteuid();
}
/*
 * Make or open directory @name, private to us, with nothing inherited from its parent.
 */
int store_private_dir(int dirfd, const char *name, bool *made);
/* Open incoming/@id of an earlier begin, here or in a process before. */
int store_open_run(struct store *s, const char *id, struct ebt_err *err);
void store_close_run(struct store *s);
/*
 * Remove incoming/@id. The manifest goes first: without it the rest is known as
 * rubbish. 1: it was enough, the rest is left.
 */
int store_remove_run(struct store *s, const char *id, struct ebt_err *err);

/* What store_seal kept as @need; NULL: everything was brought. The caller frees it. */
int store_load_need(struct store *s, const struct manifest *m, uint64_t **need,
	struct ebt_err *err);

/* True if the open run was sealed with no_xattrs. */
bool store_no_xattrs(const struct store *s);
/*
 * What the store will hold with all of @m, saved as @name in @dirfd: @m over what it holds now.
 * @no_xattrs: directories that exist keep their extended attributes, and are listed with them.
 */
int store_save_merged(struct store *s, const struct manifest *m, bool no_xattrs,
	int dirfd, const char *name, struct ebt_err *err);
/* The same beside the open run; later it becomes the manifest of the store. */
int store_prepare_manifest(
	struct store *s, const struct manifest *m, bool no_xattrs, struct ebt_err *err);
/* False also after store_replace_manifest, and for runs that an older version sealed. */
bool store_manifest_prepared(const struct store *s);
/* What store_roots_prepare has written, if it has, becomes that of the store. */
int store_roots_replace(struct store *s, struct ebt_err *err);
/* The prepared manifest of the open run, whose own is @m, becomes that of the store. */
int store_replace_manifest(
	struct store *s, const struct manifest *m, struct ebt_err *err);

/*
 * Notes in @m what its entries whose bit in @moved is set look like in place, see
 * store_copies.c. What cannot be looked at is left out. Waits for 20 ms.
 */
void store_note_copies(struct store *s, struct manifest *m, const uint64_t *moved);

#define STORE_THREADS_MAX 256 /* the caller's word counts up to here */
/*
 * @work with @arg in @wanted threads at once, but no more than there are @parts of the work. The
 * caller is one of them; if others cannot be had, it takes longer.
 */
void store_run_threads(
	unsigned wanted, size_t parts, void *(*work)(void *arg), void *arg);

struct store_verify {
	const struct manifest *m;
	int roots[2];	      /* the first that has the entry counts; -1: only one */
	const uint64_t *need; /* entries to look at, NULL: all */
	bool skip_dirs;
	bool force; /* enter directories of ours that have not the bits for it */
	unsigned threads;
	void (*tell)(void *arg, const char *path, const char *what);
	void *arg;
};
int store_verify_run(const struct store_verify *v, uint64_t *bad, struct ebt_err *err);

/*
 * May something be put into directory @i of a run, which exists in directory @dirfd of the store
 * too? Not where others could replace it: -EPERM, with its path.
 */
int store_may_merge(struct store *s, const struct manifest *m, uint32_t i, int dirfd,
	struct ebt_err *err);

/* Path of entry @i below the store, allocated; NULL when memory is short. */
char *store_entry_path(const struct manifest *m, uint32_t i);
/* ebt_fail with "@doing STORE/PATH"; MANIFEST_ROOT is the store itself. */
int store_fail(const struct store *s, int code, const char *doing,
	const struct manifest *m, uint32_t i, struct ebt_err *err);
/* The same for the directory that @w could not enter. */
int store_fail_walk(const struct store *s, int code, const struct store_walk *w,
	struct ebt_err *err);

#endif
