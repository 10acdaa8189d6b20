/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/transport.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ranks.h"

#define LARGE ((64u << 20) + 12345) /* above what goes in one message */

/* What every agreement on a failure must give, whoever failed. */
static const struct transport *on(MPI_Comm comm)
{
	static struct transport t;

	t = transport_of(comm, NULL);
	return &t;
}

static void check_agreed(MPI_Comm comm, int r, const struct ebt_err *err, int code,
	const char *text, int rank)
{
	char host[64] = "", where[160];

	gethostname(host, sizeof(host) - 1);
	snprintf(where, sizeof(where), "(rank %d on %s", rank, host);
	CU_ASSERT_EQUAL(r, code);
	CU_ASSERT_EQUAL(err->code, code);
	CU_ASSERT_PTR_NOT_NULL(strstr(err->text, text));
	CU_ASSERT_PTR_NOT_NULL(strstr(err->text, where));
	CU_ASSERT(mpi_same_all(comm, err->text, strlen(err->text) + 1));
}

static void agreement_without_failure_is_zero_and_leaves_the_error_alone(MPI_Comm comm)
{
	struct ebt_err err = {.code = 7, .text = "old"};

	CU_ASSERT_EQUAL(transport_agree_all(on(comm), 0, &err), 0);
	CU_ASSERT_EQUAL(err.code, 7);
	CU_ASSERT_STRING_EQUAL(err.text, "old");
	CU_ASSERT_EQUAL(transport_agree_all(on(comm), 0, NULL), 0);
}

static void one_rank_that_fails_fails_all(MPI_Comm comm)
{
	int size = mpi_size(comm), rank = mpi_rank(comm), r;

	for (int victim = 0; victim < size; victim++) {
		struct ebt_err err = {0};

		r = rank == victim ? ebt_fail(&err, -ENOENT, "file %d", victim) : 0;
		r = transport_agree_all(on(comm), r, &err);
		check_agreed(comm, r, &err, -ENOENT, "file ", victim);
		CU_ASSERT_PTR_NULL(strchr(strstr(err.text, "(rank"), ','));
	}
}

static void of_several_failures_the_lowest_rank_speaks(MPI_Comm comm)
{
	int size = mpi_size(comm), rank = mpi_rank(comm), first = size > 2, r = 0;
	struct ebt_err err = {0};
	char count[16], text[32];

	if (rank >= first)
		r = ebt_fail(&err, rank == first ? -EACCES : -EIO, "node %d", rank);
	r = transport_agree_all(on(comm), r, &err);
	snprintf(text, sizeof(text), "node %d", first);
	check_agreed(comm, r, &err, -EACCES, text, first);
	snprintf(count, sizeof(count), ", %d ", size - first);
	CU_ASSERT_EQUAL(strstr(err.text, count) != NULL, size - first > 1);
}

static void a_cause_beats_what_follows_from_it(MPI_Comm comm)
{
	int size = mpi_size(comm), rank = mpi_rank(comm), last = size - 1, r;
	struct ebt_err err = {0};

	if (rank == last)
		r = ebt_failx(&err, -EIO, "cause");
	else if (rank == 0)
		r = ebt_failx(&err, -ECANCELED, "cancelled");
	else
		r = ebt_failx(&err, -EINTR, "interrupted");
	r = transport_agree_all(on(comm), r, &err);
	check_agreed(comm, r, &err, -EIO, "cause", last);
	CU_ASSERT_PTR_NULL(strstr(err.text, "cancelled"));

	err = (struct ebt_err){0};
	if (rank == last)
		r = ebt_failx(&err, -EINTR, "interrupted");
	else
		r = ebt_failx(&err, -ECANCELED, "cancelled");
	r = transport_agree_all(on(comm), r, &err);
	check_agreed(comm, r, &err, -EINTR, "interrupted", last);
}

