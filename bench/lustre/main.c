/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * emulated-lustre-server: one process that is all servers and all clients. See emul.h for
 * the parts, and bench/emulated-lustre, which starts it, for the model.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/scope.h"
#include "clock.h"
#include "emul.h"

#define THREADS	      32 /* a client: its calls that wait at a time */
#define OSTS_MAX      1024
#define OPEN_FILES    1000000
#define TIMER_SLACK   10000 /* ns */
#define MMAP_FROM     (64 << 20)
#define SYSFS_SECONDS 1
#define MDT_CAPACITY  (1ull << 60) /* bytes; neither full nor slow */

struct args {
	const char *back, *sysfs, *control;
	char *clients[OST_CLIENTS_MAX + 1];
	unsigned n_clients, n_observers, n_osts, threads;
	bool observer[OST_CLIENTS_MAX + 1];
};

static const char usage[] = "usage: emulated-lustre-server --back=DIR --sysfs=DIR "
			    "--control=SOCKET --osts=N\n"
			    "           [--threads=N] [--client=NAME:PID:PATH]... "
			    "[--observer=NAME:PID:PATH]\n"
			    "           [SETTING]...\n"
			    "       emulated-lustre-server ask SOCKET WORD...\n"
			    "Started by bench/emulated-lustre.\n";

