/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sources that are odd to open or to read: stale handles, leases, files without content, and
 * those that are not what their size says. openat and pread are stood in for here.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pack/pack.h"
#include "suite.h"
#include "own_pool.h"

static struct {
	int open_code, read_code; /* errno of calls that fail, 0: none do */
	const char *name;	  /* opens of this name */
	unsigned opens;		  /* that fail */
	unsigned places;	  /* directories opened: O_PATH */
	bool more;		  /* pread: a byte where the file ends */
	bool less;		  /* pread: nothing at all */
} stub;

static int open_at(int dirfd, const char *name, int flags, mode_t mode)
{
	static int (*next)(int, const char *, int, mode_t);

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "openat64");
	stub.places += (flags & O_PATH) != 0;
	if (stub.open_code && strcmp(name, stub.name) == 0 && stub.opens) {
		stub.opens--;
		errno = stub.open_code;
		return -1;
	}
	return next(dirfd, name, flags, mode);
}

int openat(int dirfd, const char *name, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if (flags & O_CREAT) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	return open_at(dirfd, name, flags, mode);
}

static ssize_t read_at(int fd, void *to, size_t len, off_t off)
{
	static ssize_t (*next)(int, void *, size_t, off_t);

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "pread64");
	if (stub.read_code) {
		errno = stub.read_code;
		return -1;
	}
	if (stub.more && len) {
		*(char *)to = 'x';
		return 1;
	}
	return stub.less ? 0 : next(fd, to, len, off);
}

ssize_t pread(int fd, void *to, size_t len, off_t off)
{
	return read_at(fd, to, len, off);
}

/* What the C library makes of these calls where the build is hardened (_FORTIFY_SOURCE). */
int __openat64_2(int dirfd, const char *name, int flags);
ssize_t __pread64_chk(int fd, void *to, size_t len, off_t off, size_t room);

int __openat64_2(int dirfd, const char *name, int flags)
{
	return open_at(dirfd, name, flags, 0);
}

ssize_t __pread64_chk(int fd, void *to, size_t len, off_t off, size_t room)
{
	return read_at(fd, to, len, off);
}

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(99);
}

#define PARCEL (128 * 1024)
#define EMPTY  200

/* d/file has content, d/e* have none. */
struct field {
	char tmp[64];
	int dir;
	struct manifest *m;
	struct plan *plan;
	struct pool *pool;
	struct packer *p;
	struct pack_place from;
	struct ebt_err err;
	uint64_t count;
	bool stopped;
};

