/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/scope.h"
#include "cmd/cmd.h"

static void become(const char *const *argv, int out) __attribute__((noreturn));
static void become(const char *const *argv, int out)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	close(STDIN_FILENO);
	open("/dev/null", O_RDONLY);
	execvp(argv[0], (char *const *)argv);
	_exit(CMD_NOT_FOUND);
}

int cmd_ask(const char *const *argv, char *out, size_t size)
{
	SCOPED_FD int from = -1;
	size_t len = 0;
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	from = fds[0];
	pid = fork();
	if (pid == 0)
		become(argv, fds[1]);
	close(fds[1]);
	if (pid < 0)
		return -errno;
	while (len + 1 < size && (n = read(from, out + len, size - 1 - len)) != 0) {
		if (n < 0 && errno != EINTR)
			break;
		len += n > 0 ? (size_t)n : 0;
	}
	out[len] = '\0';
	/* What it says beyond that is lost on it. */
	scope_close(&from);
	from = -1;
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
