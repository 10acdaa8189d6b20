/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libarchive reads headers and content, of formats that were found to be there and are named to it;
 * bytes come from unarchive_input.c, what a member may be is decided in unarchive_entry.c. What is
 * left is to go through it: every step of libarchive has to be looked at, as it goes on after much
 * that is damage, and at the end it says nothing of what is missing there, or follows.
 */
#include "archive/unarchive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "archive/unarchive_internal.h"

#define END_MARK 1024 /* bytes of zeros at the end of a tar */

bool unarchive_built_in(void)
{
	return true;
}

static void leave_locale(locale_t *old)
{
	uselocale(*old);
}

/* Names are converted by the locale of the thread, and in that of C none but ASCII are. */
#define IN_LOCALE(u)                                                                   \
	SCOPED(leave_locale)                                                           \
	locale_t old_locale_ __attribute__((unused)) = uselocale((u)->locale)

static la_ssize_t give(struct archive *a, void *arg, const void **data)
{
	struct unarchive *u = arg;
	ssize_t n = (ssize_t)u->in.window.len;

	if (u->given || n == 0)
		n = input_more(&u->in);
	u->given = true;
	if (n < 0) {
		archive_set_error(a, -u->in.err.code, "%s", u->in.err.text);
		return ARCHIVE_FATAL;
	}
	*data = u->in.window.data + u->in.window.len - n;
	return n;
}

static la_int64_t skip(struct archive *a, void *arg, la_int64_t len)
{
	struct unarchive *u = arg;

	return len > 0 ? (la_int64_t)input_skip(&u->in, (uint64_t)len) : 0;
}

static la_int64_t seek(struct archive *a, void *arg, la_int64_t off, int whence)
{
	struct unarchive *u = arg;
	uint64_t base = whence == SEEK_SET   ? 0
			: whence == SEEK_CUR ? u->in.at
					     : u->in.end;
	int64_t to;

	if (base > INT64_MAX || __builtin_add_overflow((int64_t)base, off, &to) ||
		to < 0)
		return ARCHIVE_FATAL;
	u->given = true;
	input_seek(&u->in, (uint64_t)to);
	return to;
}

/* What libarchive says, or what happened to it. */
static const char *reason(const struct unarchive *u, const char *otherwise)
{
	const char *text = archive_error_string(u->a);

	if (u->in.failed)
		return u->in.err.text;
	return text ? text : otherwise;
}

static int fail_code(const struct unarchive *u)
{
	return u->in.failed ? u->in.err.code : -EBADMSG;
}

static int open_archive(struct unarchive *u, struct ebt_err *err)
{
	int r = ARCHIVE_FATAL;

	u->a = archive_read_new();
	if (!u->a)
		return ebt_fail(err, -ENOMEM, "%s", u->name);
	if (u->kind == KIND_TAR)
		r = archive_read_support_format_tar(u->a);
	else if (u->kind == KIND_CPIO)
		r = archive_read_support_format_cpio(u->a);
	else if (u->kind == KIND_ZIP)
		r = archive_read_support_format_zip_seekable(u->a);
	else
		r = archive_read_support_format_7zip(u->a);
	if (r == ARCHIVE_OK && u->kind == KIND_TAR && u->o.concatenated)
		r = archive_read_set_options(u->a, "tar:read_concatenated_archives");
	if (r == ARCHIVE_OK)
		r = archive_read_set_read_callback(u->a, give);
	if (r == ARCHIVE_OK && u->kind == KIND_TAR)
		r = archive_read_set_skip_callback(u->a, skip);
	if (r == ARCHIVE_OK && (u->kind == KIND_ZIP || u->kind == KIND_7Z))
		r = archive_read_set_seek_callback(u->a, seek);
	if (r == ARCHIVE_OK)
		r = archive_read_set_callback_data(u->a, u);
	if (r == ARCHIVE_OK)
		r = archive_read_open1(u->a);
	if (r != ARCHIVE_OK)
		return ebt_failx(err, fail_code(u), "%s: %s", u->name,
			reason(u, "cannot be opened as an archive"));
	return 0;
}

