#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A file past 600 lines or a function past 70 deserves a look and is reported; past 700 and
# 100 it fails. A function is what stands between { and } in the first column.
set -eu
cd "$1"
# shellcheck disable=SC2016 # awk's fields
find src include tests bench -name '*.[ch]' -type f | sort | xargs awk '
function judge(where, what, n, look, most) {
	if (n <= look)
		return
	printf "%s: %s has %d lines%s\n", where, what, n, (n > most ? ", too many" : "")
	if (n > most)
		bad = 1
}
function finish() {
	if (file != "")
		judge(file ":1", "file", lines, 600, 700)
}
FNR == 1 {
	finish()
	file = FILENAME
	opened = 0
}
{ lines = FNR }
/^[A-Za-z_].*[(]/ && !/;[ \t]*$/ && !opened {
	name = $0
	sub(/[(].*/, "", name)
	sub(/.*[ *]/, "", name)
}
/^[{]/ { opened = FNR }
/^[}]/ && opened {
	judge(FILENAME ":" opened, name "()", FNR - opened - 1, 70, 100)
	opened = 0
}
END {
	finish()
	if (file == "") {
		print "no source files"
		bad = 1
	}
	exit bad
}' || exit 1
