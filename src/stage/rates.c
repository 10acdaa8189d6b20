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
	double sum[2] = {read, read > 0};
	double least[2] = {write > 0 ? write : INFINITY, link > 0 ? link : INFINITY};
	struct rates_measured m = {.readers = st->b.plan->n_streams};

	transport_reduce_all(&st->job.nodes, sum, 2, MPI_DOUBLE, MPI_SUM);
	transport_reduce_all(&st->job.nodes, least, 2, MPI_DOUBLE, MPI_MIN);
	m.read = sum[1] > 0 ? sum[0] / sum[1] : 0;
	m.write = isfinite(least[0]) ? least[0] : 0;
	m.link = isfinite(least[1]) ? least[1] : 0;
	rates_learn(&st->rates, &m, st->link_assumed, &st->cost);
}

void stage_rates_report(struct stage *st)
{
	st->self.read_rate = rates_of(&st->reads, stage_io_threads(st->o));
	st->self.write_rate = rates_of(&st->writes, stage_write_threads(st->o));
	st->self.send_rate = rates_of(&st->sends, 1);
}
