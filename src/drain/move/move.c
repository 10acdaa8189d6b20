/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The move of all nodes: threads set up, the main thread's loop, the end. Rounds go on between
 * the nodes all the time: a sum over all of who still works, who failed, how much is written
 * and which targets are bad. When a round says that nobody works any more, all is done.
 */
#include "drain/move/move.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "drain/move/lead.h"
#include "drain/pack/pack.h"

#define ROUND_S 0.1   /* between rounds, while this node works */
#define EARLY_S 0.005 /* the same, before small files go in turn ... */
#define EARLY	50    /* rounds at most: a target may never prove itself */
#define HOLD_S	0.25  /* for which files wait for the first ones of their targets */
#define TICK_S	0.05  /* between looks at stop requests */
#define OBJECTS 8     /* threads for objects of striped files, at most */
#define READERS 4     /* threads that serve fetches, at most */

enum {
	ROUND_BUSY,
	ROUND_FAILED,
	ROUND_BYTES,
	ROUND_PACE_US,
	ROUND_PACE_BYTES,
	ROUND_VOTES
};

/* Of blocks: frames have the other half. */
static uint64_t memory_of(const struct drain *d)
{
	uint64_t memory = d->o->memory ? d->o->memory : EBT_DRAIN_MEMORY;

	return pack_compresses(d) ? memory / 2 : memory;
}

/* Few writers with many targets have files on all of them at a time. */
static unsigned leads_for(const struct drain *d)
{
	uint32_t n = EBT_DRAIN_IO_THREADS;

	for (uint32_t k = 0; k < d->at.n_pools && d->at.pools[k].place; k++) {
		const struct place *p = d->at.pools[k].place;
		uint32_t each =
			(place_usable(p) + place_writers(p) - 1) / place_writers(p);

		n = each > n ? each : n;
	}
	return n < EBT_DRAIN_IO_THREADS_MAX ? n : EBT_DRAIN_IO_THREADS_MAX;
}

static void choose_threads(struct move *m)
{
	const struct ebt_drain_options *o = m->d->o;
	uint32_t writers = m->d->at.place ? place_writers(m->d->at.place) : 1;
	unsigned creates =
		(o->creates ? o->creates : EBT_DRAIN_CREATES) / (writers ? writers : 1);
	uint64_t blocks;

	m->n_leads = o->io_threads ? o->io_threads : leads_for(m->d);
	m->n_objects = m->n_leads < OBJECTS ? m->n_leads : OBJECTS;
	m->n_readers = m->n_leads < READERS ? m->n_leads : READERS;
	/* What waits for its turn to be created needs no thread. */
	if (m->n_leads > creates)
		m->n_leads = creates ? creates : 1;
	blocks = (uint64_t)(m->n_leads + m->n_objects) * MOVE_DEPTH + 2 * m->n_readers;
	for (m->block = MOVE_BLOCK; m->block > MOVE_BLOCK_MIN; m->block /= 2) {
		if (m->block * blocks <= memory_of(m->d))
			break;
	}
}

/* Moves tasks that are big, or are not, to the end of their queues, in the order of the list. */
static void append_tasks(
	struct move *m, struct drain_task **list, struct drain_task ***tails, bool big)
{
	struct drain_task *t;

	while ((t = *list)) {
		uint32_t q = t->stripe_count && m->n_queues > 1 ? t->targets[0]
								: m->n_queues - 1;

		if (t->big != big) {
			list = &t->next;
			continue;
		}
		*list = t->next;
		t->next = NULL;
		*tails[q] = t;
		tails[q] = &t->next;
		m->left++;
	}
}

/* Big files first: what is left at the end should be small. */
static int queue_tasks(struct move *m, struct ebt_err *err)
{
	SCOPED_FREE struct drain_task ***tails = calloc(m->n_queues, sizeof(*tails));
	uint32_t used = 0;

	m->queue = calloc(m->n_queues, sizeof(*m->queue));
	m->in_work = calloc(m->n_queues, sizeof(*m->in_work));
	m->tried = calloc(m->n_queues, sizeof(*m->tried));
	if (!m->queue || !m->in_work || !m->tried || !tails)
		return ebt_fail(err, -ENOMEM, "queues");
	for (uint32_t i = 0; i < m->n_queues; i++)
		tails[i] = &m->queue[i];
	/* Where room is short as many as possible are to fit. */
	if (m->d->at.tight)
		room_sort(&m->d->tasks);
	append_tasks(m, &m->d->tasks, tails, !m->d->at.tight);
	append_tasks(m, &m->d->tasks, tails, m->d->at.tight);
	for (uint32_t i = 0; i + 1 < m->n_queues; i++)
		used += m->queue[i] != NULL;
	m->per_queue = used ? (m->n_leads + used - 1) / used : 1;
	return 0;
}

