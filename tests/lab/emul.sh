# SPDX-License-Identifier: BSD-3-Clause
# An emulated Lustre for a test. Sourced after lab.sh or lib.sh.
emul=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/bench/emulated-lustre

# emul_begin END [NAME]: there can be one from here on, and at exit it is taken down, then END is called;
# or false, and LACKS says why not. EMUL_SERVER and LAYOUT are the programs, "" if not built.
emul_begin() {
	EMUL_AFTER=$1 LACKS=
	[ -n "$EMUL_SERVER" ] && [ -n "$LAYOUT" ] || { LACKS="no emulated Lustre was built"; return 1; }
	export EMUL_SERVER EMUL=${2:-$LAB}
	timeout -k 5 60 "$emul" check 2>"$WORK/err"
	case $? in
	0) trap emul_end EXIT ;;
	77) LACKS=$(cat "$WORK/err"); return 1 ;;
	*) cat "$WORK/err" >&2; exit 99 ;;
	esac
}
# emul_up OBSERVER OPTION...: one that takes no time, for the nodes of the lab. OBSERVER, a directory to
# prepare and to look at it with, is O.
emul_up() {
	O=$1
	shift
	mkdir -p "$O"
	timeout -k 5 60 "$emul" up --lab "$LAB" --observer "$O" "$@" ost-rate=none mds-rate=none mds-latency=0 || exit 99
	eval "$("$emul" env)"
}
emul_end() {
	timeout -k 5 60 "$emul" down
	"$EMUL_AFTER"
}
set_() { check "set $*" timeout -k 5 20 "$emul" set "$@"; }
stats() { timeout -k 5 20 "$emul" stats --json; }
reset() { timeout -k 5 20 "$emul" stats --reset >/dev/null; }
# requests KIND: that the metadata server had
requests() { stats | grep -o "\"$1\":[0-9][0-9]*" | head -n 1 | cut -d: -f2; }
# at_most NAME LIMIT MEASURE COMMAND...: what MEASURE prints after COMMAND, here or again. While a busy machine
# stands still for some tenths of a second a target is late, and rightly files go elsewhere; what is planned
# wrong is wrong each time.
at_most() {
	local name=$1 limit=$2 measure=$3 got try
	shift 3
	CHECKS=$((CHECKS + 1))
	for try in 1 2 3; do
		"$@"
		got=$($measure)
		awk -v g="$got" -v l="$limit" 'BEGIN {exit !(g > 0 && g <= l)}' && return
		echo "$name: $got in try $try"
	done
	fail "$name: $got, not at most $limit"
}
