/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/scope.h"
#include "clock.h"
#include "emul.h"

/* The kernel opens right after it looked up. */
#define SAME_OPEN (5 * NS_PER_S / 1000)

static bool knows_locked(const struct client *c, const struct inode *i)
{
	const struct md_seen *s = &i->seen[c->index];

	return s->version == i->version && s->at >= c->e->forgot &&
	       clock_now() - s->at < c->e->attr_cache;
}

static void learn_locked(struct client *c, struct inode *i)
{
	struct md_seen *s = &i->seen[c->index];

	if (s->version != i->version || s->at < c->e->forgot)
		s->layout = s->xattrs = false;
	s->version = i->version;
	s->at = clock_now();
}

void md_request(struct client *c, enum mds_kind k)
{
	if (c->index >= 0)
		mds_serve(&c->e->mds, k, c->mds);
}

void md_want(struct client *c, struct inode *i, enum mds_kind k)
{
	if (c->index < 0)
		return;
	pthread_mutex_lock(&i->lock);
	if (knows_locked(c, i)) {
		pthread_mutex_unlock(&i->lock);
		return;
	}
	pthread_mutex_unlock(&i->lock);
	md_request(c, k);
	pthread_mutex_lock(&i->lock);
	learn_locked(c, i);
	i->seen[c->index].paid = k == MDS_LOOKUP ? clock_now() : 0;
	pthread_mutex_unlock(&i->lock);
}

void md_open(struct client *c, struct inode *i)
{
	bool part;

	if (c->index < 0)
		return;
	pthread_mutex_lock(&i->lock);
	part = i->seen[c->index].paid &&
	       clock_now() - i->seen[c->index].paid < SAME_OPEN;
	i->seen[c->index].paid = 0;
	pthread_mutex_unlock(&i->lock);
	if (part)
		mds_recount(&c->e->mds, MDS_LOOKUP, MDS_OPEN, c->mds);
	else
		md_request(c, MDS_OPEN);
	pthread_mutex_lock(&i->lock);
	learn_locked(c, i);
	i->seen[c->index].layout = true;
	pthread_mutex_unlock(&i->lock);
}

static bool known_part(struct client *c, struct inode *i, bool layout)
{
	SCOPED_LOCK(&i->lock);
	const struct md_seen *s = &i->seen[c->index];

	if (layout && i->opens_of[c->index])
		return true;
	return knows_locked(c, i) && (layout ? s->layout : s->xattrs);
}

static void want_part(struct client *c, struct inode *i, bool layout)
{
	if (c->index < 0 || known_part(c, i, layout))
		return;
	md_request(c, MDS_GETXATTR);

	SCOPED_LOCK(&i->lock);

	learn_locked(c, i);
	if (layout)
		i->seen[c->index].layout = true;
	else
		i->seen[c->index].xattrs = true;
}

void md_want_layout(struct client *c, struct inode *i)
{
	want_part(c, i, true);
}

void md_want_xattrs(struct client *c, struct inode *i)
{
	want_part(c, i, false);
}

void md_made(struct client *c, struct inode *i)
{
	if (c->index < 0)
		return;

	SCOPED_LOCK(&i->lock);

	learn_locked(c, i);
	i->seen[c->index].layout = i->seen[c->index].xattrs = true;
	i->seen[c->index].paid = 0;
}

void md_changed(struct client *c, struct inode *i)
{
	SCOPED_LOCK(&i->lock);
	struct md_seen *s = c->index < 0 ? NULL : &i->seen[c->index];

	if (s && knows_locked(c, i)) {
		s->version = i->version + 1;
		s->at = clock_now();
	}
	i->version++;
}
