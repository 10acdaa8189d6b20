/* SPDX-License-Identifier: BSD-3-Clause */
/* What the walk works on: items, what it found, how it can be looked at from outside. */
#include "scan/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static const char *const skip_names[SCAN_SKIPS] = {
	[SCAN_FIFO] = "FIFO", [SCAN_SOCKET] = "socket", [SCAN_DEVICE] = "device"};

void scan_init(struct scan *s)
{
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	pthread_mutex_init(&s->gate, NULL);
	pthread_cond_init(&s->gate_free, NULL);
}

void scan_release(struct scan *s)
{
	struct scan_item *it;

	while ((it = s->items)) {
		s->items = it->next;
		free(it);
	}
	scan_skipped_release(&s->skipped);
	free(s->bases);
	pthread_cond_destroy(&s->gate_free);
	pthread_mutex_destroy(&s->gate);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
}

struct scan_item *scan_item_new(uint32_t base, unsigned flags, const char *path,
	const char *names, uint32_t names_len)
{
	size_t len = strlen(path);
	struct scan_item *it = malloc(sizeof(*it) + len + 1 + names_len);

	if (!it)
		return NULL;
	it->next = NULL;
	it->base = base;
	it->flags = (uint8_t)flags;
	it->names = names_len;
	it->path_len = (uint32_t)len;
	memcpy(it->path, path, len + 1);
	if (names_len)
		memcpy(it->path + len + 1, names, names_len);
	return it;
}

void scan_push(struct scan *s, struct scan_item *list)
{
	struct scan_item *it;
	SCOPED_LOCK(&s->lock);

	while ((it = list)) {
		list = it->next;
		it->next = s->items;
		s->items = it;
		s->n_items++;
	}
	pthread_cond_broadcast(&s->changed);
}

struct scan_item *scan_pop(struct scan *s)
{
	struct scan_item *it;
	SCOPED_LOCK(&s->lock);

	it = s->items;
	if (it) {
		s->items = it->next;
		s->n_items--;
	}
	return it;
}

void scan_left(struct scan *s, uint32_t *items, unsigned *busy)
{
	SCOPED_LOCK(&s->lock);
	*items = s->n_items;
	*busy = s->busy;
}

void scan_fail(struct scan *s, int code, const struct ebt_err *err)
{
	SCOPED_LOCK(&s->lock);
	if (!s->code) {
		s->err = *err;
		__atomic_store_n(&s->code, code, __ATOMIC_RELEASE);
	}
	pthread_cond_broadcast(&s->changed);
}

void scan_freeze(struct scan *s)
{
	SCOPED_LOCK(&s->gate);
	s->frozen = true;
	while (s->inside)
		pthread_cond_wait(&s->gate_free, &s->gate);
}

void scan_thaw(struct scan *s)
{
	SCOPED_LOCK(&s->gate);
	s->frozen = false;
	pthread_cond_broadcast(&s->gate_free);
}

void scan_skipped_release(struct scan_skipped *s)
{
	for (int i = 0; i < SCAN_SKIPS; i++)
		free(s->name[i]);
}

uint64_t scan_warn_skipped(const struct log *log, const struct scan_skipped *s)
{
	char name[1024];
	uint64_t sum = 0;

	for (int i = 0; i < SCAN_SKIPS; i++) {
		if (!s->count[i])
			continue;
		sum += s->count[i];
		text_name(s->name[i] ? s->name[i] : "?", name, sizeof(name));
		if (s->count[i] == 1)
			log_warn(log, "%s: skipped, it is a %s", name, skip_names[i]);
		else
			log_warn(log, "%s and %llu more: skipped, they are %ss", name,
				(unsigned long long)s->count[i] - 1, skip_names[i]);
	}
	return sum;
}

int scan_shards_new(struct scan_shards *sh, unsigned threads, struct ebt_err *err)
{
	int r = 0;

	sh->n = threads < SCAN_THREADS ? threads : SCAN_THREADS;
	for (unsigned i = 0; i < sh->n && r == 0; i++)
		r = manifest_new(&sh->m[i], err);
	return r;
}

void scan_shards_release(struct scan_shards *sh)
{
	for (unsigned i = 0; i < sh->n; i++)
		manifest_free(sh->m[i]);
}

int scan_shards_join(struct scan_shards *sh, struct manifest **out, struct ebt_err *err)
{
	int r = 0;

	for (unsigned i = 1; i < sh->n && r == 0; i++) {
		r = manifest_append(sh->m[0], sh->m[i], err);
		manifest_free(TAKE(sh->m[i]));
	}
	if (r == 0)
		*out = TAKE(sh->m[0]);
	return r;
}
