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

# judge COMMAND DEFAULT...: the defaults are the ones that its help prints, from the code
judge() {
	local program=$1 man=$build/share/$1.1 word
	shift
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
	for word in "$@"; do
		check "$program: default $word in the help" grep -qF -- "$word" "$WORK/help"
		check "$program: default $word in the man page" grep -qF -- "${word/.0/}" "$man"
	done
	if command -v mandoc >/dev/null; then
		check "$program: mandoc is content" test -z "$(mandoc -T lint -W error "$man" 2>&1)"
	else
		echo "not tried: mandoc is not installed"
	fi
}
judge ebt-stage '256.0 MiB' 30s
judge ebt-drain '256.0 MiB' 30s '(256)' '(8)' '1.0 GB/s' '(10000)' '(1ms)' 64K 4M

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
