/* SPDX-License-Identifier: BSD-3-Clause */
/* What was found, as a line: no system call, so that tests reach every case of every site. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/scope.h"
#include "base/text.h"
#include "cmd/doctor.h"
#include "ebt/stage.h"
#include "plan/cost.h"

#define NAMES	    200 /* bytes of a list */
#define FILES_LEAST 4096

void doctor_say(struct doctor_line *line, enum doctor_state state, const char *fmt, ...)
{
	va_list ap;

	line->state = state;
	va_start(ap, fmt);
	vsnprintf(line->text, sizeof(line->text), fmt, ap);
	va_end(ap);
}

void doctor_say_more(struct doctor_line *line, const char *text)
{
	size_t len = strlen(line->text);

	snprintf(line->text + len, sizeof(line->text) - len, ": %s", text);
}

const char *doctor_state_name(enum doctor_state state)
{
	static const char *const names[] = {"unknown", "ok", "missing"};

	return names[state];
}

const char *doctor_format(const char *topic, const struct doctor_line *line, bool json,
	char out[DOCTOR_PRINTED])
{
	char text[6 * DOCTOR_TEXT - 64];

	if (json)
		snprintf(out, DOCTOR_PRINTED,
			"{\"schema\":\"ebt.stage/"
			"1\",\"type\":\"doctor\",\"topic\":\"%s\","
			"\"state\":\"%s\",\"text\":%s}\n",
			topic, doctor_state_name(line->state),
			text_json(line->text, text, sizeof(text)));
	else
		snprintf(out, DOCTOR_PRINTED, "%-11s %-8s %s\n", topic,
			doctor_state_name(line->state),
			text_name(line->text, text, sizeof(text)));
	return out;
}

/* Is @word one of the words of @list? */
static bool has_word(const char *list, const char *word)
{
	size_t len, want = strlen(word);

	for (list += strspn(list, " "); *list; list += len + strspn(list + len, " ")) {
		len = strcspn(list, " ");
		if (len == want && strncmp(list, word, want) == 0)
			return true;
	}
	return false;
}

void doctor_say_pmi(struct doctor_line *line, enum launch_mpi mpi, const char *list)
{
	const char *type = launch_srun_type(mpi, list);

	if (type)
		doctor_say(line, DOCTOR_OK, "Slurm: srun --mpi=%s", type);
	else if (!launch_pmi(mpi))
		doctor_say(line, DOCTOR_UNKNOWN,
			"Slurm: whether this MPI understands the PMI of srun only a "
			"run tells");
	else
		doctor_say(line, DOCTOR_MISSING, "Slurm: srun has no --mpi=%s",
			launch_pmi(mpi));
}

/* Adds the @len bytes at @name to the words of @list, once. */
static void add_name(char *list, size_t size, const char *name, size_t len)
{
	char word[64];
	size_t used = strlen(list);

	if (len == 0 || len >= sizeof(word))
		return;
	memcpy(word, name, len);
	word[len] = '\0';
	if (has_word(list, word) || used + len + 2 > size)
		return;
	sprintf(list + used, "%s%s", used ? " " : "", word);
}

/* Network devices: what is in this node alone has such names. */
static bool is_device(const char *name, size_t len)
{
	return strncmp(name, "memory", 6) != 0 &&
	       !(len == 2 && !strncmp(name, "lo", 2));
}

/*
 * "# resource 1 : md 1 dev 1 flags -- tcp/eth0" of a context; "# Transport: tcp" and
 * "# Device: eth0" of ucx_info.
 */
static void read_ucx(const char *info, char *transports, char *devices)
{
	const char *key, *slash;
	size_t len;

	for (const char *p = info; *p; p += *p == '\n') {
		len = strcspn(p, "\n");
		key = memmem(p, len, " -- ", 4);
		slash = key ? memchr(key, '/', (size_t)(p + len - key)) : NULL;
		if (slash) {
			add_name(transports, NAMES, key + 4, (size_t)(slash - key - 4));
			key = slash + 1;
		} else if ((key = memmem(p, len, "Transport: ", 11))) {
			key += 11;
			add_name(transports, NAMES, key, strcspn(key, " \n"));
			key = NULL;
		} else if ((key = memmem(p, len, "Device: ", 8))) {
			key += 8;
		}
		if (key && is_device(key, strcspn(key, " \n")))
			add_name(devices, NAMES, key, strcspn(key, " \n"));
		p += len;
	}
}

