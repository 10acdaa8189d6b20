/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stands for liblustreapi: the tests put it where dlopen finds it. FAKE_LLAPI has a letter
 * for each index: a healthy target of 8 GiB with 3 free, d degraded, h hole, i inactive,
 * t cannot be reached, b damaged, n not Lustre. The list ends with them.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int llapi_obd_statfs(char *path, uint32_t type, uint32_t index, void *stat, void *uuid);

int llapi_obd_statfs(char *path, uint32_t type, uint32_t index, void *stat, void *uuid)
{
	const char *letters = getenv("FAKE_LLAPI");
	uint64_t blocks = 2 << 20, bavail = 768 << 10, ffree = 1000;
	uint32_t bsize = 4096, state = 0;
	unsigned char *p = stat;

	if (!letters || index >= strlen(letters))
		return -ENODEV;
	if (type != 6 || !path || path[0] != '/')
		return -EINVAL;
	switch (letters[index]) {
	case 'a':
		break;
	case 'd':
		state = 0x201;
		break;
	case 'h':
		return -EAGAIN;
	case 'i':
		return -ENODATA;
	case 't':
		return -ETIMEDOUT;
	case 'b':
		bsize = 0;
		break;
	default:
		return -ENOTTY;
	}
	memset(p, 0xee, 144);
	memcpy(p + 8, &blocks, 8);
	memcpy(p + 24, &bavail, 8);
	memcpy(p + 40, &ffree, 8);
	memcpy(p + 88, &bsize, 4);
	memcpy(p + 104, &state, 4);
	memset(uuid, 'u', 40);
	return 0;
}
