#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# --help, the parser and the man page say the same, in 80 columns.
. "$(dirname "$0")/lib.sh"
top=$(cd "$(dirname "$0")/../.." && pwd)
man=$top/share/man/ebt-stage.1

"$STAGE" --help >"$WORK/help" || fail "--help"
check "80 columns" test -z "$(awk 'length > 80' "$WORK/help")"
grep -o -- '--[a-z][a-z-]*' "$WORK/help" | sort -u >"$WORK/in_help"
grep -oE '"[a-z-]+", (no|required)_argument' "$top/src/cmd/options.c" |
	sed 's/^"/--/; s/".*//' | sort -u >"$WORK/in_code"
grep -oE '(Fl|,) -[a-z][a-z-]*' "$man" | sed 's/.* -/--/' | sort -u >"$WORK/in_man"
check "help has every option" diff "$WORK/in_code" "$WORK/in_help"
check "man page has every option" diff "$WORK/in_code" "$WORK/in_man"
# The defaults in brackets are the ones of the code.
for word in 256.0 30s; do
	check "default $word in the man page" grep -q "${word%.0}" "$man"
done
if command -v mandoc >/dev/null; then
	check "mandoc is content" test -z "$(mandoc -T lint -W error "$man" 2>&1)"
else
	echo "not tried: mandoc is not installed"
fi
"$STAGE" --version | grep -q 'manifest format 1' || fail "--version"
finish
