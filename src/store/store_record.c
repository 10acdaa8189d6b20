/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The record of a publication: .ebt/publish, four lines of text, so that it can be read
 * when something went wrong:
 *
 *   ebt publish 1
 *   id 0123456789abcdef0123456789abcdef
 *   overwrite refuse
 *   boot 8bd2a6a1-2c15-4d0c-a9d0-34a5e1f3a6f7
 *
 * It is synced, the files it speaks of are not: node-local storage is for the job, and
 * syncing terabytes would cost more than reading them again after a crash of the node.
 * The boot ID tells whether that happened.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "fsio/fsio.h"
#include "store/store_internal.h"

#define RECORD	       "publish"
#define RECORD_VERSION 1
#define RECORD_MAX     4096

static const char *const policies[] = {[STORE_REFUSE] = "refuse",
	[STORE_ALWAYS] = "always",
	[STORE_UPDATE] = "update"};
#define N_POLICIES (sizeof(policies) / sizeof(policies[0]))

static int damaged(
	const struct store *s, int code, const char *what, struct ebt_err *err)
{
	char shown[512];

	return ebt_failx(err, code, "%s/" STORE_OWN "/" RECORD ": %s",
		text_name(s->path, shown, sizeof(shown)), what);
}

int store_record_load(struct store *s, struct store_record *rec, struct ebt_err *err)
{
	SCOPED_BUF struct buf b = {0};
	struct store_record got;
	char policy[16];
	unsigned version;
	size_t how = 0;
	int r;

	if (faccessat(s->ebtfd, RECORD, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
		errno == ENOENT)
		return 0;
	r = fsio_load(s->ebtfd, RECORD, RECORD_MAX, &b, err);
	if (r < 0)
		return r;
	buf_put8(&b, 0);
	if (!buf_ok(&b))
		return ebt_fail(err, -ENOMEM, "record");
	if (sscanf((char *)b.data, "ebt publish %u\n", &version) != 1)
		return damaged(s, -EBADMSG, "damaged", err);
	if (version != RECORD_VERSION)
		return damaged(s, -EPROTONOSUPPORT, "of a later version of EBT", err);
	if (sscanf((char *)b.data,
		    "ebt publish %*u\nid %32s\noverwrite %15s\nboot %39s\n", got.id,
		    policy, got.boot) != 3 ||
		!store_id_ok(got.id))
		return damaged(s, -EBADMSG, "damaged", err);
	while (how < N_POLICIES && strcmp(policies[how], policy) != 0)
		how++;
	if (how == N_POLICIES)
		return damaged(s, -EBADMSG, "damaged", err);
	got.how = (enum store_overwrite)how;
	*rec = got;
	return 1;
}

int store_record_save(
	struct store *s, const struct store_record *rec, struct ebt_err *err)
{
	char text[256];
	int n = snprintf(text, sizeof(text),
		"ebt publish %d\nid %s\noverwrite %s\nboot %s\n", RECORD_VERSION,
		rec->id, policies[rec->how], rec->boot);

	return fsio_save(s->ebtfd, RECORD, text, (size_t)n, err);
}

int store_record_drop(struct store *s, struct ebt_err *err)
{
	if (unlinkat(s->ebtfd, RECORD, 0) < 0 && errno != ENOENT)
		return damaged(s, -errno, "cannot be removed", err);
	/* Or it could come back after a crash, when what it speaks of is gone. */
	if (fsync(s->ebtfd) < 0 && errno != EINVAL)
		return damaged(s, -errno, "cannot be synced", err);
	return 0;
}

int store_pending(
	struct store *s, char id[33], enum store_overwrite *how, struct ebt_err *err)
{
	struct store_record rec = {0};
	int r = store_record_load(s, &rec, err);

	if (r < 0)
		return r;
	memcpy(id, rec.id, sizeof(rec.id));
	if (how)
		*how = rec.how;
	return 0;
}

int store_commit(
	struct store *s, const char *id, enum store_overwrite how, struct ebt_err *err)
{
	struct store_record rec = {.how = how, .boot = "unknown"};
	SCOPED_BUF struct buf b = {0};
	int r = store_has_incoming(s, id);

	if (r <= 0)
		return damaged(
			s, r < 0 ? r : -ENOENT, "nothing sealed to publish", err);
	strcpy(rec.id, id);
	r = store_open_run(s, id, err);
	if (r < 0)
		return r;
	/* The boot of sealing, not ours: unknown counts as another one. */
	if (fsio_load(s->runfd, "boot", 36, &b, NULL) == 0 && b.len == 36)
		memcpy(rec.boot, b.data, b.len);
	return store_record_save(s, &rec, err);
}

int store_uncommit(struct store *s, const char *id, struct ebt_err *err)
{
	char pending[33];
	int r = store_pending(s, pending, NULL, err);

	return r == 0 && strcmp(pending, id) == 0 ? store_record_drop(s, err) : r;
}
