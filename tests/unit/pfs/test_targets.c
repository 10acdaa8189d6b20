/* SPDX-License-Identifier: BSD-3-Clause */
/* Targets from a tree of files as a client shows them, and from a library in its place. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "pfs/pfs_internal.h"
#include "suite.h"

struct tree {
	int fd;
	char path[64];
};

static void put(const struct tree *t, const char *name, const char *content)
{
	SCOPED_FD int fd =
		openat(t->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	size_t len = strlen(content);

	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL_FATAL(write(fd, content, len), (ssize_t)len);
}

static void make_dir(const struct tree *t, const char *name)
{
	CU_ASSERT_FATAL(mkdirat(t->fd, name, 0700) == 0 || errno == EEXIST);
}

static void put_osc(
	const struct tree *t, const char *osc, const char *file, const char *content)
{
	char name[128];

	snprintf(name, sizeof(name), "osc/%s", osc);
	make_dir(t, name);
	snprintf(name, sizeof(name), "osc/%s/%s", osc, file);
	put(t, name, content);
}

/* A target in good order. */
static void put_good(const struct tree *t, const char *osc, const char *kb_avail)
{
	put_osc(t, osc, "kbytestotal", "1000\n");
	put_osc(t, osc, "kbytesavail", kb_avail);
	put_osc(t, osc, "kbytesfree", "999\n");
	put_osc(t, osc, "filesfree", "77\n");
	put_osc(t, osc, "statfs_state", "\n");
	put_osc(t, osc, "active", "1\n");
}

static void make_tree(struct tree *t)
{
	t->fd = suite_tmpdir(t->path);
	make_dir(t, "osc");
	make_dir(t, "lov");
	setenv("EBT_LUSTRE_SYSFS", t->path, 1);
	unsetenv("FAKE_LLAPI");
}

static void close_tree(struct tree *t)
{
	close(t->fd);
	unsetenv("EBT_LUSTRE_SYSFS");
	unsetenv("FAKE_LLAPI");
}
#define SCOPED_TREE SCOPED(close_tree)

static int ask(struct pfs_targets **out, struct ebt_err *err)
{
	return pfs_targets(PFS_LUSTRE, "/proc", out, err); /* no Lustre by name */
}

static void target_is(const struct pfs_targets *t, size_t i, uint32_t index,
	unsigned state, uint64_t avail)
{
	CU_ASSERT_FATAL(i < t->count);
	CU_ASSERT_EQUAL(t->target[i].index, index);
	CU_ASSERT_EQUAL(t->target[i].state, state);
	CU_ASSERT_EQUAL(t->target[i].avail, avail);
}

static void targets_come_in_order_with_their_space(void)
{
	SCOPED_TARGETS struct pfs_targets *list = NULL;
	SCOPED_TREE struct tree t;

	make_tree(&t);
	put_good(&t, "scratch-OST0010-osc-ffff1", "160\n");
	put_good(&t, "scratch-OST0001-osc-ffff1", "10\n");
	put_good(&t, "scratch-OST000a-osc-ffff1", "100\n");
	put(&t, "osc/num_refs", "3\n");
	CU_ASSERT_EQUAL_FATAL(ask(&list, NULL), 1);
	CU_ASSERT_EQUAL_FATAL(list->count, 3);
	target_is(list, 0, 1, 0, 10 << 10);
	target_is(list, 1, 10, 0, 100 << 10);
	target_is(list, 2, 16, 0, 160 << 10);
	CU_ASSERT_EQUAL(list->target[0].total, 1000 << 10);
	CU_ASSERT_TRUE(pfs_target_usable(&list->target[0]));
}