/* Zip and 7z: lists at the end. 1: it lists nothing. */
static int check_list(struct unarchive *u, struct ebt_err *err)
{
	const char *kind = u->kind == KIND_ZIP ? "zip" : "7z";
	struct ebt_err why;
	int r;

	if (u->in.decoder)
		return ebt_failx(err, -ENOTSUP,
			"%s: a %s archive that is compressed once more: decompress it "
			"first",
			u->name, kind);
	if (!u->in.seekable)
		return ebt_failx(err, -ESPIPE,
			"%s: a %s archive has its list of members at its end: it has "
			"to "
			"be a file, not a pipe",
			u->name, kind);
	r = u->kind == KIND_ZIP ? kind_check_zip(&u->in, &why)
				: kind_check_7z(&u->in, &why);
	return r < 0 ? ebt_failx(err, r, "%s: %s", u->name, why.text) : r;
}

/* What it is: from its first bytes, or the first that they are decoded to. */
static int find_kind(struct unarchive *u, struct ebt_err *err)
{
	unsigned char head[INPUT_HEAD];
	const unsigned char *p = head;
	const char *what = NULL;
	struct ebt_err why;
	enum codec codec;
	ssize_t n = input_look(&u->in, head, sizeof(head), &why);

	if (n < 0)
		return ebt_failx(err, (int)n, "%s: %s", u->name, why.text);
	if (n == 0)
		return ebt_failx(err, -EBADMSG, "%s: empty: no archive", u->name);
	codec = codec_of(head, (size_t)n);
	if (codec) {
		int r = input_decode(&u->in, codec, u->o.threads, &why);

		if (r < 0)
			return ebt_failx(err, r, "%s: %s", u->name, why.text);
		n = input_more(&u->in);
		if (n < 0)
			return ebt_failx(
				err, (int)n, "%s: %s", u->name, u->in.err.text);
		p = u->in.window.data;
	}
	u->kind = kind_of(p, (size_t)n, &what);
	if (u->kind == KIND_UNKNOWN && what)
		return ebt_failx(
			err, -ENOTSUP, "%s: %s: this cannot be read", u->name, what);
	if (u->kind == KIND_UNKNOWN)
		return ebt_failx(err, -EBADMSG,
			"%s: no archive: neither tar, cpio, zip nor 7z, or damaged",
			u->name);
	return 0;
}

/* From here on there is nothing but what is picked. */
static int pick(struct unarchive *u, struct ebt_err *err)
{
	const struct pick *mark;
	struct ebt_err why;
	size_t n;
	int r = 0;

	if (!u->o.picks)
		return 0;
	if (u->kind != KIND_TAR || !u->in.seekable)
		return ebt_failx(err, -ENOTSUP,
			"%s: no tar that could be read by parts", u->name);
	mark = picks_list(u->o.picks, &n);
	if (u->in.decoder)
		r = input_by_frames(&u->in, mark[n].end, &why);
	if (r < 0)
		return ebt_failx(err, r, "%s: %s", u->name, why.text);
	input_pick(&u->in, u->o.picks, u->o.heads);
	return 0;
}

int unarchive_open(int fd, const char *name, const struct unarchive_options *o,
	struct unarchive **out, struct ebt_err *err)
{
	SCOPED(unarchive_freep) struct unarchive *u = calloc(1, sizeof(*u));
	struct ebt_err why;
	int r;

	if (u)
		u->name = strdup(name);
	if (!u || !u->name)
		return ebt_fail(err, -ENOMEM, "%s", name);
	u->o = *o;
	u->in.kept = UINT64_MAX;
	u->locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	r = names_new(&u->names, err);
	if (r < 0)
		return r;
	r = input_open(&u->in, fd, o, &why);
	if (r < 0)
		return ebt_failx(err, r, "%s: %s", name, why.text);
	r = find_kind(u, err);
	if (r == 0 && (u->kind == KIND_ZIP || u->kind == KIND_7Z)) {
		r = check_list(u, err);
		u->ended = r > 0;
	}
	if (r == 0)
		r = pick(u, err);
	if (r == 0) {
		IN_LOCALE(u);
		r = open_archive(u, err);
	}
	if (r < 0)
		return r;
	*out = TAKE(u);
	return 0;
}

