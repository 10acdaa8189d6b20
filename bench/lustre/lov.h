/* SPDX-License-Identifier: BSD-3-Clause */
/* Layouts: the bytes of "lustre.lov", and where a byte of a file lives. Pure. */
#ifndef LUSTRE_LOV_H
#define LUSTRE_LOV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOV_MAGIC_V1	   0x0bd10bd0u
#define LOV_MAGIC_V3	   0x0bd30bd0u
#define LOV_MAGIC_SPECIFIC 0x0bd50bd0u

#define LOV_HEAD_V1   32
#define LOV_HEAD_V3   48
#define LOV_ENTRY     24
#define LOV_POOL_NAME 16

#define LOV_PATTERN_RAID0      0x1u
#define LOV_PATTERN_OVERSTRIPE 0x200u

#define LOV_ANY		0xffffu /* as count: all OSTs; as offset: no wish */
#define LOV_MAX_STRIPES 2000
#define LOV_SIZE_UNIT	65536
#define LOV_BYTES_MAX	(LOV_HEAD_V3 + LOV_MAX_STRIPES * LOV_ENTRY)

/* What somebody asks for, or the default of a directory. */
struct lov_wish {
	uint32_t magic;	      /* V1, V3 or SPECIFIC */
	uint32_t stripe_size; /* 0: default */
	uint16_t count;	      /* 0: default */
	uint16_t offset;      /* OST of the first stripe */
	bool overstripe;
	bool entries; /* SPECIFIC: a list of @count OSTs in .ost */
	char pool[LOV_POOL_NAME];
	uint32_t ost[LOV_MAX_STRIPES];
};

/* A file that has objects. */
struct lov_stripe {
	uint32_t ost;
	uint64_t id; /* of the object on it */
};
struct lov {
	uint32_t stripe_size;
	uint16_t count;
	bool overstripe;
	char pool[LOV_POOL_NAME];
	struct lov_stripe stripe[];
};

/* 0, -EINVAL, or -EOPNOTSUPP for the kinds that are not emulated (composite, on the MDT). */
int lov_parse_wish(const void *bytes, size_t len, struct lov_wish *out);
/* Head alone: the default layout of a directory. Length in bytes. */
size_t lov_print_wish(const struct lov_wish *w, void *bytes);
/*
 * @magic: V1, or V3 for the form with the name of a pool. The field of the first OST reads
 * 0xffff, as on a real client. @bytes holds LOV_BYTES_MAX. Length in bytes.
 */
size_t lov_print(const struct lov *l, uint32_t magic, uint64_t file, void *bytes);
/* What lov_print made: 0 and a layout for free(), or negative. */
int lov_parse(const void *bytes, size_t len, struct lov **out);

/* A run of bytes of one object. */
struct lov_piece {
	unsigned stripe;
	uint64_t at;  /* in the object */
	uint64_t len; /* up to the end of the stripe unit */
};
struct lov_piece lov_piece_at(const struct lov *l, uint64_t offset);
/* Offset in the file of byte @at of object @stripe. */
uint64_t lov_file_offset(const struct lov *l, unsigned stripe, uint64_t at);
/*
 * How much of object @stripe lies before @offset of the file: the object's length in a file
 * of that size, and the place of its first byte at or behind the offset.
 */
uint64_t lov_object_size(const struct lov *l, unsigned stripe, uint64_t offset);

#endif
