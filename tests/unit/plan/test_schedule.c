/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan/schedule.h"

#include <string.h>

#include "suite.h"

#define NODES	64
#define PARCELS 40
#define NEVER	UINT64_MAX

static const enum schedule_algo algos[] = {
	SCHEDULE_CHAIN, SCHEDULE_TWO_TREE, SCHEDULE_CIRCULANT, SCHEDULE_BINOMIAL};
static const uint64_t counts[] = {0, 1, 2, 3, 5, 8, 17, 40};

static uint32_t log2_up(uint32_t n)
{
	uint32_t l = 0;

	while ((1ull << l) < n)
		l++;
	return l;
}

static struct schedule *make(enum schedule_algo algo, uint32_t nodes, uint64_t parcels)
{
	struct schedule *s = NULL;

	CU_ASSERT_FATAL(schedule_new(algo, nodes, parcels, &s, NULL) == 0);
	return s;
}

/* Calls @check with a schedule of every algorithm and every small size. */
static void for_each_small(void (*check)(
	enum schedule_algo, uint32_t nodes, uint64_t parcels, struct schedule *))
{
	for (size_t a = 0; a < 4; a++) {
		for (uint32_t nodes = 1; nodes <= NODES; nodes++) {
			for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]);
				i++) {
				struct schedule *s = make(algos[a], nodes, counts[i]);

				check(algos[a], nodes, counts[i], s);
				schedule_free(s);
			}
		}
	}
}

/* Who gets what when, from the receivers' side. */
static struct arrival {
	uint64_t step;
	uint32_t from;
} arrivals[NODES][PARCELS];

/* Fills arrivals; returns the number of bad hops. */
static int collect_receives(struct schedule *s, uint32_t nodes, uint64_t parcels)
{
	int bad = 0;

	for (uint32_t rank = 0; rank < nodes; rank++) {
		struct schedule_cursor c;
		struct schedule_hop hop;
		uint64_t next = 0, n = 0;

		for (uint64_t k = 0; k < parcels; k++)
			arrivals[rank][k].step = rank ? NEVER : 0;
		schedule_start(s, rank, SCHEDULE_RECV, &c);
		for (; schedule_next(&c, &hop); n++) {
			bad += hop.step < next || hop.peer >= nodes ||
			       hop.parcel >= parcels;
			bad += arrivals[rank][hop.parcel].step != NEVER;
			arrivals[rank][hop.parcel] =
				(struct arrival){hop.step, hop.peer};
			next = hop.step + 1;
		}
		bad += n != (rank ? parcels : 0);
	}
	return bad;
}

/*
 * Sends carry the same step as their receives and both ascend strictly, so this also
 * shows that the two ends of a pair see the same order.
 */
static void check_pairs(
	enum schedule_algo algo, uint32_t nodes, uint64_t parcels, struct schedule *s)
{
	int bad = collect_receives(s, nodes, parcels);
	uint64_t total = 0, last = 0;

	for (uint32_t rank = 0; rank < nodes && bad == 0; rank++) {
		struct schedule_cursor c;
		struct schedule_hop hop;
		uint64_t next = 0;

		schedule_start(s, rank, SCHEDULE_SEND, &c);
		for (; schedule_next(&c, &hop); total++) {
			const struct arrival *a = &arrivals[hop.peer][hop.parcel];

			bad += hop.step < next || hop.peer == 0 || hop.peer >= nodes;
			bad += a->step != hop.step || a->from != rank;
			bad += rank != 0 && arrivals[rank][hop.parcel].step >= hop.step;
			next = hop.step + 1;
		}
		last = next > last ? next : last;
	}
	bad += total != parcels * (nodes - 1);
	bad += last != schedule_steps(s);
	if (bad)
		printf("%s, %u nodes, %llu parcels\n", schedule_name(algo), nodes,
			(unsigned long long)parcels);
	CU_ASSERT_EQUAL(bad, 0);
}

static void every_rank_gets_every_parcel_once_and_before_it_sends_it(void)
{
	for_each_small(check_pairs);
}

static void check_rendezvous(
	enum schedule_algo algo, uint32_t nodes, uint64_t parcels, struct schedule *s)
{
	static struct schedule_cursor sends[NODES], receives[NODES];
	static struct schedule_hop out[NODES], in[NODES];
	static bool sending[NODES], receiving[NODES], held[NODES][PARCELS];
	bool moved = true, left = false;

