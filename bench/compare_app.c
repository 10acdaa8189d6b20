/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The executable of bench/compare. Built with -DPART=N -DDATA="FILE" it is library N, which
 * carries the content of FILE; built without, the program, which has its own such data, takes
 * PARTS libraries and reads all of it:
 *
 *   app PREFIX  ->  app HOST SUM LOCAL
 *
 * SUM stands for every byte of program and libraries, in order; LOCAL is how many of them,
 * itself included, were loaded from a path that begins with PREFIX.
 */
#include <dlfcn.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct part {
	const unsigned char *data, *end;
};

__asm__(".section .rodata\n.balign 4096\npart_data:\n.incbin \"" DATA "\"\npart_end:\n"
	".previous\n");
extern const unsigned char part_data[], part_end[];
__asm__(".hidden part_data\n.hidden part_end\n");

#ifdef PART
#define NAME_(n) part_##n
#define NAME(n)	 NAME_(n)

struct part NAME(PART)(void);
struct part NAME(PART)(void)
{
	return (struct part){part_data, part_end};
}
#else
struct part part_1(void);
struct part part_2(void);
struct part part_3(void);
struct part part_4(void);

static uint64_t add(uint64_t sum, struct part p)
{
	for (uint64_t word; p.end - p.data >= (ptrdiff_t)sizeof(word);
		p.data += sizeof(word)) {
		memcpy(&word, p.data, sizeof(word));
		sum = (sum ^ word) * 0x100000001b3u;
	}
	return sum;
}

static int loaded_from(const char *prefix, const void *code)
{
	Dl_info info;

	return dladdr(code, &info) &&
	       strncmp(info.dli_fname, prefix, strlen(prefix)) == 0;
}

int main(int argc, char **argv)
{
	struct part (*const parts[])(void) = {part_1, part_2, part_3, part_4};
	const char *prefix = argc > 1 ? argv[1] : "";
	uint64_t sum = add(0xcbf29ce484222325u, (struct part){part_data, part_end});
	char self[4096] = "", host[256] = "";
	int local;

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0 ||
		gethostname(host, sizeof(host) - 1) < 0)
		return 1;
	local = strncmp(self, prefix, strlen(prefix)) == 0;
	for (size_t k = 0; k < sizeof(parts) / sizeof(parts[0]); k++) {
		struct part p = parts[k]();

		sum = add(sum, p);
		/* Data of the library itself: the address of its function may be ours. */
		local += loaded_from(prefix, p.data);
	}
	printf("app %s %016" PRIx64 " %d\n", host, sum, local);
	return 0;
}
#endif
