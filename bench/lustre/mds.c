/* SPDX-License-Identifier: BSD-3-Clause */
#include "clock.h"
#include "mds.h"

#include "base/scope.h"

const char *mds_kind_name(enum mds_kind k)
{
	static const char *const names[MDS_N_KINDS] = {
#define K(name, text) text,
		MDS_KINDS(K)
#undef K
	};

	return names[k];
}

int mds_open(struct mds *m)
{
	*m = (struct mds){0};
	return -pthread_mutex_init(&m->lock, NULL);
}

void mds_serve(struct mds *m, enum mds_kind k, uint64_t *mine)
{
	int64_t until;

	pthread_mutex_lock(&m->lock);
	until = clock_now();
	m->total++;
	m->by_kind[k]++;
	mine[k]++;
	if (++m->in_flight > m->peak)
		m->peak = m->in_flight;
	if (m->rate > 0) {
		if (m->free_at < until)
			m->free_at = until;
		m->free_at += (int64_t)(1e9 / m->rate);
		until = m->free_at;
	}
	until += m->latency;
	pthread_mutex_unlock(&m->lock);

	clock_sleep_until(until);

	pthread_mutex_lock(&m->lock);
	m->in_flight--;
	pthread_mutex_unlock(&m->lock);
}

void mds_recount(struct mds *m, enum mds_kind from, enum mds_kind to, uint64_t *mine)
{
	SCOPED_LOCK(&m->lock);

	/* The counters may have been set to zero in between. */
	if (!mine[from] || !m->by_kind[from])
		return;
	mine[from]--;
	m->by_kind[from]--;
	mine[to]++;
	m->by_kind[to]++;
}
