/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FSIO_FSIO_INTERNAL_H
#define FSIO_FSIO_INTERNAL_H

#include "fsio/fsio.h"

/* fsio_free_memory with every file looked up below @root, "" for the real ones. */
int fsio_free_memory_below(const char *root, uint64_t *bytes);

#endif