/* Each gets one of @n arguments, @size bytes apart. */
static int start_threads(struct move *m, void *(*fn)(void *), void *args, size_t size,
	unsigned n, struct ebt_err *err)
{
	for (unsigned i = 0; i < n; i++) {
		int r = pthread_create(
			&m->threads[m->n_threads], NULL, fn, (char *)args + i * size);

		/* One is enough to go on with. */
		if (r && i == 0)
			return ebt_fail(err, -r, "thread");
		m->n_threads += r == 0;
	}
	return 0;
}

/* Fewer than were asked for do as well, none at all end the drain. */
static void start_leads(struct move *m)
{
	unsigned want = m->n_leads < m->left ? m->n_leads : m->left;
	struct ebt_err err = {0};
	unsigned before = m->n_threads;

	if (!want)
		return;
	m->leads_running = want;
	if (start_threads(
		    m, move_lead_thread, m->lanes, sizeof(*m->lanes), want, &err) < 0)
		move_fail(m, err.code, &err);
	SCOPED_LOCK(&m->lock);
	m->leads_running -= want - (m->n_threads - before);
}

/*
 * --rate, shared out by what each node is to write, so that all end at the same time. Who
 * writes nothing by the plan may still get something when a target fails.
 */
static void set_pace(struct move *m)
{
	const struct drain *d = m->d;
	uint64_t mine = 0;
	uint32_t self = (uint32_t)d->job.node;

	if (d->o->rate <= 0 || !d->at.place)
		return;
	for (uint32_t i = 0; i < d->at.n_targets; i++) {
		for (uint32_t k = 0; k < d->at.n_pools; k++) {
			if (place_owner(d->at.pools[k].place, i) == self)
				mine += place_planned(d->at.pools[k].place, i);
		}
	}
	for (uint32_t i = 0; d->at.leads && i < place_usable(d->at.leads); i++) {
		if (place_owner(d->at.leads, i) == self)
			mine += place_planned(d->at.leads, i);
	}
	if (!mine || mine > d->at.total_bytes)
		m->pace = place_writers(d->at.place) / d->o->rate;
	else
		m->pace = (double)d->at.total_bytes / (double)mine / d->o->rate;
}

/*
 * The buffers of all threads: taken before any of them runs, so that a node that has not the
 * memory fails for all, and nobody waits for it.
 */
static int open_buffers(struct move *m, struct ebt_err *err)
{
	unsigned lanes = m->n_leads + m->n_objects;
	int r = 0;

	m->lanes = calloc(lanes, sizeof(*m->lanes));
	m->readers = calloc(m->n_readers, sizeof(*m->readers));
	if (!m->lanes || !m->readers)
		return ebt_fail(err, -ENOMEM, "threads");
	/* One that failed has something to release too. */
	while (m->lanes_open < lanes && r == 0)
		r = move_lane_init(&m->lanes[m->lanes_open++], m, err);
	while (m->readers_open < m->n_readers && r == 0)
		r = move_reader_init(&m->readers[m->readers_open++], m, err);
	return r;
}

/* Everything that can fail on one node alone, before any node waits for another. */
static int move_open(struct move *m, struct ebt_err *err)
{
	unsigned threads;
	int r;

	set_pace(m);
	threads = m->n_leads + m->n_objects + m->n_readers;
	m->threads = calloc(threads, sizeof(*m->threads));
	if (!m->threads)
		return ebt_fail(err, -ENOMEM, "threads");
	if (m->d->pass.turn == DRAIN_LAST) {
		m->torn = calloc((size_t)m->d->out.m->count / 64 + 1, sizeof(*m->torn));
		if (!m->torn)
			return ebt_fail(err, -ENOMEM, "outputs");
	}
	m->turns = m->d->at.in_turn ? TURNS_FIRST : TURNS_OFF;
	m->hold = m->d->at.in_turn;
	m->got_turns = calloc(m->d->at.n_targets + 1, sizeof(*m->got_turns));
	if (!m->got_turns)
		return ebt_fail(err, -ENOMEM, "targets");
	r = move_frames_open(m, err);
	if (r == 0)
		r = move_find_resumes(m, err);
	if (r == 0)
		r = queue_tasks(m, err);
	if (r == 0)
		r = open_buffers(m, err);
	if (r == 0)
		r = start_threads(m, move_reader_thread, m->readers,
			sizeof(*m->readers), m->n_readers, err);
	if (r == 0)
		r = start_threads(m, move_object_thread, m->lanes + m->n_leads,
			sizeof(*m->lanes), m->n_objects, err);
	return r;
}

