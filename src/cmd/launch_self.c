/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command starts itself, with one rank on each node, and stays beside its launcher: stop
 * signals reach the ranks through it, and its status is that of the ranks.
 *
 * The launcher is in a process group of its own, since srun and mpiexec take the Ctrl-C of a
 * terminal for the wish to kill. What all of them pass on to the ranks is SIGUSR1: srun(1), Hydra,
 * orterun(1), and flux-run(1) of 0.60. So that is what a first stop signal becomes; a second Ctrl-C
 * ends the launcher.
 *
 * One that dies of that, as a script that does not pass it on, leaves processes in its group: they
 * are told to end, and waited for.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "cmd/cmd.h"
#include "cmd/launch_plan.h"

#define ANSWER	    4096     /* bytes of what a launcher is asked for */
#define GROUP_NS    10000000 /* between looks at whether a group is gone */
#define GROUP_TURNS 1000     /* of them */
#define HOSTS_MOST  (64u << 20)

extern char **environ;

enum launch_mpi cmd_launch_mpi(void)
{
	char library[128];

	if (strstr(cmd_mpi_library(library, sizeof(library)), "CRAY"))
		return LAUNCH_CRAY;
	if (strcmp(EBT_MPI_KIND, "ompi") == 0)
		return LAUNCH_OMPI;
	return strcmp(EBT_MPI_KIND, "mpich") == 0 ? LAUNCH_MPICH : LAUNCH_OTHER;
}

/* In a new process: words of a program of PATH take its place. */
static void become(const char *const *argv) __attribute__((noreturn));
static void become(const char *const *argv)
{
	for (char **v = environ; *v;) {
		size_t n = strcspn(*v, "=");
		SCOPED_FREE char *name = launch_keeps(*v) ? NULL : strndup(*v, n);

		if (name)
			unsetenv(name);
		else
			v++;
	}
	cmd_unblock_signals();
	execvp(argv[0], (char *const *)argv);
	fprintf(stderr, "%s: %s: %s. --no-launch starts one rank, here\n",
		cmd_program.name, argv[0], strerror(errno));
	_exit(CMD_NOT_FOUND);
}

/* Flux knows how many nodes its instance has. */
static int ask_flux(struct launch_how *how, struct ebt_err *err)
{
	static const char *const size[] = {"flux", "getattr", "size", NULL};
	char said[ANSWER];
	int r = cmd_ask(size, said, sizeof(said));
	unsigned long n = r == 0 ? strtoul(said, NULL, 10) : 0;

	if (r < 0 || r == CMD_NOT_FOUND)
		return ebt_fail(err, r < 0 ? r : -ENOENT, "flux getattr size");
	said[strcspn(said, "\n")] = '\0';
	if (n == 0 || n > 1000000)
		return ebt_failx(err, -EPROTO, "flux getattr size: status %d: %s", r,
			text_name(said, (char[ANSWER]){0}, ANSWER));
	how->nodes = (unsigned)n;
	return 0;
}

static int read_file(const char *path, struct buf *out, struct ebt_err *err)
{
	SCOPED_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 1;

	while (fd >= 0 && n > 0 && out->len < HOSTS_MOST) {
		char *to = buf_extend(out, 65536);

		if (!to)
			return ebt_fail(err, -ENOMEM, "%s", path);
		n = read(fd, to, 65536);
		out->len -= 65536 - (size_t)(n > 0 ? n : 0);
	}
	return fd < 0 || n < 0 ? ebt_fail(err, -errno, "%s", path) : 0;
}

/*
 * The names as the launcher is to have them, once each: in the file itself if that is so, else in
 * memory, which it finds by the path of our descriptor. Nothing is left of that.
 */
static int find_hosts(const struct launch_place *p, struct launch_how *how, char *path,
	size_t size, struct ebt_err *err)
{
	SCOPED_BUF struct buf text = {0}, names = {0};
	struct ebt_err why = {0};
	SCOPED_FD int fd = -1;
	int r = read_file(p->hosts, &text, err);

	if (r < 0)
		return r;
	r = launch_hosts((const char *)text.data, text.len, &names, &how->nodes, &why);
	if (r < 0)
		return ebt_failx(err, r, "%s: %s (%s)", p->hosts, why.text, p->why);
	how->hosts = p->hosts;
	if (text.len == names.len && memcmp(text.data, names.data, text.len) == 0)
		return 0;
	/* It stays open while the launcher runs. */
	fd = memfd_create("hosts", MFD_CLOEXEC);
	if (fd < 0 || write(fd, names.data, names.len) != (ssize_t)names.len)
		return ebt_fail(err, -errno, "names of hosts");
	snprintf(path, size, "/proc/%d/fd/%d", getpid(), TAKE_FD(fd));
	how->hosts = path;
	return 0;
}

/* The launcher gets the terminal's signals only where it has to read from it. */
static void start(const char *const *argv, bool input, pid_t parent)
	__attribute__((noreturn));
