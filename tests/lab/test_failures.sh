# SPDX-License-Identifier: BSD-3-Clause
# bench/failures on its smallest scale, ebt-stage alone: whatever happens in the middle, the
# command fails, no node shows anything under the final name, and the next run puts it right.
. "$(dirname "$0")/../cli/lib.sh"
top=$(cd "$(dirname "$0")/../.." && pwd)
failures=$top/bench/failures
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

for args in "-N 1" "-N four" "-r 200" "-k pipe" "-w teleport" "-w" "-t 0" "-Z" "flooded"; do
	# shellcheck disable=SC2086 # words are wanted
	timeout 20 "$failures" $args >"$WORK/out" 2>"$WORK/err"
	check "status of $args" test $? -eq 2
	check "one line for $args" test "$(wc -l <"$WORK/err")" = 1
done
check "help" test "$(timeout 20 "$failures" -h | awk 'length > 80' | wc -l)" = 0

# lines FILTER N: so many lines for which FILTER holds
lines() {
	CHECKS=$((CHECKS + 1))
	[ "$(jq -c "select($1)" "$WORK/lines" | wc -l)" = "$2" ] && return 0
	fail "not $2 lines: $1"
	jq -c 'select(.type == "failure")' "$WORK/lines" >&2
}
# failures CASE...: lines in $WORK/lines
failures() {
	local got=0
	CHECKS=$((CHECKS + 1))
	# shellcheck disable=SC2016 # expanded there
	timeout -k 20 "$LIMIT" sh -c 'echo $$ >"$1"; shift; exec "$@"' sh "$WORK/pid" "$failures" \
		-q -N "$N" -b "$BUILD" -o "$WORK/lines" -w ebt-stage "$@" >"$WORK/out" 2>"$WORK/err" \
		</dev/null || got=$?
	[ "$got" = 0 ] || { fail "$*: status $got"; show; df -h "$WORK" >&2; }
	check "nothing left of the cluster" test -z "$(ls -d /run/ebt-*-failures"$(cat "$WORK/pid")" 2>/dev/null)"
}
cleanly='.type == "failure" and .hit and .status != null and .status != 0 and .said != ""
	and .whole == 0 and .partial == 0 and .absent == .nodes
	and .next == "yes" and .next_whole == .nodes and .next_leftovers == 0'

LIMIT=240
failures -k tree full truncated stopped limit
lines '.type == "conditions" and .bench == "failures" and .quick' 1
lines '.type == "way" and .way == "ebt-stage" and .present' 1
lines '.type == "failure"' 4
lines "$cleanly and .nodes == $N" 4
lines '.what == "full" and (.said | contains("/local/bench") and contains("n2"))' 1
lines '.what == "truncated" and (.said | contains("/lustre/"))' 1
lines '.what == "limit" and .leftovers == 0 and (.said | contains("stopped by signal 15"))' 1

# A tool that says it is done when it is not is told from one that is.
failures -k file -w direct truncated
lines '.way == "direct" and .hit and .whole == 0 and .partial == .nodes and .next == "yes"' 1
finish
