/* SPDX-License-Identifier: BSD-3-Clause */
/* What this program is, and which MPI it has: sites have several, and exchange them. */
#include <mpi.h>
#include <string.h>

#include "base/text.h"
#include "cmd/cmd.h"

/* Those that all tests of ranks were run with. */
#define TESTED "MPICH 4.0.2, Open MPI 4.1.4"

const char *cmd_mpi_library(char *text, size_t size)
{
	/* A library that was exchanged may say more than the header has room for. */
	static char all[1 << 16];
	const char *from = all;
	size_t n = 0;
	int len;

	/* Answers before MPI_Init. Several lines, or much after a comma: the first is the name. */
	MPI_Get_library_version(all, &len);
	for (; *from && *from != '\n' && *from != ',' && n + 1 < size; from++) {
		if (*from != ' ' && *from != '\t')
			text[n++] = *from;
		else if (n > 0 && text[n - 1] != ' ')
			text[n++] = ' ';
	}
	text[n] = '\0';
	return text;
}

void cmd_print_version(const char *format, unsigned number)
{
	char library[128];

	printf("%s (EBT) %s\n%s format %u\n", cmd_program.name, EBT_VERSION, format,
		number);
	printf("built with %s, running with %s\n", EBT_MPI,
		cmd_mpi_library(library, sizeof(library)));
	printf("tested with %s\n", TESTED);
}

const char *cmd_join_parts(
	const struct cmd_part *parts, size_t n, bool built_in, char out[CMD_PARTS_TEXT])
{
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; i < n && len < CMD_PARTS_TEXT; i++) {
		if (parts[i].built_in == built_in)
			len += (size_t)snprintf(out + len, CMD_PARTS_TEXT - len, "%s%s",
				len ? ", " : "", parts[i].name);
	}
	return out;
}

void cmd_print_parts(const char *head, const struct cmd_part *parts, size_t n)
{
	char has[CMD_PARTS_TEXT], lacks[CMD_PARTS_TEXT];

	cmd_join_parts(parts, n, true, has);
	cmd_join_parts(parts, n, false, lacks);
	printf("%s %s\n", head, *has ? has : "not built in");
	if (*has && *lacks)
		printf("not built in: %s\n", lacks);
}