static void agreement_takes_no_error_and_long_ones(MPI_Comm comm)
{
	int size = mpi_size(comm), rank = mpi_rank(comm), r;
	struct ebt_err err = {0};

	r = transport_agree_all(on(comm), rank == size - 1 ? -EPERM : 0, NULL);
	CU_ASSERT_EQUAL(r, -EPERM);

	if (rank == size - 1) {
		memset(err.text, 'x', sizeof(err.text) - 1);
		err.code = -EPERM;
	}
	r = transport_agree_all(on(comm), rank == size - 1 ? -EPERM : 0, &err);
	check_agreed(comm, r, &err, -EPERM, "xxxxxxxx", size - 1);
}

/* Inner and outer steps both agree: who failed is still named once. */
static void agreeing_again_does_not_change_the_text(MPI_Comm comm)
{
	int size = mpi_size(comm), rank = mpi_rank(comm), r;
	struct ebt_err err = {0}, once;

	r = rank == size - 1 ? ebt_fail(&err, -ENOSPC, "store") : 0;
	r = transport_agree_all(on(comm), r, &err);
	once = err;
	r = transport_agree_all(on(comm), r, &err);
	CU_ASSERT_EQUAL(r, -ENOSPC);
	CU_ASSERT_STRING_EQUAL(err.text, once.text);
}

static void fill(struct buf *b, size_t len, unsigned seed)
{
	unsigned char *p = buf_extend(b, len);

	for (size_t i = 0; p && i < len; i++)
		p[i] = (unsigned char)(seed * 31 + i + (i >> 13));
}

static bool filled(const struct buf *b, size_t len, unsigned seed)
{
	if (b->len != len)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (b->data[i] != (unsigned char)(seed * 31 + i + (i >> 13)))
			return false;
	}
	return true;
}

struct taken {
	int n, bad, fail_at;
	size_t (*length)(int rank);
};

static int take(void *arg, const struct buf *b, struct ebt_err *err)
{
	struct taken *t = arg;

	t->bad += !filled(b, t->length(t->n), (unsigned)t->n);
	if (t->n == t->fail_at)
		return ebt_failx(err, -EBADMSG, "not this one");
	t->n++;
	return 0;
}

static size_t mixed_length(int rank)
{
	return rank % 3 == 0 ? 0 : (size_t)rank * 70001;
}

static size_t large_length(int rank)
{
	return LARGE;
}

static void collected_buffers_come_in_rank_order(MPI_Comm comm)
{
	struct taken t = {.fail_at = -1, .length = mixed_length};
	SCOPED_BUF struct buf mine = {0};
	int rank = mpi_rank(comm);

	fill(&mine, mixed_length(rank), (unsigned)rank);
	CU_ASSERT_EQUAL(transport_collect_all(on(comm), &mine, take, &t, NULL), 0);
	CU_ASSERT_EQUAL(t.n, rank == 0 ? mpi_size(comm) : 0);
	CU_ASSERT_EQUAL(t.bad, 0);
}

static void a_failing_take_ends_the_collection(MPI_Comm comm)
{
	int size = mpi_size(comm), rank = mpi_rank(comm), r;

	for (int at = 0; at < size; at++) {
		struct taken t = {.fail_at = at, .length = mixed_length};
		SCOPED_BUF struct buf mine = {0};
		struct ebt_err err = {0};

		fill(&mine, mixed_length(rank), (unsigned)rank);
		r = transport_collect_all(on(comm), &mine, take, &t, &err);
		CU_ASSERT_EQUAL(r, rank == 0 ? -EBADMSG : 0);
		CU_ASSERT_EQUAL(t.n, rank == 0 ? at : 0);
		CU_ASSERT_EQUAL(t.bad, 0);
		CU_ASSERT_EQUAL(transport_agree_all(on(comm), r, &err), -EBADMSG);
	}
	/* Nothing of it is left for whoever collects next. */
	collected_buffers_come_in_rank_order(comm);
}

