/* SPDX-License-Identifier: BSD-3-Clause */
#include "ebt/err.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int ebt_fail(struct ebt_err *err, int code, const char *fmt, ...)
{
	char reason[128];
	va_list ap;
	size_t len;

	assert(code < 0);
	if (!err)
		return code;
	err->code = code;
	err->located = 0;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	len = strlen(err->text);
	snprintf(err->text + len, sizeof(err->text) - len, ": %s",
		strerror_r(-code, reason, sizeof(reason)));
	return code;
}

int ebt_failx(struct ebt_err *err, int code, const char *fmt, ...)
{
	va_list ap;

	assert(code < 0);
	if (!err)
		return code;
	err->code = code;
	err->located = 0;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return code;
}
