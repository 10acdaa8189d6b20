/* SPDX-License-Identifier: BSD-3-Clause */
/* What the rules need to know, and their outcome in words. */
#include "drain/quota.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/scope.h"
#include "base/text.h"

void quota_of_dir(int dirfd, struct quota_of *of)
{
	struct stat st;

	*of = (struct quota_of){.id = {geteuid(), getegid(), 0}};
	if (dirfd < 0)
		return;
	if (fstat(dirfd, &st) == 0 && st.st_mode & S_ISGID)
		of->id[FSIO_QUOTA_GROUP] = st.st_gid;
	of->id[FSIO_QUOTA_PROJECT] = fsio_project_of(dirfd);
}

unsigned quota_ask(int dirfd, const struct quota_of *of, int code, uint64_t bytes,
	uint64_t in_work)
{
	struct quota_need need = {
		.bytes = bytes, .in_work = in_work, .now = (int64_t)time(NULL)};
	enum quota_says says[QUOTA_TYPES] = {QUOTA_NONE};
	struct fsio_quota q;
	int i = code == -ENOSPC ? FSIO_QUOTA_PROJECT : 0;

	for (; dirfd >= 0 && i < QUOTA_TYPES; i++) {
		int r = 1;

		if (i != FSIO_QUOTA_PROJECT || of->id[i])
			r = fsio_quota_of(
				dirfd, (enum fsio_quota_type)i, of->id[i], &q);
		says[i] = quota_judge(r, &q, &need);
	}
	return quota_whose(code, says);
}

/* "user NAME (5)" or "project 5" */
static void name(int type, uint32_t id, char *out, size_t cap)
{
	static const char *const types[] = {"user", "group", "project"};
	SCOPED_FREE char *text = NULL;
	const char *found = NULL;
	struct passwd pw, *user;
	struct group gr, *group;
	char shown[64];

	if (type == FSIO_QUOTA_USER && (user = fsio_user(id, &pw, &text)))
		found = user->pw_name;
	if (type == FSIO_QUOTA_GROUP && (group = fsio_group(id, &gr, &text)))
		found = group->gr_name;
	if (found)
		snprintf(out, cap, "%s %s (%u)", types[type],
			text_name(found, shown, sizeof(shown)), id);
	else
		snprintf(out, cap, "%s %u", types[type], id);
}

const char *quota_text(int code, unsigned whose, const struct quota_of *of, char *out)
{
	size_t n = 0;
	char one[96];

	*out = '\0';
	if (!whose && code != -EDQUOT)
		return out;
	if (!whose) {
		n = (size_t)snprintf(out, QUOTA_TEXT, "counted for user %u, group %u",
			of->id[FSIO_QUOTA_USER], of->id[FSIO_QUOTA_GROUP]);
		if (of->id[FSIO_QUOTA_PROJECT])
			snprintf(out + n, QUOTA_TEXT - n, ", project %u",
				of->id[FSIO_QUOTA_PROJECT]);
		return out;
	}
	for (int i = 0; i < QUOTA_TYPES; i++) {
		if (!(whose >> i & 1))
			continue;
		name(i, of->id[i], one, sizeof(one));
		n += (size_t)snprintf(out + n, QUOTA_TEXT - n, "%s %s",
			n ? " and of" : "quota of", one);
	}
	return out;
}

void quota_add(struct ebt_err *err, unsigned whose, const struct quota_of *of)
{
	struct ebt_err before = *err;
	char text[QUOTA_TEXT];

	if (*quota_text(err->code, whose, of, text))
		ebt_failx(err, before.code, "%.*s (%s)",
			(int)(EBT_ERR_TEXT - sizeof(" ()") - strlen(text)), before.text,
			text);
}