static void states_are_gathered_from_all_files(void)
{
	SCOPED_TARGETS struct pfs_targets *list = NULL;
	SCOPED_TREE struct tree t;

	make_tree(&t);
	put_good(&t, "scratch-OST0000-osc-f", "10\n");
	put_osc(&t, "scratch-OST0000-osc-f", "statfs_state", "DS\n");
	put_good(&t, "scratch-OST0001-osc-f", "10\n");
	put_osc(&t, "scratch-OST0001-osc-f", "active", "0\n");
	put_good(&t, "scratch-OST0002-osc-f", "10\n");
	put_osc(&t, "scratch-OST0002-osc-f", "filesfree", "0\n");
	make_dir(&t, "lov/scratch-clilov-f");
	put(&t, "lov/scratch-clilov-f/target_obd",
		"0: scratch-OST0000_UUID ACTIVE\n3: scratch-OST0003_UUID INACTIVE\n");
	make_dir(&t, "lov/other-clilov-f");
	put(&t, "lov/other-clilov-f/target_obd", "9: other-OST0009_UUID ACTIVE\n");
	CU_ASSERT_EQUAL_FATAL(ask(&list, NULL), 1);
	CU_ASSERT_EQUAL_FATAL(list->count, 4);
	target_is(list, 0, 0, PFS_DEGRADED | PFS_NOSPACE, 10 << 10);
	target_is(list, 1, 1, PFS_INACTIVE, 10 << 10);
	target_is(list, 2, 2, PFS_NOINODES, 10 << 10);
	target_is(list, 3, 3, PFS_INACTIVE | PFS_UNKNOWN, 0);
	for (size_t i = 0; i < 4; i++)
		CU_ASSERT_FALSE(pfs_target_usable(&list->target[i]));
}

static void a_target_that_does_not_tell_its_space_is_unknown(void)
{
	SCOPED_TARGETS struct pfs_targets *list = NULL;
	SCOPED_TREE struct tree t;

	make_tree(&t);
	put_good(&t, "scratch-OST0000-osc-f", "10\n");
	put_osc(&t, "scratch-OST0001-osc-f", "kbytestotal", "10\n");
	put_osc(&t, "scratch-OST0002-osc-f", "kbytesavail", "10\n");
	CU_ASSERT_EQUAL_FATAL(ask(&list, NULL), 1);
	CU_ASSERT_EQUAL_FATAL(list->count, 3);
	target_is(list, 1, 1, PFS_UNKNOWN, 0);
	target_is(list, 2, 2, PFS_UNKNOWN, 0);
	CU_ASSERT_FALSE(pfs_target_usable(&list->target[1]));
}

static void two_mounts_of_one_file_system_count_once(void)
{
	SCOPED_TARGETS struct pfs_targets *list = NULL;
	SCOPED_TREE struct tree t;

	make_tree(&t);
	put_good(&t, "scratch-OST0000-osc-f1", "10\n");
	put_good(&t, "scratch-OST0000-osc-f2", "10\n");
	put_osc(&t, "scratch-OST0001-osc-f1", "active", "1\n");
	put_good(&t, "scratch-OST0001-osc-f2", "20\n");
	CU_ASSERT_EQUAL_FATAL(ask(&list, NULL), 1);
	CU_ASSERT_EQUAL_FATAL(list->count, 2);
	target_is(list, 0, 0, 0, 10 << 10);
	target_is(list, 1, 1, 0, 20 << 10);
}

/* Nothing here says which of them /proc is. */
static void between_two_file_systems_nothing_is_guessed(void)
{
	SCOPED_TARGETS struct pfs_targets *list = NULL;
	SCOPED_TREE struct tree t;

	make_tree(&t);
	put_good(&t, "scratch-OST0000-osc-f", "10\n");
	put_good(&t, "work-OST0000-osc-g", "10\n");
	CU_ASSERT_EQUAL(ask(&list, NULL), 0);
	CU_ASSERT_PTR_NULL(list);
}

static void the_named_file_system_is_told_from_others(void)
{
	SCOPED_LIST struct pfs_list work = {0}, none = {0};
	SCOPED_TREE struct tree t;

	make_tree(&t);
	put_good(&t, "scratch-OST0000-osc-f", "10\n");
	put_good(&t, "work-OST0007-osc-g", "20\n");
	put_good(&t, "works-OST0008-osc-h", "30\n");
	make_dir(&t, "lov/works-clilov-h");
	put(&t, "lov/works-clilov-h/target_obd", "9: works-OST0009_UUID INACTIVE\n");
	CU_ASSERT_EQUAL(pfs_lustre_tree(t.path, "work", &work, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(work.n, 1);
	CU_ASSERT_EQUAL(work.v[0].index, 7);
	CU_ASSERT_EQUAL(work.v[0].avail, 20 << 10);
	CU_ASSERT_EQUAL(pfs_lustre_tree(t.path, "home", &none, NULL), 0);
	CU_ASSERT_EQUAL(pfs_lustre_tree("/nonexistent", "work", &none, NULL), 0);
	CU_ASSERT_EQUAL(none.n, 0);
}

static void damaged_files_are_errors_that_name_them(void)
{
	static const char osc[] = "scratch-OST0001-osc-f";
	static const char *const cases[][2] = {
		{"kbytestotal", "many\n"},
		{"kbytestotal", ""},
		{"kbytesavail", "18446744073709551615\n"},
		{"filesfree", "-1\n"},
		{"statfs_state", "!\n"},
		{"active", "yes\n"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		SCOPED_TARGETS struct pfs_targets *list = NULL;
		SCOPED_TREE struct tree t;
		struct ebt_err err = {0};

		make_tree(&t);
		put_good(&t, osc, "10\n");
		put_osc(&t, osc, cases[i][0], cases[i][1]);
		CU_ASSERT_EQUAL(ask(&list, &err), -EBADMSG);
		CU_ASSERT_PTR_NULL(list);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, osc));
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, cases[i][0]));
	}
}

