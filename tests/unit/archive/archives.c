/* SPDX-License-Identifier: BSD-3-Clause */
#include "archives.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/text.h"
#include "suite.h"

#define BLOCK 512

static void put_octal(char *field, size_t size, uint64_t v)
{
	char text[32];

	snprintf(text, sizeof(text), "%0*llo", (int)size - 1, (unsigned long long)v);
	memcpy(field, text, size);
}

void tar_sum(struct buf *b, size_t at)
{
	char *h = (char *)b->data + at;
	unsigned sum = 0;

	memset(h + 148, ' ', 8);
	for (size_t i = 0; i < BLOCK; i++)
		sum += (unsigned char)h[i];
	put_octal(h + 148, 7, sum);
}

static void header(struct buf *b, const char *name, char type, uint64_t size,
	const char *link, const char *magic)
{
	char *h = buf_extend(b, BLOCK);

	memset(h, 0, BLOCK);
	strncpy(h, name, 100);
	put_octal(h + 100, 8, type == '5' ? 0755 : 0644);
	put_octal(h + 108, 8, 1000);
	put_octal(h + 116, 8, 100);
	put_octal(h + 124, 12, size);
	put_octal(h + 136, 12, 1234567890);
	h[156] = type;
	strncpy(h + 157, link, 100);
	memcpy(h + 257, magic, 8);
	tar_sum(b, b->len - BLOCK);
}

void tar_header(
	struct buf *b, const char *name, char type, uint64_t size, const char *link)
{
	header(b, name, type, size, link,
		"ustar\0"
		"00");
}

void tar_gnu(struct buf *b, const char *name, char type, uint64_t size)
{
	header(b, name, type, size, "", "ustar  ");
}

void tar_content(struct buf *b, const void *data, size_t len)
{
	size_t pad = (BLOCK - len % BLOCK) % BLOCK;

	buf_put(b, data, len);
	if (pad)
		memset(buf_extend(b, pad), 0, pad);
}

void tar_file(struct buf *b, const char *name, const char *content)
{
	tar_header(b, name, '0', strlen(content), "");
	tar_content(b, content, strlen(content));
}

void tar_dir(struct buf *b, const char *name)
{
	tar_header(b, name, '5', 0, "");
}

void pax_record(struct buf *records, const char *key, const void *value, size_t len)
{
	size_t n = strlen(key) + len + 3, digits = 1;

	for (size_t v = n + digits; v >= 10; v /= 10)
		digits++;
	if (snprintf(NULL, 0, "%zu", n + digits) > (int)digits)
		digits++;
	buf_printf(records, "%zu %s=", n + digits, key);
	buf_put(records, value, len);
	buf_put8(records, '\n');
}

void tar_pax(struct buf *b, const struct buf *records)
{
	tar_header(b, "PaxHeaders/x", 'x', records->len, "");
	tar_content(b, records->data, records->len);
}

void tar_end(struct buf *b)
{
	memset(buf_extend(b, 2 * BLOCK), 0, 2 * BLOCK);
}

static void pad4(struct buf *b)
{
	while (b->len % 4)
		buf_put8(b, 0);
}

void cpio_member(struct buf *b, bool crc, const char *name, uint32_t mode, uint32_t ino,
	uint32_t nlink, const char *content)
{
	unsigned sum = 0;

	for (const char *p = content; *p; p++)
		sum += (unsigned char)*p;
	buf_printf(b, "07070%d%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x",
		crc ? 2 : 1, ino, mode, 1000, 100, nlink, 1234567890, strlen(content),
		1, 1, 0, 0, strlen(name) + 1, crc ? sum : 0);
	buf_put(b, name, strlen(name) + 1);
	pad4(b);
	buf_put(b, content, strlen(content));
	pad4(b);
}

void cpio_odc(struct buf *b, const char *name, uint32_t mode, uint32_t ino,
	uint32_t nlink, uint32_t mtime, const char *content)
{
	buf_printf(b, "070707%06o%06o%06o%06o%06o%06o%06o%011o%06zo%011zo", 1, ino,
		mode, 1000, 100, nlink, 0, mtime, strlen(name) + 1, strlen(content));
	buf_put(b, name, strlen(name) + 1);
	buf_put(b, content, strlen(content));
}

int source_open(const void *data, size_t len, enum source source)
{
	int fds[2], fd;

	if (source == SOURCE_FILE) {
		fd = memfd_create("archive", MFD_CLOEXEC);
		CU_ASSERT_FATAL(fd >= 0 && fsio_write(fd, data, len, 0) == 0);
		return fd;
	}
	CU_ASSERT_FATAL(pipe2(fds, O_CLOEXEC) == 0);
	CU_ASSERT_FATAL(len <= 65536 || fcntl(fds[1], F_SETPIPE_SZ, 1 << 20) > 0);
	CU_ASSERT_FATAL(write(fds[1], data, len) == (ssize_t)len);
	close(fds[1]);
	return fds[0];
}

static void put_name(struct buf *out, const void *name, size_t len)
{
	char raw[8192], text[8192];

	snprintf(raw, sizeof(raw), "%.*s", (int)len, (const char *)name);
	buf_printf(out, "%.400s", text_name(raw, text, sizeof(text)));
}

