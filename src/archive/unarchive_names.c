/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Paths that were there, 24 bytes each in a table with open addressing. In place of a path stands
 * SipHash-2-4 of it with 128 bits and a random key: whoever makes an archive cannot know which
 * paths collide, and by chance none do.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/random.h>

#include "archive/unarchive_internal.h"

#define SLOTS 1024 /* of the first table, a power of two */
#define KIND  7u   /* bits of tag that are the kind */

struct slot {
	uint64_t hash;
	uint64_t tag; /* the rest of the hash, and the kind; 0: a free slot */
	uint64_t what;
};

struct names {
	uint64_t key[2];
	struct slot *slots;
	uint64_t n_slots, used;
};

int names_new(struct names **out, struct ebt_err *err)
{
	SCOPED(names_freep) struct names *n = calloc(1, sizeof(*n));

	if (n)
		n->slots = calloc(SLOTS, sizeof(*n->slots));
	if (!n || !n->slots)
		return ebt_fail(err, -ENOMEM, "names of an archive");
	n->n_slots = SLOTS;
	if (getrandom(n->key, sizeof(n->key), 0) != (ssize_t)sizeof(n->key))
		return ebt_fail(err, -EIO, "random bytes");
	*out = TAKE(n);
	return 0;
}

void names_free(struct names *n)
{
	if (!n)
		return;
	free(n->slots);
	free(n);
}

static uint64_t turn(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static void mix(uint64_t v[4], unsigned rounds)
{
	while (rounds--) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = turn(v[1], 13) ^ v[0];
		v[3] = turn(v[3], 16) ^ v[2];
		v[0] = turn(v[0], 32) + v[3];
		v[2] += v[1];
		v[3] = turn(v[3], 21) ^ v[0];
		v[1] = turn(v[1], 17) ^ v[2];
		v[2] = turn(v[2], 32);
	}
}

static void absorb(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	mix(v, 2);
	v[0] ^= word;
}

/* Words in the order of this machine's bytes: the hash never leaves it. */
static struct slot hash_of(const struct names *n, const char *path, size_t len)
{
	uint64_t v[4] = {n->key[0] ^ 0x736f6d6570736575, n->key[1] ^ 0x646f72616e646f83,
		n->key[0] ^ 0x6c7967656e657261, n->key[1] ^ 0x7465646279746573};
	uint64_t word, hash;
	size_t left = len;

	for (; left >= 8; left -= 8, path += 8) {
		memcpy(&word, path, 8);
		absorb(v, word);
	}
	word = (uint64_t)len << 56;
	for (size_t i = 0; i < left; i++)
		word |= (uint64_t)(unsigned char)path[i] << (8 * i);
	absorb(v, word);
	v[2] ^= 0xee;
	mix(v, 4);
	hash = v[0] ^ v[1] ^ v[2] ^ v[3];
	v[1] ^= 0xdd;
	mix(v, 4);
	return (struct slot){
		.hash = hash, .tag = (v[0] ^ v[1] ^ v[2] ^ v[3]) & ~(uint64_t)KIND};
}

/* The slot of the path, or the free one where it belongs. */
static struct slot *slot_of(struct slot *slots, uint64_t n_slots, const struct slot *s)
{
	uint64_t i = s->hash;

	for (;; i++) {
		struct slot *at = &slots[i & (n_slots - 1)];

		if (!at->tag || (at->hash == s->hash &&
					((at->tag ^ s->tag) & ~(uint64_t)KIND) == 0))
			return at;
	}
}

enum names_kind names_get(
	const struct names *n, const char *path, size_t len, uint64_t *what)
{
	const struct slot s = hash_of(n, path, len);
	const struct slot *at = slot_of(n->slots, n->n_slots, &s);

	if (what)
		*what = at->what;
	return (enum names_kind)(at->tag & KIND);
}

static int grow(struct names *n)
{
	uint64_t n_slots = 2 * n->n_slots;
	struct slot *slots = calloc(n_slots, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (uint64_t i = 0; i < n->n_slots; i++)
		if (n->slots[i].tag)
			*slot_of(slots, n_slots, &n->slots[i]) = n->slots[i];
	free(n->slots);
	n->slots = slots;
	n->n_slots = n_slots;
	return 0;
}

int names_put(struct names *n, const char *path, size_t len, enum names_kind kind,
	uint64_t what)
{
	struct slot s = hash_of(n, path, len), *at;

	if (n->used >= n->n_slots / 4 * 3 && grow(n) < 0)
		return -ENOMEM;
	at = slot_of(n->slots, n->n_slots, &s);
	n->used += !at->tag;
	s.tag |= kind;
	s.what = what;
	*at = s;
	return 0;
}

const char *names_normalise(const char *raw, char *path)
{
	size_t at = 0, len;

	if (raw[0] == '\0')
		return "an empty name";
	if (raw[0] == '/')
		return "an absolute name";
	for (; *raw; raw += len) {
		while (*raw == '/')
			raw++;
		len = strcspn(raw, "/");
		if (len == 0 || (len == 1 && raw[0] == '.'))
			continue;
		if (len == 2 && raw[0] == '.' && raw[1] == '.')
			return "a name with \"..\" in it";
		if (len > NAME_MAX)
			return "a name with a part of more than 255 bytes";
		if (at + 1 + len >= PATH_MAX)
			return "a name of more than 4095 bytes";
		if (at)
			path[at++] = '/';
		memcpy(path + at, raw, len);
		at += len;
	}
	path[at] = '\0';
	/* The store's own things. */
	if (strncmp(path, ".ebt", 4) == 0 && (path[4] == '/' || path[4] == '\0'))
		return "a name that is EBT's own";
	return NULL;
}
