/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cmd/cmd.h"

#define INTERVAL 0.2 /* seconds between drawings */
#define BAR	 30  /* columns */

void cmd_progress(void *arg, const struct ebt_progress *p)
{
	struct cmd_progress *c = arg;
	char done[TEXT_SIZE], total[TEXT_SIZE], rate[TEXT_SIZE], bar[BAR + 1];
	double share, speed, t = clock_now();
	int full;

	if (t - c->last < INTERVAL)
		return;
	c->last = t;
	c->drawn = true;
	if (p->phase == EBT_PHASE_SCAN) {
		fprintf(stderr, "\r\033[Kscan: %llu entries",
			(unsigned long long)p->entries);
		fflush(stderr);
		return;
	}
	share = p->total ? (double)p->bytes / (double)p->total : 0;
	speed = p->seconds > 0 ? (double)p->bytes / p->seconds : 0;
	full = (int)(share * BAR);
	memset(bar, '.', BAR);
	memset(bar, '#', (size_t)(full > BAR ? BAR : full));
	bar[BAR] = '\0';
	fprintf(stderr, "\r\033[K[%s] %3.0f %%  %s of %s  %s", bar, share * 100,
		text_size((double)p->bytes, done), text_size((double)p->total, total),
		text_rate(speed, rate));
	if (speed > 0 && p->total > p->bytes)
		fprintf(stderr, "  %.0f s left", (double)(p->total - p->bytes) / speed);
	fflush(stderr);
}

void cmd_progress_end(struct cmd_progress *c)
{
	if (c->drawn)
		fputs("\r\033[K", stderr);
	c->drawn = false;
}
