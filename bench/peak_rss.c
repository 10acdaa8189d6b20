/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a command and appends one line to a file: the largest resident size, in bytes, that
 * the command or any process it waited for has had. Its status is that of the command, 128
 * and the signal's number if one ended it. Pages of mapped files count, as they do for ps.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t child;

static void pass_on(int sig)
{
	if (child)
		kill(child, sig);
}

static int fail(const char *what)
{
	fprintf(stderr, "peak_rss: %s: %s\n", what, strerror(errno));
	return 127;
}

/* One write, so that lines of several nodes do not mix. */
static int note(const char *path, long kib)
{
	char line[64];
	int len = snprintf(line, sizeof(line), "%lld\n", kib * 1024LL);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, line, (size_t)len) != len)
		return -1;
	return close(fd);
}

int main(int argc, char **argv)
{
	static const int passed[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1};
	struct rusage used;
	pid_t pid, parent = getpid();
	int status;

	if (argc < 3) {
		fprintf(stderr, "usage: peak_rss FILE CMD...\n");
		return 2;
	}
	pid = fork();
	if (pid < 0)
		return fail("fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(127);
		execvp(argv[2], argv + 2);
		_exit(fail(argv[2]));
	}
	child = pid;
	for (size_t k = 0; k < sizeof(passed) / sizeof(passed[0]); k++)
		signal(passed[k], pass_on);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return fail("wait");
	if (getrusage(RUSAGE_CHILDREN, &used) < 0 || note(argv[1], used.ru_maxrss) < 0)
		return fail(argv[1]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
