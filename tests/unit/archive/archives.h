/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Archives for tests: byte by byte, for what no writer would write, or by libarchive's writer. And
 * what is read of them, as text.
 */
#ifndef TESTS_UNIT_ARCHIVE_ARCHIVES_H
#define TESTS_UNIT_ARCHIVE_ARCHIVES_H

#include "archive/unarchive.h"
#include "base/buf.h"

/* A ustar header; @size bytes of content have to follow. */
void tar_header(
	struct buf *b, const char *name, char type, uint64_t size, const char *link);
/* With the magic of GNU tar. */
void tar_gnu(struct buf *b, const char *name, char type, uint64_t size);
/* Its sum made right again, after something of the header at @at was changed. */
void tar_sum(struct buf *b, size_t at);
/* Content and padding. */
void tar_content(struct buf *b, const void *data, size_t len);
/* A file, a directory. */
void tar_file(struct buf *b, const char *name, const char *content);
void tar_dir(struct buf *b, const char *name);
/* A record of an extended header into @records, and the header made of them. */
void pax_record(struct buf *records, const char *key, const void *value, size_t len);
void tar_pax(struct buf *b, const struct buf *records);
/* The end mark. */
void tar_end(struct buf *b);

/* A member of a newc cpio, and its last one. @crc: of that kind, with the sum of the content. */
void cpio_member(struct buf *b, bool crc, const char *name, uint32_t mode, uint32_t ino,
	uint32_t nlink, const char *content);
void cpio_odc(struct buf *b, const char *name, uint32_t mode, uint32_t ino,
	uint32_t nlink, uint32_t mtime, const char *content);

/* Where the bytes are to be read from. */
enum source {
	SOURCE_FILE,
	SOURCE_PIPE, /* up to 1 MiB */
};
int source_open(const void *data, size_t len, enum source source);

/*
 * All that is read of it, a line for each member: kind, path, attributes that @what asks for,
 * content. What unarchive_next came to at the end: 0 or the failure.
 */
enum tell {
	TELL_NAMES = 0,
	TELL_OWNERS = 1,
	TELL_TIMES = 2,
	TELL_MODES = 4,
	TELL_XATTRS = 8,
	TELL_CONTENT = 16, /* up to 40 bytes of it */
	TELL_ALL = 31,
};
int tell(const struct buf *b, enum source source, const struct unarchive_options *o,
	unsigned what, struct buf *out, struct ebt_err *err);
/* The same of a file or a pipe that is open. */
int tell_fd(int fd, const struct unarchive_options *o, unsigned what, struct buf *out,
	struct ebt_err *err);
/* tell of both sources and a comparison: it is read to its end, and what is told is @expected. */
void expect(const struct buf *b, unsigned what, const char *expected);
/* It fails, with @part in the text, however it is read. */
void expect_failure(const struct buf *b, const char *part);

#endif
