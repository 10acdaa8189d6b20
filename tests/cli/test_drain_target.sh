#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Where a drain goes to, what it does to what is there already, what it frees and what it says.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/drain.sh"
cd "$WORK" || exit 99
chmod 755 "$WORK"

mkdir -p tree/d/e tree/empty
for i in 1 2 3 4 5 6 7 8; do echo "content $i" >tree/d/f$i; done
head -c 3000000 /dev/urandom >tree/d/e/large
truncate -s 5M tree/d/e/sparse
printf data | dd of=tree/d/e/sparse bs=1M seek=2 conv=notrunc status=none
ln tree/d/e/large tree/d/e/hard
ln -s ../f1 tree/d/e/link
chmod 4750 tree/d/f2
touch -d '2005-05-05 05:05:05.5 UTC' tree/d/e tree/d tree
again() {
	rm -rf s.? d
	spread tree 3 s
}
again

# DEST that cannot be: named, and nothing is done.
echo file >file
expect 1 3 "$WORK/s.%r" "$WORK/file"
says "$WORK/file"
says "Not a directory"
is "the file" file "$(cat file)"
expect 1 3 "$WORK/s.%r" "$WORK/s.1/d/new"
says "$WORK/s.1"
absent s.1/d/new
expect 1 3 "$WORK/s.%r" "$WORK/s.2"
says "$WORK/s.2"
mkdir -p around/s.0 around/s.1
echo x >around/s.1/x
expect 1 2 "$WORK/around/s.%r" "$WORK/around"
says "$WORK/around"
absent around/x
if [ "$(id -u)" = 0 ] && mkdir ro && mount -t tmpfs -o size=10m tmpfs ro 2>/dev/null; then
	MOUNTS+=("$WORK/ro")
	mount -o remount,ro ro
	expect 1 3 "$WORK/s.%r" "$WORK/ro/d"
	says "$WORK/ro"
	says "Read-only"
	umount ro
else
	echo "not tried: a read-only DEST needs a mount"
fi
nobody=()
if [ "$(id -u)" = 0 ]; then
	nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/)
	command -v setpriv >/dev/null && "${nobody[@]}" test -x "$STAGE" || nobody=(none)
fi
if [ "${nobody[0]:-}" = none ]; then
	echo "not tried: another user's DEST needs setpriv and a build that everybody may run"
else
	# as_nobody STATUS ARG...
	as_nobody() {
		local want=$1 got
		shift
		CHECKS=$((CHECKS + 1))
		timeout "$LIMIT" "${nobody[@]}" "$LAUNCH" -n 3 "$STAGE" --per-rank --memory=32M "$@" \
			>out 2>err </dev/null
		got=$?
		[ $got = "$want" ] || { fail "exit status $got, not $want, as another user: $*"; show; }
	}
	mkdir -m 1777 theirs
	for r in 0 1 2; do
		cp -r s.$r theirs/s.$r
		rm -rf theirs/s.$r/.ebt
		[ "$(id -u)" != 0 ] || chown -R 65534:65534 theirs/s.$r
	done
	mkdir -m 555 closed
	as_nobody 1 "$WORK/theirs/s.%r" "$WORK/closed/d"
	says "$WORK/closed"
	says "Permission denied"
	as_nobody 1 "$WORK/theirs/s.%r" "$WORK/closed"
	says "$WORK/closed"
	says "Permission denied"
	nothing_at closed
	# One that may be written; what a user cannot give away comes out as his own.
	mkdir -m 1777 open
	as_nobody 0 "$WORK/theirs/s.%r" "$WORK/open/d"
	check "content of another user" diff -r --no-dereference tree open/d
	tidy open/d
	# A file of his own that he may not read.
	rm -rf open/d
	chmod 0 theirs/s.0/d/f1 theirs/s.1/d/f1 theirs/s.2/d/f1 2>/dev/null
	as_nobody 0 --exclude=f1 "$WORK/theirs/s.%r" "$WORK/open/d"
	absent open/d/d/f1
	rm -rf open/d
	timeout "$LIMIT" "${nobody[@]}" "$LAUNCH" -n 3 "$STAGE" --per-rank "$WORK/theirs/s.%r" "$WORK/open/d" \
		>out 2>err </dev/null
	got=$?
	check "status with an unreadable file: $got" test $got = 1 -o $got = 3
	says "d/f1"
	says "Permission denied"
	absent open/d/d/f1
	tidy open/d
fi

