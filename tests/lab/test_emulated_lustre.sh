#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The emulated Lustre does what its usage text says: layouts and their errors, data seen alike
# by all clients, counts, rates, faults, and that it leaves nothing behind.
. "$(dirname "$0")/../cli/lib.sh"
. "$(dirname "$0")/emul.sh"
EMUL_SERVER=$2 LAYOUT=$3
emul_begin cleanup t$$ || skip "$LACKS"
A=$WORK/fs/c0 B=$WORK/fs/c1 O=$WORK/fs/observer

# gives WANT ARG...: what the layout program prints
gives() {
	local want=$1
	shift
	is "layout $1 ${2##*/} ${*:3}" "$want" "$(timeout -k 5 20 "$LAYOUT" "$@" 2>&1)"
}
up() {
	timeout -k 5 60 "$emul" up --mount "$WORK/fs" --clients 2 --observer "$O" --osts 8 \
		--capacity 256M "$@" || exit 99
}
reset() { timeout -k 5 20 "$emul" stats --reset >"$WORK/stats"; }
# stat_of NAME: a number of the JSON object that stands in front of the lists
stat_of() {
	timeout -k 5 20 "$emul" stats --json | sed 's/"osts":.*//' |
		grep -o "\"$1\":[0-9.]*" | tail -n 1 | cut -d: -f2
}
# of_ost N NAME
of_ost() {
	timeout -k 5 20 "$emul" stats --json | grep -o "{\"ost\":$1,[^}]*" |
		grep -o "\"$2\":[0-9.]*" | cut -d: -f2
}
# seconds COMMAND...: how long it takes
seconds() {
	local from=$EPOCHREALTIME
	"$@" >/dev/null 2>"$WORK/err" || echo "failed: $*: $(cat "$WORK/err")" >&2
	awk -v a="$from" -v b="$EPOCHREALTIME" 'BEGIN {print b - a}'
}
# about NAME WANT COMMAND...: the seconds it prints are right within 15 %; the machine may be
# busy, so one of three tries has to be
about() {
	local name=$1 want=$2 got
	shift 2
	CHECKS=$((CHECKS + 1))
	for _ in 1 2 3; do
		got=$("$@")
		awk -v w="$want" -v g="$got" 'BEGIN {exit !(g > w * .85 && g < w * 1.15)}' && return
	done
	fail "$name: $got s, not about $want s"
}
# faster LIMIT SECONDS
faster() { awk -v l="$1" -v s="$2" 'BEGIN {exit !(s < l)}'; }
put() { timeout -k 5 30 dd conv=notrunc status=none "$@" 2>"$WORK/err"; }
# refuses TEXT COMMAND...: it fails with that message
refuses() {
	local want=$1
	shift
	CHECKS=$((CHECKS + 1))
	if timeout -k 5 30 "$@" >/dev/null 2>"$WORK/err"; then
		fail "no error: $*"
	else
		grep -qF "$want" "$WORK/err" || fail "$*: $(cat "$WORK/err")"
	fi
}

up ost-rate=none mds-rate=none mds-latency=0 handover=0

# Layouts, as bytes.
head -c 10000000 /dev/urandom >"$WORK/layout-data"
gives ok create "$A/list" 5,1,3
gives "0xbd10bd0 0x1 1048576 3 0xffff: 5 1 3" get "$B/list"
is "bytes of the attribute" 104 "$(getfattr -n lustre.lov --absolute-names --only-values "$A/list" | wc -c)"
gives ok create "$A/start" 5,1,3 65536 1 1
gives "0xbd10bd0 0x1 65536 3 0xffff: 1 3 5" get "$A/start"
gives ok create "$A/twice" 2,2 1048576 0x201
gives "0xbd10bd0 0x201 1048576 2 0xffff: 2 2" get "$A/twice"
gives ok count "$A/count" 4 131072
is "stripes by count" "131072 4" "$("$LAYOUT" get "$A/count" | cut -d' ' -f3,4)"
gives ok count "$A/wide" 65535
is "stripes on all OSTs" 8 "$("$LAYOUT" get "$A/wide" | cut -d' ' -f4)"
echo x >"$A/plain"
is "default layout" "0xbd10bd0 0x1 1048576 1 0xffff" "$("$LAYOUT" get "$A/plain" | cut -d: -f1)"
gives "0xbd10bd0 0x1 1048576 1 0xffff:" get "$A"
set_ lov=v3
gives "0xbd30bd0 0x1 1048576 3 0xffff: 5 1 3" get "$A/list"
set_ lov=v1
mkdir "$A/dir"
# V1, RAID0, 128 KiB, two stripes, any start
check "default layout of a directory" setfattr -n lustre.lov \
	-v 0xd00bd10b0100000000000000000000000000000000000000000002000200ffff "$A/dir"
