/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Flows of all nodes against a network that delivers words and parcels in any order that MPI
 * allows: between two nodes one after the other, else at random.
 */
#include "flow/flow.h"

#include <stdlib.h>

#include "suite.h"

#define NODES_MAX 17
#define PARTS_MAX 3

struct word { /* under way from one node to another */
	uint32_t from, to;
	bool empty;
	struct flow_hop hop; /* of a parcel, as its sender has it */
};

/* First in, first out between each two nodes; taken from any pair. */
struct queue_of {
	struct word *at;
	size_t n, cap;
};

static void put(struct queue_of *q, struct word w)
{
	if (q->n == q->cap) {
		q->cap = q->cap ? 2 * q->cap : 64;
		q->at = realloc(q->at, q->cap * sizeof(*q->at));
		CU_ASSERT_FATAL(q->at != NULL);
	}
	q->at[q->n++] = w;
}

/* One of them whose pair has no earlier one. */
static struct word take(struct queue_of *q, unsigned *seed)
{
	size_t pick = (size_t)rand_r(seed) % q->n;
	struct word w;

	for (size_t i = 0; i < pick; i++) {
		if (q->at[i].from == q->at[pick].from && q->at[i].to == q->at[pick].to)
			pick = i;
	}
	w = q->at[pick];
	q->n--;
	for (size_t i = pick; i < q->n; i++)
		q->at[i] = q->at[i + 1];
	return w;
}

struct node {
	struct flow *flow;
	uint32_t parts;		       /* added so far */
	uint64_t filled[PARTS_MAX][8]; /* of each stream that it reads */
	struct flow_hop posted[FLOW_AHEAD];
	unsigned n_posted, sending;
	uint8_t *got[PARTS_MAX][8];
	bool told;
};

struct net {
	struct plan *plan[PARTS_MAX];
	uint32_t parts, n;
	struct node node[NODES_MAX];
	struct queue_of credits, parcels, aborts;
	uint64_t delivered;
	unsigned seed, window;
};

static void arrive(struct net *t, uint32_t i, const struct flow_hop *h)
{
	CU_ASSERT_EQUAL_FATAL(t->node[i].got[h->part][h->stream][h->seq], 0);
	t->node[i].got[h->part][h->stream][h->seq] = 1;
	t->delivered++;
}

/* Whatever a node may do now, in the order in which the carrier does it. */
static void let(struct net *t, uint32_t i)
{
	struct node *n = &t->node[i];
	uint32_t part, stream, node;
	struct flow_hop hop;

	while (flow_may_receive(n->flow, &part, &stream)) {
		flow_receive(n->flow, &hop);
		CU_ASSERT_EQUAL(hop.part, part);
		CU_ASSERT_EQUAL(hop.stream, stream);
		for (unsigned k = 0; k < n->n_posted; k++)
			CU_ASSERT_EQUAL(n->posted[k].node, hop.node);
		CU_ASSERT_FATAL(n->n_posted < FLOW_AHEAD);
		n->posted[n->n_posted++] = hop;
		put(&t->credits, (struct word){.from = i, .to = hop.node});
	}
	while (flow_send(n->flow, &hop)) {
		CU_ASSERT(n->got[hop.part][hop.stream][hop.seq]);
		CU_ASSERT(++n->sending <= t->window);
		put(&t->parcels, (struct word){.from = i, .to = hop.node, .hop = hop});
	}
	while (flow_answer(n->flow, &node)) {
		n->sending++;
		put(&t->parcels, (struct word){.from = i, .to = node, .empty = true});
	}
}

static void wind_down(struct net *t, uint32_t i)
{
	struct flow *f = t->node[i].flow;

	flow_abort(f);
	if (t->node[i].told)
		return;
	t->node[i].told = true;
	for (uint32_t k = 0; k < flow_peers(f); k++)
		put(&t->aborts, (struct word){.from = i, .to = flow_peer(f, k)});
}

