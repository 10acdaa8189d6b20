/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From verdicts to tasks. Every node makes tasks of the files whose content it has, and the
 * owners of paths of those that several nodes have. Big files are told to all nodes, of small
 * ones only how many there are; from that everybody computes the same placement (plan/place.h),
 * and tasks go to their leads.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/text.h"
#include "drain/drain_internal.h"
#include "fsio/fsio.h"
#include "plan/place_cost.h"
#include "transport/transport.h"

/* Bytes that come to lie on targets: holes do not. */
static uint64_t weight(const struct drain_task *t)
{
	uint64_t sum = 0;

	if (t->in_place || t->e.kind != MANIFEST_FILE)
		return 0;
	for (uint32_t i = 0; i < t->n_pieces; i++)
		sum += t->pieces[i].len;
	return sum < t->e.size ? sum : t->e.size;
}

static bool has_content(const struct drain_task *t)
{
	return !t->in_place && t->e.kind == MANIFEST_FILE;
}

static void final_name(const struct drain *d, uint32_t i, char *out, size_t size)
{
	int len = manifest_path(d->m, i, out, size);

	if (len > 0 && d->suffixed[i] && (size_t)len + strlen(d->node_name) + 2 < size) {
		out[len] = '.';
		strcpy(out + len + 1, d->node_name);
	}
}

/* Where a file with holes has data. */
static int find_data(const struct drain *d, uint32_t i, struct buf *out)
{
	const struct manifest_entry *e = &d->m->entries[i];
	struct drain_piece p = {0};
	uint64_t start, stop;
	char path[PATH_MAX];
	int r = manifest_path(d->m, i, path, sizeof(path));
	SCOPED_FD int fd = -1;

	if (r < 0)
		return r;
	fd = drain_output_open(d, path);
	if (fd < 0)
		return fd;
	for (uint64_t at = 0; at < e->size; at = stop) {
		r = fsio_next_data(fd, at, e->size, &start, &stop);
		if (r)
			return r < 0 ? r : 0;
		p.off = start;
		p.len = stop - start;
		buf_put(out, &p, sizeof(p));
	}
	return 0;
}

/*
 * Data of a file with holes, of a full one all of it. One that cannot be opened any more, or
 * does not tell, is taken for full: it fails alone, when it is to be read, or reads well.
 */
static void find_pieces(const struct drain *d, uint32_t i, struct buf *out)
{
	const struct manifest_entry *e = &d->m->entries[i];
	struct drain_piece all = {.len = e->size};

	if (e->size == 0 || (e->allocated < e->size && find_data(d, i, out) == 0))
		return;
	out->len = 0;
	buf_put(out, &all, sizeof(all));
}

struct maker {
	struct drain *d;
	uint64_t where;   /* drain_where */
	struct drain_task **tail;
	uint32_t *heads;  /* of each entry: the name that has the content, or NONE */
	uint32_t *links;  /* of each entry: the next further name of its file, or NONE */
};

/* Which name of an inode is written, and which are linked to it. */
static void sort_names(struct maker *k)
{
	const struct manifest *m = k->d->m;
	const uint8_t *v = k->d->verdict;
	uint32_t *last = k->links;

	for (uint32_t i = 0; i < m->count; i++)
		k->heads[i] = last[i] = MANIFEST_NONE;
	for (int there = 1; there >= 0; there--) {
		for (uint32_t i = 0; i < m->count; i++) {
			const struct manifest_entry *e = &m->entries[i];
			uint32_t g = e->group == MANIFEST_NONE ? i : e->group;
			bool in_place = v[i] == DRAIN_IN_PLACE || v[i] == DRAIN_SAME;

			if (e->kind == MANIFEST_FILE && k->heads[g] == MANIFEST_NONE &&
				(there ? in_place : v[i] == DRAIN_WRITE))
				k->heads[g] = i;
		}
	}
	/* Backwards, so that lists ascend. */
	for (uint32_t i = m->count; i-- > 0;) {
		const struct manifest_entry *e = &m->entries[i];
		uint32_t g = e->group == MANIFEST_NONE ? i : e->group;
		uint32_t head = k->heads[g];

		if (e->kind != MANIFEST_FILE || v[i] != DRAIN_WRITE || head == i)
			continue;
		k->links[i] = k->links[head];
		k->links[head] = i;
	}
}

