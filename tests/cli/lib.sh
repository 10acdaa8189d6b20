# SPDX-License-Identifier: BSD-3-Clause
# What the end-to-end tests share: a scratch directory, a tree with every kind of entry, runs
# under a time limit, and comparison of stores with their source. Sourced by bash scripts.
#
# $1 of every test is the directory of the built commands. Exit status: 0 passed, 1 failed,
# 77 skipped with a reason.
set -u
# A nohup further up would reach the commands, and a shell cannot take it back.
if ((0x$(sed -n 's/^SigIgn:[^0-9a-f]*//p' /proc/self/status) & 1)); then
	exec env --default-signal=HUP bash "$0" "$@"
fi
BIN=$1
STAGE=$BIN/ebt-stage
LAUNCH=$BIN/launch # the mpiexec of the MPI that the commands were built with
LIMIT=${LIMIT:-120} # seconds for one run

WORK=$(mktemp -d "${TMPDIR:-/tmp}/ebt-cli-XXXXXX")
cleanup() {
	for m in "${MOUNTS[@]}"; do umount "$m" 2>/dev/null; done
	chmod -R u+rwx "$WORK" 2>/dev/null
	rm -rf "$WORK"
}
MOUNTS=()
trap cleanup EXIT
trap 'exit 1' INT TERM

FAILURES=0
CHECKS=0
fail() {
	echo "FAIL: $*${what:+ [$what${status:+, status $status}]}" >&2
	FAILURES=$((FAILURES + 1))
}
# check NAME COMMAND...: the command must succeed
check() {
	local name=$1
	shift
	CHECKS=$((CHECKS + 1))
	"$@" || fail "$name"
}
# is NAME WANT GOT
is() {
	CHECKS=$((CHECKS + 1))
	[ "$2" = "$3" ] || fail "$1: \"$3\", not \"$2\""
}
finish() {
	echo "$CHECKS checks, $FAILURES failed"
	[ "$FAILURES" -eq 0 ]
	exit
}
skip() {
	echo "skipped: $*"
	exit 77
}

# stage N ARG...: N ranks, each a node; DEST usually holds %r. Output in $WORK/out and err.
WHO=() # as whom, if it is not as the test itself: a command with its arguments
stage() {
	local n=$1
	shift
	timeout "$LIMIT" "${WHO[@]}" "$LAUNCH" -n "$n" "$STAGE" --per-rank --memory=32M "$@" \
		>"$WORK/out" 2>"$WORK/err" </dev/null
}
show() { sed 's/^/    /' "$WORK/out" "$WORK/err" >&2; }
# expect STATUS N ARG...: a run that must end with that status
expect() {
	local want=$1 got
	shift
	CHECKS=$((CHECKS + 1))
	stage "$@"
	got=$?
	[ "$got" -eq "$want" ] && return 0
	fail "exit status $got, not $want: $*"
	show
	return 1
}
# says TEXT: the last run's messages hold it
says() {
	CHECKS=$((CHECKS + 1))
	grep -qF -- "$1" "$WORK/err" "$WORK/out" && return 0
	fail "no message with '$1'"
	show
}

# same SOURCE COPY: equal in content and every attribute that travels; .ebt is ours, and so is
# the directory that is the store.
same() {
	local diff
	CHECKS=$((CHECKS + 1))
	diff=$(rsync -naHAXS --checksum --delete -i --exclude=/.ebt "$1/" "$2/" 2>&1 |
		grep -v '^\.d[^ ]* \./$')
	[ -z "$diff" ] && return 0
	fail "$2 differs from $1:"
	printf '%s\n' "$diff" | head -20 >&2
}
# same_times SOURCE COPY: nanoseconds too, which rsync compares only in newer versions
same_times() {
	CHECKS=$((CHECKS + 1))
	diff <(cd "$1" && find . -mindepth 1 -path ./.ebt -prune -o -mindepth 1 -printf '%p %T@ %m %U:%G %n\n' | sort) \
		<(cd "$2" && find . -mindepth 1 -path ./.ebt -prune -o -mindepth 1 -printf '%p %T@ %m %U:%G %n\n' | sort) \
		>"$WORK/diff" && return 0
	fail "$2: times, modes, owners or link counts differ from $1"
	head -10 "$WORK/diff" >&2
}
# nothing_visible DEST...: no file but what was there before; an empty directory at most
nothing_visible() {
	local d left
	for d in "$@"; do
		CHECKS=$((CHECKS + 1))
		left=$(find "$d" -mindepth 1 -path "$d/.ebt" -prune -o -mindepth 1 -print 2>/dev/null | head -3)
		[ -z "$left" ] || fail "visible in $d: $left"
	done
}

# make_tree DIR: at least one of everything
make_tree() {
	local t=$1 i long
	long=$(printf 'n%.0s' $(seq 255))
	mkdir -p "$t"/a/b/c "$t"/empty "$t"/many "$t"/readonly "$t/sp ace"
	echo hello >"$t/a/hello"
	: >"$t/a/none"
	head -c 300000 /dev/urandom >"$t/a/b/medium"
	head -c 5000001 /dev/urandom >"$t/a/b/c/large"
	for i in $(seq 400); do head -c $((i * 7)) /dev/urandom >"$t/many/f$i"; done
	echo newline >"$t/sp ace/$(printf 'new\nline')"
	echo bytes >"$t/sp ace/$(printf 'inv\377\376alid')"
	echo long >"$t/$long"
	echo star >"$t/sp ace/*?[x]\\"
	echo dash >"$t/-dash"
	ln -s a/hello "$t/link"
	ln -s /does/not/exist "$t/dangling"
	ln -s a "$t/linkdir"
	ln "$t/a/hello" "$t/hard1"
	ln "$t/a/hello" "$t/many/hard2"
	ln "$t/a/b/c/large" "$t/hardlarge"
	truncate -s 3M "$t/hole"
	printf x | dd of="$t/hole" bs=1 seek=1500000 conv=notrunc status=none
	truncate -s 80M "$t/bighole"
	printf y | dd of="$t/bighole" bs=1 seek=70000000 conv=notrunc status=none
	truncate -s 1M "$t/allhole"
	chmod 4755 "$t/a/hello"
	chmod 2711 "$t/many"
	chmod 1777 "$t/empty"
	chmod 0400 "$t/a/none"
	echo ro >"$t/readonly/file"
	if command -v setfattr >/dev/null && setfattr -n user.ebt -v value "$t/a/hello" 2>/dev/null; then
		setfattr -n user.empty "$t/a/b"
	fi
	if command -v setfacl >/dev/null && setfacl -m u:1234:rw "$t/a/b/medium" 2>/dev/null; then
		setfacl -d -m u:1234:rwx "$t/a/b"
	fi
	if [ "$(id -u)" = 0 ]; then
		chown 1234:5678 "$t/many/f1" "$t/a/b"
		chown -h 1234:5678 "$t/link"
	fi
	touch -d '1969-12-31 23:59:58.123456789 UTC' "$t/many/f2"
	touch -h -d '2001-02-03 04:05:06.700000001 UTC' "$t/link"
	touch -d '2030-01-01 00:00:00.000000001 UTC' "$t/many/f3"
	chmod 0555 "$t/readonly"
	touch -d '2005-05-05 05:05:05.5 UTC' "$t/many" "$t/readonly" "$t/a/b/c" "$t"
}
