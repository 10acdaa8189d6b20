#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Staged files that a job changed without a trace in size and time, or in attributes alone, come
# home; those that it did not change stay, and are not read to find that out.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/drain.sh"
READ=$(readlink -f "$2") # makes manifests of older versions, too
cd "$WORK" || exit 99
chmod 755 "$WORK"
page=$(cd "$(dirname "$0")/../.." && pwd)/share/man/ebt-manifest.5

# As whoever runs the test, and where that is root as somebody else too.
users=(self)
if [ "$(id -u)" = 0 ]; then
	if setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/ test -x "$STAGE" 2>/dev/null; then
		users+=(nobody)
	else
		echo "not tried: an ordinary user needs setpriv and a build that everybody may run"
	fi
fi
# launch N COMMAND ARG...: as $user; what it prints is in out and err
launch() {
	local n=$1
	shift
	local as=()
	[ "$user" = self ] || as=(setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/)
	timeout "$LIMIT" "${as[@]}" "$LAUNCH" -n "$n" "$1" --per-rank --memory=32M "${@:2}" \
		>"$WORK/out" 2>"$WORK/err" </dev/null
}
# run WANT COMMAND ARG...
run() {
	local want=$1 got
	shift
	CHECKS=$((CHECKS + 1))
	launch 1 "$@"
	got=$?
	[ "$got" -eq "$want" ] && return
	fail "exit status $got, not $want: $*"
	show
}
# home NAME...: what a drain brings is that and nothing else
home() {
	rm -rf d
	run 0 "$STAGE" --json "$PWD/s" "$PWD/d"
	is "what came home" "$*" "$(cd d 2>/dev/null && find . ! -type d -printf '%P\n' | sort | paste -sd ' ')"
}
# compared N: so many files were read to compare them
compared() {
	local n
	launch 1 "$STAGE" -v --dry-run "$PWD/s" "$PWD/d"
	n=$(sed -n 's/.*: \([0-9]*\) staged files compared by content.*/\1/p' "$WORK/err")
	is "files that were read" "$1" "${n:-0}"
}
# stage_tree: the tree in s, all of it EBT's
stage_tree() {
	chmod -R u+rwx s 2>/dev/null
	rm -rf s d
	run 0 "$STAGER" "$PWD/tree/." "$PWD/s"
}

