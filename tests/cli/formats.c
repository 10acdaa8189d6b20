/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads a manifest or a journal by the words of its manual page: where each field lies comes
 * from the tables there, nothing from the sources of EBT.
 *
 *	formats manifest PAGE FILE STORE   entries as `ebt-stage --list --json` prints them,
 *	                                   after the files of STORE were compared by digest
 *	formats details PAGE FILE          its extended attributes and data extents
 *	formats older PAGE FILE            makes it one of a version that noted no copies
 *	formats journal PAGE FILE NODE...  its records, of sources the name of their node
 *
 * A row of a table: offset or -, length, name, text. A length may be a letter, or a number
 * and a letter: the value of the field whose text ends in that letter.
 */
#include <ctype.h>
#include <err.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define LEAF 131072
#define ROWS 128
#define NONE 4294967295u

struct row {
	char section[64], name[32];
	long off;    /* -1: behind the row before */
	long len;    /* -1: up to the end */
	char of;     /* times the value of that letter; 0: none */
	char letter; /* that this field is; 0: none */
};

struct page {
	struct row rows[ROWS];
	size_t n;
};

/* The letter that a text ends in, perhaps before a semicolon. */
static char letter_of(const char *text)
{
	size_t n = strcspn(text, ";\n");

	while (n > 0 && text[n - 1] == ' ')
		n--;
	return n > 0 && islower((unsigned char)text[n - 1]) &&
			       (n == 1 || text[n - 2] == ' ')
		       ? text[n - 1]
		       : 0;
}

static void read_page(const char *path, struct page *p)
{
	FILE *f = fopen(path, "r");
	char line[512], section[64] = "", off[16], len[16];
	bool display = false;
	struct row *row;
	int at;

	if (!f)
		err(99, "%s", path);
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, ".Bd", 3) == 0 || strncmp(line, ".Ed", 3) == 0)
			display = line[1] == 'B';
		if (sscanf(line, ".Ss %63[^\n]", section) == 1 || !display)
			continue;
		if (p->n == ROWS)
			errx(99, "%s: more than %d rows", path, ROWS);
		row = &p->rows[p->n];
		if (sscanf(line, " %15[0-9-] %15[0-9a-z-] %31[a-z_]%n", off, len,
			    row->name, &at) != 3)
			continue;
		strcpy(row->section, section);
		row->off = *off == '-' ? -1 : atol(off);
		row->len = *len == '-'			  ? -1
			   : isdigit((unsigned char)*len) ? atol(len)
							  : 1;
		row->of = islower((unsigned char)len[strlen(len) - 1])
				  ? len[strlen(len) - 1]
				  : 0;
		row->letter = letter_of(line + at);
		p->n++;
	}
	fclose(f);
}

struct field {
	const struct row *row;
	const unsigned char *data;
	size_t len;
	uint64_t value; /* if it is at most 8 bytes long */
};

struct record {
	struct field fields[40];
	size_t n;
	const unsigned char *end; /* behind the last field */
};

static uint64_t letter_value(const struct record *r, char letter)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->fields[i].row->letter == letter)
			return r->fields[i].value;
	errx(1, "no field is '%c'", letter);
}

/* @data to @end by the table of @section. */
static struct record parse(const struct page *p, const char *section,
	const unsigned char *data, const unsigned char *end)
{
	struct record r = {.end = data};

	for (size_t i = 0; i < p->n; i++) {
		const struct row *row = &p->rows[i];
		struct field *f = &r.fields[r.n];

		if (strcmp(row->section, section) != 0)
			continue;
		f->row = row;
		f->data = row->off < 0 ? r.end : data + row->off;
		if (f->data != r.end || f->data > end)
			errx(1, "%s: %s does not follow what is before it", section,
				row->name);
		f->len = (size_t)(row->len < 0 ? end - f->data : row->len);
		if (row->of)
			f->len *= letter_value(&r, row->of);
		if (f->len > (size_t)(end - f->data))
			errx(1, "%s: %s ends outside", section, row->name);
		for (size_t k = f->len <= 8 ? f->len : 0; k-- > 0;)
			f->value = f->value << 8 | f->data[k];
		r.end = f->data + f->len;
		r.n++;
	}
	if (!r.n)
		errx(1, "no table in section '%s'", section);
	return r;
}

static const struct field *field(const struct record *r, const char *name)
{
	for (size_t i = 0; i < r->n; i++)
		if (strcmp(r->fields[i].row->name, name) == 0)
			return &r->fields[i];
	errx(1, "no field '%s'", name);
}

static uint64_t number(const struct record *r, const char *name)
{
	return field(r, name)->value;
}

