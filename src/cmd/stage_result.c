/* SPDX-License-Identifier: BSD-3-Clause */
#include <stddef.h>
#include <string.h>

#include "base/text.h"
#include "cmd/stage_cmd.h"

#define SCHEMA "\"schema\":\"ebt.stage/1\""

static double rate_of(const struct ebt_stage_report *rep)
{
	return rep->seconds > 0 ? (double)rep->bytes / rep->seconds : 0;
}

/* How close to the bound: 1 is the time that nothing can beat. */
static double bound_share(const struct ebt_stage_report *rep)
{
	return rep->seconds > 0 ? rep->bound / rep->seconds : 0;
}

/* Of what would have been sent. */
static double saved_share(const struct ebt_stage_report *rep)
{
	return (double)rep->bytes_saved / (double)(rep->bytes_sent + rep->bytes_saved);
}

static const char *json_bool(bool b)
{
	return b ? "true" : "false";
}

static void json_plan_fields(const struct ebt_stage_report *rep)
{
	printf("\"id\":\"%s\",\"files\":%llu,\"dirs\":%llu,\"symlinks\":%llu,\"links\":"
	       "%llu,\"links_apart\":%llu,"
	       "\"skipped\":%llu,\"unchanged\":%llu,\"bytes\":%llu,\"nodes\":%u,"
	       "\"ranks\":%u,"
	       "\"readers\":%u,\"algo\":\"%s\",\"parcel\":%llu,\"parcels\":%llu,"
	       "\"window\":%u,\"memory\":%llu,\"start_seconds\":%.6f,"
	       "\"scan_seconds\":%.6f,\"link\":%.0f,\"link_assumed\":%s,"
	       "\"latency\":%.9f,\"predicted\":%.6f,\"bound\":%.6f,\"reopened\":%llu,"
	       "\"read\":%.0f,\"read_measured\":%s,\"write\":%.0f,"
	       "\"write_measured\":%s,\"link_measured\":%s,\"compress\":\"%s\"",
		rep->id, (unsigned long long)rep->files, (unsigned long long)rep->dirs,
		(unsigned long long)rep->symlinks, (unsigned long long)rep->links,
		(unsigned long long)rep->links_apart, (unsigned long long)rep->skipped,
		(unsigned long long)rep->unchanged, (unsigned long long)rep->bytes,
		rep->nodes, rep->ranks, rep->readers, rep->algo,
		(unsigned long long)rep->parcel, (unsigned long long)rep->parcels,
		rep->window, (unsigned long long)rep->memory, rep->start, rep->scan,
		rep->link, json_bool(rep->link_assumed), rep->latency, rep->predicted,
		rep->bound, (unsigned long long)rep->reopened, rep->read,
		json_bool(rep->read_measured), rep->write,
		json_bool(rep->write_measured), json_bool(rep->link_measured),
		rep->compress);
}

static void json_node(const struct ebt_stage_node *n)
{
	char host[512];

	printf("{" SCHEMA ",\"type\":\"node\",\"node\":%s,\"rank\":%d,\"reader\":%s,"
	       "\"bytes_read\":%llu,\"bytes_in\":%llu,\"bytes_out\":%llu,"
	       "\"bytes_written\":%llu,\"stream_seconds\":%.6f,\"cpu_seconds\":%.3f,"
	       "\"max_rss\":%llu,\"read_rate\":%.0f,\"write_rate\":%.0f,"
	       "\"send_rate\":%.0f,\"bytes_saved\":%llu}\n",
		text_json(n->host, host, sizeof(host)), n->rank, json_bool(n->reader),
		(unsigned long long)n->bytes_read, (unsigned long long)n->bytes_in,
		(unsigned long long)n->bytes_out, (unsigned long long)n->bytes_written,
		n->seconds, n->cpu_seconds, (unsigned long long)n->max_rss,
		n->read_rate, n->write_rate, n->send_rate,
		(unsigned long long)n->bytes_saved);
}

/* The one of least @rate, an offset into its report; those that could not tell have 0. */
static void print_slowest(
	const struct ebt_stage_report *rep, const char *what, size_t rate)
{
	const struct ebt_stage_node *slowest = NULL;
	double least = 0;
	char text[TEXT_SIZE];

	for (uint32_t i = 0; i < rep->nodes; i++) {
		double r = *(const double *)((const char *)&rep->node[i] + rate);

		if (r > 0 && (!slowest || r < least)) {
			slowest = &rep->node[i];
			least = r;
		}
	}
	if (slowest)
		printf("slowest %s: %s, rank %d on %s\n", what, text_rate(least, text),
			slowest->rank, slowest->host);
}

