#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A library does not end the process and does not print: it may live in somebody else's
# program, and what failed is the caller's to say. Three files of transport are about ending an
# MPI process and are named here.
set -eu
cd "$1"
# shellcheck disable=SC2016 # awk's fields
find src -name '*.[ch]' -type f ! -path 'src/cmd/*' ! -path src/transport/transport_leave.c ! -path src/transport/transport_abort.c \
	! -path src/transport/transport_errors.c | sort | xargs awk '
{ files++ }
/^[ \t]*(\/?\*)/ { next }
{
	line = $0
	sub(/\/\*.*/, "", line)
	gsub(/"([^"\\]|\\.)*"/, "\"\"", line)
}
line ~ /(^|[^A-Za-z0-9_.>])(abort|exit|_exit|_Exit|quick_exit|MPI_Abort|raise|printf|puts|putchar|perror|vprintf)[ \t]*\(/ ||
line ~ /(^|[^A-Za-z0-9_])(stdout|stderr)([^A-Za-z0-9_]|$)/ {
	printf "%s:%d: %s\n", FILENAME, FNR, $0
	bad = 1
}
END {
	if (!files) {
		print "no source files"
		bad = 1
	}
	exit bad
}' || exit 1
