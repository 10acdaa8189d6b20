/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/digest.h"

#include <string.h>
#include <xxhash.h>

bool digest_is_zero(const void *data, size_t len)
{
	const unsigned char *p = data;

	/* Equal to itself shifted by one, and starting with zero: memcmp does the scan. */
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

struct ebt_digest digest_leaf(const void *data, size_t len, uint64_t index)
{
	XXH128_hash_t h;

	if (digest_is_zero(data, len))
		return (struct ebt_digest){0};
	h = XXH3_128bits_withSeed(data, len, index);
	return (struct ebt_digest){.lo = h.low64, .hi = h.high64};
}

struct ebt_digest digest_bytes(const void *data, size_t len)
{
	XXH128_hash_t h = XXH3_128bits(data, len);

	return (struct ebt_digest){.lo = h.low64, .hi = h.high64};
}

/* Only ever a pointer to the library's own. */
struct digest_stream *digest_stream_new(void)
{
	XXH3_state_t *s = XXH3_createState();

	if (s)
		XXH3_128bits_reset(s);
	return (struct digest_stream *)s;
}

void digest_stream_add(struct digest_stream *s, const void *data, size_t len)
{
	XXH3_128bits_update((XXH3_state_t *)s, data, len);
}

struct ebt_digest digest_stream_end(struct digest_stream *s)
{
	XXH128_hash_t h = XXH3_128bits_digest((XXH3_state_t *)s);

	XXH3_freeState((XXH3_state_t *)s);
	return (struct ebt_digest){.lo = h.low64, .hi = h.high64};
}

static void run_fold(struct digest_run *run)
{
	XXH128_hash_t h =
		XXH3_128bits(run, offsetof(struct digest_run, leaves) +
					  run->count * sizeof(run->leaves[0]));

	run->state = (struct ebt_digest){.lo = h.low64, .hi = h.high64};
	run->count = 0;
}

void digest_run_add(struct digest_run *run, struct ebt_digest leaf)
{
	if (run->count == DIGEST_RUN)
		run_fold(run);
	run->leaves[run->count++] = leaf;
}

struct ebt_digest digest_run_end(struct digest_run *run)
{
	run_fold(run);
	return run->state;
}
