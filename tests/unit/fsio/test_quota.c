/* SPDX-License-Identifier: BSD-3-Clause */
/* Quotas of a kernel that has some, in the units that quotactl(2) has them in. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/quota.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/scope.h"
#include "fsio/fsio.h"
#include "suite.h"

static int fd_code, device_code; /* errno of quotactl_fd and quotactl; 0: they work */
static unsigned asked_fd, asked_device;
static dev_t device; /* that fstat tells of */
static char path[64];
static struct dqblk has;

long __wrap_syscall(long number, ...);
int __wrap_quotactl(int cmd, const char *special, int id, caddr_t to);
int __wrap_fstat(int fd, struct stat *st);
int __wrap_fstat64(int fd, struct stat *st);

static int answer(int cmd, int id, void *to, int code)
{
	CU_ASSERT_EQUAL(cmd, (int)QCMD((unsigned)Q_GETQUOTA, GRPQUOTA));
	CU_ASSERT_EQUAL((uint32_t)id, 4000000000u);
	memcpy(to, &has, sizeof(has));
	errno = code;
	return code ? -1 : 0;
}

long __wrap_syscall(long number, ...)
{
	long a[4];
	va_list ap;

	CU_ASSERT_EQUAL(number, 443);
	va_start(ap, number);
	a[0] = va_arg(ap, int);
	a[1] = va_arg(ap, int);
	a[2] = va_arg(ap, int);
	a[3] = (long)va_arg(ap, void *);
	va_end(ap);
	asked_fd++;
	return answer((int)a[1], (int)a[2], (void *)a[3], fd_code);
}

int __wrap_quotactl(int cmd, const char *special, int id, caddr_t to)
{
	asked_device++;
	snprintf(path, sizeof(path), "%s", special);
	return answer(cmd, id, to, device_code);
}

int __wrap_fstat(int fd, struct stat *st)
{
	(void)fd;
	*st = (struct stat){.st_dev = device};
	return 0;
}

int __wrap_fstat64(int fd, struct stat *st)
{
	return __wrap_fstat(fd, st);
}

static int ask(int fd, int dev, struct fsio_quota *q)
{
	fd_code = fd;
	device_code = dev;
	asked_fd = asked_device = 0;
	device = makedev(8, 3);
	return fsio_quota_of(0, FSIO_QUOTA_GROUP, 4000000000u, q);
}

static void limits_are_in_bytes(void)
{
	struct fsio_quota q = {0};

	has = (struct dqblk){.dqb_bhardlimit = 7,
		.dqb_bsoftlimit = 5,
		.dqb_curspace = 5000,
		.dqb_ihardlimit = 4,
		.dqb_isoftlimit = 3,
		.dqb_curinodes = 2,
		.dqb_btime = 77,
		.dqb_itime = 78};
	CU_ASSERT_EQUAL(ask(0, 0, &q), 0);
	CU_ASSERT_EQUAL(q.bytes.used, 5000);
	CU_ASSERT_EQUAL(q.bytes.soft, 5120);
	CU_ASSERT_EQUAL(q.bytes.hard, 7168);
	CU_ASSERT_EQUAL(q.bytes.until, 77);
	CU_ASSERT_EQUAL(q.inodes.used, 2);
	CU_ASSERT_EQUAL(q.inodes.soft, 3);
	CU_ASSERT_EQUAL(q.inodes.hard, 4);
	CU_ASSERT_EQUAL(q.inodes.until, 78);
	CU_ASSERT_EQUAL(asked_fd, 1);
	CU_ASSERT_EQUAL(asked_device, 0);
}

static void an_older_kernel_is_asked_for_the_device(void)
{
	struct fsio_quota q = {0};

	CU_ASSERT_EQUAL(ask(ENOSYS, 0, &q), 0);
	CU_ASSERT_EQUAL(q.bytes.hard, 7168);
	CU_ASSERT_EQUAL(asked_device, 1);
	CU_ASSERT_STRING_EQUAL(path, "/dev/block/8:3");
	CU_ASSERT_EQUAL(ask(ENOSYS, ENOENT, &q), 1);
	CU_ASSERT_EQUAL(ask(ENOSYS, ENOTBLK, &q), -ENOTBLK);
	/* A network file system has none. */
	fd_code = ENOSYS;
	asked_device = 0;
	device = makedev(0, 55);
	CU_ASSERT_EQUAL(fsio_quota_of(0, FSIO_QUOTA_GROUP, 4000000000u, &q), -ENOSYS);
	CU_ASSERT_EQUAL(asked_device, 0);
}

static void no_answer_is_told_from_no_quota(void)
{
	struct fsio_quota q = {0};

	CU_ASSERT_EQUAL(ask(EPERM, 0, &q), -EPERM);
	CU_ASSERT_EQUAL(ask(EOPNOTSUPP, 0, &q), -EOPNOTSUPP);
	CU_ASSERT_EQUAL(asked_device, 0);
	CU_ASSERT_EQUAL(ask(ESRCH, 0, &q), 1);
	CU_ASSERT_EQUAL(ask(ENOENT, 0, &q), 1);
	CU_ASSERT_EQUAL(q.bytes.hard, 0);
}

static void a_directory_without_a_project_has_none(void)
{
	SCOPED_FD int fd = open("/proc", O_PATH | O_DIRECTORY);

	CU_ASSERT(fd >= 0);
	CU_ASSERT_EQUAL(fsio_project_of(fd), 0);
	CU_ASSERT_EQUAL(fsio_project_of(-1), 0);
}

static const struct test tests[] = {
	TEST(limits_are_in_bytes),
	TEST(an_older_kernel_is_asked_for_the_device),
	TEST(no_answer_is_told_from_no_quota),
	TEST(a_directory_without_a_project_has_none),
};
SUITE("fsio_quota", tests)
