#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# --help, the parser, the man page and the completion say the same, in 80 columns.
. "$(dirname "$0")/lib.sh"
top=$(cd "$(dirname "$0")/../.." && pwd)

# options FILE...: the names in tables of getopt
options() {
	grep -hoE '"[a-z-]+", (no|required|optional)_argument' "$@" | sed 's/^"/--/; s/".*//' | sort -u
}
# Without what a command says only to itself.
names() { options "$top/src/cmd/cmd.h" "$top/src/cmd/${1#ebt-}_options.c" | grep -vx -- --launched; }

# judge COMMAND DEFAULT...: the defaults are the ones that its help prints, from the code
judge() {
	local program=$1 man=$top/share/man/$1.1 word
	shift
	"$BIN/$program" --help >"$WORK/help" || fail "$program --help"
	check "$program: 80 columns" test -z "$(awk 'length > 80' "$WORK/help")"
	grep -o -- '--[a-z][a-z-]*' "$WORK/help" | sort -u >"$WORK/in_help"
	names "$program" >"$WORK/in_code"
	check "$program has options" test -s "$WORK/in_code"
	# Names before the "Sh EXAMPLES", where other programs have options too.
	sed '/^\.Sh EXAMPLES/,$d' "$man" | grep -oE '(Fl|,) -[a-z][a-z-]*' | sed 's/.* -/--/' |
		sort -u >"$WORK/in_man"
	grep -v '^#' "$top/share/completions/$program.options" | cut -d'|' -f1 |
		grep -o -- '--[a-z][a-z-]*' | sort -u >"$WORK/in_completion"
	check "$program: help has every option" diff "$WORK/in_code" "$WORK/in_help"
	check "$program: man page has every option" diff "$WORK/in_code" "$WORK/in_man"
	check "$program: completion has every option" diff "$WORK/in_code" "$WORK/in_completion"
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
finish
