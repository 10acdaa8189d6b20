/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Creation, with a mock of Lustre and BeeGFS: the calls they are spoken to by are defined
 * here, which the linker prefers to libc's, and answer for a real directory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include "lov.h"
#include "pfs/pfs_internal.h"
#include "suite.h"

#define BEEGFS 0x19830326

static struct {
	bool lustre;
	int refuses;	/* errno of fsetxattr and of creation by ioctl */
	struct lov set; /* what was set last */
	struct lov has; /* what is read back; empty: the file has no layout */
	int delayed;	/* files that were opened to be given a layout */
	int dir;	/* of the mocked BeeGFS, -1: none */
	unsigned char hints[24];
	uint32_t pattern, chunk, targets[8];
	uint16_t count;
	int ioctls;
	int chmods;
} mock = {.dir = -1};

static void begin(void)
{
	memset(&mock, 0, sizeof(mock));
	mock.dir = -1;
	umask(022);
}

int fsetxattr(int fd, const char *name, const void *value, size_t size, int flags)
{
	if (!mock.lustre)
		return (int)syscall(SYS_fsetxattr, fd, name, value, size, flags);
	if (strcmp(name, "lustre.lov") != 0 || size > sizeof(mock.set.data) || flags)
		abort();
	mock.delayed += fcntl(fd, F_GETFL) & O_ASYNC ? 1 : 0;
	memcpy(mock.set.data, value, size);
	mock.set.len = size;
	errno = mock.refuses;
	return mock.refuses ? -1 : 0;
}

ssize_t fgetxattr(int fd, const char *name, void *value, size_t size)
{
	if (!mock.lustre)
		return syscall(SYS_fgetxattr, fd, name, value, size);
	if (strcmp(name, "lustre.lov") != 0 || size < mock.has.len)
		abort();
	if (!mock.has.len) {
		errno = ENODATA;
		return -1;
	}
	memcpy(value, mock.has.data, mock.has.len);
	return (ssize_t)mock.has.len;
}

int fchmod(int fd, mode_t mode)
{
	mock.chmods++;
	return (int)syscall(SYS_fchmod, fd, mode);
}

int fstatfs(int fd, struct statfs *fs)
{
	int r = (int)syscall(SYS_fstatfs, fd, fs);

	if (mock.dir >= 0)
		fs->f_type = BEEGFS;
	return r;
}

/* By the numbers and offsets of the published header. */
int ioctl(int fd, unsigned long request, ...)
{
	unsigned char *arg;
	const char *name;
	uint32_t i;
	int made;
	va_list ap;

	va_start(ap, request);
	arg = va_arg(ap, unsigned char *);
	va_end(ap);
	mock.ioctls++;
	switch ((uint32_t)request) {
	case 0x4018661b: /* MKFILE_STRIPEHINTS, 24 bytes in */
		memcpy(mock.hints, arg, sizeof(mock.hints));
		memcpy(&name, arg, sizeof(name));
		memcpy(&i, arg + 8, 4);
		errno = mock.refuses;
		if (mock.refuses)
			return -1;
		made = openat(fd, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, i);
		return made < 0 ? -1 : close(made);
	case 0x800c6619: /* GET_STRIPEINFO, 12 bytes out */
		memcpy(arg, &mock.pattern, 4);
		memcpy(arg + 4, &mock.chunk, 4);
		memcpy(arg + 8, &mock.count, 2);
		return 0;
	case 0x8218661a: /* GET_STRIPETARGET_V2, 536 bytes out */
		memcpy(&i, arg, 4);
		if (i >= mock.count)
			break;
		memcpy(arg + 4 + (mock.pattern == 3 ? 4 : 0), &mock.targets[i], 4);
		return 0;
	default:
		break;
	}
	errno = EINVAL;
	return -1;
}

static bool is_there(int dir, const char *name)
{
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static mode_t mode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_mode & 07777 : 0;
}

