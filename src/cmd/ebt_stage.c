/* SPDX-License-Identifier: BSD-3-Clause */
/* ebt-stage: options in, one library call, a report out. */
#include <errno.h>
#include <mpi.h>
#include <string.h>
#include <sys/stat.h>

#include "archive/unarchive.h"
#include "base/scope.h"
#include "cmd/stage_cmd.h"
#include "codec/block.h"
#include "codec/decode.h"
#include "manifest/manifest.h"
#include "transport/transport.h"

const struct cmd_program cmd_program = {"ebt-stage", "ebt.stage/1"};

/* The first rank reads, all learn whether it could. */
static int load_inputs_all(struct cmd_stage *o, struct cmd_names *names,
	struct cmd_rules *rules, int rank, struct ebt_err *err)
{
	struct transport world = transport_of(MPI_COMM_WORLD, NULL);
	int r = rank == 0 ? cmd_stage_load_names(o, names, err) : 0;

	if (rank == 0 && r == 0)
		r = cmd_load_rules(&o->common, rules, err);
	r = transport_agree_all(&world, r, err);
	if (r < 0)
		return r;
	o->stage.sources = names->sources;
	o->stage.n_sources = names->n_sources;
	o->stage.run.rules = rules->rules;
	o->stage.run.n_rules = rules->n_rules;
	return 0;
}

static int stage(struct cmd_stage *o, int rank, struct ebt_err *err)
{
	SCOPED(cmd_names_release) struct cmd_names names = {0};
	SCOPED(cmd_rules_release) struct cmd_rules rules = {0};
	SCOPED(ebt_stage_report_free) struct ebt_stage_report rep = {0};
	struct cmd_progress progress = {0};
	int r;

	r = load_inputs_all(o, &names, &rules, rank, err);
	if (r < 0)
		return r;
	cmd_show_progress(&o->common, &progress);
	r = ebt_stage_all(MPI_COMM_WORLD, &o->stage, &rep, err);
	if (rank != 0)
		return r;
	cmd_progress_end(&progress);
	o->common.outcome = (struct cmd_outcome){
		.what = "stage", .files = rep.files, .bytes = rep.bytes};
	memcpy(o->common.outcome.id, rep.id, sizeof(rep.id));
	if (r == 0 && o->stage.dry_run)
		cmd_stage_print_plan(o, &rep);
	else if (r == 0)
		cmd_stage_print_result(o, &rep);
	return r;
}

static int verify(struct cmd_stage *o, int rank, struct ebt_err *err)
{
	uint64_t bad = 0;
	int r;

	o->common.outcome.what = "verify";
	r = ebt_stage_verify_all(MPI_COMM_WORLD, &o->stage, &bad, err);

	if (r == 0 && bad)
		r = ebt_failx(err, -EBADMSG, "%llu difference%s from the manifest",
			(unsigned long long)bad, bad == 1 ? "" : "s");
	if (r == 0 && rank == 0)
		puts(o->common.json ? "{\"schema\":\"ebt.stage/"
				      "1\",\"type\":\"verify\",\"different\":0}"
				    : "every file is as the manifest says");
	return r;
}

static int recover(struct cmd_stage *o, int rank, struct ebt_err *err)
{
	uint32_t done = 0;
	int r;

	o->common.outcome.what = "recover";
	r = ebt_stage_recover_all(MPI_COMM_WORLD, &o->stage, &done, err);

	if (r < 0 || rank != 0)
		return r;
	if (o->common.json)
		printf("{\"schema\":\"ebt.stage/"
		       "1\",\"type\":\"recover\",\"finished\":%u,"
		       "\"gave_up\":%u}\n",
			o->stage.give_up ? 0 : done, o->stage.give_up ? done : 0);
	else
		printf("publications %s on %u nodes\n",
			o->stage.give_up ? "given up" : "finished", done);
	return r;
}

static int run(void *arg, int rank, struct ebt_err *err)
{
	struct cmd_stage *o = arg;

	cmd_connect(&o->common);
	switch (o->mode) {
	case STAGE_VERIFY:
		return verify(o, rank, err);
	case STAGE_RECOVER:
		return recover(o, rank, err);
	default:
		return stage(o, rank, err);
	}
}

static void print_version(void)
{
	struct cmd_part codecs[BLOCK_ZSTD], decoders[CODEC_LZ4];

	for (uint32_t i = 0; i < BLOCK_ZSTD; i++)
		codecs[i] = (struct cmd_part){block_name(i + 1), block_has(i + 1)};
	for (int i = 0; i < CODEC_LZ4; i++)
		decoders[i] = (struct cmd_part){codec_name((enum codec)(i + 1)),
			codec_decodes((enum codec)(i + 1))};
	cmd_print_version("manifest", MANIFEST_VERSION);
	cmd_print_parts("compression", codecs, BLOCK_ZSTD);
	if (unarchive_built_in())
		cmd_print_parts("archives tar, cpio, zip, 7z; compressed by", decoders,
			CODEC_LZ4);
	else
		puts("archives not built in");
}

/* What needs no other node, and so no MPI: answers at once, also outside a job. */
static int run_alone(const struct cmd_stage *o)
{
	struct ebt_err err = {0};
	int r = 0;

	if (o->common.help)
		cmd_stage_help(stdout);
	else if (o->common.version)
		print_version();
	else if (o->mode == STAGE_LIST)
		r = o->n_unpack ? cmd_stage_list_archive(o, &err)
				: cmd_stage_list(o, &err);
	else if (o->mode == STAGE_DOCTOR)
		r = cmd_stage_doctor(o, &err);
	else
		r = cmd_stage_simulate(o, &err);
	return cmd_end_alone(&o->common, o->mode == STAGE_SIMULATE, r, &err);
}

int main(int argc, char **argv)
{
	struct cmd_stage o;
	int rank, status, usage;
	struct ebt_err err = {0};

	cmd_block_signals();
	usage = cmd_stage_parse(argc, argv, &o, &err);
	if (usage == 0 && (o.common.help || o.common.version || o.mode == STAGE_LIST ||
				  o.mode == STAGE_SIMULATE || o.mode == STAGE_DOCTOR)) {
		cmd_unblock_signals();
		status = run_alone(&o);
		cmd_stage_release(&o);
		return status;
	}
	if (usage == 0) {
		status = cmd_launch(&o.common, argv, cmd_stage_input(&o));
		if (status != CMD_NOT_LAUNCHED) {
			cmd_stage_release(&o);
			return status;
		}
	}
	rank = cmd_start(&argc, &argv, &o.common);
	/* Modes come from the sources, not from the caller's habits. */
	umask(0);
	status = cmd_run_all(&o.common, rank, usage, run, &o, &err);
	/* Does not return, so what scopes would release is released here. */
	cmd_stage_release(&o);
	transport_leave_all(status, cmd_is_good(status), cmd_stopped, NULL);
}
