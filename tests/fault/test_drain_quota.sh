#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A quota that is used up ends what falls under it, files and directories, and nothing else: that
# of a group that a directory hands down, of a user, of a project. Whose it is is said, where the
# kernel tells. What is not brought is named, and comes when there is room.
cli=$(cd "$(dirname "$0")/../cli" && pwd)
. "$(dirname "$0")/fault.sh"
. "$cli/drain.sh"
QUOTA=$(readlink -f "$2")/quota.so
N=2
[ "$(id -u)" = 0 ] || skip "directories of other groups have to be made by root"
user=(setpriv --reuid=1234 --regid=1234 --groups=1234,5678 env HOME=/)
command -v setpriv >/dev/null && "${user[@]}" test -x "$STAGE" -a -r "$QUOTA" ||
	skip "an ordinary user needs setpriv and a build that everybody may run"

# quota WHO...: as those, with what the environment says; "root" or "user"
quota() {
	local who=$1
	shift
	WHO=(env)
	[ $who = root ] || WHO=("${user[@]}")
	WHO+=("LD_PRELOAD=$QUOTA" "EBT_TEST_DEST=$WORK/top" "$@")
}
# drained STATUS OPTION...
drained() {
	local want=$1
	shift
	: >asked
	expect "$want" $N --json "$@" "$WORK/s.%r" "$WORK/top/d"
}
# missing: the names of it, in one line
missing() { grep -o '"kind":"missing","path":"[^"]*"' out | cut -d'"' -f8 | sort | paste -sd ' '; }

mkdir -p want/proj/sub/deep/er want/proj/empty want/many want/zz/sub
for i in $(seq 40); do head -c $((i * 331)) /dev/urandom >want/many/f$i; done
for d in proj/sub proj/sub/deep proj/sub/deep/er zz/sub; do echo "in $d" >want/$d/f; done
head -c 1500000 /dev/urandom >want/zz/sub/large
ln -s f want/proj/sub/link
ln -s large want/zz/sub/link
echo one >want/proj/sub/name1
ln want/proj/sub/name1 want/zz/name2
echo two >want/many/name1
ln want/many/name1 want/proj/sub/name2
below="proj/empty proj/sub proj/sub/deep proj/sub/deep/er proj/sub/deep/er/f proj/sub/deep/f proj/sub/f"
below+=" proj/sub/link proj/sub/name1 proj/sub/name2"
# fresh WHO: stores as they were; in the target a directory of a project, of group 5678
fresh() {
	local r
	rm -rf s.? top asked
	mkdir -m 777 top
	mkdir -p top/d/proj
	: >asked
	chmod 666 asked
	[ $1 = root ] || chown -R 1234:1234 top/d keep.? want
	[ $1 != root ] || chown -R 0:0 keep.? want
	chown :5678 top/d/proj
	chmod 2775 top/d/proj
	for ((r = 0; r < N; r++)); do cp -a keep.$r s.$r; done
}
spread want $N keep

# others_came: what does not fall under the directory
others_came() {
	local lost
	CHECKS=$((CHECKS + 1))
	lost=$(rsync -na --omit-dir-times --no-group --checksum -i --exclude=/proj want/ top/d/ | head -3)
	[ -z "$lost" ] || fail "did not come: $lost"
	tidy top/d
}
# all_came: with the groups of the directories, and hard links
all_came() {
	local lost
	CHECKS=$((CHECKS + 1))
	lost=$(rsync -naHAX --omit-dir-times --no-group --no-perms --checksum --delete -i want/ top/d/ | head -3)
	[ -z "$lost" ] || fail "differs in the end: $lost"
	tidy top/d
}

for who in root user; do
	what="no directory in the project's, $who"
	fresh $who
	quota $who EBT_TEST_QUOTA=",group 5678 0,"
	drained 3 --delete
	is "missing" "$below" "$(missing)"
	is "not done" 10 "$(number failed)"
	says "top/d/proj/sub: mkdir: Disk quota exceeded"
	says "what falls under it is not brought"
	others_came
	is "in the project's" "" "$(ls -A top/d/proj)"
	is "the other name" "one" "$(cat top/d/zz/name2)"
	# A file that is missing one of its names stays under all of them.
	is "left in the stores" "many/name1 proj/sub/deep/er/f proj/sub/deep/f proj/sub/f proj/sub/link proj/sub/name1 proj/sub/name2 zz/name2" \
		"$(cd s.0 && find . ../s.1 -name .ebt -prune -o ! -type d -printf '%P\n' | sort | paste -sd ' ')"
	what="as before, $who"
	drained 3 --delete
	is "missing" "$below" "$(missing)"
	is "nothing is written twice" 0 "$(number files)"
	what="then there is room, $who"
	WHO=()
	[ $who = root ] || WHO=("${user[@]}")
	drained 0 --delete
	all_came
	is "left in the stores" "" "$(find s.? -name .ebt -prune -o ! -type d -print)"

	what="--strict, $who"
	fresh $who
	quota $who EBT_TEST_QUOTA=",group 5678 0,"
	drained 1 --strict
	says "proj/"
	says "mkdir: Disk quota exceeded"
	is "files" "" "$(find top/d ! -type d)"
done

