# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Sourced by the tests of --pack, behind lib.sh and drain.sh: in $WORK.
cli=$(cd "$(dirname "$0")" && pwd)
cd "$WORK" || exit 99
[ "$PYTHON" ] || skip "no python3"
"$STAGER" --version | grep -q '^archives tar' || skip "built without libarchive"
host=$(hostname)

# fresh N: empty stores s.0 to s.N-1, and an empty DEST
fresh() {
	local r
	chmod -R u+rwx s.? d 2>/dev/null
	rm -rf s.? d || exit 99
	for ((r = 0; r < $1; r++)); do mkdir s.$r; done
	mkdir d
}
# drains STATUS N ARG...: a drain of the stores to DEST, which leaves nothing of its own there
drains() {
	local want=$1 n=$2
	shift 2
	expect "$want" "$n" --json "$@" "$WORK/s.%r" "$WORK/d"
	tidy d
}
# quiet STATUS N ARG...: the same once more writes nothing
quiet() {
	picture d >pictured
	drains "$@"
	check "${what:-}: nothing is written again" diff pictured <(picture d)
}
# names: of all that is in DEST and no directory
names() { (cd d && find . ! -type d -printf '%P\n' | LC_ALL=C sort | paste -sd ' '); }
# left: what is in the stores and no directory
left() { find s.? -name .ebt -prune -o ! -type d -print | LC_ALL=C sort | paste -sd ' '; }
# members ARCHIVE: their names
members() { tar -tf "$1" 2>/dev/null | sed 's!/$!!' | LC_ALL=C sort | paste -sd ' '; }
# member ARCHIVE NAME: its content
member() { tar -xOf "$1" "$2" 2>/dev/null; }
# looks: kind, name, other name and node of what the last run printed as JSON
looks() {
	sed -nE 's/.*"type":"look","kind":"([^"]*)","path":"([^"]*)",("as":"([^"]*)",)?"node":"([^"]*)".*/\1 \2 \4 \5/p' out |
		LC_ALL=C sort
}
# gtar ARG...: GNU tar, which may say no more than that it does not need to know hdrcharset
gtar() {
	CHECKS=$((CHECKS + 1))
	timeout "$LIMIT" tar --warning=no-timestamp "$@" >tar.out 2>tar.err &&
		! grep -v "Ignoring unknown extended header keyword 'hdrcharset'$" tar.err && return 0
	fail "status $?: tar $*"
	head tar.out tar.err >&2
}
# sound ARCHIVE...: each is read without a complaint, and its index is of it
sound() {
	local a
	for a in "$@"; do
		gtar -tf "$a"
		check "${what:-}: index of $a" env LC_ALL=C.UTF-8 "$PYTHON" -W ignore "$cli/index.py" "$a"
	done
}
# unpack DIR ARCHIVE...: all that is in DEST, with those archives of it taken apart, by GNU tar
unpack() {
	local to=$1 a except=()
	shift
	[ ! -e "$to" ] || chmod -R u+rwx "$to"
	rm -rf "$to"
	mkdir "$to"
	for a in "$@"; do
		gtar --xattrs --xattrs-include='*' --acls -p -xf "d/$a" -C "$to"
		except+=("--exclude=/$a" "--exclude=/$a.idx")
	done
	# Directories that come by themselves have their times now.
	rsync -aHAXS "${except[@]}" d/ "$to/" || fail "what came by itself"
}
