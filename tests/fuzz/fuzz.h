/* SPDX-License-Identifier: BSD-3-Clause */
/* What a fuzz target offers to libFuzzer and to replay.c. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Valid input number @n to start mutations from; false when there are no more. */
bool fuzz_seed(unsigned n, struct buf *out);

/* Holds in every build, as the whole point is to stop here. */
#define FUZZ_CHECK(what)                                                               \
	do {                                                                           \
		if (!(what))                                                           \
			abort();                                                       \
	} while (0)

#endif
