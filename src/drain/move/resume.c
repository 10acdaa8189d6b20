/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Compressed archives that an earlier run did not finish: it wrote down which frames were there. Who
 * has the same to pack goes on behind them. Their temporary names are the same in each run, so what
 * is of no use is found, and removed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drain/move/lead.h"
#include "drain/pack/pack.h"
#include "fsio/fsio.h"
#include "journal/journal_format.h"

/* An archive of this node's, and what its journal has of it. */
struct move_resume {
	struct move_resume *next;
	const char *name; /* of its task */
	char *path;	  /* temporary */
	struct ebt_digest version;
	uint64_t ino;
	struct buf list; /* of frames, as in the journal */
	uint32_t n;
};

void lead_frames_temp(
	const struct drain *d, const struct drain_task *t, char *out, size_t cap)
{
	snprintf(out, cap, DRAIN_TEMPORARY "%s" DRAIN_FRAMES "%016llx", d->id,
		(unsigned long long)digest_bytes(t->e.name, strlen(t->e.name)).lo);
}

static char *temp_path(const struct drain *d, const struct drain_task *t)
{
	const char *slash = strrchr(t->e.name, '/');
	int above = slash ? (int)(slash + 1 - t->e.name) : 0;
	char temp[LEAD_TEMP], *path;

	lead_frames_temp(d, t, temp, sizeof(temp));
	return asprintf(&path, "%.*s%s", above, t->e.name, temp) < 0 ? NULL : path;
}

/* Of all that it is made of, and how: with the same it has the same bytes. */
static int find_version(
	const struct move *m, const struct drain_task *t, struct ebt_digest *out)
{
	SCOPED_BUF struct buf b = {0};

	buf_put64(&b, t->e.size);
	buf_put32(&b, m->frame);
	buf_put32(&b, PACK_LEVEL);
	for (uint32_t i = 0; i < t->n_sources; i++)
		journal_put_source(&b, &t->sources[i].file);
	if (!buf_ok(&b))
		return -ENOMEM;
	*out = digest_bytes(b.data, b.len);
	return 0;
}

static int take(void *arg, const struct journal_frames *f)
{
	for (struct move_resume *r = ((struct move *)arg)->resumes; r; r = r->next) {
		if (strcmp(r->path, f->path) != 0)
			continue;
		/* Begun anew, or of something else. */
		if (f->first == 0 || f->ino != r->ino) {
			r->ino = f->ino;
			r->n = 0;
			r->list.len = 0;
		}
		if (f->first != r->n || !digest_equal(f->version, r->version)) {
			r->ino = 0;
			continue;
		}
		buf_put(&r->list, f->list, (size_t)f->n * JOURNAL_FRAME_LEN);
		r->n += f->n;
	}
	return 0;
}

int move_find_resumes(struct move *m, struct ebt_err *err)
{
	const struct drain *d = m->d;

	for (const struct drain_task *t = d->tasks; t; t = t->next) {
		struct move_resume *r;

		if (!pack_is_compressed(d, t))
			continue;
		r = calloc(1, sizeof(*r));
		if (!r)
			return ebt_fail(err, -ENOMEM, "archives");
		*r = (struct move_resume){.next = m->resumes, .name = t->e.name};
		m->resumes = r;
		r->path = temp_path(d, t);
		if (!r->path || find_version(m, t, &r->version) < 0)
			return ebt_fail(err, -ENOMEM, "archives");
	}
	if (m->resumes && drain_journal_same(d))
		journal_each_frames(d->proof.journal, take, m);
	return 0;
}

void move_resumes_free(struct move *m)
{
	struct move_resume *r;

	while ((r = m->resumes)) {
		m->resumes = r->next;
		free(r->path);
		buf_release(&r->list);
		free(r);
	}
}

static struct move_resume *resume_of(const struct lead *c)
{
	struct move_resume *r = c->m->resumes;

	while (r && strcmp(r->name, c->t->e.name) != 0)
		r = r->next;
	return r;
}

