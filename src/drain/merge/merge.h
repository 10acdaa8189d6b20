/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The merge of the nodes' namespaces as its steps see it. Every path has an owner, a node found
 * by hash; there the entries of all nodes under that path meet, as claims of one spot.
 */
#ifndef DRAIN_MERGE_MERGE_H
#define DRAIN_MERGE_MERGE_H

#include "base/buf.h"
#include "drain/drain_internal.h"
#include "extent/extent.h"
#include "transport/transport.h"

/* An entry of a node's outputs. Strings lie in what was received, see merge.kept. */
struct merge_claim {
	const char *path;   /* below the root */
	const char *of;	    /* what the job called it, or "" where that is the path */
	const char *target; /* of a symlink */
	const unsigned char
		*entry_bytes; /* of a directory: drain_entry_encode, without name */
	uint32_t entry_len;
	uint64_t size;
	int64_t mtime;
	uint32_t mtime_ns;
	uint64_t where; /* hash of the node's name */
	uint64_t ino;	/* on that node */
	uint32_t node, entry;
	uint8_t kind;	 /* enum manifest_kind */
	uint8_t verdict; /* enum drain_verdict */
	bool suffixed;	 /* path has the node's name added */
	bool gone;	 /* is decided under another path */
	bool replaces;	 /* may take the place of something */
	bool mixed;	 /* in place, with pieces of other nodes */
	uint8_t lacks;	 /* in place, without: enum journal_lack */
	bool in_way;	 /* what is there stays, this one may go beside it */
	bool by_node;	 /* with its node's name added, decided here */
	/*
	 * Number of an archive plus 1, or 0. In that one: path is a key, see merge_key. Or what a
	 * node has of it, as one version of a file of several nodes; entry is its number.
	 */
	uint32_t in, part;
	bool made;	 /* a directory that only the name of an archive needs */
	const char *was; /* where an older version of it is, or NULL */
	const char *as;	 /* where it is in place, or NULL */
};

/* What several nodes' claims of one path come to. */
enum merge_ruling {
	MERGE_TAKE,    /* verdicts are set */
	MERGE_COMPARE, /* files of several nodes: their extents decide */
	MERGE_RENAME,  /* each goes under a name of its own, to that name's owner */
	MERGE_SPLIT,   /* the same without another owner; directories keep the name */
	MERGE_WAIT,    /* for a later drain: the job still writes */
	MERGE_CLASH,   /* two of them cannot both be */
	MERGE_PACK,    /* an archive, with what nodes have of it: packed.c */
};

/* What is in dest under a path. */
struct merge_target {
	uint8_t kind;	    /* enum manifest_kind; 0: something else */
	const char *target; /* of a symlink */
	uint64_t ino;
	uint64_t size;
	int64_t mtime;
	uint32_t mtime_ns;
};

/* What an earlier run put somewhere. */
struct merge_seal {
	struct merge_seal *next;
	const char *as; /* the name it is about, where that is not the spot's */
	uint64_t ino;	/* 0: not known */
	uint64_t size;
	int64_t mtime;
	uint32_t mtime_ns;
	uint32_t n_sources; /* 0: a directory that it was about to make */
	uint8_t lacks;	    /* enum journal_lack, of what is asked for */
	struct journal_source sources[];
};

struct merge_spot {
	struct merge_claim *c;
	uint32_t n;
	uint32_t a, b; /* MERGE_CLASH: of these claims */
	enum merge_ruling ruling;
	bool exists;  /* in dest */
	bool ours;    /* and an earlier run put it there */
	bool settled; /* MERGE_COMPARE: it is in place, nothing to be compared */
	unsigned char d_type; /* of what exists */
	struct merge_seal *seals;
	struct merge_seal *aliases; /* of what went under another name */
};