# STORE that is not there.
rm -rf s.1.away
mv s.1 s.1.away
expect 1 3 "$WORK/s.%r" "$WORK/d"
says "$WORK/s.1"
says "No such file"
nothing_at d
expect 0 3 --json --missing-ok "$WORK/s.%r" "$WORK/d"
check "the others' files" test "$(number files)" = "$(find s.0 s.2 -path '*/.ebt' -prune -o -type f -printf '%i\n' | sort -u | wc -l)"
rm -rf s.1 d
expect 0 3 --missing-ok "$WORK/nosuch.%r" "$WORK/d"
nothing_at d
rm -rf nosuch.*
echo file >s.1
expect 1 3 --missing-ok "$WORK/s.%r" "$WORK/d"
says "$WORK/s.1"
nothing_at d
again
rm -rf s.1.away

# Existing targets: refused if the user says so, the first are named, nothing is touched.
mkdir -p d/d/e
echo theirs >d/d/f3
echo theirs >d/d/e/large
echo theirs >d/other
picture d >before
for how in --overwrite=refuse --strict "--strict --overwrite=auto"; do
	expect 1 3 $how "$WORK/s.%r" "$WORK/d"
	says "d/f3"
	says "exist"
	check "nothing is touched" diff before <(picture d)
	tidy d
done
# What is there and in nobody's way is no obstacle, and stays.
rm d/d/f3 d/d/e/large
chmod 711 d/d
expect 0 3 "$WORK/s.%r" "$WORK/d"
is "another file" theirs "$(cat d/other)"
is "an existing directory's mode" 711 "$(stat -c %a d/d)"
rm d/other
check "arrived beside it" diff -r --no-dereference tree d
tidy d

# always: replaced, never through a link, never a directory.
again
mkdir -p d/d outside
echo theirs >d/d/f3
echo target >outside/f
ln -s "$WORK/outside/f" d/d/f4
expect 0 3 --overwrite=always "$WORK/s.%r" "$WORK/d"
is "f3" "content 3" "$(cat d/d/f3)"
is "f4" "content 4" "$(cat d/d/f4)"
check "f4 is no link any more" test ! -L d/d/f4
is "what it pointed to" target "$(cat outside/f)"
again
mkdir -p d/d/f5/full
for how in --overwrite=refuse "--strict --overwrite=always" "--strict --overwrite=update"; do
	expect 1 3 $how "$WORK/s.%r" "$WORK/d"
	says "d/f5"
	check "the directory stays" test -d d/d/f5/full
	check "nothing but it" test "$(find d | wc -l)" = 4
done
for how in always update auto; do
	expect 4 3 --overwrite=$how "$WORK/s.%r" "$WORK/d"
	check "the directory stays ($how)" test -d d/d/f5/full
	is "beside the directory ($how)" "content 5" "$(cat d/d/f5.ebt-new)"
	is "the others ($how)" "content 6" "$(cat d/d/f6)"
	rm -r s.?/.ebt d
	mkdir -p d/d/f5/full
done
expect 3 3 --overwrite=keep "$WORK/s.%r" "$WORK/d"
is "what is kept" "full" "$(ls d/d/f5)"
absent d/d/f5.ebt-new
is "the others (keep)" "content 6" "$(cat d/d/f6)"
again
mkdir d
for how in --overwrite=refuse "--strict --overwrite=always" "--strict --overwrite=update" --strict; do
	ln -sfn "$WORK/outside" d/d
	expect 1 3 $how "$WORK/s.%r" "$WORK/d"
	says "$WORK/d: "
	says ": d"
	check "nothing behind the link ($how)" test "$(ls -A outside)" = f
	rm d/d
	echo file >d/d
	expect 1 3 $how "$WORK/s.%r" "$WORK/d"
	says "$WORK/d: "
	says ": d"
	is "the file in a directory's place ($how)" file "$(cat d/d)"
	rm d/d
