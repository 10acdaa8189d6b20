#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# What a killed drain leaves, in special cases: in the middle of freeing, of a target that is to
# appear as a whole, with a journal that is torn, damaged or of another drain, and with outputs
# or targets that change between the runs.
BUDGET=${BUDGET:-45}
. "$(dirname "$0")/drain.sh"

# halfway ARG...: a run killed when some files are in place and others are not
# Files of one node and one name that have arrived.
in_place() { (cd top/d 2>/dev/null && ls deep/large[2-6] many/f[1-9]* 2>/dev/null); }
halfway() {
	fresh
	start --rate=10M "$@"
	all_ranks >/dev/null
	until [ "$(in_place | wc -l)" -ge 2 ] || [ ! -d "/proc/$launcher" ]; do sleep 0.005; done
	strike rank$((RANDOM % 3))
	ended 30
	check "$what: killed in time" test $status -ne 0
	complete_as_seen
}

# content_of_want: as far as it can be the same where the journal was lost
content_of_want() {
	local diff
	CHECKS=$((CHECKS + 1))
	diff=$(rsync -naHAXS --omit-dir-times --checksum --delete -i --exclude='.ebt-drain-*' want/ top/d/ 2>&1)
	[ -z "$diff" ] || fail "$what: $diff"
}
# Freeing: it begins when files are durable, so wait for the first that is gone.
for how in rank0 rank1 rank2 launcher term; do
	over && break
	what="$how killed while files are freed"
	fresh
	start --delete
	all_ranks >/dev/null
	left=$(find s.? -name '.ebt*' -prune -o -type f -print | wc -l)
	while [ "$(find s.? -name '.ebt*' -prune -o -type f -print | wc -l)" -eq "$left" ] && [ -d "/proc/$launcher" ]; do :; done
	strike $how
	ended 30
	settle --delete
done

# --atomic: before the end there is nothing, and what was durable is not written again.
inside() { find top/.d.ebt-drain-*/ -name '.ebt*' -prune -o ! -type d -printf '%i %P\n' 2>/dev/null | sort; }
hidden=0
for how in rank0 term rank2 launcher rank1; do
	for share in 2 4 end; do
		[ $hidden -gt 0 ] && over && break 2
		what="--atomic, $how after $share"
		if [ $share = end ]; then
			fresh
			start --atomic
			all_ranks >/dev/null
			until_there top/d
			strike $how
			ended 30
		else
			fault $how $share 6 1200 --atomic --rate=15M
		fi
		[ $status -ne 0 ] || continue
		if [ -e top/d ]; then
			arrived want top/d
			seen >before
		else
			inside >before
			[ -s before ] && hidden=$((hidden + 1))
		fi
		expect 0 $N "${args[@]}" --atomic "$WORK/s.%r" "$WORK/top/d" || fail "$what: run again"
		arrived want top/d
		check "$what: nothing is written twice" test -z "$(seen | comm -23 before - | head -3)"
	done
done
check "durable files were under the hidden directory" test $hidden -gt 0

# The journal of another drain.
what="a drain to somewhere else"
halfway
seen >before
expect 1 $N "${args[@]}" "$WORK/s.%r" "$WORK/top/e"
says "$WORK/top/d"
nothing_at top/e
check "$what: the first is left alone" diff before <(seen)
expect 0 $N --restart "${args[@]}" "$WORK/s.%r" "$WORK/top/e"
arrived want top/e
check "$what: the first is left alone still" diff before <(seen)
rm -rf top/e

# The end of the journal is torn: a record that was being written when all died. One that says it
# ends before the file does was written as a whole, so it is damaged, which is told.
torn=(1 7 "zeros" "noise" "half" "short")
for ((k = 0; k < ${#torn[@]}; k++)); do
	over && break
	what="a journal torn: ${torn[k]}"
	halfway
	for r in 0 1 2; do
		[ -s s.$r/.ebt/drain ] || continue
		case ${torn[k]} in
		zeros) head -c 100 /dev/zero >>s.$r/.ebt/drain ;;
		noise) { printf '\377\377\377\377' && head -c 100 /dev/urandom; } >>s.$r/.ebt/drain ;;
		half) { printf '\377\377\0\0' && tail -c 40 s.$r/.ebt/drain; } >tail && cat tail >>s.$r/.ebt/drain ;;
		short) { printf '\1\0\0\0' && tail -c 40 s.$r/.ebt/drain; } >tail && cat tail >>s.$r/.ebt/drain && again=3 ;;
		*) head -c "${torn[k]}" s.$r/.ebt/drain >tail && cat tail >>s.$r/.ebt/drain ;;
		esac
	done
	again
	again=
