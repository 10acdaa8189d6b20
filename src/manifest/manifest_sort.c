/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sorting by path. Paths of one tree share long beginnings, so comparing whole strings
 * over and over is what costs. Here a path is a sequence of words of eight bytes: sort
 * by the first word, then every run of equal words by the next one. Each word of a path
 * is read once, the comparisons are of integers that lie side by side, and the merge
 * sort below notices at the price of one look that a run is in order already, which is
 * how most of what a scan delivers comes. Runs are sorted one within the other, the longest one
 * last and in place of the whole: so a call has at most half of what its caller had, and trees of
 * any depth do with little stack.
 *
 * In a word bytes are ranked: end of path, then '/', then all others by value. '/' as
 * the lowest byte makes the order of paths that of their components. Ranks fit a byte
 * because '/' leaves its place free.
 */
#include <string.h>

#include "manifest/manifest_internal.h"

static inline unsigned char rank(unsigned char c)
{
	if (c == '/')
		return 1;
	return c && c < '/' ? c + 1 : c;
}

int manifest_path_compare(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return (int)rank((unsigned char)*a) - (int)rank((unsigned char)*b);
}

static void insertion_sort(struct sort_key *a, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct sort_key k = a[i];
		size_t j = i;

		for (; j > 0 && a[j - 1].key > k.key; j--)
			a[j] = a[j - 1];
		a[j] = k;
	}
}

void sort_keys(struct sort_key *a, struct sort_key *tmp, size_t n)
{
	size_t half = n / 2, i = 0, j = half, k = 0;

	if (n <= 16) {
		insertion_sort(a, n);
		return;
	}
	sort_keys(a, tmp, half);
	sort_keys(a + half, tmp, n - half);
	if (a[half - 1].key <= a[half].key)
		return;
	memcpy(tmp, a, half * sizeof(*a));
	while (i < half && j < n)
		a[k++] = tmp[i].key <= a[j].key ? tmp[i++] : a[j++];
	memcpy(a + k, tmp + i, (half - i) * sizeof(*a));
}

/* The word at @p, filled up with zeros after the end of the path. */
static uint64_t word_at(const char *p)
{
	uint64_t w = 0;

	for (int i = 0; i < 8; i++) {
		w = w << 8 | rank((unsigned char)*p);
		if (*p)
			p++;
	}
	return w;
}

static size_t run_end(const struct sort_key *a, size_t from, size_t n)
{
	size_t to = from + 1;

	while (to < n && a[to].key == a[from].key)
		to++;
	return to;
}

static void sort_from(struct sort_key *a, struct sort_key *tmp, size_t n, size_t depth,
	const struct manifest_entry *entries)
{
	size_t from, to, longest, len;

	for (; n > 1; depth += 8) {
		for (size_t i = 0; i < n; i++)
			a[i].key = word_at(entries[a[i].index].name + depth);
		sort_keys(a, tmp, n);
		longest = len = 0;
		/* A run that ended in this word is of equal paths. */
		for (from = 0; from < n; from = to) {
			to = run_end(a, from, n);
			if ((a[from].key & 0xff) != 0 && to - from > len) {
				longest = from;
				len = to - from;
			}
		}
		for (from = 0; from < n; from = to) {
			to = run_end(a, from, n);
			if (to - from > 1 && (a[from].key & 0xff) != 0 &&
				from != longest)
				sort_from(a + from, tmp, to - from, depth + 8, entries);
		}
		a += longest;
		n = len;
	}
}

void sort_paths(struct sort_key *a, struct sort_key *tmp, size_t n,
	const struct manifest_entry *entries)
{
	if (n > 1)
		sort_from(a, tmp, n, 0, entries);
}
