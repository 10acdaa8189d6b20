#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Drains to an emulated Lustre whose directories have default layouts with pools: all of them is
# kept but which targets of its pools a file gets, and these are level.
EMUL_SERVER=${2:+$(readlink -f "$2")} LAYOUT=${3:+$(readlink -f "$3")}
LAB_RATE=1gbit LAB_NODES=3
cli=$(cd "$(dirname "$0")/../cli" && pwd)
. "$(dirname "$0")/lab.sh"
. "$cli/drain.sh"
. "$(dirname "$0")/emul.sh"
cd "$WORK" || exit 99
emul_begin lab_end || skip "$LACKS"

mkdir -p want/sub
for i in $(seq 30); do head -c $((100000 + i * 1999)) /dev/urandom >want/sub/tiny$i; done
for i in $(seq 9); do head -c 1M /dev/urandom >want/sub/mid$i; done
for i in $(seq 18); do head -c $((9500000 + i * 250000)) /dev/urandom >want/large$i; done
spread want $N keep
for ((i = 0; i < N; i++)); do touch -r want keep.$i; done
fill() {
	local i
	for ((i = 0; i < N; i++)); do
		on $i rm -rf /local/job
		on $i cp -a "$WORK/keep.$i" /local/job || fail "node $i cannot be filled"
	done
}

emul_up "$WORK/fs" --osts 8 --capacity 512M handover=0 rename-flags=1 pool=flash:0-1 pool=disk:2-7
lay() { timeout -k 5 20 "$LAYOUT" "$@"; }
# drained DIR STATUS OPTION...
drained() {
	local dir=$1 want=$2
	shift 2
	reset
	run "$want" --json "$@" /local/job "/lustre/$dir"
}
# level FROM TO: largest by mean of the bytes that drained files put on OSTs FROM to TO
level() {
	stats | grep -o '{"ost":[0-9]*,[^}]*' | sed 's/.*"ost":\([0-9]*\).*"bytes_written":\([0-9]*\).*/\1 \2/' |
		awk -v a="$1" -v b="$2" '$1 >= a && $1 <= b {s += $2; n++; m = $2 > m ? $2 : m}
			END {printf "%.3f\n", s ? m * n / s : 0}'
}
# of the worse pool. The file system's round robin deals out objects, not bytes: those of large files go round too.
worse_level() { { level 0 1; level 2 7; } | sort -n | tail -n 1; }
# refilled DIR OPTION...: all of it once more
refilled() {
	local dir=$1
	shift
	rm -rf "$O/$dir"
	fill
	drained "$dir" 0 "$@"
}
# parts FILE: without targets
parts() { lay get "$1" | sed 's/:.*//'; }

# First 256 KiB on the metadata server, to 8 MiB in one pool, the rest in another.
mkdir "$O/tiers"
is "default layout" ok "$(lay parts "$O/tiers" 256:0x100:256:0: 8192:1:1024:1:flash 0:1:1024:2:disk)"
at_most "both pools are level" 1.05 worse_level refilled tiers/out
arrived want "$O/tiers/out"
is "tiers of a large file" "0x10 0 256 0x100 256 0 -
0x10 256 8192 0x1 1024 1 flash
0x10 8192 0 0x1 1024 2 disk" "$(parts "$O/tiers/out/large1")"
is "tiers of a tiny one" "0x10 0 256 0x100 256 0 -
0 256 8192 0x1 1024 1 flash
0 8192 0 0x1 1024 2 disk" "$(parts "$O/tiers/out/sub/tiny1")"
is "refused" 0 "$(number refused)"
is "layouts that were asked for" 18 "$(number layouts)"
is "hand-overs" 0 "$(stats | grep -o '"handovers":[0-9]*' | tail -n 1 | cut -d: -f2)"
got=$(jq 'select(.type == "result").level' out)
check "it says so, pool by pool: $got" awk -v g="$got" 'BEGIN {exit !(g >= 1 && g <= 1.05)}'
# What fits on the metadata server: nothing but create, attributes, rename.
mkdir keep.t
cp -a want/sub/tiny* keep.t
for ((i = 0; i < N; i++)); do on $i rm -rf /local/job; on $i mkdir /local/job; done
on 0 cp -a "$WORK/keep.t/." /local/job
drained tiers/tiny 0
is "requests for 30 files" "30 30 30 0 0" "$(for k in create setattr rename setlayout layoutintent; do
	n=$(requests $k)
	[ $k != setattr ] && [ $k != create ] || n=$((n > 30 ? n - 1 : n)) # of the directory
	echo "${n:-0}"
done | paste -sd ' ')"

# A pool alone, and one that the command line names instead.
mkdir "$O/one"
is "default layout" ok "$(lay pool "$O/one" disk 1)"
at_most "the pool is level" 1.05 "level 2 7" refilled one/out
arrived want "$O/one/out"
is "pool and stripe size of a file" "0xbd30bd0 0x1 1048576 1" \
	"$(lay get "$O/one/out/sub/tiny1" | cut -d' ' -f1-4)"
is "bytes outside the pool" 0.000 "$(level 0 1)"

drained one/named 0 --pool=flash
arrived want "$O/one/named"
is "pool of the command line" "0xbd30bd0 1" "$(lay get "$O/one/named/large3" | cut -d' ' -f1,4)"
is "bytes outside the pool" 0.000 "$(level 2 7)"
drained one/none 1 --pool=lost
check "an unknown pool is named" grep -q 'no pool "lost"' err
check "nothing is there" test ! -e "$O/one/none"

# A directory below that has another default is its own master.
mkdir -p "$O/mixed/sub"
is "default layout" ok "$(lay pool "$O/mixed" disk 1)"
is "another one" ok "$(lay pool "$O/mixed/sub" flash 1)"
fill
drained mixed 0
arrived_beside want "$O/mixed"
bad=$(for f in "$O"/mixed/sub/*; do lay get "$f" | sed 's/.*: //'; done | awk '$1 > 1' | wc -l)
is "files outside of its pool" 0 "$bad"

# Two stripes, said by the directory.
mkdir "$O/two"
is "default layout" ok "$(lay pool "$O/two" flash 2)"
fill
drained two/out 0
is "stripes" "1048576 2" "$(lay get "$O/two/out/large3" | cut -d' ' -f3,4)"
is "stripes of a small one" "1048576 2" "$(lay get "$O/two/out/sub/mid3" | cut -d' ' -f3,4)"

# A target of the pool is full: others of the pool take its part, none else.
set_ ost=3 full
fill
drained tiers/full 0
arrived want "$O/tiers/full"
check "nothing on the full one" test -z \
	"$(for f in "$O"/tiers/full/large*; do lay get "$f" | sed -n '3s/.*://p'; done | tr ' ' '\n' | grep -x 3)"
set_ ost=3 healthy

# One that leaves the pool while nobody looks: the file system places those files.
set_ ost-state=stale pool=disk:3-7
fill
drained tiers/left 0
arrived want "$O/tiers/left"
check "refused: $(number refused)" test "$(number refused)" -gt 0
set_ ost-state=now
finish
