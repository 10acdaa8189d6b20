/* SPDX-License-Identifier: BSD-3-Clause */
/* Files that the tests set up; what cannot be made ends all ranks with status 99. */
#ifndef FILES_H
#define FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

void must(bool ok, const char *what);
void set_time(const char *path, long seconds);
/* Bytes at @off of "DIR/NAME", which is made if it is not there; modified at @seconds. */
void put(const char *dir, const char *name, const void *data, size_t len, uint64_t off,
	long seconds);
void put_text(const char *dir, const char *name, const char *text, long seconds);
void put_dir(const char *dir, const char *name, mode_t mode);
void put_link(const char *dir, const char *name, const char *target);

#endif
