/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "job/job.h"
#include "suite.h"

static void patterns_stand_for_rank_host_and_user(void)
{
	char host[256] = "", user[64], want[512], got[512] = "";
	struct passwd *pw = getpwuid(geteuid());

	gethostname(host, sizeof(host) - 1);
	snprintf(user, sizeof(user), "%u", (unsigned)geteuid());
	if (pw)
		snprintf(user, sizeof(user), "%s", pw->pw_name);
	snprintf(want, sizeof(want), "/a/%s/%s.1234567%%%s", host, user, user);
	CU_ASSERT_EQUAL(
		job_expand("/a/%h/%u.%r%%%u", "DEST", 1234567, got, sizeof(got), NULL),
		0);
	CU_ASSERT_STRING_EQUAL(got, want);
}

static void text_without_patterns_stays(void)
{
	static const char *const texts[] = {
		"x", "/", "a b\n", "/\377\376/$HOME/~", "r/h/u"};
	char got[32];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		CU_ASSERT_EQUAL(
			job_expand(texts[i], "DEST", 3, got, sizeof(got), NULL), 0);
		CU_ASSERT_STRING_EQUAL(got, texts[i]);
	}
}

static void anything_else_after_a_percent_sign_is_refused(void)
{
	static const char *const texts[] = {
		"%", "a%", "%q", "%%%", "%R", "% r", "%5r", "%s%n"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct ebt_err err = {0};
		char got[32];

		CU_ASSERT_EQUAL(job_expand(texts[i], "DEST", 3, got, sizeof(got), &err),
			-EINVAL);
		CU_ASSERT_EQUAL(err.code, -EINVAL);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, texts[i]));
	}
}

static void an_empty_dest_is_refused(void)
{
	char got[32];

	CU_ASSERT_EQUAL(job_expand("", "DEST", 0, got, sizeof(got), NULL), -EINVAL);
}

static void the_result_must_fit_with_its_end(void)
{
	char got[9];

	memset(got, '#', sizeof(got));
	CU_ASSERT_EQUAL(
		job_expand("abc%r", "DEST", 12345, got, 8, NULL), -ENAMETOOLONG);
	CU_ASSERT_EQUAL(got[8], '#');
	CU_ASSERT_EQUAL(job_expand("abc%r", "DEST", 1234, got, 8, NULL), 0);
	CU_ASSERT_STRING_EQUAL(got, "abc1234");
	CU_ASSERT_EQUAL(got[8], '#');
}

static const struct test tests[] = {
	TEST(patterns_stand_for_rank_host_and_user),
	TEST(text_without_patterns_stays),
	TEST(anything_else_after_a_percent_sign_is_refused),
	TEST(an_empty_dest_is_refused),
	TEST(the_result_must_fit_with_its_end),
};
SUITE("job_names", tests)
