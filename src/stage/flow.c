/* SPDX-License-Identifier: BSD-3-Clause */
#include "stage/stream.h"

#include <errno.h>
#include <string.h>

void stream_advance(struct stream *s, struct stream_head *head)
{
	struct schedule_hop hop;
	uint32_t i;

	head->flow = NULL;
	if (!order_next(head->order, &i, &hop))
		return;
	head->flow = &s->flows[i];
	head->seq = hop.parcel;
	/* Hops carry ranks relative to the reader; from here on nodes are meant. */
	head->node = (int)plan_node(s->st->plan, i, hop.peer);
}

struct flow_peer *flow_peer(struct flow *f, int node)
{
	for (uint32_t i = 0; i < f->n_peers; i++) {
		if (f->peers[i].node == node)
			return &f->peers[i];
	}
	return NULL;
}

static int note_peer(struct flow *f, int node)
{
	struct flow_peer *more;

	if (flow_peer(f, node))
		return 0;
	more = realloc(f->peers, (f->n_peers + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	f->peers = more;
	f->peers[f->n_peers++] = (struct flow_peer){.node = node};
	return 0;
}

static int note_up(struct flow *f, int node)
{
	int *more;

	for (uint32_t i = 0; i < f->n_up; i++) {
		if (f->up[i] == node)
			return 0;
	}
	more = realloc(f->up, (f->n_up + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	f->up = more;
	f->up[f->n_up++] = node;
	return 0;
}

/* One walk over the schedule: how often each parcel is sent on from here, and whom we meet. */
static int survey(
	struct flow *f, struct schedule_cursor sends, struct schedule_cursor recvs)
{
	const struct plan *p = f->run->st->plan;
	struct schedule_hop hop;
	int r = 0;

	while (r == 0 && schedule_next(&sends, &hop)) {
		f->uses[hop.parcel]++;
		r = note_peer(f, (int)plan_node(p, f->index, hop.peer));
	}
	while (r == 0 && schedule_next(&recvs, &hop))
		r = note_up(f, (int)plan_node(p, f->index, hop.peer));
	return r;
}

int flow_open(struct flow *f, struct ebt_err *err)
{
	const struct plan *p = f->run->st->plan;
	const struct plan_stream *s = &p->streams[f->index];
	uint32_t rel = plan_rank(p, f->index, (uint32_t)f->run->st->job.node);
	struct schedule_cursor sends, recvs;
	uint64_t size = 64;
	int r;

	r = schedule_new(p->algo == SCHEDULE_MPI_BCAST ? SCHEDULE_BINOMIAL : p->algo,
		p->nodes, s->n_parcels, &f->schedule, err);
	if (r < 0)
		return r;
	schedule_start(f->schedule, rel, SCHEDULE_SEND, &sends);
	schedule_start(f->schedule, rel, SCHEDULE_RECV, &recvs);
	while (size < 4ull * pool_count(f->pool))
		size *= 2;
	f->mask = size - 1;
	f->held = calloc(size, sizeof(*f->held));
	f->uses = calloc(s->n_parcels + 1, 1);
	if (!f->held || !f->uses || survey(f, sends, recvs) < 0)
		return ebt_fail(err, -ENOMEM, "stream %u", f->index);
	order_add(f->run->send.order, f->index, &sends);
	order_add(f->run->recv.order, f->index, &recvs);
	return 0;
}

void flow_close(struct flow *f)
{
	packer_free(f->packer);
	schedule_free(f->schedule);
	free(f->held);
	free(f->uses);
	free(f->peers);
	free(f->up);
	pool_free(f->pool);
	queue_destroy(&f->filled);
	pthread_mutex_destroy(&f->order);
}
