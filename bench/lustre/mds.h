/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The metadata server: one queue served at a rate, and a latency on top that requests spend
 * side by side. And what the clients' caches would have answered without it.
 *
 * A client that has seen an inode's attributes may use them again until another client
 * changes them (mode, owner, times, names, layout) or some time has passed. What other
 * clients write (size, blocks, mtime) is asked of the OSTs, and that is not modelled.
 */
#ifndef LUSTRE_MDS_H
#define LUSTRE_MDS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define MDS_KINDS(K)                                                                   \
	K(CREATE, "create")                                                            \
	K(OPEN, "open")                                                                \
	K(LOOKUP, "lookup")                                                            \
	K(GETATTR, "getattr")                                                          \
	K(SETATTR, "setattr")                                                          \
	K(LAYOUT, "setlayout")                                                         \
	K(INTENT, "layoutintent")                                                      \
	K(GETXATTR, "getxattr")                                                        \
	K(SETXATTR, "setxattr")                                                        \
	K(READDIR, "readdir")                                                          \
	K(READLINK, "readlink")                                                        \
	K(MKNOD, "mknod")                                                              \
	K(MKDIR, "mkdir")                                                              \
	K(RMDIR, "rmdir")                                                              \
	K(SYMLINK, "symlink")                                                          \
	K(LINK, "link")                                                                \
	K(UNLINK, "unlink")                                                            \
	K(RENAME, "rename")

enum mds_kind {
#define K(name, text) MDS_##name,
	MDS_KINDS(K)
#undef K
		MDS_N_KINDS
};
const char *mds_kind_name(enum mds_kind k);

struct mds {
	pthread_mutex_t lock;
	double rate;	 /* requests/s, 0: no limit */
	int64_t latency; /* ns */
	int64_t free_at;
	uint64_t total, by_kind[MDS_N_KINDS];
	unsigned in_flight, peak;
};

int mds_open(struct mds *m);
/* One request. @mine: the calling client's own counts. Waits. */
void mds_serve(struct mds *m, enum mds_kind k, uint64_t *mine);
/* The last request of one kind was really part of one of another. */
void mds_recount(struct mds *m, enum mds_kind from, enum mds_kind to, uint64_t *mine);

/* One client's knowledge of one inode. From zeros. */
struct md_seen {
	uint64_t version; /* of the inode, counted from 1 */
	int64_t at;	  /* ns */
	int64_t paid;	  /* ns; a request brought it, 0: none did */
	bool layout, xattrs;
};

#endif