/* A task is built as bytes and decoded: one form, one block of memory. */
static int make_task(struct maker *k, uint32_t i, struct ebt_err *err)
{
	struct drain *d = k->d;
	SCOPED_BUF struct buf pieces = {0}, links = {0}, b = {0};
	const struct manifest_entry *e = &d->m->entries[i];
	struct drain_source source = {
		.file = {.where = k->where,
			.ino = e->ino,
			.size = e->size,
			.mtime = e->mtime,
			.mtime_ns = e->mtime_ns},
		.node = (uint32_t)d->job.node,
		.entry = i};
	struct drain_task t = {.e = *e, .sources = &source, .n_sources = 1}, *made;
	char name[PATH_MAX] = "", other[PATH_MAX] = "";
	struct reader r;
	int code;

	t.in_place = d->verdict[i] != DRAIN_WRITE;
	t.replaces = d->replaces[i];
	if (!t.in_place && e->kind == MANIFEST_FILE)
		find_pieces(d, i, &pieces);
	for (uint32_t l = k->links[i]; l != MANIFEST_NONE; l = k->links[l]) {
		final_name(d, l, other, sizeof(other));
		buf_put(&links, other, strlen(other) + 1);
		t.replaces |= d->replaces[l];
		t.n_links++;
	}
	final_name(d, i, name, sizeof(name));
	t.e.name = name;
	t.links = (const char *)links.data;
	t.pieces = (struct drain_piece *)pieces.data;
	t.n_pieces = (uint32_t)(pieces.len / sizeof(*t.pieces));
	if (!buf_ok(&pieces) || !buf_ok(&links))
		return ebt_fail(err, -ENOMEM, "tasks");
	drain_task_encode(&t, &b);
	if (!buf_ok(&b))
		return ebt_fail(err, -ENOMEM, "tasks");
	r = reader_of(b.data, b.len);
	code = drain_task_decode(&r, &made, err);
	if (code < 0)
		return code;
	*k->tail = made;
	k->tail = &made->next;
	return 0;
}

static int make_tasks(struct drain *d, struct drain_task **list, struct ebt_err *err)
{
	struct maker k = {.d = d, .where = drain_where(d), .tail = list};
	SCOPED_FREE uint32_t *heads = calloc((size_t)d->m->count + 1, sizeof(*heads));
	SCOPED_FREE uint32_t *links = calloc((size_t)d->m->count + 1, sizeof(*links));
	int r = 0;

	if (!heads || !links)
		return ebt_fail(err, -ENOMEM, "tasks");
	k.heads = heads;
	k.links = links;
	sort_names(&k);
	for (uint32_t i = 0; i < d->m->count && r == 0; i++) {
		const struct manifest_entry *e = &d->m->entries[i];
		uint32_t g = e->group == MANIFEST_NONE ? i : e->group;

		if (e->kind != MANIFEST_DIR &&
			(d->verdict[i] == DRAIN_IN_PLACE || d->verdict[i] == DRAIN_SAME))
			d->rep->in_place++;
		if (e->kind == MANIFEST_SYMLINK && d->verdict[i] == DRAIN_WRITE)
			r = make_task(&k, i, err);
		else if (e->kind == MANIFEST_FILE && heads[g] == i &&
			(d->verdict[i] == DRAIN_WRITE || links[i] != MANIFEST_NONE))
			r = make_task(&k, i, err);
	}
	*k.tail = TAKE(d->shared);
	return r;
}

/* What one node has to drain, and sums over all. */
struct amount {
	uint64_t bytes, files;
	uint64_t small_bytes, small_files, small_max;
};

static void count(const struct drain_task *list, struct amount *a)
{
	*a = (struct amount){0};
	for (const struct drain_task *t = list; t; t = t->next) {
		if (!has_content(t))
			continue;
		a->bytes += weight(t);
		a->files++;
	}
}

static int load_targets_all(struct drain *d, struct ebt_err *err)
{
	SCOPED_BUF struct buf b = {0};
	const struct pfs_targets *got;
	size_t size;
	int r = 0;

	if (d->job.node == 0)
		r = pfs_targets(d->pfs, d->visible, &d->targets, err);
	if (r > 0) {
		size = sizeof(*got) + d->targets->count * sizeof(got->target[0]);
		buf_put(&b, d->targets, size);
	}
	if (!buf_ok(&b))
		r = ebt_fail(err, -ENOMEM, "targets");
	r = job_agree_all(&d->job, r < 0 ? r : 0, err);
	if (r == 0)
		r = transport_bcast_buf_all(d->job.nodes, &b, 0, err);
	if (r == 0 && d->job.node != 0 && b.len)
		d->targets = (struct pfs_targets *)TAKE(b.data);
	return r;
}

