/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A manifest: what is to be moved, and afterwards what a store holds by EBT's hand.
 *
 * Two shapes. While scanning it is *flat*: every entry's name is its whole path below
 * DEST and parent is MANIFEST_ROOT. manifest_arrange turns flat entries of any number
 * of ranks into a *tree*: sorted so that a directory stands right before what it holds
 * (component by component, bytes compared as unsigned), names are single components,
 * parent is an index.
 *
 * Not thread-safe, with one exception: digests of different or the same entry may be
 * summed from any thread by manifest_sum_digest.
 *
 * Cost: one struct manifest_entry plus its strings per entry, about 250 bytes. Those of a large
 * manifest may lie in files, of which a few pages are in memory at a time: see manifest_new_in.
 */
#ifndef MANIFEST_MANIFEST_H
#define MANIFEST_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/scope.h"
#include "ebt/err.h"
#include "fsio/fsio.h"

#define MANIFEST_NONE	   UINT32_MAX
#define MANIFEST_ROOT	   UINT32_MAX /* parent of what lies directly in the store */
#define MANIFEST_VERSION   1
#define MANIFEST_PATH_MAX  65535 /* bytes of a path, a source, a link's target */
/* Room for a path with its NUL. Much for a stack that others call from: on the heap, then. */
#define MANIFEST_PATH_SIZE (MANIFEST_PATH_MAX + 1)

enum manifest_kind {
	MANIFEST_DIR = 1,
	MANIFEST_FILE = 2,
	MANIFEST_SYMLINK = 3,
};

enum manifest_mark {
	MANIFEST_AHEAD = 1, /* the node that looked at it has its content in memory */
	MANIFEST_NEEDED = 2,
	MANIFEST_LACKED = 4, /* needed by this node, not only because others need it */
	MANIFEST_LINKED =
		8, /* of a flat manifest: a hard link, and group tells of which */
	/*
	 * A member of an archive, which is its source. Where the node that looked at it has not its
	 * content, that lies in the archive as it is, from byte ino on; changed is of the archive.
	 */
	MANIFEST_MEMBER = 16,
	MANIFEST_HERE = 32,  /* brought by an earlier batch: named for its links */
	MANIFEST_AGAIN = 64, /* what an earlier batch brought by this name goes */
};

/* Data of a sparse file: [off, off + len), ascending, not touching, within the file. */
struct manifest_extent {
	uint64_t off, len; /* bytes */
};

/* The copy of an entry in the store, as it was when it was published. */
struct manifest_copy {
	uint64_t ino;	  /* 0: nothing of this is known */
	uint64_t changed; /* ctime in nanoseconds */
	uint32_t uid, gid, mode;
};

struct manifest_entry {
	const char *name;   /* NUL-terminated; a component (tree) or a path (flat) */
	const char *target; /* of a symlink, else NULL */
	/* Extended attributes as fsio_xattrs_get packs them; NULL and 0 if none. */
	const unsigned char *xattrs;
	/*
	 * Of a file known to be mostly hole: the parts that hold data, rounded out to
	 * DIGEST_LEAF. NULL and 0: not known, the file may or may not have holes. A
	 * file that is nothing but hole lists its first leaf.
	 */
	const struct manifest_extent *extents;
	uint64_t size;	    /* bytes of content; 0 unless MANIFEST_FILE */
	uint64_t allocated; /* bytes the source occupied; below size: maybe holes */
	/*
	 * Of the source, to know hard links and replaced files, as the node that looked at
	 * it numbers them: see manifest_dev.
	 */
	uint64_t dev, ino;
	uint64_t changed;	  /* ctime of the source in nanoseconds; 0: not known */
	struct ebt_digest digest; /* base/digest.h; zero unless MANIFEST_FILE */
	int64_t mtime, atime;	  /* seconds */
	uint32_t mtime_ns, atime_ns;
	uint32_t parent; /* index of a directory entry, or MANIFEST_ROOT */
	/* Hard links: index of the first name, its own for the first; else NONE. */
	uint32_t group;
	uint32_t source; /* index into sources */
	uint32_t mode;	 /* permission bits, 07777 */
	uint32_t uid, gid;
	uint32_t nlink;	     /* of the source; above 1: it may be of a group */
	uint32_t xattrs_len; /* bytes */
	uint32_t n_extents;
	uint8_t kind; /* enum manifest_kind */
	/* Owner and group are the source's alone: neither given to the copy nor expected. */
	bool no_owner;
	uint8_t marks;		   /* enum manifest_mark: a run's own, none is saved */
	struct manifest_copy copy; /* each node's own: manifest_digest leaves it out */
};

