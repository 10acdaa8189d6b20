/* SPDX-License-Identifier: BSD-3-Clause */
/* What the manifest of a store says of names, and whether a file is still the one it speaks of. */
#ifndef STAGE_KNOWN_H
#define STAGE_KNOWN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "manifest/manifest.h"

/* The entry of @old (or NULL) with path and kind of entry @i of @m, or NULL. */
const struct manifest_entry *known_entry(
	const struct manifest *old, const struct manifest *m, uint32_t i);
/* The same of file @i, if it is the one that was brought then; NULL if another one is. */
const struct manifest_entry *known_file(
	const struct manifest *old, const struct manifest *m, uint32_t i);
/* Of equal size and time. */
bool known_same(const struct manifest_entry *was, const struct manifest_entry *e);
struct ebt_digest known_digest(
	const struct manifest *old, const struct manifest_entry *was);

#endif
