/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stripes. A file larger than a target's share of the drain cannot be level on one
 * target, so auto gives it one for each such share; everything else has one stripe,
 * which costs the fewest objects and locks. Dealing splits finer where that does not
 * come out level, but no object gets smaller than a stripe of the default size.
 */
#include <errno.h>

#include "plan/place_internal.h"

int place_rules_check(const struct place_rules *r, struct ebt_err *err)
{
	if (r->stripe_size % PLACE_STRIPE_UNIT || r->stripe_size > UINT32_MAX)
		return ebt_failx(err, -EINVAL,
			"stripe size must be a multiple of %u KiB below 4 GiB, not "
			"%llu bytes",
			PLACE_STRIPE_UNIT / 1024, (unsigned long long)r->stripe_size);
	if (r->stripe_count > PLACE_STRIPES_MAX ||
		r->max_stripe_count > PLACE_STRIPES_MAX)
		return ebt_failx(err, -EINVAL, "a file has at most %d stripes, not %u",
			PLACE_STRIPES_MAX,
			r->stripe_count > PLACE_STRIPES_MAX ? r->stripe_count
							    : r->max_stripe_count);
	if (r->max_stripe_count && r->stripe_count > r->max_stripe_count)
		return ebt_failx(err, -EINVAL,
			"%u stripes are more than the limit of %u", r->stripe_count,
			r->max_stripe_count);
	return 0;
}

static uint64_t divide_up(uint64_t a, uint64_t b)
{
	return a / b + (a % b != 0);
}

uint64_t place_big_min(uint64_t total, uint64_t files, uint32_t usable)
{
	uint64_t most = (uint64_t)PLACE_BIG_PER_TARGET * usable;

	if (files <= most)
		return 1;
	return most ? total / most + 1 : UINT64_MAX;
}

/* One range of the file a target, in whole PLACE_STRIPE_SIZE. */
static struct place_stripes ranges_of(uint64_t size, uint64_t count)
{
	uint64_t range = divide_up(size, count);

	range = divide_up(range ? range : 1, PLACE_STRIPE_SIZE) * PLACE_STRIPE_SIZE;
	count = divide_up(size, range);
	return (struct place_stripes){range, count ? (uint32_t)count : 1};
}

static uint64_t stripe_of(const struct place_rules *r)
{
	return r->stripe_size ? r->stripe_size : PLACE_STRIPE_SIZE;
}

uint32_t place_count_max(const struct place_rules *r, uint64_t size, uint32_t usable)
{
	uint64_t most = usable < PLACE_STRIPES_MAX ? usable : PLACE_STRIPES_MAX;
	uint64_t least = stripe_of(r), count = r->stripe_count;

	if (least < PLACE_STRIPE_SIZE)
		least = PLACE_STRIPE_SIZE;
	if (r->max_stripe_count && r->max_stripe_count < most)
		most = r->max_stripe_count;
	if (count == 0)
		count = size / least;
	else if (count > divide_up(size, stripe_of(r)))
		count = divide_up(size, stripe_of(r)); /* no object is empty */
	if (count > most)
		count = most;
	return count ? (uint32_t)count : 1;
}

uint32_t place_count_min(
	const struct place_rules *r, uint64_t size, uint64_t share, uint32_t usable)
{
	uint32_t most = place_count_max(r, size, usable);
	uint64_t count = divide_up(size, share ? share : 1);

	if (r->stripe_count || count > most)
		return most;
	return count ? (uint32_t)count : 1;
}

struct place_stripes place_stripes_of(
	const struct place_rules *r, uint64_t size, uint32_t count)
{
	if (r->plain)
		return ranges_of(size, count);
	return (struct place_stripes){stripe_of(r), count};
}

uint64_t place_object_bytes(
	uint64_t size, const struct place_stripes *s, uint32_t object)
{
	uint64_t whole = size / s->size, extra = whole % s->count;
	uint64_t bytes = whole / s->count * s->size;

	if (object < extra)
		return bytes + s->size;
	return object == extra ? bytes + size % s->size : bytes;
}
