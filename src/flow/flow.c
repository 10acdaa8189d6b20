/* SPDX-License-Identifier: BSD-3-Clause */
#include "flow/flow.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "plan/order.h"

/* Of a parcel: sends that are still to be started, and whether it is here. */
#define HERE  0x80
#define SENDS 0x7f

struct stream {
	uint64_t parcels;
	uint8_t *state;		   /* of each parcel */
	struct schedule *schedule; /* made here, or NULL */
};

struct part {
	struct part *next;
	const struct plan *plan;
	struct order *sends, *recvs;
	struct stream *streams;
	uint64_t left; /* parcels to come, and sends to complete */
	uint32_t number;
};

/* The next hop of one direction. */
struct head {
	struct part *part; /* in which it looks; NULL: behind the last one */
	struct flow_hop hop;
};

struct peer {
	uint32_t node;
	uint32_t credits; /* receives it has posted and we have not sent into */
};

struct flow {
	uint32_t node;
	unsigned window;
	struct part *first, **last; /* parts that are not over, oldest first */
	uint32_t parts, over;
	struct head send, recv;
	struct peer *peers; /* ascending by node */
	uint32_t n_peers;
	unsigned sending;
	unsigned posted; /* receives under way, all from posted_from */
	uint32_t posted_from;
	bool aborting;
};

int flow_new(uint32_t node, unsigned window, struct flow **out, struct ebt_err *err)
{
	struct flow *f = calloc(1, sizeof(*f));

	if (!f)
		return ebt_fail(err, -ENOMEM, "transfers");
	f->node = node;
	f->window = window;
	f->last = &f->first;
	*out = f;
	return 0;
}

static void part_free(struct part *p)
{
	if (!p)
		return;
	for (uint32_t i = 0; p->streams && i < p->plan->n_streams; i++) {
		schedule_free(p->streams[i].schedule);
		free(p->streams[i].state);
	}
	free(p->streams);
	order_free(p->sends);
	order_free(p->recvs);
	free(p);
}
DEFINE_SCOPED(struct part, part_free)

void flow_free(struct flow *f)
{
	struct part *p;

	if (!f)
		return;
	while ((p = f->first)) {
		f->first = p->next;
		part_free(p);
	}
	free(f->peers);
	free(f);
}