static void long_buffers_are_collected_whole(MPI_Comm comm)
{
	struct taken t = {.fail_at = -1, .length = large_length};
	SCOPED_BUF struct buf mine = {0};
	int rank = mpi_rank(comm);

	if (mpi_size(comm) != 2)
		return;
	fill(&mine, LARGE, (unsigned)rank);
	CU_ASSERT_EQUAL(transport_collect_all(on(comm), &mine, take, &t, NULL), 0);
	CU_ASSERT_EQUAL(t.n, rank == 0 ? 2 : 0);
	CU_ASSERT_EQUAL(t.bad, 0);
}

static void bcast_once(MPI_Comm comm, size_t len, int root)
{
	SCOPED_BUF struct buf b = {0};

	/* What the others had is replaced. */
	if (mpi_rank(comm) == root)
		fill(&b, len, (unsigned)root);
	else
		fill(&b, 777, 99);
	CU_ASSERT_EQUAL(transport_bcast_buf_all(on(comm), &b, root, NULL), 0);
	CU_ASSERT(filled(&b, len, (unsigned)root));
}

static void a_buffer_reaches_everybody(MPI_Comm comm)
{
	static const size_t lengths[] = {0, 1, 256, 257, 1000003};

	for (int root = 0; root < mpi_size(comm); root++) {
		for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
			bcast_once(comm, lengths[i], root);
	}
	if (mpi_size(comm) == 2)
		bcast_once(comm, LARGE, 1);
}

/* Sends of this rank: MPI's profiling interface lets them be counted. */
static unsigned sends;

int MPI_Isend(const void *data, int count, MPI_Datatype type, int to, int tag,
	MPI_Comm comm, MPI_Request *req)
{
	sends++;
	return PMPI_Isend(data, count, type, to, tag, comm, req);
}

static void collectives_take_a_logarithm_of_messages(MPI_Comm comm)
{
	enum { N = 256 << 10 };
	int size = mpi_size(comm), rank = mpi_rank(comm), log = 0;
	SCOPED_FREE uint64_t *all = calloc((size_t)size * 1000, 8);
	SCOPED_FREE uint64_t *room = calloc((size_t)size * 4, 8);
	SCOPED_FREE char *data = calloc(1, N);
	uint64_t mine[1000] = {(uint64_t)rank}, bad = 0;

	CU_ASSERT_FATAL(all && room && data);
	while (1 << log < size)
		log++;
	sends = 0;
	transport_barrier_all(on(comm));
	CU_ASSERT_EQUAL(sends, (unsigned)log);
	sends = 0;
	data[0] = data[N - 1] = (char)(rank == size / 2 ? 7 : 0);
	transport_bcast_all(on(comm), data, N, size / 2);
	CU_ASSERT(sends <= (unsigned)log);
	CU_ASSERT(data[0] == 7 && data[N - 1] == 7);
	sends = 0;
	transport_reduce_all(on(comm), mine, 1000, MPI_UINT64_T, MPI_SUM);
	CU_ASSERT(sends <= (unsigned)log + 1);
	CU_ASSERT_EQUAL(mine[0], (uint64_t)size * (uint64_t)(size - 1) / 2);
	mine[0] = (uint64_t)rank;
	sends = 0;
	transport_allgather_all(on(comm), mine, sizeof(mine), all);
	CU_ASSERT_EQUAL(sends, (unsigned)log);
	for (int i = 0; i < size; i++)
		bad += all[(size_t)i * 1000] != (uint64_t)i;
	sends = 0;
	for (int root = 0; root < size; root++) {
		memset(all, 0xff, (size_t)size * sizeof(mine));
		transport_gather_all(on(comm), mine, sizeof(mine), all, root);
		for (int i = 0; i < size && rank == root; i++)
			bad += all[(size_t)i * 1000] != (uint64_t)i;
	}
	CU_ASSERT(sends <= (unsigned)size);
	for (int i = 0; i < size; i++)
		all[i] = (uint64_t)(rank * 1000 + i);
	sends = 0;
	transport_alltoall_all(on(comm), all, room, room + size);
	CU_ASSERT_EQUAL(sends, (unsigned)log);
	for (int i = 0; i < size; i++)
		bad += room[i] != (uint64_t)(i * 1000 + rank);
	CU_ASSERT_EQUAL(bad, 0);
}