mkdir "$A/dir/below"
echo x >"$A/dir/below/file"
is "inherited layout" "131072 2" "$("$LAYOUT" get "$B/dir/below/file" | cut -d' ' -f3,4)"
gives "0xbd10bd0 0x1 131072 2 0xffff:" get "$A/dir"

# Layouts that are refused.
gives "set EINVAL" create "$A/e1" 1,1
gives "set EINVAL" create "$A/e2" 8
gives "set EINVAL" create "$A/e3" 1,2 1048576 1 3
gives "set EINVAL" create "$A/e4" 1 65537
gives "set EINVAL" create "$A/e5" 1 1048576 4
gives "write EBADF" empty "$A/e6"
gives "get ENODATA" get "$A/e6"
gives ok set "$A/plain" 1,2,3
is "a layout stays" 1 "$("$LAYOUT" get "$A/plain" | cut -d' ' -f4)"

# Pools: round robin within one, nothing outside it.
set_ pool=flash:0-2 pool=disk:3-7 pool=one:4
is "members of a pool" "emul-OST0000_UUID emul-OST0001_UUID emul-OST0002_UUID" \
	"$(paste -sd ' ' "/run/ebt-emul-$EMUL/sysfs"/lov/emul-clilov-*/pools/flash)"
gives ok pool "$A/p1" flash 2 2,0
gives "0xbd30bd0 0x1 1048576 2 0xffff: 2 0" get "$B/p1"
gives "set EINVAL" pool "$A/p2" flash 1 3
gives "set EINVAL" pool "$A/p3" nopool 1
gives "set EINVAL" pool "$A/p4" nopool 1 3
gives ok pool "$A/p5" disk 65535
is "all of a pool" "3 4 5 6 7" \
	"$("$LAYOUT" get "$A/p5" | sed 's/.*: //' | tr ' ' '\n' | sort | paste -sd ' ')"
mkdir "$A/pooled"
gives "set EINVAL" pool "$A/pooled" nopool 1
gives "set EINVAL" pool "$A/pooled" flash 1 2
gives ok pool "$A/pooled" flash 1
mkdir "$A/pooled/below"
for k in 1 2 3 4 5 6; do echo x >"$A/pooled/below/$k"; done
is "default in a pool, each OST as often" "0 0 1 1 2 2" \
	"$(for k in 1 2 3 4 5 6; do "$LAYOUT" get "$A/pooled/below/$k" | sed 's/.*: //'; done |
		sort | paste -sd ' ')"
set_ pool=one:5
gives ok pool "$A/p6" one 1
is "a pool with other members" 5 "$("$LAYOUT" get "$A/p6" | sed 's/.*: //')"

# Composite layouts: one blob, objects where somebody wrote, data on the MDT.
mkdir "$A/orion"
gives ok parts "$A/orion" 256:0x100:256:0: 8192:1:1024:1:flash 0:1:1024:2:disk
mkdir "$A/orion/below"
gives "0 0 256 0x100 256 0 -:
0 256 8192 0x1 1024 1 flash:
0 8192 0 0x1 1024 2 disk:" get "$A/orion/below"
reset
head -c 262144 "$WORK/layout-data" >"$A/orion/below/tiny"
is "a file that fits on the MDT" 0 "$(stat_of layoutintent)"
gives "0x10 0 256 0x100 256 0 -:
0 256 8192 0x1 1024 1 flash:
0 8192 0 0x1 1024 2 disk:" get "$A/orion/below/tiny"
head -c 300000 "$WORK/layout-data" >"$A/orion/below/small"
is "a part that was missing" 1 "$(stat_of layoutintent)"
is "its objects" "1 0" "$("$LAYOUT" get "$A/orion/below/small" | sed 's/.*://' |
	sed -n '2p;3p' | wc -w) $("$LAYOUT" get "$A/orion/below/small" | sed -n '3s/.*://p' | wc -w)"
