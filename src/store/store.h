/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A node-local store: a directory whose content is plain files under their own names,
 * and `.ebt/` inside it, mode 0700, which is ours:
 *
 *   .ebt/lock              held (flock) by the run that works on the store
 *   .ebt/manifest          what the store holds by EBT's hand
 *   .ebt/incoming/ID/tree  what run ID is bringing, under final relative names
 *   .ebt/incoming/ID/manifest
 *   .ebt/publish           record of a publication that has begun: its ID, policy, boot
 *   .ebt/gave_up           the ID of the last publication that was given up here
 *
 * Life of a run on one node: open, begin (incoming/ID), files are written below tree,
 * seal (the manifest of the run, complete with digests, saved beside it), commit (the
 * record, synced), publish (rename everything into place, save the merged manifest,
 * drop record and incoming). Before commit a crash leaves nothing that counts; after it
 * every step can be repeated: publish moves what is still in incoming/ID/tree and skips
 * what is not.
 *
 * The record says that all nodes had everything in place and verified. Recovery
 * therefore rolls forward, and a node without a record of its own may do so too if
 * another node of the job has one for the same ID (store_commit, and when all nodes have
 * done that, store_publish).
 *
 * One process per store; calls of one store from one thread. Local: nothing here is
 * collective.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/scope.h"
#include "ebt/err.h"
#include "manifest/manifest.h"

enum store_overwrite {
	STORE_REFUSE = 0, /* a target that exists is an error; directories may exist */
	STORE_ALWAYS = 1, /* replace what is there, a directory only by a directory */
	STORE_UPDATE = 2, /* as always, for what differs; decided before data moves */
};

struct store;

enum store_use {
	STORE_EXISTING = 0, /* what is no store is -ENOENT */
	STORE_CREATE = 1, /* the directory and its parents are made, 0700, if missing */
	STORE_READ = 2,	  /* an existing one, only to look at */
};
/*
 * Open the store at @path and lock it: -EWOULDBLOCK if another run holds it. With STORE_READ
 * others may read at the same time, and on a read-only file system there may be no lock file.
 *
 * -EPERM: another user (but root) could replace what is in the store, as he owns it or a
 * directory above, or may write there without a sticky bit; where mode 0700 of a directory of
 * ours keeps others out only owners count. Not asked with STORE_READ. In any case a link of
 * another user's on the way is, and a `.ebt` that is a link, is not ours, or is open to others.
 */
int store_open(
	const char *path, enum store_use use, struct store **out, struct ebt_err *err);
void store_close(struct store *s);
/*
 * The same in two steps, for who waits: a store that is known by name alone, then, as often as
 * needed, its lock, with the results of store_open. Given back the lock is another run's, and
 * what that finds is all that may be known of the store: nothing read before counts. What was
 * made stays known as made, and goes with store_abandon; after a failure it has gone.
 */
int store_name(
	const char *path, enum store_use use, struct store **out, struct ebt_err *err);
int store_lock(struct store *s, struct ebt_err *err);
void store_unlock(struct store *s);
bool store_locked(const struct store *s);
/*
 * After store_lock, also where another run had it: a number that is the same for whoever opens
 * the same store, by whatever path and from whatever node. 0: not known, or with STORE_READ.
 */
uint64_t store_identity(const struct store *s);
DEFINE_SCOPED(struct store, store_close)

int store_dirfd(const struct store *s); /* of the store itself; stays the store's */
const char *store_path(const struct store *s);
const char *store_real_path(const struct store *s); /* absolute and without links */

/*
 * The manifest of the store at @path, whosever it is, without a lock: what a run saves meanwhile
 * is seen before or after. -ENOENT if there is none. The caller frees it.
 */
int store_peek(const char *path, struct manifest **m, struct ebt_err *err);

/* For manifest_new_in: large manifests of a run lie where its files do. -1: they may not. */
int store_room(const struct store *s);

/* Length of the manifest of what the store holds; 0: nothing has come yet. */
uint64_t store_manifest_bytes(const struct store *s);
/* What the store holds; NULL in *m if nothing yet. The caller frees it. */
int store_manifest(struct store *s, struct manifest **m, struct ebt_err *err);

/* What staging has put into a store, as far as that can be told. */
struct store_staged {
	struct manifest
		*m; /* of the store; NULL: nothing came yet, or it cannot be read */
	struct manifest
		*run; /* of a publication that did not end, in place or not; or NULL */
	bool unknown; /* something was staged of which neither says */
};
/* @name in `.ebt` is not in order, @why in full. Negative to give up, with @err. */
typedef int store_doubt_fn(
	void *arg, const char *name, const struct ebt_err *why, struct ebt_err *err);