static void a_plain_file_is_new_empty_and_open_both_ways(void)
{
	struct pfs_stripes w = {1 << 20, 3, NULL};
	struct pfs_layout *got = (void *)1;
	char path[64], c = 'x';
	SCOPED_FD int dir = suite_tmpdir(path);
	SCOPED_FD int fd = -1;
	bool kept = false;

	begin();
	fd = pfs_create(PFS_PLAIN, dir, "a", 0640, &w, &got, &kept, NULL);
	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_TRUE(kept);
	CU_ASSERT_PTR_NULL(got);
	CU_ASSERT_EQUAL(pwrite(fd, &c, 1, 0), 1);
	CU_ASSERT_EQUAL(pread(fd, &c, 1, 0), 1);
	CU_ASSERT_EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CU_ASSERT_EQUAL(mock.ioctls, 0);
}

static void what_is_there_is_not_touched(void)
{
	static const enum pfs_kind kinds[] = {PFS_PLAIN, PFS_LUSTRE, PFS_BEEGFS};
	static const uint32_t osts[] = {0};
	struct pfs_stripes w = {1 << 20, 1, osts};
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);

	CU_ASSERT_EQUAL_FATAL(symlinkat("gone", dir, "link"), 0);
	CU_ASSERT_EQUAL_FATAL(mkdirat(dir, "dir", 0700), 0);
	for (int i = 0; i < 3; i++) {
		struct ebt_err err = {0};

		begin();
		mock.lustre = true;
		mock.dir = kinds[i] == PFS_BEEGFS ? dir : -1;
		CU_ASSERT_EQUAL(
			pfs_create(kinds[i], dir, "link", 0600, &w, NULL, NULL, &err),
			-EEXIST);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "link"));
		CU_ASSERT_EQUAL(
			pfs_create(kinds[i], dir, "dir", 0600, NULL, NULL, NULL, &err),
			-EEXIST);
		CU_ASSERT_TRUE(is_there(dir, "link"));
		CU_ASSERT_TRUE(is_there(dir, "dir"));
		CU_ASSERT_FALSE(is_there(dir, "gone"));
	}
}

static void the_mode_is_the_one_asked_for(void)
{
	static const mode_t modes[] = {0600, 0644, 0666, 0777, 0400, 0, 01644, 06755};
	static const uint32_t osts[] = {0};
	struct pfs_stripes w = {1 << 20, 1, osts};
	char path[64], name[32];
	SCOPED_FD int dir = suite_tmpdir(path);

	for (int kind = PFS_PLAIN; kind <= PFS_BEEGFS; kind++)
		for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
			SCOPED_FD int fd = -1;

			begin();
			mock.lustre = true;
			mock.dir = kind == PFS_BEEGFS ? dir : -1;
			snprintf(name, sizeof(name), "%d-%zu", kind, i);
			fd = pfs_create((enum pfs_kind)kind, dir, name, modes[i], &w,
				NULL, NULL, NULL);
			CU_ASSERT_FATAL(fd >= 0);
			CU_ASSERT_EQUAL(mode_of(fd), modes[i]);
		}
}

static void a_mode_that_came_out_right_costs_nothing(void)
{
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);
	SCOPED_FD int same = -1, other = -1;

	begin();
	same = pfs_create(PFS_PLAIN, dir, "same", 0644, NULL, NULL, NULL, NULL);
	CU_ASSERT_EQUAL(mock.chmods, 0);
	other = pfs_create(PFS_PLAIN, dir, "other", 0664, NULL, NULL, NULL, NULL);
	CU_ASSERT_EQUAL(mock.chmods, 1);
	CU_ASSERT_TRUE(same >= 0 && other >= 0);
}

/* A Lustre that does as it is told, or not: @has is what it made of it. */
static int create_on_lustre(int dir, const struct pfs_stripes *w,
	struct pfs_layout **got, bool *kept, struct ebt_err *err)
{
	mock.lustre = true;
	return pfs_create(PFS_LUSTRE, dir, "f", 0600, w, got, kept, err);
}

