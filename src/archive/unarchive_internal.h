/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of src/archive that read archives share. */
#ifndef ARCHIVE_UNARCHIVE_INTERNAL_H
#define ARCHIVE_UNARCHIVE_INTERNAL_H

#include <limits.h>

#include "archive/picks.h"
#include "archive/unarchive.h"
#include "base/buf.h"
#include "codec/decode.h"

struct archive;
struct archive_entry;
struct input_frames;

/*
 * unarchive_input.c: the bytes. Positions are of what libarchive is given: of the file as it is, or
 * as it is decoded. What was given last stays in a window, in which headers and what follows the
 * end can be looked at again.
 */
#define INPUT_BLOCK   (64u << 10) /* bytes given at a time */
#define INPUT_HEADERS (16u << 20) /* bytes, of one member */
#define INPUT_HEAD    4096	  /* bytes looked at to know what it is */
#define INPUT_SKIP                                                                     \
	(600u << 10) /* bytes: a seek costs what reading these does, on a PFS */

struct input {
	int fd;
	bool seekable;
	uint64_t size; /* of the file, or of what is picked; 0 of a stream */
	uint64_t end; /* of the archive in a seekable file: nothing is read behind it */
	bool (*stopped)(void *arg);
	void *arg;
	unsigned char
		head[INPUT_HEAD]; /* of a stream: read before it was known what it is */
	size_t head_len, head_at;
	uint64_t at; /* the next byte of the file, or of what is picked of it */
	/* Picked of a tar; NULL: all of it. Positions are as if the rest was not there. */
	const struct pick *picks;
	size_t n_picks;	  /* the end mark is one */
	size_t pick;	  /* that at lies in */
	uint64_t pick_at; /* position where it begins */
	bool heads;
	uint64_t taken; /* atomic */
	struct decoder *decoder;
	struct input_frames *frames; /* NULL: not read by frames */
	struct buf window;
	uint64_t window_at;	   /* position of its first byte */
	unsigned char *parked[16]; /* windows of before, until input_drop */
	size_t n_parked;
	uint64_t kept; /* position from which on it has to stay; UINT64_MAX: none */
	bool failed;   /* as err says, which libarchive does not know */
	struct ebt_err err;
};

int input_open(struct input *in, int fd, const struct unarchive_options *o,
	struct ebt_err *err);
/* Nothing but that is read of a seekable file. @heads: content is skipped where that is worth it. */
void input_pick(struct input *in, const struct picks *picks, bool heads);
void input_release(struct input *in);
/* The first bytes of the file, which are read again later. How many, or a negative errno. */
ssize_t input_look(struct input *in, void *to, size_t len, struct ebt_err *err);
/* From now on what is read is decoded. */
int input_decode(
	struct input *in, enum codec codec, unsigned threads, struct ebt_err *err);
/* It was to be decoded from front to end: from now on by frames, if it has them. See input_frames_new. */
int input_by_frames(struct input *in, uint64_t plain, struct ebt_err *err);
/*
 * Another block into the window, behind what has to stay there. Its length, 0 at the end, or a
 * negative errno, as in->err says.
 */
ssize_t input_more(struct input *in);
/* From @position on nothing leaves the window until input_drop, and what was given stays readable. */
void input_keep(struct input *in, uint64_t position);
void input_drop(struct input *in);
/* What is there from @position on, NULL if that is not in the window. */
const unsigned char *input_at(const struct input *in, uint64_t position, size_t *len);
/* Nothing but zeros from @position, which is in the window, to the end: 0, 1 if there is more. */
int input_zeros(struct input *in, uint64_t position);
/* The same of a seekable file, without reading on. */
int input_zeros_behind(struct input *in, uint64_t position, struct ebt_err *err);
/* [off, off + len) of a seekable file. 0, or a failure; fewer bytes are one. */
int input_pread(
	struct input *in, void *to, size_t len, uint64_t off, struct ebt_err *err);
/* Past @len bytes without reading them, if it is worth it: @len or 0. */
uint64_t input_skip(struct input *in, uint64_t len);
/* The next block comes from there. */
void input_seek(struct input *in, uint64_t position);

/*
 * unarchive_frames.c: a compressed file of @size bytes that has a seek table, read in any order, frame
 * by frame: memory for two of the largest. @plain: bytes that it should be decoded to. -ENOTSUP: it
 * cannot be read so; -ESTALE: it is another one. @fd stays the caller's.
 */
int input_frames_new(int fd, uint64_t size, uint64_t plain, struct input_frames **out,
	struct ebt_err *err);
void input_frames_free(struct input_frames *f);
DEFINE_SCOPED(struct input_frames, input_frames_free)
/* Bytes from @off of what they are decoded to: how many, or a negative errno. */
ssize_t input_frames_read(struct input_frames *f, void *to, size_t len, uint64_t off,
	struct ebt_err *err);

/* unarchive_names.c: what was there, by hashes of paths that only this process can make. */
enum names_kind {
	NAMES_NONE = 0,
	NAMES_DIR,
	NAMES_FILE,
	NAMES_SYMLINK,
	NAMES_FIFO, /* from here on: left out */
	NAMES_SOCKET,
	NAMES_DEVICE,
};
struct names;
int names_new(struct names **out, struct ebt_err *err);
void names_free(struct names *n);
DEFINE_SCOPED(struct names, names_free)
/* What has the path of @len bytes, and in *what, if not NULL, what names_put was given. */
enum names_kind names_get(
	const struct names *n, const char *path, size_t len, uint64_t *what);
/* Replaces what was there. 0 or -ENOMEM. */
int names_put(struct names *n, const char *path, size_t len, enum names_kind kind,
	uint64_t what);
