/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The move on one node.
 *
 *   leads     each takes a task: create, have it written, sync, attributes, seal, rename
 *   objects   write one stripe object of a file whose lead is here or elsewhere
 *   readers   answer other nodes' fetches from this node's store
 *   main      MPI, rounds with the other nodes, progress
 *
 * A lead waits for objects, an object for readers, a reader for nobody: no circle, however
 * few threads there are. A file with one object its lead writes itself.
 *
 * Memory: lane_depth blocks a lead and object thread, two a reader, all of one size, together
 * within the memory option.
 */
#ifndef DRAIN_MOVE_MOVE_H
#define DRAIN_MOVE_MOVE_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/queue.h"
#include "drain/drain_internal.h"
#include "drain/move/health.h"
#include "drain/move/net.h"
#include "drain/pack/pack.h"
#include "drain/quota.h"
#include "source/source.h"

#define MOVE_BLOCK     (4u << 20) /* bytes, at most: of a read, and of a fetch */
#define MOVE_BLOCK_MIN (128u << 10)
#define MOVE_WRITE     (1u << 20) /* bytes of a write: what a client sends as one request */
#define MOVE_DEPTH     3	  /* blocks in work of one object */
#define MOVE_TRIES     4	  /* placements of one file */
#define MOVE_AGAINS    8	  /* times that a compressed archive is written there */

/* Whose failure: decides what the lead does about it. */
enum move_side {
	MOVE_SOURCE,   /* the file is not drained, others are */
	MOVE_UNSTEADY, /* nor is this one: it is not what was scanned, see again.c */
	MOVE_TARGET,   /* it is tried elsewhere */
	MOVE_AGAIN,  /* it is tried there again, some times: its members were others */
	MOVE_ALL,    /* nothing more can be drained */
	MOVE_NOBODY, /* the move ends anyway: not worth a word */
};
/* What of a file that does not come to rest is in place. */
enum move_taken {
	MOVE_WHOLE, /* what was scanned */
	MOVE_GREW,  /* what it was at one moment: it has changed since */
	MOVE_TORN,  /* what was read of it, under a name that tells */
	MOVE_HOLED, /* an archive: of some members, with names that tell */
};
struct move_result {
	int code;
	enum move_side side;
	uint32_t target; /* position; PLACE_NONE: not known */
	uint8_t why;	 /* of MOVE_TARGET: enum health_why; 0: as the code says */
	uint64_t bytes;	 /* written */
	uint32_t slot, packed;	  /* of a frame: where it is on its node, its bytes */
	struct ebt_digest digest; /* of these */
	bool gaps;     /* some of what was read of it could not be, and is zeros */
	bool lacks;    /* it is in place, but without some attributes */
	bool unproven; /* it is in place, but the journal had no room to say so */
	enum move_taken taken;
	struct ebt_err err;
};

/* A file of this node's store that a thread reads: the last one stays open. */
struct move_source {
	struct source from; /* or none */
	uint32_t entry;
	enum net_refused refused; /* by the last read */
};
#define MOVE_SOURCE_INIT                                                               \
	{                                                                              \
		.from.fd = -1                                                          \
	}

/* Memory and descriptors of a thread that writes. */
struct move_lane {
	struct move *m;
	void *block[MOVE_DEPTH];
	struct move_source source;
	char *name; /* DRAIN_NAME_SIZE bytes: another name for the file at hand */
	int dirfd;  /* the last directory of dest that was used */
	char *dir;
	bool asked;	 /* that directory, for its default layout */
	uint64_t layout; /* which is another one than that of dest, or 0 */
	bool counted;	 /* it was asked as well what is counted for whom */
	struct quota_of of;
};

/* A reader's two buffers: one is read into while the other is on its way. */
struct move_reader_block {
	struct move_reader_block *next;
	struct net_data data;
	struct move_reader *owner;
};
struct move_reader {
	struct move *m;
	pthread_mutex_t lock;
	pthread_cond_t freed;
	struct move_reader_block *free; /* lock */
	struct move_reader_block blocks[2];
};

/* What one thread writes: an object of a file, or a file of one object. */
struct move_object {
	const struct drain_task *t;
	int fd;
	uint32_t uid;	       /* of the file as it was made */
	uint64_t start, end;   /* of the component that it is of; UINT64_MAX: all */
	uint32_t stripe_count; /* 1: everything there */
	uint64_t stripe_size;
	uint32_t number; /* of the object in its component */
	uint32_t target; /* position; PLACE_NONE: not known */
	bool sync;	 /* fsync at the end */
	bool can_move;	 /* the lead can place it elsewhere: give up on a slow target */
	bool frame; /* [start, end) of t is to be compressed, nothing is written: frames.c */
};

