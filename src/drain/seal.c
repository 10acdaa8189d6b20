/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What this node tells its journal. A store may be too full for it: that is a good reason to
 * drain it, so the drain goes on. What could not be recorded is kept, and tried once more when
 * the move is over. What is still not recorded then is true, but nothing that a later run knows:
 * see drain_internal.h for what must not be freed then.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "drain/drain_internal.h"
#include "journal/journal_format.h"

static bool no_room(int r)
{
	return r == -ENOSPC || r == -EDQUOT;
}

int drain_journal_open(struct drain *d, struct ebt_err *err)
{
	SCOPED_FD int dot = openat(store_dirfd(d->store), ".ebt",
		O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (dot < 0)
		return ebt_fail(err, -errno, "%s/.ebt", d->store_path);
	return drain_journal_read(d, dot, err);
}

/* The journal cannot be used as it is: what it may prove is kept, and a new one begun. */
static void mend(struct drain *d, int dot)
{
	struct ebt_err why = {0};
	int r = d->proof.journal ? journal_mend(d->proof.journal, &why)
				 : journal_set_aside(dot, &why);

	if (r == 0 && !d->proof.journal)
		r = journal_open(dot, &d->proof.journal, &why);
	if (r == 0)
		return;
	log_warn(&d->job.log, "%s: %s: this drain has no journal", d->store_path,
		why.text);
	d->proof.no_journal = d->proof.said_no_room = true;
}

int drain_journal_read(struct drain *d, int dot, struct ebt_err *err)
{
	struct ebt_err why = {0};
	int r = journal_open(dot, &d->proof.journal, &why);

	if (r == 0 && !journal_damaged(d->proof.journal))
		return 0;
	if (r == 0)
		ebt_failx(&why, -EBADMSG, "journal .ebt/drain is damaged");
	if (d->o->strict || r == -ENOMEM)
		return ebt_failx(err, why.code, "%s: %s", d->store_path, why.text);
	ebt_failx(&d->proof.doubt, why.code, "%s: %s; what it proved is compared again",
		d->store_path, why.text);
	if (!d->o->dry_run)
		mend(d, dot);
	return 0;
}

bool drain_journal_same(const struct drain *d)
{
	const struct journal_head *h =
		d->proof.journal ? journal_head(d->proof.journal) : NULL;

	return h && strcmp(h->dest, d->dest.path) == 0 && h->atomic == d->o->atomic;
}

static void say_no_room(struct drain *d)
{
	if (!d->proof.said_no_room)
		log_warn(&d->job.log,
			"%s: no room for a journal: a drain that is killed begins "
			"anew, with --overwrite=update",
			d->store_path);
	d->proof.said_no_room = true;
}

int drain_journal_begin(struct drain *d, struct ebt_err *err)
{
	const struct journal_head *h;
	bool same;
	int r = 0;

	if (d->proof.no_journal)
		return 0;
	if (!d->proof.journal)
		r = drain_journal_open(d, err);
	if (r < 0 || d->dest.published || d->proof.no_journal)
		return r;
	h = journal_head(d->proof.journal);
	same = drain_journal_same(d);
	d->proof.journaled = same && !h->finished && h->version == JOURNAL_VERSION &&
			     strcmp(h->id, d->id) == 0;
	if (d->proof.journaled)
		return 0;
	r = journal_begin(
		d->proof.journal, d->id, d->dest.path, d->o->atomic, same, err);
	d->proof.journaled = r == 0;
	if (!no_room(r))
		return r;
	say_no_room(d);
	/* What earlier drains to DEST sealed is as true as before. */
	if (!same)
		journal_close(TAKE(d->proof.journal));
	return 0;
}

int drain_journal_finish(struct drain *d, struct ebt_err *err)
{
	const struct journal_head *h =
		d->proof.journal ? journal_head(d->proof.journal) : NULL;
	int r = 0;

	if (h && !h->finished && (d->proof.journaled || d->dest.published))
		r = journal_finish(d->proof.journal, err);
	/* The end has no room in a full store: then the next run sees that all is there. */
	return no_room(r) ? 0 : r;
}

/* Any thread. */
static int record(
	struct drain *d, const struct buf *rec, bool *proven, struct ebt_err *err)
{
	int r = -ENOSPC;

	if (!buf_ok(rec))
		return ebt_fail(err, -ENOMEM, "journal");
	if (d->proof.journaled)
		r = journal_add(d->proof.journal, rec, err);
	*proven = r == 0;
	if (!no_room(r))
		return r;
	SCOPED_LOCK(&d->lost_lock);
	say_no_room(d);
	buf_put(&d->proof.lost, rec->data, rec->len);
	return buf_ok(&d->proof.lost) ? 0 : ebt_fail(err, -ENOMEM, "journal");
}

int drain_seal(struct drain *d, const struct journal_seal *s, bool *proven,
	struct ebt_err *err)
{
	SCOPED_BUF struct buf rec = {0};

	journal_put_seal(&rec, s);
	return record(d, &rec, proven, err);
}

bool drain_note_frames(struct drain *d, const struct journal_frames *f)
{
	SCOPED_BUF struct buf rec = {0};

	journal_put_frames(&rec, f);
	return d->proof.journaled && buf_ok(&rec) &&
	       journal_add(d->proof.journal, &rec, NULL) == 0;
}

int drain_split(struct drain *d, const char *paths, uint32_t n, struct ebt_err *err)
{
	SCOPED_BUF struct buf rec = {0};
	bool proven = false;
	int r = 0;

	journal_put_split(&rec, paths, n);
	/* Nothing is recorded any more for an atomic drain that was published. */
	if (!d->dest.published)
		r = record(d, &rec, &proven, err);
	d->proof.splits_lost |= !proven;
	return r;
}

int drain_prove(struct drain *d, bool *all, struct ebt_err *err)
{
	int r = 0;

	*all = d->proof.lost.len == 0;
	if (*all)
		return 0;
	if (!d->proof.journaled)
		r = drain_journal_begin(d, err);
	if (r == 0 && d->proof.journaled)
		r = journal_add(d->proof.journal, &d->proof.lost, err);
	if (r == 0 && d->proof.journaled) {
		*all = true;
		d->proof.splits_lost = false;
		buf_release(&d->proof.lost);
	}
	return no_room(r) ? 0 : r;
}
