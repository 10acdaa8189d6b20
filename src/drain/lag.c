/* SPDX-License-Identifier: BSD-3-Clause */
/* What one node made in DEST and another does not see yet: asked for until it does. */
#include "drain/drain_internal.h"

#define SAY_MS 5000 /* of waiting before a word is said */

bool drain_lags(
	struct drain *d, struct fsio_lag *l, int dirfd, const char *path, int code)
{
	struct fsio_patience p = drain_patience(d);
	char shown[DRAIN_PATH];
	bool again;

	/* Asking would write. */
	if (d->o->dry_run)
		return false;
	p.count = NULL; /* that is of outputs */
	again = fsio_lags(l, dirfd, path, &p, code);
	if (again && l->waited_ms >= SAY_MS &&
		!__atomic_exchange_n(&d->dest.said_lag, true, __ATOMIC_RELAXED))
		log_warn(&d->job.log,
			"%s: made by another node, and not there yet on %s: waiting, "
			"at most "
			"%u s",
			dirfd == d->dest.fd ? drain_path(d, path, shown) : path,
			d->node_name, FSIO_LAG_MS / 1000);
	return again;
}

int drain_open_made(struct drain *d, const char *path, int flags)
{
	struct fsio_lag lag = {0};
	int fd;

	do
		fd = fsio_open_beneath(d->dest.fd, path, flags);
	while (drain_lags(d, &lag, d->dest.fd, path, fd));
	return fd;
}
