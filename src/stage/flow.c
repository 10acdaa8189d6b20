/* SPDX-License-Identifier: BSD-3-Clause */
#include "stage/stream.h"

#include <errno.h>
#include <string.h>

/* Hops carry relative ranks; from here on nodes are meant. */
static bool next_hop(struct flow *f, struct schedule_cursor *c, struct schedule_hop *hop)
{
	if (!schedule_next(c, hop))
		return false;
	hop->peer = plan_node(f->run->st->plan, f->index, hop->peer);
	return true;
}

bool flow_next_send(struct flow *f)
{
	return f->more_sends = next_hop(f, &f->sends, &f->send);
}

bool flow_next_recv(struct flow *f)
{
	return f->more_recvs = next_hop(f, &f->recvs, &f->recv);
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
static int survey(struct flow *f)
{
	struct schedule_cursor sends = f->sends, recvs = f->recvs;
	struct schedule_hop hop;
	int r = 0;

	while (r == 0 && next_hop(f, &sends, &hop)) {
		f->uses[hop.parcel]++;
		r = note_peer(f, (int)hop.peer);
	}
	while (r == 0 && next_hop(f, &recvs, &hop))
		r = note_up(f, (int)hop.peer);
	return r;
}

int flow_open(struct flow *f, struct ebt_err *err)
{
	const struct plan *p = f->run->st->plan;
	const struct plan_stream *s = &p->streams[f->index];
	uint32_t rel = plan_rank(p, f->index, (uint32_t)f->run->st->node);
	uint64_t size = 64;
	int r;

	r = schedule_new(p->algo == SCHEDULE_MPI_BCAST ? SCHEDULE_BINOMIAL : p->algo, p->nodes,
		s->n_parcels, &f->schedule, err);
	if (r < 0)
		return r;
	schedule_start(f->schedule, rel, SCHEDULE_SEND, &f->sends);
	schedule_start(f->schedule, rel, SCHEDULE_RECV, &f->recvs);
	while (size < 4ull * pool_count(f->pool))
		size *= 2;
	f->mask = size - 1;
	f->held = calloc(size, sizeof(*f->held));
	f->uses = calloc(s->n_parcels + 1, 1);
	if (!f->held || !f->uses || survey(f) < 0)
		return ebt_fail(err, -ENOMEM, "stream %u", f->index);
	flow_next_send(f);
	flow_next_recv(f);
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
