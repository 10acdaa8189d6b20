/* SPDX-License-Identifier: BSD-3-Clause */
/* Incoming trees found again: which there are, which is whole, the one that is open. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "fsio/fsio.h"
#include "store/store_internal.h"

bool store_id_ok(const char *id)
{
	return strlen(id) == 32 && strspn(id, "0123456789abcdef") == 32;
}

int store_fail_run(const struct store *s, int code, const char *id, struct ebt_err *err)
{
	char shown[512];

	return ebt_fail(err, code, "%s/" STORE_OWN "/" STORE_INCOMING "/%s",
		text_name(s->path, shown, sizeof(shown)), id);
}

int store_open_incoming(const struct store *s)
{
	int fd = openat(s->ebtfd, STORE_INCOMING,
		O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

void store_close_run(struct store *s)
{
	scope_close(&s->runfd);
	s->runfd = -1;
	s->id[0] = '\0';
}

int store_open_run(struct store *s, const char *id, struct ebt_err *err)
{
	SCOPED_FD int incoming = -1;
	int fd;

	if (!store_id_ok(id))
		return store_fail_run(s, -EINVAL, "(bad ID)", err);
	if (s->runfd >= 0 && strcmp(s->id, id) == 0)
		return 0;
	incoming = store_open_incoming(s);
	if (incoming < 0)
		return store_fail_run(s, incoming, id, err);
	fd = openat(incoming, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return store_fail_run(s, -errno, id, err);
	store_close_run(s);
	s->runfd = fd;
	strcpy(s->id, id);
	return 0;
}

int store_has_incoming(struct store *s, const char *id)
{
	SCOPED_FD int incoming = -1;
	char name[64];

	if (!store_id_ok(id))
		return -EINVAL;
	incoming = store_open_incoming(s);
	if (incoming < 0)
		return incoming == -ENOENT ? 0 : incoming;
	/*
	 * The manifest is the last thing that sealing writes and the first that goes.
	 */
	snprintf(name, sizeof(name), "%s/manifest", id);
	if (faccessat(incoming, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT ? 0 : -errno;
}

struct sealed {
	struct store *s;
	char *id;
};

static int find_sealed(void *arg, const char *name, unsigned char d_type)
{
	struct sealed *f = arg;

	if (store_id_ok(name) && store_has_incoming(f->s, name) == 1)
		strcpy(f->id, name);
	return 0;
}

int store_sealed_run(struct store *s, char id[33], struct ebt_err *err)
{
	struct sealed f = {.s = s, .id = id};
	SCOPED_FD int incoming = store_open_incoming(s);
	int r;

	id[0] = '\0';
	if (incoming == -ENOENT)
		return 0;
	r = incoming < 0 ? incoming : fsio_list(incoming, find_sealed, &f);
	return r < 0 ? store_fail_run(s, r, "", err) : 0;
}
