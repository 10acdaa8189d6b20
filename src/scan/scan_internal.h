/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the walk share. */
#ifndef SCAN_SCAN_INTERNAL_H
#define SCAN_SCAN_INTERNAL_H

#include "scan/scan.h"

struct walker {
	struct scan *s;
	struct manifest **m;	 /* may be exchanged but inside the gate */
	struct scan_item *found; /* new directories, handed over after each item */
	struct buf xattrs;
	char *path; /* SCAN_PATH_SIZE bytes: of the object at hand, or its directory */
	int dirfd;  /* which has it, and its last component is its name there; or
			AT_FDCWD, and it goes by the whole */
	struct ebt_err err;
	pthread_t thread;
	bool started;
	bool own_thread; /* else the caller's, which shares its working directory */
	bool moves;	 /* has a working directory of its own */
	bool inside;	 /* which is dirfd */
	bool noatime;	 /* opening so was allowed last time */
};

/* scan_entry.c: @what of @path failed with @code: w->err. Returns @code. */
int scan_fail_path(struct walker *w, const char *path, int code, const char *what);
/*
 * scan_entry.c: object @name below the base, at @path, cannot be read: a failure, or told to who
 * wants to go on without. What the process lacks is no matter of one object's.
 */
int scan_unread(struct walker *w, enum scan_unread kind, const char *name,
	const char *path, int code, const char *what);
/* scan_entry.c: the call that failed with @code says that what was there is not any more. */
bool scan_gone(const struct walker *w, int code);

/*
 * scan_entry.c: the directory of @it, at @path. A descriptor, or a failure; *stop: it has its text,
 * and is none of the directory's.
 */
int scan_open_dir(struct walker *w, const struct scan_item *it, const char *path,
	int flags, bool *stop);
/*
 * scan_entry.c: what the object at hand, @leaf in its directory, @name below DEST and listed as
 * @type, is. *fd: it is a file and open, or -1. 0, or -1 and errno.
 */
int scan_see(struct walker *w, unsigned char type, const char *name, const char *leaf,
	struct stat *st, int *fd);
/*
 * scan_entry.c: *e, which has name and kind, gets all the rest and goes to the manifest. @path is
 * its source below base number @base, @followed if @st is of what a link there leads to; @fd as of
 * scan_see.
 */
int scan_add(struct walker *w, uint32_t base, const char *path, bool followed,
	const struct stat *st, int fd, struct manifest_entry *e);

#endif