static void deliver(struct net *t)
{
	struct word w = take(&t->parcels, &t->seed);
	struct node *to = &t->node[w.to], *from = &t->node[w.from];
	struct flow_hop hop;

	/* It meets the receive that was posted first. */
	CU_ASSERT_FATAL(to->n_posted > 0);
	hop = to->posted[0];
	CU_ASSERT_EQUAL_FATAL(hop.node, w.from);
	for (unsigned k = 1; k < to->n_posted; k++)
		to->posted[k - 1] = to->posted[k];
	to->n_posted--;
	from->sending--;
	if (w.empty) {
		flow_went_empty(from->flow);
		flow_came_empty(to->flow);
		wind_down(t, w.to);
	} else {
		CU_ASSERT_EQUAL_FATAL(hop.seq, w.hop.seq);
		CU_ASSERT_EQUAL_FATAL(hop.stream, w.hop.stream);
		CU_ASSERT_EQUAL_FATAL(hop.part, w.hop.part);
		flow_sent(from->flow, &w.hop);
		if (flow_aborting(to->flow)) {
			flow_came_empty(to->flow);
		} else {
			flow_arrived(to->flow, &hop);
			arrive(t, w.to, &hop);
		}
	}
	let(t, w.from);
	let(t, w.to);
}

/* A reader reads its next parcel, or a node hears of the next part. */
static bool step_node(struct net *t, uint32_t i)
{
	struct node *n = &t->node[i];

	if (n->parts < t->parts && rand_r(&t->seed) % 3 == 0) {
		CU_ASSERT_EQUAL_FATAL(
			flow_add(n->flow, t->plan[n->parts], NULL, NULL), 0);
		n->parts++;
		let(t, i);
		return true;
	}
	for (uint32_t part = 0; part < n->parts; part++) {
		const struct plan *p = t->plan[part];

		for (uint32_t s = 0; s < p->n_streams; s++) {
			struct flow_hop h = {.part = part, .stream = s};

			h.seq = n->filled[part][s];
			if (p->streams[s].reader != i ||
				h.seq == p->streams[s].n_parcels ||
				flow_aborting(n->flow))
				continue;
			n->filled[part][s]++;
			arrive(t, i, &h);
			flow_filled(n->flow, part, s, h.seq);
			let(t, i);
			return true;
		}
	}
	return n->parts < t->parts;
}

/* Until nothing moves any more. @fail_at: after so many steps some node fails. */
static void run(struct net *t, uint64_t fail_at)
{
	uint64_t steps = 0;
	struct word w;

	for (bool moving = true; moving; steps++) {
		unsigned what = (unsigned)rand_r(&t->seed) % 4;

		moving = t->credits.n || t->parcels.n || t->aborts.n;
		if (steps == fail_at)
			wind_down(t, (uint32_t)rand_r(&t->seed) % t->n);
		if (what == 0 && t->credits.n) {
			w = take(&t->credits, &t->seed);
			CU_ASSERT_EQUAL_FATAL(
				flow_credit(t->node[w.to].flow, w.from), 0);
			let(t, w.to);
		} else if (what == 1 && t->aborts.n) {
			w = take(&t->aborts, &t->seed);
			wind_down(t, w.to);
			let(t, w.to);
		} else if (what == 2 && t->parcels.n) {
			deliver(t);
		}
		for (uint32_t i = 0; i < t->n && (what == 3 || !moving); i++)
			moving |= step_node(t, i);
	}
}

static void set_up(struct net *t, uint32_t nodes, unsigned seed)
{
	*t = (struct net){.n = nodes, .seed = seed, .window = 1 + seed % 2};
	t->parts = 1 + seed % PARTS_MAX;
	for (uint32_t i = 0; i < t->parts; i++) {
		struct plan_options o = {.nodes = nodes,
			.readers = 1 + (seed + i) % 4,
			.algo = SCHEDULE_CHAIN + (seed / 3 + i) % 4,
			.parcel = PLAN_PARCEL_MIN,
			.cost = {1e9, 1e-5, 1e9, 1e9}};
		uint64_t bytes = (uint64_t)(rand_r(&seed) % 40) * PLAN_PARCEL_MIN;

		CU_ASSERT_FATAL(plan_bytes(bytes, &o, &t->plan[i], NULL) == 0);
	}
	for (uint32_t i = 0; i < nodes; i++) {
		CU_ASSERT_FATAL(flow_new(i, t->window, &t->node[i].flow, NULL) == 0);
		for (uint32_t part = 0; part < t->parts; part++)
			for (uint32_t s = 0; s < t->plan[part]->n_streams; s++)
				t->node[i].got[part][s] = calloc(
					t->plan[part]->streams[s].n_parcels + 1, 1);
	}
}

