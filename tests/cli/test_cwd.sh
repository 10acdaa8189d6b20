#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A working directory that is gone, as that of a job script which tidies up after itself: names
# that are absolute need none, and one that is relative is an error that says what is wrong.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/drain.sh"
mkdir "$WORK/src"
echo a >"$WORK/src/a"
echo a >"$WORK/names"
echo '- b' >"$WORK/rules"
gone="relative to a working directory that is gone"

# there COMMAND ARG...: run from a directory that is gone; status in $status. Without mpiexec,
# which needs a working directory itself.
there() {
	mkdir "$WORK/gone"
	(cd "$WORK/gone" && rmdir "$WORK/gone" && timeout "$LIMIT" "$@") >"$WORK/out" 2>"$WORK/err" </dev/null
	status=$?
}
well() {
	there "$@"
	[ $status = 0 ] || show
	is "status of $*" 0 $status
}
refused() {
	local text=$1
	shift
	there "$@"
	is "status of $*" 1 $status
	says "$text: $gone"
	check "nothing is made by $*" test ! -e "$WORK/x"
}
well "$STAGER" --done="$WORK/done" --exclude-from="$WORK/rules" "$WORK/src" "$WORK/d"
same "$WORK/src" "$WORK/d/src"
well "$STAGER" -R --files-from=<(echo "$WORK/src/a") "$WORK/d2"
same "$WORK/src" "$WORK/d2$WORK/src"
well "$STAGER" --verify "$WORK/d"
well "$STAGER" --list "$WORK/d"
well "$STAGE" --local-dest --done="$WORK/done" "$WORK/src" "$WORK/r"
check "drained" cmp "$WORK/src/a" "$WORK/r/a"
well "$STAGE" -n "$WORK/src" "$WORK/r"

refused a "$STAGER" a "$WORK/x"
refused a "$STAGER" -R "$WORK/src" a "$WORK/x"
refused a "$STAGER" --files-from="$WORK/names" "$WORK/x"
refused names "$STAGER" --files-from=names "$WORK/x"
refused rules "$STAGER" --exclude-from=rules "$WORK/src" "$WORK/x"
refused done "$STAGER" --done=done "$WORK/src" "$WORK/x"
refused "DEST x" "$STAGER" "$WORK/src" x
refused "DEST ./x" "$STAGER" --verify ./x
refused "DEST x" "$STAGER" --recover x
refused "STORE x" "$STAGER" --list x
refused "STORE ../src" "$STAGE" ../src "$WORK/x"
refused "DEST x" "$STAGE" "$WORK/src" x
refused rules "$STAGE" --exclude-from=rules "$WORK/src" "$WORK/x"
refused "--done=done" "$STAGE" --done=done "$WORK/src" "$WORK/x"
finish
