/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A client's mount: /dev/fuse is opened here and mounted by a child in the mount namespace
 * of another process, so that a node of an emulated cluster sees it and nobody else does.
 * libfuse gets the descriptor and never mounts or unmounts.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/scope.h"
#include "emul.h"

static int mount_there(int fd, const char *pid, const char *path)
{
	char namespace[64], options[128];
	SCOPED_FD int ns = -1;

	if (strcmp(pid, "0") != 0) {
		snprintf(namespace, sizeof(namespace), "/proc/%s/ns/mnt", pid);
		ns = open(namespace, O_RDONLY | O_CLOEXEC);
		if (ns < 0 || setns(ns, CLONE_NEWNS) < 0)
			return errno;
	}
	snprintf(options, sizeof(options),
		"fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,"
		"default_permissions",
		fd);
	if (mount(EMUL_SERVER ":/" EMUL_FS, path, "fuse.lustre", 0, options) < 0)
		return errno;
	return 0;
}

int mount_client(struct client *c, char *spec)
{
	char *name = strsep(&spec, ":"), *pid = strsep(&spec, ":"), *path = spec;
	int status = 0;
	pid_t child;

	if (!path || !*path) {
		fprintf(stderr, "client \"%s\": not NAME:PID:PATH\n", name);
		return -EINVAL;
	}
	c->name = name;
	c->fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (c->fd < 0) {
		fprintf(stderr, "/dev/fuse: %s\n", strerror(errno));
		return -errno;
	}
	child = fork();
	if (child < 0)
		return -errno;
	if (child == 0)
		_exit(mount_there(c->fd, pid, path));
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		fprintf(stderr, "%s: mount on %s: %s\n", name, path,
			WIFEXITED(status) ? strerror(WEXITSTATUS(status)) : "killed");
		return -EIO;
	}
	return 0;
}
