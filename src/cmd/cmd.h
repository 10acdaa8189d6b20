/* SPDX-License-Identifier: BSD-3-Clause */
/* The command ebt-stage: options, progress, reports, signals, exit status. */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include <stdbool.h>
#include <stdio.h>

#include "ebt/stage.h"

#define CMD_NAME "ebt-stage"

enum cmd_exit { CMD_DONE = 0, CMD_FAILED = 1, CMD_USAGE = 2 };

enum cmd_mode { CMD_STAGE, CMD_LIST, CMD_VERIFY, CMD_RECOVER, CMD_SIMULATE, CMD_HELP, CMD_VERSION };
enum cmd_when { CMD_AUTO, CMD_ALWAYS, CMD_NEVER };

/* Where rules and sources come from, in the order given; files are read by the first rank. */
struct cmd_rule {
	enum { CMD_RULE_EXCLUDE, CMD_RULE_INCLUDE, CMD_RULE_FILE } kind;
	const char *text; /* pattern or path */
};

struct cmd_options {
	enum cmd_mode mode;
	struct ebt_stage_options stage;
	const char *files_from;
	const char *simulate;
	const char *store; /* of list, verify, recover */
	bool null;
	bool json;
	enum cmd_when progress;
	int verbose;
	const char **sources;
	size_t n_sources;
	struct cmd_rule *rules;
	size_t n_rules;
};

/* 0, or -EINVAL with what is wrong in @err. Releases nothing on failure: call the release. */
int cmd_parse(int argc, char **argv, struct cmd_options *o, struct ebt_err *err);
void cmd_options_release(struct cmd_options *o);
void cmd_help(FILE *out);

/* inputs.c: what the first rank reads for all: --files-from, --exclude-from. */
struct cmd_inputs {
	char *names;          /* content of --files-from, cut into names */
	const char **sources; /* arguments, then names */
	size_t n_sources;
	struct ebt_filter_rule *rules;
	size_t n_rules;
	char **texts; /* content of rule files */
};
int cmd_load_inputs(const struct cmd_options *o, struct cmd_inputs *in, struct ebt_err *err);
void cmd_inputs_release(struct cmd_inputs *in);

/* signals.c */
/* Notes stop signals; @timeout seconds after the first one the process ends anyway. */
void cmd_catch_signals(double timeout);
int cmd_stopped(void *arg);
/* Ends the process if it is still there @timeout seconds later. Further calls do nothing. */
void cmd_watchdog(void *arg, double timeout, const char *text);

/* progress.c: a bar on stderr, rewritten in place. */
struct cmd_progress {
	double last; /* when it was drawn */
	bool drawn;
};
void cmd_progress(void *arg, const struct ebt_progress *p);
void cmd_progress_end(struct cmd_progress *p);

/* result.c */
void cmd_print_result(const struct cmd_options *o, const struct ebt_stage_report *rep);
void cmd_print_plan(const struct cmd_options *o, const struct ebt_stage_report *rep);
void cmd_print_error(const struct cmd_options *o, const struct ebt_err *err);

/* list.c, simulate.c: without MPI. */
int cmd_list(const struct cmd_options *o, struct ebt_err *err);
int cmd_simulate(const struct cmd_options *o, struct ebt_err *err);

#endif
