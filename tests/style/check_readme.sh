#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Job scripts that the README shows are the files that it names, without their first comments.
set -eu
cd "$1"
shown=$(sed -n 's/^[A-Za-z]* (`\(share\/jobs\/[a-z]*[.]sh\)`):$/\1/p' README.md)
[ -n "$shown" ] || { echo "README.md: no job script"; exit 1; }
bad=0
for f in $shown; do
	awk -v f="$f" '
	FILENAME == "README.md" {
		if (index($0, "(`" f "`):"))
			near = 1
		else if (near && /^```bash$/)
			inside = 1
		else if (inside && /^```$/)
			near = inside = 0
		else if (inside)
			copy[++n] = $0
		next
	}
	FNR > 1 && /^# / && !begun { next }
	{
		if (FNR > 1)
			begun = 1
		if ($0 != copy[++line]) {
			printf "%s:%d: README.md has: %s\n", f, FNR, copy[line]
			bad = 1
			exit
		}
	}
	END {
		if (!bad && line != n) {
			printf "%s: README.md has %d lines of %d\n", f, n, line
			bad = 1
		}
		exit bad
	}' README.md "$f" || bad=1
done
exit $bad