cp "$WORK/layout-data" "$A/orion/below/large"
check "data of three parts" cmp "$WORK/layout-data" "$B/orion/below/large"
for ost in $("$LAYOUT" get "$A/orion/below/large" | sed -n '3s/.*://p'); do
	check "OST $ost is of the disk pool" test "$ost" -ge 3
done
set_ attr-cache=60s
stat "$A/orion/below/large" >/dev/null
gives ok parts "$A/chosen" 256:0x100:256:0: 8192:1:1024:1:flash 0:1:1024:2:disk:6,4
reset
truncate -s 20M "$A/chosen"
is "as long as three parts" "1 1" "$(stat_of layoutintent) $(stat_of setattr)"
is "size" 20971520 "$(stat -c %s "$B/chosen")"
is "as it was chosen" "0x10 8192 0 0x1 1024 2 disk: 6 4" "$("$LAYOUT" get "$B/chosen" | tail -n 1)"
put if="$WORK/layout-data" of="$A/chosen" bs=1M
check "data where it was chosen" cmp -n 10000000 "$WORK/layout-data" "$B/chosen"
truncate -s 100000 "$B/chosen"
check "shortened" cmp "$A/chosen" <(head -c 100000 "$WORK/layout-data")
truncate -s 9M "$A/chosen"
is "zeros behind" 0 "$(tail -c 9000000 "$B/chosen" | tr -d '\0' | wc -c)"
gives "set EINVAL" parts "$A/c1" 256:0x100:256:0: 0:1:1024:1:disk:2
gives "set EINVAL" parts "$A/c2" 256:1:1024:1: 0:1:1024:1:disk
gives "set EINVAL" parts "$A/c3" 1024:1:1024:1: 0:0x100:1024:0:
gives "set EINVAL" parts "$A/c4" 1024:1:1024:1:
gives "set EINVAL" parts "$A/c5" 1024:1:1024:1: 0:1:1024:1:nopool
set_ ost=6 full
gives "set ENOSPC" parts "$A/c6" 1024:1:1024:1: 0:1:1024:1:disk:6
set_ ost=6 healthy
rm -r "$A/orion" "$A/chosen" "$A"/p[1-6] "$A/pooled"

# Silent refusal: nothing done, or the default in its place.
set_ refuse-layouts=1
gives ok create "$A/r1" 1,2,3
gives "get ENODATA" get "$A/r1"
check "a file without layout is opened and written" put if="$A/plain" of="$A/r1"
is "its layout" 1 "$("$LAYOUT" get "$A/r1" | cut -d' ' -f4)"
set_ refuse-layouts=default
gives ok create "$A/r2" 1,2,3
is "default instead" 1 "$("$LAYOUT" get "$A/r2" | cut -d' ' -f4)"
set_ refuse-layouts=0
refuses "not known" "$emul" set refuse=1
refuses "ost=8" "$emul" set ost=8 full

# Two clients write interleaved stripes of 64 KiB; both and the objects agree with a copy.
head -c 4000000 /dev/urandom >"$WORK/data"
"$LAYOUT" create "$A/shared" 0,1,2 65536 >/dev/null
for half in 0 1; do
	client=$A
	[ $half = 0 ] || client=$B
	(for ((k = half; k < 62; k += 2)); do
		put if="$WORK/data" of="$client/shared" bs=65536 count=1 skip=$k seek=$k || exit 1
	done) &
	writers[half]=$!
done
for pid in "${writers[@]}"; do check "writer" wait "$pid"; done
check "seen by the first" cmp "$WORK/data" "$A/shared"
check "seen by the second" cmp "$WORK/data" "$B/shared"
check "seen by the observer" cmp "$WORK/data" "$O/shared"
backing=$(cat "/run/ebt-emul-$EMUL/backing")
is "bytes in objects of OST 1" 1313024 "$(find "$backing/ost0001" -size +1000k -printf '%s\n')"
# A writer seen to append by the other client
echo more >>"$B/plain"
is "appended" "x more" "$(tr '\n' ' ' <"$A/plain" | sed 's/ $//')"
is "size elsewhere" 7 "$(stat -c %s "$A/plain")"

