/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where bytes live on the parallel file system: which kind it is, which storage target
 * (OST) holds which part of a file, which targets there are, and new files on chosen ones.
 * What cannot be known is "plain" or "not known", never a guess. No state of its own; any
 * thread.
 */
#ifndef PFS_PFS_H
#define PFS_PFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>

#include "base/scope.h"
#include "ebt/err.h"

enum pfs_kind { PFS_PLAIN, PFS_LUSTRE, PFS_BEEGFS };

const char *pfs_name(enum pfs_kind kind); /* "plain", "lustre", "beegfs" */

/*
 * By the file system's magic number; EBT_PFS=lustre|beegfs|plain overrides. A path that
 * cannot be asked is plain: whoever opens it will report that better.
 */
enum pfs_kind pfs_probe(const char *path);

#define PFS_LOV_MAX 65536 /* bytes; the kernel's limit of an attribute's value */

/* A range of a file, striped over stripe_count objects. */
struct pfs_part {
	uint64_t start, end;   /* [start, end) of the file; UINT64_MAX: to its end */
	uint32_t stripe_size;  /* bytes, not 0 */
	uint32_t stripe_count; /* not 0 */
	uint32_t first;	       /* index into osts: of stripe 0, the others follow */
};

/*
 * A file's layout. Parts ascend and do not overlap. What no part covers has no object: its
 * data is on the metadata target, archived, or nothing was written there yet. One block
 * of memory.
 */
struct pfs_layout {
	uint32_t *osts;
	uint32_t n_osts;
	uint32_t n_parts;
	struct pfs_part parts[];
};

static inline void pfs_layout_free(struct pfs_layout *l)
{
	free(l);
}
DEFINE_SCOPED(struct pfs_layout, pfs_layout_free)
#define SCOPED_LAYOUT SCOPED(pfs_layout_freep)

/*
 * Parse a lustre.lov attribute. Any input is safe: 0 and a layout that is the caller's,
 * -EBADMSG for what is not one, -ENOMEM. Of several mirrors every range is taken from one
 * that is not stale, preferably from one marked for reading.
 */
int pfs_lustre_parse(const void *lov, size_t len, struct pfs_layout **out);

/*
 * Layout of the file at @path: 1 and a layout that is the caller's, or 0 where it is not
 * known, for whatever reason. Never opens the file. On Lustre it may cost a message to the
 * metadata server.
 */
int pfs_layout_at(enum pfs_kind kind, const char *path, struct pfs_layout **out);
/*
 * What lies from byte @at of a file on, @len bytes, as if it were a file of its own: 1 and a layout
 * with a part for each stripe, the caller's; 0 if it had more than @most; or -ENOMEM.
 */
int pfs_layout_range(const struct pfs_layout *l, uint64_t at, uint64_t len,
	uint32_t most, struct pfs_layout **out);
/* The same of an open file, also on BeeGFS: there "osts" are numbers of its targets. */
int pfs_layout_of(enum pfs_kind kind, int fd, struct pfs_layout **out);

#define PFS_STRIPES_MAX 2000 /* objects of a file */
#define PFS_POOL_NAME	16   /* bytes, with the end */
#define PFS_RULES_MAX	64
#define PFS_ALL		UINT32_MAX

/* What files get in a range of them. */
struct pfs_rule {
	uint64_t start, end;  /* as of a part */
	uint32_t stripe_size; /* bytes; 0: the file system's default */
	uint32_t count;	      /* objects; 0: the default; PFS_ALL: one on each target */
	bool on_mdt;	      /* data on the metadata target, no objects */
	bool overstriped;     /* several objects may lie on one target */
	char pool[PFS_POOL_NAME]; /* of which targets; "": of all */
};

/*
 * The layout that files in a directory get by default. Bytes that are compared as they are:
 * what is not said is zero.
 */
struct pfs_policy {
	uint32_t n_rules; /* 0: there is none; they ascend and leave no gap */
	bool composite;	  /* else one rule */
	bool strange; /* it has kinds of components that are not ours to choose in */
	struct pfs_rule rule[PFS_RULES_MAX];
};

/*
 * The default layout of the directory at @path, its own or the file system's. Where none can
 * be read there is none.
 */
void pfs_policy_at(enum pfs_kind kind, const char *path, struct pfs_policy *out);
/* What a lustre.lov attribute, also of a file, asks for. 0, or -EBADMSG. */
int pfs_lustre_policy(const void *lov, size_t len, struct pfs_policy *out);

/*
 * How a new file shall be striped. A count of 0: all as the directory has it. Without a
 * list of OSTs the file system chooses them.
 */
struct pfs_stripes {
	uint32_t size;	      /* bytes, a multiple of 64 KiB; 0: the default */
	uint32_t count;	      /* objects */
	const uint32_t *osts; /* of each object, or NULL */
	const char *pool;     /* that the OSTs are of; NULL or "": no pool */
	/*
	 * Composite, if not NULL: all of that is for component @rule of it, except the pool,
	 * and the other components are as the policy says, their OSTs the file system's choice.
	 */
	const struct pfs_policy *policy;
	uint32_t rule;
	/* Of one more component the OSTs, as many as its rule has objects; NULL: none. */
	const uint32_t *also_osts;
	uint32_t also;
};

