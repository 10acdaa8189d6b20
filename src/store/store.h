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

/*
 * Open the store at @path and lock it: -EWOULDBLOCK if another run holds it. With
 * @create the directory and its parents are made, 0700, where they are missing; without
 * it, what is no store is -ENOENT. Refuses a `.ebt` that is a link, is not ours, or is
 * open to others: -EPERM.
 */
int store_open(const char *path, bool create, struct store **out, struct ebt_err *err);
void store_close(struct store *s);
DEFINE_SCOPED(struct store, store_close)

int store_dirfd(const struct store *s);  /* of the store itself; stays the store's */
const char *store_path(const struct store *s);

/* What the store holds; NULL in *m if nothing yet. The caller frees it. */
int store_manifest(struct store *s, struct manifest **m, struct ebt_err *err);

/*
 * Recovery, first half: the ID of a publication that began here and did not end, or "", and
 * its policy (@how may be NULL).
 */
int store_pending(struct store *s, char id[33], enum store_overwrite *how,
	struct ebt_err *err);
/* 1 if incoming/@id is here and complete (sealed), 0 if not, or a negative errno. */
int store_has_incoming(struct store *s, const char *id);
/*
 * Remove all incoming trees but @keep (NULL: all), and the record unless it names
 * @keep. What a dead run left is gone then.
 */
int store_clean(struct store *s, const char *keep, struct ebt_err *err);

/*
 * Begin run @id: makes incoming/ID/tree. *treefd is the caller's. -EEXIST: @id was
 * used.
 */
int store_begin(struct store *s, const char *id, int *treefd, struct ebt_err *err);
/*
 * After store_begin: false if the file system takes no user.* attributes, as older
 * tmpfs.
 */
bool store_takes_xattrs(const struct store *s);
/*
 * Names of @m that stand in the way: 0 none, 1 at least one. Up to @max of them go into
 * @text, one a line, as text_name gives them; *n gets their number (counted up to
 * 1000). STORE_REFUSE: whatever is not a directory on both sides. ALWAYS, UPDATE: only
 * a directory against something else. A link where @m has a directory is always in the
 * way, and so are `.ebt` and a directory on which another file system is mounted. -EACCES
 * or -EPERM: a directory of somebody else's takes nothing from us.
 */
int store_conflicts(struct store *s, const struct manifest *m, enum store_overwrite how,
	unsigned max, char *text, size_t size, uint64_t *n, struct ebt_err *err);
/*
 * Marks in bitmap @need (one bit an entry, set by the caller or not) every
 * non-directory whose target here is missing or differs in kind, size, mtime, mode,
 * owner (as root), link target or xattrs. A group of hard links is needed whole or not
 * at all.
 */
int store_compare(struct store *s, const struct manifest *m, uint64_t *need,
	struct ebt_err *err);

/*
 * Save @m, complete with digests, as incoming's manifest. Non-directories whose bit in
 * @need is clear were not brought (need NULL: all were) and stay as they are in the
 * store. @no_xattrs: @m knows of no extended attributes, so directories that exist keep
 * theirs. -EINVAL if @m has a `.ebt` at its top.
 */
int store_seal(struct store *s, const struct manifest *m, const uint64_t *need,
	bool no_xattrs, struct ebt_err *err);
/*
 * Write the record of sealed run @id, begun here or in an earlier process. It names the
 * boot in which the run was sealed.
 */
int store_commit(struct store *s, const char *id, enum store_overwrite how,
	struct ebt_err *err);
/*
 * Rename everything of the committed run into place, set the attributes of directories,
 * save the merged manifest, remove record and incoming. Can be repeated after any
 * interruption. After a reboot (the record names another boot) the files are verified
 * first: -EBADMSG and nothing renamed if the medium lost some. -ENOENT: nothing was
 * committed. Directories that exist, belong to somebody else and so cannot be changed
 * keep their attributes: a warning.
 */
int store_publish(struct store *s, const struct log *log, struct ebt_err *err);
/*
 * Giving up run @id, before store_publish, is two steps, and all nodes finish the first before
 * any begins the second: a node whose tree is gone beside one with a record could not be told
 * from one that lost its data. First the record, if it names @id; what was sealed stays.
 */
int store_uncommit(struct store *s, const char *id, struct ebt_err *err);
/*
 * Then incoming/ID and, if it was all we ever put here, `.ebt` and DEST when this process
 * created them; after that only store_close. -EBUSY: the record still names @id.
 */
int store_abandon(struct store *s, const char *id, struct ebt_err *err);

/*
 * Re-read all that @m lists below @dirfd and compare kind, size, digest, link target,
 * mode, mtime, owner (as root), xattrs and which names are hard links of one another,
 * with @threads threads. *bad counts the entries that differ; @tell is called for each,
 * from one thread at a time, with its path and a list of differences. Directories'
 * times are not compared.
 */
int store_verify(int dirfd, const struct manifest *m, unsigned threads,
	void (*tell)(void *arg, const char *path, const char *what), void *arg, uint64_t *bad,
	struct ebt_err *err);

/* What the kernel gave a file when it was created. */
struct store_made {
	uint32_t uid, gid;
	uint32_t mode; /* permission bits */
};
/*
 * For files created below *treefd: open them with this mode, and the rest holds too.
 * The tree is private, so the mode is the most common one: the fewest calls to change
 * it later.
 */
struct store_made store_made_file(void);

/*
 * The attributes of entry @e onto open @fd: owner (as root; else the group where it is
 * ours to give), xattrs, mode, times. Set-id bits only together with the owner or group
 * they belong to. @made: the file is new, looks like that and has no xattrs; only what
 * differs is changed. NULL: found out, and xattrs that @e does not have are removed.
 * Xattrs that the file system cannot hold are -ENOTSUP with @made, else left out: ask
 * store_takes_xattrs before it is too late.
 */
int store_set_attributes(int fd, const struct manifest_entry *e, const struct store_made *made,
	struct ebt_err *err);
/* The same for a symlink @e->name in @dirfd: owner and times. */
int store_set_link_attributes(int dirfd, const struct manifest_entry *e, struct ebt_err *err);

#endif
