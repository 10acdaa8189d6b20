# SPDX-License-Identifier: BSD-3-Clause
# An emulated cluster of its own for one test: LAB_NODES nodes, LAB_RATE each way, a private
# /local on every node. Gone when the test ends, however it does. After this lib.sh is in use.
. "$(dirname "$0")/../cli/lib.sh"
lab=$(cd "$(dirname "$0")/../.." && pwd)/bench/lab
export LAB=t$$ EBT_LAUNCH=$LAUNCH
N=${LAB_NODES:-4}
RATE=${LAB_RATE:-200mbit}
S=
timeout -k 5 60 "$lab" check 2>"$WORK/err"
case $? in
0) ;;
77) skip "$(cat "$WORK/err")" ;;
*) cat "$WORK/err" >&2; exit 99 ;;
esac
lab_end() {
	timeout -k 5 60 "$lab" down
	cleanup
}
trap lab_end EXIT
timeout -k 5 120 "$lab" up "$N" "$RATE" || exit 99

# run STATUS ARG...: on all nodes, one rank each
run() {
	local want=$1 got
	shift
	CHECKS=$((CHECKS + 1))
	timeout -k 5 "$LIMIT" "$lab" mpi "$N" "$STAGE" --link="$RATE" "$@" \
		>"$WORK/out" 2>"$WORK/err" </dev/null
	got=$?
	[ "$got" -eq "$want" ] && return 0
	fail "exit status $got, not $want: $*"
	show
	return 1
}
on() { # NODE COMMAND...
	timeout -k 5 60 "$lab" exec "$@"
}
# Every node shows nothing in /local/job but .ebt
nothing_on_nodes() {
	local i left
	for ((i = 0; i < N; i++)); do
		CHECKS=$((CHECKS + 1))
		left=$(on $i find /local/job -mindepth 1 -path /local/job/.ebt -prune -o -mindepth 1 -print 2>/dev/null | head -3)
		[ -z "$left" ] || fail "visible on node $i: $left"
	done
}
clear_nodes() {
	local i
	for ((i = 0; i < N; i++)); do on $i rm -rf /local/job; done
}
# The manifest of a tree in lines: kind, mode, owner, time, size, links, name; then content.
cat >"$WORK/list.sh" <<'X'
cd "$1" || exit 1
find . -mindepth 1 -path ./.ebt -prune -o -mindepth 1 -printf '%y %m %U:%G %T@ %n %P\0' | sort -z
find . -path ./.ebt -prune -o -type f -printf '%P %s\0' | sort -z
find . -path ./.ebt -prune -o -type l -printf '%P %l\0' | sort -z
find . -path ./.ebt -prune -o -type f -print0 | sort -z | xargs -0 -r cat | sha256sum
X
same_on_nodes() { # SOURCE STORE
	local i want got
	want=$(bash "$WORK/list.sh" "$1" | sha256sum)
	for ((i = 0; i < N; i++)); do
		CHECKS=$((CHECKS + 1))
		got=$(on $i bash "$WORK/list.sh" "$2" | sha256sum)
		[ "$got" = "$want" ] && continue
		fail "store of node $i differs from $1:"
		diff -a <(bash "$WORK/list.sh" "$1" | tr '\0' '\n') \
			<(on $i bash "$WORK/list.sh" "$2" | tr '\0' '\n') | head -6 >&2
	done
}
# liar: a folder with an ebt-drain that says 0 and has done nothing, as a launcher may do that is
# stopped before its ranks have begun
liar() {
	mkdir -p "$WORK/liar"
	printf '#!/bin/sh\n' >"$WORK/liar/ebt-drain"
	chmod 755 "$WORK/liar" "$WORK/liar/ebt-drain"
	echo "$WORK/liar"
}
# only_mpich: for what starts MPICH only: srun --mpi=pmi2, and job scripts that give options of
# MPICH's to mpiexec. That one is on PATH then.
only_mpich() {
	[ "$("$LAUNCH" --mpi)" = mpich ] || skip "this is for MPICH, and the build has another MPI"
	mkdir -p "$WORK/mpich"
	# No link: Hydra looks for its proxy beside the name that it was called by.
	printf '#!/bin/sh\nexec "%s" "$@"\n' "$(readlink -f "$("$LAUNCH" --mpiexec)")" >"$WORK/mpich/mpiexec"
	chmod 755 "$WORK/mpich/mpiexec"
	PATH=$WORK/mpich:$PATH
}