/* More than fits in one piece of a reduction, or of a broadcast. */
static void long_ones_arrive_whole(MPI_Comm comm)
{
	enum { N = 20001, LEN = (1 << 20) + 7 };
	SCOPED_FREE uint64_t *v = calloc(N, sizeof(*v));
	SCOPED_FREE unsigned char *data = calloc(1, LEN);
	int size = mpi_size(comm), rank = mpi_rank(comm);
	uint64_t bad = 0;

	CU_ASSERT_FATAL(v && data);
	for (int i = 0; i < N; i++)
		v[i] = (uint64_t)i * (uint64_t)(rank + 1);
	transport_reduce_all(on(comm), v, N, MPI_UINT64_T, MPI_MAX);
	for (int i = 0; i < N; i++)
		bad += v[i] != (uint64_t)i * (uint64_t)size;
	for (int root = 0; root < size; root++) {
		for (int i = 0; i < LEN; i++)
			data[i] = (unsigned char)(rank == root ? i * 7 + root : 0);
		transport_bcast_all(on(comm), data, LEN, root);
		for (int i = 0; i < LEN; i++)
			bad += data[i] != (unsigned char)(i * 7 + root);
	}
	CU_ASSERT_EQUAL(bad, 0);
}

static void gathered_values_lie_in_rank_order(MPI_Comm comm)
{
	int size = mpi_size(comm), rank = mpi_rank(comm), bad = 0;
	struct {
		int rank;
		char pad[9];
	} mine = {.rank = rank}, *all = calloc((size_t)size, sizeof(mine));

	transport_allgather_all(on(comm), &mine, sizeof(mine), all);
	for (int i = 0; i < size; i++)
		bad += all[i].rank != i;
	CU_ASSERT_EQUAL(bad, 0);
	memset(all, 0xff, (size_t)size * sizeof(mine));
	transport_gather_all(on(comm), &mine, sizeof(mine), all, size - 1);
	for (int i = 0; i < size; i++)
		bad += all[i].rank != (rank == size - 1 ? i : -1);
	CU_ASSERT_EQUAL(bad, 0);
	free(all);
}

static void reduction_takes_the_operation_given(MPI_Comm comm)
{
	int size = mpi_size(comm), rank = mpi_rank(comm);
	uint64_t v[2] = {1ull << rank, UINT64_MAX - (unsigned)rank};

	transport_reduce_all(on(comm), v, 1, MPI_UINT64_T, MPI_BOR);
	CU_ASSERT_EQUAL(v[0], (1ull << size) - 1);
	CU_ASSERT_EQUAL(v[1], UINT64_MAX - (unsigned)rank);
	transport_reduce_all(on(comm), v + 1, 1, MPI_UINT64_T, MPI_MAX);
	CU_ASSERT_EQUAL(v[1], UINT64_MAX);
}

/* What rank @from sends to rank @to; nothing between most pairs. */
static size_t pair_length(int from, int to)
{
	return (from * 7 + to) % 3 == 0 ? (size_t)(from * 1000 + to * 70001 + 1) : 0;
}

struct arrivals {
	int rank, n, bad, fail_at;
	bool routes;
	size_t (*length)(int from, int to);
	struct buf kept; /* of the first that came */
	int kept_from;
};

static int arrive(void *arg, int peer, struct buf *b, struct ebt_err *err)
{
	struct arrivals *a = arg;

	if (a->n == a->fail_at)
		return ebt_failx(err, -EBADMSG, "not this one");
	a->bad += !filled(b, a->length(peer, a->rank), (unsigned)peer);
	if (a->n++ == 0) {
		a->kept = *b;
		a->kept_from = peer;
		*b = (struct buf){0};
	}
	return 0;
}

