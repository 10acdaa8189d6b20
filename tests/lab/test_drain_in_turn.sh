#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Drains of many small files to an emulated Lustre: they go where its servers put them in turn, for
# three requests each; what comes to lie badly is placed, and all where that does not do.
EMUL_SERVER=${2:+$(readlink -f "$2")} LAYOUT=${3:+$(readlink -f "$3")}
LAB_RATE=1gbit LAB_NODES=3
cli=$(cd "$(dirname "$0")/../cli" && pwd)
. "$(dirname "$0")/lab.sh"
. "$cli/drain.sh"
. "$(dirname "$0")/emul.sh"
cd "$WORK" || exit 99
emul_begin lab_end || skip "$LACKS"
FILES=360

mkdir -p want/sub
head -c $((FILES * 40000)) /dev/urandom | split -a 3 -b 40000 - want/sub/f
spread want $N keep
for ((i = 0; i < N; i++)); do touch -r want keep.$i; done
fill() { # KEEP
	local i
	for ((i = 0; i < N; i++)); do
		on $i rm -rf /local/job
		on $i cp -a "$WORK/$1.$i" /local/job || fail "node $i cannot be filled"
	done
}

emul_up "$WORK/fs" --osts 8 --capacity 512M handover=0 rename-flags=1
a_file() { # requests, but for what directories take
	stats | sed 's/.*"mds":{"total":\([0-9]*\).*/\1/' | awk -v f=$FILES '{print ($1 - 40) / f}'
}
# between NAME LOW GOT HIGH
between() { check "$1: $3" awk -v l="$2" -v g="$3" -v h="$4" 'BEGIN {exit !(g + 0 >= l && g + 0 <= h)}'; }
# drained KEEP DIR OPTION...
drained() {
	local keep=$1 dir=$2
	shift 2
	rm -rf "$O/$dir"
	fill "$keep"
	reset
	run 0 --json "$@" /local/job "/lustre/$dir"
}
# level [N]: largest by mean of the bytes that OSTs got, those of OST N left out
level() {
	stats | grep -o '"ost":[0-9]*,"bytes_written":[0-9]*' | grep -v "\"ost\":${1:-none}," | cut -d: -f3 |
		awk '{s += $1; m = $1 > m ? $1 : m} END {printf "%.3f\n", s ? m * NR / s : 0}'
}

at_most "level" 1.05 level drained keep plain
arrived want "$O/plain"
# The first file of each of the eight targets shows what it can; a few more on a busy machine.
between "layouts that were asked for" 8 "$(number layouts)" $((FILES / 10))
between "creations" $FILES "$(requests create)" $((FILES + 1))
# Nothing beside them but what directories take.
between "requests a file" 2.9 "$(a_file)" 3.1

# A rename that cannot refuse to replace takes a link and an unlink.
set_ rename-flags=0
drained keep links
arrived want "$O/links"
between "requests a file" 3.9 "$(a_file)" 4.1
set_ rename-flags=1

# What the user says about places is obeyed.
drained keep said --stripe-count=1
arrived want "$O/said"
is "layouts that were asked for" $FILES "$(number layouts)"

# Sizes that turns would not level.
mkdir mixed
head -c 12000000 /dev/urandom | split -a 3 -b 40000 - mixed/f
for i in $(seq 70); do head -c $((150000 + i * 40000)) /dev/urandom >mixed/large$i; done
spread mixed $N odd
for ((i = 0; i < N; i++)); do touch -r mixed odd.$i; done
at_most "level of unequal sizes" 1.05 level drained odd odd
arrived mixed "$O/odd"

# A default that names a target: no turns, so what is left is placed.
mkdir "$O/named"
setfattr -n lustre.lov -v 0xd00bd10b01000000000000000000000000000000000000000000100001000300 "$O/named" ||
	fail "default layout"
at_most "level where one target is named" 2 level drained keep named/d
arrived want "$O/named/d"
between "layouts that were asked for" $((FILES / 2)) "$(number layouts)" $((FILES - N))

# One that fails, and one that is slow: known, named, avoided, and everything comes.
set_ ost=5 failing
drained keep failing
arrived want "$O/failing"
says "target 5 is failing"
between "layouts that were asked for, one of eight failing" 1 "$(number layouts)" $((FILES / 3))
set_ ost=5 healthy
# It takes 0.7 s to be known; until then a place for each.
set_ mds-rate=400 ost-rate=10M ost=2 slow=200
# Some are placed, some go in turn, of 360 in all.
at_most "level without that" 1.3 "level 2" drained keep slow
arrived want "$O/slow"
says "target 2 is much slower than others"
between "layouts that were asked for, one of eight slow" 1 "$(number layouts)" $((FILES / 2))

# More of them than turns are worth: a place for each of what is left.
for i in 0 1 3; do set_ ost=$i slow=200; done
drained keep slower
arrived want "$O/slower"
between "layouts that were asked for, half of them slow" $((FILES / 4)) "$(number layouts)" $((2 * FILES))
finish
