/* SPDX-License-Identifier: BSD-3-Clause */
/* The counters, as a table for people or as one line of JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/scope.h"
#include "clock.h"
#include "emul.h"

static struct ost_counts counts_of(struct ost *o)
{
	SCOPED_LOCK(&o->lock);

	return o->counts;
}

static struct ost_counts sum_of(struct emul *e)
{
	struct ost_counts sum = {0};

	for (unsigned k = 0; k < e->n_osts; k++) {
		struct ost_counts n = counts_of(&e->osts[k]);

		sum.bytes_written += n.bytes_written;
		sum.bytes_read += n.bytes_read;
		sum.writes += n.writes;
		sum.reads += n.reads;
		sum.handovers += n.handovers;
		sum.discarded += n.discarded;
		sum.busy += n.busy;
		if (n.peak > sum.peak)
			sum.peak = n.peak;
	}
	return sum;
}

static void print_counts_json(FILE *out, const struct ost_counts *n)
{
	fprintf(out,
		"\"bytes_written\":%" PRIu64 ",\"bytes_read\":%" PRIu64
		",\"writes\":%" PRIu64 ",\"reads\":%" PRIu64 ",\"handovers\":%" PRIu64
		",\"bytes_discarded\":%" PRIu64 ",\"busy_s\":%.6f,\"peak\":%u",
		n->bytes_written, n->bytes_read, n->writes, n->reads, n->handovers,
		n->discarded, (double)n->busy / 1e9, n->peak);
}

static void print_kinds_json(FILE *out, const uint64_t *kinds)
{
	for (int k = 0; k < MDS_N_KINDS; k++)
		fprintf(out, "%s\"%s\":%" PRIu64, k ? "," : "",
			mds_kind_name((enum mds_kind)k), kinds[k]);
}

/* What a client read from each OST. */
static void print_reads_json(FILE *out, struct emul *e, int client)
{
	for (unsigned k = 0; k < e->n_osts; k++) {
		struct ost *o = &e->osts[k];
		SCOPED_LOCK(&o->lock);

		fprintf(out, "%s%" PRIu64, k ? "," : "", o->read_by[client]);
	}
}

static void print_json(struct emul *e, const struct mds *m, FILE *out)
{
	struct ost_counts sum = sum_of(e);
	bool first = true;

	fprintf(out, "{\"schema\":\"ebt.emulated-lustre/1\",\"seconds\":%.6f,",
		(double)(clock_now() - e->started) / 1e9);
	fprintf(out, "\"handovers\":%" PRIu64 ",\"total\":{", sum.handovers);
	print_counts_json(out, &sum);
	fprintf(out, "},\"mds\":{\"total\":%" PRIu64 ",\"peak\":%u,\"kinds\":{",
		m->total, m->peak);
	print_kinds_json(out, m->by_kind);
	fprintf(out, "}},\"osts\":[");
	for (unsigned k = 0; k < e->n_osts; k++) {
		struct ost_counts n = counts_of(&e->osts[k]);

		fprintf(out, "%s{\"ost\":%u,", k ? "," : "", k);
		print_counts_json(out, &n);
		fprintf(out, ",\"objects\":%" PRIu64 ",\"bytes_used\":%" PRIu64 "}",
			e->osts[k].objects, e->osts[k].used);
	}
	fprintf(out, "],\"clients\":[");
	for (unsigned k = 0; k < e->n_clients; k++) {
		struct client *c = &e->clients[k];

		if (c->index < 0)
			continue;
		fprintf(out, "%s{\"client\":\"%s\",\"mds\":{", first ? "" : ",",
			c->name);
		print_kinds_json(out, c->mds);
		fprintf(out, "},\"bytes_read\":[");
		print_reads_json(out, e, c->index);
		fprintf(out, "]}");
		first = false;
	}
	fprintf(out, "]}\n");
}

static void print_table(struct emul *e, const struct mds *m, FILE *out)
{
	struct ost_counts sum = sum_of(e);

	fprintf(out, "%6s %14s %14s %9s %9s %9s %9s\n", "OST", "written", "read",
		"writes", "reads", "handovers", "busy/s");
	for (unsigned k = 0; k <= e->n_osts; k++) {
		struct ost_counts n = k < e->n_osts ? counts_of(&e->osts[k]) : sum;
		char name[16] = "total";

		if (k < e->n_osts)
			snprintf(name, sizeof(name), "%u", k);
		fprintf(out,
			"%6s %14" PRIu64 " %14" PRIu64 " %9" PRIu64 " %9" PRIu64
			" %9" PRIu64 " %9.3f\n",
			name, n.bytes_written, n.bytes_read, n.writes, n.reads,
			n.handovers, (double)n.busy / 1e9);
	}
	fprintf(out, "MDS: %" PRIu64 " requests, at most %u at once\n", m->total,
		m->peak);
	for (int k = 0; k < MDS_N_KINDS; k++)
		if (m->by_kind[k])
			fprintf(out, "  %-10s %10" PRIu64 "\n",
				mds_kind_name((enum mds_kind)k), m->by_kind[k]);
}

void stats_print(struct emul *e, FILE *out, bool json)
{
	SCOPED_LOCK(&e->mds.lock);

	if (json)
		print_json(e, &e->mds, out);
	else
		print_table(e, &e->mds, out);
}

void stats_reset(struct emul *e)
{
	for (unsigned k = 0; k < e->n_osts; k++) {
		struct ost *o = &e->osts[k];
		SCOPED_LOCK(&o->lock);
		unsigned now = o->counts.in_flight;

		o->counts = (struct ost_counts){.in_flight = now, .peak = now};
		memset(o->read_by, 0, sizeof(o->read_by));
	}

	SCOPED_LOCK(&e->mds.lock);

	e->mds.total = 0;
	e->mds.peak = e->mds.in_flight;
	memset(e->mds.by_kind, 0, sizeof(e->mds.by_kind));
	for (unsigned k = 0; k < e->n_clients; k++)
		memset(e->clients[k].mds, 0, sizeof(e->clients[k].mds));
	e->started = clock_now();
}