struct manifest {
	struct manifest_entry *entries;
	uint32_t count;
	/*
	 * Where the entries came from: directories on the PFS, absolute. The source of
	 * an entry is its source's path, '/', and the entry's whole path below DEST.
	 */
	const char **sources;
	uint32_t n_sources;
	bool tree;
	char id[33]; /* of the run that wrote it, 32 hex digits, or "" */
	/*
	 * What the store makes of the entries' times, which are those of the sources. Each
	 * node's own: manifest_digest leaves it out.
	 */
	struct fsio_times times;
	/* private to src/manifest from here on */
	uint32_t
		groups; /* flat: numbers of groups that are given to entries marked so */
	int room;	/* directory for nameless files, -1: only memory */
	size_t mapped;	/* bytes of entries that lie in one; 0: they do not */
	uint32_t cap, sources_cap;
	struct manifest_block *blocks; /* strings, xattrs and extents */
	uint32_t *slots, n_slots;      /* hash of sources: index + 1, 0 is free */
};

int manifest_new(struct manifest **out, struct ebt_err *err);
/*
 * What grows large lies in nameless files on the file system of directory @dirfd, if that can be
 * had there. @dirfd stays the caller's, and open as long as entries are added; -1: as manifest_new.
 */
int manifest_new_in(int dirfd, struct manifest **out, struct ebt_err *err);
/* What lies in files need not stay in memory; it comes back when it is touched. Any thread. */
void manifest_let_go(const struct manifest *m);
/* For loops over entries, or over places that are looked at: the @i-th was. */
#define MANIFEST_WINDOW 16384
static inline void manifest_passed(const struct manifest *m, uint64_t i)
{
	if (m->mapped && i % MANIFEST_WINDOW == MANIFEST_WINDOW - 1)
		manifest_let_go(m);
}
void manifest_free(struct manifest *m);
DEFINE_SCOPED(struct manifest, manifest_free)
#define SCOPED_MANIFEST SCOPED(manifest_freep)

/* The index of source directory @path, added if new. Absolute; a final '/' is cut. */
int manifest_add_source(
	struct manifest *m, const char *path, uint32_t *index, struct ebt_err *err);
/*
 * Appends a copy of *e and of all it points to. In a flat manifest parent and group
 * need not be set. -EOVERFLOW past 2^32 - 2 entries, -EINVAL for an entry that no file
 * system could have (a name with "..", a symlink without target): what was added can be
 * decoded again.
 */
int manifest_add(
	struct manifest *m, const struct manifest_entry *e, struct ebt_err *err);
/*
 * Appends all entries of @from, flat or a tree, to flat @to, sources renumbered. Hard links of a
 * tree stay some when @to is arranged.
 */
int manifest_append(
	struct manifest *to, const struct manifest *from, struct ebt_err *err);

/*
 * What is in flat @from goes to flat @linked if it is a file of which there are several names, and
 * into a new manifest if not.
 */
int manifest_split(const struct manifest *from, struct manifest *linked,
	struct manifest **rest, struct ebt_err *err);

/*
 * Numbers of devices, and on some file systems of inodes, mean something only on the node
 * that saw them. So an entry's dev has that node's number (of the run) in its upper half and
 * the kernel's number, which is no longer, in the lower one.
 */