/*
 * @raw as a path below a directory into @path, of PATH_MAX bytes: without ".", double and final
 * slashes. "" for the directory itself. NULL, or what is wrong with it.
 */
const char *names_normalise(const char *raw, char *path);

/* unarchive_kind.c: what a file is, by its first bytes. */
enum kind {
	KIND_UNKNOWN,
	KIND_TAR,
	KIND_CPIO,
	KIND_ZIP,
	KIND_7Z,
};
/* *what: of an unknown one, what else it is, or NULL. */
enum kind kind_of(const unsigned char *head, size_t len, const char **what);
/*
 * The end of a zip or 7z file is where its list of members says. 0; 1: and it has none, which
 * libarchive does not read; or a failure.
 */
int kind_check_zip(struct input *in, struct ebt_err *err);
int kind_check_7z(struct input *in, struct ebt_err *err);

/*
 * unarchive_headers.c: what libarchive does not tell of the headers that it has read. Pure.
 */
struct headers {
	char type;   /* of the member's own header */
	bool map;    /* there is a map of holes, whatever libarchive made of it */
	bool volume; /* a part of a file of several archives */
	bool is_crc; /* cpio: crc is a sum of the content */
	uint32_t crc;
	/*
	 * Of tar: times before 1970 with a fraction, which libarchive takes for that of the
	 * second after. Seconds and what is to be added to them; 0: none.
	 */
	struct timespec mtime, atime;
	/*
	 * Of pax: names as they are there, or NULL. libarchive composes what is decomposed in UTF-8,
	 * so that two names may become one.
	 */
	const char *path, *link;
	size_t path_len, link_len;
	bool path_is_sparse; /* of a sparse member path is no name of its own */
	bool large_acl;	     /* there are ids in it that libarchive does not read */
};
/*
 * Of tar: walks [p, p + len), of which every extended attribute goes to @attr, name decoded, if not
 * NULL. 0, -EBADMSG: it ends too early, or what @attr returned.
 */
typedef int (*headers_attr_fn)(
	void *arg, const char *name, size_t name_len, const void *value, size_t len);
int headers_tar(const unsigned char *p, size_t len, struct headers *h,
	headers_attr_fn attr, void *arg);
void headers_cpio(const unsigned char *p, size_t len, struct headers *h);

/* unarchive_attrs.c: extended attributes and ACLs, gathered and packed. */
struct attrs {
	struct buf list, bytes; /* of struct attr; of names and values */
	struct buf packed;
	const char *flaw; /* set with -EINVAL, perhaps about flaw_name */
	char flaw_name[FSIO_XATTR_NAME];
};
void attrs_release(struct attrs *a);
void attrs_clear(struct attrs *a);
/* Left out if it is none that travels. 0, -ENOMEM, or -EINVAL and the flaw. */
int attrs_put(
	void *attrs, const char *name, size_t name_len, const void *value, size_t len);
/*
 * The ACLs of @e, which have the last word. *mode: its group bits are made the mask of the ACL, as
 * a file system shows them.
 */
int attrs_put_acls(struct attrs *a, struct archive_entry *e, uint32_t *mode);
/* Of what @e gives to its group the permissions that its ACL leaves. */
uint32_t attrs_mask(struct archive_entry *e);
/* Packed as fsio_xattrs_get_fd does it, in a->packed. 0 or -ENOMEM. */
int attrs_pack(struct attrs *a);

/* unarchive_entry.c: of a header, what the caller gets, or why not. */
struct unarchive {
	struct unarchive_options o;
	char *name;
	struct input in;
	enum kind kind;
	struct archive *a;
	void *locale; /* locale_t, or NULL */
	struct names *names;
	struct attrs attrs;
	struct buf
		map; /* of struct manifest_extent: data of the sparse member at hand */
	struct buf extents; /* the same for e.extents */
	struct headers headers;
	struct buf raw_path, raw_link; /* of headers, with a NUL */
	char path[PATH_MAX], link[PATH_MAX], above[PATH_MAX];
	char *target;
	struct buf targets; /* of all symbolic links, each with its NUL */
	uint64_t serial;    /* of the member, as messages count */
	size_t pick;	    /* of those that are picked, the next one */
	uint64_t pick_at;   /* position where it has to begin */
	uint64_t where;	    /* of what was handed out last */
	struct {
		uint64_t n;
		char *first;
	} left[UNARCHIVE_LEFT_KINDS];

	struct member m; /* at hand, to be handed out */
	bool waiting;	 /* behind directories that are made up for it */
	size_t implied;	 /* bytes of path up to the next directory to make up, or 0 */
	bool is_sparse;	 /* of the content at hand: map tells where data is */
	uint64_t map_bytes; /* sum of it */
	/* unarchive.c: the content at hand. */
	bool given;	   /* libarchive has what was read to see what is in it */
	bool header;	   /* there is a member whose content has to be passed */
	bool here;	   /* and it may be read */
	bool begun, done;  /* it was, to its end */
	uint64_t read;	   /* where the last read ended */
	uint64_t got, end; /* bytes that came, and where they end */
	const unsigned char *block;
	uint64_t block_off, block_len;
	size_t map_next;
	uint32_t crc;
	bool failed, ended, empty;
	struct ebt_err err;
};

/* Of the member at hand, by its name. Returns @code. */
int unarchive_refuse(const struct unarchive *u, int code, struct ebt_err *err,
	const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* u->m of @entry, whose headers begin at @start: 1, 0: it is left out, or a failure. */
int unarchive_judge(struct unarchive *u, struct archive_entry *entry, uint64_t start,
	struct ebt_err *err);
/* u->m becomes the directory up to u->implied, and that moves on to the next that is missing. */
int unarchive_imply(struct unarchive *u, struct member *m, struct ebt_err *err);

#endif