static void start(const char *const *argv, bool input, pid_t parent)
{
	int null;

	if (!input || !isatty(STDIN_FILENO))
		setpgid(0, 0);
	if (!input) {
		null = open("/dev/null", O_RDONLY);
		if (null < 0 || dup2(null, STDIN_FILENO) < 0)
			_exit(CMD_NOT_FOUND);
		if (null != STDIN_FILENO)
			close(null);
	}
	/* However this command ends, its ranks do not go on alone. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(CMD_NOT_FOUND);
	become(argv);
}

/* What a launcher that a signal has ended may have left: nobody else will tell it. */
static void end_group(pid_t pid)
{
	kill(-pid, SIGTERM);
	for (int i = 0; i < GROUP_TURNS && kill(-pid, 0) == 0; i++)
		nanosleep(&(struct timespec){.tv_nsec = GROUP_NS}, NULL);
	kill(-pid, SIGKILL);
}

/* What the user is told, and the launcher. */
static void pass_on(pid_t pid, int sig, int *stopped)
{
	if (sig == SIGINT && *stopped == SIGINT) {
		kill(pid, SIGTERM);
		return;
	}
	/* Again if need be: the first may have come before the ranks. */
	kill(pid, SIGUSR1);
	*stopped = sig;
	fprintf(stderr, "%s: %s: winding down%s\n", cmd_program.name, strsignal(sig),
		sig == SIGINT ? " (Ctrl-C once more: at once)" : "");
}

/* Until the launcher has ended: its status, as a shell tells it. */
static int stay_beside(pid_t pid)
{
	sigset_t set = *cmd_stop_signals();
	int sig, status, stopped = 0;

	sigaddset(&set, SIGCHLD);
	/* Whoever reads what we say may end of the same Ctrl-C. */
	signal(SIGPIPE, SIG_IGN);
	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (sigwait(&set, &sig) == 0 && sig != SIGCHLD)
			pass_on(pid, sig, &stopped);
	}
	if (WIFSIGNALED(status))
		end_group(pid);
	/* A launcher that was told to stop may say so in many ways. */
	if (WIFEXITED(status) && WEXITSTATUS(status) != CMD_NOT_FOUND &&
		(!stopped || WEXITSTATUS(status) <= 128))
		return WEXITSTATUS(status);
	return stopped || WIFEXITED(status) ? CMD_FAILED : 128 + WTERMSIG(status);
}

static int run(const char *const *argv, bool input, struct ebt_err *err)
{
	pid_t self = getpid(), pid;
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		start(argv, input, self);
	if (pid < 0)
		return ebt_fail(err, -errno, "%s", argv[0]);
	return stay_beside(pid);
}

/* What the launcher is to be told, beside where we are. */
static int prepare(const struct launch_place *p, struct launch_how *how, char *path,
	size_t size, struct ebt_err *err)
{
	static const char *const list[] = {"srun", "--mpi=list", NULL};
	char said[ANSWER];

	how->nodes = p->nodes;
	if (p->by == LAUNCH_FLUX)
		return ask_flux(how, err);
	if (p->by == LAUNCH_MPIEXEC)
		return find_hosts(p, how, path, size, err);
	/* Without an answer it is Slurm's default. */
	if (!p->own && !p->type && cmd_ask(list, said, sizeof(said)) == 0)
		how->srun_type = launch_srun_type(how->mpi, said);
	return 0;
}

static int launch(const struct cmd_common *c, const struct launch_place *p, char **args,
	bool input, struct ebt_err *err)
{
	SCOPED(launch_command_release) struct launch_command words = {0};
	SCOPED_BUF struct buf shown = {0};
	char self[4096], path[64];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	struct launch_how how = {
		.mpi = cmd_launch_mpi(),
		.mpiexec = access(EBT_MPIEXEC, X_OK) == 0 ? EBT_MPIEXEC : "mpiexec",
		.verbose = c->verbose,
		.bar = c->progress == CMD_AUTO && isatty(STDERR_FILENO),
		.program = self,
		.args = (const char *const *)args,
		.env = (const char *const *)environ,
	};
	int r;

	if (n < 0)
		return ebt_fail(err, -errno, "/proc/self/exe");
	self[n] = '\0';
	r = prepare(p, &how, path, sizeof(path), err);
	if (r == 0)
		r = launch_words(p, &how, &words, err);
	if (r < 0)
		return r;
	if (c->verbose) {
		launch_print(launch_argv(&words), &shown);
		fprintf(stderr, "%s: by %s: %.*s\n", cmd_program.name, p->why,
			(int)shown.len, (const char *)shown.data);
	}
	return run(launch_argv(&words), input, err);
}

int cmd_launch(const struct cmd_common *c, char **argv, enum cmd_input input)
{
	struct launch_place place;
	struct ebt_err err = {0};
	int r;

	if (c->no_launch || c->launched)
		return CMD_NOT_LAUNCHED;
	/* Where it is ignored nobody can be waited for. */
	signal(SIGCHLD, SIG_DFL);
	r = launch_find((const char *const *)environ, &place, &err);
	if (r == 0 && place.by == LAUNCH_NOT)
		return CMD_NOT_LAUNCHED;
	if (r == 0 && input == CMD_INPUT_OURS)
		r = ebt_failx(&err, -EINVAL,
			"a file of /dev/fd, as <(...) is one, is there for this "
			"process "
			"alone, not for the ranks that it starts: give it on standard "
			"input, as -");
	if (r == 0)
		r = launch(c, &place, argv + 1, input == CMD_INPUT_PIPED, &err);
	if (r >= 0)
		return r;
	cmd_print_error(c, &err);
	return CMD_FAILED;
}
