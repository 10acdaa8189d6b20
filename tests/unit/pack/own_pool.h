/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_UNIT_PACK_OWN_POOL_H
#define TESTS_UNIT_PACK_OWN_POOL_H

#include "pack/parcel.h"

/* A pool in memory that all of a test program share: pages that are not used cost nothing. */
static inline int own_pool(
	uint64_t bytes, uint32_t count, struct pool **out, struct ebt_err *err)
{
	static struct pool_memory memory;

	if (!memory.at && pool_memory_new(&memory, 8ull << 30, err) < 0)
		return -1;
	return pool_new(bytes, count, &memory, out, err);
}

#endif