static void a_damaged_target_list_is_an_error(void)
{
	SCOPED_TARGETS struct pfs_targets *list = NULL;
	SCOPED_TREE struct tree t;
	struct ebt_err err = {0};

	make_tree(&t);
	put_good(&t, "scratch-OST0001-osc-f", "10\n");
	make_dir(&t, "lov/scratch-clilov-f");
	put(&t, "lov/scratch-clilov-f/target_obd", "0: scratch-OST0000_UU");
	CU_ASSERT_EQUAL(ask(&list, &err), -EBADMSG);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "target_obd"));
}

static void an_empty_tree_has_no_targets(void)
{
	SCOPED_TARGETS struct pfs_targets *list = NULL;
	SCOPED_TREE struct tree t;

	make_tree(&t);
	CU_ASSERT_EQUAL(ask(&list, NULL), 0);
	put_osc(&t, "scratch-OST0000-osc-f", "active", "1\n");
	CU_ASSERT_EQUAL(ask(&list, NULL), 0);
	CU_ASSERT_PTR_NULL(list);
}

static void a_tree_that_is_named_must_be_there(void)
{
	SCOPED_TARGETS struct pfs_targets *list = NULL;
	struct ebt_err err = {0};

	setenv("EBT_LUSTRE_SYSFS", "/nonexistent/tree", 1);
	CU_ASSERT_EQUAL(ask(&list, &err), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "/nonexistent/tree"));
	unsetenv("EBT_LUSTRE_SYSFS");
}

static void other_file_systems_have_no_targets(void)
{
	SCOPED_TARGETS struct pfs_targets *list = NULL;
	SCOPED_TREE struct tree t;

	make_tree(&t);
	put_good(&t, "scratch-OST0000-osc-f", "10\n");
	CU_ASSERT_EQUAL(pfs_targets(PFS_PLAIN, "/", &list, NULL), 0);
	CU_ASSERT_EQUAL(pfs_targets(PFS_BEEGFS, "/", &list, NULL), 0);
	CU_ASSERT_PTR_NULL(list);
}

static void where_no_files_tell_the_library_is_asked(void)
{
	SCOPED_TARGETS struct pfs_targets *list = NULL;
	SCOPED_TREE struct tree t;

	make_tree(&t);
	setenv("FAKE_LLAPI", "ahditha", 1);
	CU_ASSERT_EQUAL_FATAL(ask(&list, NULL), 1);
	CU_ASSERT_EQUAL_FATAL(list->count, 5);
	target_is(list, 0, 0, 0, 3ull << 30);
	target_is(list, 1, 2, PFS_DEGRADED, 3ull << 30);
	target_is(list, 2, 3, PFS_INACTIVE | PFS_UNKNOWN, 0);
	target_is(list, 3, 4, PFS_UNKNOWN, 0);
	target_is(list, 4, 6, 0, 3ull << 30);
	CU_ASSERT_EQUAL(list->target[0].total, 8ull << 30);
}

static void the_library_may_not_know_or_lie(void)
{
	SCOPED_TARGETS struct pfs_targets *list = NULL;
	SCOPED_TREE struct tree t;
	struct ebt_err err = {0};

	make_tree(&t);
	setenv("FAKE_LLAPI", "n", 1);
	CU_ASSERT_EQUAL(ask(&list, NULL), 0);
	setenv("FAKE_LLAPI", "tti", 1);
	CU_ASSERT_EQUAL(ask(&list, NULL), 0);
	setenv("FAKE_LLAPI", "ab", 1);
	CU_ASSERT_EQUAL(ask(&list, &err), -EBADMSG);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "OST 1"));
	CU_ASSERT_PTR_NULL(list);
}

