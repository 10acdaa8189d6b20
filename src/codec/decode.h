/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whole compressed files, decoded as a stream and checked to the end: every checksum that the
 * format has, the end of the last stream, and that nothing but zeros comes behind it. Several
 * streams one after the other are one file, as the formats have it.
 *
 * Memory of a decoder: 128 KiB, and the history that the file asks for. That is 32 KiB for
 * gzip, 4 MiB for bzip2 and lz4; zstd files that need more than 128 MiB and xz files that need
 * more than 256 MiB are refused. With several threads xz takes up to 64 MiB more for each.
 */
#ifndef CODEC_DECODE_H
#define CODEC_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/scope.h"
#include "ebt/err.h"

enum codec {
	CODEC_NONE = 0,
	CODEC_GZIP,
	CODEC_BZIP2,
	CODEC_XZ,
	CODEC_ZSTD,
	CODEC_LZ4,
};

/* Bytes of a file's beginning by which codec_of knows it, if it has as many. */
#define CODEC_HEAD 64
/* What the file that begins with these bytes is compressed with; CODEC_NONE: nothing of these. */
enum codec codec_of(const void *head, size_t len);
const char *codec_name(enum codec codec); /* "gzip" */
bool codec_decodes(enum codec codec);	  /* its library is built in */

/*
 * The next bytes of the compressed file, up to @len, into @to: how many, 0 at its end, or a
 * negative errno.
 */
typedef ssize_t (*decoder_read_fn)(
	void *arg, void *to, size_t len, struct ebt_err *err);

struct decoder;
/*
 * @read is called from decoder_read alone. @threads: of those that xz may use, 1 for none of its
 * own. -ENOTSUP: not built in.
 */
int decoder_new(enum codec codec, decoder_read_fn read, void *arg, unsigned threads,
	struct decoder **out, struct ebt_err *err);
void decoder_free(struct decoder *d);
DEFINE_SCOPED(struct decoder, decoder_free)
/*
 * The next decoded bytes, up to @len: how many; 0 where all of the file was decoded and is right;
 * or a negative errno, which is final. -EBADMSG: damaged, cut off, or more behind the end, and the
 * text says which but not of which file. @read's own failures come through as they are.
 */
ssize_t decoder_read(struct decoder *d, void *to, size_t len, struct ebt_err *err);

#endif
