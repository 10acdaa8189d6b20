/* SPDX-License-Identifier: BSD-3-Clause */
/* What options of a run come to: values with their defaults, and what the user named. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "fsio/fsio.h"
#include "stage/roots.h"
#include "stage/stage_internal.h"

unsigned stage_io_threads(const struct ebt_stage_options *o)
{
	if (o->io_threads > STREAM_THREADS)
		return STREAM_THREADS;
	return o->io_threads ? o->io_threads : EBT_STAGE_IO_THREADS;
}

unsigned stage_write_threads(const struct ebt_stage_options *o)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (o->write_threads)
		return o->write_threads > STREAM_THREADS ? STREAM_THREADS
							 : o->write_threads;
	return cpus < 1 ? 1 : cpus > 4 ? 4 : (unsigned)cpus;
}

unsigned stage_window(const struct ebt_stage_options *o)
{
	return o->window ? o->window : 1;
}

uint64_t stage_memory(const struct ebt_stage_options *o)
{
	return o->memory ? o->memory : EBT_STAGE_MEMORY;
}

uint64_t stage_floor(const struct ebt_stage_options *o, uint64_t size)
{
	double usual = EBT_STAGE_KEEP_FREE * (double)size;

	if (o->keep_free)
		return o->keep_free;
	if (o->keep_free_share < 0)
		return 0;
	if (o->keep_free_share > 0)
		return (uint64_t)(o->keep_free_share * (double)size);
	return usual < EBT_STAGE_KEEP_FREE_MOST ? (uint64_t)usual
						: EBT_STAGE_KEEP_FREE_MOST;
}

int stage_roots(const struct ebt_stage_options *o, struct buf *out, struct ebt_err *err)
{
	SCOPED_FREE char *cwd = getcwd(NULL, 0);
	int code = -errno;
	char name[512];

	for (size_t i = 0; i < o->n_sources && !cwd; i++) {
		text_name(o->sources[i], name, sizeof(name));
		if (fsio_cwd_gone(o->sources[i]))
			return ebt_failx(err, -ENOENT, "%s: " FSIO_CWD_GONE, name);
		if (o->sources[i][0] != '/')
			return ebt_fail(err, code, "%s: working directory", name);
	}
	/* Without one nothing is relative to it. */
	return roots_encode(
		o->sources, o->n_sources, o->relative, cwd ? cwd : "/", out, err);
}
