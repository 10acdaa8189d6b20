/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One collective run as all its steps see it: who the nodes are, what the user leaves out,
 * how everybody comes to the same result, and how the caller is told. Everything collective
 * runs on the communicator of nodes: one rank per node. The other ranks of a node only wait for
 * the result.
 */
#ifndef JOB_JOB_H
#define JOB_JOB_H

#include <mpi.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/activity.h"
#include "base/log.h"
#include "ebt/run.h"
#include "manifest/filter.h"
#include "transport/transport.h"
#include "transport/watch.h"

struct job {
	const struct ebt_run *run;
	struct log log;
	struct transport comm;	/* all ranks, ours */
	struct transport nodes; /* first ranks of nodes; TRANSPORT_NONE elsewhere */
	struct transport_routes routes; /* of nodes, if it has any */
	MPI_Comm
		local; /* the ranks that share this node's memory; none with per_rank */
	int rank;      /* in comm */
	int node, n_nodes;	/* rank and size in nodes */
	struct filter *filter;	/* NULL: no rules */
	double began;		/* clock_now at the start of the current phase */
	uint64_t entries_found; /* atomic, for progress */
	bool told_failing;
	struct activity activity; /* of all threads, for the watch */
	struct watch_options watching;
};

/* What the user says as a rule. */
int job_add_rule(
	struct filter *f, const struct ebt_filter_rule *rule, struct ebt_err *err);

/*
 * Collective. Communicators and filter. Nodes are numbered by switch where the launcher tells, else
 * by rank; the first rank's is the first one. On ranks that only share a node with a first rank,
 * j->nodes is TRANSPORT_NONE: they go straight to job_result_all. job_close also after a
 * failure.
 */
int job_open_all(
	struct job *j, MPI_Comm comm, const struct ebt_run *run, struct ebt_err *err);
void job_close(struct job *j);
/* Collective: exchanges on j->nodes take routes from now on. */
void job_take_routes_all(struct job *j);
/* Collective over all ranks: the result of the nodes becomes everybody's. */
int job_result_all(struct job *j, int code, struct ebt_err *err);

/* -EINTR with a text when the user wants us to stop, else 0. Any thread. */
int job_stopped(const struct job *j, struct ebt_err *err);
/* Agreement of all nodes; the first failure arms the caller's watchdog. */
int job_agree_all(struct job *j, int code, struct ebt_err *err);
/* This rank winds down, or waits for others that do: tells the caller, once. Main thread. */
void job_failing(struct job *j, const struct ebt_err *err);
void job_progress(struct job *j, enum ebt_phase phase, uint64_t bytes, uint64_t total);
/* Seconds of the step that just ended, of the slowest node; the next one begins. */
double job_lap_all(struct job *j);
/* A random id, the same on all nodes. */
int job_new_id_all(struct job *j, char id[33], struct ebt_err *err);

/*
 * job_claim.c: what only one run may have at a time, as a store; each node has one of its own.
 * @take: 0, -EWOULDBLOCK if another run has it, or what ends the run. *key, if it sets that: a
 * number that is the same for whoever takes the same thing. @give_back: after @take was 0.
 */
struct job_claim {
	int (*take)(void *arg, uint64_t *key, struct ebt_err *err);
	void (*give_back)(void *arg);
	void *arg;
	const char *name; /* fit for a message; @take may set it */
};
/*
 * Collective. All nodes take, at the same time or not at all, or wait for as long as the run's
 * options say. After a failure a node on which the last @take was 0 still has what it took.
 */
int job_claim_all(struct job *j, struct job_claim *c, struct ebt_err *err);

/* job_watch.c: who watches over the waits of a run, in j->nodes.watch, or NULL. */
int job_watch_open(struct job *j, struct ebt_err *err);
/* job_away.c: nothing has to move for so long, but stop requests end it. */
void job_nap(const struct job *j, double seconds);
/* The end of @thread, for which this one waits so long at most, with turns for the watch. */
bool job_join(const struct job *j, pthread_t thread, double seconds);
/*
 * @fn in a thread of its own, for what may take long and is no message: so this rank still says that
 * it is there, and with what, "@what @name", where it takes too long. @fn must not use MPI.
 */
int job_away(struct job *j, const char *what, const char *name,
	int (*fn)(void *arg, struct ebt_err *err), void *arg, struct ebt_err *err);

/* Collective: the same with @what NULL, and agreement on the result. */
int job_away_all(struct job *j, int (*fn)(void *arg, struct ebt_err *err), void *arg,
	struct ebt_err *err);

/* job_names.c: @path with %r, %h, %u, %% filled in; @what names it in messages: "DEST". */
int job_expand(const char *path, const char *what, int rank, char *out, size_t size,
	struct ebt_err *err);
/*
 * job_order.c. The switch of the node with that address, as Slurm writes it, as a number that puts
 * those of one switch side by side; -1: not known. Pure.
 */
int job_switch_key(const char *address, const char *pattern);
/* job_link.c: rate of this machine's fastest network interface, 0 if it cannot be told. */
double job_find_link(void);
#define JOB_LINK_NAME 256 /* bytes, with the NUL */
/* The same and its name, "" if there is none. */
double job_find_link_named(char name[JOB_LINK_NAME]);

#endif