/* As transport_exchange_all, by routes or straight. */
static int exchange(
	MPI_Comm comm, struct buf *out, struct arrivals *a, struct ebt_err *err)
{
	struct transport t = transport_of(comm, NULL);
	struct transport_routes routes;
	int r;

	if (a->routes) {
		transport_routes_open_all(&t, &routes);
		t.routes = &routes;
	}
	r = transport_exchange_all(&t, out, arrive, a, err);
	if (a->routes)
		transport_routes_close(&routes);
	return r;
}

static int exchange_once(MPI_Comm comm, struct arrivals *a, struct ebt_err *err)
{
	int size = mpi_size(comm), r;
	struct buf *out = calloc((size_t)size, sizeof(*out));

	a->rank = mpi_rank(comm);
	for (int i = 0; i < size; i++)
		fill(&out[i], a->length(a->rank, i), (unsigned)a->rank);
	r = exchange(comm, out, a, err);
	for (int i = 0; i < size; i++)
		CU_ASSERT_PTR_NULL(out[i].data);
	free(out);
	return r;
}

static void all_arrive(MPI_Comm comm, size_t (*length)(int from, int to), bool routes)
{
	struct arrivals a = {.fail_at = -1, .length = length, .routes = routes};
	int expected = 0;

	CU_ASSERT_EQUAL(exchange_once(comm, &a, NULL), 0);
	for (int i = 0; i < mpi_size(comm); i++)
		expected += length(i, a.rank) > 0;
	CU_ASSERT_EQUAL(a.n, expected);
	CU_ASSERT_EQUAL(a.bad, 0);
	/* What was taken over is still whole. */
	if (a.n)
		CU_ASSERT(filled(
			&a.kept, length(a.kept_from, a.rank), (unsigned)a.kept_from));
	buf_release(&a.kept);
}

static void everybody_gets_what_the_others_had_for_it(MPI_Comm comm)
{
	all_arrive(comm, pair_length, false);
}

static size_t every_pair(int from, int to)
{
	return (size_t)(from * 100 + to + 1);
}

static size_t none(int from, int to)
{
	(void)from;
	(void)to;
	return 0;
}

static void everybody_gets_it_by_routes_as_well(MPI_Comm comm)
{
	all_arrive(comm, pair_length, true);
	all_arrive(comm, every_pair, true);
	all_arrive(comm, none, true);
}

static size_t long_pair(int from, int to)
{
	return from == to ? 0 : LARGE + (size_t)to;
}

static void long_messages_are_exchanged_in_pieces(MPI_Comm comm)
{
	struct arrivals a = {.fail_at = -1, .length = long_pair};

	if (mpi_size(comm) != 2)
		return;
	CU_ASSERT_EQUAL(exchange_once(comm, &a, NULL), 0);
	CU_ASSERT_EQUAL(a.n, 1);
	CU_ASSERT_EQUAL(a.bad, 0);
	buf_release(&a.kept);
}

static void a_failing_receiver(MPI_Comm comm, bool routes)
{
	int last = mpi_size(comm) - 1;
	struct arrivals a = {.fail_at = mpi_rank(comm) == last ? 0 : -1,
		.length = every_pair,
		.routes = routes};
	struct ebt_err err = {0};
	int r = exchange_once(comm, &a, &err);

	check_agreed(comm, r, &err, -EBADMSG, "not this one", last);
	buf_release(&a.kept);
	/* Nothing of it is left for the next exchange. */
	all_arrive(comm, pair_length, routes);
}

static void a_failing_receiver_fails_the_exchange_for_all(MPI_Comm comm)
{
	a_failing_receiver(comm, false);
	a_failing_receiver(comm, true);
}