# Files: those of a quota that is used up, more than would be tried in vain, and all others larger.
rm -rf want keep.? lists
group=$(getent group 100 | cut -d: -f1)
[ -z "$group" ] && group="group 100" || group="group $group (100)"
mkdir -p want/a/sub want/b want/c
for i in $(seq 50); do head -c $((2000 + i)) /dev/urandom >want/a/f$i; done
for i in $(seq 9); do head -c $((2500 + i)) /dev/urandom >want/b/f$i; done
for i in $(seq 40); do head -c $((3000 + i)) /dev/urandom >want/c/f$i; done
for i in $(seq 3); do echo "tiny $i" | tee want/a/sub/f$i >want/b/tiny$i; done
spread want $N keep
# In the target directory a has its own group, and c; b as well, or that of a.
stores() {
	local d r
	rm -rf s.? top
	mkdir -m 777 top
	mkdir -p top/d/a top/d/b top/d/c
	: >asked
	chmod 666 asked
	[ $1 = root ] || chown -R 1234:1234 top/d keep.?
	[ $1 != root ] || chown -R 0:0 keep.?
	chown :100 top/d/a
	chown :$2 top/d/b
	chown :5678 top/d/c
	chmod 2775 top/d/?
	for ((r = 0; r < N; r++)); do cp -a keep.$r s.$r; done
}
# come DIR...: how many files have
come() { for d; do find top/d/$d -maxdepth 1 -type f | wc -l; done | paste -sd ' '; }
# times WHAT: the most often that a node asked for that
times() { grep -cx "$1" asked; }
user=(setpriv --reuid=1234 --regid=1234 --groups=1234,100,5678 env HOME=/)
limit="EBT_TEST_QUOTA=,group 100 1000,"
for who in root user; do
	id=$([ $who = root ] && id -u || echo 1234)
	what="the group's quota, $who"
	stores $who 100
	quota $who "$limit" EBT_TEST_ANSWERS=own "EBT_TEST_ASKED=$WORK/asked"
	drained 3 --delete
	is "came" "0 3 3 40" "$(come a a/sub b c)"
	is "not done" 59 "$(number failed)"
	is "named" 59 "$(missing | wc -w)"
	says "Disk quota exceeded (quota of $group)"
	says "the quota of $group is used up"
	check "not all were tried: $(number creates)" test "$(number creates)" -le 100
	for t in "user $id" "group 100"; do
		check "$t is asked for once a node: $(times "$t")" test "$(times "$t")" -ge 1 -a "$(times "$t")" -le $N
	done
	is "others are not asked for" 0 "$(grep -vcx "user $id\|group 100" asked)"
	tidy top/d
	WHO=()
	[ $who = root ] || WHO=("${user[@]}")
	drained 0 --delete
	is "then there is room" "50 3 12 40" "$(come a a/sub b c)"

	what="the group's quota and nobody tells, $who"
	stores $who 5678
	quota $who "$limit"
	drained 3
	is "came" "0 3 12 40" "$(come a a/sub b c)"
	says "Disk quota exceeded (counted for user $id, group 100)"
	says "a quota is used up (counted for user $id, group 100)"

	what="the project's quota, $who"
	stores $who 100
	chown :100 top/d/c
	chmod 2775 top/d/c
	projects="EBT_TEST_PROJECTS=,/top/d/a 7,/top/d/b 8,"
	for answers in all own none; do
		quota $who "EBT_TEST_QUOTA=,project 7 1000," "$projects" EBT_TEST_ANSWERS=$answers
		[ $answers != none ] || quota $who "EBT_TEST_QUOTA=,project 7 1000," "$projects"
		rm -rf top/d/*/f* top/d/*/tiny* top/d/a/sub
		drained 3 --restart --overwrite=always
		is "came, $answers" "0 3 12 40" "$(come a a/sub b c)"
		case $answers in
		none) says "Disk quota exceeded (counted for user $id, group 100, project 7)" ;;
		*)
			says "Disk quota exceeded (quota of project 7)"
			says "the quota of project 7 is used up"
			;;
		esac
	done

	what="the project's quota as XFS tells it, $who"
	rm -rf top/d/*/f* top/d/*/tiny* top/d/a/sub
	quota $who "EBT_TEST_QUOTA=,project 7 1000," "$projects" EBT_TEST_CODE=ENOSPC EBT_TEST_ANSWERS=all
	drained 3 --restart
	is "came" "0 3 12 40" "$(come a a/sub b c)"
	says "No space left on device (quota of project 7)"
	quota $who "EBT_TEST_QUOTA=,project 7 0," "$projects" EBT_TEST_CODE=ENOSPC
	rm -rf top/d/*/f* top/d/*/tiny* top/d/a/sub
	drained 3 --restart
	is "came, and nobody tells" "0 12 40" "$(come a b c)"
	absent top/d/a/sub

	what="the user's quota, $who"
	stores $who 5678
	quota $who "EBT_TEST_QUOTA=,user $id 1000," EBT_TEST_ANSWERS=own
	drained 3
	is "came" "0 3 3 0" "$(come a a/sub b c)"
	says "(quota of user $([ $who = root ] && echo "root (0)" || echo 1234))"

	what="a directory, $who"
	stores $who 5678
	quota $who "EBT_TEST_QUOTA=,group 100 0," EBT_TEST_ANSWERS=own
	drained 3
	says "a/sub: mkdir: Disk quota exceeded (quota of $group): what falls under it is not brought"
	is "came" "0 12 40" "$(come a b c)"
	drained 1 --strict
	says "mkdir: Disk quota exceeded (quota of $group)"
	stores $who 5678
	quota $who "$limit" EBT_TEST_ANSWERS=own
	drained 1 --strict
	says "Disk quota exceeded (quota of $group)"
done
# Kernels before 5.14 are asked for the block device.
what="the group's quota by its device"
if [ "$(stat -c %Hd top)" != 0 ]; then
	stores root 100
	quota root "$limit" EBT_TEST_ANSWERS=old
	drained 3
	says "Disk quota exceeded (quota of $group)"
else
	echo "not tried: quotactl(2), as ${TMPDIR:-/tmp} is on no block device"
fi
what=
finish
