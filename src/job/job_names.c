/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fsio/fsio.h"
#include "job/job.h"

/* The login name; the number where the node has no name for it, as in many containers. */
static void user_name(char *out, size_t size)
{
	struct passwd pw, *found = NULL;
	char text[4096];

	if (getpwuid_r(geteuid(), &pw, text, sizeof(text), &found) == 0 && found)
		snprintf(out, size, "%s", pw.pw_name);
	else
		snprintf(out, size, "%u", (unsigned)geteuid());
}

int job_expand(const char *path, const char *what, int rank, char *out, size_t size,
	struct ebt_err *err)
{
	char value[256];
	size_t at = 0, n;

	for (const char *p = path; *p; p++) {
		value[0] = *p;
		value[1] = '\0';
		if (*p == '%') {
			switch (*++p) {
			case 'r':
				snprintf(value, sizeof(value), "%d", rank);
				break;
			case 'h':
				gethostname(value, sizeof(value) - 1);
				value[sizeof(value) - 1] = '\0';
				break;
			case 'u':
				user_name(value, sizeof(value));
				break;
			case '%':
				break;
			default:
				return ebt_failx(err, -EINVAL,
					"%s %s: only %%r, %%h, %%u and %%%% stand for "
					"something",
					what, path);
			}
		}
		n = strlen(value);
		if (at + n >= size)
			return ebt_fail(err, -ENAMETOOLONG, "%s %s", what, path);
		memcpy(out + at, value, n);
		at += n;
	}
	out[at] = '\0';
	if (!at)
		return ebt_failx(err, -EINVAL, "%s is empty", what);
	if (fsio_cwd_gone(out))
		return ebt_failx(err, -ENOENT, "%s %s: " FSIO_CWD_GONE, what, path);
	return 0;
}
