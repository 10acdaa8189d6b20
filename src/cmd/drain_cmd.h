/* SPDX-License-Identifier: BSD-3-Clause */
/* The command ebt-drain. */
#ifndef CMD_DRAIN_CMD_H
#define CMD_DRAIN_CMD_H

#include "archive/pattern.h"
#include "cmd/cmd.h"
#include "ebt/drain.h"

#define CMD_DRAIN_MEMORY_MIN (16u << 20) /* bytes */

struct cmd_drain {
	struct cmd_common common;
	struct ebt_drain_options drain;
	const char *simulate;
	const char **pack;	   /* what drain.pack points to */
	struct patterns *patterns; /* of them, to find out what is wrong */
};

/* 0, or -EINVAL with what is wrong in @err. Releases nothing on failure: call the release. */
int cmd_drain_parse(int argc, char **argv, struct cmd_drain *o, struct ebt_err *err);
void cmd_drain_release(struct cmd_drain *o);
void cmd_drain_help(FILE *out);

void cmd_drain_print_result(
	const struct cmd_drain *o, const struct ebt_drain_report *rep);
void cmd_drain_print_plan(
	const struct cmd_drain *o, const struct ebt_drain_report *rep);

/* Without MPI. */
int cmd_drain_simulate(const struct cmd_drain *o, struct ebt_err *err);

#endif
