/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * S bytes, N nodes, T targets, W writers. A target gets S/T and a writer S/W in any
 * case. How many bytes change nodes follows from how files are placed (place.h): a
 * writing node keeps up to its share of S/W, everything else moves. Of how the bytes
 * lie only the fullest node is known; the others are taken as equal.
 *
 * With more writers than targets a writing node keeps all that it has, and only nodes
 * that do not write give something away.
 */
#include "plan/place_cost.h"

#include <errno.h>
#include <math.h>

#define LEVEL 1.05 /* within this owners are preferred: they are gentler to the PFS */

struct pace {
	double seconds;
	const char *name;
};

static void slower(struct pace *p, double seconds, const char *name)
{
	if (seconds > p->seconds)
		*p = (struct pace){seconds, name};
}

void place_predict(const struct place_work *w, const struct place_rates *r,
	uint32_t writers, struct place_prediction *out)
{
	double s = (double)w->bytes, n = w->nodes, nw = writers, t = w->targets;
	double most = fmax((double)w->most_bytes, s / n),
	       most_files = (double)w->files / nw;
	double others = n > 1 ? (s - most) / (n - 1) : 0; /* on each other node */
	double write = s / nw, kept, into;
	bool direct = writers > w->targets;
	struct pace p = {0, "nothing"};

	if (direct) {
		/* What the fullest node has it writes itself, if it is a writer. */
		kept = most + (nw - 1) * others;
		write = nw < n ? fmax(write, most) : most;
		most_files = fmax(most_files, (double)w->most_files);
	} else {
		kept = fmin(most, write) + (nw - 1) * fmin(others, write);
	}
	kept = fmin(kept, s);
	out->moved = s - kept;
	into = out->moved / nw;
	slower(&p, (double)w->files * PLACE_FILE_OPS / r->mds, "metadata server");
	slower(&p, most_files * PLACE_FILE_OPS * r->latency / r->in_flight,
		"metadata latency");
	slower(&p, most / r->read, "local reads");
	/* Bytes to the PFS leave by the same link, so all that a node has does. */
	slower(&p, fmax(into, fmax(most, write)) / r->link, "links");
	slower(&p, write / r->writer, "writers");
	slower(&p, s / t / (direct ? r->ost * r->shared : r->ost), "targets");
	out->writers = writers;
	out->seconds = p.seconds;
	out->pace = p.name;
}

/* As of a job of these nodes alone. */
static void predict_home(const struct place_work *w, const struct place_rates *r,
	struct place_prediction *out)
{
	struct place_work own = *w;

	own.nodes = w->holders;
	place_predict(&own, r, w->holders, out);
}

int place_cost(const struct place_work *w, const struct place_rates *r,
	uint32_t writers, struct place_choice *out, struct ebt_err *err)
{
	uint32_t owners = w->nodes < w->targets ? w->nodes : w->targets;
	uint32_t direct = w->nodes < PLACE_WRITERS_MAX ? w->nodes : PLACE_WRITERS_MAX;
	struct place_prediction home;

	/* Written this way round to refuse NaN as well. */
	if (!(r->ost > 0 && r->shared > 0 && r->writer > 0 && r->link > 0 &&
		    r->read > 0 && r->mds > 0 && r->latency >= 0 && r->in_flight >= 1))
		return ebt_failx(err, -EINVAL, "drain: rates must be above zero");
	if (w->nodes == 0 || w->targets == 0 || writers > w->nodes)
		return ebt_failx(err, -EINVAL,
			"drain: %u writers, %u nodes, %u targets", writers, w->nodes,
			w->targets);
	if (direct < owners)
		direct = owners;
	place_predict(w, r, owners, &out->owners);
	place_predict(w, r, direct, &out->direct);
	if (writers)
		place_predict(w, r, writers, &out->chosen);
	else if (out->owners.seconds <= LEVEL * out->direct.seconds)
		out->chosen = out->owners;
	else
		out->chosen = out->direct;
	out->is_home = false;
	if (!writers && w->holders && w->holders < owners) {
		predict_home(w, r, &home);
		out->is_home = home.seconds <= LEVEL * out->chosen.seconds;
	}
	if (out->is_home)
		out->chosen = home;
	out->is_direct = out->chosen.writers > w->targets;
	return 0;
}
