/* SPDX-License-Identifier: BSD-3-Clause */
/* What was brought by earlier batches. */
#include "stage/stage_internal.h"

void stage_kept_release(struct stage_kept *k)
{
	for (size_t i = 0; i < k->n; i++)
		manifest_free(k->parts[i]);
	*k = (struct stage_kept){0};
}

const struct manifest *stage_kept_find(
	const struct stage_kept *k, const char *path, uint32_t *entry)
{
	for (size_t i = k->n; i-- > 0;) {
		*entry = manifest_find(k->parts[i], path);
		if (*entry != MANIFEST_NONE)
			return k->parts[i];
	}
	return NULL;
}
