/* SPDX-License-Identifier: BSD-3-Clause */
#include "pack/compress.h"

int parcel_compress(struct parcel *p, struct parcel *spare, struct block *b,
	const struct block_way *way, struct ebt_err *err)
{
	struct parcel_header *h = p->header;
	unsigned char *payload = p->payload;
	size_t len;
	int r;

	if (h->flags || h->content < PARCEL_SAVES)
		return 0;
	r = block_to(b, way, payload, h->content, spare->payload,
		h->content - h->content / PARCEL_SAVES, &len, err);
	if (r <= 0)
		return r;
	*spare->header = *h;
	p->header = spare->header;
	p->payload = spare->payload;
	p->content = NULL; /* it is lost when the spare is used again */
	p->header->flags = PARCEL_COMPRESSED;
	p->header->codec = way->codec;
	p->header->length = (uint32_t)len;
	spare->header = h;
	spare->payload = payload;
	return 1;
}

int parcel_uncompress(
	struct parcel *p, struct parcel *spare, struct block *b, struct ebt_err *err)
{
	const struct parcel_header *h = p->header;
	int r;

	if (!(h->flags & PARCEL_COMPRESSED))
		return 0;
	r = block_back(
		b, h->codec, p->payload, h->length, spare->payload, h->content, err);
	if (r == 0)
		p->content = spare->payload;
	return r;
}
