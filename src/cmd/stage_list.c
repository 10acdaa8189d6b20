/* SPDX-License-Identifier: BSD-3-Clause */
/* --list: what a store holds by EBT's hand, on this node. Reads the manifest only. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/text.h"
#include "cmd/stage_cmd.h"
#include "fsio/fsio.h"
#include "store/store.h"

static void mode_text(const struct manifest_entry *e, char out[11])
{
	static const char bits[] = "rwxrwxrwx";

	out[0] = e->kind == MANIFEST_DIR       ? 'd'
		 : e->kind == MANIFEST_SYMLINK ? 'l'
					       : '-';
	for (int i = 0; i < 9; i++)
		out[i + 1] = e->mode >> (8 - i) & 1 ? bits[i] : '-';
	if (e->mode & 04000)
		out[3] = e->mode & 0100 ? 's' : 'S';
	if (e->mode & 02000)
		out[6] = e->mode & 0010 ? 's' : 'S';
	if (e->mode & 01000)
		out[9] = e->mode & 0001 ? 't' : 'T';
	out[10] = '\0';
}

static void list_text(const struct manifest *m, uint32_t i, const char *name)
{
	const struct manifest_entry *e = &m->entries[i], *head = e;
	char mode[11], when[32] = "", target[4200], digest[33] = "-";
	time_t t = (time_t)e->mtime;
	struct tm tm;

	mode_text(e, mode);
	if (localtime_r(&t, &tm))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	if (e->group != MANIFEST_NONE)
		head = &m->entries[e->group];
	/* Of what is still in its archive none is known. */
	if (e->kind == MANIFEST_FILE && *m->id)
		snprintf(digest, sizeof(digest), "%016" PRIx64 "%016" PRIx64,
			head->digest.hi, head->digest.lo);
	printf("%s %5u %5u %12" PRIu64 " %s %s %s", mode, e->uid, e->gid, e->size, when,
		digest, name);
	if (e->kind == MANIFEST_SYMLINK)
		printf(" -> %s", text_name(e->target, target, sizeof(target)));
	putchar('\n');
}

static void list_json(const struct manifest *m, uint32_t i, const char *path)
{
	static const char *const kinds[] = {"", "dir", "file", "symlink"};
	const struct manifest_entry *e = &m->entries[i], *head = e;
	char name[3 * 4096], text[3 * 4096];

	if (e->group != MANIFEST_NONE)
		head = &m->entries[e->group];
	printf("{\"schema\":\"ebt.manifest/"
	       "1\",\"path\":%s,\"kind\":\"%s\",\"mode\":\"%04o\","
	       "\"uid\":%u,\"gid\":%u,\"size\":%" PRIu64 ",\"mtime\":%" PRId64
	       ",\"mtime_ns\":%u",
		text_json(path, name, sizeof(name)), kinds[e->kind], e->mode, e->uid,
		e->gid, e->size, e->mtime, e->mtime_ns);
	if (e->kind == MANIFEST_FILE && *m->id)
		printf(",\"digest\":\"%016" PRIx64 "%016" PRIx64 "\"", head->digest.hi,
			head->digest.lo);
	if (e->kind == MANIFEST_SYMLINK)
		printf(",\"target\":%s", text_json(e->target, text, sizeof(text)));
	if (e->group != MANIFEST_NONE && e->group != i &&
		manifest_path(m, e->group, text, sizeof(text)) >= 0)
		printf(",\"link\":%s", text_json(text, name, sizeof(name)));
	if (manifest_source_path(m, i, text, sizeof(text)) >= 0)
		printf(",\"source\":%s", text_json(text, name, sizeof(name)));
	puts("}");
}

void cmd_stage_list_manifest(const struct cmd_stage *o, const struct manifest *m)
{
	char path[8192], name[4 * 4096];

	for (uint32_t i = 0; i < m->count; i++) {
		if (manifest_path(m, i, path, sizeof(path)) < 0)
			continue;
		if (o->common.json)
			list_json(m, i, path);
		else
			list_text(m, i, text_name(path, name, sizeof(name)));
	}
}

int cmd_stage_list(const struct cmd_stage *o, struct ebt_err *err)
{
	SCOPED_MANIFEST struct manifest *m = NULL;
	char name[512];
	int r;

	if (fsio_cwd_gone(o->store))
		return ebt_failx(err, -ENOENT, "STORE %s: " FSIO_CWD_GONE,
			text_name(o->store, name, sizeof(name)));
	r = store_peek(o->store, &m, err);
	if (r < 0)
		return r;
	cmd_stage_list_manifest(o, m);
	return ferror(stdout) ? ebt_fail(err, -EIO, "standard output") : 0;
}
