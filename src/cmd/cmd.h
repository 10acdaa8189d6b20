/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the commands share: options that all of them have, rules, progress, signals, messages,
 * exit status. Each command is this and the files that begin with its name.
 */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>

#include "cmd/launch_plan.h"
#include "ebt/run.h"

struct cmd_program {
	const char *name;
	const char *schema; /* of its JSON lines */
};
extern const struct cmd_program cmd_program; /* each command's own */

enum cmd_exit {
	CMD_DONE = 0,
	CMD_FAILED = 1,
	CMD_USAGE = 2,
	CMD_PARTLY = 3, /* ebt-drain: bytes or attributes are missing */
	CMD_BESIDE = 4, /* ebt-drain: every byte is home, some under another name */
};
/* Nothing is lost if what it came from goes. */
static inline bool cmd_is_good(int status)
{
	return status == CMD_DONE || status == CMD_BESIDE;
}

enum cmd_when { CMD_AUTO, CMD_ALWAYS, CMD_NEVER };

/* Rules in the order given; files are read by the first rank. */
struct cmd_rule {
	enum { CMD_RULE_EXCLUDE, CMD_RULE_INCLUDE, CMD_RULE_FILE } kind;
	const char *text; /* pattern or path */
};

/* What was done, for --done. */
struct cmd_outcome {
	const char *what; /* "stage", "drain", ... */
	char id[33];	  /* of the run; "": it has none, and no counts */
	uint64_t files, bytes;
};

/* What options all commands have say, and the run that they are for. */
struct cmd_common {
	struct ebt_run *run;
	bool help, version;
	bool no_launch;
	unsigned
		launched; /* ranks that this command has started of itself: it is one of them */
	bool null;
	bool json;
	enum cmd_when progress;
	int verbose;
	struct cmd_rule *rules;
	size_t n_rules;
	const char *done;	    /* a file to write in the end, or NULL */
	struct cmd_outcome outcome; /* of a run that went well, on the first rank */
};
void cmd_common_release(struct cmd_common *c);

/* options.c, with the tables of options/ */
/* Who takes options of one command: enum opt_flag and enum opt_value of its table. */
struct cmd_own {
	void (*flag)(void *arg, int opt);
	/* @value is NULL where it was left out. */
	int (*value)(void *arg, int opt, const char *value, struct ebt_err *err);
	void *arg;
};
/*
 * Goes through all options up to the operands, from optind on: the common ones into @c, others
 * to @own. -EINVAL and what is wrong in @err.
 */
int cmd_parse_options(int argc, char **argv, const char *shorts,
	const struct option *options, const struct cmd_own *own, struct cmd_common *c,
	struct ebt_err *err);
int cmd_parse_number(const char *s, uint64_t least, uint64_t most, unsigned *out,
	struct ebt_err *err);
/* A time, at most 1e6 s. 0 is -1, as it is a wish and in the options the default. */
int cmd_parse_wait(const char *s, double *out, struct ebt_err *err);
/* As cmd_parse_number; "auto" is 0. */
int cmd_parse_auto(const char *s, uint64_t most, unsigned *out, struct ebt_err *err);
/* One of @words (NULL-terminated) as its index. */
int cmd_parse_word(
	const char *s, const char *const *words, int *out, struct ebt_err *err);
int cmd_parse_overwrite(const char *s, enum ebt_overwrite *out, struct ebt_err *err);
/* "NAME=VALUE,...": each to @pair. -EINVAL names the NAME. */
int cmd_parse_spec(const char *spec,
	int (*pair)(
		void *arg, const char *name, const char *value, struct ebt_err *err),
	void *arg, struct ebt_err *err);

/* inputs.c: what the first rank reads for all. */
struct cmd_rules {
	struct ebt_filter_rule *rules;
	size_t n_rules;
	char **texts; /* content of rule files */
};
int cmd_load_rules(
	const struct cmd_common *c, struct cmd_rules *in, struct ebt_err *err);
void cmd_rules_release(struct cmd_rules *in);
/* What ranks elsewhere can have of what is read. */
enum cmd_input {
	CMD_INPUT_NONE,	 /* files, if anything */
	CMD_INPUT_PIPED, /* standard input */
	CMD_INPUT_OURS,	 /* a descriptor of this process, as of <(...) in a shell */
};
enum cmd_input cmd_input_of(const char *path); /* or NULL */
/* The worst of all files of rules. */
enum cmd_input cmd_rules_input(const struct cmd_common *c);
/* A file or, for "-", standard input, whole, with a NUL after it. */
int cmd_slurp(const char *path, char **text, size_t *len, struct ebt_err *err);
/* The same for a file of lines: -EINVAL where they end in NUL and nobody said so. */
int cmd_load_lines(const struct cmd_common *c, const char *path, char **text,
	size_t *len, struct ebt_err *err);

