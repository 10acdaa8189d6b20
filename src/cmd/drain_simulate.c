/* SPDX-License-Identifier: BSD-3-Clause */
/* --simulate: the placement of a real run, on a machine that need not exist. */
#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "cmd/drain_cmd.h"
#include "plan/place_simulate.h"

#define NODES_MAX (1u << 20)
#define FILES_MAX 1000000000u

static int parse_factor(
	const char *s, double least, double most, double *out, struct ebt_err *err)
{
	double v;
	char rest;

	if (sscanf(s, "%lf%c", &v, &rest) != 1 || !(v >= least && v <= most))
		return ebt_failx(err, -EINVAL, "'%s': must be a number from %g to %g",
			s, least, most);
	*out = v;
	return 0;
}

/* How fast things are. 1: not one of these. */
static int parse_rates(
	struct place_rates *r, const char *name, const char *value, struct ebt_err *err)
{
	if (strcmp(name, "ost") == 0)
		return text_parse_rate(value, &r->ost, err);
	if (strcmp(name, "shared") == 0)
		return parse_factor(value, 1e-6, 1, &r->shared, err);
	if (strcmp(name, "writer") == 0)
		return text_parse_rate(value, &r->writer, err);
	if (strcmp(name, "link") == 0)
		return text_parse_rate(value, &r->link, err);
	if (strcmp(name, "read") == 0)
		return text_parse_rate(value, &r->read, err);
	if (strcmp(name, "mds") == 0)
		return parse_factor(value, 1e-3, 1e12, &r->mds, err);
	if (strcmp(name, "latency") == 0)
		return text_parse_time(value, &r->latency, err);
	if (strcmp(name, "in-flight") == 0)
		return parse_factor(value, 1, 1e6, &r->in_flight, err);
	return 1;
}

/* 1: not one of these. */
static int parse_rules(
	struct place_rules *r, const char *name, const char *value, struct ebt_err *err)
{
	if (strcmp(name, "stripe-count") == 0)
		return cmd_parse_auto(value, PLACE_STRIPES_MAX, &r->stripe_count, err);
	if (strcmp(name, "max-stripe-count") == 0)
		return cmd_parse_number(
			value, 1, PLACE_STRIPES_MAX, &r->max_stripe_count, err);
	if (strcmp(name, "stripe-size") == 0)
		return text_parse_size(value, &r->stripe_size, err);
	return 1;
}

static int parse_files(struct place_machine *m, const char *value, struct ebt_err *err)
{
	unsigned n;
	int r = cmd_parse_number(value, 1, FILES_MAX, &n, err);

	if (r == 0)
		m->files = n;
	return r;
}

static int parse_known(struct place_machine *m, const char *value, struct ebt_err *err)
{
	static const char *const words[] = {"no", "yes", NULL};
	int word = 0, r = cmd_parse_word(value, words, &word, err);

	m->slow_known = word;
	return r;
}

static int parse_slow(struct place_machine *m, const char *value, struct ebt_err *err)
{
	m->slow = 0;
	return parse_factor(value, 1e-6, 1, &m->slow_rate, err);
}

/* The pool of what comes first in a file. 1: not one of these. */
static int parse_early(struct place_machine *m, const char *name, const char *value,
	struct ebt_err *err)
{
	if (strcmp(name, "early") == 0)
		return text_parse_size(value, &m->early, err);
	if (strcmp(name, "early-targets") == 0)
		return cmd_parse_number(value, 1, 65536, &m->early_targets, err);
	if (strcmp(name, "early-ost") == 0)
		return text_parse_rate(value, &m->early_rate, err);
	return 1;
}

static int parse_pair(
	void *arg, const char *name, const char *value, struct ebt_err *err)
{
	struct place_machine *m = arg;
	int r;

	if (strcmp(name, "nodes") == 0)
		return cmd_parse_number(value, 1, NODES_MAX, &m->nodes, err);
	if (strcmp(name, "targets") == 0)
		return cmd_parse_number(value, 1, 65536, &m->targets, err);
	if (strcmp(name, "files") == 0)
		return parse_files(m, value, err);
	if (strcmp(name, "size") == 0)
		return text_parse_size(value, &m->size, err);
	if (strcmp(name, "spread") == 0)
		return parse_factor(value, 1, 1e6, &m->spread, err);
	if (strcmp(name, "skew") == 0)
		return parse_factor(value, 0, 1e9, &m->skew, err);
	if (strcmp(name, "writers") == 0)
		return cmd_parse_auto(value, NODES_MAX, &m->writers, err);
	if (strcmp(name, "slow") == 0)
		return parse_slow(m, value, err);
	if (strcmp(name, "slow-known") == 0)
		return parse_known(m, value, err);
	r = parse_rates(&m->rates, name, value, err);
	if (r > 0)
		r = parse_rules(&m->rules, name, value, err);
	if (r > 0)
		r = parse_early(m, name, value, err);
	if (r > 0)
		r = ebt_failx(err, -EINVAL, "no such NAME (see --help)");
	return r;
}