static void move_close(struct move *m)
{
	struct move_outcome *o;

	queue_close(&m->requests);
	queue_close(&m->objects);
	for (unsigned i = 0; i < m->n_threads; i++)
		pthread_join(m->threads[i], NULL);
	for (unsigned i = 0; i < m->lanes_open; i++)
		move_lane_release(&m->lanes[i]);
	for (unsigned i = 0; i < m->readers_open; i++)
		move_reader_release(&m->readers[i]);
	while ((o = m->ends)) {
		m->ends = o->next;
		free(o);
	}
	for (uint32_t i = 0; m->queue && i < m->n_queues; i++)
		drain_task_free_list(m->queue[i]);
	room_close(m);
	move_frames_close(m);
	move_resumes_free(m);
	net_close(&m->net);
	health_release(&m->health);
	queue_destroy(&m->requests);
	queue_destroy(&m->objects);
	pthread_cond_destroy(&m->changed);
	pthread_mutex_destroy(&m->rooms_lock);
	pthread_mutex_destroy(&m->lock);
	free(m->queue);
	free(m->in_work);
	free(m->tried);
	free(m->torn);
	free(m->got_turns);
	free(m->threads);
	free(m->lanes);
	free(m->readers);
}

struct rounds {
	uint64_t *v; /* ROUND_VOTES + targets, and those of turns */
	int n;
	MPI_Request req;
	bool under_way;
	int turns; /* where they begin in v; 0: small files do not go in turn */
	unsigned early;
	double next;
};

static void start_round(struct move *m, struct rounds *r)
{
	memset(r->v, 0, (size_t)r->n * sizeof(*r->v));
	{
		SCOPED_LOCK(&m->lock);
		r->v[ROUND_BUSY] = m->leads_running > 0;
		r->v[ROUND_FAILED] = m->code < 0;
	}
	r->v[ROUND_BYTES] = __atomic_load_n(&m->bytes, __ATOMIC_RELAXED);
	if (r->turns)
		lead_turns_vote(m, r->v + r->turns);
	health_votes(&m->health, r->v + ROUND_VOTES, &r->v[ROUND_PACE_US],
		&r->v[ROUND_PACE_BYTES]);
	MPI_Iallreduce(MPI_IN_PLACE, r->v, r->n, MPI_UINT64_T, MPI_SUM,
		m->d->job.nodes.comm, &r->req);
	r->under_way = true;
}

/* True when all nodes are done. */
static bool finish_round(struct move *m, struct rounds *r)
{
	struct ebt_err err = {0};

	r->under_way = false;
	r->next = clock_now() + (r->turns && r->early++ < EARLY ? EARLY_S : ROUND_S);
	health_learn(&m->health, r->v + ROUND_VOTES, r->v[ROUND_PACE_US],
		r->v[ROUND_PACE_BYTES], m->d->job.node == 0);
	if (r->turns)
		lead_turns_learn(m, r->v + r->turns);
	if (r->v[ROUND_FAILED] && !move_stopped(m))
		move_fail(m, ebt_failx(&err, -ECANCELED, "another node gave up"), &err);
	job_progress(&m->d->job, EBT_PHASE_MOVE, r->v[ROUND_BYTES], m->total);
	return r->v[ROUND_BUSY] == 0;
}

static void tick(struct move *m)
{
	struct ebt_err err = {0};

	if (!move_stopped(m) && job_stopped(&m->d->job, &err) < 0)
		move_fail(m, -EINTR, &err);
	if (!move_stopped(m) && m->net.starved)
		move_fail(m,
			ebt_fail(&err, -ENOMEM, "%s: messages between nodes",
				m->d->node_name),
			&err);
	if (move_stopped(m))
		job_failing(&m->d->job, &m->err);
	health_look(&m->health);
}

static bool idle(struct move *m)
{
	SCOPED_LOCK(&m->lock);
	return m->leads_running == 0;
}

/* Collective: until no lead runs on any node and every message has arrived. */
static void run_all(struct move *m, struct rounds *r)
{
	struct transport_pause pause = TRANSPORT_PAUSE;
	double ticked = 0, now;
	bool done = false, moved;
	double began = clock_now();
	int flag;

	while (!done || m->net.n_active) {
		moved = net_step(&m->net);
		now = clock_now();
		if (now - ticked > TICK_S) {
			tick(m);
			if (now - began > HOLD_S)
				lead_ends_hold(m);
			ticked = now;
		}
		if (!done && !r->under_way && (now >= r->next || idle(m)))
			start_round(m, r);
		if (r->under_way) {
			MPI_Test(&r->req, &flag, MPI_STATUS_IGNORE);
			if (flag)
				done = finish_round(m, r);
		}
		transport_pause(&m->d->job.nodes, &pause, moved);
	}
}

