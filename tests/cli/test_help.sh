#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# What is made of the table of options: --help and the manual have each option once, in 80 columns. That
# the parser acts on each the compiler sees to.
. "$(dirname "$0")/lib.sh"
top=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "$BIN/../.." && pwd)
tables=$top/src/cmd/options

# table PROGRAM: its options, without those that a command says only to itself
table() {
	{
		sed -n 's/^@include /--/p' "$tables/$1.options"
		sed -n 's/^@option .*\(--[a-z-]*\).*/\1/p' "$tables/$1.options"
	} | grep -vx -- --launched | sort
}

# Of what --help takes from C the manual has a copy.
# figured PROGRAM: options with a number from C
figured() {
	awk '/^@(option|include) / { sub(/[[]?=.*/, ""); sub(/^--/, "", $NF); name = $NF }
		FILENAME ~ /common/ { if (/^@args/) args[name] = 1; next }
		/^@args/ || (/^@include/ && name in args) { print name }' "$tables/common.options" "$tables/$1.options"
}
# figures OPTION: those of its text in $WORK/help, a line each
figures() {
	awk -v start="^  ....--$1(=|\\\\[| |$)" '/^$|^  (-|    --)/ { inside = 0 }
		$0 ~ start { inside = 1; sub(/^[^=]*=[^ ]*/, "") }
		inside' "$WORK/help" |
		grep -oE '[0-9][0-9.]*( [KMG]i?B(/s)?|[A-Za-z%]+)?' | sed 's/\.0//'
}
# section OPTION PAGE: what the manual says of it
section() {
	awk -v name="-$1(=| |$)" '/^\.It Fl/ { inside = $0 ~ name } /^\.S[hs]/ { inside = 0 } inside' "$2"
}

judge() {
	local program=$1 man=$build/share/$1.1 option figure n=0
	"$BIN/$program" --help >"$WORK/help" || fail "$program --help"
	check "$program: 80 columns" test -z "$(awk 'length > 80' "$WORK/help")"
	table "$program" >"$WORK/options"
	check "$program has options" test "$(wc -l <"$WORK/options")" -gt 30
	check "$program: help has every option once" diff "$WORK/options" \
		<(sed -n 's/^  \(-., \|    \)\(--[a-z-]*\).*/\2/p' "$WORK/help" | sort)
	check "$program: manual has every option once" diff "$WORK/options" \
		<(sed -n '/^\.It Fl/p' "$man" | grep -oE '(Fl|,) -[a-z][a-z-]*' | sed 's/.* -/--/' | sort)
	"$BIN/$program" --no-such --help >"$WORK/out" 2>"$WORK/err"
	is "$program: status of an unknown option" 2 $?
	for option in $(figured "$program"); do
		while IFS= read -r figure; do
			n=$((n + 1))
			check "$program: $figure of --$option in the manual" grep -qwF -- "$figure" \
				<(section "$option" "$man")
		done < <(figures "$option")
	done
	check "$program: figures ($n)" test "$n" -ge "$(figured "$program" | wc -l)"
	if command -v mandoc >/dev/null; then
		check "$program: mandoc is content" test -z "$(mandoc -T lint -W error "$man" 2>&1)"
	else
		echo "not tried: mandoc is not installed"
	fi
}
judge ebt-stage
judge ebt-drain

# What is wrong in a table is said, with its line.
# wrong TEXT LINE...
wrong() {
	local want=$1
	shift
	CHECKS=$((CHECKS + 1))
	printf '%s\n' "$@" >"$WORK/some.options"
	awk -v program=some -f "$tables/options.awk" -f "$tables/header.awk" "$tables/common.options" \
		"$WORK/some.options" >"$WORK/out" 2>"$WORK/err" && fail "a table with: $*"
	says "$want"
}
wrong "some.options:2: --a is there twice" '@option --a' '@option -x --a=N'
wrong "some.options:2: -x is there twice" '@option -x --a' '@option -x --b=N'
wrong "some.options:1: no name of an option: -a" '@option -a'
wrong "some.options:1: no --nothing in common.options" '@include nothing'
wrong "some.options:1: --a has no @text" '@option --a'
wrong "some.options:1: no word of this table: @txt" '@txt what it does'
finish
