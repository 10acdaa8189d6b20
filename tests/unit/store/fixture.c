/* SPDX-License-Identifier: BSD-3-Clause */
#include "fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fsio/fsio.h"

#define NAME50 "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"

static const struct item all[] = {
	DIRECTORY("a", 0755),
	{.path = "a/f",
		.kind = MANIFEST_FILE,
		.mode = 0640,
		.text = "one inode",
		.inode = 7},
	LINK("a/link", "f"),
	DIRECTORY("a/ro", 0555),
	PLAIN("a/ro/g", "below a read-only directory"),
	DIRECTORY("a/ro/deep", 0555),
	{.path = "a/ro/deep/h", .kind = MANIFEST_FILE, .mode = 0444, .text = "h"},
	DIRECTORY("b", 0550),
	{.path = "b/hard",
		.kind = MANIFEST_FILE,
		.mode = 0640,
		.text = "one inode",
		.inode = 7},
	DIRECTORY("b/empty", 0711),
	{.path = "big",
		.kind = MANIFEST_FILE,
		.mode = 0600,
		.text = "0123456789",
		.times = 40000},
	PLAIN("empty", ""),
	LINK("dangling", "no/such/file"),
	PLAIN("new\nline", "n"),
	PLAIN("\377\376", "invalid UTF-8"),
	PLAIN(NAME50 NAME50 NAME50 NAME50 NAME50 "12345", "255 bytes"),
};
const struct items everything = {all, sizeof(all) / sizeof(all[0])};

static size_t content(const struct item *item, char **out)
{
	size_t len = strlen(item->text), times = item->times ? item->times : 1;
	char *p = malloc(len * times + 1);

	for (size_t i = 0; i < times; i++)
		memcpy(p + i * len, item->text, len);
	*out = p;
	return len * times;
}

static void fill(const struct item *item, struct manifest_entry *e)
{
	size_t at, n;

	e->name = item->path;
	e->kind = (uint8_t)item->kind;
	e->mode = item->mode;
	e->uid = geteuid();
	e->gid = getegid();
	e->mtime = 1000000000 + (int64_t)item->age;
	e->mtime_ns = 123456789;
	e->atime = 1100000000;
	e->group = MANIFEST_NONE;
	e->parent = MANIFEST_ROOT;
	e->nlink = item->inode ? 2 : 1;
	e->dev = 1;
	/* Distinct for distinct objects: a repeated one would be dropped. */
	e->ino = item->inode ? item->inode : 1000 + (uint64_t)(uintptr_t)item;
	if (item->kind == MANIFEST_SYMLINK)
		e->target = item->text;
	if (item->kind == MANIFEST_FILE) {
		SCOPED_FREE char *data = NULL;

		e->size = content(item, &data);
		e->allocated = e->size;
		for (at = 0; at < e->size; at += n) {
			n = e->size - at < DIGEST_LEAF ? e->size - at : DIGEST_LEAF;
			e->digest = digest_sum(
				e->digest, digest_leaf(data + at, n, at / DIGEST_LEAF));
		}
	}
}

struct manifest *fixture_manifest(struct items items, const char *id)
{
	SCOPED_MANIFEST struct manifest *m = NULL;
	struct ebt_err err = {0};
	uint32_t source;

