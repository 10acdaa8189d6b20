/* SPDX-License-Identifier: BSD-3-Clause */
/* Users and groups by their numbers: an entry of a database may be long, as a group's members are. */
#include <errno.h>
#include <stdlib.h>

#include "fsio/fsio.h"

#define NAMES_MAX (16u << 20) /* bytes of an entry */

struct passwd *fsio_user(uid_t uid, struct passwd *pw, char **buf)
{
	struct passwd *found = NULL;
	int r = ERANGE;

	for (size_t size = 1024; r == ERANGE && size <= NAMES_MAX; size *= 4) {
		free(*buf);
		*buf = malloc(size);
		r = *buf ? getpwuid_r(uid, pw, *buf, size, &found) : ENOMEM;
	}
	return r == 0 ? found : NULL;
}

struct group *fsio_group(gid_t gid, struct group *gr, char **buf)
{
	struct group *found = NULL;
	int r = ERANGE;

	for (size_t size = 1024; r == ERANGE && size <= NAMES_MAX; size *= 4) {
		free(*buf);
		*buf = malloc(size);
		r = *buf ? getgrgid_r(gid, gr, *buf, size, &found) : ENOMEM;
	}
	return r == 0 ? found : NULL;
}
