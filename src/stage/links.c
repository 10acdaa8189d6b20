/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hard links whose names several nodes came by in the walk. Every node finds the same doubts in
 * its manifest, so nobody has to be told: reader r of R looks at classes r, r + R and so on,
 * each at all members of its classes, and then all nodes get what was found. 4 bytes per name in
 * doubt travel, by a reduction, and mostly there is none.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/scope.h"
#include "scan/scan.h"
#include "stage/stage_internal.h"
#include "transport/transport.h"

#define REDUCED (1u << 20) /* values at a time */

static int stopped(void *arg, struct ebt_err *err)
{
	const struct stage *st = arg;

	return job_stopped(&st->job, err);
}

struct looking {
	struct stage *st;
	const struct transport *readers;
	const struct manifest_doubts *d;
	uint32_t *found;
};

static int look(void *arg, struct ebt_err *err)
{
	const struct looking *l = arg;
	struct stage *st = l->st;
	const struct transport *readers = l->readers;

	if (readers->comm == MPI_COMM_NULL)
		return 0;
	return scan_look(
		&(struct scan_look){
			.m = st->b.m,
			.doubts = l->d,
			.first = (uint32_t)readers->rank,
			.step = (uint32_t)readers->size,
			.threads = stage_io_threads(st->o),
			.stopped = stopped,
			.stopped_arg = st,
		},
		l->found, err);
}

int stage_links_all(
	struct stage *st, const struct transport *readers, struct ebt_err *err)
{
	SCOPED(manifest_doubts_release) struct manifest_doubts d = {0};
	SCOPED_FREE uint32_t *found = NULL;
	uint32_t names, n, one = 0;
	uint64_t apart;
	int r;

	r = job_agree_all(&st->job, manifest_doubts(st->b.m, &d, err), err);
	if (r < 0 || !d.n)
		return r;
	names = d.first[d.n];
	found = calloc(names, sizeof(*found));
	r = found ? job_away(&st->job, NULL, NULL, look,
			    &(struct looking){st, readers, &d, found}, err)
		  : ebt_fail(err, -ENOMEM, "hard links: %u names", names);
	r = job_agree_all(&st->job, r, err);
	if (r < 0)
		return r;
	for (uint32_t at = 0; st->job.n_nodes > 1 && at < names; at += n) {
		n = names - at < REDUCED ? names - at : REDUCED;
		transport_reduce_all(
			&st->job.nodes, found + at, (int)n, MPI_UINT32_T, MPI_MAX);
	}
	apart = manifest_settle(st->b.m, &d, found, &one);
	st->links_apart += apart;
	if (st->job.node == 0)
		scan_warn_apart(&st->job.log, st->b.m, apart, one);
	return 0;
}
