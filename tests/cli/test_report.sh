#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# bench/report makes of given JSON lines the expected tables and well-formed plots. In
# report.jsonl are runs that failed, a node that is not equal, one run only, no good run, no
# bytes read, ways that nobody announced or that are not there, and a line cut off.
. "$(dirname "$0")/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
report=$here/../../bench/report
lines=$here/report.jsonl

command -v jq >/dev/null || skip "jq is not installed"

# status WANT ARG...: the exit status of the report
status() {
	local want=$1 got=0
	shift
	CHECKS=$((CHECKS + 1))
	"$report" "$@" >"$WORK/out" 2>"$WORK/err" || got=$?
	[ "$got" -eq "$want" ] || fail "exit status $got, not $want: $*"
}

status 0 "$lines"
check "the tables" diff <(grep -v '^!\[' "$here/report.md" | cat -s) <(cat -s "$WORK/out")
status 0 -s "$lines"
check "the short table" diff "$here/report_short.md" "$WORK/out"
status 0 -s -N 8 "$lines"
check "only 8 nodes" diff \
	<(grep '^| [a-z0-9]*, 8 nodes' "$here/report_short.md" | grep -o '[0-9]\.[0-9]*') \
	<(grep -o '[0-9]\.[0-9]*' "$WORK/out")

# A random order of runs is none of the tables' business.
sed '/"bench":"import"/,$d' "$lines" >"$WORK/one"
{ grep -v '"type":"run"' "$WORK/one"; grep '"type":"run"' "$WORK/one" | tac; } >"$WORK/other"
check "there are runs to turn round" test "$(grep -c '"type":"run"' "$WORK/one")" -gt 20
"$report" "$WORK/one" >"$WORK/one.md"
"$report" "$WORK/other" >"$WORK/other.md"
check "the order of runs" diff "$WORK/one.md" "$WORK/other.md"

"$report" --help >"$WORK/help" || fail "--help"
check "80 columns" test -z "$(awk 'length > 80' "$WORK/help")"
status 2
status 2 -x "$lines"
status 2 -N 8x "$lines"
status 2 -s -o "$WORK/none" "$lines"
check "nothing written" test ! -e "$WORK/none"
status 1 "$WORK/absent"
: >"$WORK/empty"
status 1 "$WORK/empty"
status 1 -N 5 <(grep '"nodes":' "$lines")

if ! command -v gnuplot >/dev/null; then
	echo "not tried: plots; gnuplot is not installed"
	finish
fi
status 0 -o "$WORK/dir" "$lines"
check "the tables with plots" diff "$here/report.md" "$WORK/out"
check "the same in the file" diff "$here/report.md" "$WORK/dir/results.md"
check "all plots" diff <(printf '%s\n' bars-file64.svg bars-tree.svg epochs.svg file64.svg \
	import.svg requests.svg results.md tree.svg) <(cd "$WORK/dir" && LC_ALL=C ls)
for plot in "$WORK"/dir/*.svg; do
	name=${plot##*/}
	check "$name: begins" grep -q '<svg ' "$plot"
	check "$name: ends" test "$(grep -v '^$' "$plot" | tail -n 1)" = '</svg>'
	check "$name: small" test "$(stat -c %s "$plot")" -lt 50000
	if command -v xmllint >/dev/null; then
		check "$name: well-formed" xmllint --noout "$plot"
	fi
done
command -v xmllint >/dev/null || echo "not tried: xmllint is not installed"
check "a line for each kind of ways" test "$(grep -cE \
	'>(ebt-stage|sbcast, best options|mpibcast, best algorithm|direct|other\|way)<' \
	"$WORK/dir/file64.svg")" = 5
check "bars carry the median" grep -q '>3\.07<' "$WORK/dir/bars-file64.svg"
grep -q '>MPI_Bcast<' "$WORK/dir/bars-file64.svg" && fail "a bar without a good run"
status 0 -o "$WORK/again" "$lines"
check "the same again" diff -r "$WORK/dir" "$WORK/again"

# Names are text, for gnuplot and as files.
cat >"$WORK/odd" <<'END'
{"schema":"ebt.bench/1","type":"conditions","bench":"compare","link_bytes":25000000}
{"schema":"ebt.bench/1","type":"way","way":"odd","label":"it's `touch ran`\\\" $(touch ran)","present":true}
{"schema":"ebt.bench/1","type":"run","case":"../up","nodes":2,"way":"odd","round":1,"status":0,"nodes_equal":2,"seconds":2,"bytes":25000000}
END
status 0 -o "$WORK/odd.d" "$WORK/odd"
check "odd names" diff <(printf '%s\n' bars-___up.svg results.md) <(cd "$WORK/odd.d" && ls)
check "odd label" grep -qF "it's \`touch ran\`" "$WORK/odd.d/bars-___up.svg"
finish