/* Objects of the component that @wish also chooses OSTs for. */
static inline uint32_t pfs_also_count(const struct pfs_stripes *wish)
{
	return wish->policy->rule[wish->also].count
		       ? wish->policy->rule[wish->also].count
		       : 1;
}

#define PFS_LUSTRE_ENCODE_MAX                                                          \
	(32 + PFS_RULES_MAX * (48 + 48) + 2 * 24 * PFS_STRIPES_MAX) /* bytes */
/*
 * The lustre.lov attribute that asks for @wish, with a count above 0: its length, -EINVAL
 * for what no Lustre takes, -ERANGE where @cap is too small. It is a request: the attribute
 * of the file that comes of it has another magic number.
 */
ssize_t pfs_lustre_encode(const struct pfs_stripes *wish, void *lov, size_t cap);

/*
 * Creates @name, one component, in @dirfd, where it must not be, with exactly @mode: the
 * umask has no say. The descriptor, open to read and write, or a negative errno with nothing
 * left behind. @wish NULL: as with a count of 0. On Lustre -EINVAL, -EREMOTEIO and -ENOSPC
 * say that one of the OSTs cannot be had: nothing was put elsewhere instead, the caller may
 * choose others. -ENOTSUP and -ENOTTY: this file system takes no layouts.
 *
 * *got, unless @got is NULL: the layout as read back, NULL where it is not known; the
 * caller's. Of a composite layout it has the components that have objects already: the first
 * one. The others get them with the first byte or size there, as was asked for or not at all;
 * pfs_layout_keeps tells. *kept, unless @kept is NULL: false when the file system silently did
 * other than was asked or does not tell. The file is good, but not placed as wished. Plain
 * files have no layout to differ: true.
 */
int pfs_create(enum pfs_kind kind, int dirfd, const char *name, mode_t mode,
	const struct pfs_stripes *wish, struct pfs_layout **got, bool *kept,
	struct ebt_err *err);

/*
 * Whether @l has the objects of @wish: one range to the end of the file, or the component it is
 * for, on just these OSTs.
 */
bool pfs_layout_keeps(const struct pfs_layout *l, const struct pfs_stripes *wish);

/* The lower ones are as Lustre numbers them. */
enum pfs_target_state {
	PFS_DEGRADED = 0x1,
	PFS_READONLY = 0x2,
	PFS_NOCREATE = 0x4, /* takes no new objects */
	PFS_NOSPACE = 0x20,
	PFS_NOINODES = 0x40,
	PFS_INACTIVE = 0x10000, /* this client does not talk to it */
	PFS_UNKNOWN = 0x20000,	/* did not tell its space; total and avail are 0 */
};

/* A storage target as this client sees it. */
struct pfs_target {
	uint32_t index;
	unsigned state;	       /* of enum pfs_target_state */
	uint64_t total, avail; /* bytes */
};

/* Ascending by index, each once. One block of memory. */
struct pfs_targets {
	size_t count;
	struct pfs_target target[];
};

static inline void pfs_targets_free(struct pfs_targets *t)
{
	free(t);
}
DEFINE_SCOPED(struct pfs_targets, pfs_targets_free)
#define SCOPED_TARGETS SCOPED(pfs_targets_freep)

/*
 * The targets of the file system that holds @path: 1 and a list that is the caller's, 0
 * where there is no such thing or none of them tells its space, or a negative errno:
 * information that is there but damaged is an error. Costs no message where the client has
 * fresh figures. EBT_LUSTRE_SYSFS=DIR is read in place of /sys/fs/lustre.
 */
int pfs_targets(enum pfs_kind kind, const char *path, struct pfs_targets **out,
	struct ebt_err *err);

/*
 * Whether new objects should go there. A target that does not tell its space while others
 * do is cut off or about to be: not there.
 */
bool pfs_target_usable(const struct pfs_target *t);

/* Whether it can be one: a name that no Lustre takes is no path either. */
bool pfs_pool_name_ok(const char *pool);
/*
 * Sets @in of each target of @t that is in @pool: 1, 0 where its members are not known, or a
 * negative errno, as pfs_targets.
 */
int pfs_pool(enum pfs_kind kind, const char *path, const char *pool,
	const struct pfs_targets *t, bool *in, struct ebt_err *err);

/* What each OST holds of a number of files. Start from zeros. */
struct pfs_share {
	uint32_t ost;
	uint64_t bytes;
	uint64_t files; /* with at least a byte there */
	uint64_t last;	/* file that was counted last */
};
struct pfs_shares {
	struct pfs_share *share; /* ascending by ost */
	size_t count, cap;
	uint64_t bytes; /* on OSTs, of all shares */
};

void pfs_shares_release(struct pfs_shares *s);
#define SCOPED_SHARES SCOPED(pfs_shares_release)
/*
 * Adds [start, end) of a file. @file: any number but 0; ranges of one file are added one
 * after the other under the same number. After -ENOMEM the sums are of no use.
 */
int pfs_shares_add(struct pfs_shares *s, const struct pfs_layout *l, uint64_t file,
	uint64_t start, uint64_t end, struct ebt_err *err);

#endif
