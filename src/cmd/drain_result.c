/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/scope.h"
#include "base/text.h"
#include "cmd/drain_cmd.h"

#define SCHEMA "\"schema\":\"ebt.drain/1\""

static double rate_of(const struct ebt_drain_report *rep)
{
	return rep->seconds > 0 ? (double)rep->bytes / rep->seconds : 0;
}

/* Calls that a metadata server sees, but for those that make directories. */
static uint64_t calls_of(const struct ebt_drain_report *rep)
{
	return rep->creates + rep->layouts + rep->opens + rep->setattrs + rep->renames +
	       rep->others;
}

static double calls_per_file(const struct ebt_drain_report *rep)
{
	return rep->files ? (double)calls_of(rep) / (double)rep->files : 0;
}

/* Largest by mean of those targets of a pool that stayed in use; 0: there are none. */
static double level_in(const struct ebt_drain_report *rep, uint32_t pool)
{
	uint64_t most = 0, sum = 0;
	uint32_t n = 0;

	for (uint32_t i = 0; i < rep->n_targets; i++) {
		const struct ebt_drain_target *t = &rep->target[i];

		if (t->avoided || t->unused || t->pool != pool)
			continue;
		most = t->bytes > most ? t->bytes : most;
		sum += t->bytes;
		n++;
	}
	return sum ? (double)most * n / (double)sum : 0;
}

/* Of the pool that is least so. */
static double level_of(const struct ebt_drain_report *rep)
{
	double most = 0, one;
	uint32_t pools = 0;

	for (uint32_t i = 0; i < rep->n_targets; i++) {
		if (rep->target[i].pool != EBT_DRAIN_NO_POOL &&
			rep->target[i].pool >= pools)
			pools = rep->target[i].pool + 1;
	}
	for (uint32_t k = 0; k < pools; k++) {
		one = level_in(rep, k);
		most = one > most ? one : most;
	}
	return most;
}

static uint32_t avoided(const struct ebt_drain_report *rep)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < rep->n_targets; i++)
		n += rep->target[i].avoided && !rep->target[i].unused;
	return n;
}

static uint32_t unused(const struct ebt_drain_report *rep)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < rep->n_targets; i++)
		n += rep->target[i].unused;
	return n;
}

static double target_rate(const struct ebt_drain_target *t)
{
	return t->seconds > 0 ? (double)t->bytes / t->seconds : 0;
}

struct count {
	const char *name;
	uint64_t n;
};

static void json_counts(const struct count *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		printf(",\"%s\":%" PRIu64, c[i].name, c[i].n);
}
#define JSON_COUNTS(a) json_counts(a, sizeof(a) / sizeof((a)[0]))

static void json_target(const struct ebt_drain_target *t)
{
	const struct count counts[] = {
		{"index", t->index}, {"bytes", t->bytes}, {"objects", t->objects}};

	printf("{" SCHEMA ",\"type\":\"target\"");
	JSON_COUNTS(counts);
	printf(",\"busy_seconds\":%.6f,\"rate\":%.0f,\"unused\":%s,\"avoided\":%s}\n",
		t->seconds, target_rate(t), t->unused ? "true" : "false",
		t->avoided ? "true" : "false");
}

/* The whole of it, however long: it is there to be found again. */
static void json_path(const char *key, const char *path)
{
	size_t size = 6 * strlen(path) + 16; /* each byte as six, at most */
	SCOPED_FREE char *text = malloc(size);

	if (text)
		printf(",\"%s\":%s", key, text_json(path, text, size));
}

static void json_look(const struct ebt_drain_named *n)
{
	char node[3 * 300];

	printf("{" SCHEMA ",\"type\":\"look\",\"kind\":\"%s\"",
		ebt_drain_look_name(n->kind));
	json_path("path", n->path);
	if (*n->as)
		json_path("as", n->as);
	printf(",\"node\":%s}\n", text_json(n->node, node, sizeof(node)));
}

static void json_plan_fields(const struct ebt_drain_report *rep)
{
	const struct count counts[] = {{"nodes", rep->nodes}, {"writers", rep->writers},
		{"targets", rep->n_targets}, {"files", rep->files}, {"dirs", rep->dirs},
		{"symlinks", rep->symlinks}, {"links", rep->links},
		{"bytes", rep->bytes}, {"skipped", rep->skipped},
		{"unchanged", rep->unchanged}, {"in_place", rep->in_place},
		{"dropped", rep->dropped}, {"conflicts", rep->conflicts}};
	char dest[3 * 4096];

	printf("\"id\":\"%s\",\"dest\":%s,\"pfs\":\"%s\",\"direct\":%s,\"home\":%s",
		rep->id, text_json(rep->root ? rep->root : "", dest, sizeof(dest)),
		rep->pfs ? rep->pfs : "", rep->direct ? "true" : "false",
		rep->home ? "true" : "false");
	JSON_COUNTS(counts);
	printf(",\"predicted_seconds\":%.6f,\"predicted_owners\":%.6f,"
	       "\"predicted_direct\":%.6f,\"start_seconds\":%.6f,"
	       "\"scan_seconds\":%.6f,\"merge_seconds\":%.6f",
		rep->predicted, rep->predicted_owners, rep->predicted_direct,
		rep->start, rep->scan, rep->merge);
}