static void objects_go_where_they_are_wished(void)
{
	static const uint32_t osts[] = {4, 5, 6};
	struct pfs_stripes w = {1 << 20, 3, osts};
	SCOPED_LAYOUT struct pfs_layout *got = NULL;
	unsigned char want[48 + 3 * 24];
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);
	SCOPED_FD int fd = -1;
	bool kept = false;

	begin();
	lov_plain(&mock.has, LOV_V3, 1 << 20, 3, 4);
	fd = create_on_lustre(dir, &w, &got, &kept, NULL);
	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_TRUE(kept);
	CU_ASSERT_EQUAL(mock.delayed, 1);
	CU_ASSERT_EQUAL(mock.chmods, 0);
	CU_ASSERT_EQUAL_FATAL(mock.set.len, sizeof(want));
	CU_ASSERT_EQUAL(pfs_lustre_encode(&w, want, sizeof(want)), sizeof(want));
	CU_ASSERT_EQUAL(memcmp(mock.set.data, want, sizeof(want)), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(got);
	CU_ASSERT_EQUAL(got->osts[2], 6);
}

static void a_silent_refusal_is_seen(void)
{
	static const uint32_t osts[] = {4, 5, 6};
	struct pfs_stripes w = {1 << 20, 3, osts};
	SCOPED_LAYOUT struct pfs_layout *got = NULL;
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);
	SCOPED_FD int fd = -1;
	bool kept = true;

	begin();
	lov_plain(&mock.has, LOV_V1, 4 << 20, 1, 9);
	fd = create_on_lustre(dir, &w, &got, &kept, NULL);
	CU_ASSERT_TRUE(fd >= 0);
	CU_ASSERT_FALSE(kept);
	CU_ASSERT_PTR_NOT_NULL_FATAL(got);
	CU_ASSERT_EQUAL(got->osts[0], 9);
}

static void a_layout_that_cannot_be_read_back_is_not_kept(void)
{
	struct pfs_stripes w = {1 << 20, 3, NULL};
	SCOPED_LAYOUT struct pfs_layout *got = (void *)1;
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);
	SCOPED_FD int fd = -1;
	bool kept = true;

	begin();
	mock.has.len = 40;
	fd = create_on_lustre(dir, &w, &got, &kept, NULL);
	CU_ASSERT_TRUE(fd >= 0);
	CU_ASSERT_FALSE(kept);
	CU_ASSERT_PTR_NULL(got);
}

/* Clients that report success whatever happened. */
static void a_file_left_without_a_layout_is_opened_again_to_get_one(void)
{
	struct pfs_stripes w = {1 << 20, 3, NULL};
	SCOPED_LAYOUT struct pfs_layout *got = (void *)1;
	char path[64], c = 'x';
	SCOPED_FD int dir = suite_tmpdir(path);
	SCOPED_FD int fd = -1;
	bool kept = true;

	begin();
	fd = create_on_lustre(dir, &w, &got, &kept, NULL);
	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_FALSE(kept);
	CU_ASSERT_PTR_NULL(got);
	CU_ASSERT_EQUAL(mock.delayed, 1);
	CU_ASSERT_FALSE(fcntl(fd, F_GETFL) & O_ASYNC);
	CU_ASSERT_EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CU_ASSERT_EQUAL(pwrite(fd, &c, 1, 0), 1);
	CU_ASSERT_EQUAL(pread(fd, &c, 1, 0), 1);
	CU_ASSERT_TRUE(is_there(dir, "f"));
}

static void a_refused_list_leaves_nothing_and_keeps_its_code(void)
{
	static const int codes[] = {EINVAL, EREMOTEIO, ENOSPC, EDQUOT};
	static const uint32_t osts[] = {4, 17, 6};
	struct pfs_stripes w = {4 << 20, 3, osts};
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		struct pfs_layout *got = NULL;
		struct ebt_err err = {0};
		bool kept = true;

		begin();
		mock.refuses = codes[i];
		CU_ASSERT_EQUAL(
			create_on_lustre(dir, &w, &got, &kept, &err), -codes[i]);
		CU_ASSERT_EQUAL(err.code, -codes[i]);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "4, 17, 6"));
		CU_ASSERT_FALSE(is_there(dir, "f"));
		CU_ASSERT_PTR_NULL(got);
	}
}

static void a_wish_that_cannot_be_makes_no_file(void)
{
	struct pfs_stripes w = {1000, 1, NULL};
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);

	begin();
	CU_ASSERT_EQUAL(create_on_lustre(dir, &w, NULL, NULL, NULL), -EINVAL);
	CU_ASSERT_EQUAL(mock.set.len, 0);
	CU_ASSERT_FALSE(is_there(dir, "f"));
}