static char *text(const struct record *r, const char *name)
{
	const struct field *f = field(r, name);
	char *s = strndup((const char *)f->data, f->len);

	if (!s || strlen(s) != f->len)
		errx(1, "%s: a NUL in it", name);
	return s;
}

/* The whole file; *len bytes, and room for a digest at most. */
static unsigned char *slurp(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	unsigned char *data = NULL;
	size_t cap = 0, n;

	if (!f)
		err(1, "%s", path);
	*len = 0;
	do {
		cap = cap ? 2 * cap : LEAF;
		data = realloc(data, cap);
		if (!data)
			err(99, "%s", path);
		n = fread(data + *len, 1, cap - *len, f);
		*len += n;
	} while (*len == cap);
	fclose(f);
	return data;
}

static void check_digest(const struct record *r, const unsigned char *data, size_t len)
{
	XXH128_hash_t h = XXH3_128bits(data, len);

	if (h.low64 != number(r, "digest_low") || h.high64 != number(r, "digest_high"))
		errx(1, "the digest is another one");
}

/* The digest of the content of STORE/PATH, as the page has it. */
static void check_content(
	const char *store, const char *path, uint64_t size, XXH128_hash_t want)
{
	static const unsigned char zeros[LEAF];
	XXH128_hash_t sum = {0}, h;
	unsigned char *data;
	char name[8192];
	size_t len;

	snprintf(name, sizeof(name), "%s/%s", store, path);
	data = slurp(name, &len);
	if (len != size)
		errx(1, "%s has another size", name);
	for (size_t at = 0; at < len; at += LEAF) {
		size_t n = len - at < LEAF ? len - at : LEAF;

		if (memcmp(data + at, zeros, n) == 0)
			continue;
		h = XXH3_128bits_withSeed(data + at, n, at / LEAF);
		sum.low64 += h.low64;
		sum.high64 += h.high64;
	}
	free(data);
	if (sum.low64 != want.low64 || sum.high64 != want.high64)
		errx(1, "%s has another digest", name);
}

struct entry {
	struct record r;
	char *path;
};

struct manifest {
	unsigned char *data;
	char **sources;
	struct entry *entries;
	size_t n_sources, n;
};

static struct manifest read_manifest(const struct page *p, const char *path)
{
	struct manifest m = {0};
	struct record head, tail, r;
	const unsigned char *at, *end;
	size_t len;
	uint64_t up;
	char *name;

	m.data = slurp(path, &len);
	head = parse(p, "Header", m.data, m.data + len);
	if (memcmp(field(&head, "magic")->data, "EBT-MAN\n", 8) != 0 ||
		number(&head, "version") != 1 || number(&head, "flags") != 1)
		errx(1, "%s: header", path);
	at = m.data + number(&head, "header_length");
	end = at + number(&head, "body_length");
	m.sources = calloc(number(&head, "sources") + 1, sizeof(*m.sources));
	m.entries = calloc(number(&head, "entries") + 1, sizeof(*m.entries));
	for (; m.n_sources < number(&head, "sources"); m.n_sources++) {
		r = parse(p, "Source", at, end);
		m.sources[m.n_sources] = text(&r, "path");
		at = r.end;
	}
	for (; m.n < number(&head, "entries"); m.n++) {
		struct entry *e = &m.entries[m.n];

		e->r = parse(p, "Entry", at, end);
		at += number(&e->r, "record_length");
		up = number(&e->r, "parent");
		name = text(&e->r, "name");
		if (e->r.end != at || (up != NONE && up >= m.n) ||
			asprintf(&e->path, "%s%s%s",
				up == NONE ? "" : m.entries[up].path,
				up == NONE ? "" : "/", name) < 0)
			errx(1, "entry %zu", m.n);
		free(name);
	}
	tail = parse(p, "Digest", end, m.data + len);
	if (at != end || tail.end != m.data + len)
		errx(1, "%s: lengths", path);
	check_digest(&tail, m.data, (size_t)(end - m.data));
	return m;
}

static void release(struct manifest *m)
{
	for (size_t i = 0; i < m->n_sources; i++)
		free(m->sources[i]);
	for (size_t i = 0; i < m->n; i++)
		free(m->entries[i].path);
	free(m->sources);
	free(m->entries);
	free(m->data);
}

static void print_text(const char *name, const struct field *f)
{
	printf(",\"%s\":\"%.*s\"", name, (int)f->len, (const char *)f->data);
}