static void json_result(const struct ebt_drain_report *rep)
{
	const struct count counts[] = {{"failed", rep->looks[EBT_LOOK_MISSING]},
		{"brought_beside", rep->looks[EBT_LOOK_BESIDE]},
		{"torn", rep->looks[EBT_LOOK_TORN]},
		{"grew", rep->looks[EBT_LOOK_GREW]},
		{"lost_attributes", rep->looks[EBT_LOOK_LOST]},
		{"kept", rep->looks[EBT_LOOK_KEPT]},
		{"doubt", rep->looks[EBT_LOOK_DOUBT]},
		{"unfreed", rep->looks[EBT_LOOK_UNFREED]},
		{"vanished", rep->looks[EBT_LOOK_VANISHED]}, {"retries", rep->retries},
		{"refused", rep->refused}, {"freed", rep->freed}, {"moved", rep->moved},
		{"creates", rep->creates}, {"layouts", rep->layouts},
		{"opens", rep->opens}, {"setattrs", rep->setattrs},
		{"renames", rep->renames}, {"mkdirs", rep->mkdirs},
		{"others", rep->others}, {"avoided", avoided(rep)},
		{"unused", unused(rep)}, {"passes", rep->passes},
		{"max_rss", rep->max_rss}, {"reopened", rep->reopened},
		{"archives", rep->archives}, {"packed", rep->packed}};

	for (uint32_t i = 0; i < rep->n_targets; i++)
		json_target(&rep->target[i]);
	for (size_t i = 0; i < rep->n_named; i++)
		json_look(&rep->named[i]);
	printf("{" SCHEMA ",\"type\":\"result\",");
	json_plan_fields(rep);
	JSON_COUNTS(counts);
	printf(",\"calls_per_file\":%.4f,\"level\":%.4f,\"move_seconds\":%.6f,"
	       "\"publish_seconds\":%.6f,\"seconds\":%.6f,\"rate\":%.0f}\n",
		calls_per_file(rep), level_of(rep), rep->move, rep->publish,
		rep->seconds, rate_of(rep));
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static void text_writers(const struct ebt_drain_report *rep)
{
	char rate[TEXT_SIZE], moved[TEXT_SIZE];

	printf("rate %s, %u writer%s, %s; predicted %.3f s so, %.3f s the other way\n",
		text_rate(rate_of(rep), rate), rep->writers, plural(rep->writers),
		rep->home     ? "where the files are"
		: rep->direct ? "files from where they are"
			      : "an owner for each target",
		rep->predicted,
		rep->direct || rep->home ? rep->predicted_owners
					 : rep->predicted_direct);
	if (rep->moved)
		printf("%s went from node to node\n",
			text_size((double)rep->moved, moved));
}

static void text_target(const struct ebt_drain_target *t)
{
	char size[TEXT_SIZE], rate[TEXT_SIZE];

	if (t->unused) {
		printf("target %u: not used (full, read-only, degraded or inactive)\n",
			t->index);
		return;
	}
	printf("target %u: %s in %" PRIu64 " object%s, %s while busy%s\n", t->index,
		text_size((double)t->bytes, size), t->objects, plural(t->objects),
		text_rate(target_rate(t), rate), t->avoided ? ", avoided" : "");
}

static void text_targets(const struct ebt_drain_report *rep, bool each)
{
	uint32_t bad = avoided(rep), idle = unused(rep),
		 good = rep->n_targets - bad - idle;
	double level = level_of(rep);

	for (uint32_t i = 0; each && i < rep->n_targets; i++)
		text_target(&rep->target[i]);
	if (level == 0)
		return;
	printf("%u target%s (%s), largest by mean %.3f", good, plural(good),
		rep->pfs ? rep->pfs : "", level);
	if (bad)
		printf(", %u avoided", bad);
	if (idle)
		printf(", %u not used", idle);
	putchar('\n');
}

static void text_calls(const struct ebt_drain_report *rep)
{
	const struct count counts[] = {{"create", rep->creates},
		{"layout", rep->layouts}, {"open", rep->opens},
		{"attributes", rep->setattrs}, {"rename", rep->renames},
		{"other", rep->others}};
	const char *before = " (";

	printf("%.2f metadata calls a file", calls_per_file(rep));
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		if (counts[i].n) {
			printf("%s%" PRIu64 " %s", before, counts[i].n, counts[i].name);
			before = ", ";
		}
	}
	puts(*before == ',' ? ")" : "");
}

