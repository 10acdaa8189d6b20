/* SPDX-License-Identifier: BSD-3-Clause */
/* What a lead has in hand: a task, and the file that comes of it. */
#ifndef DRAIN_LEAD_H
#define DRAIN_LEAD_H

#include "drain/move.h"

struct lead {
	struct move_lane *l;
	struct move *m;
	struct drain_task *t;
	int dirfd;         /* of the lane */
	const char *name;  /* last component */
	char temp[96];     /* beside it */
	int fd;
	bool temp_there;
	uint32_t count;       /* stripes as the file has them */
	uint64_t size;
	bool placed;          /* its objects lie on t->targets */
	uint32_t *wide;       /* t->targets of a second try */
	struct store_made made;
};

/* A name beside @c->name that nobody can guess. */
void lead_temp(struct lead *c);
/* file.c. The content, from nothing to its name. */
void lead_file(struct lead *c, struct move_result *res);
/* The journal gets to know that the file under the temporary name is complete. */
int lead_seal(struct lead *c, struct ebt_err *err);
/* From a temporary name to the final one. */
int lead_name(struct lead *c, const char *from, struct ebt_err *err);
/* Gives the file up and removes what there is of it. */
void lead_discard(struct lead *c);

#endif
