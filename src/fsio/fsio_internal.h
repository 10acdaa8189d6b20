/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FSIO_FSIO_INTERNAL_H
#define FSIO_FSIO_INTERNAL_H

#include "fsio/fsio.h"

/* fsio_free_memory with every file looked up below @root, "" for the real ones. */
int fsio_free_memory_below(const char *root, uint64_t *bytes);

/* fsio_open_beneath a component at a time: for kernels and containers without openat2. */
int fsio_open_beneath_slowly(int dirfd, const char *path, int flags);

#endif
