/* SPDX-License-Identifier: BSD-3-Clause */
/* What this build and this node have: libraries, a client of Lustre, memory, descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "archive/unarchive.h"
#include "base/scope.h"
#include "base/text.h"
#include "cmd/cmd.h"
#include "cmd/doctor.h"
#include "codec/block.h"
#include "codec/decode.h"
#include "pfs/pfs.h"

#define MOUNTS	   (4u << 20) /* bytes */
#define VERSION	   65536      /* of a file in /sys, whatever is in it */
#define POINTS_MAX 3

static void say_parts(struct doctor_line *line, const struct cmd_part *parts, size_t n)
{
	char has[CMD_PARTS_TEXT], lacks[CMD_PARTS_TEXT];

	doctor_say_built_in(line, cmd_join_parts(parts, n, true, has),
		cmd_join_parts(parts, n, false, lacks));
}

void doctor_look_compression(const struct doctor_dest *d, struct doctor_line *line)
{
	struct cmd_part parts[BLOCK_ZSTD];

	for (uint32_t i = 0; i < BLOCK_ZSTD; i++)
		parts[i] = (struct cmd_part){block_name(i + 1), block_has(i + 1)};
	say_parts(line, parts, BLOCK_ZSTD);
}

void doctor_look_archives(const struct doctor_dest *d, struct doctor_line *line)
{
	struct cmd_part parts[1 + CODEC_LZ4] = {{"libarchive", unarchive_built_in()}};

	for (int i = CODEC_NONE + 1; i <= CODEC_LZ4; i++)
		parts[i] = (struct cmd_part){
			codec_name((enum codec)i), codec_decodes((enum codec)i)};
	say_parts(line, parts, 1 + CODEC_LZ4);
}

/* A text file of the kernel, or NULL; the caller frees it. */
static char *load_text(const char *path, size_t max)
{
	SCOPED_BUF struct buf b = {0};

	if (fsio_load(AT_FDCWD, path, max, &b, NULL) < 0)
		return NULL;
	buf_put8(&b, 0);
	return buf_ok(&b) ? (char *)TAKE(b.data) : NULL;
}

/* "/scratch: 32 targets, 31 usable" behind what @text has. False: they are not told. */
static bool add_targets(const char *point, char *text, size_t size)
{
	SCOPED_TARGETS struct pfs_targets *t = NULL;
	struct ebt_err err = {0};
	size_t len = strlen(text), usable = 0;
	int r = pfs_targets(PFS_LUSTRE, point, &t, &err);

	if (r == 1) {
		for (size_t i = 0; i < t->count; i++)
			usable += pfs_target_usable(&t->target[i]);
		snprintf(text + len, size - len, "; %.60s: %zu targets, %zu usable",
			point, t->count, usable);
	} else {
		snprintf(text + len, size - len, "; %.60s: no targets are told%s%.120s",
			point, r < 0 ? ", " : "", r < 0 ? err.text : "");
	}
	return r == 1;
}

static void find_version(char version[64])
{
	SCOPED_FREE char *text = load_text("/sys/fs/lustre/version", VERSION);

	if (!text)
		text = load_text("/proc/fs/lustre/version", VERSION);
	if (text)
		doctor_lustre_version(text, version, 64);
	else
		strcpy(version, "of unknown version");
}

void doctor_look_lustre(const struct doctor_dest *d, struct doctor_line *line)
{
	SCOPED_FREE char *mounts = load_text("/proc/self/mounts", MOUNTS);
	const char *at = mounts, *emulated = getenv("EBT_LUSTRE_SYSFS");
	char point[PATH_MAX], version[64], text[DOCTOR_TEXT];
	unsigned n = 0, told = 0;

	find_version(version);
	snprintf(text, sizeof(text), "client %s", version);
	while (mounts && n < POINTS_MAX &&
		doctor_lustre_mount(&at, point, sizeof(point))) {
		n++;
		told += add_targets(point, text, sizeof(text));
	}
	if (n == 0 && emulated) {
		snprintf(text, sizeof(text), "EBT_LUSTRE_SYSFS");
		n = 1;
		told = add_targets(emulated, text, sizeof(text));
	}
	if (n == 0 && !mounts)
		doctor_say(line, DOCTOR_UNKNOWN, "/proc/self/mounts cannot be read");
	else if (n == 0)
		doctor_say(line, DOCTOR_MISSING, "none is mounted");
	else
		doctor_say(line, told == n ? DOCTOR_OK : DOCTOR_MISSING, "%s", text);
}

void doctor_look_memory(const struct doctor_dest *d, struct doctor_line *line)
{
	uint64_t bytes = 0;
	int r = fsio_free_memory(&bytes);

	doctor_say_memory(line, r, bytes);
}

void doctor_look_files(const struct doctor_dest *d, struct doctor_line *line)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		doctor_say(line, DOCTOR_UNKNOWN, "%s", strerror(errno));
	else
		doctor_say_files(line, limit.rlim_cur, limit.rlim_max);
}
