/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as an archive, as a file and through a pipe. Whatever comes out is fit for a manifest,
 * lies below the directory that it is unpacked in, has what is above it before it, is of one kind
 * as long as it has its name, and there is an end to it. Both ways give the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "archive/unarchive.h"
#include "fuzz.h"
#include "manifest/manifest.h"

#define MEMBERS_MOST 100000
#define READ_MOST    (1u << 20) /* bytes of one content: holes may be endless */

static void check_name(const char *path)
{
	FUZZ_CHECK(manifest_path_ok(path));
	FUZZ_CHECK(strlen(path) < PATH_MAX);
	FUZZ_CHECK(strncmp(path, ".ebt/", 5) != 0 && strcmp(path, ".ebt") != 0);
}

/* What is told of a member, as text that two ways through the same bytes have in common. */
static void put_member(const struct member *m, struct buf *told)
{
	const struct manifest_entry *e = &m->e;

	buf_printf(told, "%d %.200s %llu %o %u:%u %lld %d%d%d %u\n", e->kind, e->name,
		(unsigned long long)e->size, e->mode, e->uid, e->gid,
		(long long)e->mtime, m->again, m->implied, m->content, e->xattrs_len);
}

static void check_map(const struct manifest_entry *e)
{
	uint64_t end = 0;

	for (uint32_t i = 0; i < e->n_extents; i++) {
		FUZZ_CHECK(e->extents[i].off >= end && e->extents[i].len > 0);
		end = e->extents[i].off + e->extents[i].len;
		FUZZ_CHECK(end <= e->size);
	}
}

/* The content, some of it left out: true, or it is not what it should be. */
static bool read_content(struct unarchive *u, const struct member *m)
{
	static unsigned char data[5000];
	uint64_t most = m->e.size < READ_MOST ? m->e.size : READ_MOST, n;

	for (uint64_t at = m->e.size % 3; at < most; at += n + m->e.mtime % 2) {
		n = most - at < sizeof(data) ? most - at : sizeof(data);
		if (unarchive_read(u, at, data, (size_t)n, NULL) < 0)
			return false;
	}
	return true;
}

static int walk(int fd, size_t size, struct manifest *m, struct buf *told)
{
	static const struct unarchive_options o = {.umask = 022};
	SCOPED(unarchive_freep) struct unarchive *u = NULL;
	struct ebt_err err = {.text = ""};
	uint64_t where = 0;
	unsigned count = 0;
	struct member x;
	int r = unarchive_open(fd, "a", &o, &u, &err);

	FUZZ_CHECK(r == 0 || (r < 0 && !u && err.text[0]));
	while (r == 0 && (r = unarchive_next(u, &x, &err)) > 0) {
		check_name(x.e.name);
		check_map(&x.e);
		FUZZ_CHECK(++count < MEMBERS_MOST);
		FUZZ_CHECK(x.where > where);
		where = x.where;
		FUZZ_CHECK(manifest_add(m, &x.e, NULL) == 0);
		FUZZ_CHECK(!x.implied || x.e.kind == MANIFEST_DIR);
		FUZZ_CHECK(!x.content || (x.e.kind == MANIFEST_FILE && x.e.size));
		if (x.link)
			check_name(x.link);
		/* A tar that is damaged may promise more than there is, at its end. */
		FUZZ_CHECK(x.at == UNARCHIVE_NOWHERE || x.at <= size);
		put_member(&x, told);
		r = !x.content || read_content(u, &x) ? 0 : -EBADMSG;
	}
	FUZZ_CHECK(!u || unarchive_bytes(u) <= size);
	return r;
}

/* Of one kind as long as it has its name, and below directories: by what is there in the end. */
static void check_tree(const struct manifest *m)
{
	for (uint32_t i = 0; i < m->count; i++)
		for (uint32_t k = 0; k < i; k++) {
			const struct manifest_entry *a = &m->entries[k],
						    *b = &m->entries[i];
			size_t len = strlen(a->name);

			if (strcmp(a->name, b->name) == 0)
				FUZZ_CHECK(a->kind == b->kind);
			if (strncmp(a->name, b->name, len) == 0 && b->name[len] == '/')
				FUZZ_CHECK(a->kind == MANIFEST_DIR);
		}
}

