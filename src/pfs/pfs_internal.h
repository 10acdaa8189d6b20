/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of calls that a kind of file system has, and the pure pieces of its back ends
 * that tests reach by themselves.
 */
#ifndef PFS_PFS_INTERNAL_H
#define PFS_PFS_INTERNAL_H

#include <string.h>

#include "base/buf.h"
#include "pfs/pfs.h"

/* Numbers as a file system's client on this machine writes them: host-endian, at any address. */
static inline uint16_t pfs_get16(const unsigned char *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}
static inline uint32_t pfs_get32(const unsigned char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}
static inline uint64_t pfs_get64(const unsigned char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* A file to be created. */
struct pfs_new {
	int dirfd;
	const char *name;
	mode_t mode;
	const struct pfs_stripes *wish; /* NULL: none. Else the count is above 0 */
};

struct pfs_calls {
	const char *name;
	uint32_t magic; /* f_type of statfs(2); 0: no file system's own */
	/*
	 * As pfs_create, but the mode may lack or have bits. *got and *kept are NULL and
	 * true before. Where there is no wish the layout is not asked for.
	 */
	int (*create)(const struct pfs_new *n, struct pfs_layout **got, bool *kept,
		struct ebt_err *err);
	int (*layout)(int fd, struct pfs_layout **out); /* as pfs_layout_of */
	int (*targets)(const char *path, struct pfs_targets **out,
		struct ebt_err *err); /* as pfs_targets */
	/* As pfs_policy_at and pfs_pool; NULL where there is no such thing. */
	void (*policy)(const char *path, struct pfs_policy *out);
	int (*pool)(const char *path, const char *pool, const struct pfs_targets *t,
		bool *in, struct ebt_err *err);
};
extern const struct pfs_calls pfs_plain, pfs_lustre, pfs_beegfs;

const struct pfs_calls *pfs_calls_of(enum pfs_kind kind);

/* The empty file, made by this call; owner may read and write. -errno without a text. */
int pfs_open_new(const struct pfs_new *n, int flags);
/* Takes away what pfs_open_new or its like has made; @code. */
int pfs_undo(const struct pfs_new *n, int code);
/* Reports that @n, with its wish, could not be had. */
int pfs_fail_new(const struct pfs_new *n, int code, struct ebt_err *err);

/*
 * The head of composite layout @lov: bytes of it all, and components, which are there. 0 or
 * -EBADMSG.
 */
int pfs_lustre_composite(
	const unsigned char *lov, size_t len, uint32_t *total, uint32_t *n);
/*
 * Whether the components and pools of the layout @lov, that of a file, are those of @wish, also
 * where there are no objects yet.
 */
bool pfs_lustre_keeps(const void *lov, size_t len, const struct pfs_stripes *wish);

/* Targets while they are found, in any order and repeatedly. Start from zeros. */
struct pfs_list {
	struct pfs_target *v;
	size_t n, cap;
};
void pfs_list_release(struct pfs_list *l);
#define SCOPED_LIST SCOPED(pfs_list_release)
int pfs_list_add(struct pfs_list *l, const struct pfs_target *t); /* 0 or -ENOMEM */
/*
 * What was said of a target in several places becomes one: every state that was seen, and
 * space from where it was known. 1 and the list, 0 where no target told its space, -ENOMEM.
 */
int pfs_list_finish(struct pfs_list *l, struct pfs_targets **out);

#define PFS_FSNAME 9 /* bytes; Lustre's names have 8 characters at most */

/*
 * What is mounted where @path (absolute, no links) lies, by the text of
 * /proc/self/mountinfo: 1, or 0 where no line fits. The device number counts first, then the
 * longest mount point, then the last line.
 */
int pfs_mount_source(const char *mountinfo, unsigned major, unsigned minor,
	const char *path, char *source, size_t size);
/* "mgs1@o2ib:mgs2@o2ib:/scratch/sub" -> "scratch". False for anything else. */
bool pfs_lustre_fsname(const char *source, char fs[PFS_FSNAME]);
/* "scratch-OST001f-osc-ffff9d" -> "scratch", 31. False also for a server's own. */
bool pfs_lustre_osc_name(const char *name, char fs[PFS_FSNAME], uint32_t *index);
/* A decimal number and a newline, nothing else. 0 or -EBADMSG. */
int pfs_lustre_number(const struct buf *text, uint64_t *v);
/*
 * The file statfs_state: letters, "(0400)" for what has none; or a number, decimal or with
 * 0x. Letters that are not ours say nothing about placement and are passed over. 0 or
 * -EBADMSG.
 */
int pfs_lustre_state(const struct buf *text, unsigned *state);
/* Lines "3: scratch-OST0003_UUID INACTIVE" of lov/X/target_obd. 0, -EBADMSG, -ENOMEM. */
int pfs_lustre_target_obd(const struct buf *text, struct pfs_list *l);

/* Lines "scratch-OST001f_UUID" of lov/X/pools/NAME; only their index. As before. */
int pfs_lustre_pool_text(const struct buf *text, struct pfs_list *l);
/* As pfs_lustre_tree: adds the members of @pool, nothing where they are not told. */
int pfs_lustre_pool_tree(const char *root, const char *fs, const char *pool,
	struct pfs_list *l, struct ebt_err *err);
int pfs_lustre_pool(const char *path, const char *pool, const struct pfs_targets *t,
	bool *in, struct ebt_err *err);
void pfs_lustre_policy_at(const char *path, struct pfs_policy *out);

#define PFS_OBD_STATFS_LEN 144 /* bytes */
/* State and space of a target from Lustre's struct obd_statfs. 0 or -EBADMSG. */
int pfs_lustre_obd_statfs(const void *data, size_t len, struct pfs_target *t);
/*
 * Adds what the tree at @root tells of the file system @fs, nothing if there is no tree.
 * With "" it is the one that is there, and nothing is added where there are several. @l is
 * empty before or has targets of the same file system.
 */
int pfs_lustre_tree(
	const char *root, const char *fs, struct pfs_list *l, struct ebt_err *err);
/* The name of the file system at @path; "" where its mount does not tell. */
void pfs_lustre_find_fs(const char *path, char fs[PFS_FSNAME]);
int pfs_lustre_targets(const char *path, struct pfs_targets **out, struct ebt_err *err);
/* Adds what a liblustreapi on this machine knows; nothing where there is none. */
int pfs_lustre_llapi(const char *path, struct pfs_list *l, struct ebt_err *err);

/* BeeGFS's answers as a layout. 0, -EBADMSG for a pattern that is not ours, -ENOMEM. */
int pfs_beegfs_layout(uint32_t pattern, uint32_t chunk, const uint32_t *targets,
	uint32_t count, struct pfs_layout **out);

#endif
