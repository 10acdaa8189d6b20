#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The white space nobody sees: trailing blanks, spaces where a tab belongs, carriage returns,
# a missing last newline. Line breaks are left to clang-format and good sense.
set -eu
cd "$1"
find src include tests bench share \( -name '*.[ch]' -o -name '*.sh' -o -name meson.build \) \
	-type f | sort | {
	bad=0
	while IFS= read -r f; do
		awk -v f="$f" '
		/[ \t]$/ { printf "%s:%d: trailing blanks\n", f, FNR; bad = 1 }
		/\r/ { printf "%s:%d: carriage return\n", f, FNR; bad = 1 }
		/^        / && f ~ /[.][ch]$/ { printf "%s:%d: spaces, not a tab\n", f, FNR; bad = 1 }
		/^\t* +\t/ { printf "%s:%d: spaces before a tab\n", f, FNR; bad = 1 }
		END { exit bad }' "$f" || bad=1
		[ -z "$(tail -c 1 "$f")" ] || { echo "$f: no newline at the end"; bad=1; }
	done
	exit $bad
}
