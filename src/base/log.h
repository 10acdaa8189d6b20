/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where messages go is decided by whoever runs us: a library call gets a struct log and
 * never prints. NULL is allowed and silent. The function may be called from any thread.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum log_level {
	LOG_LEVEL_ERROR, /* the run is affected */
	LOG_LEVEL_WARN,	 /* degraded, still right */
	LOG_LEVEL_INFO,	 /* -v */
	LOG_LEVEL_DEBUG, /* -vv */
};

struct log {
	void (*fn)(void *arg, enum log_level level, const char *text);
	void *arg;
	enum log_level max; /* messages above this level are not even formatted */
};

void log_say(const struct log *log, enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define log_warn(log, ...)  log_say(log, LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(log, ...)  log_say(log, LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(log, ...) log_say(log, LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
