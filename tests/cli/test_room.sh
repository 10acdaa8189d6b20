#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A DEST with less room than all outputs need gets what fits: small files first, each that found
# no room is named, but not one line each, and not all of many are tried.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/drain.sh"
cd "$WORK" || exit 99
[ "$(id -u)" = 0 ] || skip "a small file system as DEST needs root to mount"
mkdir fs s.0 s.1
mount -t tmpfs -o size=8m tmpfs fs 2>mount || skip "a small file system: $(head -1 mount)"
MOUNTS=("$WORK/fs")
for i in $(seq 200); do
	head -c 300000 /dev/urandom >s.$((i % 2))/large$i
	echo "$i" >s.$((i % 2))/small$i
done

# Nothing was tried before anything was found out.
what="--strict"
expect 1 2 --strict "$WORK/s.%r" "$WORK/fs/d"
says "needed"
nothing_at fs/d

what="what fits"
expect 3 2 --json --delete "$WORK/s.%r" "$WORK/fs/d"
says "what fits is brought"
small=$(find fs/d -name 'small*' | wc -l)
check "small ones, $small" test "$small" -ge 120 # the other node may be at its large ones already
large=$(find fs/d -name 'large*' | wc -l)
check "large ones, $large" test "$large" -ge 15
is "not done" $((400 - small - large)) "$(number failed)"
is "named" $((400 - small - large)) "$(grep -c '"kind":"missing"' out)"
check "few lines: $(wc -l <err)" test "$(wc -l <err)" -le 12
# Room that a failed one gives back may let another one in, and then there is more to try.
check "not all were tried: $(number creates)" test "$(number creates)" -le 360
tidy fs/d
is "freed" $((small + large)) "$(number freed)"
bad=0
for f in s.?/large*; do [ ! -e "fs/d/${f##*/}" ] || bad=1; done
is "freed is what is there" 0 $bad
# With room the rest comes.
mount -o remount,size=200m fs
expect 0 2 --json --delete "$WORK/s.%r" "$WORK/fs/d"
is "the rest" $((400 - small - large)) "$(number files)"
is "nothing is left" 0 "$(find s.? -name '[ls]*[0-9]' -type f | wc -l)"

# Directories want room too. Not all of those in one are tried, nor what falls under them.
what="no inodes for directories"
rm -rf fs/d s.0 s.1
mount -o remount,nr_inodes=30 fs
for i in $(seq 200); do
	mkdir -p s.$((i % 2))/dir$i/sub
	echo "$i" | tee s.$((i % 2))/dir$i/f >s.$((i % 2))/dir$i/sub/f
done
expect 3 2 --json --delete "$WORK/s.%r" "$WORK/fs/d"
says "mkdir: No space left"
says "what falls under it is not brought"
here=$(find fs/d -mindepth 1 | wc -l)
check "some came" test "$here" -ge 10
is "not done" $((800 - here)) "$(number failed)"
is "named" $((800 - here)) "$(grep -c '"kind":"missing"' out)"
check "few lines: $(wc -l <err)" test "$(wc -l <err)" -le 16
check "not all were tried: $(number mkdirs)" test "$(number mkdirs)" -le 100
is "freed" "$(find fs/d -type f | wc -l)" "$(number freed)"
tidy fs/d
what="--strict without inodes"
expect 1 2 --strict "$WORK/s.%r" "$WORK/fs/d"
says "mkdir: No space left"
what="inodes for all"
mount -o remount,nr_inodes=10k fs
expect 0 2 --json --delete "$WORK/s.%r" "$WORK/fs/d"
is "all are there" 800 "$(find fs/d -mindepth 1 | wc -l)"
is "nothing is left" 0 "$(find s.? -name .ebt -prune -o -type f -print | wc -l)"
what=
finish