# Extent locks: hand-overs are counted, one object at a time.
"$LAYOUT" create "$A/lock" 4,5 65536 >/dev/null
put if="$WORK/data" of="$A/lock" bs=65536 count=2
reset
put if="$WORK/data" of="$A/lock" bs=65536 count=2
is "no hand-over to oneself" 0 "$(stat_of handovers)"
put if="$WORK/data" of="$B/lock" bs=65536 count=1
is "hand-over of one object" "1 0" "$(of_ost 4 handovers) $(of_ost 5 handovers)"
cat "$A/lock" >/dev/null
is "reading what another wrote" "2 0" "$(of_ost 4 handovers) $(of_ost 5 handovers)"
cat "$A/lock" >/dev/null
cat "$O/lock" >/dev/null
is "readers share" 2 "$(stat_of handovers)"

# What the MDS is asked.
reset
gives ok drain "$A/drained" 3
is "requests of a drained file" 4 "$(stat_of total)"
kinds() {
	"$emul" stats --json | sed 's/"osts":.*//; s/.*"kinds"://' | grep -oE '"[a-z]+":[1-9]' |
		tr -d '"' | paste -sd ' '
}
is "what they were" "create:1 setattr:1 setlayout:1 rename:1" "$(kinds)"
is "times of a drained file" 1000000000 "$(stat -c %Y "$B/drained")"
reset
for _ in 1 2 3; do stat "$A/drained" >/dev/null; done
is "what a client knows" 0 "$(stat_of total)"
for _ in 1 2 3; do stat "$B/drained" >/dev/null; done
is "what it knew before" 0 "$(stat_of total)"
chmod 600 "$A/drained"
for _ in 1 2 3; do stat -c %a "$B/drained" >"$WORK/mode"; done
is "mode from elsewhere" 600 "$(cat "$WORK/mode")"
is "asked again once" 2 "$(stat_of total)"
[ ! -e "$A/not-there" ]
is "names that do not exist" 2 "$(stat_of total)"
set_ attr-cache=60s
for _ in 1 2 3; do stat "$B/drained" >/dev/null; done
is "forgotten at once" 3 "$(stat_of total)"
mkdir "$A/many"
for ((k = 0; k < 1500; k++)); do : >"$A/many/$k"; done
reset
is "names in a directory" 1502 "$(find "$B/many" -maxdepth 0 -exec ls -f {} + | wc -l)"
is "names in requests" 2 "$(stat_of readdir)"

# A tree with links of both kinds, attributes and lists.
make_tree "$WORK/tree"
reset
if command -v rsync >/dev/null; then
	check "rsync" rsync -aHAX "$WORK/tree/" "$A/tree/"
	same "$WORK/tree" "$B/tree"
else
	cp -a "$WORK/tree" "$A/tree"
fi
check "diff of trees" diff -r --no-dereference "$WORK/tree" "$B/tree"
is "hard links" "$(stat -c %h "$WORK/tree/a/hello")" "$(stat -c %h "$B/tree/a/hello")"
tar -C "$WORK/tree" -cf - . | (mkdir "$A/tar" && tar -C "$A/tar" -xpf - 2>"$WORK/err")
check "tar" diff -r --no-dereference "$WORK/tree" "$B/tar"
cp "$(type -P true)" "$A/program"
check "a program runs from it" "$B/program"
chmod 700 "$A/dir"
refuses "Permission" setpriv --reuid=12345 --regid=12345 --clear-groups ls "$B/dir"

# Holes.
"$LAYOUT" create "$A/sparse" 0,1,2 65536 >/dev/null
truncate -s 3T "$A/sparse"
put if="$WORK/data" of="$A/sparse" bs=64K count=1 seek=1000
is "size of a sparse file" 3298534883328 "$(stat -c %s "$B/sparse")"
is "its blocks" 128 "$(stat -c %b "$B/sparse")"
truncate -s 100M "$B/sparse"
cp --sparse=auto "$A/sparse" "$WORK/sparse"
check "a copy of it" cmp "$A/sparse" "$WORK/sparse"
check "its copy has holes" test "$(stat -c %b "$WORK/sparse")" -le 256
truncate -s 65537 "$A/list"
truncate -s 1000000 "$A/list"
is "truncated twice" 1000000 "$(stat -c %s "$B/list")"
gives "rename EINVAL" rename "$A/plain" "$A/other" 1

# Times as the file system keeps them.
for unit in 1s:000000000 1ms:987000000 1us:987654000 100ns:987654300 1ns:987654321; do
	set_ time-unit=${unit%:*}
	touch -d '2001-02-03 04:05:06.987654321 UTC' "$A/plain"
	is "a time in units of ${unit%:*}" "2001-02-03 04:05:06.${unit#*:}" \
		"$(TZ=UTC stat -c %y "$A/plain" | cut -d' ' -f1,2)"
