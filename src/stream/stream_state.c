/* SPDX-License-Identifier: BSD-3-Clause */
/* What threads and carriers of a stream tell it. */
#include <errno.h>

#include "stream/stream_internal.h"

void stream_fail(struct stream *s, int code, const struct ebt_err *err)
{
	SCOPED_LOCK(&s->lock);
	if (s->code)
		return;
	s->code = code;
	s->err = *err;
	__atomic_store_n(&s->failed, true, __ATOMIC_RELEASE);
}

void stream_close_pools(struct stream *s)
{
	for (uint32_t i = 0; i < s->n_channels; i++)
		pool_close(s->channels[i].pool);
	if (s->spares)
		pool_close(s->spares);
	if (s->tuner)
		tuner_close(s->tuner);
}

void stream_count_send(struct stream *s, const struct parcel *p)
{
	const struct parcel_header *h = p->header;

	s->res->bytes_out += h->length;
	if (h->flags & PARCEL_COMPRESSED)
		s->res->bytes_saved += h->content - h->length;
}

void stream_tick(struct stream *s)
{
	struct ebt_err err = {0};

	if (!stream_failed(s) && job_stopped(s->in->job, &err) < 0)
		stream_fail(s, -EINTR, &err);
	if (stream_failed(s))
		job_failing(s->in->job, &s->err);
	job_progress(s->in->job, EBT_PHASE_MOVE,
		s->in->before + unpacker_bytes(s->unpacker),
		s->in->before + s->in->plan->bytes);
}

void stream_write(struct stream *s, struct parcel *p)
{
	queue_put(&s->written, &p->item);
}

int stream_check_header(
	const struct stream *s, const struct parcel *p, struct ebt_err *err)
{
	if ((p->header->flags & PARCEL_COMPRESSED) && !s->spares)
		return ebt_failx(err, -EPROTO,
			"parcel %llu of stream %u: it is compressed here and not there",
			(unsigned long long)p->seq, p->stream);
	return parcel_check(p, plan_parcel_bytes(s->in->plan, p->stream, p->seq), err);
}