void doctor_say_ucx(struct doctor_line *line, const char *whose, const char *info,
	const char *tls, const char *devices)
{
	char transports[NAMES] = "", found[NAMES] = "", set[160] = "";

	read_ucx(info, transports, found);
	snprintf(set, sizeof(set), "%s%.60s%s%.60s", tls ? "; UCX_TLS=" : "",
		tls ? tls : "", devices ? "; UCX_NET_DEVICES=" : "",
		devices ? devices : "");
	if (!*transports)
		doctor_say(line, DOCTOR_MISSING, "%s finds no transport%s", whose, set);
	else if (!*found)
		doctor_say(line, DOCTOR_MISSING, "%s: %s, no network device%s", whose,
			transports, set);
	else
		doctor_say(line, DOCTOR_OK, "%s: %s; devices %s%s", whose, transports,
			found, set);
}

void doctor_say_link(struct doctor_line *line, double rate, const char *name)
{
	char text[TEXT_SIZE];

	if (rate > 0)
		doctor_say(line, DOCTOR_OK, "%s, %s per direction in plans", name,
			text_rate(rate, text));
	else
		doctor_say(line, DOCTOR_UNKNOWN,
			"no interface tells its rate: plans take %s (--link)",
			text_rate(COST_LINK, text));
}

void doctor_say_built_in(struct doctor_line *line, const char *has, const char *lacks)
{
	if (*lacks)
		doctor_say(line, DOCTOR_MISSING, "%s%snot built in: %s", has,
			*has ? "; " : "", lacks);
	else
		doctor_say(line, DOCTOR_OK, "%s", has);
}

void doctor_say_memory(struct doctor_line *line, int code, uint64_t bytes)
{
	char text[TEXT_SIZE], least[TEXT_SIZE];

	text_size((double)bytes, text);
	if (code < 0)
		doctor_say(line, DOCTOR_UNKNOWN, "/proc/meminfo: %s", strerror(-code));
	else if (bytes < EBT_STAGE_MEMORY)
		doctor_say(line, DOCTOR_MISSING,
			"%s free, less than the %s of --memory", text,
			text_size((double)EBT_STAGE_MEMORY, least));
	else
		doctor_say(line, DOCTOR_OK, "%s free, by the machine and its cgroups",
			text);
}

void doctor_say_files(struct doctor_line *line, uint64_t now, uint64_t most)
{
	if (most < FILES_LEAST)
		doctor_say(line, DOCTOR_MISSING, "%llu open files at most",
			(unsigned long long)most);
	else if (now == most)
		doctor_say(
			line, DOCTOR_OK, "%llu open files", (unsigned long long)most);
	else
		doctor_say(line, DOCTOR_OK, "%llu open files, which a run makes %llu",
			(unsigned long long)now, (unsigned long long)most);
}

static const char *unit_name(uint64_t unit, char out[48])
{
	if (unit == 1)
		return "nanoseconds";
	if (unit == 1000000000)
		return "whole seconds";
	snprintf(out, 48, "units of %llu ns", (unsigned long long)unit);
	return out;
}

/* The year of an end that is one for files of today, else "". */
static const char *year_of(int64_t seconds, const char *word, char out[32])
{
	time_t t = seconds;
	struct tm tm;

	out[0] = '\0';
	if (gmtime_r(&t, &tm) && tm.tm_year < 9999 && tm.tm_year > -1900)
		snprintf(out, 32, "%s%d", word, tm.tm_year + 1900);
	return out;
}

void doctor_say_times(struct doctor_line *line, const struct fsio_times *t)
{
	char unit[48], from[32], to[32];

	if (t->unit == 0)
		doctor_say(line, DOCTOR_MISSING, "no rule by which times are kept");
	else
		doctor_say(line,
			t->unit == 1 && t->max > UINT32_MAX ? DOCTOR_OK
							    : DOCTOR_MISSING,
			"%s%s%s", unit_name(t->unit, unit),
			year_of(t->min, " from ", from), year_of(t->max, " to ", to));
}

static bool is_shared(const char *type)
{
	static const char *const shared[] = {"lustre", "beegfs", "gpfs", "nfs", "nfs4",
		"ceph", "cifs", "smb3", "afs", "pvfs2", "panfs", "wekafs"};

	for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++)
		if (strcmp(type, shared[i]) == 0)
			return true;
	return false;
}

