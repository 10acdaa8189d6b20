/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What staging has put into a store, for those who have to tell it from the rest even where it
 * was cut short or is damaged. The manifest of the store says it; while a publication has not
 * ended, that of its run says what else may be in place by now.
 *
 * A record that cannot be read does not name its run, but there is only one that is sealed: each
 * run removes the others first.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "store/store_internal.h"

struct staged_look {
	struct store s; /* no more of it than `.ebt` and the open run */
	const char *shown;
	struct store_staged *out;
	store_doubt_fn *doubt;
	void *arg;
};

static void close_run(struct staged_look *l)
{
	store_close_run(&l->s);
}

/* @name in `.ebt` is not in order. Without memory nothing can be said of it. */
static int doubt(struct staged_look *l, const char *name, const struct ebt_err *why,
	bool unknown, struct ebt_err *err)
{
	if (why->code == -ENOMEM)
		return ebt_failx(err, -ENOMEM, "%s", why->text);
	l->out->unknown |= unknown;
	return l->doubt(l->arg, name, why, err);
}

/* The same where @why does not say of what. */
static int doubt_of(struct staged_look *l, const char *name, const struct ebt_err *why,
	bool unknown, struct ebt_err *err)
{
	struct ebt_err said = {0};

	ebt_failx(
		&said, why->code, "%s/" STORE_OWN "/%s: %s", l->shown, name, why->text);
	return doubt(l, name, &said, unknown, err);
}

/* The run that did not end; *id "": which it is cannot be told, or there is none. */
static int find_run(struct staged_look *l, char id[33], struct ebt_err *err)
{
	struct store_record rec = {0};
	struct ebt_err why = {0};
	int had = store_record_load(&l->s, &rec, &why), r;

	id[0] = '\0';
	if (had == 0)
		return 0;
	if (had > 0) {
		memcpy(id, rec.id, sizeof(rec.id));
		ebt_failx(&why, -EINPROGRESS,
			"a publication was cut short here (see ebt-stage --recover)");
		return doubt_of(l, "publish", &why, false, err);
	}
	r = store_sealed_run(&l->s, id, NULL);
	return doubt(l, "publish", &why, r < 0 || !id[0], err);
}

static int load_run(struct staged_look *l, const char *id, struct ebt_err *err)
{
	struct ebt_err why = {0};
	char name[64];
	int r;

	/* It was all but over. */
	if (!id[0] || (l->out->m && strcmp(l->out->m->id, id) == 0))
		return 0;
	snprintf(name, sizeof(name), "incoming/%s", id);
	r = store_open_run(&l->s, id, &why);
	if (r < 0)
		return doubt(l, name, &why, true, err);
	r = manifest_load_in(l->s.ebtfd, l->s.runfd, "manifest", &l->out->run, &why);
	return r < 0 ? doubt_of(l, name, &why, true, err) : 0;
}

int store_staged(int ebtfd, const char *path, struct store_staged *out,
	store_doubt_fn *fn, void *arg, struct ebt_err *err)
{
	char shown[512], id[33];
	SCOPED(close_run) struct staged_look l = {
		.s = {.path = (char *)path, .ebtfd = ebtfd, .runfd = -1},
		.shown = text_name(path, shown, sizeof(shown)),
		.out = out,
		.doubt = fn,
		.arg = arg,
	};
	struct ebt_err why = {0};
	int r = find_run(&l, id, err);

	if (r < 0)
		return r;
	if (faccessat(ebtfd, "manifest", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		r = errno == ENOENT ? 0 : ebt_fail(&why, -errno, "manifest");
	else
		r = manifest_load_in(ebtfd, ebtfd, "manifest", &out->m, &why);
	if (r < 0)
		r = doubt_of(&l, "manifest", &why, true, err);
	return r < 0 ? r : load_run(&l, id, err);
}

void store_staged_release(struct store_staged *staged)
{
	manifest_free(staged->m);
	manifest_free(staged->run);
}