/*
 * Of the store at @path whose `.ebt` is @ebtfd; no lock is needed. *out, from zeros, is the
 * caller's in any case. All that is not in order is told, and only -ENOMEM is a failure besides.
 */
int store_staged(int ebtfd, const char *path, struct store_staged *out,
	store_doubt_fn *doubt, void *arg, struct ebt_err *err);
void store_staged_release(struct store_staged *staged);

/*
 * Recovery, first half: the ID of a publication that began here and did not end, or "", and
 * its policy (@how may be NULL).
 */
int store_pending(
	struct store *s, char id[33], enum store_overwrite *how, struct ebt_err *err);
/* 1 if incoming/@id is here and complete (sealed), 0 if not, or a negative errno. */
int store_has_incoming(struct store *s, const char *id);
/*
 * From here on removing incoming trees ends early where @enough, asked before each file, says
 * so (NULL: never). What is left does not count, and goes with the next store_clean.
 */
void store_limit_removal(struct store *s, bool (*enough)(void *arg), void *arg);
/*
 * Remove all incoming trees but @keep (NULL: all), and the record unless it names
 * @keep. What a dead run left is gone then. 1: as far as that was enough.
 */
int store_clean(struct store *s, const char *keep, struct ebt_err *err);

/*
 * Begin run @id: makes incoming/ID/tree. *treefd is the caller's. -EEXIST: @id was
 * used.
 */
int store_begin(struct store *s, const char *id, int *treefd, struct ebt_err *err);
/*
 * After store_begin, before anything is brought: can the file system hold the extended
 * attributes of @m and, as root, owners? The text of a failure names the first entry for
 * which it cannot and the option that leaves them behind. Entries whose bit in @need is
 * clear do not count, but for directories. What it makes of times goes into @m->times.
 */
int store_can_hold(
	struct store *s, struct manifest *m, const uint64_t *need, struct ebt_err *err);
/*
 * Names of @m that stand in the way: 0 none, 1 at least one. Up to @max of them go into
 * @text, one a line, as text_name gives them; *n gets their number (counted up to
 * 1000). STORE_REFUSE: whatever is not a directory on both sides, if @need has it or is NULL.
 * Else only a directory against something else. A link where @m has a directory is always in the
 * way, and so is `.ebt`. -EBUSY: on one of them something is mounted. -EACCES or -EPERM: a
 * directory of somebody else's takes nothing from us, or a flag keeps a name as it is, or others
 * could replace what is put into one. Of files only those are looked at in this way that @need
 * has; where UPDATE does not know them yet (NULL), none.
 */
int store_conflicts(struct store *s, const struct manifest *m, const uint64_t *need,
	enum store_overwrite how, unsigned max, char *text, size_t size, uint64_t *n,
	struct ebt_err *err);
/*
 * Marks in bitmap @need (one bit per entry, set by the caller or not) every
 * non-directory whose target here is missing or differs in kind, size, mtime, mode,
 * owner (as root, but for entries with no_owner), link target or xattrs. Times are
 * compared as @m->times says. A group of hard links is needed whole or not at all.
 */
int store_compare(
	struct store *s, const struct manifest *m, uint64_t *need, struct ebt_err *err);

/*
 * What a store holds is a copy of: .ebt/roots, see store_roots.c and share/man. A path below the
 * store, "" for all of it, and where that has its place: an absolute path, or NULL for nowhere.
 */
struct store_root {
	const char *path, *origin;
	const char *
		from; /* derived from this, as from an archive: never to be written back; or NULL */
	bool whole;	/* else some of what is there is not here */
	bool read_only; /* whoever staged it could not have changed it */
};
struct store_roots {
	struct store_root *of;
	size_t n;
	char *text; /* into which they point, or NULL: the caller's */
};
void store_roots_release(struct store_roots *r);
/* To text and back; -EBADMSG damaged, -EPROTONOSUPPORT a later version. */
int store_roots_format(
	const struct store_roots *r, struct buf *out, struct ebt_err *err);
int store_roots_parse(
	const char *text, size_t len, struct store_roots *out, struct ebt_err *err);
/* Those of the store, none where it has no such file. */
int store_roots_load(struct store *s, struct store_roots *out, struct ebt_err *err);
/*
 * The open run brings @r: at its publication the store gets them, behind what it has, but for what
 * they say anew. Before store_seal.
 */
int store_roots_prepare(
	struct store *s, const struct store_roots *r, struct ebt_err *err);

/*
 * All is in incoming: give its directories their attributes, write the manifest that the store
 * will have, save @m, complete with digests, as incoming's manifest. Non-directories whose bit
 * in @need is clear were not brought (need NULL: all were) and stay as they are in the
 * store. @no_xattrs: @m knows of no extended attributes, so directories that exist keep
 * theirs. -EINVAL if @m has a `.ebt` at its top.
 */
