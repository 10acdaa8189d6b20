/* SPDX-License-Identifier: BSD-3-Clause */
#include "stage/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/text.h"
#include "transport/transport.h"

#define LINES  16 /* readers named in a dry run */
#define SAMPLE 64 /* nodes whose links are looked at */

void ebt_stage_report_free(struct ebt_stage_report *rep)
{
	free(rep->node);
	free(rep->plan);
	free(rep->reader);
	free(rep->ost);
	rep->node = NULL;
	rep->plan = NULL;
	rep->reader = NULL;
	rep->ost = NULL;
	rep->osts = 0;
}

static void describe_self(struct stage *st)
{
	struct ebt_stage_node *n = &st->self;
	struct rusage u;

	gethostname(n->host, sizeof(n->host) - 1);
	n->rank = st->job.rank;
	if (getrusage(RUSAGE_SELF, &u) < 0)
		return;
	n->cpu_seconds = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
			 (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
	n->max_rss = (uint64_t)u.ru_maxrss * 1024;
}

static int list_readers(
	const struct plan *p, struct ebt_stage_report *rep, struct ebt_err *err)
{
	rep->reader = calloc((size_t)p->n_streams + 1, sizeof(*rep->reader));
	if (!rep->reader)
		return ebt_fail(err, -ENOMEM, "report");
	for (uint32_t i = 0; i < p->n_streams; i++)
		rep->reader[i] = (struct ebt_stage_reader){.node = p->streams[i].reader,
			.bytes = p->streams[i].bytes,
			.parcels = p->streams[i].n_parcels};
	return 0;
}

/* The plan as people read it: a line a reader and an OST, the most loaded link, the prediction. */
static int describe_plan(
	const struct stage *st, struct ebt_stage_report *rep, struct ebt_err *err)
{
	const struct plan *p = st->b.plan;
	SCOPED_BUF struct buf text = {0};
	struct buf *b = &text;
	char a[TEXT_SIZE], c[TEXT_SIZE];
	int r;

	buf_printf(b,
		"files %llu, directories %llu, links %llu, bytes %llu (%s) to each of "
		"%u nodes\n",
		(unsigned long long)rep->files, (unsigned long long)rep->dirs,
		(unsigned long long)(rep->links + rep->symlinks),
		(unsigned long long)p->bytes, text_size((double)p->bytes, a), p->nodes);
	buf_printf(b, "schedule %s, %llu parcels of up to %s, %u reader%s\n", rep->algo,
		(unsigned long long)p->n_parcels, text_size((double)p->parcel, a),
		p->n_streams, p->n_streams == 1 ? "" : "s");
	for (uint32_t i = 0; i < p->n_streams && i < LINES; i++)
		buf_printf(b,
			"  reader on node %u: %llu bytes (%s), %llu parcels, %u ranges "
			"of files\n",
			p->streams[i].reader, (unsigned long long)p->streams[i].bytes,
			text_size((double)p->streams[i].bytes, a),
			(unsigned long long)p->streams[i].n_parcels,
			p->streams[i].n_segments);
	if (p->n_streams > LINES)
		buf_printf(b, "  ... and %u more readers\n", p->n_streams - LINES);
	r = stage_describe_osts(st, b, rep, err);
	if (r < 0)
		return r;
	buf_printf(b, "most loaded link: %s in, %s out\n",
		text_size((double)rep->link_in, a),
		text_size((double)rep->link_out, c));
	buf_printf(b, "link %s%s, %.1f us a message; ", text_rate(rep->link, a),
		rep->link_assumed ? " (assumed, see --link)" : "", rep->latency * 1e6);
	buf_printf(b,
		"a reader %s and a store %s (assumed): predicted %.3f s, bound %.3f "
		"s\n",
		text_rate(rep->read, a), text_rate(rep->write, c), p->predicted,
		p->bound);
	buf_put8(b, 0);
	if (!buf_ok(b))
		return ebt_fail(err, -ENOMEM, "report");
	rep->plan = (char *)TAKE(b->data);
	return 0;
}

/* Links are loaded alike but for a few at the edges of trees: a sample of nodes will do. */
static int most_loaded(
	const struct plan *p, struct ebt_stage_report *rep, struct ebt_err *err)
{
	uint32_t step = p->nodes / SAMPLE + 1;
	uint64_t out, in;
	int r;

	for (uint32_t i = 0; i < p->nodes; i += step) {
		r = plan_link_bytes(p, i, &out, &in, err);
		if (r < 0)
			return r;
		if (out > rep->link_out)
			rep->link_out = out;
		if (in > rep->link_in)
			rep->link_in = in;
	}
	return 0;
}

int stage_report_all(struct stage *st, const struct stage_times *t,
	struct ebt_stage_report *rep, struct ebt_err *err)
{
	const struct plan *p = st->b.plan;
	uint64_t sent[2] = {st->self.bytes_out, st->self.bytes_saved};
	struct manifest_totals sum;
	int r = 0;

	transport_reduce_all(&st->job.nodes, sent, 2, MPI_UINT64_T, MPI_SUM);
	manifest_count(st->b.m, &sum);
	memcpy(rep->id, st->id, sizeof(rep->id));
	rep->files = sum.files;
	rep->dirs = sum.dirs;
	rep->symlinks = sum.symlinks;
	rep->links = sum.links;
	rep->links_apart = st->links_apart;
	rep->skipped = st->skipped;
	rep->unchanged = st->unchanged;
	rep->reopened = st->reopened;
	transport_reduce_all(&st->job.nodes, &rep->reopened, 1, MPI_UINT64_T, MPI_SUM);
	rep->compress = st->o->compress ? st->o->compress : "auto";
	rep->bytes_sent = sent[0];
	rep->bytes_saved = sent[1];
	rep->bytes = st->sum.bytes;
	rep->nodes = (uint32_t)st->job.n_nodes;
	rep->ranks = (uint32_t)st->job.comm.size;
	rep->readers = st->sum.readers;
	rep->algo = schedule_name(st->sum.algo);
	rep->parcel = st->sum.parcel;
	rep->parcels = st->sum.parcels;
	rep->memory = stage_memory(st->o);
	rep->window = stage_window(st->o);
	rep->start = t->start;
	rep->scan = t->scan;
	rep->stream = t->stream;
	rep->publish = t->publish;
	rep->seconds = t->scan + t->stream + t->publish;
	rep->link = st->cost.link;
	rep->latency = st->cost.latency;
	rep->read = st->cost.read;
	rep->write = st->cost.write;
	rep->read_measured = st->rates.read;
	rep->write_measured = st->rates.write;
	rep->link_measured = st->rates.link;
	rep->link_assumed = st->link_assumed;
	rep->predicted = st->sum.predicted;
	rep->bound = st->sum.bound;
	describe_self(st);
	stage_rates_report(st);
	if (st->job.node == 0) {
		if (st->o->dry_run) {
			r = most_loaded(p, rep, err);
			if (r == 0)
				r = list_readers(p, rep, err);
			if (r == 0)
				r = describe_plan(st, rep, err);
		}
		rep->node = calloc(rep->nodes, sizeof(*rep->node));
		if (r == 0 && !rep->node)
			r = ebt_fail(err, -ENOMEM, "report");
	}
	r = job_agree_all(&st->job, r, err);
	if (r == 0)
		transport_gather_all(
			&st->job.nodes, &st->self, sizeof(st->self), rep->node, 0);
	return r;
}
