/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lease FILE MS: holds a lease of FILE as a file server would, says "held", and gives it up MS
 * milliseconds after somebody else wants the file. Exit status: 0 it was wanted, 77 no leases
 * here, 1 nobody came within half a minute.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const struct timespec patience = {.tv_sec = 30};
	sigset_t wanted;
	long ms;
	int fd;

	if (argc != 3 || (fd = open(argv[1], O_RDWR | O_CLOEXEC)) < 0)
		return 99;
	ms = strtol(argv[2], NULL, 10);
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGIO);
	sigprocmask(SIG_BLOCK, &wanted, NULL);
	if (fcntl(fd, F_SETLEASE, F_WRLCK) < 0)
		return 77;
	puts("held");
	fflush(stdout);
	if (sigtimedwait(&wanted, NULL, &patience) < 0)
		return 1;
	nanosleep(
		&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000},
		NULL);
	return fcntl(fd, F_SETLEASE, F_UNLCK) < 0;
}
