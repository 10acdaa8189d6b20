/* SPDX-License-Identifier: BSD-3-Clause */
/* What the watch of a run is told of it, and who is told what it says. */
#include "job/job.h"
#include "transport/watch.h"

#define LEAST_S 1.0 /* that can be told from a busy machine */

static void say(void *arg, enum watch_event event, const char *text)
{
	static const enum ebt_stall how[] = {[WATCH_STANDS] = EBT_STALL_STANDS,
		[WATCH_GOES] = EBT_STALL_GOES,
		[WATCH_END] = EBT_STALL_END};
	const struct job *j = arg;

	if (j->run->stalled)
		j->run->stalled(j->run->stalled_arg, how[event], text);
}

static int stopped(const void *arg)
{
	const struct job *j = arg;

	return j->run->stopped ? j->run->stopped(j->run->stopped_arg) : 0;
}

int job_watch_open(struct job *j, struct ebt_err *err)
{
	double stall = j->run->stall > 0 ? j->run->stall : EBT_STALL;
	double timeout = j->run->timeout > 0 ? j->run->timeout : EBT_TIMEOUT;

	j->watching = (struct watch_options){.stall = stall,
		.end = j->run->stall_end,
		.hurry = timeout / 2,
		.rank = j->rank,
		.activity = &j->activity,
		.say = say,
		.stopped = stopped,
		.arg = j};
	/* Nothing is to be named, but it is to end. */
	if (j->run->stall < 0)
		j->watching.stall = j->run->stall_end;
	if (j->watching.stall <= 0 || !j->run->stalled)
		return 0;
	if (j->watching.stall < LEAST_S)
		j->watching.stall = LEAST_S;
	if (j->watching.hurry < LEAST_S)
		j->watching.hurry = LEAST_S;
	return watch_open(&j->nodes, &j->watching, &j->nodes.watch, err);
}