int store_seal(struct store *s, const struct manifest *m, const uint64_t *need,
	bool no_xattrs, struct ebt_err *err);
/*
 * After store_seal: would store_publish get through? @need as there. Tries it where directories
 * exist already, see store_try.c; afterwards they are as they were. 0, or a negative errno and
 * the path that forbids it.
 */
int store_try(struct store *s, const struct manifest *m, const uint64_t *need,
	struct ebt_err *err);
/*
 * Write the record of sealed run @id, begun here or in an earlier process. It names the
 * boot in which the run was sealed.
 */
int store_commit(
	struct store *s, const char *id, enum store_overwrite how, struct ebt_err *err);
/*
 * Rename everything of the committed run into place, set the attributes of directories that
 * existed, put the new manifest in place, remove record and incoming. Can be repeated after any
 * interruption. After a reboot (the record names another boot) the files are verified
 * first: -EBADMSG and nothing renamed if the medium lost some. -ENOENT: nothing was
 * committed. Directories that exist, belong to somebody else and so cannot be changed
 * keep their attributes: a warning. -EPERM: others have made a directory meanwhile.
 */
int store_publish(struct store *s, const struct log *log, struct ebt_err *err);
/*
 * End a publication that cannot be finished, or a sealed run that others may publish: what is
 * in place stays and is in the manifest, the rest goes, see store_give_up.c. Needs no other
 * node. Can be repeated after any interruption. 1: something was ended, 0: there was nothing,
 * or a negative errno. Files whose version before is gone, and files that are gone
 * altogether, are warnings; the first few are named.
 */
struct store_gave_up {
	char id[33];	   /* of the run, "" for none */
	bool complete;	   /* all had its place already, and has it */
	uint64_t in_place; /* files and links of the run */
	uint64_t removed;  /* that were not renamed yet */
	uint64_t replaced; /* of those in place, over another version */
	uint64_t missing;  /* in place neither as the run brought them nor as before */
};
int store_give_up(struct store *s, const struct log *log, struct store_gave_up *out,
	struct ebt_err *err);
/* Did this store give run @id up, as the last one? */
bool store_has_given_up(struct store *s, const char *id);
/*
 * Taking back run @id, before store_publish, is two steps, and all nodes finish the first before
 * any begins the second: a node whose tree is gone beside one with a record could not be told
 * from one that lost its data. First the record, if it names @id; what was sealed stays.
 */
int store_uncommit(struct store *s, const char *id, struct ebt_err *err);
/*
 * Then incoming/ID and, if it was all we ever put here, `.ebt`, DEST and directories above it
 * as far as this process created them and they are empty; after that only store_unmake and
 * store_close. -EBUSY: the record still names @id. 1: some of it is left, see
 * store_limit_removal.
 */
int store_abandon(struct store *s, const char *id, struct ebt_err *err);
/*
 * After store_abandon, or where another run has the lock: stores of several processes may lie
 * below one new directory. Tries the rest again. True if something went, so that another process
 * may now be able to go on.
 */
bool store_unmake(struct store *s);

/*
 * Re-read all that @m lists below @dirfd and compare kind, size, digest, link target,
 * mode, mtime as the store holds it, owner (as root, but for entries with no_owner), xattrs
 * and which names are hard links of one another, with @threads threads. *bad counts the
 * entries that differ; @tell is called for each, from one thread at a time, with its path
 * and a list of differences. Directories' times are not compared.
 */
int store_verify(int dirfd, const struct manifest *m, unsigned threads,
	void (*tell)(void *arg, const char *path, const char *what), void *arg,
	uint64_t *bad, struct ebt_err *err);

/* A file that may still be what was staged, see store_contents.c. */
struct store_content {
	uint32_t entry;	 /* of store_contents.m: where it is */
	bool read, same; /* results; what cannot be read is not the same */
	const struct manifest_entry *was; /* of the store's manifest */
	struct ebt_digest digest;	  /* that it is to have */
	/* A result: of one that was read and is the same, for the next time. */
	struct manifest_copy copy;
};
struct store_contents {
	const struct manifest *m; /* a tree */
	int dirfd;		  /* of what is its root */
	struct store_content *files;
	size_t n;
	unsigned threads;
	bool (*stopped)(void *arg); /* any thread; NULL: never */
	void *arg;
};
/*
 * 0, -EINTR where it was stopped, or what ended it, as lack of memory. Reads with @threads
 * threads, a buffer of 1 MiB each.
 */
int store_compare_contents(const struct store_contents *c);

#endif