/* done.c: --done. First rank only. */
/* Before anything else is done: c->done of an earlier run goes, and a new one can be made. */
int cmd_done_begin(const struct cmd_common *c, struct ebt_err *err);
/* After all else: c->done is there, durably, or it is not. */
int cmd_done_end(const struct cmd_common *c, struct ebt_err *err);
/* -EINVAL: --done is wrong, or beside an option @with (or NULL) that does nothing for good. */
int cmd_done_check(const struct cmd_common *c, const char *with, struct ebt_err *err);

/* signals.c */
/* First of all in main: stop signals wait until somebody catches them. */
void cmd_block_signals(void);
const sigset_t *cmd_stop_signals(void);
/* For what runs alone: they do again what they did before. */
void cmd_unblock_signals(void);
/*
 * Before MPI_Init. Notes stop signals; @timeout seconds after the first one the job ends
 * anyway. A negative errno: nothing stops this process but a kill.
 */
int cmd_catch_signals(double timeout);
/* The first stop signal, or 0. Any thread. */
int cmd_stopped(void *arg);
/* This process's rank: of several that end a job one says so. */
void cmd_rank(int rank);
/* That many seconds after the first one, 0 for never, cmd_hurried begins to be true. */
void cmd_grant(double grace);
bool cmd_hurried(void *arg);
/* Ends the job if this process is still there @timeout seconds later. The first call counts. */
void cmd_watchdog(void *arg, double timeout, const char *text);
/* For run.stalled: prints it, and ends the job where it is to end. The watchdog says it again. */
void cmd_stalled(void *arg, enum ebt_stall how, const char *text);

/* progress.c: a bar on stderr, rewritten in place. */
struct cmd_progress {
	double last; /* when it was drawn */
	bool drawn;
};
void cmd_progress(void *arg, const struct ebt_progress *p);
void cmd_progress_end(struct cmd_progress *p);

/*
 * ask.c. What @argv, a program of PATH, prints, to both of its outputs: up to @size - 1 bytes and a
 * NUL. Its exit status, CMD_NOT_FOUND, or a negative errno.
 */
#define CMD_NOT_FOUND 127
int cmd_ask(const char *const *argv, char *out, size_t size);

/*
 * launch_self.c. Where there is an allocation, and no launcher has started this process: starts
 * @argv with one rank on each node. The status of the ranks, or CMD_NOT_LAUNCHED: nothing was
 * done, and this is a rank itself. Stop signals are blocked. @input: of what a rank reads.
 */
#define CMD_NOT_LAUNCHED (-1)
int cmd_launch(const struct cmd_common *c, char **argv, enum cmd_input input);
/* What the MPI in use is to launchers. */
enum launch_mpi cmd_launch_mpi(void);
/*
 * launch_check.c. After MPI_Init: -EPROTO if MPI has fewer ranks than were started, or ranks that this
 * command has started are not on all nodes. The first of them says so.
 */
int cmd_check_launch_all(const struct cmd_common *c);

/* version.c */
/* What the MPI library in use calls itself, at most @size - 1 bytes of that into @text. */
const char *cmd_mpi_library(char *text, size_t size);
/* @format, of @number, is what the command leaves behind. */
void cmd_print_version(const char *format, unsigned number);
/* What a library brings that may be missing where EBT is built. */
struct cmd_part {
	const char *name;
	bool built_in;
};
#define CMD_PARTS_TEXT 128 /* bytes of their names, with the NUL */
/* Those that are built in, or those that are not, joined by ", ". */
const char *cmd_join_parts(const struct cmd_part *parts, size_t n, bool built_in,
	char out[CMD_PARTS_TEXT]);
/* "HEAD lz4", or "HEAD not built in", as a line, and one more of those that are not. */
void cmd_print_parts(const char *head, const struct cmd_part *parts, size_t n);

/* start.c: from main to the collective call, and back. */
/* MPI, signals; rank in MPI_COMM_WORLD. */
int cmd_start(int *argc, char ***argv, const struct cmd_common *c);
/* Log, signals and watchdog of c->run; its progress, if it is wanted. */
void cmd_connect(const struct cmd_common *c);
void cmd_show_progress(const struct cmd_common *c, struct cmd_progress *p);
void cmd_print_error(const struct cmd_common *c, const struct ebt_err *err);
/*
 * From the options to the exit status, the same on all ranks. @usage and @err as the parser
 * left them. @run is the collective call with what it prints: negative, or the exit status.
 */
int cmd_run_all(const struct cmd_common *c, int rank, int usage,
	int (*run)(void *arg, int rank, struct ebt_err *err), void *arg,
	struct ebt_err *err);
/* The end of what needs no other node, and so no MPI. @usage: -EINVAL is the user's. */
int cmd_end_alone(const struct cmd_common *c, bool usage, int r, struct ebt_err *err);

#endif
