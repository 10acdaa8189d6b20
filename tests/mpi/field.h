/* SPDX-License-Identifier: BSD-3-Clause */
/* A drain that each rank has a store for, and a dest for all. */
#ifndef FIELD_H
#define FIELD_H

#include <mpi.h>

#include "drain/drain_internal.h"

struct field {
	MPI_Comm comm;
	int rank, size;
	char top[64], mine[96], dest[96];
	struct ebt_drain_options o;
	struct ebt_drain_report rep;
	struct ebt_err err;
	struct drain d;
};

void open_field_all(struct field *f, MPI_Comm comm);
/* The first half of a drain, as ebt_drain_all has it. Leaves f->d to be looked at. */
int merge_all(struct field *f);
/* There is a dest: a merge makes one, and may leave it. */
void put_dest(const struct field *f);
void close_drain(struct field *f);

#endif
