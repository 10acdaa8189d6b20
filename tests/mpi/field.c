/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "field.h"
#include "files.h"
#include "ranks.h"

void open_field_all(struct field *f, MPI_Comm comm)
{
	memset(f, 0, sizeof(*f));
	f->comm = comm;
	f->rank = mpi_rank(comm);
	f->size = mpi_size(comm);
	mpi_tmpdir_all(comm, f->top);
	snprintf(f->mine, sizeof(f->mine), "%s/s.%d", f->top, f->rank);
	snprintf(f->dest, sizeof(f->dest), "%s/dest", f->top);
	must(mkdir(f->mine, 0700) == 0, f->mine);
	f->o.dest = f->dest;
	f->o.run.per_rank = true;
	f->o.run.timeout = 20;
}

void put_dest(const struct field *f)
{
	must(mkdir(f->dest, 0755) == 0 || errno == EEXIST, f->dest);
}

void close_drain(struct field *f)
{
	struct drain *d = &f->d;

	manifest_free(d->out.m);
	free(d->out.verdict);
	free(d->out.marks);
	buf_release(&d->proof.lost);
	buf_release(&d->looks);
	drain_detours_free(d);
	for (uint32_t i = 0; i < d->own.n_dirs; i++)
		free(d->own.dirs[i].path);
	free(d->own.dirs);
	buf_release(&d->own.dirs_text);
	drain_task_free_list(d->own.shared);
	journal_close(d->proof.journal);
	store_close(d->store);
	free(d->store_path);
	free(d->dest.path);
	free(d->dest.visible);
	if (d->dest.fd >= 0)
		close(d->dest.fd);
	if (d->job.comm.comm)
		job_close(&d->job);
	memset(d, 0, sizeof(*d));
	d->dest.fd = -1;
}

int merge_all(struct field *f)
{
	struct drain *d = &f->d;
	int r, dot;

	close_drain(f);
	memset(&f->err, 0, sizeof(f->err));
	memset(&f->rep, 0, sizeof(f->rep));
	d->o = &f->o;
	d->rep = &f->rep;
	d->dest.fd = -1;
	r = job_open_all(&d->job, f->comm, &f->o.run, &f->err);
	must(r == 0, f->err.text);
	/* As with many nodes, and as with few. */
	if (d->job.n_nodes > 2 && d->job.n_nodes % 2)
		job_take_routes_all(&d->job);
	snprintf(d->node_name, sizeof(d->node_name), "n%d", f->rank);
	memcpy(d->id, "0123456789abcdef0123456789abcdef", 33);
	must(store_open(f->mine, STORE_CREATE, &d->store, &f->err) == 0, f->err.text);
	d->store_path = realpath(f->mine, NULL);
	dot = openat(store_dirfd(d->store), ".ebt", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(journal_open(dot, &d->proof.journal, &f->err) == 0, f->err.text);
	close(dot);
	r = drain_dest_resolve_all(d, &f->err);
	if (r == 0)
		r = drain_dest_open_all(d, &f->err);
	if (r == 0)
		must(drain_journal_begin(d, &f->err) == 0, f->err.text);
	if (r == 0)
		r = job_agree_all(&d->job, drain_outputs(d, &f->err), &f->err);
	return r == 0 ? drain_merge_all(d, &f->err) : r;
}
