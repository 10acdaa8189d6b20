/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Outputs that go into archives, --pack. Which they are every node finds out for itself (pick.c);
 * their paths then meet in the merge as those of all outputs do. What a node has of an archive is
 * its *part*: its members with their headers, one behind the other as a pax archive has them, read
 * like a file (part.c). The owner of the archive's name puts the parts together, member by member
 * in the order of their paths, and the archive becomes a task like any file of several nodes
 * (merge/packed.c). When it has its name nodes learn what that is (finish.c), and its owner writes
 * the index beside it (listed.c).
 *
 *	part of node 0     | a | c | d |
 *	part of node 1     | b | e |
 *	archive            | a | b | c | d | e | end      3 + 2 pieces: what stays together is one
 *
 * A member that is not what was scanned keeps its place and gets another name; so whoever unpacks
 * it finds no wrong bytes under a name that was given to other ones. Its header, and that of hard
 * links to it, is made again for that name when all content is written.
 *
 * Memory: a node has some 80 bytes for each member of its parts, the owner of an archive some 120
 * and two paths for each member of the whole archive.
 */
#ifndef DRAIN_PACK_PACK_H
#define DRAIN_PACK_PACK_H

#include "archive/header.h"
#include "archive/index.h"
#include "archive/members.h"
#include "archive/pattern.h"
#include "drain/drain_internal.h"

#define PACK_NONE  UINT32_MAX
/* Of keys, of members and of what is freed: below what no output can have, as it is a store's own. */
#define PACK_KEYS  ".ebt/"
#define PACK_LEVEL 3 /* of compression: faster than a target takes it, mostly */

/* What is known of an entry that goes into an archive: bits, set by any thread. */
enum pack_state {
	PACK_TORN = 1,	 /* it is not what was scanned */
	PACK_LOST = 2,	 /* some of it could not be read, and is zeros */
	PACK_STALE = 4,	 /* it was read whole, and has changed since */
	PACK_MOVING = 8, /* one of those, and a further pass may find it at rest */
	PACK_HOME = 16,	 /* an earlier run put it into an archive, which is there */
	PACK_OLDER = 32, /* or left it out for another node's, which is newer */
	PACK_ABOVE = 64, /* a directory of dest as well: others lie below it */
};

struct pack_member {
	uint32_t entry; /* of d->out.m */
	uint32_t
		head; /* of a hard link: the member that has its content; else PACK_NONE */
	uint64_t size; /* of the file */
	char *path;    /* below dest; NULL: that of the entry */
	bool joined; /* of pieces of several nodes: here it has a header and no content */
};

/* Of one archive on one node. */
struct pack_part {
	bool claimed; /* there are entries for it here */
	bool in_place;
	char *as;      /* where the archive is: in place, or done; or NULL */
	bool done;     /* it has its name, by this pass */
	bool unproven; /* but the journal does not have it, so nothing is to be freed */
	/* Of those entries, whatever becomes of them. */
	struct ebt_digest version; /* another one if anything is another */
	uint64_t bytes;
	int64_t mtime; /* of the newest */
	uint32_t mtime_ns;
	uint32_t uid, gid; /* of the first */
	bool uids, gids;   /* others have another one */
	uint32_t
		mode; /* 0600 and those bits to read that all of them have, and directories above them */
	/* Those that are members, in their order. */
	struct members places;
	struct pack_member *member;
	size_t cap;
};

/* A member as the owner of its archive knows it. Strings lie in what was received. */
struct pack_item {
	const char *key;       /* path by which it is ordered */
	const char *path;      /* that it gets */
	uint32_t node, number; /* of the member in that node's part */
	uint32_t head;	       /* in that part too, or PACK_NONE */
	uint32_t room;	       /* bytes of header */
	uint64_t packed;       /* bytes of content in the archive */
	uint64_t size;
	uint64_t header; /* byte of the archive */
	const unsigned char
		*pieces; /* of what is joined: see merge/packed.c; else NULL */
	uint32_t pieces_len;
	uint8_t type; /* enum index_type */
	bool renamed; /* owned: path is not within what was received */
};

