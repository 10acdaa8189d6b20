/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as a lustre.lov attribute, after 8 bytes of file size. What is let in must be
 * in order, and its shares must add up to what its parts cover.
 */
#include <string.h>

#include "fuzz.h"
#include "pfs/pfs.h"
#include "../unit/pfs/lov.h"

static uint64_t covered(const struct pfs_part *p, uint64_t start, uint64_t end)
{
	uint64_t a = start > p->start ? start : p->start;
	uint64_t b = end < p->end ? end : p->end;

	return a < b ? b - a : 0;
}

static void use(const struct pfs_layout *l, uint64_t start, uint64_t end)
{
	SCOPED_SHARES struct pfs_shares s = {0};
	uint64_t want = 0, sum = 0, before = 0;

	for (uint32_t i = 0; i < l->n_parts; i++) {
		const struct pfs_part *p = &l->parts[i];

		FUZZ_CHECK(p->start >= before && p->start < p->end);
		FUZZ_CHECK(p->stripe_size > 0 && p->stripe_count > 0);
		FUZZ_CHECK(p->first <= l->n_osts);
		FUZZ_CHECK(p->stripe_count <= l->n_osts - p->first);
		want += covered(p, start, end);
		before = p->end;
	}
	FUZZ_CHECK(pfs_shares_add(&s, l, 1, start, end, NULL) == 0);
	for (size_t i = 0; i < s.count; i++) {
		FUZZ_CHECK(i == 0 || s.share[i - 1].ost < s.share[i].ost);
		FUZZ_CHECK(s.share[i].files == 1 && s.share[i].bytes > 0);
		sum += s.share[i].bytes;
	}
	FUZZ_CHECK(sum == want && s.bytes == want);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPED_LAYOUT struct pfs_layout *l = NULL;
	uint64_t end;

	if (size < sizeof(end))
		return 0;
	memcpy(&end, data, sizeof(end));
	if (pfs_lustre_parse(data + sizeof(end), size - sizeof(end), &l) < 0) {
		FUZZ_CHECK(!l);
		return 0;
	}
	use(l, 0, end);
	use(l, end / 3, end);
	use(l, end, UINT64_MAX);
	return 0;
}

bool fuzz_seed(unsigned n, struct buf *out)
{
	struct lov b = {0};
	size_t at;

	switch (n) {
	case 0:
		lov_plain(&b, LOV_V1, 1 << 20, 3, 5);
		break;
	case 1:
		lov_plain(&b, LOV_V3, 1 << 16, 9, 0);
		break;
	case 2:
		lov_progressive(&b);
		break;
	case 3:
		lov_composite(&b, 2);
		at = lov_plain(&b, LOV_V1, 1 << 20, 2, 4);
		lov_component(&b, 0, LOV_INIT, 0, LOV_EOF, at);
		at = lov_plain(&b, LOV_V3, 1 << 20, 3, 9);
		lov_component(&b, 1, LOV_INIT | LOV_PREFER, 1 << 20, 3 << 20, at);
		break;
	default:
		return false;
	}
	buf_put64(out, 5 << 20);
	buf_put(out, b.data, b.len);
	return true;
}