static int parse(int argc, char **argv, struct args *a)
{
	static const struct option options[] = {{"back", required_argument, NULL, 'b'},
		{"sysfs", required_argument, NULL, 's'},
		{"control", required_argument, NULL, 'c'},
		{"osts", required_argument, NULL, 'o'},
		{"threads", required_argument, NULL, 't'},
		{"client", required_argument, NULL, 'C'},
		{"observer", required_argument, NULL, 'O'}, {0}};
	int k;

	while ((k = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (k) {
		case 'b':
			a->back = optarg;
			break;
		case 's':
			a->sysfs = optarg;
			break;
		case 'c':
			a->control = optarg;
			break;
		case 'o':
			a->n_osts = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 't':
			a->threads = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'C':
		case 'O':
			if (a->n_clients > OST_CLIENTS_MAX)
				return -EINVAL;
			a->observer[a->n_clients] = k == 'O';
			a->n_observers += k == 'O';
			a->clients[a->n_clients++] = optarg;
			break;
		default:
			return -EINVAL;
		}
	}
	if (!a->back || !a->sysfs || !a->control || !a->n_osts ||
		a->n_osts > OSTS_MAX || !a->threads || !a->n_clients ||
		a->n_clients - a->n_observers > OST_CLIENTS_MAX)
		return -EINVAL;
	return 0;
}

static int open_folder(int dir, const char *name)
{
	if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	return openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int open_store(struct emul *e, const struct args *a)
{
	SCOPED_FD int back = open(a->back, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	SCOPED_FD int names = back < 0 ? -1 : open_folder(back, "ns");
	int r = 0;

	if (names < 0 || fchmod(names, 0755) < 0)
		return -errno;
	e->osts = calloc((size_t)a->n_osts + 1, sizeof(*e->osts));
	e->clients = calloc(a->n_clients, sizeof(*e->clients));
	if (!e->osts || !e->clients)
		return -ENOMEM;
	e->n_osts = a->n_osts;
	e->n_clients = a->n_clients;
	for (unsigned k = 0; k <= a->n_osts && r == 0; k++) {
		char name[16] = "mdt";
		int dir;

		if (k < a->n_osts)
			snprintf(name, sizeof(name), "ost%04x", k);
		dir = open_folder(back, name);
		r = dir < 0 ? dir : ost_open(&e->osts[k], k, dir, &e->model);
	}
	e->osts[a->n_osts].capacity = MDT_CAPACITY;
	if (r == 0)
		r = mds_open(&e->mds);
	if (r == 0)
		r = inodes_open(e, names);
	if (r == 0)
		names = -1;
	return r;
}

static int start_session(struct client *c)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_lowlevel_ops ops = {0};
	char name[] = "emulated-lustre";

	ns_ops(&ops);
	file_ops(&ops);
	xattr_ops(&ops);
	if (fuse_opt_add_arg(&args, name) < 0)
		return -ENOMEM;
	c->session = fuse_session_new(&args, &ops, sizeof(ops), c);
	fuse_opt_free_args(&args);
	return c->session ? reply_attach(c) : -EIO;
}

static void *serve(void *arg)
{
	struct client *c = arg;
	struct fuse_loop_config *config = fuse_loop_cfg_create();

	fuse_loop_cfg_set_max_threads(config, c->e->threads);
	fuse_loop_cfg_set_idle_threads(config, c->e->threads);
	fuse_loop_cfg_set_clone_fd(config, 0);
	fuse_session_loop_mt(c->session, config);
	fuse_loop_cfg_destroy(config);
	return NULL;
}

static void *refresh(void *arg)
{
	for (;;) {
		clock_sleep_until(clock_now() + SYSFS_SECONDS * NS_PER_S);
		sysfs_write(arg);
	}
	return NULL;
}

static int start_thread(void *(*fn)(void *), void *arg)
{
	pthread_t t;
	int r = pthread_create(&t, NULL, fn, arg);

	if (r == 0)
		pthread_detach(t);
	return -r;
}

/* Mounts come first: their children must not be forked from many threads. */
static int start(struct emul *e, struct args *a)
{
	int index = 0, r = 0;

	for (unsigned k = 0; k < e->n_clients && r == 0; k++) {
		struct client *c = &e->clients[k];

		c->e = e;
		c->index = a->observer[k] ? -1 : index++;
		r = mount_client(c, a->clients[k]);
	}
	for (unsigned k = 0; k < e->n_clients && r == 0; k++)
		r = start_session(&e->clients[k]);
	for (unsigned k = 0; k < e->n_clients && r == 0; k++)
		r = start_thread(serve, &e->clients[k]);
	if (r == 0)
		r = start_thread(refresh, e);
	return r;
}

static void limits(void)
{
	struct rlimit files = {OPEN_FILES, OPEN_FILES};

	if (setrlimit(RLIMIT_NOFILE, &files) < 0 &&
		getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	prctl(PR_SET_TIMERSLACK, TIMER_SLACK);
	/* Buffers of a megabyte come and go: keep their pages. */
	mallopt(M_MMAP_THRESHOLD, MMAP_FROM);
	mallopt(M_TRIM_THRESHOLD, MMAP_FROM);
	umask(0);
}

int main(int argc, char **argv)
{
	struct args a = {.threads = THREADS};
	struct emul e = {.attr_cache = 60 * NS_PER_S,
		.stripe_size = 1 << 20,
		.stripe_count = 1,
		.sw = {.quota = -1},
		.started = clock_now(),
		.sysfs_lock = PTHREAD_MUTEX_INITIALIZER};
	char why[256];
	int r;

	if (argc > 3 && strcmp(argv[1], "ask") == 0)
		return control_ask(argv[2], argc - 3, argv + 3);
	if (parse(argc, argv, &a) < 0) {
		fputs(usage, stderr);
		return 2;
	}
	limits();
	e.sysfs = a.sysfs;
	e.threads = a.threads;
	r = open_store(&e, &a);
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", a.back, strerror(-r));
		return 1;
	}
	if (settings_apply(&e, argc - optind, argv + optind, why, sizeof(why)) < 0) {
		fprintf(stderr, "%s\n", why);
		return 2;
	}
	r = sysfs_write(&e);
	if (r == 0)
		r = start(&e, &a);
	if (r == 0)
		r = control_serve(&e, a.control);
	if (r < 0) {
		fprintf(stderr, "%s\n", strerror(-r));
		return 1;
	}
	/* The threads that serve end with the process, and the mounts with their descriptors. */
	_exit(0);
}