/* The user's figures or what is assumed. */
static struct place_rates rates_of(const struct drain *d)
{
	const struct ebt_drain_options *o = d->o;
	struct place_rates r = PLACE_RATES;
	double link = o->link > 0 ? o->link : job_find_link();

	if (link > 0)
		r.link = link;
	if (o->ost_rate > 0)
		r.ost = o->ost_rate;
	if (o->mds_rate > 0)
		r.mds = o->mds_rate;
	if (o->latency > 0)
		r.latency = o->latency;
	return r;
}

static uint32_t usable_targets(const struct drain *d)
{
	uint32_t n = 0;

	for (size_t i = 0; d->targets && i < d->targets->count; i++)
		n += pfs_target_usable(&d->targets->target[i]);
	return n;
}

/* How many nodes write: by the cost model, the same on all nodes. */
static int choose_writers_all(struct drain *d, const struct amount *all, const struct amount *most,
	uint32_t *writers, struct ebt_err *err)
{
	struct place_rates rates = rates_of(d);
	uint32_t nodes = (uint32_t)d->job.n_nodes, usable = usable_targets(d);
	struct place_work w = {
		.bytes = all->bytes,
		.files = all->files,
		.most_bytes = most->bytes,
		.most_files = most->files,
		.nodes = nodes,
	};
	struct place_choice c = {0};
	int r;

	/* Nodes could find different link rates. */
	transport_bcast_all(d->job.nodes, &rates, sizeof(rates), 0);
	*writers = d->o->writers < nodes ? d->o->writers : nodes;
	if (d->targets && !usable)
		return ebt_failx(err, -ENOSPC, "%s: no storage target takes files", d->root);
	/* Without targets to own, every writer is as good as another. */
	w.targets = d->targets ? usable : nodes < DRAIN_PLAIN_WRITERS ? nodes : DRAIN_PLAIN_WRITERS;
	r = place_cost(&w, &rates, *writers, &c, err);
	if (r < 0)
		return r;
	*writers = c.chosen.writers;
	d->rep->direct = c.is_direct;
	d->rep->predicted_owners = c.owners.seconds;
	d->rep->predicted_direct = c.direct.seconds;
	return 0;
}

static int take_big(void *arg, const struct buf *b, struct ebt_err *err)
{
	buf_put(arg, b->data, b->len);
	return buf_ok(arg) ? 0 : ebt_fail(err, -ENOMEM, "big files");
}

/* Collective. Every node's big files, in the order of nodes; ids name node and place in it. */
static int share_big_all(struct drain *d, struct drain_task *list, uint64_t big_min,
	struct buf *all, struct ebt_err *err)
{
	SCOPED_BUF struct buf mine = {0};
	uint64_t n = 0;
	int r;

	for (struct drain_task *t = list; t; t = t->next) {
		struct place_file f = {.size = weight(t),
			.id = (uint64_t)d->job.node << 32 | n,
			.home = t->sources[0].node};

		t->big = has_content(t) && f.size >= big_min;
		if (!t->big)
			continue;
		buf_put(&mine, &f, sizeof(f));
		n++;
	}
	r = job_agree_all(&d->job, buf_ok(&mine) ? 0 : ebt_fail(err, -ENOMEM, "big files"), err);
	if (r == 0)
		r = transport_collect_all(d->job.nodes, &mine, take_big, all, err);
	r = job_agree_all(&d->job, r, err);
	return r < 0 ? r : transport_bcast_buf_all(d->job.nodes, all, 0, err);
}

static void fill_targets(const struct drain *d, uint32_t writers, struct place_target *t)
{
	uint32_t n = 0;

	if (!d->targets) {
		for (; n < writers; n++)
			t[n] = (struct place_target){
				.avail = UINT64_MAX, .index = n, .usable = true};
		return;
	}
	for (; n < d->targets->count; n++) {
		const struct pfs_target *from = &d->targets->target[n];

		t[n] = (struct place_target){.avail = from->avail, .index = from->index,
			.usable = pfs_target_usable(from)};
	}
}