done

# Targets that fail.
sysfs=/run/ebt-emul-$EMUL/sysfs
state() { cat "$sysfs"/osc/emul-OST000"$1"-osc-*/"$2"; }
for k in 0 1 2 3 4; do gives ok create "$A/fault$k" $k; done
set_ ost=0 full ost=1 readonly ost=2 inactive ost=3 failing ost=4 degraded
refuses "No space left" dd if="$WORK/data" of="$A/fault0" conv=notrunc
refuses "Read-only" dd if="$WORK/data" of="$A/fault1" conv=notrunc
refuses "Input/output" dd if="$WORK/data" of="$A/fault2" conv=notrunc
refuses "Input/output" dd if="$WORK/data" of="$A/fault3" conv=notrunc
check "degraded works" put if="$WORK/data" of="$A/fault4"
gives "set ENOSPC" create "$A/new0" 5,0
gives "set EROFS" create "$A/new1" 1
gives "set EREMOTEIO" create "$A/new2" 2
gives ok create "$A/new3" 3
gives ok count "$A/rest" 65535
is "OSTs for default layouts" "3 5 6 7" \
	"$("$LAYOUT" get "$A/rest" | sed 's/.*: //' | tr ' ' '\n' | sort | paste -sd ' ')"
is "states" S,R,,D, "$(for k in 0 1 5 4; do echo "$(state $k statfs_state),"; done | tr -d '\n')"
is "room" 0 "$(state 0 kbytesavail)"
is "inactive" "2: emul-OST0002_UUID INACTIVE" "$(sed -n 3p "$sysfs"/lov/emul-clilov-*/target_obd)"
set_ ost=all healthy
check "healthy again" put if="$WORK/data" of="$A/fault3"
set_ quota=1M
refuses "quota" dd if="$WORK/data" of="$A/fault4" conv=notrunc bs=64K
set_ quota=none
refuses "No space left" dd if=/dev/zero of="$A/fault5" bs=1M count=300

# Rates. Every measurement starts with nothing queued.
set_ ost-rate=10M window=8M handover=300ms
gives ok create "$A/rate" 6
gives ok create "$A/window" 7
zeros() { put if=/dev/zero bs=1M "$@"; }
synced() { seconds zeros of="$A/rate" count="$1" conv=fsync; }
about "16 MiB to one OST" 1.68 synced 16
check "the window takes 8 MiB" faster .3 "$(seconds zeros of="$A/window" count=8)"
rm "$A/window"
gives ok create "$A/window" 7
check "what was deleted is not served" faster .6 \
	"$(seconds zeros of="$A/window" count=4 conv=fsync)"
taken_over() {
	zeros of="$A/rate" count=4 conv=fsync
	zeros of="$A/rate" count=4
	seconds put if=/dev/zero of="$B/rate" bs=64K count=1
}
about "a hand-over behind 4 MiB" .72 taken_over
zeros of="$A/rate" count=1 conv=fsync
set_ ost=6 slow=3
about "a slow OST" 1.26 synced 4
set_ mds-rate=100 mds-latency=20ms
some=$A/many/new
fifty() { for ((k = 0; k < 50; k++)); do : >"$some$k"; done; }
created() {
	some=$some.
	seconds fifty
}
about "50 creations of 10 + 20 ms" 1.5 created

# Nothing is left of what is deleted.
set_ mds-rate=none mds-latency=0
rm -rf "${A:?}"/*
is "objects of deleted files" "" "$(find "$backing"/ost* -type f)"
is "space of deleted files" 0 "$(of_ost 3 bytes_used)"

# The server is killed; nothing is left.
read -r server _ <"/run/ebt-emul-$EMUL/server.pid"
kill -KILL "$server"
refuses "$A" ls "$A"
check "down" timeout -k 5 60 "$emul" down
check "no mount is left" test -z "$(grep "$WORK/fs" /proc/self/mountinfo)"
check "no folder is left" test ! -e "$WORK/fs"
check "no state is left" test ! -e "/run/ebt-emul-$EMUL"
check "no data is left" test ! -e "$backing"
check "down again" timeout -k 5 60 "$emul" down
refuses "not up" "$emul" stats
finish
