/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands while it runs, over a socket of root's: one line of words there, text back whose
 * first line is "ok" or "error: ...".
 *
 *   ping    stats [json] [reset]    set WORD...    quit
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/scope.h"
#include "emul.h"

#define WORDS_MAX 64
#define LINE_MAX_ 4096

static int address(const char *path, struct sockaddr_un *a)
{
	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(a->sun_path))
		return -ENAMETOOLONG;
	strcpy(a->sun_path, path);
	return 0;
}

static bool has(int argc, char **argv, const char *word)
{
	for (int k = 1; k < argc; k++)
		if (strcmp(argv[k], word) == 0)
			return true;
	return false;
}

/* True: the end. */
static bool obey(struct emul *e, int argc, char **argv, FILE *out)
{
	char why[256] = "";

	if (strcmp(argv[0], "quit") == 0) {
		fputs("ok\n", out);
		return true;
	}
	if (strcmp(argv[0], "ping") == 0) {
		fputs("ok\n", out);
	} else if (strcmp(argv[0], "stats") == 0) {
		fputs("ok\n", out);
		stats_print(e, out, has(argc, argv, "json"));
		if (has(argc, argv, "reset"))
			stats_reset(e);
	} else if (strcmp(argv[0], "set") == 0) {
		int r = settings_apply(e, argc - 1, argv + 1, why, sizeof(why));

		if (r == 0 && sysfs_write(e) < 0)
			snprintf(why, sizeof(why), "cannot write %s", e->sysfs);
		fprintf(out, *why ? "error: %s\n" : "ok\n", why);
	} else {
		fprintf(out, "error: no command \"%s\"\n", argv[0]);
	}
	return false;
}

static bool answer(struct emul *e, int fd)
{
	FILE *stream = fdopen(fd, "r+");
	char line[LINE_MAX_], *words[WORDS_MAX], *rest = line;
	bool quit = false;
	int n = 0;

	if (!stream) {
		close(fd);
		return false;
	}
	if (fgets(line, sizeof(line), stream)) {
		line[strcspn(line, "\n")] = '\0';
		while (n < WORDS_MAX && (words[n] = strsep(&rest, " ")))
			n += *words[n] != '\0';
		fseek(stream, 0, SEEK_CUR);
		if (n)
			quit = obey(e, n, words, stream);
	}
	fclose(stream);
	return quit;
}

int control_serve(struct emul *e, const char *path)
{
	SCOPED_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un a;
	int r = address(path, &a);

	if (r < 0)
		return r;
	signal(SIGPIPE, SIG_IGN);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		listen(fd, 8) < 0)
		return -errno;
	for (;;) {
		int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

		if (peer >= 0 && answer(e, peer))
			return 0;
	}
}

int control_ask(const char *path, int argc, char **argv)
{
	FILE *stream;
	SCOPED_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char line[LINE_MAX_];
	struct sockaddr_un a;
	int status = 1;

	if (fd < 0 || address(path, &a) < 0 ||
		connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}
	stream = fdopen(TAKE_FD(fd), "r+");
	if (!stream)
		return 1;
	for (int k = 0; k < argc; k++)
		fprintf(stream, "%s%s", k ? " " : "", argv[k]);
	fputs("\n", stream);
	fflush(stream);
	if (fgets(line, sizeof(line), stream)) {
		status = strcmp(line, "ok\n") != 0;
		if (status)
			fputs(line, stderr);
		while (fgets(line, sizeof(line), stream))
			fputs(line, stdout);
	}
	fclose(stream);
	return status;
}