static void add(struct field *f, const char *name, mode_t mode, size_t len)
{
	struct manifest_entry e = {.name = name, .group = MANIFEST_NONE};
	struct stat st;

	if (S_ISDIR(mode)) {
		must(mkdirat(f->dir, name, 0700) == 0, name);
	} else {
		SCOPED_FD int fd = openat(
			f->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

		must(fd >= 0 && write(fd, "content", len) == (ssize_t)len, name);
	}
	must(fstatat(f->dir, name, &st, 0) == 0 &&
			manifest_add_source(f->m, f->tmp, &e.source, NULL) == 0,
		name);
	e.kind = S_ISDIR(mode) ? MANIFEST_DIR : MANIFEST_FILE;
	e.size = len;
	e.allocated = (uint64_t)st.st_blocks * 512;
	e.mtime = st.st_mtim.tv_sec;
	e.mtime_ns = (uint32_t)st.st_mtim.tv_nsec;
	e.ino = st.st_ino;
	e.dev = st.st_dev;
	e.nlink = 1;
	e.uid = st.st_uid;
	must(manifest_add(f->m, &e, NULL) == 0, name);
}

static bool gives_up(void *arg)
{
	return ((struct field *)arg)->stopped;
}

static void open_field(struct field *f)
{
	struct plan_options o = {.nodes = 1,
		.readers = 1,
		.parcel = PARCEL,
		.cost = {COST_LINK, COST_LATENCY, COST_READ, COST_WRITE}};
	char name[32];

	memset(&stub, 0, sizeof(stub));
	memset(f, 0, sizeof(*f));
	f->from = (struct pack_place)PACK_PLACE_INIT;
	f->dir = suite_tmpdir(f->tmp);
	must(manifest_new(&f->m, NULL) == 0, "manifest");
	add(f, "d", S_IFDIR, 0);
	add(f, "d/file", S_IFREG, 7);
	for (int i = 0; i < EMPTY; i++) {
		snprintf(name, sizeof(name), "d/e%d", i);
		add(f, name, S_IFREG, 0);
	}
	must(manifest_arrange(f->m, NULL) == 0 &&
			plan_stage(f->m, NULL, &o, &f->plan, NULL) == 0 &&
			own_pool(PARCEL, 1, &f->pool, NULL) == 0 &&
			packer_new(f->m, f->plan, 0, NULL, &f->p, NULL) == 0,
		"packer");
	packer_be_patient(
		f->p, &(struct fsio_patience){
			      .stopped = gives_up, .arg = f, .count = &f->count});
}

static void close_field(struct field *f)
{
	memset(&stub, 0, sizeof(stub));
	pack_place_end(&f->from);
	packer_free(f->p);
	pool_free(f->pool);
	plan_free(f->plan);
	manifest_free(f->m);
	close(f->dir);
}
#define SCOPED_FIELD SCOPED(close_field)

static int fill(struct field *f)
{
	struct parcel *parcel = pool_try(f->pool);
	int r = packer_fill(f->p, 0, parcel, &f->from, &f->err);

	if (r == 0)
		CU_ASSERT_EQUAL(memcmp(parcel->payload, "content", 7), 0);
	parcel_unref(parcel);
	return r;
}

static int look(struct field *f)
{
	int r = 0;

	while (r == 0)
		r = packer_look(f->p, NULL, &f->from, &f->err);
	return r;
}

static bool says(const struct field *f, const char *text)
{
	if (strstr(f->err.text, text))
		return true;
	printf("says: %s\n", f->err.text);
	return false;
}

static void what_the_file_system_says_keeps_its_text(void)
{
	static const int codes[] = {ESTALE, EIO, ECANCELED, EBADMSG};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		SCOPED_FIELD struct field f;

		open_field(&f);
		stub.open_code = codes[i];
		stub.name = "file";
		stub.opens = 1000;
		CU_ASSERT_EQUAL(fill(&f), -codes[i]);
		CU_ASSERT(says(&f, "/d/file: open: "));
		CU_ASSERT(says(&f, strerror(codes[i])));
		stub.opens = 0;
		stub.read_code = codes[i];
		CU_ASSERT_EQUAL(fill(&f), -codes[i]);
		CU_ASSERT(says(&f, "/d/file: read: "));
		CU_ASSERT(says(&f, strerror(codes[i])));
	}
}

static void what_ebt_says_is_no_error_of_the_file_system(void)
{
	SCOPED_FIELD struct field f;

	open_field(&f);
	must(utimensat(f.dir, "d/file", (struct timespec[2]){{1, 1}, {1, 1}}, 0) == 0,
		"touch");
	CU_ASSERT(fill(&f) < 0);
	CU_ASSERT(says(&f, "/d/file: changed while it was being staged"));
	CU_ASSERT_PTR_NULL(strstr(f.err.text, strerror(ESTALE)));
}

static void an_open_that_fails_in_passing_is_tried_again(void)
{
	static const int codes[] = {ESTALE, EINTR, EAGAIN};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		SCOPED_FIELD struct field f;

		open_field(&f);
		stub.open_code = codes[i];
		stub.name = "file";
		stub.opens = 2;
		stub.places = 0;
		CU_ASSERT_EQUAL(fill(&f), 0);
		CU_ASSERT_EQUAL(f.count, 1);
		/* The directory was opened anew each time: it may be what was stale. */
		CU_ASSERT_EQUAL(stub.places, 3);
	}
}

static void a_stop_request_ends_the_wait(void)
{
	SCOPED_FIELD struct field f;

	open_field(&f);
	f.stopped = true;
	stub.open_code = EAGAIN;
	stub.name = "file";
	stub.opens = 1000000;
	CU_ASSERT_EQUAL(fill(&f), -EAGAIN);
	CU_ASSERT_EQUAL(stub.opens, 1000000 - 1);
}