static void a_long_list_is_cut_in_the_text(void)
{
	uint32_t osts[600];
	struct pfs_stripes w = {0, 600, osts};
	struct ebt_err err = {0};
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);

	for (uint32_t i = 0; i < 600; i++)
		osts[i] = 50000 + i;
	begin();
	mock.refuses = ENOSPC;
	CU_ASSERT_EQUAL(create_on_lustre(dir, &w, NULL, NULL, &err), -ENOSPC);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "600 stripes of default size"));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "50000, 50001"));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "50015, ..."));
}

static void without_a_wish_the_directory_s_layout_is_taken(void)
{
	struct pfs_stripes w = {1 << 20, 0, NULL};
	SCOPED_LAYOUT struct pfs_layout *got = NULL;
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);
	SCOPED_FD int fd = -1;
	bool kept = false;

	begin();
	lov_plain(&mock.has, LOV_V1, 1 << 20, 2, 3);
	fd = create_on_lustre(dir, &w, &got, &kept, NULL);
	CU_ASSERT_TRUE(fd >= 0);
	CU_ASSERT_TRUE(kept);
	CU_ASSERT_EQUAL(mock.set.len, 0);
	CU_ASSERT_FALSE(fcntl(fd, F_GETFL) & O_ASYNC);
	CU_ASSERT_PTR_NOT_NULL_FATAL(got);
	CU_ASSERT_EQUAL(got->n_osts, 2);
}

/* Lustre by the environment's word only: the directory's own file system answers. */
static void where_there_are_no_layouts_the_code_says_so(void)
{
	struct pfs_stripes w = {1 << 20, 1, NULL};
	struct ebt_err err = {0};
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);
	SCOPED_FD int fd = -1;

	begin();
	CU_ASSERT_EQUAL(
		pfs_create(PFS_LUSTRE, dir, "f", 0600, &w, NULL, NULL, &err), -ENOTSUP);
	CU_ASSERT_FALSE(is_there(dir, "f"));
	CU_ASSERT_EQUAL(
		pfs_create(PFS_BEEGFS, dir, "f", 0600, &w, NULL, NULL, &err), -ENOTTY);
	CU_ASSERT_FALSE(is_there(dir, "f"));
	CU_ASSERT_EQUAL(mock.ioctls, 0);
	fd = pfs_create(PFS_LUSTRE, dir, "f", 0600, NULL, NULL, NULL, &err);
	CU_ASSERT_TRUE(fd >= 0);
}

static void no_ioctl_goes_where_it_means_something_else(void)
{
	struct pfs_layout *l = NULL;
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);

	begin();
	CU_ASSERT_EQUAL(pfs_layout_of(PFS_BEEGFS, dir, &l), 0);
	CU_ASSERT_EQUAL(pfs_layout_of(PFS_LUSTRE, dir, &l), 0);
	CU_ASSERT_EQUAL(pfs_layout_of(PFS_PLAIN, dir, &l), 0);
	CU_ASSERT_EQUAL(mock.ioctls, 0);
	CU_ASSERT_PTR_NULL(l);
}

static void beegfs_is_told_how_many_targets(void)
{
	struct pfs_stripes w = {1 << 20, 3, NULL};
	SCOPED_LAYOUT struct pfs_layout *got = NULL;
	uint32_t sent[4];
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);
	SCOPED_FD int fd = -1;
	bool kept = false;

	begin();
	mock.dir = dir;
	mock.pattern = 1;
	mock.chunk = 1 << 20;
	mock.count = 3;
	memcpy(mock.targets, (uint32_t[]){101, 205, 9}, 12);
	fd = pfs_create(PFS_BEEGFS, dir, "f", 0644, &w, &got, &kept, NULL);
	CU_ASSERT_FATAL(fd >= 0);
	memcpy(sent, mock.hints + 8, sizeof(sent));
	CU_ASSERT_EQUAL(sent[0], 0644);
	CU_ASSERT_EQUAL(sent[1], 3);
	CU_ASSERT_EQUAL(sent[2], 1 << 20);
	CU_ASSERT_TRUE(kept);
	CU_ASSERT_PTR_NOT_NULL_FATAL(got);
	CU_ASSERT_EQUAL(got->parts[0].stripe_count, 3);
	CU_ASSERT_EQUAL(got->osts[1], 205);
}

