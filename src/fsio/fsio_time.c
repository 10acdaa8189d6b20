/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Times as file systems hold them. The kernel cuts a time to the range and the unit of the
 * file system before it stores it, see timestamp_truncate in fs/inode.c of Linux: seconds
 * to the range, without a fraction at its ends, then nanoseconds down to a multiple of the
 * unit. ext4 with inodes of 128 bytes, ext3 and XFS without bigtime end in 2038, the first
 * two know seconds only, FAT even ones, exFAT 10 ms, Lustre and BeeGFS seconds.
 *
 * For a file system where we may write that is found out, once. Of another one only the
 * time is seen that it shows, and whether it could have been made of the one that was given.
 */
#include <stddef.h>
#include <sys/stat.h>

#include "fsio/fsio.h"

#define NS_PER_S 1000000000

static struct timespec cut(struct timespec t, uint64_t unit)
{
	int64_t s = (int64_t)(unit / NS_PER_S), over;

	if (unit < NS_PER_S) {
		t.tv_nsec -= (long)((uint64_t)t.tv_nsec % unit);
		return t;
	}
	over = t.tv_sec % s;
	return (struct timespec){
		.tv_sec = t.tv_sec - (over < 0 ? over + s : over), .tv_nsec = 0};
}

static bool equal(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

struct timespec fsio_time_held(const struct fsio_times *h, struct timespec t)
{
	if (t.tv_sec >= h->max)
		return (struct timespec){.tv_sec = h->max};
	if (t.tv_sec <= h->min)
		return (struct timespec){.tv_sec = h->min};
	return h->unit > 1 ? cut(t, h->unit) : t;
}

bool fsio_time_could_be(struct timespec given, struct timespec shown)
{
	/* Of shared file systems: coarser ones would hide that a file was written again. */
	static const uint64_t units[] = {1, 100, 1000, 1000000, NS_PER_S};
	/* 32 bits, 34 with ext4's epochs, 64 of nanoseconds from 1901 on with XFS's. */
	static const int64_t ends[] = {
		INT32_MAX, UINT32_MAX, 0x37fffffffll, 16299260424};
	static const int64_t starts[] = {INT32_MIN, 0};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (equal(cut(given, units[i]), shown))
			return true;
	if (shown.tv_nsec != 0)
		return false;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (shown.tv_sec == ends[i] && given.tv_sec > shown.tv_sec)
			return true;
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		if (shown.tv_sec == starts[i] && given.tv_sec < shown.tv_sec)
			return true;
	return false;
}

/* What @fd shows after it was given @t: both times, as files get them; not all may set one. */
static bool try(int fd, struct timespec t, struct timespec *shown)
{
	const struct timespec times[2] = {t, t};
	struct stat st;

	if (futimens(fd, times) < 0 || fstat(fd, &st) < 0)
		return false;
	*shown = st.st_mtim;
	return true;
}

void fsio_times_find(int fd, struct fsio_times *out)
{
	/* The last nanosecond of an hour: the next one is a multiple of every unit. */
	const struct timespec last = {.tv_sec = 1000000799, .tv_nsec = NS_PER_S - 1};
	const struct timespec other = {.tv_sec = 1234567891, .tv_nsec = 123456789};
	struct fsio_times h = FSIO_TIMES_EXACT;
	struct timespec shown;

	*out = (struct fsio_times){.min = h.min, .max = h.max};
	if (!try(fd, last, &shown) || shown.tv_sec > last.tv_sec ||
		last.tv_sec - shown.tv_sec >= 3600)
		return;
	h.unit = (uint64_t)(last.tv_sec - shown.tv_sec) * NS_PER_S +
		 (uint64_t)(last.tv_nsec - shown.tv_nsec) + 1;
	/* An end that is refused, or wraps around, is not known: files will tell. */
	if (try(fd, (struct timespec){.tv_sec = INT64_MAX}, &shown) &&
		shown.tv_sec > last.tv_sec)
		h.max = shown.tv_sec;
	if (try(fd, (struct timespec){.tv_sec = INT64_MIN}, &shown) &&
		shown.tv_sec < last.tv_sec)
		h.min = shown.tv_sec;
	if (try(fd, other, &shown) && equal(fsio_time_held(&h, other), shown))
		*out = h;
}
