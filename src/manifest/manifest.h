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
 * Cost: one struct manifest_entry plus its strings per entry, about 200 bytes.
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

#define MANIFEST_NONE	  UINT32_MAX
#define MANIFEST_ROOT	  UINT32_MAX /* parent of what lies directly in the store */
#define MANIFEST_VERSION  1
#define MANIFEST_PATH_MAX 65535 /* bytes of a path, a source, a link's target */

enum manifest_kind {
	MANIFEST_DIR = 1,
	MANIFEST_FILE = 2,
	MANIFEST_SYMLINK = 3,
};

/* Data of a sparse file: [off, off + len), ascending, not touching, within the file. */
struct manifest_extent {
	uint64_t off, len; /* bytes */
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
	uint64_t dev, ino;  /* of the source, to know hard links and replaced files */
	struct ebt_digest digest; /* base/digest.h; zero unless MANIFEST_FILE */
	int64_t mtime, atime;	  /* seconds */
	uint32_t mtime_ns, atime_ns;
	uint32_t parent; /* index of a directory entry, or MANIFEST_ROOT */
	/* Hard links: index of the first name, its own for the first; else NONE. */
	uint32_t group;
	uint32_t source; /* index into sources */
	uint32_t mode;	 /* permission bits, 07777 */
	uint32_t uid, gid;
	uint32_t nlink; /* of the source; above 1: manifest_arrange looks for a group */
	uint32_t xattrs_len; /* bytes */
	uint32_t n_extents;
	uint8_t kind; /* enum manifest_kind */
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
	/* private to src/manifest from here on */
	uint32_t cap, sources_cap;
	struct manifest_block *blocks; /* strings, xattrs and extents */
	uint32_t *slots, n_slots;      /* hash of sources: index + 1, 0 is free */
};

int manifest_new(struct manifest **out, struct ebt_err *err);
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
/* Appends all entries of flat @from to flat @to, sources renumbered. */
int manifest_append(
	struct manifest *to, const struct manifest *from, struct ebt_err *err);

/*
 * Flat to tree: sort, drop repeated mentions of the same source object, merge
 * directories that several sources map to the same place (the later source's attributes
 * win, as with cp), join hard links into groups: names of one inode get the attributes
 * of the first.
 * -EEXIST: two different objects under one name, both sources named in the text.
 * -EINVAL: a parent directory is missing. After a failure the manifest is as it was.
 */
int manifest_arrange(struct manifest *m, struct ebt_err *err);

/*
 * Path of entry @i below the store, or its source on the PFS, into @out with a
 * final NUL. Returns the length, -ENAMETOOLONG if @size does not suffice.
 */
int manifest_path(const struct manifest *m, uint32_t i, char *out, size_t size);
int manifest_source_path(const struct manifest *m, uint32_t i, char *out, size_t size);
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
 * A choice among the entries of a manifest: a bitmap, one bit an entry, 64 to a word. NULL
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
static inline bool manifest_moves(const struct manifest *m, const uint64_t *need, uint32_t i)
{
	return manifest_needed(need, i) && manifest_has_data(m, i) && m->entries[i].size > 0;
}

/*
 * Is @st of the file or symlink that was scanned as @e, with the content it had then? By kind,
 * size, time and, if @e has it, inode.
 */
bool manifest_unchanged(const struct manifest_entry *e, const struct stat *st);

/* Adds @part to the digest of entry @i. Any thread. */
void manifest_sum_digest(struct manifest *m, uint32_t i, struct ebt_digest part);
/* One digest over everything in the manifest that all nodes must agree on. */
struct ebt_digest manifest_digest(const struct manifest *m);
/* The same without the entries before @from and from @to on: where do two disagree? */
struct ebt_digest manifest_digest_range(const struct manifest *m, uint32_t from, uint32_t to);

/*
 * To bytes and back. The format is described in manifest_format.c and share/man. Flat
 * and tree shapes both travel; a file in a store is always a tree. manifest_decode
 * trusts nothing: any input gives a valid manifest or an error (-EBADMSG damaged,
 * -EPROTONOSUPPORT a later version).
 */
int manifest_encode(const struct manifest *m, struct buf *out, struct ebt_err *err);
int manifest_decode(
	const void *data, size_t len, struct manifest **out, struct ebt_err *err);
/* Whole files below @dirfd. Save: new file, fsync, rename. Only trees. */
int manifest_load(
	int dirfd, const char *name, struct manifest **out, struct ebt_err *err);
int manifest_save(
	const struct manifest *m, int dirfd, const char *name, struct ebt_err *err);

/*
 * A tree with everything in @base and @top, both trees; where both have a path @top's
 * entry wins. An entry of @base below something that is no directory in @top is
 * dropped, and a hard link whose group is split keeps the names that are left together.
 */
int manifest_merge(const struct manifest *base, const struct manifest *top,
	struct manifest **out, struct ebt_err *err);

/*
 * True for what names something below a directory: between slashes there is always a name, and
 * never "." or "..". Length is not looked at.
 */
bool manifest_path_ok(const char *path);

struct manifest_totals {
	uint64_t files, dirs, symlinks, links; /* links: later names of an inode */
	uint64_t bytes;			       /* content, each inode once */
	uint64_t data;			       /* bytes minus known holes */
};
void manifest_count(const struct manifest *m, struct manifest_totals *totals);

#endif
