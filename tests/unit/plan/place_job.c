/* SPDX-License-Identifier: BSD-3-Clause */
#include "place_job.h"

#include <stdio.h>
#include <string.h>

uint64_t job_random(unsigned *seed)
{
	return (uint64_t)rand_r(seed) << 31 ^ (uint64_t)rand_r(seed);
}

struct job *job_new(uint32_t nodes, uint32_t targets)
{
	struct job *j = calloc(1, sizeof(*j));

	CU_ASSERT_PTR_NOT_NULL_FATAL(j);
	j->in.nodes = nodes;
	j->in.n_targets = targets;
	j->in.targets = j->targets;
	j->in.big = j->big;
	j->in.small_bytes = j->small_bytes;
	j->in.small_files = j->small_files;
	for (uint32_t t = 0; t < targets; t++)
		j->targets[t] = (struct place_target){.avail = UINT64_MAX,
			.weight = 1,
			.index = 3 * t,
			.usable = true};
	return j;
}

void job_add(struct job *j, uint32_t node, uint64_t size)
{
	CU_ASSERT_FATAL(j->n_files < FILES_MAX);
	j->files[j->n_files] =
		(struct place_file){.size = size, .id = j->n_files, .home = node};
	j->n_files++;
	j->total += size;
}

void job_sort(struct job *j)
{
	uint32_t usable = 0;

	for (uint32_t t = 0; t < j->in.n_targets; t++)
		usable += j->targets[t].usable;
	j->big_min = place_big_min(j->total, j->n_files, usable);
	j->in.n_big = 0;
	j->in.small_max = 0;
	memset(j->small_bytes, 0, sizeof(j->small_bytes));
	memset(j->small_files, 0, sizeof(j->small_files));
	for (uint32_t i = 0; i < j->n_files; i++) {
		const struct place_file *f = &j->files[i];

		if (f->size >= j->big_min) {
			j->big[j->in.n_big++] = *f;
			continue;
		}
		j->small_bytes[f->home] += f->size;
		j->small_files[f->home]++;
		if (f->size > j->in.small_max)
			j->in.small_max = f->size;
	}
}

struct place *job_place(struct job *j)
{
	struct place *p = NULL;
	struct ebt_err err = {0};

	job_sort(j);
	if (place_new(&j->in, &p, &err) != 0)
		puts(err.text);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	return p;
}

static void count_big(const struct job *j, const struct place *p, struct outcome *o)
{
	for (uint32_t k = 0; k < j->in.n_big; k++) {
		struct place_stripes st;
		const uint32_t *on = place_big(p, k, &st);

		for (uint32_t i = 0; i < st.count; i++) {
			uint64_t bytes = place_object_bytes(j->big[k].size, &st, i);

			o->on[on[i]] += bytes;
			o->files_on[on[i]]++;
			o->big += bytes;
			if (place_writer(p, on[i], j->big[k].home) != j->big[k].home)
				o->big_moved += bytes;
		}
	}
}

void job_count(const struct job *j, const struct place *p, struct outcome *o)
{
	uint64_t bytes = 0, files = 0;
	uint32_t node = 0;

	*o = (struct outcome){0};
	count_big(j, p, o);
	for (uint32_t i = 0; i < j->n_files; i++) {
		const struct place_file *f = &j->files[i];
		uint32_t t;

		if (f->home != node)
			bytes = files = 0;
		node = f->home;
		if (f->size >= j->big_min)
			continue;
		t = place_small(p, node, bytes, files, f->size);
		bytes += f->size;
		files++;
		CU_ASSERT_FATAL(t < j->in.n_targets);
		o->on[t] += f->size;
		o->files_on[t]++;
		o->small += f->size;
		if (place_writer(p, t, node) != node)
			o->small_moved += f->size;
	}
}

double job_level(const struct job *j, const struct outcome *o)
{
	uint64_t most = 0, sum = 0;
	uint32_t n = 0;

	for (uint32_t t = 0; t < j->in.n_targets; t++) {
		most = o->on[t] > most ? o->on[t] : most;
		sum += o->on[t];
		n += j->targets[t].usable;
	}
	return sum ? (double)most * n / (double)sum : 1;
}
