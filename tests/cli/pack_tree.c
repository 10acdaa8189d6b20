/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A directory as an archive, written as a drain would: room for each header by the longest of its
 * names, pieces from the last to the first, and an index beside it.
 *
 *	pack_tree [--whole] [--blocks=N] [--stripe=BYTES] DIR ARCHIVE
 *
 * --whole: holes are written as zeros. --blocks: as many more of 512 bytes in front of each member
 * as its number modulo N + 1. ARCHIVE ending in .zst: frames of --stripe bytes and a seek table.
 */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/header.h"
#include "archive/index.h"
#include "archive/members.h"
#include "base/digest.h"
#include "codec/frames.h"
#include "fsio/fsio.h"

#define MAX 10000 /* members */

struct tree {
	struct manifest_entry entries[MAX];
	struct header headers[MAX];
	uint32_t n;
	bool whole;
	unsigned blocks;
	struct header_maker *maker;
	struct members members;
};

static struct ebt_err why;

static void must(int code)
{
	if (code < 0)
		errx(1, "%s", why.text);
}

static void *need(void *p)
{
	if (!p)
		err(99, "memory");
	return p;
}

/* The data of a file, rounded out as manifests have it. */
static void look_for_holes(const char *path, struct manifest_entry *e)
{
	SCOPED_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct manifest_extent *x = NULL;
	off_t data, hole = 0, from, to;

	if (fd < 0)
		err(99, "%s", path);
	while ((data = lseek(fd, hole, SEEK_DATA)) >= 0) {
		hole = lseek(fd, data, SEEK_HOLE);
		from = data / DIGEST_LEAF * DIGEST_LEAF;
		to = (hole + DIGEST_LEAF - 1) / DIGEST_LEAF * DIGEST_LEAF;
		if ((uint64_t)to > e->size)
			to = (off_t)e->size;
		if (e->n_extents && x[e->n_extents - 1].off + x[e->n_extents - 1].len >=
					    (uint64_t)from) {
			x[e->n_extents - 1].len =
				(uint64_t)to - x[e->n_extents - 1].off;
			continue;
		}
		x = need(realloc(x, (e->n_extents + 1) * sizeof(*x)));
		x[e->n_extents++] =
			(struct manifest_extent){(uint64_t)from, (uint64_t)(to - from)};
	}
	if (!x && e->size) {
		x = need(malloc(sizeof(*x)));
		x[e->n_extents++] = (struct manifest_extent){
			0, e->size < DIGEST_LEAF ? e->size : DIGEST_LEAF};
	}
	e->extents = x;
}