static void list(const struct manifest *m, const char *store)
{
	static const char *const kinds[] = {"", "dir", "file", "symlink"};

	for (size_t i = 0; i < m->n; i++) {
		const struct entry *e = &m->entries[i], *first = e;
		uint64_t kind = number(&e->r, "kind"),
			 group = number(&e->r, "link_group");
		const char *source = m->sources[number(&e->r, "source")];

		if (group != NONE)
			first = &m->entries[group];
		printf("{\"schema\":\"ebt.manifest/1\",\"path\":\"%s\",\"kind\":\"%s\","
		       "\"mode\":\"%04" PRIo64 "\",\"uid\":%" PRIu64 ",\"gid\":%" PRIu64
		       ",\"size\":%" PRIu64 ",\"mtime\":%" PRId64
		       ",\"mtime_ns\":%" PRIu64,
			e->path, kinds[kind], number(&e->r, "mode"),
			number(&e->r, "uid"), number(&e->r, "gid"),
			number(&e->r, "size"), (int64_t)number(&e->r, "mtime"),
			number(&e->r, "mtime_ns"));
		if (kind == 2) {
			XXH128_hash_t want = {.low64 = number(&first->r, "digest_low"),
				.high64 = number(&first->r, "digest_high")};

			printf(",\"digest\":\"%016" PRIx64 "%016" PRIx64 "\"",
				(uint64_t)want.high64, (uint64_t)want.low64);
			check_content(store, e->path, number(&e->r, "size"), want);
		}
		if (kind == 3)
			print_text("target", field(&e->r, "target"));
		if (first != e)
			printf(",\"link\":\"%s\"", first->path);
		printf(",\"source\":\"%s/%s\"}\n", strcmp(source, "/") ? source : "",
			e->path);
	}
}

static void put(unsigned char *to, uint64_t v, size_t len)
{
	for (size_t k = 0; k < len; k++)
		to[k] = (unsigned char)(v >> (8 * k));
}

/* Entries end before their copy: what comes behind moves up, in place. */
static void older(const struct page *p, const struct manifest *m, const char *path)
{
	struct record head = parse(p, "Header", m->data, m->data + 64 + 24);
	unsigned char *base = m->data + number(&head, "header_length"), *to = NULL;
	uint64_t body = number(&head, "body_length"), cut = 0;
	const unsigned char *from;
	XXH128_hash_t h;
	FILE *f;

	for (size_t i = 0; i < m->n; i++) {
		const struct record *r = &m->entries[i].r;
		size_t len = (size_t)(field(r, "copy_ino")->data - r->fields[0].data);
		unsigned char length[4];

		from = r->fields[0].data;
		to = to ? to : m->data + (from - m->data);
		cut += (uint64_t)(r->end - from) - len;
		put(length, len, 4);
		memmove(to, from, len);
		memcpy(to, length, 4);
		to += len;
	}
	if (!to)
		errx(1, "%s: no entries", path);
	put(m->data + (field(&head, "body_length")->data - m->data), body - cut, 8);
	h = XXH3_128bits(m->data, (size_t)(to - m->data));
	put(to, h.low64, 8);
	put(to + 8, h.high64, 8);
	f = fopen(path, "wb");
	if (!f || to != base + (body - cut) ||
		fwrite(m->data, 1, (size_t)(to - m->data) + 16, f) !=
			(size_t)(to - m->data) + 16 ||
		fclose(f) != 0)
		err(1, "%s", path);
}

static void details(const struct page *p, const struct manifest *m)
{
	for (size_t i = 0; i < m->n; i++) {
		const struct entry *e = &m->entries[i];
		const struct field *f = field(&e->r, "xattrs");
		const unsigned char *at;
		struct record r;

		for (at = f->data; at < f->data + f->len; at = r.end) {
			r = parse(p, "Extended attributes", at, f->data + f->len);
			printf("%s: %.*s=%.*s\n", e->path, (int)field(&r, "name")->len,
				(const char *)field(&r, "name")->data,
				(int)field(&r, "value")->len,
				(const char *)field(&r, "value")->data);
		}
		f = field(&e->r, "data");
		for (at = f->data; at < f->data + f->len; at = r.end) {
			r = parse(p, "Data extents", at, f->data + f->len);
			printf("%s: data %" PRIu64 " %" PRIu64 "\n", e->path,
				number(&r, "offset"), number(&r, "length"));
		}
	}
}

/* NUL-terminated strings up to @end. */
static void print_names(const char *what, const struct field *f, uint64_t n)
{
	const unsigned char *at = f->data, *stop;

	for (; n > 0; n--, at = stop + 1) {
		stop = memchr(at, '\0', (size_t)(f->data + f->len - at));
		if (!stop)
			errx(1, "%s without a NUL", what);
		printf("%s %s\n", what, (const char *)at);
	}
	if (at != f->data + f->len)
		errx(1, "more than %s", what);
}

/* Whose hash @where is. */
static const char *node_of(uint64_t where, char **nodes)
{
	for (; *nodes; nodes++)
		if (XXH3_128bits(*nodes, strlen(*nodes)).low64 == where)
			return *nodes;
	return "?";
}

