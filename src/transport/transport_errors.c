/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The end of a job by an MPI error, which most of the time is a node that was lost: no rank
 * can agree on anything then, so whoever sees it says so and ends all. MPI's own handler
 * prints a stack of internal names, without a host, and exits with a status of its own.
 */
#include "transport/transport.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* MPICH gives one line a call, the outermost first: the last one is the cause. */
static const char *cause(char *text)
{
	char *at;

	for (at = text + strlen(text); at > text && at[-1] == '\n'; at--)
		at[-1] = '\0';
	at = strrchr(text, '\n');
	return at ? at + 1 : text;
}

static void end(MPI_Comm *comm, int *code, ...)
{
	char text[MPI_MAX_ERROR_STRING + 1] = "", host[64] = "";
	int len = 0, rank = -1;

	MPI_Comm_rank(*comm, &rank);
	MPI_Error_string(*code, text, &len);
	gethostname(host, sizeof(host) - 1);
	fprintf(stderr, "%s: is a node lost? MPI says: %s (rank %d on %s)\n",
		program_invocation_short_name, cause(text), rank, host);
	fflush(NULL);
	transport_abort(EXIT_FAILURE);
}

void transport_errors_end(MPI_Comm comm)
{
	MPI_Errhandler handler;

	MPI_Comm_create_errhandler(end, &handler);
	MPI_Comm_set_errhandler(comm, handler);
	MPI_Errhandler_free(&handler);
}
