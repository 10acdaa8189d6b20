#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Calls between the files of a folder go one way: who reads one of them need not come back to it.
# Looks at what the compiler made.
set -eu
if [ "$1" != none ]; then
	echo "skipped: sanitizers add calls of their own"
	exit 77
fi
shift
for tool in nm tsort; do
	command -v "$tool" >/dev/null || { echo "skipped: no $tool"; exit 77; }
done
[ $# -gt 0 ] || { echo "no libraries"; exit 1; }
bad=0
for lib in "$@"; do
	# "archive:object: value type name" to "object type name"
	edges=$(nm -A "$lib" 2>/dev/null | sed -n 's/^[^:]*:\([^:]*\)\.o:[0-9a-f ]* \([A-Za-z]\) \(.*\)$/\1 \2 \3/p' |
		awk '{object[NR] = $1; type[NR] = $2; name[NR] = $3}
			$2 ~ /[TDRBC]/ {in_object[$3] = $1}
			END {
				for (i = 1; i <= NR; i++)
					if (type[i] == "U" && name[i] in in_object && in_object[name[i]] != object[i])
						print object[i], in_object[name[i]]
			}' | sort -u)
	loop=$(echo "$edges" | tsort 2>&1 >/dev/null | sed -n 's/^tsort: //p' | grep -v 'contains a loop' | sed 's/.*\///' | tr '\n' ' ')
	[ -z "$loop" ] || { echo "${lib##*/}: calls in a circle: $loop"; bad=1; }
done
exit $bad
