/* SPDX-License-Identifier: BSD-3-Clause */
/* The command ebt-stage. */
#ifndef CMD_STAGE_CMD_H
#define CMD_STAGE_CMD_H

#include "cmd/cmd.h"
#include "ebt/stage.h"
#include "manifest/manifest.h"

enum stage_mode {
	STAGE_RUN,
	STAGE_LIST,
	STAGE_VERIFY,
	STAGE_RECOVER,
	STAGE_SIMULATE,
	STAGE_DOCTOR,
};

struct cmd_stage {
	struct cmd_common common;
	enum stage_mode mode;
	struct ebt_stage_options stage;
	const char *files_from;
	const char *simulate;
	const char *store; /* of list, verify, recover */
	const char **sources;
	size_t n_sources;
	const char **unpack; /* patterns of --unpack */
	size_t n_unpack;
};
void cmd_stage_release(struct cmd_stage *o);

/* 0, or -EINVAL with what is wrong in @err. Releases nothing on failure: call the release. */
int cmd_stage_parse(int argc, char **argv, struct cmd_stage *o, struct ebt_err *err);
void cmd_stage_help(FILE *out);
/* The worst of all that is read. */
enum cmd_input cmd_stage_input(const struct cmd_stage *o);

/* The sources: arguments, then what the first rank reads from --files-from. */
struct cmd_names {
	char *names; /* content of --files-from, cut into names */
	const char **sources;
	size_t n_sources;
};
int cmd_stage_load_names(
	const struct cmd_stage *o, struct cmd_names *in, struct ebt_err *err);
void cmd_names_release(struct cmd_names *in);

void cmd_stage_print_result(
	const struct cmd_stage *o, const struct ebt_stage_report *rep);
void cmd_stage_print_plan(
	const struct cmd_stage *o, const struct ebt_stage_report *rep);

/* Without MPI. */
int cmd_stage_list(const struct cmd_stage *o, struct ebt_err *err);
void cmd_stage_list_manifest(const struct cmd_stage *o, const struct manifest *m);
int cmd_stage_list_archive(const struct cmd_stage *o, struct ebt_err *err);
/* doctor.c: of o->stage.dest, or NULL. A failure is that it cannot be used; all is printed then, too. */
int cmd_stage_doctor(const struct cmd_stage *o, struct ebt_err *err);
int cmd_stage_simulate(const struct cmd_stage *o, struct ebt_err *err);

#endif
