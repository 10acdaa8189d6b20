/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whatever may hang has a process of its own, which says that it is done by a byte in a pipe. One
 * in a call that nothing ends, as on a file system whose server is gone, is killed and left: it
 * goes when the call returns. It holds none of our descriptors, so nobody waits for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/scope.h"
#include "cmd/doctor.h"

#define MILLISECOND 0.001
#define REAP_MS                                                                        \
	50 /* a process that is done is gone by then, but for one that hangs after all */

struct child {
	pid_t pid; /* 0: it has not begun */
	int fd;	   /* -1: it has ended, or not begun */
};

void *doctor_shared(size_t n, size_t size)
{
	void *p = mmap(NULL, n * size, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Where what libraries print goes to; without /dev too. */
static int open_sink(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	return fd >= 0 ? fd : memfd_create("output", MFD_CLOEXEC);
}

static int close_one(void *arg, const char *name, unsigned char d_type)
{
	const int *keep = arg;
	int fd = atoi(name);

	if (fd > 2 && fd != keep[0] && fd != keep[1])
		close(fd);
	return 0;
}

/* What the caller waits for the end of, as a pipe, may be under any number. */
static void close_all_but(int fd)
{
	SCOPED_FD int dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int keep[2] = {fd, dir};

	if (dir >= 0)
		fsio_list(dir, close_one, keep);
}

/* In the child. */
static void work(struct doctor_try *t, int fd)
{
	const struct rlimit none = {0};
	int sink = open_sink();

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setrlimit(RLIMIT_CORE, &none);
	for (int i = 0; i <= 2; i++) {
		if (sink >= 0)
			dup2(sink, i);
		else
			close(i);
	}
	close_all_but(fd);
	t->fn(t->arg);
	_exit(write(fd, "", 1) == 1 ? 0 : 1);
}

/* 0 or a negative errno. */
static int begin(struct doctor_try *t, struct child *c)
{
	SCOPED_FD int from = -1;
	SCOPED_FD int to = -1;
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	from = fds[0];
	/* Not one of those that the child gives away. */
	to = fcntl(fds[1], F_DUPFD_CLOEXEC, 3);
	close(fds[1]);
	pid = to < 0 ? -1 : fork();
	if (pid == 0)
		work(t, to);
	if (pid < 0)
		return -errno;
	c->pid = pid;
	c->fd = TAKE_FD(from);
	return 0;
}

/* Its pipe says something. A process that has ended may still be on its way out. */
static void finish(struct doctor_try *t, struct child *c)
{
	char byte;
	int status = 0, waited = 0;
	pid_t r;

	t->end = read(c->fd, &byte, 1) == 1 ? DOCTOR_DONE : DOCTOR_DIED;
	t->code = 0;
	scope_close(&c->fd);
	c->fd = -1;
	while ((r = waitpid(c->pid, &status, WNOHANG)) == 0 && waited++ < REAP_MS)
		usleep(1000);
	if (r == c->pid && t->end == DOCTOR_DIED && WIFSIGNALED(status))
		t->code = WTERMSIG(status);
}

/*
 * Begins those from *next on, as many as there may be at a time: limits of processes and descriptors
 * may be low, and the others wait for the first to end. @running: those that do already.
 */
static size_t begin_more(struct doctor_try *tries, struct child *c, size_t n,
	size_t *next, size_t running)
{
	int r;

	for (; *next < n; ++*next) {
		r = begin(&tries[*next], &c[*next]);
		if (r == 0)
			running++;
		else if (running)
			break;
		else
			tries[*next].code = r;
	}
	return running;
}

/* One wait, and what has ended since. How many still run. */
static size_t pass(struct doctor_try *tries, struct child *c, struct pollfd *p,
	size_t n, double left)
{
	size_t running = 0;
	nfds_t m = 0;

	for (size_t i = 0; i < n; i++) {
		if (c[i].fd >= 0)
			p[m++] = (struct pollfd){.fd = c[i].fd, .events = POLLIN};
	}
	poll(p, m, (int)(left / MILLISECOND) + 1);
	m = 0;
	for (size_t i = 0; i < n; i++) {
		if (c[i].fd < 0)
			continue;
		if (p[m++].revents)
			finish(&tries[i], &c[i]);
		running += c[i].fd >= 0;
	}
	return running;
}

void doctor_try_all(struct doctor_try *tries, size_t n, double seconds)
{
	SCOPED_FREE struct child *c = calloc(n, sizeof(*c));
	SCOPED_FREE struct pollfd *p = calloc(n, sizeof(*p));
	double deadline = clock_now() + seconds, left = seconds;
	size_t next = 0, running = 0;

	for (size_t i = 0; i < n; i++) {
		tries[i].end = DOCTOR_DIED;
		tries[i].code = -ENOMEM;
		if (c)
			c[i].fd = -1;
	}
	if (!c || !p)
		return;
	do {
		running = begin_more(tries, c, n, &next, running);
		if (running)
			running = pass(tries, c, p, n, left);
		left = deadline - clock_now();
	} while ((running || next < n) && left > 0);
	for (size_t i = 0; i < n; i++) {
		if (c[i].fd >= 0)
			kill(c[i].pid, SIGKILL);
		if (c[i].fd >= 0 || i >= next)
			tries[i].end = DOCTOR_LATE;
		scope_close(&c[i].fd);
	}
}

const char *doctor_find_program(const char *name, char path[PATH_MAX])
{
	const char *dirs = getenv("PATH");
	size_t len;

	for (const char *p = dirs ? dirs : ""; *p; p += p[len] ? len + 1 : len) {
		len = strcspn(p, ":");
		/* Relative ones lead anywhere. */
		if (*p == '/' && len + strlen(name) + 2 <= PATH_MAX) {
			memcpy(path, p, len);
			path[len] = '/';
			strcpy(path + len + 1, name);
			if (access(path, X_OK) == 0)
				return path;
		}
	}
	return NULL;
}
