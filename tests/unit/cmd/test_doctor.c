/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/doctor.h"
#include "suite.h"

const struct cmd_program cmd_program = {"test", "ebt.stage/1"};

static bool has(
	const struct doctor_line *line, enum doctor_state state, const char *text)
{
	if (line->state == state && strstr(line->text, text))
		return true;
	fprintf(stderr, "%s '%s', not %s '%s'\n", doctor_state_name(line->state),
		line->text, doctor_state_name(state), text);
	return false;
}

static void slurm_has_the_pmi_of_this_mpi(void)
{
	static const char new[] = "MPI plugin types are...\n\tnone\n\tcray_shasta\n"
				  "\tpmi2\n\tpmix\n"
				  "specific pmix plugin versions available: pmix_v4\n";
	static const char old[] =
		"srun: MPI types are...\nsrun: pmi2\nsrun: none\nsrun: openmpi\n";
	static const char none[] = "MPI plugin types are...\n\tnone\n\tpmi20\n";
	static const char cray[] = "MPI plugin types are...\n\tnone\n\tcray_shasta\n";
	static const char version[] = "\tnone\n\tpmix_v3\n";
	static const struct {
		enum launch_mpi mpi;
		const char *list;
		enum doctor_state state;
		const char *text;
	} cases[] = {
		{LAUNCH_MPICH, new, DOCTOR_OK, "--mpi=pmi2"},
		{LAUNCH_MPICH, old, DOCTOR_OK, "--mpi=pmi2"},
		{LAUNCH_MPICH, none, DOCTOR_MISSING, "no --mpi=pmi2"},
		{LAUNCH_MPICH, cray, DOCTOR_MISSING, "no --mpi=pmi2"},
		{LAUNCH_CRAY, cray, DOCTOR_UNKNOWN, "run"},
		{LAUNCH_OTHER, new, DOCTOR_UNKNOWN, "run"},
		{LAUNCH_OMPI, new, DOCTOR_OK, "--mpi=pmix"},
		{LAUNCH_OMPI, version, DOCTOR_OK, "--mpi=pmix"},
		{LAUNCH_OMPI, old, DOCTOR_MISSING, "no --mpi=pmix"},
		{LAUNCH_OMPI, "", DOCTOR_MISSING, "no --mpi=pmix"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct doctor_line line = {0};

		doctor_say_pmi(&line, cases[i].mpi, cases[i].list);
		CU_ASSERT(has(&line, cases[i].state, cases[i].text));
	}
}

static void ucx_tells_transports_and_devices_once(void)
{
	static const char context[] =
		"#\n# UCP context\n#     component 0  :  self\n"
		"#      resource 0  :  md 0  dev 0  flags -- self/memory0\n"
		"#      resource 1  :  md 1  dev 1  flags -- tcp/lo\n"
		"#      resource 2  :  md 1  dev 2  flags -- tcp/eth0\n"
		"#      resource 3  :  md 1  dev 2  flags -- rc_mlx5/mlx5_0:1\n";
	static const char info[] =
		"# Memory domain: posix\n#     Component: posix\n#\n"
		"#      Transport: posix\n#         Device: memory\n"
		"#           Type: intra-node\n#      Transport: tcp\n"
		"#         Device: eth0\n#  System device: <unknown>\n";
	struct doctor_line line = {0};

	doctor_say_ucx(&line, "UCX 1.13.1", context, NULL, NULL);
	CU_ASSERT(has(&line, DOCTOR_OK,
		"UCX 1.13.1: self tcp rc_mlx5; devices eth0 mlx5_0:1"));
	doctor_say_ucx(&line, "UCX", info, "tcp,self", "eth0");
	CU_ASSERT(has(&line, DOCTOR_OK,
		"UCX: posix tcp; devices eth0; UCX_TLS=tcp,self; "
		"UCX_NET_DEVICES=eth0"));
	doctor_say_ucx(&line, "UCX",
		"# resource 0  :  md 0  dev 0  flags -- self/memory0", "self", NULL);
	CU_ASSERT(has(&line, DOCTOR_MISSING, "self, no network device; UCX_TLS=self"));
	doctor_say_ucx(&line, "UCX", "", NULL, NULL);
	CU_ASSERT(has(&line, DOCTOR_MISSING, "no transport"));
}

static void a_link_without_a_rate_is_unknown(void)
{
	struct doctor_line line = {0};

	doctor_say_link(&line, 25e9, "hsn0");
	CU_ASSERT(has(&line, DOCTOR_OK, "hsn0, 25.0 GB/s"));
	doctor_say_link(&line, 0, "");
	CU_ASSERT(has(&line, DOCTOR_UNKNOWN, "--link"));
}

static void what_is_not_built_in_is_named(void)
{
	struct doctor_line line = {0};

	doctor_say_built_in(&line, "lz4, zstd", "");
	CU_ASSERT(has(&line, DOCTOR_OK, "lz4, zstd"));
	doctor_say_built_in(&line, "lz4", "zstd");
	CU_ASSERT(has(&line, DOCTOR_MISSING, "lz4; not built in: zstd"));
	doctor_say_built_in(&line, "", "lz4, zstd");
	CU_ASSERT(has(&line, DOCTOR_MISSING, "not built in: lz4, zstd"));
}

static void memory_and_descriptors_have_a_least(void)
{
	struct doctor_line line = {0};

	doctor_say_memory(&line, 0, 1ull << 40);
	CU_ASSERT(has(&line, DOCTOR_OK, "1.0 TiB free"));
	doctor_say_memory(&line, 0, 64 << 20);
	CU_ASSERT(has(&line, DOCTOR_MISSING, "less than the 256.0 MiB"));
	doctor_say_memory(&line, -ENOENT, 0);
	CU_ASSERT(has(&line, DOCTOR_UNKNOWN, "No such file"));
	doctor_say_files(&line, 1024, 1048576);
	CU_ASSERT(has(&line, DOCTOR_OK, "1024 open files, which a run makes 1048576"));
	doctor_say_files(&line, 256, 1024);
	CU_ASSERT(has(&line, DOCTOR_MISSING, "1024 open files at most"));
}

static void times_have_a_unit_and_ends(void)
{
	static const struct {
		struct fsio_times times;
		enum doctor_state state;
		const char *text;
	} cases[] = {
		{{INT64_MIN, INT64_MAX, 1}, DOCTOR_OK, "nanoseconds"},
		{{INT32_MIN, 0x37fffffff, 1}, DOCTOR_OK,
			"nanoseconds from 1901 to 2446"},
		{{INT32_MIN, INT32_MAX, 1}, DOCTOR_MISSING,
			"nanoseconds from 1901 to 2038"},
		{{INT32_MIN, INT32_MAX, 1000000000}, DOCTOR_MISSING,
			"whole seconds from 1901 to 2038"},
		{{INT64_MIN, INT64_MAX, 100}, DOCTOR_MISSING, "units of 100 ns"},
		{{INT64_MIN, INT64_MAX, 0}, DOCTOR_MISSING, "no rule"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct doctor_line line = {0};

		doctor_say_times(&line, &cases[i].times);
		CU_ASSERT(has(&line, cases[i].state, cases[i].text));
	}
}

static void room_is_what_keep_free_leaves(void)
{
	static const struct {
		struct doctor_room room;
		enum doctor_state state;
		const char *text;
	} cases[] = {
		{{.total = 100ull << 30, .avail = 50ull << 30, .files = 9, .favail = 8},
			DOCTOR_OK, "50.0 GiB free of 100.0 GiB, of which 5.0 GiB"},
		{{.total = 100ull << 30, .avail = 4ull << 30}, DOCTOR_MISSING,
			"--keep-free leaves 5.0 GiB"},
		{{.total = 100ull << 30, .avail = 50ull << 30, .files = 9},
			DOCTOR_MISSING, "no inode"},
		{{.in_memory = true}, DOCTOR_OK, "no bound of its own but memory"},
		{{0}, DOCTOR_OK, "no bound of its own"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct doctor_line line = {0};

		doctor_say_room(&line, &cases[i].room);
		CU_ASSERT(has(&line, cases[i].state, cases[i].text));
	}
}

static void a_place_that_nodes_share_is_said(void)
{
	static const struct {
		struct doctor_place place;
		enum doctor_state state;
		const char *text;
	} cases[] = {
		{{"/tmp", "/tmp", "ext4", true, false}, DOCTOR_OK,
			"/tmp: ext4, this node's alone"},
		{{"/dev/shm/a/b", "/dev/shm", "tmpfs", true, true}, DOCTOR_OK,
			"/dev/shm/a/b, to be made in /dev/shm: tmpfs, in memory"},
		{{"/work", "/work", "nfs4", false, false}, DOCTOR_MISSING,
			"/work: nfs4, shared by nodes"},
		{{"/x", "/x", "fuse.sshfs", false, false}, DOCTOR_UNKNOWN,
			"/x: fuse.sshfs, perhaps shared"},
		{{"/x", "/x", "", false, false}, DOCTOR_UNKNOWN, "without a name"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct doctor_line line = {0};

		doctor_say_place(&line, &cases[i].place);
		CU_ASSERT(has(&line, cases[i].state, cases[i].text));
	}
}

static void the_type_is_that_of_the_mount(void)
{
	static const char info[] =
		"21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
		"22 21 0:5 / /dev rw - devtmpfs none rw\n"
		"123 21 0:44 / /mnt/a\\040- rw - tmpfs none rw";
	char type[8];

	doctor_mount_type(info, 22, type, sizeof(type));
	CU_ASSERT_STRING_EQUAL(type, "devtmpf");
	doctor_mount_type(info, 123, type, sizeof(type));
	CU_ASSERT_STRING_EQUAL(type, "tmpfs");
	doctor_mount_type(info, 12, type, sizeof(type));
	CU_ASSERT_STRING_EQUAL(type, "");
	doctor_mount_type("", 0, type, sizeof(type));
	CU_ASSERT_STRING_EQUAL(type, "");
}

static void lustre_mounts_are_found_by_their_type(void)
{
	static const char mounts[] =
		"lustre /none tmpfs rw 0 0\n"
		"10.0.0.1@tcp:/scratch /scratch lustre rw,flock 0 0\n"
		"10.0.0.1@tcp:/w /wo\\040rk lustre ro 0 0\n"
		"bad\n\n10.0.0.1@tcp:/x /x lustre2 rw 0 0\nlast /last lustre";
	const char *at = mounts;
	char point[32];

	CU_ASSERT(doctor_lustre_mount(&at, point, sizeof(point)));
	CU_ASSERT_STRING_EQUAL(point, "/scratch");
	CU_ASSERT(doctor_lustre_mount(&at, point, sizeof(point)));
	CU_ASSERT_STRING_EQUAL(point, "/wo rk");
	CU_ASSERT(doctor_lustre_mount(&at, point, sizeof(point)));
	CU_ASSERT_STRING_EQUAL(point, "/last");
	CU_ASSERT(!doctor_lustre_mount(&at, point, sizeof(point)));
	at = mounts;
	CU_ASSERT(doctor_lustre_mount(&at, point, 6));
	CU_ASSERT_STRING_EQUAL(point, "/last");
}

static void a_version_is_the_word_behind_lustre(void)
{
	static const char *const texts[] = {
		"2.15.5\n", "lustre: 2.15.5\nkernel: patchless_client\n", "  2.15.5"};
	char version[16];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		doctor_lustre_version(texts[i], version, sizeof(version));
		CU_ASSERT_STRING_EQUAL(version, "2.15.5");
	}
}

static void a_line_is_a_line_whatever_is_in_it(void)
{
	struct doctor_line line = {.state = DOCTOR_OK, .text = "a\n\"b\"\033\377"};
	char out[DOCTOR_PRINTED], wide[DOCTOR_TEXT];

	doctor_format("dest", &line, false, out);
	CU_ASSERT_PTR_EQUAL(strchr(out, '\n'), out + strlen(out) - 1);
	CU_ASSERT_PTR_NULL(strchr(out, '\033'));
	CU_ASSERT(strncmp(out, "dest        ok       a", 22) == 0);
	doctor_format("dest", &line, true, out);
	CU_ASSERT_PTR_EQUAL(strchr(out, '\n'), out + strlen(out) - 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "\"state\":\"ok\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "\\\"b\\\""));
	memset(wide, 1, sizeof(wide) - 1);
	wide[sizeof(wide) - 1] = '\0';
	doctor_say(&line, DOCTOR_MISSING, "%s", wide);
	doctor_say_more(&line, "more than fits");
	CU_ASSERT_EQUAL(strlen(line.text), DOCTOR_TEXT - 1);
	doctor_format("dest", &line, true, out);
	CU_ASSERT_PTR_EQUAL(strstr(out, "\"}\n"), out + strlen(out) - 3);
}

static const struct test tests[] = {
	TEST(slurm_has_the_pmi_of_this_mpi),
	TEST(ucx_tells_transports_and_devices_once),
	TEST(a_link_without_a_rate_is_unknown),
	TEST(what_is_not_built_in_is_named),
	TEST(memory_and_descriptors_have_a_least),
	TEST(times_have_a_unit_and_ends),
	TEST(room_is_what_keep_free_leaves),
	TEST(a_place_that_nodes_share_is_said),
	TEST(the_type_is_that_of_the_mount),
	TEST(lustre_mounts_are_found_by_their_type),
	TEST(a_version_is_the_word_behind_lustre),
	TEST(a_line_is_a_line_whatever_is_in_it),
};
SUITE("cmd_doctor", tests)