static void *give_up_lease(void *arg)
{
	usleep(150000);
	fcntl(*(int *)arg, F_SETLEASE, F_UNLCK);
	return NULL;
}

static void a_leased_file_is_waited_for(void)
{
	SCOPED_FIELD struct field f;
	SCOPED_FD int held = -1;
	pthread_t thread;

	open_field(&f);
	held = openat(f.dir, "d/file", O_RDWR | O_CLOEXEC);
	fcntl(held, F_SETSIG, SIGURG); /* which nobody minds */
	if (fcntl(held, F_SETLEASE, F_WRLCK) < 0) {
		printf("not tried, no leases here: %s\n", strerror(errno));
		return;
	}
	must(pthread_create(&thread, NULL, give_up_lease, &held) == 0, "thread");
	CU_ASSERT_EQUAL(fill(&f), 0);
	CU_ASSERT_EQUAL(f.count, 1);
	pthread_join(thread, NULL);
}

static void files_without_content_are_looked_at(void)
{
	SCOPED_FIELD struct field f;

	open_field(&f);
	CU_ASSERT_EQUAL(look(&f), 1);
	/* One open of the directory for each share that lies in it, none for each file. */
	CU_ASSERT(stub.places < EMPTY / 10);
}

static void one_that_changed_is_named(void)
{
	static const struct {
		const char *what, *text;
	} rows[] = {{"touch", "changed"}, {"grow", "changed"}, {"replace", "changed"},
		{"vanish", "open: No such file"}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		SCOPED_FIELD struct field f;
		SCOPED_FD int fd = -1;

		open_field(&f);
		if (i == 0)
			utimensat(f.dir, "d/e150", (struct timespec[2]){{1, 1}, {1, 1}},
				0);
		if (i >= 2)
			unlinkat(f.dir, "d/e150", 0);
		if (i == 1 || i == 2)
			fd = openat(
				f.dir, "d/e150", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (i == 1)
			must(write(fd, "x", 1) == 1, "grow");
		CU_ASSERT(look(&f) < 0);
		CU_ASSERT(says(&f, "/d/e150: "));
		CU_ASSERT(says(&f, rows[i].text));
	}
}

/* As those below /proc: the size is 0, and stays so. */
static void one_with_content_after_all_is_refused(void)
{
	SCOPED_FIELD struct field f;

	open_field(&f);
	stub.more = true;
	CU_ASSERT(look(&f) < 0);
	CU_ASSERT(says(&f, "has content although its size is 0"));
}

/* As those below /sys: the size is that of a page, the content a line. */
static void one_with_less_than_its_size_says_is_refused(void)
{
	SCOPED_FIELD struct field f;

	open_field(&f);
	stub.less = true;
	CU_ASSERT(fill(&f) < 0);
	CU_ASSERT(says(&f, "/d/file: has less content than its size says"));
}

static void what_is_not_needed_is_not_looked_at(void)
{
	SCOPED_FIELD struct field f;
	uint64_t need[EMPTY / 64 + 1] = {0};
	char name[32];
	int r = 0;

	open_field(&f);
	for (int i = 0; i < EMPTY; i++) {
		snprintf(name, sizeof(name), "d/e%d", i);
		must(unlinkat(f.dir, name, 0) == 0, name);
	}
	while (r == 0)
		r = packer_look(f.p, need, &f.from, &f.err);
	CU_ASSERT_EQUAL(r, 1);
}

static const struct test tests[] = {
	TEST(what_the_file_system_says_keeps_its_text),
	TEST(what_ebt_says_is_no_error_of_the_file_system),
	TEST(an_open_that_fails_in_passing_is_tried_again),
	TEST(a_stop_request_ends_the_wait),
	TEST(a_leased_file_is_waited_for),
	TEST(files_without_content_are_looked_at),
	TEST(one_that_changed_is_named),
	TEST(one_with_content_after_all_is_refused),
	TEST(one_with_less_than_its_size_says_is_refused),
	TEST(what_is_not_needed_is_not_looked_at),
};
SUITE("pack_sources", tests)
