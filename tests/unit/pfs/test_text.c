/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "pfs/pfs_internal.h"
#include "suite.h"

/* From a block of its own length, so that a sanitizer sees a byte read too many. */
static struct buf text(const char *s)
{
	struct buf b = {0};

	b.len = strlen(s);
	b.data = b.len ? malloc(b.len) : NULL;
	if (b.len)
		memcpy(b.data, s, b.len);
	return b;
}

static void numbers_are_read_strictly(void)
{
	static const struct {
		const char *s;
		int r;
		uint64_t v;
	} cases[] = {
		{"0\n", 0, 0},
		{"1048576\n", 0, 1048576},
		{"7", 0, 7},
		{"18446744073709551615\n", 0, UINT64_MAX},
		{"18446744073709551616\n", -EBADMSG, 0},
		{"", -EBADMSG, 0},
		{"\n", -EBADMSG, 0},
		{"-1\n", -EBADMSG, 0},
		{" 1\n", -EBADMSG, 0},
		{"1 \n", -EBADMSG, 0},
		{"1\n\n", -EBADMSG, 0},
		{"0x10\n", -EBADMSG, 0},
		{"12a\n", -EBADMSG, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		SCOPED_BUF struct buf b = text(cases[i].s);
		uint64_t v = 0;

		CU_ASSERT_EQUAL(pfs_lustre_number(&b, &v), cases[i].r);
		CU_ASSERT_EQUAL(v, cases[i].v);
	}
}

static void states_are_letters_or_a_number(void)
{
	static const struct {
		const char *s;
		int r;
		unsigned v;
	} cases[] = {
		{"\n", 0, 0},
		{"D\n", 0, PFS_DEGRADED},
		{"DRNSI\n", 0,
			PFS_DEGRADED | PFS_READONLY | PFS_NOCREATE | PFS_NOSPACE |
				PFS_NOINODES},
		{"f\n", 0, 0}, /* not rotating: no matter */
		{"Sfa\n", 0, PFS_NOSPACE},
		{"(0400)\n", 0, 0},
		{"R(010000)\n", 0, PFS_READONLY},
		{"0\n", 0, 0},
		{"0x21\n", 0, PFS_NOSPACE | PFS_DEGRADED},
		{"33\n", 0, PFS_NOSPACE | PFS_DEGRADED},
		{"0x200\n", 0, 0},
		{"0x10000\n", 0, 0}, /* not mistaken for a state of ours */
		{"", -EBADMSG, 0},
		{"D \n", -EBADMSG, 0},
		{"?\n", -EBADMSG, 0},
		{"D(\n", -EBADMSG, 0},
		{"D(9)\n", -EBADMSG, 0},
		{"D(01\n", -EBADMSG, 0},
		{"D(01)x\n", -EBADMSG, 0},
		{"0x\n", -EBADMSG, 0},
		{"0x1g\n", -EBADMSG, 0},
		{"4294967296\n", -EBADMSG, 0},
		{"D\nR\n", -EBADMSG, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		SCOPED_BUF struct buf b = text(cases[i].s);
		unsigned v = 0;

		CU_ASSERT_EQUAL(pfs_lustre_state(&b, &v), cases[i].r);
		CU_ASSERT_EQUAL(v, cases[i].v);
	}
}

static void a_line_for_each_target_tells_whether_it_is_active(void)
{
	SCOPED_BUF struct buf b = text("0: scratch-OST0000_UUID ACTIVE\n"
				       "7: scratch-OST0007_UUID INACTIVE\n"
				       "16: odd name ACTIVE");
	SCOPED_LIST struct pfs_list l = {0};

	CU_ASSERT_EQUAL(pfs_lustre_target_obd(&b, &l), 0);
	CU_ASSERT_EQUAL_FATAL(l.n, 3);
	CU_ASSERT_EQUAL(l.v[0].index, 0);
	CU_ASSERT_EQUAL(l.v[0].state, PFS_UNKNOWN);
	CU_ASSERT_EQUAL(l.v[1].index, 7);
	CU_ASSERT_EQUAL(l.v[1].state, PFS_UNKNOWN | PFS_INACTIVE);
	CU_ASSERT_EQUAL(l.v[2].index, 16);
}

static void damaged_target_lines_are_refused(void)
{
	static const char *const cases[] = {"\n", "0\n", "0:\n", "0: \n", "0: x\n",
		"0: x IDLE\n", "0: x ACTIVE \n", "x: x ACTIVE\n", "65536: x ACTIVE\n",
		"0: x ACTIVE\n\n", "0:x ACTIVE\n", "0: x UNACTIVE\n", "0: ACTIVE\n"};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		SCOPED_BUF struct buf b = text(cases[i]);
		SCOPED_LIST struct pfs_list l = {0};

		CU_ASSERT_EQUAL(pfs_lustre_target_obd(&b, &l), -EBADMSG);
	}
}

static void clients_of_osts_are_told_by_name(void)
{
	static const struct {
		const char *name, *fs; /* NULL: it is none */
		uint32_t index;
	} cases[] = {
		{"scratch-OST001f-osc-ffff9d2c4a1b8000", "scratch", 31},
		{"a-OST0000-osc-x", "a", 0},
		{"lustre-1-OSTBEEF-osc-ffff", "lustre-1", 0xbeef},
		{"scratch-OST0000-osc-MDT0000", NULL, 0},
		{"scratch-OST0000-osc-", NULL, 0},
		{"scratch-OST0000", NULL, 0},
		{"-OST0000-osc-ffff", NULL, 0},
		{"ninechars-OST0000-osc-ffff", NULL, 0},
		{"scratch-OST000g-osc-ffff", NULL, 0},
		{"scratch-OST00000-osc-ffff", NULL, 0},
		{"scratch-MDT0000-osc-ffff", NULL, 0},
		{"num_refs", NULL, 0},
		{"-osc-", NULL, 0},
		{"", NULL, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char fs[PFS_FSNAME] = "";
		uint32_t index = 0;
		bool is = pfs_lustre_osc_name(cases[i].name, fs, &index);

		CU_ASSERT_EQUAL(is, cases[i].fs != NULL);
		CU_ASSERT_STRING_EQUAL(fs, cases[i].fs ? cases[i].fs : "");
		CU_ASSERT_EQUAL(index, cases[i].index);
	}
}

static void the_source_of_a_mount_names_the_file_system(void)
{
	static const char *const cases[][2] = {
		{"10.0.0.1@o2ib:10.0.0.2@o2ib:/scratch", "scratch"},
		{"mgs@tcp:/work/project/a", "work"},
		{"fd00::1@tcp:/home", "home"},
		{"mgs@tcp:/", NULL},
		{"mgs@tcp://x", NULL},
		{"mgs@tcp:/ninechars", NULL},
		{"/dev/sda1", NULL},
		{"tmpfs", NULL},
		{"", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char fs[PFS_FSNAME] = "";

		CU_ASSERT_EQUAL(
			pfs_lustre_fsname(cases[i][0], fs), cases[i][1] != NULL);
		CU_ASSERT_STRING_EQUAL(fs, cases[i][1] ? cases[i][1] : "");
	}
}

static const char mounts[] =
	"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
	"30 22 0:50 / /scratch rw shared:9 master:3 - lustre m@tcp:/scratch rw,flock\n"
	"31 22 0:51 /sub /my\\040work rw - lustre m@tcp:/work rw\n"
	"32 30 0:52 / /scratch/in rw - tmpfs tmpfs rw\n"
	"33 22 0:53 / /same rw - nfs first:/x rw\n"
	"34 22 0:53 / /same rw - nfs second:/x rw\n"
	"broken line\n"
	"35 22 0:54 / /short rw -\n"
	"36 22 0:55 / /last rw - lustre m@tcp:/last rw";

static void the_mount_that_holds_a_path_is_found(void)
{
	static const struct {
		unsigned minor;
		const char *path, *source;
	} cases[] = {
		{50, "/scratch", "m@tcp:/scratch"},
		{50, "/scratch/me/file", "m@tcp:/scratch"},
		{50, "/scratchy", "m@tcp:/scratch"}, /* by its device alone */
		{99, "/scratchy", "/dev/sda1"},
		{99, "/scratch/x", "m@tcp:/scratch"},
		{51, "/my work/x", "m@tcp:/work"},
		{99, "/my work", "m@tcp:/work"},
		{52, "/scratch/in/x", "tmpfs"},
		{99, "/scratch/in/x", "tmpfs"},
		{50, "/scratch/in/x", "m@tcp:/scratch"},
		{53, "/same/x", "second:/x"},
		{55, "/last", "m@tcp:/last"},
		{54, "/short/x", "/dev/sda1"},
	};
	char source[64];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		source[0] = '\0';
		CU_ASSERT_EQUAL(pfs_mount_source(mounts, 0, cases[i].minor,
					cases[i].path, source, sizeof(source)),
			1);
		CU_ASSERT_STRING_EQUAL(source, cases[i].source);
	}
}

static void no_mount_is_found_in_nothing(void)
{
	char source[8] = "", small[4] = "";

	CU_ASSERT_EQUAL(pfs_mount_source("", 0, 50, "/x", source, 8), 0);
	CU_ASSERT_EQUAL(pfs_mount_source("a b c\n", 0, 50, "/x", source, 8), 0);
	CU_ASSERT_EQUAL(pfs_mount_source(mounts, 0, 50, "/scratch", small, 4), 0);
	CU_ASSERT_STRING_EQUAL(source, "");
	CU_ASSERT_STRING_EQUAL(small, "");
}

static const struct test tests[] = {
	TEST(numbers_are_read_strictly),
	TEST(states_are_letters_or_a_number),
	TEST(a_line_for_each_target_tells_whether_it_is_active),
	TEST(damaged_target_lines_are_refused),
	TEST(clients_of_osts_are_told_by_name),
	TEST(the_source_of_a_mount_names_the_file_system),
	TEST(the_mount_that_holds_a_path_is_found),
	TEST(no_mount_is_found_in_nothing),
};
SUITE("pfs_text", tests)