static void print_text(const struct place_machine *m, const struct place_result *res)
{
	const struct place_choice *c = &res->choice;
	char a[TEXT_SIZE], b[TEXT_SIZE];

	printf("%llu files, %s, from %u nodes to %u targets of %s\n",
		(unsigned long long)m->files, text_size((double)res->bytes, a),
		m->nodes, m->targets, text_rate(m->rates.ost, b));
	printf("%u writers, %s; predicted %.3f s with an owner for each target (%s), "
	       "%.3f s from "
	       "where files are (%s)\n",
		c->chosen.writers,
		c->is_direct ? "files from where they are" : "owners of targets",
		c->owners.seconds, c->owners.pace, c->direct.seconds, c->direct.pace);
	printf("time %.3f s, %s; metadata done after %.3f s\n", res->seconds,
		text_rate(res->seconds > 0 ? (double)res->bytes / res->seconds : 0, a),
		res->metadata);
	printf("largest target by mean %.3f (target %u); %s moved between nodes\n",
		res->mean_target
			? (double)res->most_target_bytes / (double)res->mean_target
			: 0,
		res->most_target, text_size((double)res->moved, a));
	if (m->early && m->early_targets)
		printf("the first %s of files on %u targets by round robin: largest by "
		       "mean %.3f\n",
			text_size((double)m->early, a), m->early_targets,
			res->mean_early
				? (double)res->most_early / (double)res->mean_early
				: 0);
	printf("%u big files in %llu objects; most loaded link: out %s (node %u), in "
	       "%s (node %u)\n",
		res->big, (unsigned long long)res->objects,
		text_size((double)res->most_out, a), res->most_out_node,
		text_size((double)res->most_in, b), res->most_in_node);
}

static void print_json(const struct place_machine *m, const struct place_result *res)
{
	const struct place_choice *c = &res->choice;

	printf("{\"schema\":\"ebt.drain/"
	       "1\",\"type\":\"simulation\",\"nodes\":%u,\"targets\":%u,"
	       "\"files\":%llu,\"bytes\":%llu,\"writers\":%u,\"direct\":%s,"
	       "\"predicted_owners\":%.6f,\"predicted_direct\":%.6f,\"seconds\":%.6f,"
	       "\"metadata_seconds\":%.6f",
		m->nodes, m->targets, (unsigned long long)m->files,
		(unsigned long long)res->bytes, c->chosen.writers,
		c->is_direct ? "true" : "false", c->owners.seconds, c->direct.seconds,
		res->seconds, res->metadata);
	printf(",\"moved\":%llu,\"mean_target\":%llu,\"most_target\":%u,"
	       "\"most_target_bytes\":%llu,\"most_in\":%llu,\"most_in_node\":%u,"
	       "\"most_out\":%llu,\"most_out_node\":%u,\"big\":%u,\"objects\":%llu,"
	       "\"mean_early\":%llu,\"most_early\":%llu}\n",
		(unsigned long long)res->moved, (unsigned long long)res->mean_target,
		res->most_target, (unsigned long long)res->most_target_bytes,
		(unsigned long long)res->most_in, res->most_in_node,
		(unsigned long long)res->most_out, res->most_out_node, res->big,
		(unsigned long long)res->objects, (unsigned long long)res->mean_early,
		(unsigned long long)res->most_early);
}

int cmd_drain_simulate(const struct cmd_drain *o, struct ebt_err *err)
{
	struct place_machine m = PLACE_MACHINE;
	struct place_result res;
	int r = cmd_parse_spec(o->simulate, parse_pair, &m, err);

	if (r == 0)
		r = place_simulate(&m, &res, err);
	if (r < 0)
		return r;
	if (o->common.json)
		print_json(&m, &res);
	else
		print_text(&m, &res);
	return 0;
}