static int place_all(struct drain *d, struct drain_task *list, uint32_t writers,
	const struct buf *big, struct ebt_err *err)
{
	uint32_t nodes = (uint32_t)d->job.n_nodes;
	SCOPED_FREE struct place_target *targets = NULL;
	SCOPED_FREE struct amount *each = calloc(nodes, sizeof(*each));
	SCOPED_FREE uint64_t *bytes = calloc(nodes, sizeof(*bytes));
	SCOPED_FREE uint64_t *files = calloc(nodes, sizeof(*files));
	struct amount mine = {0};
	struct place_input in = {
		.big = (const struct place_file *)big->data,
		.n_big = (uint32_t)(big->len / sizeof(struct place_file)),
		.small_bytes = bytes, .small_files = files,
		.rules = d->rules, .nodes = nodes, .writers = writers};
	int r;

	d->n_targets = d->targets ? (uint32_t)d->targets->count : writers;
	in.n_targets = d->n_targets;
	targets = calloc((size_t)d->n_targets + 1, sizeof(*targets));
	in.targets = targets;
	for (const struct drain_task *t = list; t; t = t->next) {
		uint64_t w = weight(t);

		if (!has_content(t) || t->big)
			continue;
		mine.small_bytes += w;
		mine.small_files++;
		mine.small_max = w > mine.small_max ? w : mine.small_max;
	}
	r = job_agree_all(&d->job, targets && each && bytes && files ? 0
			: ebt_fail(err, -ENOMEM, "placement"), err);
	if (r < 0)
		return r;
	transport_allgather_all(d->job.nodes, &mine, sizeof(mine), each);
	for (uint32_t i = 0; i < nodes; i++) {
		bytes[i] = each[i].small_bytes;
		files[i] = each[i].small_files;
		if (each[i].small_max > in.small_max)
			in.small_max = each[i].small_max;
	}
	fill_targets(d, writers, targets);
	return job_agree_all(&d->job, place_new(&in, &d->place, err), err);
}

/* What has no content goes round the targets: its lead is the node that writes there. */
static uint32_t any_target(const struct drain *d, uint64_t n)
{
	uint32_t at = (uint32_t)(n % d->n_targets);

	while (d->targets && !pfs_target_usable(&d->targets->target[at]))
		at = (at + 1) % d->n_targets;
	return at;
}

struct deal {
	struct drain *d;
	struct buf *out;
	uint32_t next_big;
	uint64_t bytes, files, others;
};

/* Its place and its lead. */
static void deal_task(struct deal *x, struct drain_task *t)
{
	struct drain *d = x->d;
	struct place_stripes s = {.count = 1, .size = d->rules.stripe_size};
	uint32_t one, target;
	uint64_t w = weight(t);

	if (t->big) {
		t->targets = (uint32_t *)place_big(d->place, x->next_big++, &s);
		target = t->targets[0];
	} else if (has_content(t)) {
		one = place_small(d->place, (uint32_t)d->job.node, x->bytes, x->files, w);
		x->bytes += w;
		x->files++;
		t->targets = &one;
		target = one;
	} else {
		s.count = 0;
		target = any_target(d, x->others++ + (uint64_t)d->job.node);
	}
	t->stripe_count = s.count;
	t->stripe_size = s.size;
	drain_task_encode(t, &x->out[place_writer(d->place, target, t->sources[0].node)]);
	t->targets = NULL;
	t->stripe_count = 0;
}

static int take_tasks(void *arg, int peer, struct buf *b, struct ebt_err *err)
{
	struct reader r = reader_of(b->data, b->len);
	struct drain_task ***tail = arg;
	int code = 0;

	while (reader_left(&r) && code == 0) {
		code = drain_task_decode(&r, *tail, err);
		if (code == 0)
			*tail = &(**tail)->next;
	}
	return code;
}

static int deal_all(struct drain *d, struct drain_task *list, const struct buf *big,
	struct ebt_err *err)
{
	const struct place_file *f = (const struct place_file *)big->data;
	uint32_t nodes = (uint32_t)d->job.n_nodes, n = (uint32_t)(big->len / sizeof(*f));
	SCOPED_FREE struct buf *out = calloc(nodes, sizeof(*out));
	struct deal x = {.d = d, .out = out};
	struct drain_task **tail = &d->tasks;
	int r = out ? 0 : ebt_fail(err, -ENOMEM, "tasks");

