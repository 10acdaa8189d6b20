#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A node without the memory for its buffers: all ranks say so and end, whichever buffer it is,
# and the same run with memory goes on from there.
cli=$(cd "$(dirname "$0")/../cli" && pwd)
. "$(dirname "$0")/fault.sh"
. "$cli/drain.sh"
shim=$2/failing.so
[ -e "$shim" ] || exit 99

mkdir -p want/d
for i in $(seq 9); do head -c $((i * 1000)) /dev/urandom >want/d/f$i; done
head -c 6000000 /dev/urandom >want/large
spread want $N s
before=$(picture s.?)
# Of 8 leads and 8 threads for objects, three blocks each, then 4 readers, two each: as many as
# fit into 32 MiB, of 512 KiB.
for number in 0 1 23 24 47 48 49 55; do
	what="block $number"
	rm -rf d
	AS=(env "LD_PRELOAD=$shim" EBT_TEST_RANK=1 EBT_TEST_SIZE=524288 EBT_TEST_NUMBER=$number)
	begin --timeout=5 "$WORK/s.%r" "$WORK/d"
	ended 30
	check "$what: status $status" test "$status" = 1
	says "Cannot allocate memory"
	says "--memory"
	says "rank 1"
	check "$what: said once" test "$(grep -c '^ebt-drain: ' err)" = 1
	check "$what: no file is visible" test -z "$(find d -type f)"
	is "$what: stores" "$before" "$(picture s.?)"
done
# What comes up later cannot be agreed on any more: it is said, and ends all by force at worst.
what="calls of other nodes"
rm -rf d
AS=(env "LD_PRELOAD=$shim" EBT_TEST_RANK=1 EBT_TEST_NO_CALLS=1)
begin --timeout=2 --stripe-count=3 --stripe-size=1M "$WORK/s.%r" "$WORK/d"
ended 30
check "$what: status $status" test "$status" != 0
says "$(hostname).1: messages between nodes: Cannot allocate memory"
check "$what: it is no crash" test -z "$(grep -E 'Abort|abort[(]|Assert' err)"
absent d/large
is "$what: stores" "$before" "$(picture s.?)"
rm -rf d
what="one more block than there are"
AS=(env "LD_PRELOAD=$shim" EBT_TEST_RANK=1 EBT_TEST_SIZE=524288 EBT_TEST_NUMBER=56)
begin "$WORK/s.%r" "$WORK/d"
ended 30
is "$what" 0 $status
arrived want d
finish
