/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzing without a fuzzer: mutates the seeds of a target in a way that is the same on
 * every run, so that each commit gets some of it and a failure can be repeated.
 *
 *	replay_X             ROUNDS mutations
 *	replay_X N SEED      N mutations, starting elsewhere
 *	replay_X FILE...     these inputs, as libFuzzer leaves them behind
 *	replay_X --seeds DIR writes the seeds, a first corpus for libFuzzer
 *
 * A crash is the failure. The input that was at work is then in crash-replay.
 */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "fsio/fsio.h"
#include "fuzz.h"

#define ROUNDS	  20000
#define INPUT_MAX 4096 /* bytes */
#define SEEDS_MAX 64

struct input {
	unsigned char data[INPUT_MAX];
	size_t len;
};

static struct input current; /* for the signal handler */

static void keep_input(int sig)
{
	static const char name[] = "crash-replay";
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd >= 0 && write(fd, current.data, current.len) == (ssize_t)current.len)
		(void)!write(STDERR_FILENO, "input kept in crash-replay\n", 27);
	signal(sig, SIG_DFL);
	raise(sig);
}

static uint32_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 32);
}

static uint32_t below(uint64_t *state, size_t n)
{
	return n ? (uint32_t)(next_random(state) % n) : 0;
}

/*
 * Takes @n bytes out at @at, or with @n < 0 makes room for as many, a copy of what
 * follows.
 */
static void shift(struct input *in, size_t at, int n)
{
	size_t gone = n > 0 ? (size_t)n : 0, more = n < 0 ? (size_t)-n : 0;

	if (gone > in->len - at)
		gone = in->len - at;
	if (more > INPUT_MAX - in->len)
		more = INPUT_MAX - in->len;
	memmove(in->data + at + more, in->data + at + gone, in->len - at - gone);
	in->len = in->len + more - gone;
}

static void mutate(struct input *in, uint64_t *state)
{
	static const uint32_t odd[] = {0, 1, 2, 16, 116, 127, 128, 255, 256, 0x7fff,
		0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffffe,
		0xffffffff};
	size_t at = below(state, in->len + 1), from;
	uint32_t v = odd[below(state, sizeof(odd) / sizeof(odd[0]))];
	size_t left = in->len - at, n = 1 + below(state, 8);

	switch (below(state, 7)) {
	case 0:
		if (left)
			in->data[at] ^= (unsigned char)(1u << below(state, 8));
		break;
	case 1:
		if (left)
			in->data[at] = (unsigned char)next_random(state);
		break;
	case 2: /* a number that somebody may not have thought of, 1 to 4 bytes of it */
		n = n > 4 ? 4 : n;
		memcpy(in->data + at, &v, n < left ? n : left);
		break;
	case 3:
		shift(in, at, (int)n);
		break;
	case 4:
		shift(in, at, -(int)n);
		break;
	case 5: /* a piece from elsewhere */
		from = below(state, in->len + 1);
		n *= 1 + below(state, 16);
		n = n < left ? n : left;
		n = n < in->len - from ? n : in->len - from;
		memmove(in->data + at, in->data + from, n);
		break;
	default:
		if (below(state, 8) == 0)
			in->len = at;
		break;
	}
}

static void run(const struct input *in)
{
	/*
	 * Of a block of its own length, so that a sanitizer sees a byte read too many.
	 */
	SCOPED_FREE unsigned char *copy = malloc(in->len ? in->len : 1);

	if (!copy)
		exit(99);
	memcpy(copy, in->data, in->len);
	LLVMFuzzerTestOneInput(copy, in->len);
}

static int run_mutations(uint64_t rounds, uint64_t state)
{
	static struct input seeds[SEEDS_MAX];
	size_t n = 0;

	for (; n < SEEDS_MAX; n++) {
		SCOPED_BUF struct buf b = {0};

		if (!fuzz_seed((unsigned)n, &b))
			break;
		if (!buf_ok(&b) || b.len > INPUT_MAX)
			return 99;
		memcpy(seeds[n].data, b.data, b.len);
		seeds[n].len = b.len;
		current = seeds[n];
		run(&current);
	}
	for (uint64_t i = 0; n && i < rounds; i++) {
		current = seeds[below(&state, n)];
		for (uint32_t k = 1 + below(&state, 6); k > 0; k--)
			mutate(&current, &state);
		run(&current);
	}
	printf("%zu seeds, %llu mutations\n", n, (unsigned long long)rounds);
	return n ? 0 : 99;
}

static int run_files(char **names)
{
	struct ebt_err err;

	for (; *names; names++) {
		SCOPED_BUF struct buf b = {0};

		if (fsio_load(AT_FDCWD, *names, INT_MAX, &b, &err) < 0) {
			fprintf(stderr, "%s\n", err.text);
			return 99;
		}
		LLVMFuzzerTestOneInput(b.data, b.len);
	}
	return 0;
}

static int write_seeds(const char *dir)
{
	SCOPED_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct ebt_err err = {.text = "cannot be opened"};
	char name[32];
	int r = fd;

	for (unsigned n = 0; r >= 0; n++) {
		SCOPED_BUF struct buf b = {0};

		if (!fuzz_seed(n, &b))
			return 0;
		snprintf(name, sizeof(name), "seed-%u", n);
		r = fsio_save(fd, name, b.data, b.len, &err);
	}
	fprintf(stderr, "%s: %s\n", dir, err.text);
	return 99;
}

int main(int argc, char **argv)
{
	static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
	uint64_t rounds = ROUNDS, seed = 1;

	if (argc == 3 && strcmp(argv[1], "--seeds") == 0)
		return write_seeds(argv[2]);
	if (argc == 2 ||
		(argc > 2 && (text_parse_count(argv[1], &rounds, NULL) < 0 ||
				     text_parse_count(argv[2], &seed, NULL) < 0)))
		return run_files(argv + 1);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], keep_input);
	return run_mutations(rounds, seed);
}
