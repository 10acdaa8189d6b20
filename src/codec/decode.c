/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The file around the streams: what is read, where a stream ends, and what may come behind it.
 * The formats know nothing of files; what they are asked for is one step at a time.
 */
#include "codec/decode_internal.h"

#include <errno.h>
#include <string.h>

#define INPUT (128u << 10) /* bytes read at a time */

/* Those that are built in: meson makes the list. */
static const struct decode_format *const formats[] = {DECODE_FORMATS NULL};

static const struct {
	enum codec codec;
	const char *name;
	unsigned char magic[4];
	size_t len;
} kinds[] = {
	{CODEC_GZIP, "gzip", {0x1f, 0x8b}, 2},
	{CODEC_BZIP2, "bzip2", {'B', 'Z', 'h'}, 3},
	{CODEC_XZ, "xz", {0xfd, '7', 'z', 'X'}, 4},
	{CODEC_ZSTD, "zstd", {0x28, 0xb5, 0x2f, 0xfd}, 4},
	{CODEC_LZ4, "lz4", {0x04, 0x22, 0x4d, 0x18}, 4},
	{CODEC_LZ4, "lz4", {0x02, 0x21, 0x4c, 0x18},
		4}, /* of before the frame format */
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

struct decoder {
	const struct decode_format *format;
	void *state;
	decoder_read_fn read;
	void *arg;
	unsigned char *buf;
	size_t at, len; /* what is in buf and not decoded yet: [at, len) */
	bool eof, within, ended, failed;
	uint64_t streams;
	struct ebt_err err; /* of the failure, told again by every later call */
};

/* Frames that decoders skip: zstd and lz4 have the same. */
static bool is_skippable(const unsigned char *p, size_t len)
{
	return len >= 4 && (p[0] & 0xf0) == 0x50 && p[1] == 0x2a && p[2] == 0x4d &&
	       p[3] == 0x18;
}

static enum codec kind_of(const unsigned char *p, size_t len)
{
	for (size_t i = 0; i < KINDS; i++)
		if (len >= kinds[i].len && memcmp(p, kinds[i].magic, kinds[i].len) == 0)
			return kinds[i].codec;
	return CODEC_NONE;
}

enum codec codec_of(const void *head, size_t len)
{
	const unsigned char *p = head;
	bool skipped = false;
	enum codec codec;
	uint64_t frame;

	while (is_skippable(p, len)) {
		skipped = true;
		if (len < 8)
			break;
		frame = 8 + ((uint64_t)p[4] | (uint64_t)p[5] << 8 |
				    (uint64_t)p[6] << 16 | (uint64_t)p[7] << 24);
		if (frame >= len)
			break;
		p += frame;
		len -= (size_t)frame;
	}
	codec = kind_of(p, len);
	/* What follows is out of sight: zstd is the one that is known to begin so. */
	if (skipped && codec != CODEC_LZ4)
		codec = CODEC_ZSTD;
	return codec;
}

const char *codec_name(enum codec codec)
{
	for (size_t i = 0; i < KINDS; i++)
		if (kinds[i].codec == codec)
			return kinds[i].name;
	return "none";
}

static const struct decode_format *format_of(enum codec codec)
{
	for (size_t i = 0; formats[i]; i++)
		if (formats[i]->codec == codec)
			return formats[i];
	return NULL;
}

bool codec_decodes(enum codec codec)
{
	return format_of(codec);
}

int decoder_new(enum codec codec, decoder_read_fn read, void *arg, unsigned threads,
	struct decoder **out, struct ebt_err *err)
{
	SCOPED(decoder_freep) struct decoder *d = NULL;
	const struct decode_format *format = format_of(codec);
	int r;

	if (!format)
		return ebt_failx(err, -ENOTSUP,
			"%s: not built in: EBT was built without its library",
			codec_name(codec));
	d = calloc(1, sizeof(*d));
	if (!d)
		return ebt_fail(err, -ENOMEM, "%s", codec_name(codec));
	d->format = format;
	d->read = read;
	d->arg = arg;
	d->buf = malloc(INPUT);
	r = d->buf ? format->open(threads, &d->state) : -ENOMEM;
	if (r < 0)
		return ebt_fail(err, r, "%s", codec_name(codec));
	*out = TAKE(d);
	return 0;
}

void decoder_free(struct decoder *d)
{
	if (!d)
		return;
	if (d->state)
		d->format->close(d->state);
	free(d->buf);
	free(d);
}

/* Remembered, as what was decoded before it is handed out first. */
static int fail(struct decoder *d, int code, const char *what)
{
	d->failed = true;
	return ebt_failx(&d->err, code, "%s: %s", codec_name(d->format->codec), what);
}

/* More behind what is there. 0 or a negative errno. */
static int fill(struct decoder *d)
{
	ssize_t n;

	if (d->at) {
		memmove(d->buf, d->buf + d->at, d->len - d->at);
		d->len -= d->at;
		d->at = 0;
	}
	n = d->read(d->arg, d->buf + d->len, INPUT - d->len, &d->err);
	if (n < 0) {
		d->failed = true;
		return (int)n;
	}
	d->eof = n == 0;
	d->len += (size_t)n;
	return 0;
}

/* Zeros, as tapes and disks leave behind: how many, or a negative errno. */
static int64_t skip_zeros(struct decoder *d)
{
	int64_t n = 0;
	int r;

	for (;;) {
		while (d->at < d->len && d->buf[d->at] == 0) {
			d->at++;
			n++;
		}
		if (d->at < d->len || d->eof)
			return n;
		r = fill(d);
		if (r < 0)
			return r;
	}
}

/* What is at hand can be the beginning of another stream. */
static bool begins(const struct decoder *d)
{
	const unsigned char *p = d->buf + d->at;
	enum codec codec = d->format->codec;

	return kind_of(p, d->len - d->at) == codec ||
	       ((codec == CODEC_ZSTD || codec == CODEC_LZ4) &&
		       is_skippable(p, d->len - d->at));
}

/* Between streams: another one begins, or the file is at its end. 0 or a negative errno. */
static int begin(struct decoder *d)
{
	const struct decode_format *f = d->format;
	int64_t zeros = 0;
	int r = 0;

	/* Of the formats that know padding between streams, one has it in units of four bytes. */
	if (d->streams)
		zeros = skip_zeros(d);
	if (zeros < 0)
		return (int)zeros;
	while (r == 0 && !d->eof && d->len - d->at < CODEC_HEAD)
		r = fill(d);
	if (r < 0)
		return r;
	if (d->at == d->len && d->streams) {
		d->ended = true;
		return 0;
	}
	if (d->streams && ((zeros && (!f->zeros_between || zeros % 4)) || !begins(d)))
		return fail(d, -EBADMSG, "more data behind the end");
	r = f->begin(d->state);
	if (r < 0)
		return fail(d, r, "no memory");
	d->streams++;
	d->within = true;
	return 0;
}

static int step(struct decoder *d, struct decode_io *io)
{
	size_t in, out = io->out_len;
	int r;

	if (d->at == d->len && !d->eof) {
		r = fill(d);
		if (r < 0)
			return r;
	}
	io->in = d->buf + d->at;
	io->in_len = in = d->len - d->at;
	io->last = d->eof;
	r = d->format->step(d->state, io);
	d->at += in - io->in_len;
	if (r < 0)
		return fail(d, r, io->flaw ? io->flaw : "damaged");
	if (r == DECODE_END) {
		d->within = false;
		return 0;
	}
	if (in != io->in_len || out != io->out_len)
		return 0;
	if (d->eof)
		return fail(d, -EBADMSG, "cut off: the file ends before its end");
	if (d->at == 0 && d->len == INPUT)
		return fail(d, -EBADMSG, "damaged");
	return fill(d);
}

ssize_t decoder_read(struct decoder *d, void *to, size_t len, struct ebt_err *err)
{
	struct decode_io io = {.out = to, .out_len = len};
	int r = 0;

	while (!d->failed && !d->ended && io.out_len && r == 0)
		r = d->within ? step(d, &io) : begin(d);
	if (len > io.out_len || !d->failed)
		return (ssize_t)(len - io.out_len);
	if (err)
		*err = d->err;
	return d->err.code;
}
