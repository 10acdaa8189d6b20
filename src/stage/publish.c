/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From "all data in place" to "visible". Between the agreements lie the two promises: nobody
 * writes a record before everybody has verified everything, nobody renames before everybody
 * has written the record.
 */
#include <errno.h>

#include "stage/stage_internal.h"
#include "transport/transport.h"

/* All nodes hold the same content, attributes and names: one number says so. */
static int agree_digest_all(struct stage *st, struct ebt_err *err)
{
	struct ebt_digest d = manifest_digest(st->m);
	uint64_t both[4] = {d.lo, d.hi, ~d.lo, ~d.hi};

	/* The maximum of a number and of its complement agree only if all are equal. */
	transport_reduce_all(st->job.nodes, both, 4, MPI_UINT64_T, MPI_MAX);
	if (both[0] == ~both[2] && both[1] == ~both[3])
		return 0;
	return ebt_failx(err, -EBADMSG, "nodes do not agree on the digests of what they received");
}

int stage_publish_all(struct stage *st, bool *committed, struct ebt_err *err)
{
	enum store_overwrite how = (enum store_overwrite)st->o->overwrite;
	int r;

	r = job_agree_all(&st->job, agree_digest_all(st, err), err);
	if (r < 0)
		return r;
	r = store_seal(st->store, st->m, st->need, err);
	/* Somebody may have made a target meanwhile; after the commit there is no way back. */
	if (r == 0)
		r = stage_check_conflicts(st, err);
	if (r == 0)
		r = job_stopped(&st->job, err);
	r = job_agree_all(&st->job, r, err);
	if (r < 0)
		return r;
	r = job_agree_all(&st->job, store_commit(st->store, st->id, how, err), err);
	if (r < 0)
		return r;
	*committed = true;
	return job_agree_all(&st->job, store_publish(st->store, &st->job.log, err), err);
}