done
# What was proven is cut off, too: the targets are somebody's then, unless the user says so.
for cut in 1 60 1000; do
	over && break
	what="a journal that lost $cut bytes"
	halfway
	for r in 0 1 2; do
		[ -s s.$r/.ebt/drain ] && truncate -s -$cut s.$r/.ebt/drain 2>/dev/null
	done
	expect 0 $N "${args[@]}" --overwrite=update "$WORK/s.%r" "$WORK/top/d"
	content_of_want
done
# Damaged altogether: as if it were not there, which is told unless it is empty. What belonged to that run cannot be told then.
for damage in noise zeros empty flipped; do
	over && break
	what="a damaged journal: $damage"
	halfway
	for r in 0 1 2; do
		case $damage in
		noise) head -c 3000 /dev/urandom >s.$r/.ebt/drain ;;
		zeros) head -c 3000 /dev/zero >s.$r/.ebt/drain ;;
		empty) : >s.$r/.ebt/drain ;;
		flipped) printf '\377' | dd of=s.$r/.ebt/drain bs=1 seek=$((5 + r * 90)) conv=notrunc status=none ;;
		esac
	done
	case $damage in
	noise | flipped) expect 3 $N "${args[@]}" --restart --overwrite=update "$WORK/s.%r" "$WORK/top/d" ;;
	*) expect 0 $N "${args[@]}" --restart --overwrite=update "$WORK/s.%r" "$WORK/top/d" ;;
	esac
	content_of_want
done
what="a planted journal"
fresh
mkdir -m 700 s.1/.ebt
echo precious >precious
ln -s "$WORK/precious" s.1/.ebt/drain
expect 1 $N "${args[@]}" --strict "$WORK/s.%r" "$WORK/top/d"
says ".ebt/drain is a link"
nothing_at top/d
check "$what: what it points to is left alone" test "$(cat precious)" = precious
fresh
mkdir -m 700 s.1/.ebt
ln -s "$WORK/precious" s.1/.ebt/drain
expect 3 $N "${args[@]}" "$WORK/s.%r" "$WORK/top/d"
says ".ebt/drain is a link"
content_of_want
check "$what: what it points to" test "$(cat precious)" = precious

# Killed again and again.
what="killed four times"
halfway
for how in rank1 launcher term; do
	start --rate=20M
	all_ranks >/dev/null
	after 1 3 1000
	strike $how
	ended 30
	complete_as_seen
	nothing_lost
done
again

# Between the runs an output changes that was in place, one comes, and one goes.
what="outputs that change between the runs"
halfway
first=$(in_place | head -n 1)
source=$(ls s.?/"$first")
echo "changed meanwhile" >"$source"
echo "new meanwhile" >s.1/many/new
expect 0 $N "${args[@]}" "$WORK/s.%r" "$WORK/top/d"
check "$what: changed" test "$(cat top/d/"$first")" = "changed meanwhile"
check "$what: new" test "$(cat top/d/many/new)" = "new meanwhile"
rm top/d/many/new
cp -p want/"$first" top/d/"$first"
check "$what: the rest" diff -r --no-dereference want top/d

# Somebody removes or changes in DEST what was in place.
what="targets that change between the runs"
halfway
mapfile -t there < <(in_place | head -n 2)
rm top/d/"${there[0]}"
expect 0 $N "${args[@]}" "$WORK/s.%r" "$WORK/top/d"
arrived_beside want top/d
halfway
mapfile -t there < <(in_place | head -n 2)
echo somebody >top/d/"${there[1]}"
expect 1 $N "${args[@]}" --overwrite=refuse "$WORK/s.%r" "$WORK/top/d"
says "${there[1]}"
check "$what: somebody's file" test "$(cat top/d/"${there[1]}")" = somebody
expect 4 $N "${args[@]}" "$WORK/s.%r" "$WORK/top/d"
check "$what: somebody's file stays" test "$(cat top/d/"${there[1]}")" = somebody
check "$what: ours beside it" cmp want/"${there[1]}" top/d/"${there[1]}.ebt-new"
rm top/d/"${there[1]}.ebt-new"
cp -p want/"${there[1]}" top/d/"${there[1]}"
check "$what: the rest" diff -r --no-dereference want top/d
echo "$tried kills while freeing: $complete complete, $partly partly there, $nothing without a trace"
finish
