/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/text.h"
#include "cmd/drain_cmd.h"
#include "plan/place.h"
#include "plan/place_cost.h"

static const char head[] =
	"Usage: ebt-drain [OPTION]... STORE DEST\n"
	"       ebt-drain --simulate=NAME=VALUE,...\n"
	"Bring what a job left in STORE on every node to DEST on a shared file "
	"system.\n"
	"What ebt-stage put there and nobody changed stays behind. Run again after a\n"
	"kill, it finishes what was left.\n"
	"Run one rank per node: mpiexec -ppn 1 ebt-drain /tmp/me/job "
	"/scratch/me/results\n"
	"\n"
	"What to bring (in STORE %r, %h, %u stand for rank, host, user):\n"
	"      --exclude=PATTERN  leave out what matches, as rsync does\n"
	"      --include=PATTERN  do not leave out what matches; the first match "
	"decides\n"
	"      --exclude-from=FILE\n"
	"                         patterns from FILE, one a line\n"
	"  -0, --null             lines of FILE end in NUL instead\n"
	"      --no-owner         leave owners and groups as they come\n"
	"      --keep-group       an ordinary user's files keep their groups, instead "
	"of\n"
	"                         getting those of DEST's directories\n"
	"      --no-xattrs        leave extended attributes and ACLs behind\n"
	"      --missing-ok       a node without STORE has nothing to bring\n"
	"      --delete           remove local files once they are durable in DEST\n"
	"      --pack=PATTERN=NAME\n"
	"                         what matches, of all nodes, as one archive NAME, "
	"which\n"
	"                         ends in .tar or .tar.zst; the first match decides\n"
	"      --per-rank         every rank is a node with a store of its own\n"
	"      --no-launch        not on the nodes of the allocation: as one rank, "
	"here\n"
	"\n"
	"Where to (DEST is made if needed, with directories above it):\n"
	"      --conflict=HOW     the same path on several nodes: auto (equal copies\n"
	"                         are one, pieces are joined, else .NODE), error,\n"
	"                         merge, newest, suffix (auto)\n"
	"      --overwrite=HOW    targets that exist: auto (stay; what differs comes "
	"as\n"
	"                         NAME.ebt-new), refuse, keep, always, update "
	"(replaces\n"
	"                         what differs) (auto)\n"
	"      --strict           all under its own name, or nothing is written\n"
	"      --local-dest       make DEST also on a disk of the only node's own\n"
	"      --atomic           DEST appears as a whole, and must not exist before\n"
	"      --verify           read everything back before it is shown\n"
	"      --restart          forget an unfinished drain from STORE to somewhere "
	"else\n"
	"\n"
	"Placement:\n"
	"      --stripe-count=N   of every large file (auto: by size)\n";

static const char tail[] =
	"  -n, --dry-run          print the plan, write nothing\n"
	"      --simulate=SPEC    drain a virtual machine: nodes, targets, files, "
	"size,\n"
	"                         spread, skew, writers, slow, slow-known, ost, "
	"shared,\n"
	"                         writer, link, read, mds, latency, in-flight,\n"
	"                         stripe-count, max-stripe-count, stripe-size,\n"
	"                         early, early-targets, early-ost\n"
	"\n"
	"Output:\n"
	"      --json             JSON lines on standard output\n"
	"      --progress=WHEN    bar on standard error: auto, always, never (auto)\n"
	"  -v, --verbose          say more, with a line for each target; twice: much "
	"more\n"
	"  -h, --help             print this and exit\n"
	"      --version          print the version and exit\n"
	"\n"
	"Sizes take K, M, G (1024), rates K, M, G (1000) and bit, times us, ms, s, m, "
	"h.\n"
	"Exit status: 0 all is in DEST under its own name; 4 all is there, some under\n"
	"another name; 3 some of it is missing or torn; 1 failed; 2 wrong usage. What "
	"is\n"
	"not as it should be is named. The same on every rank.\n";

static void print_model(FILE *out)
{
	char rate[TEXT_SIZE];

	fputs("      --link=RATE        of a node, per direction: 25G, 200mbit (found "
	      "out)\n",
		out);
	fprintf(out, "      --ost-rate=RATE    what one target takes (%s)\n",
		text_rate(PLACE_RATE_OST, rate));
	fprintf(out, "      --mds-rate=N       metadata operations a second (%g)\n",
		PLACE_RATE_MDS);
	fprintf(out, "      --latency=TIME     of one of them (%gms)\n",
		PLACE_RATE_LATENCY * 1e3);
}

void cmd_drain_help(FILE *out)
{
	char memory[TEXT_SIZE], settle[TEXT_SIZE];

	fputs(head, out);
	fputs("      --max-stripe-count=N\n"
	      "                         never more (as many as there are targets)\n",
		out);
	fprintf(out, "      --stripe-size=SIZE a multiple of %uK (%uM)\n",
		PLACE_STRIPE_UNIT >> 10, PLACE_STRIPE_SIZE >> 20);
	fputs("      --pool=NAME        of Lustre, for all files (as DEST has it)\n"
	      "\nHow:\n"
	      "      --writers=N        nodes that write (auto: by the cost model)\n"
	      "      --creators=N       nodes that make directories (auto)\n",
		out);
	fprintf(out,
		"      --creates=N        files being created at a time, all nodes "
		"(%d)\n",
		EBT_DRAIN_CREATES);
	fprintf(out,
		"      --io-threads=N     files written at a time by a writer (%d)\n",
		EBT_DRAIN_IO_THREADS);
	fprintf(out, "      --memory=SIZE      bound of the buffers of a node (%s)\n",
		text_size(EBT_DRAIN_MEMORY, memory));
	fputs("      --rate=RATE        of the whole drain, at most (no limit)\n", out);
	cmd_print_help(out);
	print_model(out);
	fputs("      --watch=TIME       again and again, this long between passes, "
	      "what is\n"
	      "                         closed and unchanged; until a signal\n",
		out);
	fprintf(out,
		"      --settle=TIME      to wait for files that change while they are "
		"read,\n"
		"                         are renamed or removed, in all (%ds)\n"
		"      --settle-max=SIZE  of files read twice if they still change "
		"(%s)\n",
		EBT_DRAIN_SETTLE, text_size(EBT_DRAIN_SETTLE_MAX, settle));
	fputs(tail, out);
}