/* An archive as the owner of its name knows it. */
struct pack_owned {
	struct pack_owned *next;
	uint32_t archive;
	bool in_place; /* an earlier run put it there */
	bool done;     /* this one did */
	bool mended;   /* some of its members got other names then */
	bool freed; /* members of an earlier one are nowhere else any more: journals say so */
	char *as;		/* the name it has, below dest; NULL: it has none */
	struct pack_item *item; /* by key */
	void *named; /* tree of the paths that are not their items' keys: pack_add_named */
	size_t n, cap;
	struct buf *kept;
	size_t n_kept, cap_kept;
	uint64_t bytes; /* of the archive */
	/* That this run makes: where it is to go, and the time that it gets. */
	char *path;
	struct timespec mtime;
	struct pack_draft
		*draft; /* its index, under a temporary name: listed.c; or NULL */
};

/* owned.c. Items into the order of the archive. */
void pack_sort(struct pack_owned *o);
/* Where each begins, once they are in it. */
int pack_lay_out(struct pack_owned *o, struct ebt_err *err);
/* The first item at or behind @key, o->n for none; several nodes may have one of it. */
size_t pack_find(const struct pack_owned *o, const char *key);
bool pack_is_key(const struct pack_owned *o, size_t i, const char *key);
/*
 * An item gets @path, which is not its key and stays until pack_drop_named. 0 or -ENOMEM. With the same
 * file of thousands of nodes most items are so.
 */
int pack_add_named(struct pack_owned *o, const char *path);
bool pack_is_named(const struct pack_owned *o, const char *path);
void pack_drop_named(struct pack_owned *o);
/* Nothing but directories. */
bool pack_is_bare(const struct pack_owned *o);
void pack_owned_free(struct pack_owned *o);
/*
 * What a journal has among its splits once members of archive @name were freed; no output can have
 * that path. The caller frees it; NULL: no memory.
 */
char *pack_freed_key(const char *name);
/* The name in @key, the caller's, or NULL if it is no such key; or -ENOMEM. */
int pack_freed_name(const char *key, char **name);

/*
 * pick.c. Local: of the outputs d->pack.of, and what parts are claimed with. Nothing without
 * patterns.
 */
int pack_pick(struct drain *d, struct ebt_err *err);
/* Collective. Names of archives that no output has: d->pack.name. */
int pack_names_all(struct drain *d, struct ebt_err *err);
/* The archive of @path: its own match, or that of the nearest directory above it. */
uint32_t pack_match(const struct patterns *p, const char *path, bool is_dir);

/* Is the archive that is @t, or any at all, one of frames? */
static inline bool pack_is_compressed(const struct drain *d, const struct drain_task *t)
{
	return t->archive && patterns_archive(d->pack.patterns, t->archive - 1)->zstd;
}
static inline bool pack_compresses(const struct drain *d)
{
	uint32_t n = patterns_count(d->pack.patterns);

	while (n > 0 && !patterns_archive(d->pack.patterns, n - 1)->zstd)
		n--;
	return n > 0;
}

static inline bool pack_has(const struct drain *d, uint32_t entry)
{
	return d->pack.of && d->pack.of[entry] != PATTERN_NONE;
}
/* A link that says what another node's does: that is in the archive for both of them. */
static inline bool pack_is_copy(const struct drain *d, uint32_t entry)
{
	return pack_has(d, entry) && d->out.verdict[entry] == DRAIN_OLDER &&
	       d->out.m->entries[entry].kind == MANIFEST_SYMLINK &&
	       d->o->conflict != EBT_CONFLICT_NEWEST;
}
static inline void pack_note(struct drain *d, uint32_t entry, enum pack_state what)
{
	__atomic_fetch_or(&d->pack.state[entry], (uint8_t)what, __ATOMIC_RELAXED);
}
static inline unsigned pack_state(const struct drain *d, uint32_t entry)
{
	return __atomic_load_n(&d->pack.state[entry], __ATOMIC_RELAXED);
}

