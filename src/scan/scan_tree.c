/* SPDX-License-Identifier: BSD-3-Clause */
/* A whole tree in one call. */
#include <errno.h>
#include <stdlib.h>

#include "scan/scan.h"

static int start_at(struct scan *s, const char *path, struct ebt_err *err)
{
	struct scan_item *root = scan_item_new(0, SCAN_ROOT | SCAN_FOLLOW, "", NULL, 0);

	s->bases = calloc(1, sizeof(*s->bases));
	if (!root || !s->bases) {
		free(root);
		return ebt_fail(err, -ENOMEM, "scan");
	}
	s->bases[0] = path;
	s->n_bases = 1;
	scan_push(s, root);
	return 0;
}

int scan_tree(struct scan *s, const char *path, unsigned threads, struct manifest **out,
	struct ebt_err *err)
{
	SCOPED(scan_shards_release) struct scan_shards shards = {0};
	int r = start_at(s, path, err);

	if (r == 0)
		r = scan_shards_new(&shards, threads, err);
	if (r < 0)
		return r;
	scan_round(s, &shards);
	if (s->code < 0) {
		if (err)
			*err = s->err;
		return s->code;
	}
	return scan_shards_join(&shards, out, err);
}