void doctor_say_place(struct doctor_line *line, const struct doctor_place *p)
{
	bool there = strcmp(p->path, p->at) == 0, shared = is_shared(p->type);

	doctor_say(line,
		p->local && !shared ? DOCTOR_OK
		: shared	    ? DOCTOR_MISSING
				    : DOCTOR_UNKNOWN,
		"%.150s%s%.100s: %s, %s", p->path, there ? "" : ", to be made in ",
		there ? "" : p->at, *p->type ? p->type : "a file system without a name",
		p->in_memory ? "in memory"
		: shared     ? "shared by nodes"
		: p->local   ? "this node's alone"
			     : "perhaps shared by nodes: then DEST needs %h");
}

static uint64_t keep_free(uint64_t total)
{
	uint64_t share = (uint64_t)((double)total * EBT_STAGE_KEEP_FREE);

	return share < EBT_STAGE_KEEP_FREE_MOST ? share : EBT_STAGE_KEEP_FREE_MOST;
}

void doctor_say_room(struct doctor_line *line, const struct doctor_room *r)
{
	char avail[TEXT_SIZE], total[TEXT_SIZE], keep[TEXT_SIZE], inodes[64] = "";
	uint64_t kept = keep_free(r->total);

	if (!r->total) {
		doctor_say(line, DOCTOR_OK, "no bound of its own%s",
			r->in_memory ? " but memory" : "");
		return;
	}
	if (r->files)
		snprintf(inodes, sizeof(inodes), ", %llu inodes",
			(unsigned long long)r->favail);
	text_size((double)r->avail, avail);
	text_size((double)r->total, total);
	if (r->avail <= kept)
		doctor_say(line, DOCTOR_MISSING,
			"%s free of %s, and --keep-free leaves %s%s", avail, total,
			text_size((double)kept, keep), inodes);
	else if (r->files && !r->favail)
		doctor_say(line, DOCTOR_MISSING, "%s free of %s, but no inode", avail,
			total);
	else
		doctor_say(line, DOCTOR_OK, "%s free of %s, of which %s are kept%s",
			avail, total, text_size((double)kept, keep), inodes);
}

void doctor_mount_type(const char *mountinfo, uint64_t id, char *type, size_t size)
{
	unsigned long long got;
	const char *dash;
	size_t len;

	type[0] = '\0';
	for (const char *p = mountinfo; *p; p += *p == '\n') {
		len = strcspn(p, "\n");
		dash = memmem(p, len, " - ", 3);
		if (dash && sscanf(p, "%llu ", &got) == 1 && got == id)
			snprintf(type, size, "%.*s", (int)strcspn(dash + 3, " \n"),
				dash + 3);
		p += len;
	}
}

/* Four characters "\040" as fstab(5) has them. */
static bool is_octal(const char *p)
{
	return p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' &&
	       p[2] <= '7' && p[3] >= '0' && p[3] <= '7';
}

static bool take_point(const char *p, size_t len, char *point, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (n + 1 >= size)
			return false;
		point[n] = p[i];
		if (len - i >= 4 && is_octal(p + i)) {
			point[n] = (char)((p[i + 1] - '0') << 6 |
					  (p[i + 2] - '0') << 3 | (p[i + 3] - '0'));
			i += 3;
		}
		n++;
	}
	point[n] = '\0';
	return n > 0;
}

/* source point type options, fstab(5) */
bool doctor_lustre_mount(const char **at, char *point, size_t size)
{
	const char *p, *type;
	size_t len, path;

	while (**at) {
		p = *at;
		*at += strcspn(*at, "\n");
		*at += **at == '\n';
		p += strcspn(p, " \n");
		p += *p == ' ';
		path = strcspn(p, " \n");
		type = p + path + (p[path] == ' ');
		len = strcspn(type, " \n");
		if (len == 6 && strncmp(type, "lustre", 6) == 0 &&
			take_point(p, path, point, size))
			return true;
	}
	return false;
}

void doctor_lustre_version(const char *text, char *version, size_t size)
{
	const char *p = strstr(text, "lustre: ");

	p = p ? p + 8 : text + strspn(text, " \n");
	snprintf(version, size, "%.*s", (int)strcspn(p, " \n"), p);
}
