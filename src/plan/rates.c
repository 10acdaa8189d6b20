/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan/rates.h"

#define LEAST_BYTES   (16u << 20)
#define LEAST_SECONDS 1e-3
#define SLOW	      0.5 /* of what others send, at most, does a slow one */
#define WORTH	      1.1 /* so much more in all do further readers have to read */

double rates_of(const struct rates_busy *b, unsigned threads)
{
	if (b->bytes < LEAST_BYTES || b->seconds < LEAST_SECONDS)
		return 0;
	return (double)b->bytes * threads / b->seconds;
}

static void learn_readers(struct rates *r, const struct rates_measured *m)
{
	double all = m->read * m->readers;

	if (m->readers <= r->best) {
		/* As before, or fewer: what they get may have changed. */
		if (m->readers == r->best)
			r->got = all;
		return;
	}
	if (r->best && all < WORTH * r->got) {
		r->most = r->best;
		return;
	}
	r->best = m->readers;
	r->got = all;
	r->most = 0;
}

static void learn_leaf(struct rates *r, const struct rates_measured *m)
{
	if (m->link <= 0 || m->link > SLOW * m->others ||
		(r->has_leaf && m->link >= r->sends))
		return;
	r->has_leaf = true;
	r->leaf = m->slowest;
	r->sends = m->link;
}

void rates_learn(struct rates *r, const struct rates_measured *m, bool link_assumed,
	struct cost_model *c)
{
	if (m->read > 0) {
		learn_readers(r, m);
		r->read = true;
		c->read = m->read;
	}
	if (m->write > 0) {
		r->write = true;
		c->write = m->write;
	}
	learn_leaf(r, m);
	if (m->link > 0 && link_assumed) {
		r->link = true;
		/* Where it sends nothing it slows nobody. */
		c->link = r->has_leaf && m->slowest == r->leaf ? m->others : m->link;
	}
}
