/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The order of nodes in a run: those of one switch side by side, as schedules send to neighbours
 * in that order, and what crosses switches shares their uplinks. Slurm tells each task the way to
 * its node: SLURM_TOPOLOGY_ADDR is "core.rack7.node0412" where SLURM_TOPOLOGY_ADDR_PATTERN is
 * "switch.switch.node", and the node alone where it knows of no switches (srun(1)).
 *
 * Nobody has to know all of them: a switch's name becomes a number, and the numbers are sorted when
 * the communicator is made. Two switches with one number are mixed, as all are without this.
 */
#include "job/job.h"

#include <string.h>

#include "base/digest.h"

#define BITS 31 /* of a key, which MPI sorts as an int */

int job_switch_key(const char *address, const char *pattern)
{
	unsigned levels = 0, width;
	uint32_t key = 0;
	const char *p = address;

	for (const char *q = pattern; q && *q; q++)
		levels += *q == '.';
	if (!address || !levels)
		return -1;
	width = levels < BITS ? BITS / levels : 1;
	/* From the top down, each by its whole way: what hangs together above stays together. */
	for (unsigned i = 0; i < levels; i++, p++) {
		p += strcspn(p, ".");
		if (!*p)
			return -1;
		key = key << width |
		      ((uint32_t)digest_bytes(address, (size_t)(p - address)).lo &
			      ((1u << width) - 1));
	}
	return (int)(key & INT32_MAX);
}
