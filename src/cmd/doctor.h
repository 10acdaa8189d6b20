/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ebt-stage --doctor: what a site has, in one screen. A probe finds one thing out, and what it
 * found becomes a line by doctor_say.c, which is pure. Probes run in processes of their own, all
 * at the same time and for some seconds at most, as file systems may hang.
 *
 * Nothing is taken for there that was not tried, and nothing for missing that could not be: that
 * is unknown, with the reason.
 */
#ifndef CMD_DOCTOR_H
#define CMD_DOCTOR_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "cmd/launch_plan.h"
#include "ebt/err.h"
#include "fsio/fsio.h"

#define DOCTOR_SECONDS 5 /* that a probe may take */

enum doctor_state { DOCTOR_UNKNOWN = 0, DOCTOR_OK, DOCTOR_MISSING };

#define DOCTOR_TEXT 480 /* bytes, with the NUL; what is longer is cut */
struct doctor_line {
	enum doctor_state state;
	char text[DOCTOR_TEXT];
};

/* DEST, and a directory of ours in it, or in the nearest one on its way that is there. */
struct doctor_dest {
	char path[PATH_MAX]; /* with what stands for rank, host and user filled in */
	char at[PATH_MAX];   /* what is there */
	char in[PATH_MAX];   /* where in that the scratch directory is */
	char scratch[64];    /* its name */
	dev_t dev;	     /* of the scratch directory */
	ino_t ino;	     /* 0: there is none */
	int code;	     /* why not; 0 where nothing is known */
	char why[EBT_ERR_TEXT];
};

typedef void doctor_look_fn(const struct doctor_dest *d, struct doctor_line *line);

/* doctor_say.c: pure. */
void doctor_say(struct doctor_line *line, enum doctor_state state, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* ": text" behind what is there, as far as it fits. */
void doctor_say_more(struct doctor_line *line, const char *text);
const char *doctor_state_name(enum doctor_state state);
/* "topic  state  text", or an object of ebt-json(5). Both end in a newline. @out is long enough. */
#define DOCTOR_PRINTED (64 + 6 * DOCTOR_TEXT)
const char *doctor_format(const char *topic, const struct doctor_line *line, bool json,
	char out[DOCTOR_PRINTED]);

/* @list: what srun --mpi=list printed. */
void doctor_say_pmi(struct doctor_line *line, enum launch_mpi mpi, const char *list);
/*
 * @info: what ucp_context_print_info or ucx_info -d says; @whose: which UCX that is. @tls and
 * @devices: of the environment, or NULL.
 */
void doctor_say_ucx(struct doctor_line *line, const char *whose, const char *info,
	const char *tls, const char *devices);
/* @rate 0: nothing tells it. */
void doctor_say_link(struct doctor_line *line, double rate, const char *name);
/* @has: names of what is built in, @lacks: of what is not; both joined by ", ". */
void doctor_say_built_in(struct doctor_line *line, const char *has, const char *lacks);
/* @code: of fsio_free_memory. */
void doctor_say_memory(struct doctor_line *line, int code, uint64_t bytes);
void doctor_say_files(struct doctor_line *line, uint64_t now, uint64_t most);
/* @unit 0: nothing was found out. */
void doctor_say_times(struct doctor_line *line, const struct fsio_times *t);

/* Where DEST is: the type is that of its mount. */
struct doctor_place {
	const char *path, *at, *type;
	bool local, in_memory;
};
void doctor_say_place(struct doctor_line *line, const struct doctor_place *p);

struct doctor_room {
	uint64_t total, avail;	/* bytes; total 0: nothing is counted */
	uint64_t files, favail; /* inodes, likewise */
	bool in_memory;
};
void doctor_say_room(struct doctor_line *line, const struct doctor_room *r);

/* The type of mount @id by the text of /proc/self/mountinfo, "" where it is not there. */
void doctor_mount_type(const char *mountinfo, uint64_t id, char *type, size_t size);
/*
 * The next mount point of a Lustre in the text of /proc/self/mounts, from *at on: true, and *at
 * behind it.
 */
bool doctor_lustre_mount(const char **at, char *point, size_t size);
/* "2.15.5" of what version files say: "lustre: 2.15.5", or the number alone. */
void doctor_lustre_version(const char *text, char *version, size_t size);

/* doctor_try.c: what may hang, in processes of its own. */
struct doctor_try {
	void (*fn)(void *arg);
	void *arg; /* in memory of doctor_shared */
	enum { DOCTOR_DONE, DOCTOR_LATE, DOCTOR_DIED } end;
	int code; /* of those that died: a signal, or 0; a negative errno: never began */
};
/* @n times @size bytes of zeros that these processes and this one have in common, or NULL. */
void *doctor_shared(size_t n, size_t size);
/* All at the same time. Returns after @seconds at the latest. */
void doctor_try_all(struct doctor_try *tries, size_t n, double seconds);
/* Where in PATH program @name is, or NULL. */
const char *doctor_find_program(const char *name, char path[PATH_MAX]);

/* doctor_dest.c */
/* Fills in @d, whose path is as the user gave it, and makes the scratch directory. */
void doctor_enter(struct doctor_dest *d);
/* Takes it away again with all it holds. 0 or a negative errno. */
int doctor_leave(const struct doctor_dest *d);
/* A new directory @name in the scratch directory, or a negative errno. */
int doctor_room_for(const struct doctor_dest *d, const char *name);
doctor_look_fn doctor_look_dest, doctor_look_store, doctor_look_room,
	doctor_look_xattrs, doctor_look_acls, doctor_look_times, doctor_look_tmpfile,
	doctor_look_links, doctor_look_holes, doctor_look_rename;

/* doctor_mpi.c */
doctor_look_fn doctor_look_mpi, doctor_look_launcher, doctor_look_job, doctor_look_ucx,
	doctor_look_link;

/* doctor_node.c */
doctor_look_fn doctor_look_compression, doctor_look_archives, doctor_look_lustre,
	doctor_look_memory, doctor_look_files;

/* doctor_mounts.c */
doctor_look_fn doctor_look_namespaces, doctor_look_overlay, doctor_look_fuse;

#endif
