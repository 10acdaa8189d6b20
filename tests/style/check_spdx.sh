#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The licence is on the first line of every source file, or on the second of a script.
set -eu
cd "$1"
list() {
	find src include tests bench share .ci -type d -name 'build*' -prune -o -type f \
		\( -name '*.[ch]' -o -name '*.sh' -o -name meson.build -o -name meson_options.txt -o -perm -u+x \) -print
	for f in meson.build meson_options.txt meson.options; do
		[ ! -f "$f" ] || echo "$f"
	done
}
list | sort | {
	bad=0 n=0
	while IFS= read -r f; do
		n=$((n + 1))
		sed -n -e '1{/^#!/!{p;q}}' -e '2{p;q}' "$f" | tr -d '\000' |
			grep -q 'SPDX-License-Identifier: BSD-3-Clause' && continue
		echo "$f:1: no SPDX line"
		bad=1
	done
	[ "$n" -gt 0 ] || { echo "no files"; bad=1; }
	exit $bad
}
