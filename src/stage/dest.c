/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "stage/stage_internal.h"

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

int stage_expand(const char *dest, int rank, char *out, size_t size, struct ebt_err *err)
{
	char value[256];
	size_t at = 0, n;

	for (const char *p = dest; *p; p++) {
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
					"DEST %s: only %%r, %%h, %%u and %%%% stand for something", dest);
			}
		}
		n = strlen(value);
		if (at + n >= size)
			return ebt_fail(err, -ENAMETOOLONG, "DEST %s", dest);
		memcpy(out + at, value, n);
		at += n;
	}
	out[at] = '\0';
	return at ? 0 : ebt_failx(err, -EINVAL, "DEST is empty");
}