	memset(held, 0, sizeof(held));
	memset(held[0], true, sizeof(held[0]));
	for (uint32_t r = 0; r < nodes; r++) {
		schedule_start(s, r, SCHEDULE_SEND, &sends[r]);
		schedule_start(s, r, SCHEDULE_RECV, &receives[r]);
		sending[r] = schedule_next(&sends[r], &out[r]);
		receiving[r] = schedule_next(&receives[r], &in[r]);
	}
	while (moved) {
		moved = false;
		for (uint32_t r = 0; r < nodes; r++) {
			uint32_t to = out[r].peer;

			if (!sending[r] || !held[r][out[r].parcel] || !receiving[to] ||
				in[to].peer != r)
				continue;
			CU_ASSERT_EQUAL(in[to].parcel, out[r].parcel);
			held[to][out[r].parcel] = true;
			sending[r] = schedule_next(&sends[r], &out[r]);
			receiving[to] = schedule_next(&receives[to], &in[to]);
			moved = true;
		}
	}
	for (uint32_t r = 0; r < nodes; r++)
		left |= sending[r] || receiving[r];
	CU_ASSERT_FALSE(left);
}

static void blocking_sends_and_receives_in_order_come_to_an_end(void)
{
	for_each_small(check_rendezvous);
}

static void check_steps(
	enum schedule_algo algo, uint32_t nodes, uint64_t parcels, struct schedule *s)
{
	uint64_t steps = schedule_steps(s), rounds = log2_up(nodes);

	if (nodes == 1 || parcels == 0)
		CU_ASSERT_EQUAL(steps, 0)
	else if (algo == SCHEDULE_CHAIN)
		CU_ASSERT_EQUAL(steps, parcels + nodes - 2)
	else if (algo == SCHEDULE_CIRCULANT)
		CU_ASSERT_EQUAL(steps, parcels - 1 + rounds)
	else if (algo == SCHEDULE_TWO_TREE)
		CU_ASSERT(steps >= parcels && steps <= parcels + 2 * rounds - 1)
	else
		CU_ASSERT_EQUAL(steps, parcels * rounds)
}

static void steps_are_as_many_as_promised(void)
{
	for_each_small(check_steps);
}

static uint64_t count_sends(const struct schedule *s, uint32_t rank)
{
	struct schedule_cursor c;
	struct schedule_hop hop;
	uint64_t n = 0;

	schedule_start(s, rank, SCHEDULE_SEND, &c);
	while (schedule_next(&c, &hop))
		n++;
	return n;
}

static void check_load(
	enum schedule_algo algo, uint32_t nodes, uint64_t parcels, struct schedule *s)
{
	uint64_t rounds = log2_up(nodes);

	for (uint32_t rank = 0; rank < nodes; rank++) {
		uint64_t n = count_sends(s, rank);

		if (algo == SCHEDULE_CHAIN)
			CU_ASSERT(n <= parcels)
		else if (algo == SCHEDULE_TWO_TREE && rank == 0)
			CU_ASSERT(n <= parcels)
		else if (algo == SCHEDULE_TWO_TREE) /* two children with half each */
			CU_ASSERT(n <= parcels + parcels % 2)
		else if (algo == SCHEDULE_CIRCULANT)
			CU_ASSERT(n == 0 || n < parcels + rounds)
		else
			CU_ASSERT(n <= parcels * rounds)
	}
}

static void no_rank_sends_more_than_its_share(void)
{
	for_each_small(check_load);
}

static void check_reader(
	enum schedule_algo algo, uint32_t nodes, uint64_t parcels, struct schedule *s)
{
	struct schedule_cursor c;
	struct schedule_hop hop;
	uint64_t before = 0;

	schedule_start(s, 0, SCHEDULE_SEND, &c);
	while (schedule_next(&c, &hop)) {
		CU_ASSERT(hop.parcel == before || hop.parcel == before + 1);
		before = hop.parcel;
	}
	CU_ASSERT(before + 1 == parcels || nodes == 1 || parcels == 0);
}

static void the_reader_sends_parcels_in_the_order_it_reads_them(void)
{
	for_each_small(check_reader);
}

static bool peer_sends(
	const struct schedule *s, uint32_t rank, const struct schedule_hop *in)
{
	struct schedule_cursor c;
	struct schedule_hop hop;

	schedule_start(s, in->peer, SCHEDULE_SEND, &c);
	while (schedule_next(&c, &hop)) {
		if (hop.peer == rank && hop.parcel == in->parcel)
			return hop.step == in->step;
	}
	return false;
}

