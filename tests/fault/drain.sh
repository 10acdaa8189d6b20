# SPDX-License-Identifier: BSD-3-Clause
# Drains in the background that something happens to, and what has to hold afterwards: all that
# can be seen is complete, nothing is lost, and the same run again finishes without writing
# anything twice. Sourced by the tests of drains, after which lib.sh, fault.sh and drain.sh of
# the tests of commands are in use. Stores keep.R hold the outputs, want is what they make.
cli=$(cd "$(dirname "$0")/../cli" && pwd)
. "$(dirname "$0")/fault.sh"
. "$cli/drain.sh"

mkdir -p want/many want/empty "want/deep/er"
for i in $(seq 90); do head -c $((i * 331)) /dev/urandom >want/many/f$i; done
for i in $(seq 20); do
	mkdir want/d$i
	echo "file $i" >want/d$i/f
done
for i in 1 2 3 4 5 6; do head -c 1500000 /dev/urandom >want/deep/large$i; done
truncate -s 20M want/deep/er/sparse
printf data | dd of=want/deep/er/sparse bs=1M seek=11 conv=notrunc status=none
ln want/deep/large1 want/hard1
ln want/deep/large1 want/deep/er/hard2
ln -s many/f1 want/link
touch -d '2005-05-05 05:05:05.5 UTC' want/deep want
# A file that all nodes have a part of.
head -c 3000000 /dev/urandom >want/shared
spread want $N keep
rm keep.?/shared
for i in 0 1 2; do
	truncate -s 3000000 keep.$i/shared
	dd if=want/shared of=keep.$i/shared bs=100000 skip=$((i * 10)) seek=$((i * 10)) count=10 conv=notrunc status=none
	touch -r want/shared keep.$i/shared
	touch -r want keep.$i
done
files=$(find want ! -type d | wc -l)
(cd want && find . -type f -print0 | xargs -0 sha256sum | sort) >sums
args=(--conflict=merge)
tried=0 complete=0 partly=0 nothing=0 kept=0

# fresh: stores as they were, and no target
fresh() {
	local r
	rm -rf s.? top
	mkdir top
	for ((r = 0; r < N; r++)); do cp -a keep.$r s.$r; done
}
# start ARG...: a drain to top/d in the background
start() { begin "${args[@]}" "$@" "$WORK/s.%r" "$WORK/top/d"; }
# Temporary names are EBT's, everything else is seen by users.
seen() { find top/d -name '.ebt*' -prune -o ! -type d -printf '%i %P\n' 2>/dev/null | sort; }
# Whatever has a final name is what it has to be, all of it.
complete_as_seen() {
	local bad
	CHECKS=$((CHECKS + 1))
	[ -d top/d ] || return 0
	bad=$(cd top/d && find . -name '.ebt*' -prune -o -type f -print0 | xargs -0 -r sha256sum | sort |
		comm -13 ../../sums - | head -3)
	[ -z "$bad" ] || fail "$what: visible, but not complete: $bad"
	bad=$(find top/d -name '.ebt*' -prune -o ! -type d -printf '%P %m %s %T@ %l\n' | sort |
		comm -13 <(find want ! -type d -printf '%P %m %s %T@ %l\n' | sort) - | head -3)
	[ -z "$bad" ] || fail "$what: visible, but not with its attributes: $bad"
}
# Each output is on a node still, or complete in the target.
nothing_lost() {
	local lost r
	CHECKS=$((CHECKS + 1))
	lost=$(for d in s.0 s.1 s.2 top/d; do
		[ ! -d $d ] || (cd $d && find . -name '.ebt*' -prune -o -type f ! -name shared -print0 | xargs -0 -r sha256sum)
	done | sort -u | comm -23 <(grep -v ' ./shared$' sums) - | head -3)
	[ -z "$lost" ] || fail "$what: lost: $lost"
	CHECKS=$((CHECKS + 1))
	cmp -s top/d/shared want/shared && return
	for r in 0 1 2; do
		cmp -s s.$r/shared keep.$r/shared || fail "$what: the piece of node $r is lost"
	done
}
# again ARG...: the same run once more; what was seen before, but for $anew, stays the very same
# files. Status $again, if that is set.
again() {
	local missing
	seen | grep -v " ${anew:-/}\$" >before
	expect ${again:-0} $N "${args[@]}" "$@" "$WORK/s.%r" "$WORK/top/d" || fail "$what: run again"
	# Its directory was done with.
	arrived${anew:+_beside} want top/d
	CHECKS=$((CHECKS + 1))
	missing=$(seen | comm -23 before - | head -3)
	[ -z "$missing" ] || fail "$what: written twice: $missing"
	kept=$((kept + $(wc -l <before)))
}
# settle ARG...: what has to hold after the fault, and after the next run
settle() {
	tried=$((tried + 1))
	complete_as_seen
	nothing_lost
	if [ $status -eq 0 ]; then
		arrived want top/d
		complete=$((complete + 1))
	elif [ "$(seen | wc -l)" -gt 0 ]; then
		partly=$((partly + 1))
	else
		nothing=$((nothing + 1))
	fi
	again "$@"
	case " $* " in *" --delete "*)
		check "$what: freed in the end" test -z "$(find s.? -name .ebt -prune -o -type f -print)"
		;;
	esac
}
# after SHARE/STEPS LIFE: sleeps that part of a life
after() {
	local at=$(($3 * $1 / $2))
	sleep "$(printf '%d.%03d' $((at / 1000)) $((at % 1000)))"
}
# strike HOW: on the run that is going on
strike() {
	case $1 in
	rank[0-2]) kill -KILL "$(rank "${1#rank}")" 2>/dev/null ;;
	launcher) kill -KILL $launcher 2>/dev/null ;;
	term) kill -TERM $launcher 2>/dev/null ;;
	termrank[0-2]) kill -TERM "$(rank "${1#termrank}")" 2>/dev/null ;;
	esac
}
# fault HOW I STEPS LIFE ARG...
fault() {
	local how=$1 i=$2 steps=$3 span=$4
	shift 4
	what="$how after $i/$steps of $span ms, $*"
	fresh
	start "$@"
	all_ranks >/dev/null
	after $i $steps $span
	strike $how
	ended 30
}
