/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Outputs that do not hold still: they grow, are written to, renamed or removed between the scan
 * and the last look at them. None of that ends the drain. When all else is done a further pass
 * scans, merges and moves once more: it finds them under whatever names they have by then, and
 * from the journals that the rest is in place. So `x.tmp` that became `x` is no special case.
 *
 * Passes follow each other, with pauses that grow, until one finds everything as it was scanned
 * or the time of --settle is over. Then a last one takes what there is: of a file that changed
 * while it was read, what it was at one moment if two readings agree, else what was read, under
 * a name that tells. Of neither anything is freed, and no journal says that it is home: the
 * seal of the former has a version that no store has, the latter has none.
 *
 * Where nothing changes nothing is asked for, of stores or of dest.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"
#include "drain/drain_internal.h"
#include "transport/transport.h"

#define PAUSE_FIRST 0.1 /* s; then twice as long each time */
#define TICK	    0.2 /* s between looks at stop requests, at most */

void drain_unsettled(struct drain *d, const char *path)
{
	__atomic_add_fetch(&d->pass.unsettled, 1, __ATOMIC_RELAXED);
	if (!path || d->pass.turn != DRAIN_TRY)
		return;
	/* Without memory for its name it is not told, which is a help and no more. */
	SCOPED_LOCK(&d->lost_lock);
	buf_put(&d->pass.gone, path, strlen(path) + 1);
}

void drain_hold(struct drain *d, const char *path, const char *text)
{
	{
		SCOPED_LOCK(&d->lost_lock);
		size_t len = d->pass.waiting.len;

		buf_put(&d->pass.waiting, path, strlen(path) + 1);
		buf_put(&d->pass.waiting, text, strlen(text) + 1);
		d->pass.n_waiting += buf_ok(&d->pass.waiting);
		if (buf_ok(&d->pass.waiting))
			return;
		d->pass.waiting.failed = false;
		d->pass.waiting.len = len;
	}
	drain_look(d, EBT_LOOK_MISSING, path, NULL, "%s", text);
}

void drain_let_go(struct drain *d, bool missing)
{
	const char *path = (const char *)d->pass.waiting.data, *text;

	for (uint64_t i = 0; i < d->pass.n_waiting;
		i++, path = text + strlen(text) + 1) {
		text = path + strlen(path) + 1;
		if (missing)
			drain_look(d, EBT_LOOK_MISSING, path, NULL, "%s", text);
		else
			log_info(&d->job.log, "%s (looked for again)", text);
	}
	buf_release(&d->pass.waiting);
	d->pass.n_waiting = 0;
}

int drain_again_wait_all(
	struct drain *d, double since, double *pause, struct ebt_err *err)
{
	double end = since + d->o->settle, until, left;
	int now[3] = {
		0}; /* somebody is to stop, the wait is over, and so is the time */

	*pause = *pause > 0 ? 2 * *pause : PAUSE_FIRST;
	until = clock_now() + *pause < end ? clock_now() + *pause : end;
	/* By the clock of the first node: all have to go on together. */
	for (;;) {
		left = until - clock_now();
		now[0] = job_stopped(&d->job, NULL) < 0;
		now[1] = d->job.node == 0 && left <= 0;
		now[2] = d->job.node == 0 && clock_now() >= end;
		transport_reduce_all(&d->job.nodes, now, 3, MPI_INT, MPI_MAX);
		if (now[0] || now[1])
			break;
		left = left < 0 ? 0.001 : left > TICK ? TICK : left;
		job_nap(&d->job, left);
	}
	d->pass.turn = now[2] ? DRAIN_LAST : DRAIN_TRY;
	drain_note(d, now[2] ? "a last pass" : "a further pass");
	return job_agree_all(&d->job, job_stopped(&d->job, err), err);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void drain_tell_gone(struct drain *d)
{
	SCOPED_BUF struct buf names = {0};
	const char *end = (const char *)d->pass.gone.data + d->pass.gone.len, *p;
	const char **name;
	char shown[512];
	size_t n;

	if (!d->pass.gone.len || !buf_ok(&d->pass.gone))
		return;
	for (p = (const char *)d->pass.gone.data; p < end; p += strlen(p) + 1)
		buf_put(&names, &p, sizeof(p));
	if (!buf_ok(&names))
		return;
	name = (const char **)names.data;
	n = names.len / sizeof(*name);
	qsort(name, n, sizeof(*name), compare);
	for (size_t i = 0; i < n; i++) {
		if ((i && strcmp(name[i], name[i - 1]) == 0) ||
			manifest_find(d->out.m, name[i]) != MANIFEST_NONE)
			continue;
		drain_look(d, EBT_LOOK_VANISHED, name[i], NULL,
			"%s/%s on %s: vanished before it was read", d->store_path,
			text_name(name[i], shown, sizeof(shown)), d->node_name);
	}
}