static void print_seal(const struct page *p, const unsigned char *data,
	const unsigned char *end, char **nodes)
{
	struct record r = parse(p, "Seal", data, end), s;
	const struct field *f = field(&r, "source");
	const unsigned char *at;

	printf("seal %" PRIu64 " %" PRId64 ".%09" PRIu64 "\n", number(&r, "size"),
		(int64_t)number(&r, "mtime"), number(&r, "mtime_ns"));
	for (at = f->data; at < f->data + f->len; at = s.end) {
		s = parse(p, "Source of a seal", at, f->data + f->len);
		printf("source %s %" PRIu64 " %" PRIu64 " %" PRId64 ".%09" PRIu64 "\n",
			node_of(number(&s, "where"), nodes), number(&s, "ino"),
			number(&s, "size"), (int64_t)number(&s, "mtime"),
			number(&s, "mtime_ns"));
	}
	print_names("name", field(&r, "name"), number(&r, "names"));
}

/* Where they are, and of each its bytes. */
static void print_frames(
	const struct page *p, const unsigned char *data, const unsigned char *end)
{
	struct record r = parse(p, "Frames", data, end), x;
	const struct field *f = field(&r, "frame");
	const unsigned char *at;

	printf("frames %" PRIu64 " %" PRIu64 "\n", number(&r, "first"),
		number(&r, "frames"));
	print_names("path", field(&r, "path"), 1);
	for (at = f->data; at < f->data + f->len; at = x.end) {
		x = parse(p, "Frame", at, f->data + f->len);
		printf("frame %" PRIu64 "\n", number(&x, "packed"));
	}
}

static void journal(const struct page *p, const char *path, char **nodes)
{
	size_t len;
	unsigned char *data = slurp(path, &len);
	struct record start = parse(p, "Start", data, data + len), r, x;
	const unsigned char *at;

	if (memcmp(field(&start, "magic")->data, "EBT-DRN\n", 8) != 0 ||
		number(&start, "version") < 1 || number(&start, "version") > 5)
		errx(1, "%s: start", path);
	for (at = start.end; at < data + len; at = r.end) {
		const struct field *f;

		r = parse(p, "Record", at, data + len);
		f = field(&r, "payload");
		check_digest(&r, at, (size_t)(f->data + f->len - at));
		switch (number(&r, "kind")) {
		case 1:
			x = parse(p, "Head", f->data, f->data + f->len);
			printf("head %.32s %" PRIu64 "\n",
				(const char *)field(&x, "id")->data,
				number(&x, "atomic"));
			print_names("dest", field(&x, "dest"), 1);
			break;
		case 2:
			print_seal(p, f->data, f->data + f->len, nodes);
			break;
		case 3:
			puts(f->len ? "end with a payload" : "end");
			break;
		case 4:
			x = parse(p, "Split", f->data, f->data + f->len);
			print_names("split", field(&x, "path"), number(&x, "paths"));
			break;
		case 5:
		case 6:
			x = parse(p,
				number(&r, "kind") == 5 ? "Seal of an inode"
							: "Seal under another name",
				f->data, f->data + f->len);
			printf("inode %" PRIu64 "\n", number(&x, "inode"));
			f = field(&x, "seal");
			print_seal(p, f->data, f->data + f->len, nodes);
			break;
		case 7:
			x = parse(p, "Seal of what lacks attributes", f->data,
				f->data + f->len);
			printf("lacks %" PRIu64 " inode %" PRIu64 "\n",
				number(&x, "lacks"), number(&x, "inode"));
			f = field(&x, "seal");
			print_seal(p, f->data, f->data + f->len, nodes);
			break;
		case 9:
			x = parse(p, "Packed", f->data, f->data + f->len);
			printf("packed %" PRIu64 " older %" PRIu64 "\n",
				number(&x, "keys"), number(&x, "older"));
			print_names("archive", field(&x, "path"), 1);
			break;
		case 8:
			print_frames(p, f->data, f->data + f->len);
			break;
		default:
			errx(1, "%s: a record of kind %" PRIu64, path,
				number(&r, "kind"));
		}
	}
	free(data);
}

int main(int argc, char **argv)
{
	static struct page p;
	struct manifest m;

	if (argc < 4)
		errx(2, "usage: formats manifest|details|older|journal PAGE FILE "
			"[STORE]");
	read_page(argv[2], &p);
	if (strcmp(argv[1], "journal") == 0) {
		journal(&p, argv[3], argv + 4);
		return 0;
	}
	m = read_manifest(&p, argv[3]);
	if (strcmp(argv[1], "details") == 0)
		details(&p, &m);
	else if (strcmp(argv[1], "older") == 0)
		older(&p, &m, argv[3]);
	else if (argc == 5)
		list(&m, argv[4]);
	release(&m);
	return 0;
}