static void tear_down(struct net *t)
{
	for (uint32_t i = 0; i < t->n; i++) {
		for (uint32_t part = 0; part < t->parts; part++)
			for (uint32_t s = 0; s < t->plan[part]->n_streams; s++)
				free(t->node[i].got[part][s]);
		flow_free(t->node[i].flow);
	}
	for (uint32_t part = 0; part < t->parts; part++)
		plan_free(t->plan[part]);
	free(t->credits.at);
	free(t->parcels.at);
	free(t->aborts.at);
}

static void everything_arrives_once_whatever_comes_first(void)
{
	for (unsigned seed = 1; seed <= 400; seed++) {
		struct net t;
		uint64_t expected = 0;

		set_up(&t, 1 + seed % NODES_MAX, seed);
		for (uint32_t part = 0; part < t.parts; part++)
			expected += t.plan[part]->n_parcels * t.n;
		run(&t, UINT64_MAX);
		CU_ASSERT_EQUAL(t.delivered, expected);
		for (uint32_t i = 0; i < t.n; i++) {
			CU_ASSERT(flow_settled(t.node[i].flow));
			CU_ASSERT_EQUAL(flow_parts_over(t.node[i].flow), t.parts);
			CU_ASSERT_EQUAL(flow_waits_for(t.node[i].flow), FLOW_NOBODY);
			CU_ASSERT_EQUAL(flow_waits_on(t.node[i].flow), FLOW_NOBODY);
		}
		tear_down(&t);
	}
}

static void a_failure_anywhere_ends_all_and_leaves_no_receive_behind(void)
{
	for (unsigned seed = 1; seed <= 400; seed++) {
		struct net t;

		set_up(&t, 2 + seed % (NODES_MAX - 1), seed);
		run(&t, seed * 7 % 900);
		for (uint32_t i = 0; i < t.n; i++) {
			CU_ASSERT_EQUAL(t.node[i].n_posted, 0);
			CU_ASSERT_EQUAL(t.node[i].sending, 0);
			CU_ASSERT(flow_settled(t.node[i].flow));
		}
		tear_down(&t);
	}
}

static void who_is_waited_for_has_a_name(void)
{
	struct plan_options o = {.nodes = 3,
		.readers = 1,
		.algo = SCHEDULE_CHAIN,
		.parcel = PLAN_PARCEL_MIN,
		.cost = {1e9, 1e-5, 1e9, 1e9}};
	SCOPED(plan_freep) struct plan *p = NULL;
	SCOPED(flow_freep) struct flow *f = NULL;
	uint32_t part, stream;
	struct flow_hop hop;

	CU_ASSERT_FATAL(plan_bytes(2 * PLAN_PARCEL_MIN, &o, &p, NULL) == 0);
	CU_ASSERT_FATAL(flow_new(1, 1, &f, NULL) == 0);
	CU_ASSERT_EQUAL(flow_waits_for(f), FLOW_NOBODY);
	CU_ASSERT(flow_settled(f));
	CU_ASSERT_FATAL(flow_add(f, p, NULL, NULL) == 0);
	CU_ASSERT_EQUAL(flow_waits_for(f), 0);
	CU_ASSERT_EQUAL(flow_waits_on(f), FLOW_NOBODY);
	CU_ASSERT_FATAL(flow_may_receive(f, &part, &stream));
	flow_receive(f, &hop);
	CU_ASSERT_EQUAL(flow_waits_for(f), 0);
	CU_ASSERT_EQUAL(flow_arrived(f, &hop), 1);
	/* It has the first parcel, and node 2 does not take it. */
	CU_ASSERT_EQUAL(flow_waits_on(f), 2);
	CU_ASSERT_FALSE(flow_send(f, &hop));
	CU_ASSERT_EQUAL(flow_credit(f, 2), 0);
	CU_ASSERT(flow_send(f, &hop));
	CU_ASSERT(hop.last);
	CU_ASSERT_FALSE(flow_settled(f));
}

static const struct test tests[] = {
	TEST(everything_arrives_once_whatever_comes_first),
	TEST(a_failure_anywhere_ends_all_and_leaves_no_receive_behind),
	TEST(who_is_waited_for_has_a_name),
};
SUITE("flow_flow", tests)
