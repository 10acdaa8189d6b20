/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a process does during an import, one step a line: OP SIZE DIGEST PATH, the path below
 * the environment. SIZE is that of a file, or the number of entries of a directory that is
 * listed; DIGEST, in hexadecimal, that of what is read. Both are 0 where they mean nothing.
 */
#ifndef BENCH_IMPORT_TRACE_H
#define BENCH_IMPORT_TRACE_H

enum op {
	OP_DIR,	 /* stat of a directory */
	OP_STAT, /* of a file */
	OP_READ, /* open, fstat, the whole in one read */
	OP_MAP,	 /* the same as the loader does it: the header, then runs */
	OP_MISSING,
	OP_LIST,
	N_OPS,
};
static const char *const op_names[N_OPS] = {
	"dir", "stat", "read", "map", "missing", "list"};

#define MAP_HEADER 832	     /* what the loader reads before it maps */
#define MAP_RUN	   (1 << 20) /* read-ahead of a mapped file */

#endif
