#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# No writable globals in a library: one process serves several data sets. Looks at what the
# compiler made, where a table of constants with addresses sits in .data.rel.ro.
set -eu
if [ "$1" != none ]; then
	echo "skipped: sanitizers add globals of their own"
	exit 77
fi
shift
if ! command -v nm >/dev/null; then
	echo "skipped: no nm"
	exit 77
fi
bad=0
[ $# -gt 0 ] || { echo "no libraries"; exit 1; }
for lib in "$@"; do
	# name|value|class|type|size|line|section
	nm -f sysv "$lib" | awk -F'|' -v lib="${lib##*/}" '
	/^Symbols from / {
		object = $0
		sub(/.*\[/, "", object)
		sub(/\].*/, "", object)
		next
	}
	NF == 7 {
		gsub(/ /, "")
		if ($7 ~ /^\.t?(data|bss)/ && $7 !~ /^\.data\.rel\.ro/ || $7 ~ /COM/) {
			printf "%s: %s: writable global %s in %s\n", lib, object, $1, $7
			bad = 1
		}
		seen = 1
	}
	END {
		if (!seen) {
			print lib ": no symbols"
			bad = 1
		}
		exit bad
	}' || bad=1
done
exit $bad
