/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan/order.h"

#include <string.h>

#include "plan/plan.h"
#include "suite.h"

#define NODES	24
#define STREAMS 6
#define PARCELS 20

struct end { /* one side of one node */
	struct order *order;
	struct schedule_hop hop;
	uint32_t stream;
	bool more;
};

struct cluster {
	uint32_t nodes, streams;
	struct schedule *schedules[STREAMS];
	struct end sends[NODES], receives[NODES];
	bool held[NODES][STREAMS][PARCELS];
};

static uint32_t node_of(const struct cluster *cl, uint32_t stream, uint32_t rank)
{
	return (plan_reader_node(stream, cl->streams, cl->nodes) + rank) % cl->nodes;
}

static void advance(const struct cluster *cl, struct end *e)
{
	e->more = order_next(e->order, &e->stream, &e->hop);
	if (e->more)
		e->hop.peer = node_of(cl, e->stream, e->hop.peer);
}

/* Streams are of different lengths, the last one empty. */
static void set_up(struct cluster *cl, enum schedule_algo algo)
{
	for (uint32_t i = 0; i < cl->nodes; i++) {
		CU_ASSERT_FATAL(order_new(cl->streams, &cl->sends[i].order, NULL) == 0);
		CU_ASSERT_FATAL(
			order_new(cl->streams, &cl->receives[i].order, NULL) == 0);
	}
	for (uint32_t j = 0; j < cl->streams; j++) {
		uint64_t parcels = j + 1 == cl->streams && j ? 0 : PARCELS - 3 * j;
		struct schedule_cursor c;

		CU_ASSERT_FATAL(schedule_new(algo, cl->nodes, parcels,
					&cl->schedules[j], NULL) == 0);
		memset(cl->held[node_of(cl, j, 0)][j], true, PARCELS);
		for (uint32_t rank = 0; rank < cl->nodes; rank++) {
			uint32_t node = node_of(cl, j, rank);

			schedule_start(cl->schedules[j], rank, SCHEDULE_SEND, &c);
			order_add(cl->sends[node].order, j, &c);
			schedule_start(cl->schedules[j], rank, SCHEDULE_RECV, &c);
			order_add(cl->receives[node].order, j, &c);
		}
	}
	for (uint32_t i = 0; i < cl->nodes; i++) {
		advance(cl, &cl->sends[i]);
		advance(cl, &cl->receives[i]);
	}
}

/* One send and one receive a node, both in order: the strictest execution there is. */
static uint64_t run_blocking(struct cluster *cl)
{
	bool busy[NODES], moved = true;
	uint64_t turns = 0;

	for (; moved; turns += moved) {
		moved = false;
		memset(busy, 0, sizeof(busy));
		for (uint32_t i = 0; i < cl->nodes; i++) {
			struct end *out = &cl->sends[i],
				   *in = &cl->receives[out->hop.peer];

			if (!out->more || !in->more || in->hop.peer != i ||
				busy[out->hop.peer] || in->stream != out->stream ||
				in->hop.parcel != out->hop.parcel ||
				!cl->held[i][out->stream][out->hop.parcel])
				continue;
			busy[out->hop.peer] = true;
			cl->held[out->hop.peer][out->stream][out->hop.parcel] = true;
			advance(cl, out);
			advance(cl, in);
			moved = true;
		}
	}
	return turns;
}

static void all_streams_together_come_to_an_end_in_time(void)
{
	static const enum schedule_algo algos[] = {SCHEDULE_CHAIN, SCHEDULE_TWO_TREE,
		SCHEDULE_CIRCULANT, SCHEDULE_BINOMIAL};

	for (uint32_t i = 0; i < 4 * NODES * STREAMS; i++) {
		struct cluster cl = {
			.nodes = i / STREAMS % NODES + 1, .streams = i % STREAMS + 1};
		uint64_t turns, left = 0;

		if (cl.streams > cl.nodes)
			continue;
		set_up(&cl, algos[i / STREAMS / NODES]);
		turns = run_blocking(&cl);
		CU_ASSERT(turns <= schedule_steps(cl.schedules[0]) * cl.streams);
		for (uint32_t k = 0; k < cl.nodes; k++) {
			left += cl.sends[k].more + cl.receives[k].more;
			order_free(cl.sends[k].order);
			order_free(cl.receives[k].order);
		}
		for (uint32_t j = 0; j < cl.streams; j++)
			schedule_free(cl.schedules[j]);
		CU_ASSERT_EQUAL(left, 0);
	}
}

static void steps_come_first_and_streams_second(void)
{
	SCOPED(schedule_freep) struct schedule *s = NULL;
	SCOPED(order_freep) struct order *o = NULL;
	struct schedule_cursor c;
	struct schedule_hop hop;
	uint32_t stream;

	CU_ASSERT_FATAL(schedule_new(SCHEDULE_CHAIN, 3, 4, &s, NULL) == 0);
	CU_ASSERT_FATAL(order_new(3, &o, NULL) == 0);
	for (uint32_t j = 3; j-- > 0;) { /* stream 2 is a step behind */
		schedule_start(s, j == 2, SCHEDULE_SEND, &c);
		order_add(o, j, &c);
	}
	for (uint32_t i = 0; i < 12; i++) {
		static const uint32_t expected[] = {0, 1, 0, 1, 2, 0, 1, 2, 0, 1, 2, 2};

		CU_ASSERT_TRUE(order_next(o, &stream, &hop));
		CU_ASSERT_EQUAL(stream, expected[i]);
	}
	CU_ASSERT_FALSE(order_next(o, &stream, &hop));
}

static const struct test tests[] = {
	TEST(all_streams_together_come_to_an_end_in_time),
	TEST(steps_come_first_and_streams_second),
};
SUITE("plan_order", tests)