static void add(struct tree *t, const char *path)
{
	struct manifest_entry *e = &t->entries[t->n];
	struct header *h = &t->headers[t->n];
	struct buf xattrs = {0};
	struct stat st;
	ssize_t n;

	if (lstat(path, &st) < 0)
		err(99, "%s", path);
	if (t->n == MAX)
		errx(99, "more than %d members", MAX);
	*e = (struct manifest_entry){.name = need(strdup(path)),
		.mode = st.st_mode & 07777,
		.uid = st.st_uid,
		.gid = st.st_gid,
		.mtime = st.st_mtim.tv_sec,
		.mtime_ns = (uint32_t)st.st_mtim.tv_nsec,
		.dev = st.st_dev,
		.ino = st.st_ino,
		.kind = S_ISDIR(st.st_mode)   ? MANIFEST_DIR
			: S_ISLNK(st.st_mode) ? MANIFEST_SYMLINK
					      : MANIFEST_FILE};
	*h = (struct header){.e = e, .path = e->name};
	if (S_ISLNK(st.st_mode)) {
		char *target = need(calloc(1, (size_t)st.st_size + 1));

		n = readlink(path, target, (size_t)st.st_size);
		if (n < 0)
			err(99, "%s", path);
		e->target = target;
	}
	if (fsio_xattrs_get_at(path, &xattrs) < 0)
		errx(99, "%s: attributes", path);
	e->xattrs = xattrs.data;
	e->xattrs_len = (uint32_t)xattrs.len;
	for (uint32_t i = 0; S_ISREG(st.st_mode) && st.st_nlink > 1 && i < t->n; i++)
		if (!h->link && t->entries[i].ino == st.st_ino)
			h->link = t->headers[i].path;
	if (S_ISREG(st.st_mode)) {
		e->size = (uint64_t)st.st_size;
		look_for_holes(path, e);
		h->sparse = !h->link && !t->whole && header_sparse(e);
	}
	t->n++;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void walk(struct tree *t, const char *dir)
{
	struct dirent **names;
	char *path;
	struct stat st;
	int n = scandir(dir, &names, NULL, by_name);

	if (n < 0)
		err(99, "%s", dir);
	for (int i = 0; i < n; free(names[i]), i++) {
		if (strcmp(names[i]->d_name, ".") == 0 ||
			strcmp(names[i]->d_name, "..") == 0)
			continue;
		if (asprintf(&path, "%s%s%s", strcmp(dir, ".") ? dir : "",
			    strcmp(dir, ".") ? "/" : "", names[i]->d_name) < 0)
			err(99, "memory");
		if (lstat(path, &st) < 0)
			err(99, "%s", path);
		add(t, path);
		if (S_ISDIR(st.st_mode))
			walk(t, path);
		free(path);
	}
	free(names);
}

static void place(struct tree *t)
{
	uint64_t room;

	for (uint32_t i = 0; i < t->n; i++) {
		const struct header *h = &t->headers[i];
		unsigned more = i % (t->blocks + 1);

		must(header_room(t->maker, h, &room, &why));
		if (more)
			room = (room < 1536 ? 1536 : room) + more * HEADER_BLOCK;
		if (h->sparse)
			must(members_add_sparse(&t->members, room, h->e->extents,
				h->e->n_extents, &why));
		else
			must(members_add(&t->members, room, header_packed(h), &why));
	}
}

/* The bytes of the archive at @off. */
static void get(const struct tree *t, uint64_t off, unsigned char *to, uint64_t len)
{
	struct members_walk w = members_walk(&t->members, off, len);
	const struct members_place *place;
	struct members_piece p;

	while (members_next(&w, &p)) {
		unsigned char *at = to + (p.at - off);
		SCOPED_BUF struct buf b = {0};

		if (p.kind == MEMBERS_ZEROS) {
			memset(at, 0, p.len);
		} else if (p.kind == MEMBERS_HEADER) {
			place = &t->members.places[p.member];
			must(header_make(t->maker, &t->headers[p.member],
				place->data - place->header, &b, &why));
			memcpy(at, b.data + p.from, p.len);
		} else {
			const char *path = t->headers[p.member].path;
			SCOPED_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

			if (fd < 0 ||
				pread(fd, at, p.len, (off_t)p.from) != (ssize_t)p.len)
				err(99, "%s", path);
		}
	}
}

static void put(int fd, const void *data, size_t len, uint64_t off)
{
	if (pwrite(fd, data, len, (off_t)off) != (ssize_t)len)
		err(99, "archive");
}

/* From its end to its beginning: nothing may depend on an order. */
static void write_plain(const struct tree *t, int fd, size_t stripe)
{
	uint64_t total = members_total(&t->members), off = total / stripe * stripe;
	unsigned char *b = need(malloc(stripe));
	uint64_t len;

	if (ftruncate(fd, (off_t)total) < 0)
		err(99, "archive");
	for (;; off -= stripe) {
		len = total - off < stripe ? total - off : stripe;
		get(t, off, b, len);
		put(fd, b, len, off);
		if (off == 0)
			break;
	}
	free(b);
}

static void write_frames(const struct tree *t, int fd, size_t stripe)
{
	SCOPED(frame_packer_freep) struct frame_packer *p = NULL;
	SCOPED_FRAMES struct frames f = {0};
	SCOPED_BUF struct buf table = {0};
	uint64_t total = members_total(&t->members), len, at;
	size_t room = frame_room((uint32_t)stripe);
	unsigned char *plain = need(malloc(stripe)), *packed = need(malloc(room));
	uint32_t n;

	must(frame_packer_new(3, &p, &why));
	for (uint64_t off = 0; off < total; off += len) {
		len = total - off < stripe ? total - off : stripe;
		get(t, off, plain, len);
		must(frame_pack(p, plain, (uint32_t)len, packed, room, &n, &why));
		at = frames_end(&f).packed;
		put(fd, packed, n, at);
		must(frames_add(&f, n, (uint32_t)len, &why));
	}
	must(frames_put_table(&f, &table, &why));
	put(fd, table.data, table.len, frames_end(&f).packed);
	free(plain);
	free(packed);
}

static void write_index(const struct tree *t, int fd, const char *archive)
{
	SCOPED_BUF struct buf b = {0};
	struct index_head head = {
		.unpacked = members_total(&t->members), .members = t->n};
	struct stat st;
	char *name;
	FILE *f;

	if (fstat(fd, &st) < 0)
		err(99, "%s", archive);
	head.size = (uint64_t)st.st_size;
	head.mtime = st.st_mtim.tv_sec;
	head.mtime_ns = (uint32_t)st.st_mtim.tv_nsec;
	must(index_put_head(&b, &head, &why));
	for (uint32_t i = 0; i < t->n; i++) {
		const struct members_place *p = &t->members.places[i];
		const struct header *h = &t->headers[i];
		struct index_member m = {.header = p->header,
			.data = p->data,
			.packed = p->packed,
			.size = h->link ? 0 : h->e->size,
			.type = h->link				 ? INDEX_HARDLINK
				: h->e->kind == MANIFEST_DIR	 ? INDEX_DIR
				: h->e->kind == MANIFEST_SYMLINK ? INDEX_SYMLINK
								 : INDEX_FILE,
			.path = h->path,
			.link = h->link};

		must(index_put(&b, &m, &why));
	}
	if (asprintf(&name, "%s.idx", archive) < 0)
		err(99, "memory");
	f = fopen(name, "w");
	if (!f || fwrite(b.data, 1, b.len, f) != b.len || fclose(f) != 0)
		err(99, "%s", name);
	free(name);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"whole", no_argument, NULL, 'w'},
		{"blocks", required_argument, NULL, 'b'},
		{"stripe", required_argument, NULL, 's'}, {NULL, 0, NULL, 0}};
	static struct tree t;
	size_t stripe = 1 << 20, n;
	SCOPED_FREE char *archive = NULL;
	int c, fd;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'w')
			t.whole = true;
		else if (c == 'b')
			t.blocks = (unsigned)atoi(optarg);
		else if (c == 's')
			stripe = (size_t)atol(optarg);
		else
			return 99;
	}
	if (argc - optind != 2)
		errx(99, "usage: pack_tree [OPTION...] DIR ARCHIVE");
	fd = open(argv[optind + 1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		err(99, "%s", argv[optind + 1]);
	archive = need(realpath(argv[optind + 1], NULL));
	if (chdir(argv[optind]) < 0)
		err(99, "%s", argv[optind]);
	must(header_maker_new(&t.maker, &why));
	walk(&t, ".");
	place(&t);
	n = strlen(archive);
	if (n > 4 && strcmp(archive + n - 4, ".zst") == 0)
		write_frames(&t, fd, stripe);
	else
		write_plain(&t, fd, stripe);
	write_index(&t, fd, archive);
	return 0;
}
