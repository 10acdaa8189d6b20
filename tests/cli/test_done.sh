#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# --done: the file is there after status 0 and after nothing else; what an earlier run left is
# gone as soon as the next one begins.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/drain.sh"
cd "$WORK" || exit 99
mkdir src s.0 s.1 a
echo a >src/a
echo zero >s.0/zero
echo one >s.1/one

# made COMMAND: a/done is one line of JSON, private, alone
made() {
	is "$1: lines" 1 "$(wc -l <a/done)"
	is "$1: mode" 600 "$(stat -c %a a/done)"
	is "$1: nothing beside it" done "$(ls -A a)"
	check "$1: content" grep -qE "^\{\"schema\":\"ebt\.(stage|drain)/1\",\"type\":\"done\",\"what\":\"${1#* }\".*,\"time\":\"20[0-9T:-]*Z\"\}\$" a/done
	[ -z "$PYTHON" ] || check "$1: JSON" "$PYTHON" -m json.tool a/done /dev/null
}
old() {
	rm -rf a
	mkdir a
	echo old >a/done
}
# missed STATUS COMMAND...: a run that leaves none
missed() {
	old
	expect "$@"
	absent a/done
	is "nothing is left: ${*:3}" "" "$(ls -A a)"
}

# Done.
old
staged 2 --done=a/done src "$WORK/d.%r"
made "ebt-stage stage"
check "files are counted" grep -qE '"id":"[0-9a-f]{32}","files":1,"bytes":2,' a/done
old
staged 2 --done="$WORK/a/done" --verify "$WORK/d.%r"
made "ebt-stage verify"
old
staged 2 --done=a/done --recover "$WORK/d.%r"
made "ebt-stage recover"
umask 0
expect 0 2 --done=a/done "$WORK/s.%r" "$WORK/r"
umask 022
made "ebt-drain drain"
check "files are counted" grep -qE '"files":2,"bytes":9,' a/done
cd a || exit 99
expect 0 2 --done=done "$WORK/s.%r" "$WORK/r"
cd .. || exit 99
made "ebt-drain drain"
# A link is replaced, not followed.
rm a/done
echo precious >precious
ln -s ../precious a/done
expect 0 2 --done=a/done "$WORK/s.%r" "$WORK/r"
made "ebt-drain drain"
is "what it pointed to" precious "$(cat precious)"

# Not done: failed, partly, differences, output that could not be written.
STAGE=$STAGER missed 1 2 --done=a/done none "$WORK/e.%r"
missed 1 2 --done=a/done "$WORK/none.%r" "$WORK/r2"
echo more >d.1/src/a
STAGE=$STAGER missed 1 2 --done=a/done --verify "$WORK/d.%r"
old
timeout "$LIMIT" "$STAGE" --local-dest --done=a/done s.0 r3 >/dev/full 2>err </dev/null
is "status where the result could not be written" 1 $?
absent a/done
check "but all is drained" test -e r3/zero

# Wrong usage, which touches nothing.
refused() {
	old
	expect 2 2 "$@"
	is "left alone: $*" old "$(cat a/done)"
}
refused --done=a/done --watch=1s "$WORK/s.%r" "$WORK/r4"
says "--done and --watch exclude each other"
refused --done=a/done -n "$WORK/s.%r" "$WORK/r4"
says "--done and --dry-run exclude each other"
refused --done=a/done --simulate=nodes=2
refused --done= "$WORK/s.%r" "$WORK/r4"
refused --done=a/ "$WORK/s.%r" "$WORK/r4"
STAGE=$STAGER refused --done=a/done -n src "$WORK/e.%r"
STAGE=$STAGER refused --done=a/done --list d.0
STAGE=$STAGER refused --done=a/done --simulate=nodes=2
absent r4

# Errors at the start: before anything is staged or drained.
at_start() {
	local text=$1
	shift
	STAGE=$STAGER expect 1 2 "$@" src "$WORK/e.%r"
	says "$text"
	check "$*: no store" test ! -e e.0
	expect 1 2 "$@" "$WORK/s.%r" "$WORK/r4"
	says "$text"
	absent r4
}
mkdir a/directory
at_start "--done=a/directory: to remove what an earlier run left: Is a directory" --done=a/directory
at_start "--done=none/done: its directory: No such file or directory" --done=none/done
at_start "--done=src/a/done: its directory: Not a directory" --done=src/a/done
finish