void unarchive_free(struct unarchive *u)
{
	if (!u)
		return;
	if (u->a)
		archive_read_free(u->a);
	input_release(&u->in);
	if (u->locale)
		freelocale(u->locale);
	names_free(u->names);
	attrs_release(&u->attrs);
	buf_release(&u->map);
	buf_release(&u->extents);
	buf_release(&u->targets);
	buf_release(&u->raw_path);
	buf_release(&u->raw_link);
	for (size_t i = 0; i < UNARCHIVE_LEFT_KINDS; i++)
		free(u->left[i].first);
	free(u->target);
	free(u->name);
	free(u);
}

uint64_t unarchive_left(
	const struct unarchive *u, enum unarchive_left kind, const char **first)
{
	*first = u->left[kind].first;
	return u->left[kind].n;
}

uint64_t unarchive_bytes(const struct unarchive *u)
{
	uint64_t taken = __atomic_load_n(&u->in.taken, __ATOMIC_RELAXED);

	/* Zip and 7z are read twice in some places. */
	return u->in.seekable && taken > u->in.size ? u->in.size : taken;
}

/* A block of a sparse file has to be where its map says that there is data. */
static bool is_mapped(struct unarchive *u, uint64_t off, uint64_t len)
{
	const struct manifest_extent *map = (const struct manifest_extent *)u->map.data;
	size_t n = u->map.len / sizeof(*map);

	while (u->map_next < n && map[u->map_next].off + map[u->map_next].len <= off)
		u->map_next++;
	return u->map_next < n && map[u->map_next].off <= off &&
	       len <= map[u->map_next].off + map[u->map_next].len - off;
}

/* All of it came: is it what was promised? */
static int check_content(struct unarchive *u, struct ebt_err *err)
{
	uint64_t want = u->is_sparse ? u->map_bytes : u->m.e.size;

	u->done = true;
	u->block_len = 0;
	if (u->got != want)
		return unarchive_refuse(u, -EBADMSG, err,
			"%llu bytes of content, and it should have %llu",
			(unsigned long long)u->got, (unsigned long long)want);
	if (u->headers.is_crc && u->m.e.size && u->crc != u->headers.crc)
		return unarchive_refuse(
			u, -EBADMSG, err, "its content does not have its checksum");
	return 0;
}

/* The next piece of content: 0, and u->done at its end; or a failure. */
static int next_block(struct unarchive *u, struct ebt_err *err)
{
	const void *data = NULL;
	la_int64_t off = 0;
	size_t len = 0;
	int r;

	u->begun = true;
	r = archive_read_data_block(u->a, &data, &len, &off);
	if (r == ARCHIVE_EOF)
		return check_content(u, err);
	if (r != ARCHIVE_OK)
		return unarchive_refuse(u, fail_code(u), err, "%s",
			reason(u, "its content is damaged"));
	u->block_len = 0;
	if (len == 0)
		return 0;
	if (off < 0 || (uint64_t)off < u->end || (uint64_t)off > u->m.e.size ||
		len > u->m.e.size - (uint64_t)off)
		return unarchive_refuse(
			u, -EBADMSG, err, "more content than its size says");
	if (u->is_sparse ? !is_mapped(u, (uint64_t)off, len) : (uint64_t)off != u->end)
		return unarchive_refuse(u, -EBADMSG, err,
			"its map of holes is not that of its content");
	if (u->headers.is_crc)
		for (size_t i = 0; i < len; i++)
			u->crc += ((const unsigned char *)data)[i];
	u->block = data;
	u->block_off = (uint64_t)off;
	u->block_len = len;
	u->end = u->block_off + len;
	u->got += len;
	return 0;
}

static int to_end(struct unarchive *u, struct ebt_err *err)
{
	int r = 0;

	while (r == 0 && !u->done)
		r = next_block(u, err);
	return r;
}

