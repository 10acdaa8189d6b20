/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One error: a code and a line of text. Calls return 0 or a negative errno and fill the
 * caller's struct ebt_err, which may be NULL. The text names the object (path, node, rank)
 * and is complete: whoever prints it only adds the program's name.
 */
#ifndef EBT_ERR_H
#define EBT_ERR_H

#ifdef __cplusplus
extern "C" {
#endif

#define EBT_ERR_TEXT 1024 /* bytes with the final NUL; longer texts are cut */

struct ebt_err {
	int code;    /* negative errno, 0 when nothing failed */
	int located; /* the text says on which rank already */
	char text[EBT_ERR_TEXT];
};

/* Store @code and "fmt: strerror(-code)", return @code. @err may be NULL. */
int ebt_fail(struct ebt_err *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* As ebt_fail, for failures that errno does not describe: the text is @fmt alone. */
int ebt_failx(struct ebt_err *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif

#endif
