# SPDX-License-Identifier: BSD-3-Clause
# bench/compare on its smallest scale: every way brings what it says, a source is read once by
# ebt-stage and N times by N nodes, and a tool that fails or brings something else is counted.
. "$(dirname "$0")/../cli/lib.sh"
top=$(cd "$(dirname "$0")/../.." && pwd)
compare=$top/bench/compare
BUILD=$BIN/../..
N=3
command -v jq >/dev/null || skip "no jq"
for tool in slurm emulated-lustre; do
	timeout -k 5 60 "$top/bench/$tool" check 2>"$WORK/err"
	case $? in
	0) ;;
	77) skip "$(cat "$WORK/err")" ;;
	*) cat "$WORK/err" >&2; exit 99 ;;
	esac
done
[ "$("$LAUNCH" --mpi)" = mpich ] || skip "Slurm starts MPICH here, and this build has another MPI"
export TMPDIR=$WORK

# compare STATUS ARG...: lines in $WORK/lines
compare() {
	local want=$1 got
	shift
	CHECKS=$((CHECKS + 1))
	# shellcheck disable=SC2016 # expanded there
	timeout -k 20 "$LIMIT" sh -c 'echo $$ >"$1"; shift; exec "$@"' sh "$WORK/pid" "$compare" -b "$BUILD" \
		-o "$WORK/lines" "$@" >"$WORK/out" 2>"$WORK/err" </dev/null
	got=$?
	[ "$got" -eq "$want" ] && return 0
	fail "exit status $got, not $want: $*"
	show
}
# lines FILTER: the lines for which FILTER holds, and how many they must be
lines() {
	check "$2 lines: $1" test "$(jq -c "select($1)" "$WORK/lines" | wc -l)" = "$2"
}
for args in "-n 0" "-N four" "-r 200" "-s lukewarm" "-w teleport" "-Z" "file65"; do
	# shellcheck disable=SC2086 # words are wanted
	timeout 20 "$compare" $args >"$WORK/out" 2>"$WORK/err"
	check "status of $args" test $? -eq 2
	check "one line for $args" test "$(wc -l <"$WORK/err")" = 1
done
check "help" test "$(timeout 20 "$compare" -h | awk 'length > 80' | wc -l)" = 0

compare 0 -q -n 1 -N "$N" -s cold -w ebt-stage -w sbcast -w mpibcast -w tar+mpibcast -w direct \
	file64 tree exe
lines '.type == "conditions" and .bench == "compare" and .cores > 0 and .link_bytes == 25000000' 1
lines '.type == "calibration" and .share > 0' 1
lines '.type == "way" and (.present or .reason != "")' "$(timeout 20 "$compare" -l | wc -l)"
lines '.type == "run"' 10
lines ".type == \"run\" and .status == 0 and .nodes_equal == $N and .seconds > 0 and .x > 0 and .peak_rss > 0" 10
lines '.way == "ebt-stage" and .case != "exe" and .type == "run" and .pfs_bytes == .bytes' 2
lines '.way == "ebt-stage" and .type == "run" and .not_kept == [] and .inner_seconds < .seconds' 3
lines "(.way == \"direct\") and .case != \"exe\" and .type == \"run\" and .pfs_bytes == $N * .bytes" 2
lines '.way == "sbcast" and .type == "run" and .max_sent > 1.5 * .bytes' 2
lines '.way == "mpibcast" and .type == "run" and (.not_kept | contains(["modes"]))' 1
lines '.type == "median" and .runs == 1 and .failed == 0 and .seconds.min == .seconds.max' 10
check "nothing left of the cluster" test -z "$(ls -d /run/ebt-*-compare"$(cat "$WORK/pid")" 2>/dev/null)"

# A tool that says it is done when it is not: the way is known by its content.
mkdir "$WORK/bin"
cat >"$WORK/bin/sbcast" <<'X'
#!/bin/sh
/usr/bin/sbcast "$@"
status=$?
for last; do :; done
srun -N1 sh -c "[ ! -s $last ] || printf x >>$last"
exit $status
X
chmod +x "$WORK/bin/sbcast"
PATH=$WORK/bin:$PATH compare 1 -q -n 1 -N "$N" -s warm -w sbcast file64
lines ".type == \"run\" and .status == 0 and .nodes_equal == $((N - 1))" 1
lines '.type == "median" and .runs == 1 and .failed == 1 and .seconds == null' 1
finish
