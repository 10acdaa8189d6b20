/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A publication that cannot be finished is ended where it stands. What was renamed stays, and
 * the manifest is brought to what is there: of the run what has its final name, of what was
 * there before all that was not replaced. Else a drain would take the rest of the store for
 * output of the job, or miss what is.
 *
 * Four steps, and a death leaves one of two states:
 *
 *   the store's manifest says what is in place    pending: it could still be published, or
 *   gave_up has the run's ID                      given up, which comes to the same again
 *   the record goes                               given up: no record, and its ID in gave_up
 *   incoming goes
 *
 * gave_up stays. It tells this node from one that lost its storage when others of the job still
 * have a record of that run: they finish theirs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "fsio/fsio.h"
#include "store/store_internal.h"

#define GAVE_UP	    "gave_up"
#define GAVE_UP_MAX 4096
#define NAMED	    5 /* of the names that are told, for each reason */

struct giving {
	struct store *s;
	const struct log *log;
	const struct manifest *m; /* of the run */
	uint64_t *need;		  /* of it, what was brought; NULL: all */
	const struct manifest *old;
	/* Bit an entry: what the new manifest takes of either. */
	uint64_t *of_run, *of_old;
	struct buf scratch;
	struct store_gave_up *out;
};

static bool has(const uint64_t *bits, uint32_t i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

static void clear(uint64_t *bits, uint32_t i)
{
	bits[i / 64] &= ~((uint64_t)1 << (i % 64));
}

static void tell(struct giving *g, uint64_t n, uint32_t i, const char *what)
{
	SCOPED_FREE char *path = NULL;
	char root[512], shown[1024];

	if (n > NAMED)
		return;
	path = store_entry_path(g->m, i);
	log_warn(g->log, "%s/%s: %s", text_name(g->s->path, root, sizeof(root)),
		text_name(path ? path : "", shown, sizeof(shown)), what);
}

/* The entry of the store's manifest with the path of entry @i, or NONE. */
static uint32_t before(const struct giving *g, uint32_t i)
{
	SCOPED_FREE char *path = g->old ? store_entry_path(g->m, i) : NULL;

	return path ? manifest_find(g->old, path) : MANIFEST_NONE;
}

/* What lies under the name of @e of @m: is it that? What cannot be looked at is taken for it. */
static bool is_there(struct giving *g, int dirfd, const struct manifest *m,
	const struct manifest_entry *e)
{
	struct stat st;

	if (dirfd == -EACCES)
		return true;
	if (dirfd < 0 || fstatat(dirfd, e->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	if (e->kind == MANIFEST_DIR)
		return S_ISDIR(st.st_mode);
	return store_diff(dirfd, m, e, &st, &g->scratch) == 0;
}

static bool same_content(const struct giving *g, uint32_t i, uint32_t was)
{
	const struct manifest_entry *a = &g->m->entries[i], *b = &g->old->entries[was];

	if (a->kind != b->kind)
		return false;
	if (a->kind == MANIFEST_SYMLINK)
		return strcmp(a->target, b->target) == 0;
	if (a->group != MANIFEST_NONE)
		a = &g->m->entries[a->group];
	if (b->group != MANIFEST_NONE)
		b = &g->old->entries[b->group];
	return a->size == b->size && digest_equal(a->digest, b->digest);
}

/* Entry @i has its place, or had: no directory, and no longer in incoming. */
static void settle_moved(struct giving *g, uint32_t i, int dirfd)
{
	const struct manifest_entry *e = &g->m->entries[i];
	uint32_t was = before(g, i);

	if (is_there(g, dirfd, g->m, e)) {
		manifest_need(g->of_run, i);
		g->out->in_place++;
		if (was != MANIFEST_NONE && !same_content(g, i, was))
			tell(g, ++g->out->replaced, i,
				"replaced; the version before is gone");
		return;
	}
	if (was != MANIFEST_NONE && is_there(g, dirfd, g->old, &g->old->entries[was]))
		return;
	tell(g, ++g->out->missing, i, "gone, it is in no version in place");
	if (was != MANIFEST_NONE)
		clear(g->of_old, was);
}

/* All below directory @i, which is not there. */
static void settle_absent(struct giving *g, uint32_t i)
{
	uint32_t end = manifest_subtree_end(g->m, i), was = before(g, i);

	for (uint32_t k = i; k < end; k++)
		g->out->removed += g->m->entries[k].kind != MANIFEST_DIR &&
				   manifest_needed(g->need, k);
	if (was == MANIFEST_NONE)
		return;
	end = manifest_subtree_end(g->old, was);
	for (uint32_t k = was; k < end; k++)
		clear(g->of_old, k);
}

/*
 * Which entries are in place. Only directories on both sides are entered in incoming; before
 * @bare there is nothing.
 */
static int sort_out(struct giving *g, struct ebt_err *err)
{
	const struct manifest *m = g->m;
	SCOPED_FD int tree = openat(
		g->s->runfd, "tree", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	SCOPED_WALK struct store_walk src = {
		.m = m, .root = tree, .flags = O_PATH, .force = true};
	SCOPED_WALK struct store_walk dst = {
		.m = m, .root = g->s->dirfd, .flags = O_PATH};
	uint32_t i = 0, bare = 0;
	int from, to;

	if (tree < 0)
		return ebt_fail(err, -errno, "%s: incoming tree", g->s->path);
	while (i < m->count) {
		const struct manifest_entry *e = &m->entries[i];
		bool here = false;

		store_walk_passed(&dst, i);
		to = store_walk_to(&dst, e->parent);
		if (to < 0 && to != -EACCES)
			return store_fail_walk(g->s, to, &dst, err);
		if (i >= bare) {
			from = store_walk_to(&src, e->parent);
			if (from < 0)
				return store_fail_walk(g->s, from, &src, err);
			here = faccessat(from, e->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
		}
		if (e->kind != MANIFEST_DIR) {
			if (here)
				g->out->removed++;
			else
				settle_moved(g, i, to);
		} else if ((to < 0 && here) || !is_there(g, to, g->m, e)) {
			settle_absent(g, i);
			i = manifest_subtree_end(m, i);
			continue;
		} else if (!here) {
			manifest_need(g->of_run, i);
			if (i >= bare)
				bare = manifest_subtree_end(m, i);
		}
		i++;
	}
	/* One that existed counts if something of the run came into it. */
	for (i = m->count; i-- > 0;) {
		if (has(g->of_run, i) && m->entries[i].parent != MANIFEST_ROOT)
			manifest_need(g->of_run, m->entries[i].parent);
		manifest_passed(m, i);
	}
	return 0;
}

/* Read after a restart of the node, what is damaged is not in place. */
static void drop_damaged(void *arg, const char *path, const char *what)
{
	struct giving *g = arg;
	uint32_t i = manifest_find(g->m, path);

	if (i == MANIFEST_NONE || !has(g->of_run, i))
		return;
	clear(g->of_run, i);
	g->out->in_place--;
	tell(g, ++g->out->missing, i, "damaged when the node went down");
	i = before(g, i);
	if (i != MANIFEST_NONE)
		clear(g->of_old, i);
}

static int check_content(struct giving *g, struct ebt_err *err)
{
	SCOPED_FREE uint64_t *read =
		malloc(((size_t)g->m->count / 64 + 1) * sizeof(*read));
	struct store_verify v = {.m = g->m,
		.roots = {g->s->dirfd, -1},
		.need = read,
		.skip_dirs = true,
		.threads = 4,
		.tell = drop_damaged,
		.arg = g};
	uint64_t bad;

	if (!read)
		return ebt_fail(err, -ENOMEM, "%s", g->s->path);
	/* Threads look at this while the other changes. */
	memcpy(read, g->of_run, ((size_t)g->m->count / 64 + 1) * sizeof(*read));
	return store_verify_run(&v, &bad, err);
}

/*
 * Directories of @m as they are, for they may have got the attributes of the run or not. Their
 * extended attributes lie in *values.
 */
static int read_directories(
	struct giving *g, struct manifest *m, struct buf *values, struct ebt_err *err)
{
	SCOPED_WALK struct store_walk w = {
		.m = m, .root = g->s->dirfd, .flags = O_PATH};
	size_t at = 0, len;
	struct stat st;
	int fd, r;

	for (uint32_t i = 0; i < m->count; i++) {
		struct manifest_entry *e = &m->entries[i];

		manifest_passed(m, i);
		if (e->kind != MANIFEST_DIR)
			continue;
		e->xattrs_len = 0;
		fd = store_walk_to(&w, i);
		if (fd < 0 || fstat(fd, &st) < 0)
			continue;
		e->mode = st.st_mode & 07777;
		e->uid = st.st_uid;
		e->gid = st.st_gid;
		e->mtime = st.st_mtim.tv_sec;
		e->mtime_ns = (uint32_t)st.st_mtim.tv_nsec;
		e->copy = (struct manifest_copy){0};
		len = values->len;
		r = fsio_xattrs_get_fd(fd, values);
		if (r < 0)
			return store_fail(g->s, r, "attributes of", m, i, err);
		e->xattrs_len = (uint32_t)(values->len - len);
	}
	/* Only now does the buffer stay where it is. */
	for (uint32_t i = 0; i < m->count; i++) {
		manifest_passed(m, i);
		if (m->entries[i].kind != MANIFEST_DIR)
			continue;
		m->entries[i].xattrs =
			m->entries[i].xattrs_len ? values->data + at : NULL;
		at += m->entries[i].xattrs_len;
	}
	return 0;
}

/* What is in place becomes the manifest of the store, with the ID that it has. */
static int save_what_is_there(struct giving *g, struct ebt_err *err)
{
	SCOPED_MANIFEST struct manifest *run = NULL;
	SCOPED_MANIFEST struct manifest *old = NULL;
	SCOPED_MANIFEST struct manifest *both = NULL;
	SCOPED_BUF struct buf values = {0};
	int room = store_room(g->s),
	    r = manifest_select(g->m, g->of_run, room, &run, err);

	if (r == 0 && g->old)
		r = manifest_select(g->old, g->of_old, room, &old, err);
	if (r == 0 && old)
		r = manifest_unite((const struct manifest *const[]){old, run}, 2, room,
			&both, err);
	if (r < 0)
		return r;
	if (!both)
		both = TAKE(run);
	memset(both->id, 0, sizeof(both->id));
	if (g->old)
		memcpy(both->id, g->old->id, sizeof(both->id));
	/* Of a store to which nothing ever came there is no manifest. */
	if (both->count == 0 && !g->old)
		return 0;
	r = read_directories(g, both, &values, err);
	return r < 0 ? r : manifest_save(both, g->s->ebtfd, "manifest", err);
}

static int settle(struct giving *g, bool restarted, struct ebt_err *err)
{
	SCOPED_FREE uint64_t *of_run =
		calloc((size_t)g->m->count / 64 + 1, sizeof(*of_run));
	size_t words = g->old ? (size_t)g->old->count / 64 + 1 : 1;
	SCOPED_FREE uint64_t *of_old = malloc(words * sizeof(*of_old));
	int r;

	if (!of_run || !of_old)
		return ebt_fail(err, -ENOMEM, "%s", g->s->path);
	memset(of_old, 0xff, words * sizeof(*of_old));
	g->of_run = of_run;
	g->of_old = of_old;
	r = store_load_need(g->s, g->m, &g->need, err);
	if (r == 0)
		r = sort_out(g, err);
	if (r == 0 && restarted)
		r = check_content(g, err);
	if (r < 0)
		return r;
	if (g->out->replaced > NAMED || g->out->missing > NAMED)
		log_warn(g->log, "%s: %llu replaced and %llu gone in all", g->s->path,
			(unsigned long long)g->out->replaced,
			(unsigned long long)g->out->missing);
	return save_what_is_there(g, err);
}

/* A publication has begun: the manifest comes to say what of it is in place. */
static int settle_run(
	struct giving *g, const struct store_record *rec, struct ebt_err *err)
{
	SCOPED_MANIFEST struct manifest *old = NULL;
	SCOPED_MANIFEST struct manifest *m = NULL;
	struct ebt_err why = {0};
	char boot[40];
	int r = store_manifest(g->s, &old, err);

	if (r < 0)
		return r;
	/* It was all but over. */
	if (old && strcmp(old->id, g->out->id) == 0)
		return 1;
	r = store_open_run(g->s, g->out->id, &why);
	if (r == 0)
		r = manifest_load_in(
			store_room(g->s), g->s->runfd, "manifest", &m, &why);
	if (r < 0) {
		log_warn(g->log,
			"%.600s; what run %s put in place cannot be told and counts as "
			"output of the job",
			why.text, g->out->id);
		return 0;
	}
	g->m = m;
	g->old = old;
	return settle(g, fsio_boot_id(boot) < 0 || strcmp(boot, rec->boot) != 0, err);
}

static int save_gave_up(struct store *s, const char *id, struct ebt_err *err)
{
	char text[128];
	int n = snprintf(text, sizeof(text), "ebt gave_up 1\nid %s\n", id);

	return fsio_save(s->ebtfd, GAVE_UP, text, (size_t)n, err);
}

bool store_has_given_up(struct store *s, const char *id)
{
	SCOPED_BUF struct buf b = {0};
	char got[33];

	if (faccessat(s->ebtfd, GAVE_UP, F_OK, AT_SYMLINK_NOFOLLOW) < 0 ||
		fsio_load(s->ebtfd, GAVE_UP, GAVE_UP_MAX, &b, NULL) < 0)
		return false;
	buf_put8(&b, 0);
	return buf_ok(&b) &&
	       sscanf((char *)b.data, "ebt gave_up 1\nid %32s\n", got) == 1 &&
	       strcmp(got, id) == 0;
}

static void giving_release(struct giving *g)
{
	buf_release(&g->scratch);
	free(g->need);
}

int store_give_up(struct store *s, const struct log *log, struct store_gave_up *out,
	struct ebt_err *err)
{
	SCOPED(giving_release) struct giving g = {.s = s, .log = log, .out = out};
	struct store_record rec = {0};
	struct ebt_err why = {0};
	int r, had = store_record_load(s, &rec, &why);

	memset(out, 0, sizeof(*out));
	if (had < 0 && had != -EBADMSG && had != -EPROTONOSUPPORT)
		return ebt_failx(err, had, "%s", why.text);
	if (had < 0)
		log_warn(log, "%.900s", why.text);
	strcpy(out->id, rec.id);
	r = had > 0 ? 0 : store_sealed_run(s, out->id, err);
	/* Without a record nothing has been renamed. */
	if (r == 0 && had != 0 && out->id[0])
		r = settle_run(&g, &rec, err);
	if (r < 0)
		return r;
	out->complete = r == 1;
	store_step(s);
	r = out->id[0] && !out->complete ? save_gave_up(s, out->id, err) : 0;
	if (r < 0)
		return r;
	store_step(s);
	r = store_record_drop(s, err);
	if (r < 0)
		return r;
	store_step(s);
	r = store_clean(s, NULL, err);
	return r < 0 ? r : had != 0 || out->id[0];
}
