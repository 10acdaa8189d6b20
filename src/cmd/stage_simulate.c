/* SPDX-License-Identifier: BSD-3-Clause */
/* --simulate: the plan of a real run, executed on a cluster that need not exist. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cmd/stage_cmd.h"
#include "flow/simulate.h"
#include "plan/compress.h"

#define THREADS EBT_STAGE_IO_THREADS /* that compress, and that uncompress */

struct spec {
	struct plan_options plan;
	struct simulate_machine machine;
	struct compress_way way; /* that content could be compressed, per thread */
	bool compressed;
	uint64_t bytes;
};

static int parse_count32(const char *s, uint32_t *out, struct ebt_err *err)
{
	uint64_t v;
	int r = text_parse_count(s, &v, err);

	if (r == 0 && (v < 1 || v > (1 << 24)))
		r = ebt_failx(err, -EINVAL, "%s: must be from 1 to %d", s, 1 << 24);
	if (r == 0)
		*out = (uint32_t)v;
	return r;
}

static int parse_order(const char *s, bool *shuffled, struct ebt_err *err)
{
	*shuffled = strcmp(s, "random") == 0;
	return *shuffled || strcmp(s, "rank") == 0
		       ? 0
		       : ebt_failx(err, -EINVAL, "order=%s: must be rank or random", s);
}

static int parse_queue(const char *s, bool *queued, struct ebt_err *err)
{
	*queued = strcmp(s, "pair") == 0;
	return *queued || strcmp(s, "none") == 0
		       ? 0
		       : ebt_failx(err, -EINVAL, "queue=%s: must be none or pair", s);
}

/* What compressing comes to: a ratio, or seconds a byte from a rate. */
static int parse_way(
	struct compress_way *w, const char *key, const char *value, struct ebt_err *err)
{
	char *end;
	double v;
	int r;

	if (strcmp(key, "ratio") == 0) {
		v = strtod(value, &end);
		if (end == value || *end || !(v > 0 && v <= 1))
			return ebt_failx(err, -EINVAL,
				"%s: must be above 0 and at most 1", value);
		w->ratio = v;
		w->known = true;
		return 0;
	}
	r = text_parse_rate(value, &v, err);
	if (r == 0)
		*(strcmp(key, "compress") == 0 ? &w->pack : &w->unpack) = 1 / v;
	return r;
}

/* As a run would decide, if it found all to be as it is said here. */
static void decide(struct spec *s, const struct plan *p)
{
	struct compress_job job = {
		.link = s->plan.cost.link,
		.sends = cost_sends(p->algo, p->nodes, p->n_streams),
		.share = p->n_streams ? 1.0 / p->n_streams : 1,
		.read = 1 / s->plan.cost.read,
		.write = 1 / s->plan.cost.write,
		.cores = 2 * THREADS,
		.nodes = 1,
		.read_threads = THREADS,
		.write_threads = THREADS,
	};

	s->compressed = s->way.known && compress_choose(&job, &s->way, 1, -1) == 0;
	if (!s->compressed)
		return;
	s->machine.ratio = s->way.ratio;
	s->machine.pack = s->way.pack / THREADS;
	s->machine.unpack = s->way.unpack / THREADS;
}

static int parse_pair(
	void *arg, const char *key, const char *value, struct ebt_err *err)
{
	struct spec *s = arg;
	struct cost_model *c = &s->plan.cost;
	int r;

	if (strcmp(key, "nodes") == 0)
		return parse_count32(value, &s->plan.nodes, err);
	if (strcmp(key, "readers") == 0)
		return parse_count32(value, &s->plan.readers, err);
	if (strcmp(key, "bytes") == 0)
		return text_parse_size(value, &s->bytes, err);
	if (strcmp(key, "link") == 0)
		return text_parse_rate(value, &c->link, err);
	if (strcmp(key, "read") == 0)
		return text_parse_rate(value, &c->read, err);
	if (strcmp(key, "write") == 0)
		return text_parse_rate(value, &c->write, err);
	if (strcmp(key, "latency") == 0)
		return text_parse_time(value, &c->latency, err);
	if (strcmp(key, "handshake") == 0)
		return text_parse_time(value, &s->machine.handshake, err);
	if (strcmp(key, "poll") == 0)
		return text_parse_time(value, &s->machine.poll, err);
	if (strcmp(key, "message") == 0)
		return text_parse_time(value, &s->machine.message, err);
	if (strcmp(key, "leaf") == 0)
		return parse_count32(value, &s->machine.leaf, err);
	if (strcmp(key, "trunk") == 0)
		return text_parse_rate(value, &s->machine.trunk, err);
	if (strcmp(key, "memory") == 0)
		return text_parse_size(value, &s->machine.memory, err);
	if (strcmp(key, "order") == 0)
		return parse_order(value, &s->machine.shuffled, err);
	if (strcmp(key, "queue") == 0)
		return parse_queue(value, &s->machine.queued, err);
	if (strcmp(key, "ratio") == 0 || strcmp(key, "compress") == 0 ||
		strcmp(key, "uncompress") == 0)
		return parse_way(&s->way, key, value, err);
	if (strcmp(key, "algo") == 0)
		return schedule_parse(value, &s->plan.algo, err);
	if (strcmp(key, "parcel") != 0)
		return ebt_failx(err, -EINVAL,
			"'%s': must be one of nodes, bytes, readers, link, latency, "
			"read, write, algo, parcel, handshake, poll, message, leaf, "
			"trunk, memory, order, queue, ratio, compress, uncompress",
			key);
	r = text_parse_size(value, &s->plan.parcel, err);
	if (r == 0 &&
		(s->plan.parcel < PLAN_PARCEL_MIN || s->plan.parcel > PLAN_PARCEL_MAX ||
			s->plan.parcel % PLAN_PARCEL_MIN))
		r = ebt_failx(err, -EINVAL,
			"%s: must be a multiple of 128K from 128K to 8M", value);
	return r;
}

