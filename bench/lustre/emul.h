/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state all clients share, and what the files of this folder want from each other.
 *
 *   main ---- options, start      control -- commands while it runs    sysfs -- target list
 *   mount --- a client's mount    stats ---- counters as text
 *   ns ------ names, attributes   xattr ---- attributes, "lustre.lov"
 *   file ---- open, data          place ---- which OSTs a new file gets
 *   inode --- inodes in memory    mds, ost - the model of service      lov -- layouts
 *
 * Names and attributes are those of empty files in a directory tree; the bytes are in object
 * files, one directory an OST. An inode's layout is an attribute of its empty file, too, so
 * that an inode nobody uses needs no memory. The server is root; the kernel checks access.
 */
#ifndef LUSTRE_EMUL_H
#define LUSTRE_EMUL_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include "lov.h"
#include "mds.h"
#include "ost.h"

#define EMUL_FS	    "emul"
#define EMUL_SERVER "10.77.0.250@tcp"
#define EMUL_INSTANCE                                                                  \
	"ffff8e7700000000"	     /* in the names of a real sysfs: of the mount */
#define EMUL_LOV_XATTR "trusted.lov" /* where the layout is kept */
#define EMUL_MAX_IO    (1 << 20)

enum refuse { REFUSE_NOT, REFUSE_NOTHING_DONE, REFUSE_DEFAULT };

/* Changed while it runs, one word each: read without a lock. */
struct emul_switches {
	_Atomic int refuse;	   /* enum refuse */
	_Atomic bool rename_flags; /* supported; a real file system says EINVAL */
	_Atomic bool list_lov;	   /* listxattr shows lustre.lov */
	_Atomic bool lov_v3;	   /* layouts read as V3 */
	_Atomic int64_t quota;	   /* bytes that may still be written, < 0: no limit */
	_Atomic bool
		state_stale;   /* clients' view of the OSTs is not brought up to date */
	_Atomic int time_unit; /* ns: times are kept in multiples of it; 0: of 1 */
};

struct client {
	struct emul *e;
	const char *name;
	int index;    /* < 0: an observer, neither counted nor slowed down */
	int fd;	      /* of /dev/fuse */
	bool greeted; /* the session's first reply is out */
	struct fuse_session *session;
	uint64_t mds[MDS_N_KINDS]; /* under the MDS's lock */
};

struct inode {
	struct inode *next; /* in the table */
	uint64_t ino;
	int fd; /* O_PATH */
	mode_t type;
	uint64_t lookups; /* by all kernels; under the table's lock */
	unsigned refs;	  /* calls that use it; under the table's lock */

	pthread_mutex_t lock; /* of all below */
	struct lov *lov; /* NULL: no layout. Stays once set; its parts become ready. */
	struct object **objects;   /* of all parts; NULL in what is not ready */
	unsigned opens, *opens_of; /* by client */
	bool deleted;
	bool touched; /* .written is newer than what the empty file says */
	struct timespec written;
	uint64_t version;     /* of the attributes, from 1 */
	struct md_seen *seen; /* by client */
};

/* Some of the OSTs. */
struct pool {
	char name[LOV_POOL_NAME];
	bool *has;	       /* of each OST */
	_Atomic unsigned next; /* round robin */
};
#define EMUL_POOLS 16

struct inodes {
	pthread_mutex_t lock;
	struct inode **bucket;
	size_t n_buckets, count;
	dev_t dev;
	struct inode root;
};

struct emul {
	struct ost_model model;
	struct ost *osts; /* and one behind the last: data on the MDT */
	unsigned n_osts;
	_Atomic unsigned next_ost; /* round robin */
	struct pool pool[EMUL_POOLS];
	unsigned n_pools;
	struct mds mds;
	struct emul_switches sw;
	int64_t attr_cache; /* ns */
	int64_t forgot;	    /* clients know nothing from before */
	uint32_t stripe_size;
	uint16_t stripe_count;
	struct client *clients;
	unsigned n_clients;
	unsigned threads; /* a client */
	struct inodes inodes;
	int64_t started;
	const char *sysfs;
	pthread_mutex_t sysfs_lock;
};

static inline struct client *client_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static inline struct inode *inode_of(struct emul *e, fuse_ino_t ino)
{
	return ino == FUSE_ROOT_ID ? &e->inodes.root : (struct inode *)(uintptr_t)ino;
}

/* --- inode.c --- */