	while (x.next_big < n && f[x.next_big].id >> 32 != (uint64_t)d->job.node)
		x.next_big++;
	for (struct drain_task *t = list; t && r == 0; t = t->next)
		deal_task(&x, t);
	for (uint32_t i = 0; i < nodes && r == 0; i++)
		r = buf_ok(&out[i]) ? 0 : ebt_fail(err, -ENOMEM, "tasks");
	r = job_agree_all(&d->job, r, err);
	if (r == 0)
		r = transport_exchange_all(d->job.nodes, out, take_tasks, &tail, err);
	return r;
}

/* Where the file system tells only its free space: better now than in the middle. */
static int check_space(const struct drain *d, uint64_t bytes, struct ebt_err *err)
{
	char a[TEXT_SIZE], b[TEXT_SIZE];
	struct statvfs v;
	uint64_t have;

	if (d->job.node != 0 || d->targets || statvfs(d->visible, &v) < 0 || !v.f_blocks)
		return 0;
	have = (uint64_t)v.f_bavail * v.f_frsize;
	return bytes <= have ? 0
		: ebt_failx(err, -ENOSPC, "%s: %s needed, %s free", d->root,
			text_size((double)bytes, a), text_size((double)have, b));
}

/* A later pass of the same drain adds up, and may have more of them. */
static int report_targets(struct drain *d, struct ebt_err *err)
{
	struct ebt_drain_report *rep = d->rep;
	struct ebt_drain_target *t;

	rep->writers = place_writers(d->place);
	if (rep->target && rep->n_targets >= d->n_targets)
		return 0;
	t = realloc(rep->target, ((size_t)d->n_targets + 1) * sizeof(*t));
	if (!t)
		return ebt_fail(err, -ENOMEM, "report");
	rep->target = t;
	for (uint32_t i = rep->n_targets; i < d->n_targets; i++) {
		t[i] = (struct ebt_drain_target){
			.index = d->targets ? d->targets->target[i].index : i,
			.unused = d->targets && !pfs_target_usable(&d->targets->target[i])};
	}
	rep->n_targets = d->n_targets;
	return 0;
}

/*
 * From how many bytes on a file is placed by itself: what matters to the level of a target, and
 * so that there are never more such files than everybody can know. Few files are all placed so.
 */
static uint64_t big_from(const struct amount *all, uint32_t usable)
{
	uint64_t most = (uint64_t)PLACE_BIG_PER_TARGET * usable;

	return all->files <= most ? 1 : all->bytes / most + 1;
}

int drain_plan_all(struct drain *d, struct ebt_err *err)
{
	SCOPED(drain_task_list_freep) struct drain_task *list = NULL;
	SCOPED_BUF struct buf big = {0};
	struct amount all, most;
	uint32_t writers = 0, usable;
	uint64_t min;
	int r;

	r = job_agree_all(&d->job, make_tasks(d, &list, err), err);
	if (r < 0)
		return r;
	count(list, &all);
	most = all;
	transport_reduce_all(d->job.nodes, &all, sizeof(all) / 8, MPI_UINT64_T, MPI_SUM);
	transport_reduce_all(d->job.nodes, &most, sizeof(most) / 8, MPI_UINT64_T, MPI_MAX);
	d->total_bytes = all.bytes;
	r = load_targets_all(d, err);
	if (r == 0)
		r = job_agree_all(&d->job, check_space(d, all.bytes, err), err);
	if (r < 0)
		return r;
	if (!d->targets && d->o->stripe_count && d->job.node == 0)
		log_warn(&d->job.log, "%s: files cannot be placed on this file system", d->root);
	r = job_agree_all(&d->job, choose_writers_all(d, &all, &most, &writers, err), err);
	if (r < 0)
		return r;
	d->rules.plain = !d->targets;
	usable = d->targets ? usable_targets(d) : writers;
	min = big_from(&all, usable);
	r = share_big_all(d, list, min, &big, err);
	if (r == 0)
		r = place_all(d, list, writers, &big, err);
	if (r == 0)
		r = job_agree_all(&d->job, report_targets(d, err), err);
	if (r == 0 && d->o->dry_run) {
		if (d->job.node == 0)
			r = drain_describe(d, all.files,
				(uint32_t)(big.len / sizeof(struct place_file)), err);
		r = job_agree_all(&d->job, r, err);
	}
	if (r == 0)
		r = deal_all(d, list, &big, err);
	return r;
}