static void print_text(const struct spec *s, const struct plan *p,
	const struct simulate_result *res, double bound)
{
	char a[TEXT_SIZE], b[TEXT_SIZE];

	printf("%s to each of %u nodes over %s links, %.1f us a message\n",
		text_size((double)p->bytes, a), p->nodes,
		text_rate(s->plan.cost.link, b), s->plan.cost.latency * 1e6);
	printf("schedule %s, %llu parcels of up to %s, %u reader%s\n",
		schedule_name(p->algo), (unsigned long long)p->n_parcels,
		text_size((double)p->parcel, a), p->n_streams,
		p->n_streams == 1 ? "" : "s");
	printf("time %.6f s, %.3f x bytes/link (%.6f s), %.3f x the slowest of "
	       "reading, "
	       "links and writing (%.6f s); predicted %.6f s\n",
		res->seconds, res->seconds / bound, bound, res->seconds / p->bound,
		p->bound, p->predicted);
	if (s->way.known)
		printf("compression %s\n", s->compressed ? "on" : "off: no faster");
	printf("most loaded link: out %s (node %u), in %s (node %u)\n",
		text_size((double)res->most_out, a), res->most_out_node,
		text_size((double)res->most_in, b), res->most_in_node);
}

int cmd_stage_simulate(const struct cmd_stage *o, struct ebt_err *err)
{
	SCOPED(plan_freep) struct plan *p = NULL;
	struct simulate_result res;
	struct spec s = {
		.plan = {.nodes = 1024,
			.cost = {.link = COST_LINK,
				.latency = COST_LATENCY,
				.read = COST_READ,
				.write = COST_WRITE}},
		.way = {.pack = 1 / 300e6, .unpack = 1 / 1e9},
		.bytes = 10ull << 30,
	};
	double bound;
	int r;

	r = cmd_parse_spec(o->simulate, parse_pair, &s, err);
	if (r < 0)
		return r;
	s.plan.cost.flat = !s.machine.leaf || s.machine.trunk <= 0 ||
			   s.machine.trunk >= s.machine.leaf * s.plan.cost.link;
	r = plan_bytes(s.bytes, &s.plan, &p, err);
	if (r == 0)
		decide(&s, p);
	if (r == 0)
		r = simulate_plan(p, &s.plan.cost, &s.machine, &res, err);
	if (r < 0)
		return r;
	bound = (double)p->bytes / s.plan.cost.link;
	if (o->common.json)
		printf("{\"schema\":\"ebt.stage/"
		       "1\",\"type\":\"simulation\",\"nodes\":%u,"
		       "\"bytes\":%llu,\"link\":%.0f,\"latency\":%.9f,\"readers\":%u,"
		       "\"algo\":\"%s\",\"parcel\":%llu,\"seconds\":%.6f,\"received_"
		       "seconds\":"
		       "%.6f,\"bound\":%.6f,\"slowest\":%.6f,"
		       "\"predicted\":%.6f,\"most_out\":%llu,\"most_out_node\":%u,"
		       "\"most_in\":%llu,\"most_in_node\":%u,\"compressed\":%s}\n",
			p->nodes, (unsigned long long)p->bytes, s.plan.cost.link,
			s.plan.cost.latency, p->n_streams, schedule_name(p->algo),
			(unsigned long long)p->parcel, res.seconds, res.received, bound,
			p->bound, p->predicted, (unsigned long long)res.most_out,
			res.most_out_node, (unsigned long long)res.most_in,
			res.most_in_node, s.compressed ? "true" : "false");
	else
		print_text(&s, p, &res, bound);
	return 0;
}
