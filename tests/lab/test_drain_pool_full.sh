#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A pool of an emulated Lustre is full, or smaller than what is to come: files of that pool that
# find no room are named, those of other pools and what needs none of it go on. All ranks are on
# this machine.
EMUL_SERVER=${2:+$(readlink -f "$2")} LAYOUT=${3:+$(readlink -f "$3")}
cli=$(cd "$(dirname "$0")/../cli" && pwd)
. "$cli/lib.sh"
. "$cli/drain.sh"
. "$(dirname "$0")/emul.sh"
cd "$WORK" || exit 99
emul_begin cleanup t$$ || skip "$LACKS"
N=2
O=$WORK/observer
timeout -k 5 60 "$emul" up --mount "$WORK/fs" --observer "$O" --osts 6 --capacity 512M \
	ost-rate=none mds-rate=none mds-latency=0 handover=0 rename-flags=1 \
	pool=flash:0-1 pool=disk:2-5 || exit 99
eval "$("$emul" env)"
lay() { is "layout of ${2##*/}" ok "$(timeout -k 5 20 "$LAYOUT" "$@")"; }
# drained DIR STATUS OPTION...
drained() {
	local dir=$1 want=$2
	shift 2
	expect "$want" $N --json "$@" "$WORK/s.%r" "$WORK/fs/$dir"
}
# count DIR PATTERN: what has come
count() { find "$O/$1" -path "$O/$1/$2" -type f 2>/dev/null | wc -l; }
# whole DIR: what has come is as it has to be
whole() {
	local f
	CHECKS=$((CHECKS + 1))
	for f in $(cd "$O/$1" && find . -type f); do
		cmp -s "want/$f" "$O/$1/$f" || fail "not as it was: $f"
	done
	tidy "$O/$1"
}
fill() {
	local r
	rm -rf s.?
	for ((r = 0; r < N; r++)); do cp -a keep.$r s.$r; done
}

mkdir -p want/fast want/slow
for i in $(seq 60); do head -c $((270000 + i * 999)) /dev/urandom >want/fast/f$i; done
for i in $(seq 40); do head -c $((340000 + i * 999)) /dev/urandom >want/slow/f$i; done
for i in $(seq 3); do head -c $((12000000 + i * 99999)) /dev/urandom >want/slow/large$i; done
spread want $N keep

what="a directory with a pool of its own, which is full"
mkdir -p "$O/dirs/fast"
lay pool "$O/dirs" disk 1
lay pool "$O/dirs/fast" flash 1
set_ ost=0-1 full
fill
drained dirs 3 --delete
is "in the full pool" 0 "$(count dirs 'fast/*')"
is "in the other one" 43 "$(count dirs 'slow/*')"
is "not done" 60 "$(number failed)"
is "named" 60 "$(grep -c '"kind":"missing","path":"fast/' out)"
check "few lines: $(wc -l <err)" test "$(wc -l <err)" -le 16
is "left in the stores" 60 "$(find s.? -name .ebt -prune -o -type f -print | wc -l)"
whole dirs
what="--strict"
drained dirs 1 --strict
says "No space left"
what="there is room again"
set_ ost=0-1 healthy
drained dirs 0 --delete
is "in the pool that was full" 60 "$(count dirs 'fast/*')"
whole dirs

# First 64 KiB on the metadata server, to 8 MiB in one pool, the rest in another.
what="the pool of large files is full"
mkdir "$O/tiers"
lay parts "$O/tiers" 64:0x100:64:0: 8192:1:1024:1:flash 0:1:1024:2:disk
set_ ost=2-5 full
fill
drained tiers/out 3
is "large ones" 0 "$(count tiers/out 'slow/large*')"
is "others" 100 "$(count tiers/out '*/f*')"
is "not done" 3 "$(number failed)"
whole tiers/out
what="--strict"
drained tiers/out 1 --strict
what="then there is room"
set_ ost=2-5 healthy
drained tiers/out 0
is "large ones" 3 "$(count tiers/out 'slow/large*')"
whole tiers/out

# What is to come is known, and the room there is too.
what="a pool that is too small"
mkdir "$O/small"
lay pool "$O/small" disk 1
rm -rf "$O/dirs" "$O/tiers"
set_ ost=2-5 capacity=12M
fill
drained small/out 3
says "what fits is brought"
says "pool disk"
is "small ones" 60 "$(count small/out 'fast/*')"
is "not done" $((103 - $(count small/out '*'))) "$(number failed)"
whole small/out
what="too small, --strict"
drained small/out 1 --strict
says "pool disk"
set_ ost=2-5 capacity=512M
what="large enough"
drained small/out 0
is "all" 103 "$(count small/out '*')"
whole small/out

# Nothing has room: what is not content comes, each file is named, and so it is when there is some.
what="all targets are full"
set_ ost=all full
drained full/out 3
is "$what: files" 0 "$(count full/out '*')"
is "$what: not done" 103 "$(number failed)"
exists "$O/full/out/slow"
drained full/out 1 --strict
says "no storage target takes files"
set_ ost=all healthy
drained full/out 0
is "$what, then not" 103 "$(count full/out '*')"
whole full/out
what=
finish
