/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as a lustre.lov attribute, after 8 bytes of file size. What is let in must be
 * in order, and its shares must add up to what its parts cover. The same bytes are a wish for
 * stripes too, the texts of a client, and an answer of its library: a wish that can be
 * written must read back as it was, the others must only not do harm.
 */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "pfs/pfs_internal.h"
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

/* A stripe size, a count, and OSTs as far as there are bytes for them. */
static void wish(const uint8_t *data, size_t size)
{
	unsigned char lov[PFS_LUSTRE_ENCODE_MAX + 1];
	SCOPED_LAYOUT struct pfs_layout *l = NULL;
	SCOPED_FREE uint32_t *osts = NULL;
	struct pfs_stripes w = {0};
	ssize_t len;

	if (size < 8)
		return;
	memcpy(&w.size, data, 4);
	w.size = w.size % 4 ? w.size : w.size << 16;
	memcpy(&w.count, data + 4, 4);
	w.count %= 2 * PFS_STRIPES_MAX;
	size -= 8;
	if (w.count == 0 || size < w.count) {
		len = pfs_lustre_encode(&w, lov, sizeof(lov) - 1);
		FUZZ_CHECK(len == -EINVAL || len == 32);
		return;
	}
	osts = calloc(w.count, sizeof(*osts));
	FUZZ_CHECK(osts);
	for (uint32_t i = 0; i < w.count; i++)
		osts[i] = data[8 + i] * 258u;
	w.osts = osts;
	lov[sizeof(lov) - 1] = 0xee;
	len = pfs_lustre_encode(&w, lov, sizeof(lov) - 1);
	FUZZ_CHECK(lov[sizeof(lov) - 1] == 0xee);
	if (len < 0)
		return;
	FUZZ_CHECK(pfs_lustre_parse(lov, (size_t)len, &l) == -EBADMSG);
	lov[2] = 0xd3; /* as the file has it then: V3 */
	if (w.size == 0) {
		FUZZ_CHECK(pfs_lustre_parse(lov, (size_t)len, &l) == -EBADMSG);
		return;
	}
	FUZZ_CHECK(pfs_lustre_parse(lov, (size_t)len, &l) == 0);
	FUZZ_CHECK(pfs_layout_keeps(l, &w));
}

static void read_as_texts(const uint8_t *data, size_t size)
{
	const struct buf text = {.data = (unsigned char *)data, .len = size};
	SCOPED_FREE char *s = strndup((const char *)data, size);
	char source[64], fs[PFS_FSNAME];
	SCOPED_LIST struct pfs_list list = {0};
	struct pfs_target t = {0};
	uint32_t index;
	unsigned state;
	uint64_t v;

	FUZZ_CHECK(s);
	pfs_lustre_number(&text, &v);
	if (pfs_lustre_state(&text, &state) == 0)
		FUZZ_CHECK((state & ~0x67u) == 0);
	if (pfs_lustre_target_obd(&text, &list) == 0)
		for (size_t i = 0; i < list.n; i++)
			FUZZ_CHECK(list.v[i].index <= 0xffff);
	if (pfs_mount_source(s, 0, 50, "/scratch/x", source, sizeof(source)))
		FUZZ_CHECK(strlen(source) < sizeof(source));
	if (pfs_lustre_fsname(s, fs))
		FUZZ_CHECK(fs[0] && strlen(fs) < sizeof(fs) && !strchr(fs, '/'));
	if (pfs_lustre_osc_name(s, fs, &index))
		FUZZ_CHECK(fs[0] && strlen(fs) < sizeof(fs) && index <= 0xffff);
	if (pfs_lustre_obd_statfs(data, size, &t) == 0)
		FUZZ_CHECK(t.avail <= t.total);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPED_LAYOUT struct pfs_layout *l = NULL;
	uint64_t end;

	wish(data, size);
	read_as_texts(data, size);
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

static bool text_seed(unsigned n, struct buf *out)
{
	static const char *const texts[] = {
		"1048576\n",
		"DRNSI(0400)\n",
		"0x21\n",
		"0: scratch-OST0000_UUID ACTIVE\n12: scratch-OST000c_UUID INACTIVE\n",
		"30 22 0:50 / /scratch rw shared:1 - lustre m@tcp:/scr\\040tch rw\n",
		"10.0.0.1@o2ib:10.0.0.2@o2ib:/scratch/sub",
		"scratch-OST001f-osc-ffff9d2c4a1b8000",
	};

	if (n >= sizeof(texts) / sizeof(texts[0]))
		return false;
	buf_put(out, texts[n], strlen(texts[n]));
	return true;
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
	case 4: /* a wish: 1 MiB, 3 stripes */
		buf_put32(out, 1 << 20);
		buf_put32(out, 3);
		buf_put(out, "abc", 3);
		return true;
	case 5: /* what the library says: 8 GiB, 3 free */
		b.len = PFS_OBD_STATFS_LEN;
		lov_put64(&b, 8, 2 << 20);
		lov_put64(&b, 24, 768 << 10);
		lov_put64(&b, 40, 1000);
		lov_put32(&b, 88, 4096);
		buf_put(out, b.data, b.len);
		return true;
	default:
		return text_seed(n - 6, out);
	}
	buf_put64(out, 5 << 20);
	buf_put(out, b.data, b.len);
	return true;
}
