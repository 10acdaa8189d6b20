/* SPDX-License-Identifier: BSD-3-Clause */
#include "codec/block.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec/block_kinds.h"

#define CODECS 3 /* numbers from 0 on */

/* What was found when this was configured. */
static const struct block_kind *const kinds[] = {BLOCK_KINDS NULL};

static const char *const names[CODECS] = {"none", "lz4", "zstd"};

struct block {
	void *to[CODECS], *back[CODECS];
};

static const struct block_kind *kind_of(uint32_t codec)
{
	for (size_t i = 0; kinds[i]; i++) {
		if (kinds[i]->codec == codec)
			return kinds[i];
	}
	return NULL;
}

bool block_has(uint32_t codec)
{
	return kind_of(codec) != NULL;
}

uint32_t block_at(unsigned i)
{
	const struct block_kind *const *k = kinds;

	while (*k && i--)
		k++;
	return *k ? (*k)->codec : BLOCK_NONE;
}

const char *block_name(uint32_t codec)
{
	return codec < CODECS ? names[codec] : NULL;
}

/* ":LEVEL" behind a name, or nothing. */
static bool parse_level(const char *text, int *level)
{
	char *end;
	long v;

	*level = 0;
	if (!*text)
		return true;
	if (text[0] != ':' || text[1] < '1' || text[1] > '9')
		return false;
	v = strtol(text + 1, &end, 10);
	*level = v > BLOCK_LEVEL_MAX ? 0 : (int)v;
	return !*end && v <= BLOCK_LEVEL_MAX;
}

int block_parse(const char *text, struct block_way *way, struct ebt_err *err)
{
	struct block_way w = {.codec = CODECS};
	size_t n = strcspn(text, ":");

	for (uint32_t i = 0; i < CODECS; i++) {
		if (strlen(names[i]) == n && memcmp(text, names[i], n) == 0)
			w.codec = i;
	}
	/* The others have no levels that would be worth a choice. */
	if (w.codec == CODECS || (w.codec != BLOCK_ZSTD && text[n]))
		return ebt_failx(err, -EINVAL, "'%s': unknown compression", text);
	if (!parse_level(text + n, &w.level))
		return ebt_failx(err, -EINVAL, "'%s': levels are 1 to %d", text,
			BLOCK_LEVEL_MAX);
	if (w.codec != BLOCK_NONE && !block_has(w.codec))
		return ebt_failx(err, -ENOTSUP, "'%s': %s is not built in", text,
			names[w.codec]);
	*way = w;
	return 0;
}

size_t block_memory_to(const struct block_way *way)
{
	const struct block_kind *k = kind_of(way->codec);

	return k ? k->memory_to(way->level) : 0;
}

int block_new(struct block **out, struct ebt_err *err)
{
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : ebt_fail(err, -ENOMEM, "compression");
}

void block_free(struct block *b)
{
	if (!b)
		return;
	for (size_t i = 0; kinds[i]; i++) {
		kinds[i]->to_free(b->to[kinds[i]->codec]);
		kinds[i]->back_free(b->back[kinds[i]->codec]);
	}
	free(b);
}

size_t block_memory(const struct block *b)
{
	size_t sum = sizeof(*b);

	for (size_t i = 0; kinds[i]; i++) {
		const struct block_kind *k = kinds[i];

		if (b->to[k->codec])
			sum += k->to_size(b->to[k->codec]);
		if (b->back[k->codec])
			sum += k->back_size(b->back[k->codec]);
	}
	return sum;
}

static int not_built_in(uint32_t codec, struct ebt_err *err)
{
	return ebt_failx(err, -ENOTSUP, "compression %s is not built in",
		block_name(codec) ? block_name(codec) : "of an unknown kind");
}

int block_to(struct block *b, const struct block_way *way, const void *from, size_t len,
	void *to, size_t room, size_t *out, struct ebt_err *err)
{
	const struct block_kind *k = kind_of(way->codec);
	void **ctx;
	ssize_t n;

	if (!k)
		return not_built_in(way->codec, err);
	ctx = &b->to[k->codec];
	if (!*ctx)
		*ctx = k->to_new();
	n = *ctx ? k->to(*ctx, way->level, from, len, to, room) : -ENOMEM;
	if (n < 0)
		return ebt_fail(err, (int)n, "compression");
	*out = (size_t)n;
	return n > 0;
}

int block_back(struct block *b, uint32_t codec, const void *from, size_t len, void *to,
	size_t content, struct ebt_err *err)
{
	const struct block_kind *k = kind_of(codec);
	void **ctx;
	ssize_t n;

	if (!k)
		return not_built_in(codec, err);
	ctx = &b->back[k->codec];
	if (!*ctx)
		*ctx = k->back_new();
	n = *ctx ? k->back(*ctx, from, len, to, content) : -ENOMEM;
	if (n == -ENOMEM)
		return ebt_fail(err, -ENOMEM, "decompression");
	if (n < 0 || (size_t)n != content)
		return ebt_failx(err, -EBADMSG,
			"damaged: not what %s makes of %zu bytes", names[codec],
			content);
	return 0;
}