/* Bytes of the file where frame @i begins, if all before it are as they were: with --verify each. */
static int check_frames(struct lead *c, const struct move_resume *r, int fd)
{
	const struct journal_frames f = {.n = r->n, .list = r->list.data};
	SCOPED_FREE void *packed = malloc(frame_room(c->m->frame));
	uint64_t at = 0, left = c->t->e.size;

	for (uint32_t i = 0; packed && i < r->n; i++) {
		const struct journal_frame one = journal_frame(&f, i);
		uint64_t plain = left < c->m->frame ? left : c->m->frame;

		if (!plain || !one.packed || one.packed > frame_room(c->m->frame))
			return -EBADMSG;
		/* The last one at least: it is the file that it is taken for. */
		if ((i + 1 == r->n || c->m->d->o->verify) &&
			(fsio_read(fd, packed, one.packed, at) != (ssize_t)one.packed ||
				!digest_equal(
					digest_bytes(packed, one.packed), one.digest)))
			return -EBADMSG;
		if (frames_add(&c->frames, one.packed, (uint32_t)plain, NULL) < 0)
			return -ENOMEM;
		at += one.packed;
		left -= plain;
	}
	return packed ? 0 : -ENOMEM;
}

/* It lies where it would be put now, so those who own the targets go on with it. */
static bool is_placed(
	const struct lead *c, uint32_t *osts, int fd, struct pfs_layout **got)
{
	const struct drain *d = c->m->d;
	struct pfs_stripes wish;

	if (!d->at.targets || !c->t->stripe_count)
		return true;
	wish = drain_pool_wish(&d->at, c->t, osts);
	return pfs_layout_of(d->dest.pfs, fd, got) > 0 && pfs_layout_keeps(*got, &wish);
}

static bool is_ours(int fd, uint64_t ino)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
	       st.st_uid == geteuid() && st.st_ino == ino;
}

int lead_resume(struct lead *c, uint32_t *osts, struct pfs_layout **got)
{
	struct move_resume *r = resume_of(c);
	SCOPED_FD int fd = -1;

	if (!r || !c->m->d->proof.journaled)
		return -ENOENT;
	c->version = r->version;
	c->noted = !c->m->d->dest.inodes_differ;
	lead_frames_temp(c->m->d, c->t, c->temp, sizeof(c->temp));
	if (r->ino && r->n && c->noted) {
		move_count(&c->m->d->rep->opens);
		fd = openat(c->dirfd, c->temp,
			O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	}
	if (fd >= 0 && is_ours(fd, r->ino) && is_placed(c, osts, fd, got) &&
		check_frames(c, r, fd) == 0) {
		r->ino = 0; /* once */
		log_info(&c->m->d->job.log, "%s: goes on behind %u frames",
			c->t->e.name, c->frames.n);
		return TAKE_FD(fd);
	}
	frames_release(&c->frames);
	r->ino = 0;
	/* If it stays, making it anew says why. */
	move_count(&c->m->d->rep->others);
	unlinkat(c->dirfd, c->temp, 0);
	return -ENOENT;
}

void lead_note_frames(struct lead *c, const struct frames *f, uint32_t first,
	const struct ebt_digest *digests)
{
	SCOPED_BUF struct buf list = {0};
	SCOPED_FREE char *path = temp_path(c->m->d, c->t);
	struct journal_frames rec = {.path = path,
		.ino = c->ino,
		.version = c->version,
		.first = first,
		.n = f->n - first};

	/* What cannot be read is zeros now, and may be read by the next run. */
	if (!c->noted || !path || c->m->d->pass.turn == DRAIN_LAST) {
		c->noted = false;
		return;
	}
	for (uint32_t i = 0; i < rec.n; i++)
		journal_put_frame(&list,
			&(struct journal_frame){.packed = frames_packed(f, first + i),
				.digest = digests[i]});
	rec.list = list.data;
	c->noted = buf_ok(&list) && drain_note_frames(c->m->d, &rec);
}