/* Receives, their counterparts and what becomes of them, for one rank of many. */
static int check_one(const struct schedule *s, uint32_t rank, uint32_t parcels)
{
	uint64_t steps[PARCELS];
	struct schedule_cursor c;
	struct schedule_hop hop;
	uint32_t n = 0;
	int bad = 0;

	for (uint32_t k = 0; k < parcels; k++)
		steps[k] = NEVER;
	schedule_start(s, rank, SCHEDULE_RECV, &c);
	for (; schedule_next(&c, &hop); n++) {
		bad += steps[hop.parcel] != NEVER || !peer_sends(s, rank, &hop);
		steps[hop.parcel] = hop.step;
	}
	bad += n != parcels;
	schedule_start(s, rank, SCHEDULE_SEND, &c);
	while (schedule_next(&c, &hop))
		bad += steps[hop.parcel] >= hop.step;
	return bad;
}

static void thousands_of_nodes_are_no_different(void)
{
	static const uint32_t sizes[] = {1000, 9000, 16386};

	for (size_t a = 0; a < 4; a++) {
		for (size_t i = 0; i < 3; i++) {
			struct schedule *s = make(algos[a], sizes[i], 7);

			for (uint32_t rank = 1; rank < sizes[i]; rank += sizes[i] / 100)
				CU_ASSERT_EQUAL(check_one(s, rank, 7), 0);
			CU_ASSERT_EQUAL(check_one(s, sizes[i] - 1, 7), 0);
			schedule_free(s);
		}
	}
}

static void parcel_numbers_pass_32_bits(void)
{
	uint64_t parcels = (1ull << 34) + 3;

	for (size_t a = 0; a < 4; a++) {
		struct schedule *s = make(algos[a], 100, parcels);
		struct schedule_cursor c;
		struct schedule_hop hop;

		CU_ASSERT(schedule_steps(s) >= parcels);
		schedule_start(s, 0, SCHEDULE_SEND, &c);
		CU_ASSERT_TRUE(schedule_next(&c, &hop));
		CU_ASSERT_EQUAL(hop.parcel, 0);
		schedule_free(s);
	}
}

static void a_restarted_cursor_says_the_same_again(void)
{
	for (size_t a = 0; a < 4; a++) {
		struct schedule *s = make(algos[a], 37, 12),
				*t = make(algos[a], 37, 17);

		for (uint32_t rank = 0; rank < 37; rank++) {
			struct schedule_cursor c, d;
			struct schedule_hop x, y;
			bool more;

			schedule_start(s, rank, SCHEDULE_RECV, &c);
			for (int i = 0; i < 5; i++)
				schedule_next(&c, &x);
			schedule_restart(&c, t);
			schedule_start(t, rank, SCHEDULE_RECV, &d);
			do {
				more = schedule_next(&d, &y);
				CU_ASSERT_EQUAL(schedule_next(&c, &x), more);
				if (more)
					CU_ASSERT(x.step == y.step && x.peer == y.peer)
			} while (more);
		}
		schedule_free(s);
		schedule_free(t);
	}
}

static void what_is_no_schedule_is_refused(void)
{
	struct schedule *s = NULL;

	CU_ASSERT_EQUAL(schedule_new(SCHEDULE_AUTO, 4, 1, &s, NULL), -EINVAL);
	CU_ASSERT_EQUAL(schedule_new(SCHEDULE_MPI_BCAST, 4, 1, &s, NULL), -EINVAL);
	CU_ASSERT_EQUAL(schedule_new(SCHEDULE_CHAIN, 0, 1, &s, NULL), -EINVAL);
	CU_ASSERT_EQUAL(schedule_new(SCHEDULE_CHAIN, 2, NEVER, &s, NULL), -EOVERFLOW);
	CU_ASSERT_PTR_NULL(s);
}

static void names_come_back_as_algorithms(void)
{
	enum schedule_algo algo = SCHEDULE_CHAIN;
	struct ebt_err err = {0};

	for (int i = 0; i < SCHEDULE_ALGOS; i++) {
		CU_ASSERT_EQUAL(schedule_parse(schedule_name(i), &algo, NULL), 0);
		CU_ASSERT_EQUAL((int)algo, i);
	}
	CU_ASSERT_EQUAL(schedule_parse("star", &algo, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "star"));
}

static const struct test tests[] = {
	TEST(every_rank_gets_every_parcel_once_and_before_it_sends_it),
	TEST(blocking_sends_and_receives_in_order_come_to_an_end),
	TEST(steps_are_as_many_as_promised),
	TEST(no_rank_sends_more_than_its_share),
	TEST(the_reader_sends_parcels_in_the_order_it_reads_them),
	TEST(thousands_of_nodes_are_no_different),
	TEST(parcel_numbers_pass_32_bits),
	TEST(a_restarted_cursor_says_the_same_again),
	TEST(what_is_no_schedule_is_refused),
	TEST(names_come_back_as_algorithms),
};
SUITE("plan_schedule", tests)
