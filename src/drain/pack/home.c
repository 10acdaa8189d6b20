/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Outputs that are in an archive are freed one by one, and an archive is in place as a whole: a run
 * that is killed in between leaves some, which are another version of it. So each node writes down what
 * it frees before it does, and what it finds of that is home, as long as the archive is there.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "drain/pack/pack.h"
#include "journal/journal_format.h"

int pack_version(const struct drain *d, uint32_t i, const char *path, struct buf *b)
{
	const struct manifest_entry *e = &d->out.m->entries[i];

	b->len = 0;
	buf_put8(b, e->kind);
	buf_put(b, path, strlen(path) + 1);
	buf_put32(b, e->mode);
	if (e->kind == MANIFEST_SYMLINK)
		buf_put(b, e->target, strlen(e->target));
	if (e->kind == MANIFEST_FILE) {
		buf_put64(b, drain_lacks_attributes(d, i) ? 0 : e->ino);
		buf_put64(b, e->size);
		buf_put64(b, (uint64_t)e->mtime);
		buf_put32(b, e->mtime_ns);
	}
	return buf_ok(b) ? 0 : -ENOMEM;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

struct loading {
	const struct drain *d;
	struct buf keys, older;
};

static int load(void *arg, const struct journal_packed *p)
{
	struct loading *l = arg;
	struct buf *to = p->older ? &l->older : &l->keys;
	struct reader r = reader_of(p->keys, (size_t)p->n * JOURNAL_KEY_LEN);
	struct stat st;

	if (pack_look(l->d, p->path, &st) < 0 || (p->ino && st.st_ino != p->ino))
		return 0;
	for (uint32_t i = 0; i < p->n; i++) {
		uint64_t key = reader_get64(&r);

		buf_put(to, &key, sizeof(key));
	}
	return 0;
}

static size_t take_sorted(struct buf *b, uint64_t **out)
{
	size_t n = b->len / sizeof(**out);

	*out = (uint64_t *)TAKE(b->data);
	if (n)
		qsort(*out, n, sizeof(**out), compare);
	return n;
}

int pack_home_open(const struct drain *d, struct pack_home *h, struct ebt_err *err)
{
	struct loading l = {.d = d};

	*h = (struct pack_home){0};
	if (!drain_journal_same(d) || d->dest.fd < 0)
		return 0;
	journal_each_packed(d->proof.journal, load, &l);
	if (!buf_ok(&l.keys) || !buf_ok(&l.older)) {
		buf_release(&l.keys);
		buf_release(&l.older);
		return ebt_fail(err, -ENOMEM, "journal");
	}
	h->n = take_sorted(&l.keys, &h->keys);
	h->n_older = take_sorted(&l.older, &h->older);
	return 0;
}

void pack_home_release(struct pack_home *h)
{
	free(h->keys);
	free(h->older);
}

unsigned pack_is_home(const struct pack_home *h, uint64_t key)
{
	if (h->n && bsearch(&key, h->keys, h->n, sizeof(key), compare))
		return PACK_HOME;
	if (h->n_older && bsearch(&key, h->older, h->n_older, sizeof(key), compare))
		return PACK_OLDER;
	return 0;
}

/* Keys of archive @a, as they are written down. */
static int gather(struct drain *d, uint32_t a, const uint64_t *done, struct buf *keys,
	struct buf *older, struct ebt_err *err)
{
	SCOPED_FREE char *path = malloc(MANIFEST_PATH_SIZE);
	SCOPED_BUF struct buf b = {0};
	int r = path ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < d->out.m->count && r >= 0; i++) {
		uint8_t v = d->out.verdict[i];
		bool home = v == DRAIN_IN_PLACE || (done[i / 64] >> (i % 64) & 1);

		if (d->pack.of[i] != a || d->out.m->entries[i].kind == MANIFEST_DIR ||
			(pack_state(d, i) & (PACK_HOME | PACK_OLDER)) ||
			(!home && v != DRAIN_OLDER))
			continue;
		r = manifest_path(d->out.m, i, path, MANIFEST_PATH_SIZE);
		if (r >= 0)
			r = pack_version(d, i, path, &b);
		if (r >= 0)
			buf_put64(home ? keys : older, digest_bytes(b.data, b.len).lo);
	}
	if (r < 0 || !buf_ok(keys) || !buf_ok(older))
		return ebt_fail(err, r < 0 ? r : -ENOMEM, "archives");
	return 0;
}

/* False: there is no room for it. */
static bool write_down(
	struct drain *d, const struct pack_part *p, const struct buf *keys, bool older)
{
	struct journal_packed rec = {.path = p->as,
		.older = older,
		.n = (uint32_t)(keys->len / JOURNAL_KEY_LEN),
		.keys = keys->data};
	SCOPED_BUF struct buf b = {0};
	struct stat st;

	if (!rec.n)
		return true;
	if (!drain_journal_same(d) || pack_look(d, p->as, &st) < 0)
		return false;
	rec.ino = d->dest.inodes_differ ? 0 : st.st_ino;
	journal_put_packed(&b, &rec);
	return buf_ok(&b) && journal_add(d->proof.journal, &b, NULL) == 0;
}

/* Nothing of archive @a is freed. */
static void keep(struct drain *d, uint32_t a, uint64_t *done)
{
	for (uint32_t i = 0; i < d->out.m->count; i++) {
		if (d->pack.of[i] != a)
			continue;
		done[i / 64] &= ~((uint64_t)1 << (i % 64));
		if (d->out.verdict[i] == DRAIN_IN_PLACE)
			d->out.verdict[i] = DRAIN_SAME;
	}
}

int pack_note_home(struct drain *d, uint64_t *done, struct ebt_err *err)
{
	int r = 0;

	for (uint32_t a = 0; a < patterns_count(d->pack.patterns) && r == 0; a++) {
		const struct pack_part *p = &d->pack.parts[a];
		SCOPED_BUF struct buf keys = {0}, older = {0};

		if ((!p->done && !p->in_place) || p->unproven)
			continue;
		r = gather(d, a, done, &keys, &older, err);
		if (r == 0 && (!p->as || !write_down(d, p, &keys, false) ||
				      !write_down(d, p, &older, true))) {
			log_warn(&d->job.log,
				"%s: no room in the journal for what is freed of %s: "
				"it stays",
				d->store_path, d->pack.name[a]);
			keep(d, a, done);
		}
	}
	return r;
}