static int take_ends(void *arg, int peer, struct buf *b, struct ebt_err *err)
{
	struct reader r = reader_of(b->data, b->len);
	uint64_t *done = arg;
	uint32_t i;

	while (reader_left(&r)) {
		i = reader_get32(&r);
		done[i / 64] |= (uint64_t)1 << (i % 64);
	}
	return r.failed
		       ? ebt_failx(err, -EPROTO, "results of node %d are damaged", peer)
		       : 0;
}

/* Collective: the sources of every file learn that it is in place, for all runs to come. */
static int tell_all(struct move *m, uint64_t *done, struct ebt_err *err)
{
	SCOPED_FREE struct buf *out = calloc((size_t)m->d->job.n_nodes, sizeof(*out));
	uint64_t kept = 0;
	bool proven;
	int r = drain_prove(m->d, &proven, err);

	if (r == 0 && !out)
		r = ebt_fail(err, -ENOMEM, "results");
	for (const struct move_outcome *o = m->ends; o && out; o = o->next) {
		if (proven || !o->unproven)
			buf_put32(&out[o->node], o->entry);
		else
			kept++;
	}
	if (kept && m->d->o->free_local)
		log_warn(&m->d->job.log,
			"%s: no room in the journal for %llu of the files that several "
			"nodes have: these are not deleted",
			m->d->store_path, (unsigned long long)kept);
	for (int i = 0; out && r == 0 && i < m->d->job.n_nodes; i++) {
		if (!buf_ok(&out[i]))
			r = ebt_fail(err, -ENOMEM, "results");
	}
	r = job_agree_all(&m->d->job, r, err);
	if (r == 0)
		r = transport_exchange_all(&m->d->job.nodes, out, take_ends, done, err);
	return r;
}

static void report(struct move *m)
{
	struct ebt_drain_report *rep = m->d->rep;

	rep->moved += m->moved;
	for (uint32_t i = 0; i < m->health.n && i < rep->n_targets; i++) {
		rep->target[i].bytes += m->health.target[i].bytes;
		rep->target[i].seconds += m->health.target[i].busy;
		rep->target[i].objects += m->health.target[i].objects;
		rep->target[i].avoided |= m->health.bad[i] && !rep->target[i].unused;
	}
}

int drain_move_all(struct drain *d, uint64_t *done, struct ebt_err *err)
{
	struct move m = {.d = d, .n_queues = d->at.n_targets + 1};
	int votes = ROUND_VOTES + (int)d->at.n_targets;
	struct rounds rounds = {.turns = d->at.in_turn ? votes : 0};
	SCOPED_FREE uint64_t *v = NULL;
	int r, told;

	queue_init(&m.requests);
	queue_init(&m.objects);
	pthread_mutex_init(&m.lock, NULL);
	pthread_mutex_init(&m.rooms_lock, NULL);
	pthread_cond_init(&m.changed, NULL);
	rounds.n = votes;
	if (rounds.turns)
		rounds.n += TURNS_GOT + (int)d->at.n_targets;
	rounds.v = v = calloc((size_t)rounds.n, sizeof(*v));
	m.total = d->at.total_bytes;
	choose_threads(&m);
	r = net_open(&m.net, &d->calls, &d->data, &m.requests, &m.objects, err);
	if (r == 0)
		r = health_init(
			&m.health, d->at.place, d->at.n_targets, &d->job.log, err);
	if (r == 0 && !v)
		r = ebt_fail(err, -ENOMEM, "rounds");
	m.health.passive = !d->at.targets;
	for (uint32_t i = 0; r == 0 && d->at.targets && i < d->at.n_targets; i++)
		m.health.bad[i] = !pfs_target_usable(&d->at.targets->target[i]);
	if (r == 0)
		r = move_open(&m, err);
	r = job_agree_all(&d->job, r, err);
	if (r == 0) {
		drain_note(d, "move begins");
		start_leads(&m);
		run_all(&m, &rounds);
		drain_note(d, "moved");
		report(&m);
		/* Also after a failure: what is in place is in place. */
		told = tell_all(&m, done, err);
		r = m.code < 0 ? m.code : told;
		if (m.code < 0 && err)
			*err = m.err;
		r = job_agree_all(&d->job, r, err);
	}
	move_close(&m);
	return r;
}