void cmd_stage_print_result(
	const struct cmd_stage *o, const struct ebt_stage_report *rep)
{
	char size[TEXT_SIZE], rate[TEXT_SIZE], link[TEXT_SIZE];

	if (o->common.json) {
		for (uint32_t i = 0; i < rep->nodes; i++)
			json_node(&rep->node[i]);
		printf("{" SCHEMA ",\"type\":\"result\",");
		json_plan_fields(rep);
		printf(",\"stream_seconds\":%.6f,\"publish_seconds\":%.6f,\"seconds\":%"
		       ".6f,"
		       "\"rate\":%.0f,\"bound_share\":%.4f,\"bytes_sent\":%llu,"
		       "\"bytes_saved\":%llu}\n",
			rep->stream, rep->publish, rep->seconds, rate_of(rep),
			bound_share(rep), (unsigned long long)rep->bytes_sent,
			(unsigned long long)rep->bytes_saved);
		return;
	}
	printf("staged %llu files, %llu bytes (%s) on %u node%s in %.3f s\n",
		(unsigned long long)rep->files, (unsigned long long)rep->bytes,
		text_size((double)rep->bytes, size), rep->nodes,
		rep->nodes == 1 ? "" : "s", rep->seconds);
	if (rep->unchanged)
		printf("unchanged %llu\n", (unsigned long long)rep->unchanged);
	if (rep->reopened)
		printf("opened again, leased or stale: %llu\n",
			(unsigned long long)rep->reopened);
	printf("scan %.3f s, stream %.3f s, publish %.3f s\n", rep->scan, rep->stream,
		rep->publish);
	printf("rate %s to each node, ", text_rate(rate_of(rep), rate));
	if (rep->link_assumed)
		puts("link rate unknown (see --link)");
	else
		printf("%.0f %% of the bound (%.3f s, link %s)\n",
			bound_share(rep) * 100, rep->bound, text_rate(rep->link, link));
	if (rep->bytes_saved)
		printf("sent %llu bytes (%s) in all, compression saved %llu (%.0f "
		       "%%)\n",
			(unsigned long long)rep->bytes_sent,
			text_size((double)rep->bytes_sent, size),
			(unsigned long long)rep->bytes_saved, saved_share(rep) * 100);
	if (!o->common.verbose)
		return;
	print_slowest(rep, "reader", offsetof(struct ebt_stage_node, read_rate));
	print_slowest(rep, "store", offsetof(struct ebt_stage_node, write_rate));
	print_slowest(rep, "link", offsetof(struct ebt_stage_node, send_rate));
}

static void json_shares(const struct ebt_stage_report *rep)
{
	char host[512];

	for (uint32_t i = 0; rep->reader && i < rep->readers; i++) {
		const struct ebt_stage_node *n = &rep->node[rep->reader[i].node];

		printf("{" SCHEMA ",\"type\":\"reader\",\"node\":%s,\"rank\":%d,"
		       "\"bytes\":%llu,\"parcels\":%llu}\n",
			text_json(n->host, host, sizeof(host)), n->rank,
			(unsigned long long)rep->reader[i].bytes,
			(unsigned long long)rep->reader[i].parcels);
	}
	for (uint32_t i = 0; i < rep->osts; i++)
		printf("{" SCHEMA ",\"type\":\"ost\",\"index\":%u,\"bytes\":%llu,"
		       "\"files\":%llu}\n",
			rep->ost[i].index, (unsigned long long)rep->ost[i].bytes,
			(unsigned long long)rep->ost[i].files);
}

void cmd_stage_print_plan(const struct cmd_stage *o, const struct ebt_stage_report *rep)
{
	if (!o->common.json) {
		fputs(rep->plan ? rep->plan : "", stdout);
		return;
	}
	json_shares(rep);
	printf("{" SCHEMA ",\"type\":\"plan\",");
	json_plan_fields(rep);
	printf(",\"link_in\":%llu,\"link_out\":%llu}\n",
		(unsigned long long)rep->link_in, (unsigned long long)rep->link_out);
}