static void a_message_without_memory(MPI_Comm comm, bool routes)
{
	int size = mpi_size(comm), rank = mpi_rank(comm);
	struct buf *out = calloc((size_t)size, sizeof(*out));
	struct arrivals a = {
		.fail_at = -1, .length = pair_length, .rank = rank, .routes = routes};
	struct ebt_err err = {0};

	for (int i = 0; i < size; i++)
		fill(&out[i], 100, 1);
	out[0].failed = rank == size - 1;
	CU_ASSERT_EQUAL(exchange(comm, out, &a, &err), -ENOMEM);
	CU_ASSERT_EQUAL(a.n, 0);
	CU_ASSERT(mpi_same_all(comm, err.text, strlen(err.text) + 1));
	free(out);
}

static void a_message_without_memory_fails_all_and_hangs_nobody(MPI_Comm comm)
{
	a_message_without_memory(comm, false);
	a_message_without_memory(comm, true);
}

/* For each pair there is one who is in the sender's row and in the receiver's column. */
static int pairs_without_a_route(int n)
{
	int bad = 0;

	for (int from = 0; from < n; from++) {
		struct transport_place a = transport_place_of(from, n);

		for (int to = 0; to < n; to++) {
			struct transport_place b = transport_place_of(to, n);
			int by = 0;

			for (int i = 0; i < n; i++) {
				struct transport_place c = transport_place_of(i, n);

				by += c.row == a.row && c.column == b.column &&
				      c.in_row == b.column && c.in_column == a.row;
			}
			bad += by != 1;
		}
	}
	return bad;
}

/* Others in the row and in the column of a rank, at most; each at a place of its own. */
static int most_peers(int n)
{
	int most = 0;

	for (int i = 0; i < n; i++) {
		struct transport_place a = transport_place_of(i, n);
		int peers = 0;

		for (int k = 0; k < n; k++) {
			struct transport_place b = transport_place_of(k, n);

			if (k == i)
				continue;
			peers += (a.row == b.row) + (a.column == b.column);
			if ((a.row == b.row && a.in_row == b.in_row) ||
				(a.column == b.column && a.in_column == b.in_column))
				return n;
		}
		if (peers > most)
			most = peers;
	}
	return most;
}

static void routes_lead_by_few(MPI_Comm comm)
{
	if (mpi_rank(comm))
		return;
	for (int n = 1; n <= 40; n++) {
		CU_ASSERT_EQUAL(pairs_without_a_route(n), 0);
		CU_ASSERT(most_peers(n) <= 2 * sqrt(n) + 2);
	}
	CU_ASSERT_EQUAL(pairs_without_a_route(131), 0);
	CU_ASSERT(most_peers(2000) <= 2 * sqrt(2000) + 2);
}

const struct mpi_test transport_tests[] = {
	MPI_TEST(agreement_without_failure_is_zero_and_leaves_the_error_alone),
	MPI_TEST(one_rank_that_fails_fails_all),
	MPI_TEST(of_several_failures_the_lowest_rank_speaks),
	MPI_TEST(a_cause_beats_what_follows_from_it),
	MPI_TEST(agreement_takes_no_error_and_long_ones),
	MPI_TEST(agreeing_again_does_not_change_the_text),
	MPI_TEST(collected_buffers_come_in_rank_order),
	MPI_TEST(a_failing_take_ends_the_collection),
	MPI_TEST(long_buffers_are_collected_whole),
	MPI_TEST(a_buffer_reaches_everybody),
	MPI_TEST(collectives_take_a_logarithm_of_messages),
	MPI_TEST(long_ones_arrive_whole),
	MPI_TEST(gathered_values_lie_in_rank_order),
	MPI_TEST(reduction_takes_the_operation_given),
	MPI_TEST(everybody_gets_what_the_others_had_for_it),
	MPI_TEST(everybody_gets_it_by_routes_as_well),
	MPI_TEST(routes_lead_by_few),
	MPI_TEST(long_messages_are_exchanged_in_pieces),
	MPI_TEST(a_failing_receiver_fails_the_exchange_for_all),
	MPI_TEST(a_message_without_memory_fails_all_and_hangs_nobody),
	{0},
};
