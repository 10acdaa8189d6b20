/* SPDX-License-Identifier: BSD-3-Clause */
/* What a lead has in hand: a task, and the file that comes of it. */
#ifndef DRAIN_MOVE_LEAD_H
#define DRAIN_MOVE_LEAD_H

#include <sys/stat.h>

#include "codec/frames.h"
#include "drain/move/move.h"

/* A directory, the temporary name there, and the last component of the one that came of it. */
struct lead_at {
	int dirfd;
	const char *temp;
	char base[256];
};

#define LEAD_TEMP 96 /* bytes of a temporary name, with its NUL */

struct lead {
	struct move_lane *l;
	struct move *m;
	struct drain_task *t;
	int dirfd;		 /* of the lane */
	struct drain_name first; /* of its names */
	struct lead_at at;	 /* where that is, or is to be */
	char temp[LEAD_TEMP];	 /* beside it */
	int fd;
	bool temp_there;
	uint32_t count; /* stripes as the file has them; 1: its lead writes it all */
	uint64_t size;
	bool placed;  /* its objects lie on t->targets */
	bool in_turn; /* its only object lies where the file system put it, on target */
	uint32_t target;
	bool in_parts; /* its components are there, their objects come with its size */
	struct lead_object
		*objects; /* of all components, once they are known; count of them */
	uint32_t *wide;	  /* t->targets of a second try */
	struct attr_made made;
	uint64_t ino;	       /* of the file */
	struct attr_loss loss; /* attributes that it is without */
	bool unproven;	       /* the journal had no room for its seal */
	bool kept;	       /* a name went to what was there already */
	bool absent;	       /* the first one did, so there is nothing to link to */
	enum move_taken taken;
	/* Of a compressed archive: what is written of it, and the journal knows, if noted. */
	struct frames frames;
	struct ebt_digest version;
	bool noted;
	uint64_t packed; /* bytes of a compressed archive, once it is written; else 0 */
	uint64_t
		mended; /* headers of an archive that were others before it was written */
	char *as; /* MOVE_TORN: what it is below dest; NULL: no memory to say so */
};

/* Whose version it is, or DRAIN_NODES. */
static inline uint32_t lead_node(const struct drain_task *t)
{
	return t->n_sources == 1 ? t->sources[0].node : DRAIN_NODES;
}
/* An object of a file in several components. */
struct lead_object {
	uint64_t start, end, stripe_size;
	uint32_t stripe_count, number;
	uint32_t target; /* position; PLACE_NONE: not known */
	uint32_t node;	 /* that writes it */
};

/* What another node, or another thread of this one, does for a lead. Zeroed before it goes out. */
struct lead_hand {
	struct move_local local;
	struct net_call call;
	bool remote;
};
/* write.c. 0 or -ENOMEM; what is out has to be taken back. */
int lead_hand_out(
	struct lead *c, const struct move_object *o, int node, struct lead_hand *h);
void lead_take_back(struct lead *c, struct lead_hand *h, struct move_result *one);
/* write.c. The pieces of @t, which are of c's file, onto it, synced. */
void lead_write(struct lead *c, const struct drain_task *t, bool can_move,
	struct move_result *res);
void lead_set_size(struct lead *c, uint64_t size, struct move_result *res);
int lead_sync(struct lead *c);
/* write.c. The call at hand is about its file. */
void lead_show(const struct lead *c, struct activity_call *call, const char *what);
/*
 * frames.c. An archive, compressed: its size in the end is c->packed. @can_move: as ever.
 */
void lead_write_frames(struct lead *c, bool can_move, struct move_result *res);
/*
 * resume.c. The descriptor of a compressed archive that an earlier run began, under c->temp, and
 * c->frames; *got, if not NULL, has its layout. -ENOENT: there is none.
 */
int lead_resume(struct lead *c, uint32_t *osts, struct pfs_layout **got);
/* Frames from @first on are written: a later run may go on behind them. None: it is begun. */
void lead_note_frames(struct lead *c, const struct frames *f, uint32_t first,
	const struct ebt_digest *digests);