	CU_ASSERT_EQUAL_FATAL(manifest_new(&m, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(manifest_add_source(m, "/source", &source, NULL), 0);
	for (size_t i = 0; i < items.n; i++) {
		const struct item *item = &items.item[i];
		SCOPED_BUF struct buf xattrs = {0};
		struct manifest_entry e = {.source = source};

		fill(item, &e);
		if (item->xattr) {
			buf_put16(&xattrs, 9);
			buf_put32(&xattrs, (uint32_t)strlen(item->xattr));
			buf_put(&xattrs, "user.test", 9);
			buf_put(&xattrs, item->xattr, strlen(item->xattr));
			e.xattrs = xattrs.data;
			e.xattrs_len = (uint32_t)xattrs.len;
		}
		CU_ASSERT_EQUAL_FATAL(manifest_add(m, &e, &err), 0);
	}
	CU_ASSERT_EQUAL_FATAL(manifest_arrange(m, &err), 0);
	strcpy(m->id, id);
	return TAKE(m);
}

static void bring_file(int treefd, const char *path, const struct manifest_entry *e,
	const struct item *item)
{
	SCOPED_FREE char *data = NULL;
	struct attr_made made = attr_made_file();
	size_t len = content(item, &data);
	SCOPED_FD int fd = openat(
		treefd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, made.mode);

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(fsio_write(fd, data, len, 0), 0);
	CU_ASSERT_EQUAL(attr_set(fd, e, &made, NULL), 0);
}

void fixture_bring(
	int treefd, const struct manifest *m, const uint64_t *need, struct items items)
{
	char path[1024], first[1024], dir[1024];

	for (uint32_t i = 0; i < m->count; i++) {
		const struct manifest_entry *e = &m->entries[i];
		size_t k = 0;

		CU_ASSERT_TRUE_FATAL(manifest_path(m, i, path, sizeof(path)) > 0);
		while (k < items.n && strcmp(items.item[k].path, path) != 0)
			k++;
		CU_ASSERT_TRUE_FATAL(k < items.n);
		if (e->kind == MANIFEST_DIR) {
			CU_ASSERT_EQUAL_FATAL(mkdirat(treefd, path, 0700), 0);
		} else if (!manifest_needed(need, i)) {
			continue;
		} else if (e->kind == MANIFEST_SYMLINK) {
			strcpy(dir, path);
			*(strrchr(dir, '/') ? strrchr(dir, '/') : dir) = '\0';
			SCOPED_FD int at =
				openat(treefd, *dir ? dir : ".", O_PATH | O_CLOEXEC);
			CU_ASSERT_EQUAL(symlinkat(e->target, at, e->name), 0);
			CU_ASSERT_EQUAL(attr_set_link(at, e, NULL), 0);
		} else if (manifest_has_data(m, i)) {
			bring_file(treefd, path, e, &items.item[k]);
		} else {
			manifest_path(m, e->group, first, sizeof(first));
			CU_ASSERT_EQUAL(linkat(treefd, first, treefd, path, 0), 0);
		}
	}
}

void fixture_prepare(struct store *s, const char *id, const struct manifest *m,
	const uint64_t *need, struct items items, int how)
{
	SCOPED_FD int tree = -1;

	CU_ASSERT_EQUAL_FATAL(store_begin(s, id, &tree, NULL), 0);
	fixture_bring(tree, m, need, items);
	CU_ASSERT_EQUAL_FATAL(store_seal(s, m, need, false, NULL), 0);
	if (how >= 0)
		CU_ASSERT_EQUAL_FATAL(
			store_commit(s, id, (enum store_overwrite)how, NULL), 0);
}

void fixture_publish(const char *dest, const char *id, struct items items, int how)
{
	SCOPED_STORE struct store *s = fixture_open(dest);
	SCOPED_MANIFEST struct manifest *m = fixture_manifest(items, id);
	struct ebt_err err = {0};

	fixture_prepare(s, id, m, NULL, items, how);
	CU_ASSERT_EQUAL_FATAL(store_publish(s, NULL, &err), 0);
}

struct store *fixture_open(const char *dest)
{
	struct store *s = NULL;

	CU_ASSERT_EQUAL_FATAL(store_open(dest, STORE_CREATE, &s, NULL), 0);
	return s;
}

const char *fixture_dest(const char *tmp, const char *name, char out[128])
{
	snprintf(out, 128, "%s/%s", tmp, name);
	return out;
}

void fixture_write(int dirfd, const char *name, const char *text)
{
	SCOPED_FD int fd =
		openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(fsio_write(fd, text, strlen(text), 0), 0);
}

static void snapshot(FILE *out, int dirfd, const char *prefix)
{
	struct dirent **names;
	int n = scandirat(dirfd, ".", &names, NULL, alphasort);
	char target[256], path[2048];
	struct stat st;

	CU_ASSERT_TRUE_FATAL(n >= 0);
	for (int i = 0; i < n; i++) {
		const char *name = names[i]->d_name;
		SCOPED_BUF struct buf b = {0};

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
			strcmp(name, ".ebt") == 0)
			continue;
		CU_ASSERT_EQUAL_FATAL(
			fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
		snprintf(path, sizeof(path), "%s/%s", prefix, name);
		fprintf(out, "%s %o %u:%u %ld.%09ld", path, st.st_mode, st.st_uid,
			st.st_gid, (long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
		if (!S_ISDIR(st.st_mode))
			fprintf(out, " links %lu size %ld", (unsigned long)st.st_nlink,
				(long)st.st_size);
		if (S_ISLNK(st.st_mode))
			fprintf(out, " -> %.*s",
				(int)readlinkat(dirfd, name, target, sizeof(target)),
				target);
		if (S_ISREG(st.st_mode)) {
			CU_ASSERT_EQUAL(fsio_load(dirfd, name, 1 << 20, &b, NULL), 0);
			fprintf(out, " %016lx",
				(unsigned long)digest_bytes(b.data, b.len).lo);
		}
		fprintf(out, "\n");
		if (S_ISDIR(st.st_mode)) {
			SCOPED_FD int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
			snapshot(out, fd, path);
		}
	}
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

char *fixture_snapshot(const char *dest)
{
	SCOPED_FD int fd = open(dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	snapshot(out, fd, "");
	fclose(out);
	return text;
}

uint64_t fixture_verify(const char *dest, const struct manifest *m)
{
	SCOPED_FD int fd = open(dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t bad = UINT64_MAX;

	CU_ASSERT_EQUAL(store_verify(fd, m, 2, NULL, NULL, &bad, NULL), 0);
	return bad;
}

bool fixture_needs_root(void)
{
	if (geteuid() == 0)
		return false;
	printf("not tried: other users' files need root ");
	return true;
}

static int count_one(void *arg, const char *name, unsigned char d_type)
{
	++*(int *)arg;
	return 0;
}

int fixture_incoming(const char *dest)
{
	char path[256];
	int n = 0;

	snprintf(path, sizeof(path), "%s/.ebt/incoming", dest);
	SCOPED_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		CU_ASSERT_EQUAL(fsio_list(fd, count_one, &n), 0);
	return n;
}

static void die_at_zero(void *arg)
{
	int *left = arg;

	if ((*left)-- == 0)
		_exit(9); /* as by SIGKILL: nothing is put in order */
}

bool fixture_until(const char *dest, int k, int (*act)(struct store *s))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		struct store *s = NULL;

		if (store_open(dest, STORE_EXISTING, &s, NULL) < 0)
			_exit(2);
		s->step = die_at_zero;
		s->step_arg = &k;
		_exit(act(s) < 0 ? 3 : 0);
	}
	CU_ASSERT_TRUE_FATAL(pid > 0);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_TRUE_FATAL(WIFEXITED(status));
	CU_ASSERT_TRUE_FATAL(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 9);
	return WEXITSTATUS(status) == 9;
}

static int publish(struct store *s)
{
	return store_publish(s, NULL, NULL);
}

bool fixture_publish_until(const char *dest, int k)
{
	return fixture_until(dest, k, publish);
}