/* Where @node is among the peers, or belongs. */
static uint32_t place_of(const struct flow *f, uint32_t node)
{
	uint32_t lo = 0, hi = f->n_peers;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (f->peers[mid].node < node)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct peer *find_peer(const struct flow *f, uint32_t node)
{
	uint32_t i = place_of(f, node);

	return i < f->n_peers && f->peers[i].node == node ? &f->peers[i] : NULL;
}

static int note_peer(struct flow *f, uint32_t node)
{
	uint32_t at = place_of(f, node);
	struct peer *more;

	if (at < f->n_peers && f->peers[at].node == node)
		return 0;
	/* In steps of a power of two: there are O(log nodes) of them. */
	if ((f->n_peers & (f->n_peers - 1)) == 0) {
		more = realloc(f->peers,
			(f->n_peers ? 2 * (size_t)f->n_peers : 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		f->peers = more;
	}
	for (uint32_t i = f->n_peers; i > at; i--)
		f->peers[i] = f->peers[i - 1];
	f->peers[at] = (struct peer){.node = node};
	f->n_peers++;
	return 0;
}

/* One walk over the hops of a stream: how often each parcel is sent on, and whom we meet. */
static int survey(struct flow *f, struct part *p, uint32_t i, struct schedule_cursor c)
{
	struct stream *s = &p->streams[i];
	struct schedule_hop hop;
	uint32_t before = FLOW_NOBODY, node;
	int r = 0;

	while (r == 0 && schedule_next(&c, &hop)) {
		if (c.side == SCHEDULE_SEND) {
			s->state[hop.parcel]++;
			p->left++;
		}
		node = plan_node(p->plan, i, hop.peer);
		r = node == before ? 0 : note_peer(f, node);
		before = node;
	}
	return r;
}

static int add_stream(struct flow *f, struct part *p, uint32_t i,
	const struct schedule_cursor *cursors, struct ebt_err *err)
{
	const struct plan *plan = p->plan;
	struct stream *s = &p->streams[i];
	uint32_t rank = plan_rank(plan, i, f->node);
	struct schedule_cursor own[2];
	int r;

	s->parcels = plan->streams[i].n_parcels;
	if (!cursors) {
		r = schedule_new(
			plan->algo, plan->nodes, s->parcels, &s->schedule, err);
		if (r < 0)
			return r;
		schedule_start(s->schedule, rank, SCHEDULE_SEND, &own[0]);
		schedule_start(s->schedule, rank, SCHEDULE_RECV, &own[1]);
		cursors = own;
	}
	s->state = calloc(s->parcels + 1, 1);
	if (!s->state || survey(f, p, i, cursors[0]) < 0 ||
		survey(f, p, i, cursors[1]) < 0)
		return ebt_fail(err, -ENOMEM, "stream %u", i);
	p->left += s->parcels;
	order_add(p->sends, i, &cursors[0]);
	order_add(p->recvs, i, &cursors[1]);
	return 0;
}

/* Goes to the next hop, through the parts as far as there are any. */
static void advance(struct head *h, bool sends)
{
	struct schedule_hop hop;

	for (; h->part; h->part = h->part->next) {
		struct order *o = sends ? h->part->sends : h->part->recvs;

		if (order_next(o, &h->hop.stream, &hop)) {
			h->hop.part = h->part->number;
			h->hop.seq = hop.parcel;
			/* Hops carry ranks relative to the reader; from here on nodes are meant. */
			h->hop.node = plan_node(h->part->plan, h->hop.stream, hop.peer);
			return;
		}
	}
}

/* Parts that are over, from the front; none that a head still looks into. */
static void retire(struct flow *f)
{
	struct part *p;

	while ((p = f->first) && p->left == 0 && f->send.part != p &&
		f->recv.part != p) {
		f->first = p->next;
		if (!f->first)
			f->last = &f->first;
		part_free(p);
		f->over++;
	}
}

int flow_add(struct flow *f, const struct plan *plan,
	const struct schedule_cursor *cursors, struct ebt_err *err)
{
	SCOPED(part_freep) struct part *p = calloc(1, sizeof(*p));
	struct part *added;
	int r;

	if (!p)
		return ebt_fail(err, -ENOMEM, "streams");
	p->plan = plan;
	p->number = f->parts;
	p->streams = calloc((size_t)plan->n_streams + 1, sizeof(*p->streams));
	if (!p->streams)
		return ebt_fail(err, -ENOMEM, "streams");
	r = order_new(plan->n_streams, &p->sends, err);
	if (r == 0)
		r = order_new(plan->n_streams, &p->recvs, err);
	for (uint32_t i = 0; i < plan->n_streams && r == 0; i++)
		r = add_stream(f, p, i, cursors ? &cursors[2 * i] : NULL, err);
	if (r < 0)
		return r;
	added = TAKE(p);
	f->parts++;
	*f->last = added;
	f->last = &added->next;
	if (!f->send.part) {
		f->send.part = added;
		advance(&f->send, true);
	}
	if (!f->recv.part) {
		f->recv.part = added;
		advance(&f->recv, false);
	}
	retire(f);
	return 0;
}

int flow_credit(struct flow *f, uint32_t node)
{
	/* It may be ahead, in a part that we have still to hear of. */
	int r = note_peer(f, node);

	if (r == 0)
		find_peer(f, node)->credits++;
	return r;
}

static struct part *find_part(const struct flow *f, uint32_t number)
{
	struct part *p = f->first;

	while (p && p->number != number)
		p = p->next;
	assert(p);
	return p;
}

unsigned flow_filled(struct flow *f, uint32_t part, uint32_t stream, uint64_t seq)
{
	struct part *p = find_part(f, part);
	uint8_t *state = &p->streams[stream].state[seq];
	unsigned sends = *state & SENDS;

	assert(!(*state & HERE));
	*state |= HERE;
	p->left--;
	retire(f);
	return sends;
}

unsigned flow_arrived(struct flow *f, const struct flow_hop *hop)
{
	f->posted--;
	return flow_filled(f, hop->part, hop->stream, hop->seq);
}

void flow_sent(struct flow *f, const struct flow_hop *hop)
{
	f->sending--;
	find_part(f, hop->part)->left--;
	retire(f);
}

void flow_abort(struct flow *f)
{
	f->aborting = true;
}

void flow_came_empty(struct flow *f)
{
	f->posted--;
}

void flow_went_empty(struct flow *f)
{
	f->sending--;
}

unsigned flow_forget(struct flow *f, uint32_t part, uint32_t stream, uint64_t seq)
{
	uint8_t *state = &find_part(f, part)->streams[stream].state[seq];
	unsigned sends = *state & SENDS;

	*state &= HERE;
	return sends;
}

bool flow_may_receive(const struct flow *f, uint32_t *part, uint32_t *stream)
{
	const struct head *h = &f->recv;

	if (f->aborting || !h->part || f->posted >= FLOW_AHEAD)
		return false;
	if (f->posted && f->posted_from != h->hop.node)
		return false;
	*part = h->hop.part;
	*stream = h->hop.stream;
	return true;
}

void flow_receive(struct flow *f, struct flow_hop *hop)
{
	*hop = f->recv.hop;
	f->posted++;
	f->posted_from = hop->node;
	advance(&f->recv, false);
}

bool flow_send(struct flow *f, struct flow_hop *hop)
{
	struct head *h = &f->send;
	struct peer *peer;
	uint8_t *state;

	if (f->aborting || !h->part || f->sending >= f->window)
		return false;
	state = &h->part->streams[h->hop.stream].state[h->hop.seq];
	peer = find_peer(f, h->hop.node);
	if (!(*state & HERE) || !peer->credits)
		return false;
	peer->credits--;
	--*state;
	*hop = h->hop;
	hop->last = (*state & SENDS) == 0;
	f->sending++;
	advance(h, true);
	return true;
}

bool flow_answer(struct flow *f, uint32_t *node)
{
	if (!f->aborting)
		return false;
	for (uint32_t i = 0; i < f->n_peers; i++) {
		if (!f->peers[i].credits)
			continue;
		f->peers[i].credits--;
		f->sending++;
		*node = f->peers[i].node;
		return true;
	}
	return false;
}

bool flow_aborting(const struct flow *f)
{
	return f->aborting;
}

bool flow_settled(const struct flow *f)
{
	if (f->posted || f->sending)
		return false;
	return f->aborting || !f->first;
}

uint32_t flow_parts_over(const struct flow *f)
{
	return f->over;
}

uint32_t flow_waits_for(const struct flow *f)
{
	if (f->posted)
		return f->posted_from;
	return f->recv.part ? f->recv.hop.node : FLOW_NOBODY;
}

uint32_t flow_waits_on(const struct flow *f)
{
	const struct head *h = &f->send;

	if (!h->part || !(h->part->streams[h->hop.stream].state[h->hop.seq] & HERE))
		return FLOW_NOBODY;
	return f->sending < f->window && find_peer(f, h->hop.node)->credits
		       ? FLOW_NOBODY
		       : h->hop.node;
}

uint32_t flow_peers(const struct flow *f)
{
	return f->n_peers;
}

uint32_t flow_peer(const struct flow *f, uint32_t i)
{
	return f->peers[i].node;
}
