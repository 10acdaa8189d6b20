/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening a second time. Sources are opened with O_NONBLOCK, since a FIFO may have taken the
 * file's place. Of a regular file that means: fail rather than wait for whoever holds a lease.
 * The attempt tells the holder, who has lease-break-time to give it up, see fcntl(2); so the
 * same open works a little later, and no open ever has to wait in the kernel, where no stop
 * request would reach it.
 */
#include <errno.h>
#include <time.h>

#include "fsio/fsio.h"

#define STALE_TRIES 5  /* beside the first one */
#define FIRST_MS    10 /* of waiting, doubled each time */
#define LONGEST_MS  160
#define LEASE_MS    60000 /* lease-break-time is 45 s unless changed */

static bool gives_up(const struct fsio_again *a, int code)
{
	switch (code) {
	case -ESTALE:
	case -EINTR:
		return a->tries >= STALE_TRIES;
	case -EAGAIN:
		return a->waited_ms >= LEASE_MS;
	default:
		return true;
	}
}

bool fsio_again(struct fsio_again *a, const struct fsio_patience *p, int code)
{
	unsigned ms = a->tries < 4 ? FIRST_MS << a->tries : LONGEST_MS;

	if (code >= 0 || gives_up(a, code) || (p->stopped && p->stopped(p->arg)))
		return false;
	if (!a->tries++ && p->count)
		__atomic_add_fetch(p->count, 1, __ATOMIC_RELAXED);
	nanosleep(&(struct timespec){.tv_nsec = ms * 1000000l}, NULL);
	a->waited_ms += ms;
	return true;
}