/* What is worth a line only if it happened. */
static void text_events(const struct ebt_drain_report *rep)
{
	const struct count events[] = {
		{"archives", rep->archives},
		{"packed into archives", rep->packed},
		{"directories made", rep->mkdirs},
		{"in place before", rep->in_place},
		{"left out, staged and unchanged", rep->unchanged},
		{"left out, FIFOs, sockets, devices", rep->skipped},
		{"paths that several nodes have", rep->conflicts},
		{"left out, older than another node's", rep->dropped},
		{"placed again on other targets", rep->retries},
		{"layouts that the file system did not keep", rep->refused},
		{"opened again, leased or stale", rep->reopened},
		{"removed from the nodes", rep->freed},
		{"in DEST under another name", rep->looks[EBT_LOOK_BESIDE]},
		{"changed while they were read", rep->looks[EBT_LOOK_TORN]},
		{"grew while they were read", rep->looks[EBT_LOOK_GREW]},
		{"without all attributes", rep->looks[EBT_LOOK_LOST]},
		{"not brought, DEST has another one", rep->looks[EBT_LOOK_KEPT]},
		{"records of stores in doubt", rep->looks[EBT_LOOK_DOUBT]},
		{"not to be removed from the nodes", rep->looks[EBT_LOOK_UNFREED]},
		{"vanished before they were read", rep->looks[EBT_LOOK_VANISHED]},
		{"NOT DONE, each named in a message", rep->looks[EBT_LOOK_MISSING]},
	};

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (events[i].n)
			printf("%s: %" PRIu64 "\n", events[i].name, events[i].n);
	}
}

/* The last line, for whoever reads a job's log. */
static void text_looks(const struct ebt_drain_report *rep)
{
	static const struct {
		enum ebt_drain_look kind;
		const char *what;
	} worst_first[] = {{EBT_LOOK_MISSING, "not brought"}, {EBT_LOOK_TORN, "torn"},
		{EBT_LOOK_GREW, "still growing"},
		{EBT_LOOK_LOST, "without all attributes"},
		{EBT_LOOK_KEPT, "not brought for another one"},
		{EBT_LOOK_DOUBT, "a store's record in doubt"},
		{EBT_LOOK_BESIDE, "under another name"},
		{EBT_LOOK_UNFREED, "not removed from the nodes"}};
	enum { N = sizeof(worst_first) / sizeof(worst_first[0]) };
	const char *before = ": ";
	/* Names, as what needs a look is counted by names. */
	uint64_t n = 0, all = rep->files + rep->links + rep->in_place +
			      rep->looks[EBT_LOOK_MISSING] + rep->looks[EBT_LOOK_KEPT];

	for (size_t i = 0; i < N; i++)
		n += rep->looks[worst_first[i].kind];
	if (!n)
		return;
	printf("%" PRIu64 " of %" PRIu64 " file%s need%s a look", n, all, plural(all),
		n == 1 ? "s" : "");
	for (size_t i = 0; i < N; i++) {
		uint64_t some = rep->looks[worst_first[i].kind];

		if (!some)
			continue;
		printf("%s%" PRIu64 " %s", before, some, worst_first[i].what);
		before = ", ";
	}
	putchar('\n');
}

void cmd_drain_print_result(
	const struct cmd_drain *o, const struct ebt_drain_report *rep)
{
	char size[TEXT_SIZE];

	if (o->common.json) {
		json_result(rep);
		return;
	}
	printf("drained %" PRIu64 " file%s, %" PRIu64
	       " bytes (%s) from %u node%s in %.3f s\n",
		rep->files, plural(rep->files), rep->bytes,
		text_size((double)rep->bytes, size), rep->nodes, plural(rep->nodes),
		rep->seconds);
	if (rep->passes > 1)
		printf("passes %u\n", rep->passes);
	printf("scan %.3f s, merge %.3f s, move %.3f s, publish %.3f s\n", rep->scan,
		rep->merge, rep->move, rep->publish);
	if (rep->bytes)
		text_writers(rep);
	text_targets(rep, o->common.verbose > 0);
	if (rep->files)
		text_calls(rep);
	text_events(rep);
	text_looks(rep);
}

void cmd_drain_print_plan(const struct cmd_drain *o, const struct ebt_drain_report *rep)
{
	if (!o->common.json) {
		fputs(rep->plan ? rep->plan : "", stdout);
		return;
	}
	printf("{" SCHEMA ",\"type\":\"plan\",");
	json_plan_fields(rep);
	puts("}");
}
