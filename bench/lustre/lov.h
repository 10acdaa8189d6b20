/* SPDX-License-Identifier: BSD-3-Clause */
/* Layouts: the bytes of "lustre.lov", and where a byte of a file lives. Pure. */
#ifndef LUSTRE_LOV_H
#define LUSTRE_LOV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOV_MAGIC_V1	    0x0bd10bd0u
#define LOV_MAGIC_V3	    0x0bd30bd0u
#define LOV_MAGIC_SPECIFIC  0x0bd50bd0u
#define LOV_MAGIC_COMPOSITE 0x0bd60bd0u

#define LOV_HEAD_V1   32 /* and composite */
#define LOV_HEAD_V3   48
#define LOV_ENTRY     24
#define LOV_COMPONENT 48
#define LOV_POOL_NAME 16

#define LOV_PATTERN_RAID0      0x1u
#define LOV_PATTERN_MDT	       0x100u
#define LOV_PATTERN_OVERSTRIPE 0x200u

#define LOV_ANY		0xffffu /* as count: all OSTs; as offset: no wish */
#define LOV_MAX_STRIPES 2000	/* of all components together */
#define LOV_PARTS_MAX	64
#define LOV_SIZE_UNIT	65536
#define LOV_MDT_MAX	(1ull << 30) /* bytes of a file on the MDT */
#define LOV_BYTES_MAX                                                                  \
	(LOV_HEAD_V1 + LOV_PARTS_MAX * (LOV_COMPONENT + LOV_HEAD_V3) +                 \
		LOV_MAX_STRIPES * LOV_ENTRY)
#define LOV_WISH_MAX                                                                   \
	(LOV_HEAD_V1 + LOV_PARTS_MAX * (LOV_COMPONENT + LOV_HEAD_V3)) /* no lists */

/* A range of a file and what somebody asks for there. */
struct lov_want {
	uint64_t start, end;  /* UINT64_MAX: the end of the file */
	uint32_t stripe_size; /* 0: default */
	uint16_t count;	      /* 0: default */
	uint16_t offset;      /* OST of the first stripe */
	bool overstripe;
	bool mdt;     /* data on the metadata target */
	bool entries; /* a list of @count OSTs */
	char pool[LOV_POOL_NAME];
	unsigned first; /* of its list or its stripes, among those of all parts */
};

/* What somebody asks for, or the default of a directory. */
struct lov_wish {
	bool composite;
	unsigned n_parts, n_ost;
	struct lov_want part[LOV_PARTS_MAX];
	uint32_t ost[LOV_MAX_STRIPES];
};

/* A file that has a layout. Parts get their objects when somebody writes there. */
struct lov_stripe {
	uint32_t ost; /* the number behind the last OST: the MDT */
	uint64_t id;  /* of the object on it */
};
struct lov_part {
	struct lov_want w;  /* .count, .stripe_size: as they are */
	_Atomic bool ready; /* has its objects, and changes no more */
};
struct lov {
	bool composite;
	unsigned n_parts, n_stripes;
	struct lov_part *part;
	struct lov_stripe *stripe;
};

/* For free(). NULL: no memory. */
struct lov *lov_new(unsigned n_parts, unsigned n_stripes);

/* 0, -EINVAL, or -EOPNOTSUPP for the kinds that are not emulated (mirrors, extensions). */
int lov_parse_wish(const void *bytes, size_t len, struct lov_wish *out);
/* Without lists: the default layout of a directory. @bytes holds LOV_WISH_MAX. Length. */
size_t lov_print_wish(const struct lov_wish *w, void *bytes);
/*
 * As a client reads it. @v3: the form with the name of a pool also where there is none. The
 * field of the first OST reads 0xffff. @bytes holds LOV_BYTES_MAX. Length in bytes.
 */
size_t lov_print(const struct lov *l, bool v3, uint64_t file, void *bytes);
/* As the server keeps it: everything that lov_load needs. */
size_t lov_save(const struct lov *l, void *bytes);
/* 0 and a layout for free(), or negative. */
int lov_load(const void *bytes, size_t len, struct lov **out);

/* The part that @offset lies in. The last one reaches to the end. */
struct lov_part *lov_part_at(const struct lov *l, uint64_t offset);

/* A run of bytes of one object. */
struct lov_piece {
	const struct lov_part *part;
	unsigned stripe; /* among those of all parts */
	uint64_t at;	 /* in the object */
	uint64_t len;	 /* up to the end of the stripe unit or the part */
};
struct lov_piece lov_piece_at(const struct lov *l, uint64_t offset);
/* Offset in the file of byte @at of object @stripe of a part. */
uint64_t lov_file_offset(const struct lov_part *p, unsigned stripe, uint64_t at);
/*
 * How much of a part's object @stripe lies before @offset of the file: the object's length in
 * a file of that size, and the place of its first byte at or behind the offset. As on the
 * real file system, objects of a later part begin with a hole: a stripe is found by the
 * offset in the file, from which the part's start is not subtracted.
 */
uint64_t lov_object_size(const struct lov_part *p, unsigned stripe, uint64_t offset);

#endif