/* What a directory holds comes behind it. */
static void check_parents(const struct manifest *m)
{
	for (uint32_t i = 0; i < m->count; i++) {
		const char *slash = strrchr(m->entries[i].name, '/');
		size_t len = slash ? (size_t)(slash - m->entries[i].name) : 0;
		bool found = !slash;

		for (uint32_t k = 0; k < i && !found; k++)
			found = strncmp(m->entries[k].name, m->entries[i].name, len) ==
					0 &&
				!m->entries[k].name[len];
		FUZZ_CHECK(found);
	}
}

static int from_file(const uint8_t *data, size_t size, struct buf *told)
{
	SCOPED_MANIFEST struct manifest *m = NULL;
	SCOPED_FD int fd = memfd_create("fuzz", MFD_CLOEXEC);
	uint32_t source;
	int r;

	FUZZ_CHECK(fd >= 0 && fsio_write(fd, data, size, 0) == 0);
	FUZZ_CHECK(manifest_new(&m, NULL) == 0);
	FUZZ_CHECK(manifest_add_source(m, "/s", &source, NULL) == 0);
	r = walk(fd, size, m, told);
	check_tree(m);
	check_parents(m);
	return r;
}

static int from_pipe(const uint8_t *data, size_t size, struct buf *told)
{
	SCOPED_MANIFEST struct manifest *m = NULL;
	int fds[2], r;
	uint32_t source;

	FUZZ_CHECK(pipe2(fds, O_CLOEXEC) == 0);
	FUZZ_CHECK(write(fds[1], data, size) == (ssize_t)size);
	close(fds[1]);
	FUZZ_CHECK(manifest_new(&m, NULL) == 0);
	FUZZ_CHECK(manifest_add_source(m, "/s", &source, NULL) == 0);
	r = walk(fds[0], size, m, told);
	close(fds[0]);
	return r;
}

static void try(const uint8_t *data, size_t size)
{
	SCOPED_BUF struct buf file = {0};
	SCOPED_BUF struct buf pipe = {0};
	int r = from_file(data, size, &file);
	int s = from_pipe(data, size, &pipe);

	FUZZ_CHECK((r == 0) == (s == 0) || s == -ESPIPE);
	if (r == 0 && s == 0)
		FUZZ_CHECK(file.len == pipe.len &&
			   (!file.len || memcmp(file.data, pipe.data, file.len) == 0));
}

/* The sum of each header of a tar, without which none but the first is looked at. */
static bool make_right(uint8_t *data, size_t size)
{
	bool any = false;

	for (uint8_t *h = data; size >= 512; h += 512, size -= 512) {
		unsigned sum = 0;

		if (memcmp(h + 257, "ustar", 5) != 0)
			continue;
		memset(h + 148, ' ', 8);
		for (int i = 0; i < 512; i++)
			sum += h[i];
		snprintf((char *)h + 148, 8, "%06o", sum);
		any = true;
	}
	return any;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPED_FREE uint8_t *copy = malloc(size + 1);

	/* More does not fit into a pipe that nobody reads. */
	if (size > 65536)
		return 0;
	FUZZ_CHECK(copy);
	memcpy(copy, data, size);
	try(data, size);
	if (make_right(copy, size))
		try(copy, size);
	return 0;
}

static void put_header(
	struct buf *b, const char *name, char type, uint32_t size, const char *link)
{
	char *h = buf_extend(b, 512);
	unsigned sum = 0;

	FUZZ_CHECK(h);
	memset(h, 0, 512);
	snprintf(h, 100, "%s", name);
	memcpy(h + 100, "0000644\0000001750\0000000144", 24);
	snprintf(h + 124, 12, "%011o", size);
	memcpy(h + 136, "00000000012", 12);
	memset(h + 148, ' ', 8);
	h[156] = type;
	snprintf(h + 157, 100, "%s", link);
	memcpy(h + 257, "ustar\00000", 8);
	for (int i = 0; i < 512; i++)
		sum += (unsigned char)h[i];
	snprintf(h + 148, 8, "%06o", sum);
}

static void put_content(struct buf *b, const char *text)
{
	size_t len = strlen(text);
	char *p = buf_extend(b, (len + 511) / 512 * 512);

	FUZZ_CHECK(p);
	memset(p, 0, (len + 511) / 512 * 512);
	memcpy(p, text, len);
}