/* An object that a lead gives to its own node's threads. First member as in net_job. */
struct move_local {
	struct net_op op;
	struct move_object o;
	struct move_result result;
	bool done; /* move.lock */
};

/* A frame of a compressed archive that this node made, until its lead has it written. */
struct move_frame {
	bool used; /* move.lock */
	uint32_t len;
	unsigned char *plain, *packed;
	struct frame_packer *packer;
};

/* A task's end, for its sources. */
struct move_outcome {
	struct move_outcome *next;
	uint32_t node, entry;
	bool unproven; /* not to be freed as long as the journal does not have it */
};

/* Small files are placed; the first ones are, to see what targets can; go in turn. */
enum move_turns { TURNS_OFF, TURNS_FIRST, TURNS_ON };

struct move {
	struct drain *d;
	struct net net;
	struct health health;
	struct queue requests, objects;
	uint32_t block; /* bytes */
	unsigned n_leads, n_objects, n_readers;
	pthread_t *threads;
	unsigned n_threads;
	struct move_lane *lanes; /* of the leads, then of the object threads */
	struct move_reader *readers;
	unsigned lanes_open, readers_open;
	double pace; /* of --rate: seconds a byte of this node; 0: no limit */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct drain_task *
		*queue;	   /* lock: tasks by first target; one more for those without */
	uint32_t *in_work; /* lock: of each queue */
	uint32_t n_queues;
	uint32_t per_queue; /* tasks of one queue in work at most */
	bool *tried;	    /* lock: of each queue: a task was taken */
	bool hold; /* lock: one small file a target, until turns begin. See in_turn.c */
	uint32_t left;		     /* lock: tasks not finished */
	unsigned leads_running;	     /* lock */
	uint64_t total;		     /* bytes of all nodes, for progress */
	double next_write;	     /* lock: of --rate */
	struct move_outcome *ends;   /* lock */
	int code;		     /* lock: what ends the drain here */
	struct ebt_err err;	     /* lock */
	struct move_writer *writers; /* lock: a list: object.c */
	struct move_frame *frames;   /* lock: which are free */
	uint32_t n_frames, frame;    /* bytes of content of one at most */
	struct move_resume
		*resumes; /* compressed archives that this node leads: resume.c */
	pthread_mutex_t rooms_lock;
	struct room *rooms;    /* rooms_lock; read without it: is there any? */
	uint64_t *got_turns;   /* lock: small files here that got each target in turn */
	enum move_turns turns; /* atomic: set by the main thread, alike on all nodes */
	bool no_turns;	       /* atomic: this node found them to be none */
	bool stop;	       /* atomic */
	/* Atomic: a bit per entry. In a last pass: what was read is not all of one file. */
	uint64_t *torn;
	uint64_t seq;	/* atomic: of temporary names */
	uint64_t bytes; /* atomic: written here */
	uint64_t moved; /* atomic: of them from other nodes */
};

/* stop.c. Ends the drain on this node, and through the next round on all. */
void move_fail(struct move *m, int code, const struct ebt_err *err);
static inline bool move_stopped(const struct move *m)
{
	return __atomic_load_n(&m->stop, __ATOMIC_ACQUIRE);
}
/* Counts a call to the file system in the report. */
static inline void move_count(uint64_t *n)
{
	__atomic_add_fetch(n, 1, __ATOMIC_RELAXED);
}

/* lane.c. One that failed has something to release as well. */
int move_lane_init(struct move_lane *l, struct move *m, struct ebt_err *err);
void move_lane_release(struct move_lane *l);
/* The directory of dest that @path lies in, O_PATH; stays the lane's. Or a negative errno. */
int move_dir(struct move_lane *l, const char *path);
/*
 * parts.c. 0, or the lane's directory has another default layout than dest, and this tells which:
 * one request a directory and node, where there may be such.
 */
uint64_t move_other_layout(struct move_lane *l);

/*
 * source.c. Reads [off, off + len) of this node's file; with @check also sees that it is still
 * what was scanned. @s->refused if not, or if it ended early. In a last pass what can be read
 * of it is read, with zeros for the rest, and only @check tells.
 */
int move_read(struct move *m, struct move_source *s, uint32_t entry, uint64_t off,
	void *to, uint32_t len, bool check, struct ebt_err *err);
void move_source_close(struct move_source *s);
/*
 * slots.c. Memory for frames of compressed archives: some on each node, taken before work starts.
 * There is always one at least; the content of each has m->frame bytes at most.
 */