/* What is left of the member at hand is passed. */
static int finish(struct unarchive *u, struct ebt_err *err)
{
	int r = 0;

	if (!u->header)
		return 0;
	/* One without content that has some would be a lie that nobody sees. */
	if (u->begun || (u->m.e.kind == MANIFEST_FILE && u->m.e.size == 0))
		r = to_end(u, err);
	if (r < 0)
		return r;
	r = archive_read_data_skip(u->a);
	if (r != ARCHIVE_OK && r != ARCHIVE_EOF)
		return unarchive_refuse(u, fail_code(u), err, "%s",
			reason(u, "its content is damaged"));
	u->header = u->here = u->begun = u->done = false;
	u->read = u->got = u->end = u->block_off = u->block_len = 0;
	u->map_next = 0;
	u->crc = 0;
	return 0;
}

/* No member follows. The last one ended at @from. */
static int check_end(struct unarchive *u, uint64_t from, struct ebt_err *err)
{
	uint64_t at = (uint64_t)archive_filter_bytes(u->a, 0);
	int r = 0;

	if (u->in.failed)
		return ebt_failx(err, fail_code(u), "%s: %s", u->name, reason(u, ""));
	if (u->kind == KIND_TAR && at < from + END_MARK)
		return ebt_failx(err, -EBADMSG,
			"%s: ends without its end mark, after %llu members: cut off?",
			u->name, (unsigned long long)u->serial);
	if (u->kind == KIND_TAR || u->kind == KIND_CPIO)
		r = input_zeros(&u->in, at);
	if (r < 0)
		return ebt_failx(err, r, "%s: %s", u->name, u->in.err.text);
	if (r > 0)
		return ebt_failx(err, -EBADMSG,
			"%s: more data behind the end of the archive%s", u->name,
			u->kind == KIND_TAR ? "; use --concatenated if that is one more"
					    : "");
	u->ended = true;
	return 0;
}

/*
 * A warning may be of a name that is not text in any encoding, which is all the same here. Others
 * are of damage after which libarchive goes on.
 */
static bool is_harmless(const struct unarchive *u)
{
	const char *text = archive_error_string(u->a);

	return text && strstr(text, "convert");
}

/*
 * What came with a header, a result of libarchive's. The target of a symbolic link in a 7z is read
 * with it; that its sum is wrong is then said nowhere but in the text.
 */
static bool is_right(const struct unarchive *u, int r)
{
	if (r == ARCHIVE_WARN)
		return is_harmless(u);
	return r == ARCHIVE_OK && (u->kind != KIND_7Z || !archive_error_string(u->a));
}

/* Of what is picked, what has to begin at @from; NULL: the end. -EBADMSG: nothing does. */
static int next_pick(struct unarchive *u, uint64_t from, const struct pick **out,
	struct ebt_err *err)
{
	const struct pick *p;
	size_t n;

	*out = NULL;
	if (!u->o.picks)
		return 0;
	p = picks_list(u->o.picks, &n) + u->pick;
	if (from != u->pick_at)
		return ebt_failx(err, -EBADMSG,
			"%s: member %llu does not end where the index says", u->name,
			(unsigned long long)u->serial);
	if (u->pick == n)
		return 0;
	/* As they are counted by who reads all. */
	u->serial = p->serial;
	u->where = p->where;
	*out = p;
	return 0;
}

/* Is the member at hand, whose headers begin at @from, @p, the one that was picked? 1 or a failure. */
static int check_pick(
	struct unarchive *u, const struct pick *p, uint64_t from, struct ebt_err *err)
{
	struct member *m = &u->m;
	struct ebt_digest name = picks_name(u->path, m->link);
	enum index_type type = m->link			    ? INDEX_HARDLINK
			       : m->e.kind == MANIFEST_DIR  ? INDEX_DIR
			       : m->e.kind == MANIFEST_FILE ? INDEX_FILE
							    : INDEX_SYMLINK;
	uint64_t data = (uint64_t)archive_filter_bytes(u->a, 0);