static void put_record(struct buf *b, const char *record)
{
	size_t n = strlen(record) + 4;

	/* Two digits of length suffice for those here. */
	FUZZ_CHECK(n < 100);
	buf_printf(b, "%02zu %s\n", n, record);
}

static void seed_tar(unsigned n, struct buf *b)
{
	static const char *const records[][4] = {{0},
		{"path=d/some/name", "mtime=-12.5"},
		{"SCHILY.xattr.user.a%3D=value", "LIBARCHIVE.xattr.user.b=YWJj"},
		{"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=sparse",
			"GNU.sparse.realsize=999"},
		{"SCHILY.acl.access=user::rw-,user:7:r--,group::r--,mask::r--,other::"
		 "-"}};
	SCOPED_BUF struct buf text = {0};

	for (int i = 0; i < 4 && records[n][i]; i++)
		put_record(&text, records[n][i]);
	buf_put8(&text, 0);
	if (n > 0) {
		put_header(b, "x", 'x', (uint32_t)text.len - 1, "");
		put_content(b, (char *)text.data);
	}
	if (n == 3) {
		put_header(b, "sparse", '0', 512 + 4, "");
		put_content(b, "2\n100\n4\n999\n0\n");
		put_content(b, "data");
	} else {
		put_header(b, "d/f", '0', 7, "");
		put_content(b, "content");
	}
	put_header(b, "s", '2', 0, "../t");
	if (n == 0)
		put_header(b, "h", '1', 0, "d/f");
	memset(buf_extend(b, 1024), 0, 1024);
}

/* In a frame that has it as it is: what is changed of it still comes through. */
static void seed_lz4(struct buf *b)
{
	static const unsigned char head[] = {0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82};
	SCOPED_BUF struct buf tar = {0};

	seed_tar(0, &tar);
	buf_put(b, head, sizeof(head));
	buf_put32(b, (uint32_t)tar.len | 0x80000000u);
	buf_put(b, tar.data, tar.len);
	buf_put32(b, 0);
}

static void seed_cpio(unsigned n, struct buf *b)
{
	static const struct {
		const char *name, *content;
		unsigned mode, ino;
	} files[] = {{"d", "", 040755, 1}, {"d/one", "", 0100644, 2},
		{"two", "content", 0100644, 2}, {"s", "t", 0120777, 3},
		{"TRAILER!!!", "", 0, 0}};

	for (size_t i = 0; i < 5; i++) {
		const char *name = files[i].name, *content = files[i].content;

		if (n)
			buf_printf(b,
				"070707%06o%06o%06o%06o%06o%06o%06o%011o%06zo%011zo", 1,
				files[i].ino, files[i].mode, 7, 8, 2, 0, 9,
				strlen(name) + 1, strlen(content));
		else
			buf_printf(b,
				"070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%"
				"08zx"
				"%08x",
				files[i].ino, files[i].mode, 7, 8, 2, 9,
				strlen(content), 1, 1, 0, 0, strlen(name) + 1, 0);
		buf_put(b, name, strlen(name) + 1);
		while (!n && b->len % 4)
			buf_put8(b, 0);
		buf_put(b, content, strlen(content));
		while (!n && b->len % 4)
			buf_put8(b, 0);
	}
}

/* A file of three bytes, stored. */
static void seed_zip(struct buf *b)
{
	static const unsigned char zip[] = {'P', 'K', 3, 4, 10, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 0xc2, 0x41, 0x24, 0x35, 3, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 'f', 'a',
		'b', 'c', 'P', 'K', 1, 2, 10, 3, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xc2,
		0x41, 0x24, 0x35, 3, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0xa4, 0x81, 0, 0, 0, 0, 'f', 'P', 'K', 5, 6, 0, 0, 0, 0, 1, 0, 1,
		0, 47, 0, 0, 0, 34, 0, 0, 0, 0, 0};

	buf_put(b, zip, sizeof(zip));
}

bool fuzz_seed(unsigned n, struct buf *out)
{
	if (n < 5)
		seed_tar(n, out);
	else if (n < 7)
		seed_cpio(n - 5, out);
	else if (n == 7)
		seed_zip(out);
	else if (n == 8)
		seed_lz4(out);
	return n < 9;
}