static inline uint64_t manifest_dev(uint32_t node, dev_t dev)
{
	return (uint64_t)node << 32 | (uint32_t)dev;
}
static inline uint32_t manifest_node(const struct manifest_entry *e)
{
	return (uint32_t)(e->dev >> 32);
}
static inline uint64_t manifest_time(struct timespec t)
{
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/*
 * Flat to tree: sort, drop repeated mentions of the same source object, merge
 * directories that several sources map to the same place (the later source's attributes
 * win, as with cp), join hard links into groups where one node saw that they are some: names
 * of one inode get the attributes of the first. Others: manifest_doubts.
 * -EEXIST: two different objects under one name, both sources named in the text.
 * -EINVAL: a parent directory is missing. After a failure the manifest is as it was.
 */
int manifest_arrange(struct manifest *m, struct ebt_err *err);

/*
 * Tree: names that may be hard links of one inode, of which no node has seen enough to tell. A
 * class holds those that may belong together. Every rank finds the same in the same manifest.
 */
struct manifest_doubts {
	uint32_t *members; /* entries, class after class, ascending in each */
	uint32_t *first;   /* of each class, in members; then the end of the last */
	uint32_t n;	   /* classes */
};
int manifest_doubts(
	const struct manifest *m, struct manifest_doubts *out, struct ebt_err *err);
void manifest_doubts_release(struct manifest_doubts *d);

/* What one node that looked at all members of a class found of one of them. */
enum manifest_link {
	MANIFEST_LINK_UNSEEN, /* nobody looked */
	MANIFEST_LINK_APART,  /* not what the walk saw, or more names than links */
	MANIFEST_LINK_OTHER,  /* what the walk saw, and no link of another member */
	MANIFEST_LINK_OF, /* plus the place in the class of the first that it is a link of */
};
/*
 * Makes groups of what was found: a value for each of d->members. The others stay separate files
 * with the attributes that they have. Returns how many of them were not seen as they were in
 * the walk, and one of those in *one.
 */
uint64_t manifest_settle(struct manifest *m, const struct manifest_doubts *d,
	const uint32_t *found, uint32_t *one);

/*
 * Path of entry @i below the store, or its source on the PFS, into @out with a
 * final NUL. Returns the length, -ENAMETOOLONG if @size does not suffice.
 */
int manifest_path(const struct manifest *m, uint32_t i, char *out, size_t size);
int manifest_source_path(const struct manifest *m, uint32_t i, char *out, size_t size);
/* The first as a string of its own, which the caller frees. NULL: no memory. */
char *manifest_path_new(const struct manifest *m, uint32_t i);
/* For activity_begin: @arg is the manifest, a tree, and @index an entry, or none of it. */
void manifest_show_path(const void *arg, uint64_t index, char *out, size_t size);
/* Tree: index after the last entry below directory @i; i + 1 for anything else. */
uint32_t manifest_subtree_end(const struct manifest *m, uint32_t i);
/* Tree: index of @path below the store, or MANIFEST_NONE. Binary search. */
uint32_t manifest_find(const struct manifest *m, const char *path);

/* True for what carries the content of its inode: a file that is no later link. */
static inline bool manifest_has_data(const struct manifest *m, uint32_t i)
{
	const struct manifest_entry *e = &m->entries[i];

	return e->kind == MANIFEST_FILE && (e->group == MANIFEST_NONE || e->group == i);
}

/* Bytes of content that travel for @e: all of it, or the parts known to hold data. */
static inline uint64_t manifest_data(const struct manifest_entry *e)
{
	uint64_t sum = 0;

	if (!e->n_extents)
		return e->size;
	for (uint32_t i = 0; i < e->n_extents; i++)
		sum += e->extents[i].len;
	return sum;
}

/*
 * A choice among the entries of a manifest: a bitmap, one bit per entry, 64 to a word. NULL
 * chooses all.
 */
static inline bool manifest_needed(const uint64_t *need, uint32_t i)
{
	return !need || (need[i / 64] >> (i % 64) & 1);
}
static inline void manifest_need(uint64_t *need, uint32_t i)
{
	need[i / 64] |= (uint64_t)1 << (i % 64);
}
/* True for the entries whose content has to be read, sent and written. */
static inline bool manifest_moves(
	const struct manifest *m, const uint64_t *need, uint32_t i)
{
	return manifest_needed(need, i) && manifest_has_data(m, i) &&
	       m->entries[i].size > 0;
}

/*
 * Is @st of the file or symlink that was scanned as @e, with the content it had then? By kind,
 * size, time and, if @e has it, inode. For the node that scanned it.
 */
bool manifest_unchanged(const struct manifest_entry *e, const struct stat *st);
/*
 * The same on node @node. Another node than the one that scanned @e may number the same inode
 * differently; then the time of its last change has to be the same.
 */
bool manifest_unchanged_on(
	uint32_t node, const struct manifest_entry *e, const struct stat *st);

/* Does a copy of @e in the store of @m, untouched, show the time @sec and @ns? */
bool manifest_same_time(const struct manifest *m, const struct manifest_entry *e,
	int64_t sec, uint32_t ns);

static inline struct manifest_copy manifest_copy_of(const struct stat *st)
{
	return (struct manifest_copy){.ino = st->st_ino,
		.changed = manifest_time(st->st_ctim),
		.uid = st->st_uid,
		.gid = st->st_gid,
		.mode = st->st_mode & 07777};
}
/*
 * Is the object with inode @ino and ctime @changed, in nanoseconds, the copy of @e that was
 * published, and nothing about it changed since? False also where that is not known.
 */
static inline bool manifest_untouched(
	const struct manifest_entry *e, uint64_t ino, uint64_t changed)
{
	return e->copy.ino && e->copy.ino == ino && e->copy.changed == changed;
}
/*
 * Nanoseconds, more than the step of the clock by which file systems take the ctime. Who looks
 * at a ctime that is not older than that may see the same one after another change.
 */
#define MANIFEST_TICK 20000000u
static inline bool manifest_settled(uint64_t changed, uint64_t now)
{
	return changed <= now && now - changed >= MANIFEST_TICK;
}

/* Adds @part to the digest of entry @i. Any thread. */
void manifest_sum_digest(struct manifest *m, uint32_t i, struct ebt_digest part);
/* One digest over everything in the manifest that all nodes must agree on. */
struct ebt_digest manifest_digest(const struct manifest *m);
/* The same without the entries before @from and from @to on: where do two disagree? */
struct ebt_digest manifest_digest_range(
	const struct manifest *m, uint32_t from, uint32_t to);

/*
 * To bytes and back. The format is described in manifest_format.c and share/man. Flat
 * and tree shapes both travel; a file in a store is always a tree. manifest_decode
 * trusts nothing: any input gives a valid manifest or an error (-EBADMSG damaged,
 * -EPROTONOSUPPORT a later version).
 */
int manifest_encode(const struct manifest *m, struct buf *out, struct ebt_err *err);
int manifest_decode(
	const void *data, size_t len, struct manifest **out, struct ebt_err *err);
/*
 * Whole files below @dirfd, a piece at a time. Save: new file, fsync, rename. Only trees.
 * manifest_load_in is for a large one, see manifest_new_in: @room is a directory as there.
 */
int manifest_load(
	int dirfd, const char *name, struct manifest **out, struct ebt_err *err);
int manifest_load_in(int room, int dirfd, const char *name, struct manifest **out,
	struct ebt_err *err);
int manifest_save(
	const struct manifest *m, int dirfd, const char *name, struct ebt_err *err);

/*
 * A tree with everything in @n trees, or a copy of one; where several have a path the entry of the
 * last of them wins. What lies below something that is no directory in a later one is
 * dropped, and a hard link whose group is split keeps the names that are left together. ID and
 * times are those of the last. The result is made as by manifest_new_in(@room).
 */
int manifest_unite(const struct manifest *const *parts, size_t n, int room,
	struct manifest **out, struct ebt_err *err);

/*
 * The entries of tree @m whose bit in @keep is set, with the ID of @m, made as by
 * manifest_new_in(@room). Of what is kept the
 * directories above it must be kept. A hard link whose group loses its first name goes on with
 * the next.
 */
int manifest_select(const struct manifest *m, const uint64_t *keep, int room,
	struct manifest **out, struct ebt_err *err);

/*
 * True for what names something below a directory: between slashes there is always a name, and
 * never "." or "..". Length is not looked at.
 */
bool manifest_path_ok(const char *path);
/*
 * The order of paths in a tree, component by component, as strcmp: what lies below a directory comes
 * right behind it.
 */
int manifest_path_compare(const char *a, const char *b);

struct manifest_totals {
	uint64_t files, dirs, symlinks, links; /* links: later names of an inode */
	uint64_t bytes;			       /* content, each inode once */
	uint64_t data;			       /* bytes minus known holes */
};
void manifest_count(const struct manifest *m, struct manifest_totals *totals);

#endif