done
for how in always update auto keep; do
	ln -sfn "$WORK/outside" d/d
	expect 4 3 --overwrite=$how "$WORK/s.%r" "$WORK/d"
	check "nothing behind the link ($how)" test "$(ls -A outside)" = f
	check "the link stays ($how)" test -L d/d
	check "what is in the directory ($how)" diff -r --no-dereference tree/d d/d.ebt-new
	check "what is beside it ($how)" test -d d/empty
	rm -r s.?/.ebt d/*
	echo file >d/d
	expect 4 3 --overwrite=$how "$WORK/s.%r" "$WORK/d"
	is "the file in a directory's place ($how)" file "$(cat d/d)"
	check "what is in the directory ($how)" diff -r --no-dereference tree/d d/d.ebt-new
	rm -r s.?/.ebt d/*
done

# update: what does not differ stays as it is.
again
expect 0 3 "$WORK/s.%r" "$WORK/d"
rm -rf s.?/.ebt # a new job that knows nothing
inode_f2=$(stat -c %i d/d/f2) inode_large=$(stat -c %i d/d/e/large)
echo changed >d/d/f7
printf Y | dd of=d/d/f8 conv=notrunc status=none # same size, another time
rm d/d/f1
expect 0 3 --json --overwrite=update "$WORK/s.%r" "$WORK/d"
arrived_beside tree d
is "files that differ" 3 "$(number files)"
is "same files" "$inode_f2 $inode_large" "$(stat -c %i d/d/f2 d/d/e/large | paste -sd ' ')"
tidy d

# What was drained is gone or was changed by somebody: the journal does not make it good.
again
expect 0 3 "$WORK/s.%r" "$WORK/d"
rm d/d/f1
expect 0 3 "$WORK/s.%r" "$WORK/d"
is "f1 is back" "content 1" "$(cat d/d/f1)"
echo somebody >d/d/f2
expect 1 3 --overwrite=refuse "$WORK/s.%r" "$WORK/d"
says "d/f2"
is "somebody's file" somebody "$(cat d/d/f2)"
expect 0 3 --overwrite=update "$WORK/s.%r" "$WORK/d"
arrived_beside tree d
rm -rf d
expect 0 3 --json "$WORK/s.%r" "$WORK/d"
arrived tree d

# Later outputs of the same stores to the same place.
echo later >s.1/d/later
expect 0 3 --json "$WORK/s.%r" "$WORK/d"
is "files of the second drain" 1 "$(number files)"
is "the later one" later "$(cat d/d/later)"
# What a drain of these stores put there is replaced if its source has changed, but not if
# somebody else has changed it as well.
echo "more than before" >>s.1/d/later
expect 0 3 --json "$WORK/s.%r" "$WORK/d"
check "the changed one" cmp s.1/d/later d/d/later
is "files that changed" 1 "$(number files)"
echo "and more" >>s.1/d/later
echo somebody >d/d/later
expect 1 3 --overwrite=refuse "$WORK/s.%r" "$WORK/d"
says "d/later"
is "somebody's" somebody "$(cat d/d/later)"

# --atomic: all at once, where nothing was.
again
mkdir d
expect 1 3 --atomic "$WORK/s.%r" "$WORK/d"
says "$WORK/d"
nothing_at d
rmdir d
ln -s nowhere d
expect 1 3 --atomic "$WORK/s.%r" "$WORK/d"
check "the link stays" test -L d
rm d
expect 0 3 --atomic --verify "$WORK/s.%r" "$WORK/d"
arrived tree d
# It is not there before it is complete.
again
timeout "$LIMIT" "$LAUNCH" -n 3 "$STAGE" --per-rank --memory=32M --atomic --rate=3M "$WORK/s.%r" "$WORK/d" \
	>out 2>err </dev/null &
pid=$!
looks=0 torn=0
while [ -d /proc/$pid ]; do
	if [ -e d ]; then
		sleep 0.05
		[ -z "$(rsync -naHX -i tree/ d/ | grep -v '^\.d')" ] || torn=$((torn + 1))
		break
	fi
	looks=$((looks + 1))
	sleep 0.01
done
wait $pid
is "status of a slow atomic drain" 0 $?
check "it was looked at: $looks" test $looks -gt 20
is "torn" 0 $torn
arrived tree d

# --rate is kept: 6 MB of content at 3 MB/s.
again
expect 0 3 --json --rate=3M "$WORK/s.%r" "$WORK/d"
check "no faster than --rate: $(number seconds) s" \
	awk -v s="$(number seconds)" -v b="$(number bytes)" 'BEGIN {exit !(b > 3e6 && s > b / 3e6 * .8)}'

# --verify on a good target.
again
expect 0 3 --verify "$WORK/s.%r" "$WORK/d"
arrived tree d

# --delete: local files go when they are in DEST; inputs, directories and what was left out stay.
rm -rf s.? d
staged 3 tree/d/f1 "$WORK/s.%r"
for r in 0 1 2; do
	mkdir s.$r/d
	echo "output $r" >s.$r/d/out$r
	ln s.$r/d/out$r s.$r/d/link$r
	echo scratch >s.$r/d/x.tmp
	[ $r != 1 ] || mkfifo s.1/fifo
done
ln -s out0 s.0/d/sym
expect 0 3 --json --delete --exclude='*.tmp' "$WORK/s.%r" "$WORK/d"
for r in 0 1 2; do
	absent s.$r/d/out$r
	absent s.$r/d/link$r
	is "out$r" "output $r" "$(cat d/d/out$r)"
	check "link$r" test d/d/out$r -ef d/d/link$r
	is "left out $r" scratch "$(cat s.$r/d/x.tmp)"
	is "input $r" "content 1" "$(cat s.$r/f1)"
done
absent s.0/d/sym
is "sym" out0 "$(readlink d/d/sym)"
check "FIFO stays" test -p s.1/fifo
absent d/f1
tidy d
# Without --delete first, with it afterwards: it frees what is durable already.
again
expect 0 3 "$WORK/s.%r" "$WORK/d"
check "all is local still" test "$(find s.? -name .ebt -prune -o -type f -print | wc -l)" = "$(find tree -type f | wc -l)"
expect 0 3 --delete "$WORK/s.%r" "$WORK/d"
check "all is freed" test -z "$(find s.? -name .ebt -prune -o -type f -print)"
arrived tree d
# After that there is nothing to drain, and what is there stays.
expect 0 3 --json --delete "$WORK/s.%r" "$WORK/d"
is "files after all was freed" 0 "$(number files)"
arrived tree d
# The version that was not the newest is not in DEST, so it is not freed.
rm -rf s.? d
mkdir s.0 s.1
echo old >s.0/f
echo new >s.1/f
touch -d '2020-01-01 UTC' s.0/f
expect 0 2 --delete --conflict=newest "$WORK/s.%r" "$WORK/d"
is "newest" new "$(cat d/f)"
absent s.1/f
is "the older one is not lost" old "$(cat s.0/f 2>/dev/null)"
# Refused: nothing goes.
again
mkdir -p d/d
echo theirs >d/d/f1
expect 1 3 --delete --strict "$WORK/s.%r" "$WORK/d"
check "refused, nothing freed" test "$(find s.? -name .ebt -prune -o -type f -print | wc -l)" = "$(find tree -type f | wc -l)"

# --dry-run writes nothing and binds nobody.
again
picture s.? >before
expect 0 3 --dry-run --delete "$WORK/s.%r" "$WORK/d"
absent d
check "stores after a dry run" diff before <(picture s.?)
check "a plan is printed" test -s out
expect 0 3 --dry-run --json "$WORK/s.%r" "$WORK/d"
check "a plan in JSON" grep -q '"type":"plan"' out
echo changed 0 >s.0/extra
echo changed 1 >s.1/extra
expect 1 3 --dry-run --strict "$WORK/s.%r" "$WORK/d"
says extra
absent d
rm s.?/extra
expect 0 3 "$WORK/s.%r" "$WORK/elsewhere"
arrived tree elsewhere
rm -rf elsewhere

# JSON: lines, each an object of the schema; messages are not among them.
again
odd=$(printf 'q"\\\n\377')
echo odd >"s.0/$odd"
expect 0 3 --json "$WORK/s.%r" "$WORK/d$odd"
is "one result" 1 "$(grep -c '"type":"result"' out)"
if [ -n "$PYTHON" ]; then
	check "every line is JSON" "$PYTHON" -c 'import json, sys
for line in open(sys.argv[1], "rb"):
    o = json.loads(line.decode("utf-8"))
    assert o["schema"] == "ebt.drain/1" and o["type"], o' out
else
	echo "not tried: JSON is not parsed without python3"
fi
rm -rf "d$odd" "s.0/$odd"

# Every rank ends with the same status.
cat >each.sh <<'Y'
#!/bin/sh
"$@"
echo $? >"$EACH/status.$EBT_RANK"
Y
chmod +x each.sh
each() { # STATUS ARG...
	local want=$1
	shift
	rm -f status.?
	EACH=$WORK timeout "$LIMIT" "$LAUNCH" -n 3 ./each.sh "$STAGE" --per-rank "$@" >out 2>err </dev/null
	is "status of each rank: $*" "$want$want$want" "$(cat status.0 status.1 status.2 | tr -d '\n')"
}
again
each 1 "$WORK/nosuch.%r" "$WORK/d"
each 2 --conflict=maybe "$WORK/s.%r" "$WORK/d"
each 0 "$WORK/s.%r" "$WORK/d"
again
mkdir -p d/d
echo theirs >d/d/f1
each 1 --strict "$WORK/s.%r" "$WORK/d"
each 3 --overwrite=keep "$WORK/s.%r" "$WORK/d"
each 4 "$WORK/s.%r" "$WORK/d"
for bad in --nonsense --overwrite=maybe --rate=fast --stripe-size=1000 --creators=x --watch=0 \
	--memory=1 --stripe-count=-1; do
	expect 2 1 $bad "$WORK/s.%r" "$WORK/d2"
	check "few lines for $bad" test "$(grep -cE "^(ebt-drain: |Try )" err)" -le 3
done
expect 2 2 "$WORK/s.%r"
expect 2 2 "$WORK/s.%r" "$WORK/d2" extra
expect 2 2
absent d2
absent extra

# One drain at a time from a store.
again
expect 0 3 "$WORK/s.%r" "$WORK/d"
exec 9<s.1/.ebt/lock
flock 9
expect 1 3 --wait=0 "$WORK/s.%r" "$WORK/d2"
says "s.1"
absent d2
exec 9<&-
finish