static void the_library_is_not_asked_where_files_tell(void)
{
	SCOPED_TARGETS struct pfs_targets *list = NULL;
	SCOPED_TREE struct tree t;

	make_tree(&t);
	put_good(&t, "scratch-OST0000-osc-f", "10\n");
	setenv("FAKE_LLAPI", "bbb", 1);
	CU_ASSERT_EQUAL(ask(&list, NULL), 1);
	CU_ASSERT_EQUAL(list->count, 1);
}

static void put64(unsigned char *p, uint64_t v)
{
	memcpy(p, &v, sizeof(v));
}

static void a_statfs_record_is_read_by_offsets(void)
{
	unsigned char s[PFS_OBD_STATFS_LEN];
	struct pfs_target t = {.index = 5};
	uint32_t block = 512, state = 0xffffffff;

	memset(s, 0xee, sizeof(s));
	put64(s + 8, 100);
	put64(s + 24, 30);
	put64(s + 40, 1);
	memcpy(s + 88, &block, 4);
	memcpy(s + 104, &state, 4);
	CU_ASSERT_EQUAL(pfs_lustre_obd_statfs(s, sizeof(s), &t), 0);
	CU_ASSERT_EQUAL(t.index, 5);
	CU_ASSERT_EQUAL(t.total, 51200);
	CU_ASSERT_EQUAL(t.avail, 15360);
	CU_ASSERT_EQUAL(t.state, 0x67);
	memset(s + 104, 0, 4);
	put64(s + 40, 0);
	CU_ASSERT_EQUAL(pfs_lustre_obd_statfs(s, sizeof(s), &t), 0);
	CU_ASSERT_EQUAL(t.state, PFS_NOINODES);
}

static void impossible_statfs_records_are_refused(void)
{
	static const struct {
		uint64_t blocks, avail;
		uint32_t block;
		size_t len;
	} cases[] = {
		{100, 30, 0, 144},
		{100, 101, 4096, 144},
		{UINT64_MAX, 0, 2, 144},
		{100, 30, 4096, 143},
		{100, 30, 4096, 0},
		{100, 30, 4096, 145},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned char s[PFS_OBD_STATFS_LEN + 1] = {0};
		struct pfs_target t = {.total = 7};

		put64(s + 8, cases[i].blocks);
		put64(s + 24, cases[i].avail);
		memcpy(s + 88, &cases[i].block, 4);
		CU_ASSERT_EQUAL(pfs_lustre_obd_statfs(s, cases[i].len, &t), -EBADMSG);
		CU_ASSERT_EQUAL(t.total, 7);
	}
}

static void a_full_target_is_not_usable(void)
{
	struct pfs_target t = {.total = 100, .avail = 1};

	CU_ASSERT_TRUE(pfs_target_usable(&t));
	t.avail = 0;
	CU_ASSERT_FALSE(pfs_target_usable(&t));
}

static void any_known_trouble_makes_a_target_unusable(void)
{
	static const unsigned bad[] = {PFS_DEGRADED, PFS_READONLY, PFS_NOCREATE,
		PFS_NOSPACE, PFS_NOINODES, PFS_INACTIVE, PFS_UNKNOWN};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct pfs_target t = {.state = bad[i], .total = 100, .avail = 100};

		CU_ASSERT_FALSE(pfs_target_usable(&t));
	}
}

static const struct test tests[] = {
	TEST(targets_come_in_order_with_their_space),
	TEST(states_are_gathered_from_all_files),
	TEST(a_target_that_does_not_tell_its_space_is_unknown),
	TEST(two_mounts_of_one_file_system_count_once),
	TEST(between_two_file_systems_nothing_is_guessed),
	TEST(the_named_file_system_is_told_from_others),
	TEST(damaged_files_are_errors_that_name_them),
	TEST(a_damaged_target_list_is_an_error),
	TEST(an_empty_tree_has_no_targets),
	TEST(a_tree_that_is_named_must_be_there),
	TEST(other_file_systems_have_no_targets),
	TEST(where_no_files_tell_the_library_is_asked),
	TEST(the_library_may_not_know_or_lie),
	TEST(the_library_is_not_asked_where_files_tell),
	TEST(a_statfs_record_is_read_by_offsets),
	TEST(impossible_statfs_records_are_refused),
	TEST(a_full_target_is_not_usable),
	TEST(any_known_trouble_makes_a_target_unusable),
};
SUITE("pfs_targets", tests)