/* Content of member @entry that pieces of several nodes make up, @size bytes; only its header is this node's. */
struct pack_join {
	uint32_t entry;
	uint64_t size;
};
/*
 * part.c. Local, verdicts are known: members of d->pack.parts. @joins ascend by entry.
 */
int pack_build(
	struct drain *d, const struct pack_join *joins, size_t n, struct ebt_err *err);
/* Path of member @k, without what its state adds, in @cap bytes: its length or a negative errno. */
int pack_path(const struct drain *d, const struct pack_part *p, size_t k, char *out,
	size_t cap);
/*
 * The same as it is to be found in the archive. 1: that is another one, as it, or the one it is a
 * link to, is torn or lost.
 */
int pack_final_path(const struct drain *d, const struct pack_part *p, size_t k,
	char *out, size_t cap);
/* Its state, or that of what it is a link to. */
unsigned pack_member_state(const struct drain *d, const struct pack_part *p, size_t k);
/* Any thread. Appends the header of member @k, as long as its room is. */
int pack_header(const struct drain *d, const struct pack_part *p, size_t k,
	struct buf *out, struct ebt_err *err);
/* What headers of archives are about: entry @i as one, to be given a path. */
struct manifest_entry pack_entry(const struct drain *d, uint32_t i);
void pack_release(struct drain *d);

/*
 * home.c. What tells the version of output @i, @path, from others: its bytes, and the key of those. 0
 * or -ENOMEM.
 */
int pack_version(const struct drain *d, uint32_t i, const char *path, struct buf *b);
/* Keys of outputs that archives have, as far as these are there, by what this node wrote down. */
struct pack_home {
	uint64_t *keys, *older; /* ascending */
	size_t n, n_older;
};
int pack_home_open(const struct drain *d, struct pack_home *h, struct ebt_err *err);
void pack_home_release(struct pack_home *h);
/* 0, PACK_HOME or PACK_OLDER. */
unsigned pack_is_home(const struct pack_home *h, uint64_t key);
/*
 * Local. Writes down what is freed next, of bits @done and of what is in place, in a journal that has not
 * ended; what cannot be is not freed then.
 */
int pack_note_home(struct drain *d, uint64_t *done, struct ebt_err *err);

/* listed.c. What is under @path of dest: a regular file, or a negative errno. */
int pack_look(const struct drain *d, const char *path, struct stat *st);
/* Local. Every member of the archive that is @path in dest, by its index, is in @o. */
bool pack_keeps_all(
	const struct drain *d, const struct pack_owned *o, const char *path);
/* The other way round: that archive has a member of the name and type of each of @o. */
bool pack_is_within(
	const struct drain *d, const struct pack_owned *o, const char *path);
/*
 * A thread that writes the indexes of archives that are about to be made: nobody waits for that then.
 * Its end, before finish.c.
 */
void pack_draft(struct drain *d);
void pack_draft_end(struct drain *d);
/* Local. Indexes without a name go. */
void pack_drop_drafts(struct drain *d);
/* Local. The indexes of archives of this node, where they are not there. What fails is told. */
int pack_list(void *drain, struct ebt_err *err);

/* Local. What got the name of this node in archive @a is told. @path: DRAIN_NAME_SIZE bytes. */
void pack_tell_named(struct drain *d, uint32_t a, char *path);
/* Any thread: the archive that is @t has its name, @path. */
void pack_named(
	struct drain *d, const struct drain_task *t, const char *path, bool unproven);
/*
 * finish.c. Collective, after the move. Nodes learn which archives are in place: bits of their
 * members in @done. What is torn or lost is told. Indexes are written.
 */
int pack_finish_all(struct drain *d, uint64_t *done, struct ebt_err *err);

#endif
