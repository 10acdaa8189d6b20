/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What readers, stores and links of this run give: measured in each batch, for the plans of the
 * next ones.
 */
#include <math.h>

#include "stage/stage_internal.h"
#include "transport/transport.h"

static void add(struct rates_busy *sum, const struct rates_busy *b)
{
	sum->bytes += b->bytes;
	sum->seconds += b->seconds;
}

void stage_rates_add(struct stage *st, const struct stream_result *res)
{
	add(&st->reads, &res->read);
	add(&st->writes, &res->write);
	add(&st->sends, &res->link);
}

void stage_rates_all(struct stage *st, const struct stream_result *res)
{
	double read = rates_of(&res->read, stage_io_threads(st->o));
	double write = rates_of(&res->write, stage_write_threads(st->o));
	double link = rates_of(&res->link, 1);
	bool had = st->rates.has_leaf;
	struct {
		double rate;
		int node;
	} slowest = {.rate = link > 0 ? link : INFINITY, .node = st->job.node};
	double sum[4] = {read, read > 0, link, link > 0};
	double least = write > 0 ? write : INFINITY;
	struct rates_measured m = {.readers = st->b.plan->n_streams};

	transport_reduce_all(&st->job.nodes, sum, 4, MPI_DOUBLE, MPI_SUM);
	transport_reduce_all(&st->job.nodes, &least, 1, MPI_DOUBLE, MPI_MIN);
	transport_reduce_all(&st->job.nodes, &slowest, 1, MPI_DOUBLE_INT, MPI_MINLOC);
	m.read = sum[1] > 0 ? sum[0] / sum[1] : 0;
	m.write = isfinite(least) ? least : 0;
	m.link = isfinite(slowest.rate) ? slowest.rate : 0;
	m.slowest = (uint32_t)slowest.node;
	m.others = sum[3] > 1 ? (sum[2] - m.link) / (sum[3] - 1) : 0;
	rates_learn(&st->rates, &m, st->link_assumed, &st->cost);
	if (st->rates.has_leaf && !had && st->job.node == 0)
		log_info(&st->job.log,
			"node %u sends slowly, and is the last to receive from now on",
			st->rates.leaf);
}

void stage_rates_report(struct stage *st)
{
	st->self.read_rate = rates_of(&st->reads, stage_io_threads(st->o));
	st->self.write_rate = rates_of(&st->writes, stage_write_threads(st->o));
	st->self.send_rate = rates_of(&st->sends, 1);
}
