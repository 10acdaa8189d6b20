#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The top level stays as small as the design says; build folders may stand beside it.
set -eu
cd "$1"
bad=0
for f in *; do
	case $f in
	meson.build | src | include | tests | bench | share | README.md | LICENSE) ;;
	build | build-*) ;;
	*)
		echo "$f: not one of the names of the top level"
		bad=1
		;;
	esac
done
exit $bad
