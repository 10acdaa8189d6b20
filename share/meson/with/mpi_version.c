/* SPDX-License-Identifier: BSD-3-Clause */
/* What the MPI library says that it is. No MPI needs to be started for that. */
#include <mpi.h>
#include <stdio.h>

int main(void)
{
	/* A library that does not belong to the header may need more than the header says. */
	static char text[1 << 16];
	int len;

	MPI_Get_library_version(text, &len);
	puts(text);
	return 0;
}