	if (!p || data - from != p->data - p->header || type != p->type ||
		m->e.size != p->size ||
		(m->at != UNARCHIVE_NOWHERE && m->e.size > p->end - p->data) ||
		name.lo != p->name.lo || name.hi != p->name.hi)
		return unarchive_refuse(
			u, -EBADMSG, err, "its header is not what the index says");
	/* Positions are those of what is picked. */
	if (m->at != UNARCHIVE_NOWHERE)
		m->at = p->data;
	u->pick++;
	u->pick_at += p->end - p->header;
	return 1;
}

/* The next header into u->m: 1, 0 at the end, or a failure. */
static int advance(struct unarchive *u, struct ebt_err *err)
{
	struct archive_entry *entry = NULL;
	const struct pick *p;
	uint64_t from;
	int r;

	do {
		r = finish(u, err);
		if (r < 0)
			return r;
		from = (uint64_t)archive_filter_bytes(u->a, 0);
		r = next_pick(u, from, &p, err);
		if (r < 0)
			return r;
		if (u->kind == KIND_TAR || u->kind == KIND_CPIO)
			input_keep(&u->in, from);
		r = archive_read_next_header(u->a, &entry);
		if (r == ARCHIVE_EOF && p)
			return ebt_failx(err, -EBADMSG,
				"%s: member %llu is not where the index says", u->name,
				(unsigned long long)u->serial + 1);
		if (r == ARCHIVE_EOF)
			return check_end(u, from, err);
		if (!is_right(u, r))
			return ebt_failx(err, fail_code(u),
				"%s: after %llu members: %s", u->name,
				(unsigned long long)u->serial, reason(u, "damaged"));
		u->header = true;
		r = unarchive_judge(u, entry, from, err);
		if (r >= 0 && u->o.picks)
			r = check_pick(u, r > 0 ? p : NULL, from, err);
		input_drop(&u->in);
	} while (r == 0);
	return r;
}

static int hand_out(struct unarchive *u, struct member *m, struct ebt_err *err)
{
	int r = u->waiting ? 1 : advance(u, err);

	if (r <= 0)
		return r;
	u->waiting = u->implied;
	if (u->waiting) {
		r = unarchive_imply(u, m, err);
		if (r < 0)
			return r;
	} else {
		*m = u->m;
		u->here = u->m.content;
	}
	m->where = ++u->where;
	return 1;
}

static int fail_again(const struct unarchive *u, struct ebt_err *err)
{
	if (err)
		*err = u->err;
	return u->err.code;
}

int unarchive_next(struct unarchive *u, struct member *m, struct ebt_err *err)
{
	IN_LOCALE(u);
	int r;

	if (u->failed)
		return fail_again(u, err);
	if (u->ended)
		return 0;
	r = hand_out(u, m, &u->err);
	u->failed = r < 0;
	return r < 0 ? fail_again(u, err) : r;
}

/* [off, off + len) out of blocks as they come. */
static int fill(struct unarchive *u, uint64_t off, unsigned char *to, size_t len,
	struct ebt_err *err)
{
	uint64_t n;
	int r;

	while (len) {
		while (!u->done && u->block_off + u->block_len <= off) {
			r = next_block(u, err);
			if (r < 0)
				return r;
		}
		if (u->done || u->block_off > off) {
			n = u->done ? len : u->block_off - off;
			n = n < len ? n : len;
			memset(to, 0, n);
		} else {
			n = u->block_off + u->block_len - off;
			n = n < len ? n : len;
			memcpy(to, u->block + (off - u->block_off), n);
		}
		off += n;
		to += n;
		len -= n;
	}
	return 0;
}

int unarchive_read(
	struct unarchive *u, uint64_t off, void *to, size_t len, struct ebt_err *err)
{
	IN_LOCALE(u);
	int r;

	if (u->failed)
		return fail_again(u, err);
	if (!u->here || off < u->read || off > u->m.e.size || len > u->m.e.size - off)
		return ebt_failx(err, -EINVAL, "%s: no such content at hand", u->name);
	r = fill(u, off, to, len, &u->err);
	u->read = off + len;
	/* Whether it was all is known only when it is asked for more. */
	if (r == 0 && u->read == u->m.e.size)
		r = to_end(u, &u->err);
	u->failed = r < 0;
	return r < 0 ? fail_again(u, err) : 0;
}
