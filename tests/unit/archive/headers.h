/* SPDX-License-Identifier: BSD-3-Clause */
/* Headers of pax archives as tests look at them: block by block, and as libarchive reads them. */
#ifndef TESTS_UNIT_ARCHIVE_HEADERS_H
#define TESTS_UNIT_ARCHIVE_HEADERS_H

#include <archive.h>
#include <archive_entry.h>
#include <stdbool.h>

#include "archive/header.h"
#include "suite.h"

#define COUNT(a)     (sizeof(a) / sizeof((a)[0]))
#define SCOPED_MAKER SCOPED(header_maker_freep)
#define SCOPED_ENTRY SCOPED(headers_free_entry) struct archive_entry *

struct header_maker *headers_maker(void);
struct manifest_entry headers_file(uint64_t size);
bool headers_bytes_ok(const struct buf *b);
struct archive_entry *headers_read_back(const struct buf *header);
void headers_free_entry(struct archive_entry **e);
struct archive_entry *headers_round_trip(const struct header *h, uint64_t room);
void headers_name_of(char *name, size_t len);

#endif
