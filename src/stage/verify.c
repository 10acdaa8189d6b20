/* SPDX-License-Identifier: BSD-3-Clause */
/* Looking after stores that exist: verify what they hold, finish what was cut short. */
#include <errno.h>
#include <stdio.h>

#include "base/text.h"
#include "stage/run.h"
#include "transport/transport.h"

struct teller {
	const struct stage *st;
	char store[512];
};

static void tell(void *arg, const char *path, const char *what)
{
	const struct teller *t = arg;
	char name[4096];

	log_say(&t->st->job.log, LOG_LEVEL_ERROR, "%s/%s: %s", t->store,
		text_name(path, name, sizeof(name)), what);
}

struct verifying {
	struct stage *st;
	uint64_t *bad;
};

static int verify_here(void *arg, struct ebt_err *err)
{
	const struct verifying *v = arg;
	struct stage *st = v->st;
	SCOPED_MANIFEST struct manifest *m = NULL;
	struct teller t = {.st = st};
	char pending[33] = "";
	int r = store_pending(st->store, pending, NULL, err);

	if (r == 0)
		r = store_manifest(st->store, &m, err);
	if (r < 0)
		return r;
	text_name(store_path(st->store), t.store, sizeof(t.store));
	if (pending[0])
		return ebt_failx(err, -EINPROGRESS,
			"%s: a publication was cut short here (see --recover)",
			t.store);
	if (!m)
		return ebt_failx(err, -ENOENT,
			"%s: nothing was staged here (no manifest)", t.store);
	return store_verify(store_dirfd(st->store), m, stage_io_threads(st->o), tell,
		&t, v->bad, err);
}

int ebt_stage_verify_all(MPI_Comm comm, const struct ebt_stage_options *o,
	uint64_t *bad, struct ebt_err *err)
{
	SCOPED(stage_close) struct stage st;
	int r;

	*bad = 0;
	r = stage_open_all(&st, comm, o, err);
	if (r == 0 && st.job.nodes.comm != MPI_COMM_NULL) {
		r = stage_lock_all(&st, STORE_READ, err);
		if (r == 0)
			r = job_away(&st.job, NULL, NULL, verify_here,
				&(struct verifying){&st, bad}, err);
		r = job_agree_all(&st.job, r, err);
	}
	transport_reduce_all(&st.job.comm, bad, 1, MPI_UINT64_T, MPI_SUM);
	return job_result_all(&st.job, r, err);
}

int ebt_stage_recover_all(MPI_Comm comm, const struct ebt_stage_options *o,
	uint32_t *done, struct ebt_err *err)
{
	SCOPED(stage_close) struct stage st;
	int r;

	*done = 0;
	r = stage_open_all(&st, comm, o, err);
	if (r == 0 && st.job.nodes.comm != MPI_COMM_NULL)
		r = o->give_up ? stage_give_up_all(&st, done, err)
			       : stage_open_store_all(&st, false, done, err);
	return job_result_all(&st.job, r, err);
}
