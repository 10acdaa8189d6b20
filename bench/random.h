/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Content that nobody needs to keep: bytes that follow from a number, and a digest to know
 * them by. Not for secrets.
 */
#ifndef BENCH_RANDOM_H
#define BENCH_RANDOM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* splitmix64: also a good way to mix the bits of @x. */
static inline uint64_t mixed(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

static inline void fill_random(uint64_t seed, char *data, size_t len)
{
	for (size_t at = 0; at < len; at += sizeof(seed)) {
		uint64_t word = mixed(seed++);

		memcpy(data + at, &word,
			len - at < sizeof(word) ? len - at : sizeof(word));
	}
}

/* Depends on every bit and on the order. */
static inline uint64_t digest_of(const char *data, size_t len)
{
	uint64_t sum = len, word;

	for (size_t at = 0; at < len; at += sizeof(word)) {
		word = 0;
		memcpy(&word, data + at,
			len - at < sizeof(word) ? len - at : sizeof(word));
		sum = (sum ^ word) * 0x9e3779b97f4a7c15;
		sum ^= sum >> 29;
	}
	return sum;
}

#endif
