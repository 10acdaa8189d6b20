#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Line breaks and white space are clang-format's, by .clang-format. Another release may break
# lines differently, so only the one that the files were formatted with is asked.
set -eu
release=14
cd "$1"
format=
for c in clang-format-$release clang-format; do
	if "$c" --version 2>/dev/null | grep -q "version $release[.]"; then
		format=$c
		break
	fi
done
if [ -z "$format" ]; then
	echo "skipped: no clang-format $release"
	exit 77
fi
list() {
	find src include tests bench -type d -name 'build*' -prune -o -type f -name '*.[ch]' -print
}
[ -n "$(list)" ] || { echo "no source files"; exit 1; }
list | sort | xargs "$format" --dry-run --Werror 2>&1 |
	sed -n 's/^\([^:]*:[0-9]*\):[0-9]*: error: .*/\1: not as .clang-format says/p' | {
	bad=0
	while IFS= read -r line; do
		echo "$line"
		bad=1
	done
	exit $bad
}
