/* SPDX-License-Identifier: BSD-3-Clause */
/* ebt-drain: options in, one library call, a report out. */
#include <errno.h>
#include <mpi.h>
#include <string.h>

#include "archive/unarchive.h"
#include "base/scope.h"
#include "cmd/drain_cmd.h"
#include "codec/decode.h"
#include "journal/journal_format.h"
#include "transport/transport.h"

const struct cmd_program cmd_program = {"ebt-drain", "ebt.drain/1"};

/* The first rank reads, all learn whether it could. */
static int load_rules_all(
	struct cmd_drain *o, struct cmd_rules *rules, int rank, struct ebt_err *err)
{
	struct transport world = transport_of(MPI_COMM_WORLD, NULL);
	int r = rank == 0 ? cmd_load_rules(&o->common, rules, err) : 0;

	r = transport_agree_all(&world, r, err);
	if (r < 0)
		return r;
	o->drain.run.rules = rules->rules;
	o->drain.run.n_rules = rules->n_rules;
	return 0;
}

static int status_of(int outcome)
{
	switch (outcome) {
	case EBT_DRAIN_PARTLY:
		return CMD_PARTLY;
	case EBT_DRAIN_BESIDE:
		return CMD_BESIDE;
	default:
		return outcome;
	}
}

static int drain(void *arg, int rank, struct ebt_err *err)
{
	struct cmd_drain *o = arg;
	SCOPED(cmd_rules_release) struct cmd_rules rules = {0};
	SCOPED(ebt_drain_report_free) struct ebt_drain_report rep = {0};
	struct cmd_progress progress = {0};
	int r;

	r = load_rules_all(o, &rules, rank, err);
	if (r < 0)
		return r;
	cmd_connect(&o->common);
	cmd_show_progress(&o->common, &progress);
	r = status_of(ebt_drain_all(MPI_COMM_WORLD, &o->drain, &rep, err));
	if (rank != 0)
		return r;
	cmd_progress_end(&progress);
	o->common.outcome = (struct cmd_outcome){
		.what = "drain", .files = rep.files, .bytes = rep.bytes};
	memcpy(o->common.outcome.id, rep.id, sizeof(rep.id));
	if (r >= 0 && o->drain.dry_run)
		cmd_drain_print_plan(o, &rep);
	else if (r >= 0)
		cmd_drain_print_result(o, &rep);
	return r;
}

static void print_version(void)
{
	const struct cmd_part packs[] = {{"tar", unarchive_built_in()},
		{"tar.zst", unarchive_built_in() && codec_decodes(CODEC_ZSTD)}};

	cmd_print_version("journal", JOURNAL_VERSION);
	cmd_print_parts("archives", packs, 2);
}

/* What needs no other node, and so no MPI: answers at once, also outside a job. */
static int run_alone(const struct cmd_drain *o)
{
	struct ebt_err err = {0};
	int r = 0;

	if (o->common.help)
		cmd_drain_help(stdout);
	else if (o->common.version)
		print_version();
	else
		r = cmd_drain_simulate(o, &err);
	return cmd_end_alone(&o->common, o->simulate, r, &err);
}

int main(int argc, char **argv)
{
	struct cmd_drain o;
	int rank, status, usage;
	struct ebt_err err = {0};

	cmd_block_signals();
	usage = cmd_drain_parse(argc, argv, &o, &err);
	if (usage == 0 && (o.common.help || o.common.version || o.simulate)) {
		cmd_unblock_signals();
		status = run_alone(&o);
		cmd_drain_release(&o);
		return status;
	}
	if (usage == 0) {
		status = cmd_launch(&o.common, argv, cmd_rules_input(&o.common));
		if (status != CMD_NOT_LAUNCHED) {
			cmd_drain_release(&o);
			return status;
		}
	}
	rank = cmd_start(&argc, &argv, &o.common);
	status = cmd_run_all(&o.common, rank, usage, drain, &o, &err);
	/* Does not return, so what scopes would release is released here. */
	cmd_drain_release(&o);
	transport_leave_all(status, cmd_is_good(status), cmd_stopped, NULL);
}
