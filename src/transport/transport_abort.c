/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The end of a job that cannot go on.
 *
 * Once the launcher was told to stop, a status alone is not kept. The proxies of Hydra
 * (4.0.2: HYD_pmcd_pmip_send_signal sets forced_cleanup) forget the status of each process that
 * ends after they passed a signal on, and mpiexec then says 0, once in three times. Only what
 * an abort says is kept. MPI_Abort says it through the process manager too, but not in a job
 * of one rank, not before MPI_Init has returned, and not without taking the lock of stdout,
 * which a thread that hangs may hold. So where there is PMI-1 it is told directly.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "transport/transport_internal.h"

#define ABORT_S 1 /* after which it was not understood that the job is to end */

void transport_await_reader(int fd)
{
	struct stat st;
	int left;

	if (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode))
		return;
	for (unsigned ms = 0; ms < TRANSPORT_WORDS_MS; ms++) {
		if (ioctl(fd, FIONREAD, &left) < 0 || left == 0)
			return;
		transport_pause_ms(1);
	}
}

int transport_pmi_fd(void)
{
	const char *pmi = getenv("PMI_FD");

	return pmi ? atoi(pmi) : -1;
}

void transport_abort(int status)
{
	struct pollfd wait = {.fd = transport_pmi_fd(), .events = POLLIN};
	int up = 0, down = 0, null;
	char text[64];

	transport_await_reader(STDOUT_FILENO);
	transport_await_reader(STDERR_FILENO);
	transport_pause_ms(TRANSPORT_WORDS_MS);
	snprintf(text, sizeof(text), "cmd=abort exitcode=%d\n", status);
	if (wait.fd >= 0 && write(wait.fd, text, strlen(text)) == (ssize_t)strlen(text))
		poll(&wait, 1, ABORT_S * 1000);
	MPI_Initialized(&up);
	MPI_Finalized(&down);
	/* All has been said, and MPI would only add who called it. */
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	dup2(null, STDERR_FILENO);
	/* It takes the lock of stdout, which a thread that hangs may hold. */
	alarm(ABORT_S);
	if (up && !down)
		MPI_Abort(MPI_COMM_WORLD, status);
	_exit(status);
}