for user in "${users[@]}"; do
	rm -rf tree x
	mkdir -p tree/sub tree/more x
	for i in a b c; do head -c 300000 /dev/urandom >tree/sub/$i; done
	for i in $(seq 50); do echo "$i" >tree/more/$i; done
	echo one >tree/one
	ln tree/one tree/more/two
	ln -s one tree/link
	: >tree/none
	find tree -exec touch -h -d '2020-02-02 02:02:02.020202020 UTC' {} +
	if [ $user = nobody ]; then
		chown -Rh 65534:65534 tree x
		chmod 1777 .
	fi
	# in_place PROGRAM: by the user who staged
	if [ $user = nobody ]; then
		do_it() { setpriv --reuid=65534 --regid=65534 --clear-groups bash -c "$1"; }
	else
		do_it() { bash -c "$1"; }
	fi
	other() { head -c 300000 /dev/urandom; }

	what="nothing changed, $user"
	stage_tree
	home
	is "unchanged" 56 "$(number unchanged)"
	compared 0

	what="touch -r, $user"
	cp -p s/sub/a keep
	do_it 'printf x | dd of=s/sub/a bs=1 seek=1000 conv=notrunc status=none; touch -r tree/sub/a s/sub/a'
	home sub/a
	check "the change" cmp s/sub/a d/sub/a
	check "there was one" test "$(cmp s/sub/a keep 2>&1)"
	compared 1

	what="cp -p over it, $user"
	stage_tree
	other >x/b
	touch -r tree/sub/b x/b
	[ $user = self ] || chown 65534:65534 x/b
	do_it 'cp -p x/b s/sub/b'
	home sub/b
	check "the change" cmp x/b d/sub/b
	stage_tree
	do_it 'rm s/sub/b; cp -p x/b s/sub/b'
	home sub/b

	what="rsync, $user"
	stage_tree
	do_it 'rsync --inplace -It x/b s/sub/b'
	home sub/b
	check "the change" cmp x/b d/sub/b
	stage_tree
	do_it 'rsync -It x/b s/sub/b'
	home sub/b

	what="one name of two, $user"
	stage_tree
	do_it 'echo two >s/more/two; touch -r tree/one s/one'
	home more/two one
	is "the change" "two two" "$(cat d/one d/more/two | paste -sd ' ')"

	what="the same again, $user"
	stage_tree
	do_it 'rm s/sub/b; cp -p tree/sub/b s/sub/b; chmod -R u+s s/sub; chmod -R u-s s/sub'
	do_it 'cat s/sub/a >y; cat y >s/sub/a; touch -r tree/sub/a s/sub/a; mv s/more/7 s/7; mv s/7 s/more/7; ln s/one s/l; rm s/l' \
		2>/dev/null
	rm -f y
	home
	compared 5

	what="mode, $user"
	stage_tree
	do_it 'chmod g+w s/sub/a; chmod 0600 s/more/3; chmod 0750 s/more'
	home more/3 sub/a
	is "modes" "$(stat -c %a s/sub/a s/more/3 s/more | paste -sd ' ')" \
		"$(stat -c %a d/sub/a d/more/3 d/more | paste -sd ' ')"

	what="attributes, $user"
	stage_tree
	if do_it 'setfattr -n user.ebt -v new s/sub/a && setfattr -n user.ebt -v new s/more' 2>/dev/null; then
		home sub/a
		is "of a file" new "$(getfattr --only-values -n user.ebt d/sub/a 2>/dev/null)"
		is "of a directory" new "$(getfattr --only-values -n user.ebt d/more 2>/dev/null)"
	else
		echo "not tried: no extended attributes here"
	fi
	what="an ACL, $user"
	stage_tree
	if do_it 'setfacl -m u:1234:r s/sub/c && setfacl -d -m u:1234:rx s/more' 2>/dev/null; then
		home sub/c
		check "of a file" grep -q 1234 <(getfacl -nc d/sub/c 2>/dev/null)
		check "of a directory" grep -q 1234 <(getfacl -ncd d/more 2>/dev/null)
	else
		echo "not tried: no ACLs here"
	fi

	what="owner, $user"
	stage_tree
	if [ $user = self ] && [ "$(id -u)" = 0 ]; then
		chown 1234 s/sub/a
		chgrp 5678 s/sub/c
		chown -h 1234 s/link
		chown 1234 s/more
		home link sub/a sub/c
		is "owners" "1234:0 0:5678 1234:0 1234:0" \
			"$(stat -c %u:%g d/sub/a d/sub/c d/link d/more | paste -sd ' ')"
		# Owners of the source do not count where they were left behind, changes do.
		chown -R 1234:5678 tree/sub
		rm -rf s
		run 0 "$STAGER" --no-owner "$PWD/tree/." "$PWD/s"
		home
		chown 4321 s/sub/b
		home sub/b
		chown -R 0:0 tree/sub
	else
		groups=$(id -G | tr ' ' '\n' | grep -vx "$(id -g)" | head -1)
		if [ $user = self ] && [ -n "$groups" ]; then
			chgrp "$groups" s/sub/a
			home sub/a
		fi
	fi

	# What an update leaves alone keeps what is known of it; what was changed in place is
	# brought again.
	what="update, $user"
	stage_tree
	do_it 'echo new >tree/more/3; touch -r tree/one tree/more/3; echo four! >tree/more/4'
	do_it 'cp tree/sub/b s/sub/b; other=$(head -c 300000 /dev/urandom | tr "\0" x); printf %s "$other" | head -c 300000 >s/sub/b; touch -r tree/sub/b s/sub/b'
	check "they differ" test "$(cmp s/sub/b tree/sub/b 2>&1)"
	run 0 "$STAGER" --json --overwrite=update "$PWD/tree/." "$PWD/s"
	check "the one that was changed" cmp tree/sub/b s/sub/b
	home
	compared 0
	do_it 'printf x | dd of=s/sub/a bs=1 seek=1000 conv=notrunc status=none; touch -r tree/sub/a s/sub/a'
	home sub/a

	what="another staging into the same store, $user"
	stage_tree
	do_it 'mkdir -p x/sub; echo more >x/sub/d'
	[ $user = self ] || chown -R 65534:65534 x
	run 0 "$STAGER" "$PWD/x/sub" "$PWD/s"
	home
	compared 0
	rm -rf x/sub

	# A manifest of an older version names no inodes.
	what="an old manifest, $user"
	stage_tree
	do_it 'printf x | dd of=s/sub/a bs=1 seek=1000 conv=notrunc status=none; touch -r tree/sub/a s/sub/a'
	"$READ" older "$page" s/.ebt/manifest || fail "cannot make an old manifest"
	home sub/a
	says "compared by content"
	is "said" 1 "$(grep -c "older version" "$WORK/err")"
	compared 54
	# An update that compares them notes what it finds.
	run 0 "$STAGER" --overwrite=update "$PWD/tree/." "$PWD/s"
	home
	compared 1
	chmod -R u+rwx s
done
# Many of them are known to be unchanged without a look into any.
user=self
what="20,000 files"
rm -rf tree d
chmod -R u+rwx s
rm -rf s
mkdir -p tree/many
(cd tree/many && seq 20000 | split -l 1 -a 4)
run 0 "$STAGER" "$PWD/tree/." "$PWD/s"
home
is "unchanged" 20000 "$(number unchanged)"
compared 0
if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null; then
	mkdir -p d
	strace -f -e trace=open,openat,openat2 -o "$WORK/trace" "$STAGE" --dry-run "$PWD/s" "$PWD/d" >/dev/null 2>&1
	check "the trace shows opens" grep -q 'many"' "$WORK/trace"
	is "files that were opened" 0 "$(grep -c 'xa[a-z][a-z][a-z]"' "$WORK/trace")"
else
	echo "not tried: there is no strace to count opens"
fi
finish
