# SPDX-License-Identifier: BSD-3-Clause
# What the tests of ebt-drain share: stores of several nodes made of one tree, which is then
# what the target has to be. Sourced after lib.sh, whose expect and says run ebt-drain then.
STAGER=$STAGE
STAGE=$BIN/ebt-drain
[ -x "$STAGE" ] || skip "ebt-drain is not built"
PYTHON=$(command -v python3)

# staged N ARG...: a run of ebt-stage that must succeed
staged() { STAGE=$STAGER expect 0 "$@"; }

exists() { check "$1 is there" test -e "$1" -o -L "$1"; }
absent() { check "$1 is not there" test ! -e "$1" -a ! -L "$1"; }
# number NAME: of the result that the last run printed as JSON
number() { grep '"type":"result"' "$WORK/out" | grep -o "\"$1\":[0-9.]*" | head -n 1 | cut -d: -f2; }

# spread TREE N NAME: stores NAME.0 to NAME.N-1. All directories are on all nodes, everything
# else on one, hard links of a file together. What is new in the tree is made older first:
# rsync takes times in the same second for equal.
spread() {
	local tree=$1 n=$2 to=$3 r inode kind path k=0
	local -A node=()
	find "$tree" -newermt '1 hour ago' ! -newermt '1 hour' \
		-exec touch -h -d '2010-10-10 10:10:10.101010101 UTC' {} +
	rm -rf "$WORK/lists"
	mkdir "$WORK/lists"
	for ((r = 0; r < n; r++)); do
		: >"$WORK/lists/$r"
		mkdir -p "$to.$r"
	done
	while IFS=/ read -r -d '' inode kind path; do
		if [ "$kind" = d ]; then
			for ((r = 0; r < n; r++)); do printf '%s\0' "$path" >>"$WORK/lists/$r"; done
			continue
		fi
		if [ -z "${node[$inode]:-}" ]; then
			node[$inode]=$((k % n))
			k=$((k + 1))
		fi
		printf '%s\0' "$path" >>"$WORK/lists/${node[$inode]}"
	done < <(find "$tree" -mindepth 1 -printf '%i/%y/%P\0')
	for ((r = 0; r < n; r++)); do
		rsync -aHAXS --from0 --files-from="$WORK/lists/$r" "$tree/" "$to.$r/" || fail "spread $tree"
		touch -r "$tree" "$to.$r"
	done
}

# tidy DIR...: nothing of EBT's own is in them, nor beside them
tidy() {
	local d left
	for d in "$@"; do
		CHECKS=$((CHECKS + 1))
		left=$(find "$d" -name '.ebt*' -print 2>/dev/null | head -3)
		left+=$(find "$(dirname "$d")" -maxdepth 1 -name ".*ebt-drain-*" -print | head -3)
		[ -z "$left" ] || fail "${what:-}: left in or beside $d: $left"
	done
}
# arrived TREE DEST: equal in everything, and nothing else
arrived() {
	same "$1" "$2"
	same_times "$1" "$2"
	tidy "$2"
}
# arrived_beside TREE DEST: equal, but for the times of directories that were there before
arrived_beside() {
	local diff
	CHECKS=$((CHECKS + 1))
	diff=$(rsync -naHAXS --omit-dir-times --checksum --delete -i "$1/" "$2/" 2>&1)
	[ -z "$diff" ] || fail "$2 differs from $1: $diff"
	tidy "$2"
}
# nothing_at DEST...: not made, or an empty directory with nothing hidden in it
nothing_at() {
	local d left
	for d in "$@"; do
		CHECKS=$((CHECKS + 1))
		left=$(find "$d" -mindepth 1 -print 2>/dev/null | head -3)
		[ -z "$left" ] || fail "${what:-}: visible in $d: $left"
	done
}
# picture DIR...: all that can be seen in them, .ebt left out
picture() {
	find "$@" -mindepth 1 -name .ebt -prune -o -printf '%p %i %y %m %U:%G %s %T@ %n %l\n' | sort
	find "$@" -name .ebt -prune -o -type f -print0 | sort -z | xargs -0 -r sha256sum
}