/* What is wrong, by kind, with the first few of each as text. */
enum merge_wrong {
	MERGE_VERSIONS, /* nodes against one another */
	MERGE_STUCK,	/* a directory against something else in dest */
	MERGE_EXISTS,	/* a target that may not be replaced */
	MERGE_WRONGS,
};
#define MERGE_NAMED 5
#define MERGE_SHOWN 180 /* bytes of one of them */
struct merge_wrongs {
	uint64_t count[MERGE_WRONGS];
	uint32_t named[MERGE_WRONGS]; /* texts there are */
	char text[MERGE_WRONGS][MERGE_NAMED][MERGE_SHOWN];
};
void merge_complain(struct merge_wrongs *w, enum merge_wrong kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* A path as it is to be shown: of a key the archive's name, and the path in it. */
const char *merge_plain(const char *path);
/* The same, short enough for one of several in a line. @out holds MERGE_PATH bytes. */
#define MERGE_PATH 100
const char *merge_shown(const char *path, char *out);

/*
 * rules.c, pure. The claims of a path, ascending by node: verdicts, or why there are none
 * yet. @dropped counts versions that are not the newest.
 */
enum merge_ruling merge_rule(struct merge_claim *c, uint32_t n, enum ebt_conflict how,
	uint32_t *a, uint32_t *b, uint64_t *dropped);
struct merge_policy {
	enum ebt_conflict conflict;
	enum ebt_overwrite overwrite;
	bool frees; /* pass after pass: what one put in place may be nowhere else in the next */
	bool strict; /* nothing gets another name */
	bool freed;  /* what is there may be an archive, of what is nowhere else */
};
/*
 * Claims against what is in dest under their path. MERGE_WRONGS: nothing is wrong; verdict and
 * replaces are set, or *settled if all of a path that would be compared is there already.
 */
enum merge_wrong merge_settle(struct merge_claim *c, uint32_t n,
	const struct merge_policy *how, const struct merge_target *t,
	const struct merge_seal *seals, bool *settled);
/*
 * The same for another name, @seal->as, that a claim got because its own was taken, and what is
 * under that: verdict and as of those that are in place, was of those of which an older version
 * is. Returns how many are in place.
 */
uint32_t merge_settle_alias(struct merge_claim *c, uint32_t n,
	const struct merge_seal *seal, const struct merge_target *t);
/* One of @seals speaks of @t, what is there. */
bool merge_is_ours(const struct merge_seal *seals, const struct merge_target *t);
/* What is there stays: those that are to be put in place go beside it. */
void merge_step_aside(struct merge_claim *c, uint32_t n);
/* Of @n claims, one or more, the first of those that no other is newer than. */
uint32_t merge_newest(const struct merge_claim *c, uint32_t n);
/* By path, directories first, then by node. */
int merge_compare_claims(const void *a, const void *b);

struct merge_file;
struct merge {
	struct drain *d;
	struct buf *out;  /* to each node */
	char *node_names; /* of each node, sizeof(d->node_name) bytes */
	struct merge_claim *claims;
	size_t n_claims, cap_claims;
	struct buf *kept; /* what claims and splits point into */
	size_t n_kept, cap_kept;
	struct buf
		splits; /* of const char *, ascending: paths that were split before */
	struct buf
		new_splits; /* paths that are split now, NUL-terminated one after the other */
	uint32_t n_new_splits;
	struct buf
		detours;  /* found here: path and where it goes, one after the other */
	struct buf joins; /* members of archives that pieces make up: see packed.c */
	struct merge_spot *spots; /* ascending by path */
	size_t n_spots;
	struct merge_wrongs wrong;
};

static inline const char *merge_node(const struct merge *g, uint32_t node)
{
	return g->node_names + (size_t)node * sizeof(g->d->node_name);
}

/* exchange.c */
void merge_put_claim(struct buf *b, const struct merge_claim *c);
uint64_t merge_hash(const char *path);
uint32_t merge_owner(const struct merge *g, const char *path);
/* Collective: agrees on @r, then what is in g->out goes out. */
int merge_exchange_all(struct merge *g, int r, transport_take_fn *take, void *arg,
	struct ebt_err *err);
/* Room for one more element of @size bytes in an array of @n; NULL, and @array stays. */
void *merge_grow(void *array, size_t n, size_t *cap, size_t size);
/* The bytes of a message outlive it. */
int merge_keep(struct merge *g, struct buf *b, struct ebt_err *err);
/* A string with its length and NUL; back: in place, NULL for damaged bytes. */
void merge_put_string(struct buf *b, const char *s);
const char *merge_get_string(struct reader *r);

/*
 * packed.c. Where the claims of what goes into archive @archive meet, below PACK_KEYS. In @cap bytes, or
 * -ENAMETOOLONG.
 */
int merge_key(const struct drain *d, uint32_t archive, const char *path, char *out,
	size_t cap);
/* Local. Claims of the archives that this node has members for, and of directories above them. */
int merge_put_archives(struct merge *g, struct ebt_err *err);
/* @f, pieces of a member, is joined: for merge_pack_all. */
int merge_join(struct merge *g, struct merge_file *f, struct ebt_err *err);
struct pack_owned;
/* Attributes of an archive, of those of what is in it. */
struct merge_look {
	uint32_t uid, gid, mode;
	bool uids, gids, any;
};

/* packed_task.c. Local. The task of archive @o, whose spot is @s: in d->own.shared. */
int merge_add_archive(struct merge *g, const struct merge_spot *s, struct pack_owned *o,
	const struct merge_look *look, struct ebt_err *err);
/* Collective, verdicts are known. Parts of all nodes, and a task for each archive: d->own.shared. */
int merge_pack_all(struct merge *g, struct ebt_err *err);

/* split.c. Collective. The owners of paths that earlier runs split learn of it. */
int merge_splits_all(struct merge *g, struct ebt_err *err);
bool merge_was_split(const struct merge *g, const char *path);
/* On the owner of @name. 1: an archive of an earlier run, some of it freed since; or 0, -ENOMEM. */
int merge_was_freed(const struct merge *g, const char *name);
/* @path is split now. */
void merge_split(struct merge *g, const char *path);
/* Local. Writes down what is split now. */
int merge_write_splits(struct merge *g, struct ebt_err *err);

/* detour.c. The directory @path goes to @as: once all know. */
void merge_detour(struct merge *g, const char *path, const char *as);
/* Collective. All know. 1 if there is something new, and the merge is to begin again. */
int merge_detours_all(struct merge *g, struct ebt_err *err);

/* target.c. Collective. Seals and existing targets meet the spots: g->wrong. */
int merge_targets_all(struct merge *g, struct ebt_err *err);
/* dirs.c. Collective. Directories to their creators: d->own.dirs. */
int merge_dirs_all(struct merge *g, struct ebt_err *err);
/* compare.c. Collective. Spots of MERGE_COMPARE: d->own.shared or g->wrong. */
int merge_compare_all(struct merge *g, struct ebt_err *err);
/* A file of several nodes on its way to one. Its sources are the claims of its spot. */
struct merge_file {
	struct merge_spot *spot;
	struct extents *x; /* of each claim: where it has data */
	struct buf newest; /* attributes of the newest claim, drain_entry_encode */
	struct buf pieces; /* of struct drain_piece */
	bool bad;	   /* is a conflict, or cannot be read */
	bool equal;	   /* to be one they must not differ in any byte */
	bool split;	   /* each goes under its node's name */
};
struct merge_files {
	struct merge_file *file;
	size_t n;
};
/* Nothing more is to be found out. */
static inline bool merge_over(const struct merge_file *f)
{
	return f->bad || f->split;
}

/* ask.c. What another node asks about is a file of this node's outputs, or -EBADMSG. */
int merge_check_asked(const struct merge *g, uint32_t entry, struct ebt_err *err);
/* Opens it, if it is what was scanned. */
int merge_open(struct merge *g, uint32_t entry, struct ebt_err *err);
/* All of @len bytes from there, or what failed with the file's name. */
int merge_read(struct merge *g, uint32_t entry, int fd, void *to, uint32_t len,
	uint64_t off, struct ebt_err *err);
/* Adds to @x where it has data. */
int merge_find_extents(
	struct merge *g, uint32_t entry, struct extents *x, struct ebt_err *err);
/* An answer begins with @code, and if that is a failure @text, why, is all there is to it. */
void merge_put_outcome(struct buf *out, int code, const char *text);
/*
 * True if there is more, false after a failure, for which that file is not drained; others
 * are. @text of what was damaged is NULL.
 */
bool merge_get_outcome(struct reader *r, const char **text);
/* A node cannot read its version: named, counted, and left alone. */
void merge_give_up(struct merge *g, struct merge_file *f, const char *text);
/*
 * What comes in is kept, to be answered when all of it is there: one buffer of each node, to be
 * freed with merge_free_stash. *stash is NULL after a failure.
 */
int merge_stash_all(struct merge *g, int r, struct buf **stash, struct ebt_err *err);
void merge_free_stash(struct merge *g, struct buf *stash);
/*
 * rounds.c. Collective. All of @f by pieces: in file.pieces, or file.split, or file.bad and
 * g->wrong. @r: this node's result so far.
 */
int merge_rounds_all(
	struct merge *g, struct merge_files *f, int r, struct ebt_err *err);

#endif