int move_frames_open(struct move *m, struct ebt_err *err);
void move_frames_close(struct move *m);
/*
 * A free one, or NULL at once: who waits for one with others in his hands may wait for who waits for
 * those.
 */
struct move_frame *move_frame_take(struct move *m);
void move_frame_drop(struct move *m, struct move_frame *f);
/* What @w asks of a slot. */
int move_serve_frame(
	struct move *m, const struct net_wanted *w, void *to, struct ebt_err *err);
/* member.c. The same of this node's part of an archive, and what else is asked of one. */
int move_serve_part(struct move *m, struct move_source *s, const struct net_wanted *w,
	void *to, struct ebt_err *err);
/* Member @entry, or a file that is a piece of one, is what @what says, and @why. */
void move_spoil(struct move *m, uint32_t entry, enum pack_state what,
	const struct ebt_err *why);
/* serve.c. What @w asks of this node, whoever does, into @to. */
int move_serve(struct move *m, struct move_source *s, const struct net_wanted *w,
	void *to, struct ebt_err *err);
/* Asked of one source, here or elsewhere. */
struct move_question {
	struct drain_source source; /* node, of and entry count */
	struct net_wanted want;	    /* those fields are set by it */
	void *to;		    /* as many bytes as are wanted, or NULL */
	int code;		    /* the answer */
	enum net_refused refused;
	struct ebt_err err; /* of one that is here */
	struct net_fetch fetch;
};
/* All are under way at once; @mine: for those that are here. It waits. */
void move_ask_all(
	struct move *m, struct move_source *mine, struct move_question *q, uint32_t n);
/* Its code; of a failure the words, about @name. */
int move_answer(const struct move_question *q, const char *name, struct ebt_err *err);
/* The same of one. */
int move_ask(struct move *m, struct move_source *mine, const struct drain_source *s,
	const struct net_wanted *w, void *to, const char *name, struct ebt_err *err);
/* Its buffers: nothing that a reader could still lack while others wait for it. */
int move_reader_init(struct move_reader *t, struct move *m, struct ebt_err *err);
void move_reader_release(struct move_reader *t);
void *move_reader_thread(void *arg); /* a struct move_reader */

/* object.c. The first piece of @t that ends behind byte @off. */
uint32_t move_first_piece(const struct drain_task *t, uint64_t off);
/*
 * The first byte from @off on that lies in this object, and the end of its stripe there; UINT64_MAX
 * behind the last.
 */
uint64_t move_in_object(const struct move_object *o, uint64_t off, uint64_t *end);
/* All of [o->start, o->end), holes as zeros. */
void move_read_object(struct move_lane *l, const struct move_object *o,
	unsigned char *to, struct move_result *res);
void move_write_object(
	struct move_lane *l, const struct move_object *o, struct move_result *res);
/* Reads all of @o->t once more: -ESTALE and MOVE_UNSTEADY if it is not what @o->fd holds. */
void move_compare_object(
	struct move_lane *l, const struct move_object *o, struct move_result *res);
/* call.c */
void *move_object_thread(void *arg); /* a struct move_lane */
/* A call that has object @o of @t, temporary name @path, written by another node. */
void move_encode_object(const struct move_object *o, const char *path, struct buf *out);
/* Its answer. */
void move_decode_result(const struct buf *b, struct move_result *res);

/* resume.c. Before any thread runs: what the journal says of d->tasks. */
int move_find_resumes(struct move *m, struct ebt_err *err);
void move_resumes_free(struct move *m);

/* room.c. ENOSPC or EDQUOT: others may still fit, unless all or nothing is asked for. */
static inline bool move_lacks_room(const struct move *m, const struct move_result *res)
{
	return (res->code == -ENOSPC || res->code == -EDQUOT) &&
	       res->side != MOVE_NOBODY && res->side != MOVE_ALL && !m->d->o->strict;
}
/* By all that is known @t would find no room: it is not tried, *code is why. */
bool room_is_used_up(struct move_lane *l, const struct drain_task *t, int *code);
/* @t, of the directory that @l has open, is in place, or found no room and is told so. */
void room_was_there(struct move_lane *l, const struct drain_task *t);
void room_was_missing(
	struct move_lane *l, const struct drain_task *t, const struct move_result *res);
/* Nothing more is tried, for want of room or for another reason. */
void room_ends(
	struct move_lane *l, const struct drain_task *t, const struct move_result *res);
/* Smallest first. */
void room_sort(struct drain_task **list);
/* Says what was left out. */
void room_close(struct move *m);

/* lead.c */
void *move_lead_thread(void *arg); /* a struct move_lane */

#endif