#define INODE_PATH 40
/* A path to the empty file that system calls without a descriptor take. Returns @out. */
const char *inode_path(const struct inode *i, char *out);

int inodes_open(struct emul *e, int dir);
/*
 * The inode of @name in @dir, with a reference for the caller: 0 or negative. Counted as
 * known by the kernel if @known.
 */
int inode_lookup(struct emul *e, struct inode *dir, const char *name, bool known,
	struct inode **out);
void inode_unref(struct emul *e, struct inode *i);
void inode_forget(struct emul *e, struct inode *i, uint64_t lookups);
/* What stat shows: of a file with objects, size and blocks are theirs; times are cut. */
int inode_stat(struct emul *e, struct inode *i, struct stat *st);
uint64_t inode_size(struct inode *i);
/* A name is gone: the objects with the last one, if nobody has the file open. */
void inode_name_gone(struct inode *i);
/*
 * Opened or used by @client (< 0: an observer): its objects have descriptors. -ESTALE: it
 * was deleted, and its objects with it.
 */
int inode_use(struct inode *i, int client);
void inode_unuse(struct inode *i, int client);
/* Now is when it was last written. */
void inode_touch(struct inode *i);

/* --- place.c --- */

/* The default of a directory, its own or the file system's. */
void place_default(struct emul *e, struct inode *dir, struct lov_wish *w);
/* -EINVAL: a pool that is not there, or an OST outside its pool. */
int place_check(struct emul *e, const struct lov_wish *w);
/*
 * Gives the file a layout as wished, and objects to what begins at 0. 0, also if it has one
 * already, -EINVAL, -EREMOTEIO, -EROFS, -ENOSPC.
 */
int place_objects(struct emul *e, struct inode *i, const struct lov_wish *w);
/* Objects for all parts in [from, to) of a file that has a layout: one request if any lacks. */
int place_range(struct client *c, struct inode *i, uint64_t from, uint64_t to);
/* NULL: there is none of that name. */
struct pool *pool_find(struct emul *e, const char *name);

/* --- cache.c: what a client need not ask the MDS --- */

void md_request(struct client *c, enum mds_kind k);
/* The attributes are wanted: a request of kind @k unless the client knows them. */
void md_want(struct client *c, struct inode *i, enum mds_kind k);
/* An open, of which a lookup that was paid just now is a part. */
void md_open(struct client *c, struct inode *i);
void md_want_layout(struct client *c, struct inode *i);
void md_want_xattrs(struct client *c, struct inode *i);
/* The client has made it, and knows all about it. */
void md_made(struct client *c, struct inode *i);
/* The client has changed it: all others have to ask again. */
void md_changed(struct client *c, struct inode *i);

/* --- calls of the kernel --- */

void ns_ops(struct fuse_lowlevel_ops *ops);
void file_ops(struct fuse_lowlevel_ops *ops);
void xattr_ops(struct fuse_lowlevel_ops *ops);
/* Fills the entry for the kernel and counts it as known. */
int ns_entry(struct client *c, struct inode *i, struct fuse_entry_param *out);
/* Owner and mode of what was made as root, for the caller of the request. */
int ns_give(fuse_req_t req, struct inode *dir, const char *name, mode_t mode);
/* The mode under the caller's umask, which a directory's default ACL replaces. */
mode_t ns_mode(fuse_req_t req, struct inode *dir, mode_t mode);
int file_truncate(struct client *c, struct inode *i, uint64_t size);
/* reply.c: a session over c->fd, whose files can be mapped. */
int reply_attach(struct client *c);
/* Writers of one file do not wait for each other in the kernel. */
int reply_open(fuse_req_t req, uint64_t handle);
int reply_create(fuse_req_t req, const struct fuse_entry_param *entry, uint64_t handle);

/* --- mount.c --- */

/* "NAME:PID:PATH"; pid 0 is our own mount namespace. 0 or negative, said on stderr. */
int mount_client(struct client *c, char *spec);

/* --- control.c, stats.c, sysfs.c --- */

int control_serve(struct emul *e, const char *path);
int control_ask(const char *path, int argc, char **argv);
void stats_print(struct emul *e, FILE *out, bool json);
void stats_reset(struct emul *e);
/* "ost=3 slow=20": 0, or -EINVAL and a text. */
int settings_apply(struct emul *e, int argc, char **argv, char *why, size_t size);
int sysfs_write(struct emul *e);

#endif