static void beegfs_targets_of_its_own_choice_are_not_the_wished_ones(void)
{
	static const uint32_t targets[] = {101, 206};
	struct pfs_stripes w = {0, 2, targets};
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);
	SCOPED_FD int fd = -1;
	bool kept = true;

	begin();
	mock.dir = dir;
	mock.pattern = 1;
	mock.chunk = 512 << 10;
	mock.count = 2;
	memcpy(mock.targets, (uint32_t[]){101, 205}, 8);
	fd = pfs_create(PFS_BEEGFS, dir, "f", 0600, &w, NULL, &kept, NULL);
	CU_ASSERT_TRUE(fd >= 0);
	CU_ASSERT_FALSE(kept);
}

static void a_refusal_of_beegfs_leaves_nothing(void)
{
	struct pfs_stripes w = {1 << 20, 3, NULL};
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);

	begin();
	mock.dir = dir;
	mock.refuses = ENOSPC;
	CU_ASSERT_EQUAL(
		pfs_create(PFS_BEEGFS, dir, "f", 0600, &w, NULL, NULL, NULL), -ENOSPC);
	CU_ASSERT_FALSE(is_there(dir, "f"));
}

static void mirrored_beegfs_files_are_on_their_first_targets(void)
{
	SCOPED_LAYOUT struct pfs_layout *l = NULL;
	char path[64];
	SCOPED_FD int dir = suite_tmpdir(path);

	begin();
	mock.dir = dir;
	mock.pattern = 3;
	mock.chunk = 1 << 20;
	mock.count = 2;
	memcpy(mock.targets, (uint32_t[]){11, 12}, 8);
	CU_ASSERT_EQUAL_FATAL(pfs_layout_of(PFS_BEEGFS, dir, &l), 1);
	CU_ASSERT_EQUAL(l->osts[0], 11);
	CU_ASSERT_EQUAL(l->osts[1], 12);
}

static void beegfs_answers_that_make_no_sense_are_refused(void)
{
	static const uint32_t targets[3] = {1, 2, 3};
	static const struct {
		uint32_t pattern, chunk, count;
	} cases[] = {{0, 1 << 20, 3}, {2, 1 << 20, 3}, {4, 1 << 20, 3}, {1, 0, 3},
		{1, 1 << 20, 0}, {1, 1 << 20, 65536}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pfs_layout *l = NULL;

		CU_ASSERT_EQUAL(pfs_beegfs_layout(cases[i].pattern, cases[i].chunk,
					targets, cases[i].count, &l),
			-EBADMSG);
		CU_ASSERT_PTR_NULL(l);
	}
}

static const struct test tests[] = {
	TEST(a_plain_file_is_new_empty_and_open_both_ways),
	TEST(what_is_there_is_not_touched),
	TEST(the_mode_is_the_one_asked_for),
	TEST(a_mode_that_came_out_right_costs_nothing),
	TEST(objects_go_where_they_are_wished),
	TEST(a_silent_refusal_is_seen),
	TEST(a_layout_that_cannot_be_read_back_is_not_kept),
	TEST(a_file_left_without_a_layout_is_opened_again_to_get_one),
	TEST(a_refused_list_leaves_nothing_and_keeps_its_code),
	TEST(a_wish_that_cannot_be_makes_no_file),
	TEST(a_long_list_is_cut_in_the_text),
	TEST(without_a_wish_the_directory_s_layout_is_taken),
	TEST(where_there_are_no_layouts_the_code_says_so),
	TEST(no_ioctl_goes_where_it_means_something_else),
	TEST(beegfs_is_told_how_many_targets),
	TEST(beegfs_targets_of_its_own_choice_are_not_the_wished_ones),
	TEST(a_refusal_of_beegfs_leaves_nothing),
	TEST(mirrored_beegfs_files_are_on_their_first_targets),
	TEST(beegfs_answers_that_make_no_sense_are_refused),
};
SUITE("pfs_create", tests)
