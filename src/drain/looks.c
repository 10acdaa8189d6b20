/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What needs a look when the job is over. Every node counts and tells at once what it comes upon,
 * of its own or of another node; of the names each keeps a share of what the report may hold, and
 * the first node gets them in the end, with the names of the nodes.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drain/drain_internal.h"
#include "transport/transport.h"

#define SHARE_MIN 512 /* bytes of names of a node, however many nodes there are */

static const struct {
	const char *name;
	enum log_level level;
	enum ebt_drain_outcome outcome;
} kinds[EBT_LOOKS] = {
	[EBT_LOOK_BESIDE] = {"beside", LOG_LEVEL_WARN, EBT_DRAIN_BESIDE},
	[EBT_LOOK_MISSING] = {"missing", LOG_LEVEL_ERROR, EBT_DRAIN_PARTLY},
	[EBT_LOOK_TORN] = {"torn", LOG_LEVEL_WARN, EBT_DRAIN_PARTLY},
	[EBT_LOOK_GREW] = {"grew", LOG_LEVEL_WARN, EBT_DRAIN_PARTLY},
	[EBT_LOOK_KEPT] = {"kept", LOG_LEVEL_WARN, EBT_DRAIN_PARTLY},
	[EBT_LOOK_LOST] = {"lost", LOG_LEVEL_WARN, EBT_DRAIN_PARTLY},
	[EBT_LOOK_DOUBT] = {"doubt", LOG_LEVEL_WARN, EBT_DRAIN_PARTLY},
	[EBT_LOOK_UNFREED] = {"unfreed", LOG_LEVEL_WARN, EBT_DRAIN_BESIDE},
	[EBT_LOOK_VANISHED] = {"vanished", LOG_LEVEL_WARN, EBT_DRAIN_WHOLE},
};

const char *ebt_drain_look_name(enum ebt_drain_look kind)
{
	return kinds[kind].name;
}

static void put_string(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s) + 1);
}

/* @text NULL: somebody else tells. */
static void look(struct drain *d, uint32_t node, enum ebt_drain_look kind,
	const char *path, const char *as, const char *text)
{
	size_t share = EBT_DRAIN_NAMED / (size_t)d->job.n_nodes;

	if (text)
		log_say(&d->job.log, kinds[kind].level, "%s", text);
	__atomic_add_fetch(&d->rep->looks[kind], 1, __ATOMIC_RELAXED);
	SCOPED_LOCK(&d->lost_lock);
	if (d->looks.len + strlen(path) > (share > SHARE_MIN ? share : SHARE_MIN))
		return;
	buf_put8(&d->looks, kind);
	put_string(&d->looks, path);
	put_string(&d->looks, as ? as : "");
	buf_put32(&d->looks, node);
}

void drain_look(struct drain *d, enum ebt_drain_look kind, const char *path,
	const char *as, const char *fmt, ...)
{
	char text[EBT_ERR_TEXT];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	look(d, (uint32_t)d->job.node, kind, path, as, text);
}

void drain_look_of(struct drain *d, uint32_t node, enum ebt_drain_look kind,
	const char *path, const char *as, const char *fmt, ...)
{
	char text[EBT_ERR_TEXT];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	look(d, node, kind, path, as, text);
}

void drain_look_quietly(
	struct drain *d, enum ebt_drain_look kind, const char *path, const char *as)
{
	look(d, (uint32_t)d->job.node, kind, path, as, NULL);
}

void drain_looks_forget(struct drain *d)
{
	memset(d->rep->looks, 0, sizeof(d->rep->looks));
	buf_release(&d->looks);
}

int drain_outcome(const struct ebt_drain_report *rep)
{
	int outcome = EBT_DRAIN_WHOLE;

	for (int i = 0; i < EBT_LOOKS; i++) {
		if (!rep->looks[i] || kinds[i].outcome == EBT_DRAIN_WHOLE)
			continue;
		if (outcome != EBT_DRAIN_PARTLY)
			outcome = kinds[i].outcome;
	}
	return outcome;
}

static int take_looks(void *arg, int peer, struct buf *b, struct ebt_err *err)
{
	struct buf *all = arg;

	buf_put(all, b->data, b->len);
	return buf_ok(all) ? 0 : ebt_fail(err, -ENOMEM, "names of node %d", peer);
}

static const char *get_string(struct reader *r)
{
	const char *s = (const char *)r->data + r->at;
	size_t len = strnlen(s, reader_left(r));

	return reader_take(r, len + 1) ? s : NULL;
}

/* @names: of the nodes, each of @room bytes. */
static int decode(struct buf *all, const char *names, size_t room, size_t n_nodes,
	struct ebt_drain_report *rep, struct ebt_err *err)
{
	size_t looks = all->len, cap = 0;
	struct reader r;

	if (!looks)
		return 0;
	buf_put(all, names, n_nodes * room);
	if (!buf_ok(all))
		return ebt_fail(err, -ENOMEM, "names");
	names = (const char *)all->data + looks;
	r = reader_of(all->data, looks);
	while (reader_left(&r)) {
		struct ebt_drain_named n = {.kind = reader_get8(&r)};
		uint32_t node;

		n.path = get_string(&r);
		n.as = n.path ? get_string(&r) : NULL;
		node = reader_get32(&r);
		if (r.failed || !n.as || n.kind >= EBT_LOOKS)
			return ebt_failx(err, -EBADMSG, "damaged names");
		n.node = node < n_nodes ? names + node * room : "";
		if (rep->n_named == cap) {
			size_t more = cap ? 2 * cap : 64;
			void *p = reallocarray(rep->named, more, sizeof(n));

			if (!p)
				return ebt_fail(err, -ENOMEM, "names");
			rep->named = p;
			cap = more;
		}
		rep->named[rep->n_named++] = n;
	}
	rep->named_bytes = TAKE(all->data);
	return 0;
}

int drain_looks_all(struct drain *d, struct ebt_err *err)
{
	size_t n = (size_t)d->job.n_nodes, room = sizeof(d->node_name);
	SCOPED_FREE struct buf *out = NULL;
	SCOPED_FREE char *names = NULL;
	SCOPED_BUF struct buf all = {0};
	uint64_t any = d->looks.len;
	int r;

	transport_reduce_all(&d->job.nodes, &any, 1, MPI_UINT64_T, MPI_MAX);
	if (!any)
		return 0;
	out = calloc(n, sizeof(*out));
	names = calloc(d->job.node == 0 ? n : 1, room);
	r = out && names ? 0 : ebt_fail(err, -ENOMEM, "names");
	r = job_agree_all(&d->job, r, err);
	if (r < 0)
		return r;
	transport_gather_all(&d->job.nodes, d->node_name, room, names, 0);
	/* Names are a help: without memory for them there are fewer. */
	if (buf_ok(&d->looks)) {
		out[0] = d->looks;
		d->looks = (struct buf){0};
	}
	r = transport_exchange_all(&d->job.nodes, out, take_looks, &all, err);
	if (r == 0)
		r = decode(&all, names, room, n, d->rep, err);
	return job_agree_all(&d->job, r, err);
}