static void put_xattrs(struct buf *out, const struct manifest_entry *e)
{
	struct reader r = reader_of(e->xattrs, e->xattrs_len);
	struct fsio_xattr x;

	while (fsio_xattrs_next(&r, &x) == 1) {
		buf_printf(out, " %s=", x.name);
		for (size_t i = 0; i < x.len && i < 60; i++) {
			unsigned char c = ((const unsigned char *)x.value)[i];

			buf_printf(out, c > 32 && c < 127 ? "%c" : "\\%02x", c);
		}
	}
	CU_ASSERT_EQUAL(reader_left(&r), 0);
}

/* The content, or of a sparse one what its extents say that there is. */
static int put_content(struct unarchive *u, const struct member *m, struct buf *out,
	struct ebt_err *err)
{
	unsigned char data[4096];
	uint64_t sum = 0;
	size_t n;
	int r;

	for (uint64_t at = 0; at < m->e.size; at += n) {
		n = m->e.size - at < sizeof(data) ? (size_t)(m->e.size - at)
						  : sizeof(data);
		r = unarchive_read(u, at, data, n, err);
		if (r < 0)
			return r;
		if (m->e.size <= 40)
			buf_printf(out, " <%.*s>", (int)n, data);
		for (size_t i = 0; i < n; i++)
			sum = sum * 31 + data[i];
	}
	if (m->e.size > 40)
		buf_printf(out, " sum %llx", (unsigned long long)sum);
	return 0;
}

static void put_member(struct buf *out, const struct member *m, unsigned what)
{
	const struct manifest_entry *e = &m->e;

	buf_printf(out, "%c ", "?dfl"[e->kind]);
	put_name(out, e->name, strlen(e->name));
	if (m->link) {
		buf_printf(out, " = ");
		put_name(out, m->link, strlen(m->link));
	}
	if (e->target) {
		buf_printf(out, " -> ");
		put_name(out, e->target, strlen(e->target));
	}
	buf_printf(out, "%s%s", m->again ? " again" : "", m->implied ? " implied" : "");
	if (e->kind == MANIFEST_FILE)
		buf_printf(out, " %llu", (unsigned long long)e->size);
	if (what & TELL_MODES)
		buf_printf(out, " %o", e->mode);
	if (what & TELL_OWNERS && e->no_owner)
		buf_printf(out, " nobody");
	else if (what & TELL_OWNERS)
		buf_printf(out, " %u:%u", e->uid, e->gid);
	if (what & TELL_TIMES)
		buf_printf(out, " %lld.%09u", (long long)e->mtime, e->mtime_ns);
	if (what & TELL_XATTRS)
		put_xattrs(out, e);
}

int tell_fd(int fd, const struct unarchive_options *o, unsigned what, struct buf *out,
	struct ebt_err *err)
{
	static const struct unarchive_options none = {.umask = 022};
	SCOPED(unarchive_freep) struct unarchive *u = NULL;
	SCOPED_MANIFEST struct manifest *checks = NULL;
	uint64_t where = 0;
	struct member m;
	uint32_t source;
	int r = unarchive_open(fd, "a.tar", o ? o : &none, &u, err);

	CU_ASSERT_FATAL(manifest_new(&checks, NULL) == 0);
	CU_ASSERT_FATAL(manifest_add_source(checks, "/s", &source, NULL) == 0);
	while (r == 0 && (r = unarchive_next(u, &m, err)) > 0) {
		/* What is handed out has to be fit for a manifest. */
		CU_ASSERT(manifest_add(checks, &m.e, NULL) == 0);
		CU_ASSERT(m.where > where);
		where = m.where;
		put_member(out, &m, what);
		r = 0;
		if (what & TELL_CONTENT && m.content)
			r = put_content(u, &m, out, err);
		buf_put8(out, '\n');
	}
	if (u && r == 0)
		CU_ASSERT_EQUAL(unarchive_next(u, &m, err), 0);
	if (u && r < 0)
		CU_ASSERT_EQUAL(unarchive_next(u, &m, err), r);
	buf_put8(out, 0);
	return r;
}

int tell(const struct buf *b, enum source source, const struct unarchive_options *o,
	unsigned what, struct buf *out, struct ebt_err *err)
{
	SCOPED_FD int fd = source_open(b->data, b->len, source);

	return tell_fd(fd, o, what, out, err);
}

void expect(const struct buf *b, unsigned what, const char *expected)
{
	for (int source = SOURCE_FILE; source <= SOURCE_PIPE; source++) {
		SCOPED_BUF struct buf out = {0};
		struct ebt_err err = {.text = ""};
		int r = tell(b, (enum source)source, NULL, what, &out, &err);

		CU_ASSERT_EQUAL(r, 0);
		CU_ASSERT_STRING_EQUAL(out.data, expected);
		if (r < 0 || strcmp((char *)out.data, expected) != 0)
			printf("\n%s\n%s-- and not\n%s", err.text, out.data, expected);
	}
}

void expect_failure(const struct buf *b, const char *part)
{
	for (int source = SOURCE_FILE; source <= SOURCE_PIPE; source++) {
		SCOPED_BUF struct buf out = {0};
		struct ebt_err err = {.text = "it is read"};
		int r = tell(b, (enum source)source, NULL, TELL_CONTENT, &out, &err);

		CU_ASSERT(r < 0);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, part));
		if (r >= 0 || !strstr(err.text, part))
			printf("\n%s\n%s-- and not \"%s\"\n", out.data, err.text, part);
	}
}