void lead_frames_temp(
	const struct drain *d, const struct drain_task *t, char *out, size_t cap);
/* file.c. A name that nobody can guess, of @cap bytes with its end. */
void lead_temp(struct move *m, char *out, size_t cap);
/* file.c. Codes with which a creation or write fails that may succeed on another target. */
bool lead_target_fails(int code);
/*
 * file.c. The content, from nothing to its name, once with the placement that the task has.
 * @osts: room for one number per target. @can_move: it could be placed elsewhere, so a slow
 * target is given up.
 */
void lead_try_file(
	struct lead *c, uint32_t *osts, bool can_move, struct move_result *res);
/*
 * parts.c. A file in several components has its size, so it has all its objects: who writes
 * which. Where they are not as they were asked for that is counted. 0 or -ENOMEM.
 */
int lead_take_parts(struct lead *c);
/*
 * in_turn.c. This file goes where the file system puts it.
 */
bool lead_goes_in_turn(const struct lead *c);
/*
 * It is there, with the layout @got, NULL if that is not known: sets c->target. False: that is bad,
 * or late with what it has; the file had better be placed, for which it is given another target.
 */
bool lead_went_in_turn(struct lead *c, const struct pfs_layout *got);
/* Any thread. What the file system does is nothing to go on with: they end after a round. */
void lead_denies_turns(struct move *m);
/* Small files wait no longer for what the first ones show. */
void lead_ends_hold(struct move *m);
/* What rounds between the nodes sum up about turns. */
enum { TURNS_UNPROVEN, TURNS_DENIED, TURNS_GOT /* of each target */ };
void lead_turns_vote(struct move *m, uint64_t *v);
void lead_turns_learn(struct move *m, const uint64_t *v);
/* retry.c. The same, on other targets where some turn out not to work. */
void lead_file(struct lead *c, struct move_result *res);
/*
 * changed.c. No source has changed since it was scanned. If one has: *how, the worst of them;
 * NET_ODD where it is another failure; and in @changed, if not NULL, the same of each of them.
 * Parts of archives are not asked.
 */
int lead_check_sources(struct lead *c, enum net_refused *how, enum net_refused *changed,
	struct ebt_err *err);
/*
 * Then, in a last pass: what there is of it is taken, c->taken says as what. Negative: not that
 * either, *res says why.
 */
int lead_take_changed(struct lead *c, enum net_refused how, struct move_result *res);
/*
 * archive.c. The same of an archive, whose members are asked. Those that are not what was scanned get
 * names that tell; or, if there may be a further pass, it fails.
 */
int lead_check_archive(struct lead *c, struct move_result *res);
/* All members are as they were scanned. */
bool lead_is_steady(struct lead *c);
/*
 * names.c. The journal gets to know that inode c->ino is complete, and all names that it will
 * have and can have: of a file that is in place only the further ones.
 */
int lead_seal(struct lead *c, struct ebt_err *err);
/*
 * names.c. From a temporary name to the final one, or one beside it, or of what is torn one that
 * tells. 1: to none, as what is there is to be kept. @at->base is the name it got.
 */
int lead_name(struct lead *c, const struct drain_name *n, struct lead_at *at,
	struct ebt_err *err);
/*
 * names.c. Before anything is written for a name that is taken. 1: by the same content, which
 * is sealed, there or under one of the names beside it; 2: by something else, which is to be
 * kept; 0: the file is to be written.
 */
int lead_is_there(struct lead *c, const struct drain_name *n, struct lead_at *at,
	struct ebt_err *err);
/* names.c. What is there stays, and this one does not come. */
bool lead_keeps(const struct lead *c, const struct drain_name *n);
/*
 * same.c. 1: what is under @base, with *st, holds what the task is about, and is durable; 0:
 * something else is there; negative: nothing that can be looked at.
 */
int lead_same(struct lead *c, int dirfd, const char *base, struct stat *st);
/* file.c. Gives the file up and removes what there is of it. */
void lead_discard(struct lead *c);

#endif
