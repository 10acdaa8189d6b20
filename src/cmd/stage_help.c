/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/text.h"
#include "cmd/stage_cmd.h"
#include "plan/plan.h"

static const char head[] =
	"Usage: ebt-stage [OPTION]... SOURCE... DEST\n"
	"       ebt-stage [OPTION]... --files-from=FILE [SOURCE]... DEST\n"
	"       ebt-stage --unpack[=PATTERN] [OPTION]... ARCHIVE... DEST\n"
	"       ebt-stage --unpack --list ARCHIVE...\n"
	"       ebt-stage --list | --verify | --recover [--give-up] STORE\n"
	"       ebt-stage --simulate=NAME=VALUE,...\n"
	"       ebt-stage --doctor [DEST]\n"
	"Copy SOURCEs from a shared file system to DEST on every node of an MPI job.\n"
	"Each byte is read once; nothing is visible before all nodes have verified "
	"all.\n"
	"Run one rank per node: mpiexec -ppn 1 ebt-stage /scratch/me/env /tmp/me/job\n"
	"\n"
	"What to copy:\n"
	"  -R, --relative         keep the whole path of a SOURCE below DEST\n"
	"      --files-from=FILE  more SOURCEs, one a line; - is standard input\n"
	"  -0, --null             lines of files end in NUL instead\n"
	"      --exclude=PATTERN  leave out what matches, as rsync does\n"
	"      --include=PATTERN  do not leave out what matches; the first match "
	"decides\n"
	"      --exclude-from=FILE\n"
	"                         patterns from FILE, one a line\n"
	"      --unpack[=PATTERN] SOURCEs that match, or all, are archives: their\n"
	"                         content goes to DEST; - is one on standard input\n"
	"      --at=PATH          the path that their content has its place under\n"
	"      --concatenated     archives go on behind their end mark\n"
	"      --no-owner         leave owners and groups as they come\n"
	"      --no-xattrs        leave extended attributes and ACLs behind\n"
	"\n"
	"Where to (DEST is made if needed; %r, %h, %u stand for rank, host, user):\n"
	"      --overwrite=HOW    targets that exist: auto refuses all but what "
	"EBT\n"
	"                         brought and is the same; refuse, always; update\n"
	"                         replaces only what differs (auto)\n"
	"      --per-rank         every rank is a node with a store of its own\n"
	"      --no-launch        not on the nodes of the allocation: as one rank, "
	"here\n"
	"\n"
	"How:\n"
	"      --readers=N        ranks that read the sources (auto)\n";

static const char tail[] =
	"  -n, --dry-run          print the plan, move nothing\n"
	"      --simulate=SPEC    run the plan on a virtual cluster: nodes, bytes,\n"
	"                         readers, link, latency, read, write, algo, parcel,\n"
	"                         handshake, poll, message, leaf, trunk, memory,\n"
	"                         order, queue, ratio, compress, uncompress\n"
	"\n"
	"Stores that exist:\n"
	"      --list             print what STORE holds on this node\n"
	"      --verify           re-read every file on every node, name what differs\n"
	"      --recover          finish a publication that was cut short\n"
	"      --give-up          with --recover: end it where it stands, here alone\n"
	"\n"
	"This node:\n"
	"      --doctor           print what it has for EBT and what is missing; DEST "
	"is\n"
	"                         tried, or TMPDIR, or /tmp\n"
	"\n"
	"Output:\n"
	"      --json             JSON lines on standard output\n"
	"      --progress=WHEN    bar on standard error: auto, always, never (auto)\n"
	"  -v, --verbose          say more; twice: much more\n"
	"  -h, --help             print this and exit\n"
	"      --version          print the version and exit\n"
	"\n"
	"Sizes take K, M, G (1024), rates K, M, G (1000) and bit, times us, ms, s, m, "
	"h.\n"
	"Exit status: 0 all done, 1 failed, 2 wrong usage; the same on every rank.\n";

void cmd_stage_help(FILE *out)
{
	char memory[TEXT_SIZE];

	fputs(head, out);
	fprintf(out, "      --io-threads=N     reads in flight per reader (%d)\n",
		EBT_STAGE_IO_THREADS);
	fputs("      --write-threads=N  threads that write on a node (processors, at "
	      "most 4)\n",
		out);
	fputs("      --algo=NAME        auto, chain, two-tree, circulant, binomial, "
	      "mpi-bcast\n"
	      "                         (auto)\n"
	      "      --compress=HOW     what travels: none, lz4, zstd, zstd:LEVEL, or "
	      "auto, as\n"
	      "                         measured to be fastest (auto)\n",
		out);
	fprintf(out,
		"      --parcel=SIZE      bytes that travel at once, %dK to %dM "
		"(auto)\n",
		PLAN_PARCEL_MIN >> 10, PLAN_PARCEL_MAX >> 20);
	fputs("      --window=N         sends in flight per node (1)\n", out);
	fprintf(out, "      --memory=SIZE      bound of the buffers of a rank (%s)\n",
		text_size(EBT_STAGE_MEMORY, memory));
	fputs("      --batch=N          entries that a reader finds before they go "
	      "their way\n"
	      "                         (what it finds in a while)\n",
		out);
	fprintf(out,
		"      --keep-free=SIZE   what stays free on every node, or PERCENT%% "
		"(%g%%, at\n"
		"                         most %lluG)\n",
		EBT_STAGE_KEEP_FREE * 100, EBT_STAGE_KEEP_FREE_MOST >> 30);
	cmd_print_help(out);
	fputs("      --link=RATE        of a node, per direction: 25G, 200mbit (found "
	      "out)\n",
		out);
	fprintf(out, "      --latency=TIME     cost of a message (%gus)\n",
		COST_LATENCY * 1e6);
	fputs("      --fabric=KIND      flat, tapered, unknown: shared uplinks "
	      "(unknown)\n",
		out);
	fputs(tail, out);
}
