#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Archives of --pack whose members do not hold still or cannot be read: what is not what was
# scanned keeps its place under a name that tells, all others are as they were, and any tar reads
# it. Nothing of the former is freed, and the next drain brings it.
cli=$(cd "$(dirname "$0")/../cli" && pwd)
PACKED=$(cd "$(dirname "$0")" && pwd)/packed.py
. "$(dirname "$0")/fault.sh"
. "$cli/drain.sh"
shim=$2/failing.so
N=2
[ -n "$PYTHON" ] || skip "archives are looked at by python3, which is missing"
run=()
pack=(--pack=/sub=all.tar)
# looks: how many of each kind the last run counted
looks() {
	local k out=
	for k in failed torn grew vanished; do out+=" $(number $k)"; done
	echo "${out# }"
}
# fresh: two stores with steady files, one with holes among them, and two names of the file that
# is worked on in that of rank 1
fresh() {
	rm -rf s.? d was good
	mkdir -p s.0/sub/dir s.1/sub/dir
	for i in 1 2 3 4 5; do
		echo "steady $i" >s.0/sub/dir/steady$i
		echo "steady $i too" >s.1/sub/dir/too$i
	done
	head -c 2500000 /dev/urandom >s.0/sub/steady
	truncate -s 9M s.1/sub/too
	printf x | dd of=s.1/sub/too bs=1M seek=5 conv=notrunc status=none
	ln -s log s.0/sub/link
	head -c 30000 /dev/urandom >s.1/sub/log
	ln s.1/sub/log s.1/sub/second
	ln s.1/sub/log s.1/sub/a-first
	head -c 3000000 /dev/zero >s.1/sub/first
	for i in 0 1; do echo "plain $i" >s.$i/plain$i; done
	touch -h -d '2010-10-10 10:10:10' s.?/sub/* s.?/sub/dir/* s.?/plain* s.?/sub/dir s.?/sub
	cp s.1/sub/log was
	good
}
# good: what the stores have in sub
good() {
	rm -rf good
	mkdir good
	for ((i = 0; i < N; i++)); do cp -a s.$i/sub good/; done
	rm -f good/sub/log good/sub/second good/sub/a-first
}
# meanwhile WHEN FILE TIMES COMMAND: of the next run, on rank 1, before FILE of it is read (READ)
# or looked at by the scan (LOOK)
meanwhile() { AS=(env "LD_PRELOAD=$shim" EBT_TEST_RANK=1 "EBT_TEST_$1=$2" "EBT_TEST_TIMES=$3" "EBT_TEST_DO=cd $WORK/s.1/sub && $4"); }
# drains STATUS LOOKS ARG...: a run that ends so
drains() {
	local want=$1 counts=$2
	shift 2
	begin --json -v "${pack[@]}" "${run[@]}" "$@" "$WORK/s.%r" "$WORK/d"
	ended 60
	AS=()
	is "$what: status" "$want" "$status" || show
	is "$what: missing, torn, grew, vanished" "$counts" "$(looks)"
}
# whole ARCHIVE OTHER...: three programs read it, with names OTHER beside those of good, and find
# what is good; unpacked by tar it is in x/
whole() {
	local a=$1 names
	shift
	[ -e $a ] || { fail "$what: no $a"; return; }
	CHECKS=$((CHECKS + 5))
	"$PYTHON" "$PACKED" list $a >listed || fail "$what: $a is not whole"
	exists $a.idx
	names=$({ cd good && find sub; printf '%s\n' "$@"; } | sort)
	[ "$(cut -d' ' -f2 listed | sort)" = "$names" ] || fail "$what: $a has $(cut -d' ' -f2 listed | sort | comm -3 - <(echo "$names"))"
	rm -rf x
	mkdir x
	tar -C x -xf $a 2>said && [ ! -s said ] || fail "$what: tar: $(head -n 3 said)"
	if command -v bsdtar >/dev/null; then
		rm -rf y
		mkdir y
		bsdtar -C y -xpf $a 2>said && [ ! -s said ] || fail "$what: bsdtar: $(head -n 3 said)"
		diff -r --no-dereference x y >said || fail "$what: for bsdtar it is something else: $(head -n 3 said)"
	fi
	for f in $({ cd good && find sub ! -type d; } | sort); do
		[ "$(readlink x/$f)" = "$(readlink good/$f)" ] && { [ -L x/$f ] || cmp -s x/$f good/$f; } ||
			fail "$what: $f in $a"
	done
	tidy d
}
# named KIND PATH AS: in the JSON
named() { grep -q "\"kind\":\"$1\",\"path\":\"$2\",\"as\":\"$3\"" out || fail "$what: $2 is not named as $3: $(grep -o '"kind":.*' out)"; }
# freed: all but what is worked on
freed() { check "$what: freed" test -z "$(find s.? -name 'steady*' -o -name 'too*' -o -name 'plain*' -o -name link)"; }
links="sub/log sub/second sub/a-first"
# torn ENDING: the file that is worked on, all its names
torn() {
	local f
	for f in $links; do
		named torn $f $f.ebt-$1
		[ x/$f.ebt-$1 -ef x/sub/log.ebt-$1 ] || fail "$what: $f.ebt-$1 is no link"
		exists s.1/$f
	done
}
# whole_then ARG...: the next drain brings what there is by now; in place of the archive if that
# has nothing else, and frees it
whole_then() {
	good
	cp s.1/sub/log now
	expect ${then:-0} $N "${pack[@]}" "${run[@]}" "$@" "$WORK/s.%r" "$WORK/d"
	whole d/${anew:-all.tar} $links
	check "$what: in the end" cmp now x/sub/log
}

# With one writer rank 0 writes what is read on rank 1.
for with in "" --writers=1; do
	run=($with)

	for change in 'echo more >>log' 'date +%N | dd of=log conv=notrunc status=none' 'truncate -s 100 log' \
		'head -c 40000 /dev/urandom >n; ln -f n log; ln -f n second; ln -f n a-first; rm n'; do
		what="once: $change $with"
		fresh
		meanwhile READ sub/a-first 1 "$change"
		drains 0 "0 0 0 0" --delete
		cp s.1/sub/log now 2>/dev/null && fail "$what: not freed"
		whole d/all.tar $links
		is "$what: passes" 2 "$(number passes)"
		freed
	done

	what="removed once, and renamed $with"
	fresh
	meanwhile READ sub/a-first 1 'rm too; mv dir/too1 dir/too6'
	drains 0 "0 0 0 2" --delete --io-threads=1
	rm good/sub/too
	mv good/sub/dir/too1 good/sub/dir/too6
	whole d/all.tar $links
	says "sub/too on "
	freed

	# Over and over. What is written anew has a time of its own, and what is torn is named.
	for change in 'echo more >>log' 'date +%N | dd of=log conv=notrunc status=none' 'truncate -s -1000 log'; do
		what="over and over: $change $with"
		fresh
		meanwhile READ sub/a-first 100 "$change"
		drains 3 "0 3 0 0" --delete --settle=${settle:-0}
		settle=150ms
		whole d/all.tar sub/{log,second,a-first}.ebt-torn
		torn torn
		case $change in
		echo*) check "$what: what it was" cmp -n 30000 was x/sub/log.ebt-torn ;;
		esac
		freed
		# All but that was freed: what holds it stays.
		then=4 anew=all.tar.ebt-new
		good
		whole_then --delete
		then= anew=
		check "$what: the first one stays" tar -tf d/all.tar >/dev/null
		absent s.1/sub/log
	done

	# What was read whole before it was replaced is what it was at one moment.
	what="replaced over and over $with"
	fresh
	meanwhile READ sub/a-first 100 'head -c 30000 /dev/urandom >n; ln -f n log; ln -f n second; ln -f n a-first; rm n'
	drains 3 "0 0 3 0" --delete --settle=0
	whole d/all.tar $links
	is "$what: one of those that it was" 30000 "$(stat -c %s x/sub/log)"
	exists s.1/sub/log
	exists s.1/sub/second

	what="torn, and nothing freed $with"
	fresh
	meanwhile READ sub/a-first 100 'date +%N | dd of=log conv=notrunc status=none'
	drains 3 "0 3 0 0" --settle=0
	whole d/all.tar sub/{log,second,a-first}.ebt-torn
	whole_then
	is "$what: it takes its place" "all.tar all.tar.idx plain0 plain1" "$(ls d | paste -sd ' ')"

	what="removed in the last pass $with"
	fresh
	echo z >s.1/sub/z0
	meanwhile READ sub/a-first 100 'echo more >>log; rm z*; echo z >z$(date +%N)'
	drains 3 "0 4 0 1" --settle=0 --io-threads=1 --delete
	whole d/all.tar sub/{log,second,a-first}.ebt-torn $(grep -o 'sub/z[0-9]*.ebt-[a-z]*' out)
	is "$what: as long as it was" 2 "$(cat x/sub/z*.ebt-* | wc -c)"
	freed

	# Something else is there by that name, of this node.
	what="its other name is taken $with"
	fresh
	echo mine >s.1/sub/log.ebt-torn
	good
	meanwhile READ sub/a-first 100 'echo more >>log'
	drains 3 "0 3 0 0" --settle=0
	whole d/all.tar sub/log.ebt-torn.2 sub/{second,a-first}.ebt-torn
	named torn sub/log sub/log.ebt-torn.2

	# More than a message has headers of.
	what="six hundred of them $with"
	fresh
	mkdir s.1/sub/many
	for i in $(seq 600); do echo "one $i" >s.1/sub/many/f$i; done
	good
	rm good/sub/many/*
	meanwhile READ sub/a-first 100 'for f in many/*; do echo more >>$f; done'
	drains 3 "0 600 0 0" --settle=0 --delete
	whole d/all.tar $links $(seq -f 'sub/many/f%.0f.ebt-torn' 600)
	check "$what: all have their bytes" test "$(cat x/sub/many/*.ebt-torn | grep -c '^one')" = 600
	is "$what: they stay" 600 "$(ls s.1/sub/many | wc -l)"

	for code in 5 13; do
		what="cannot be read: $code $with"
		fresh
		AS=(env "LD_PRELOAD=$shim" EBT_TEST_RANK=1 EBT_TEST_UNREADABLE=sub/a-first EBT_TEST_CODE=$code)
		drains 3 "0 3 0 0" --delete
		whole d/all.tar sub/{log,second,a-first}.ebt-missing
		torn missing
		check "$what: zeros" cmp -n 30000 /dev/zero x/sub/log.ebt-missing
		is "$what: passes" 1 "$(number passes)"
		freed
		then=4 anew=all.tar.ebt-new
		whole_then --delete
		then= anew=
	done
done
run=()

# pieces AT: a member that both nodes have 40,960 bytes of, the second from AT on
pieces() {
	fresh
	head -c 81920 /dev/urandom >was
	for r in 0 1; do truncate -s 81920 s.$r/sub/piece; done
	head -c 40960 was | dd of=s.0/sub/piece conv=notrunc status=none
	tail -c +$(($1 + 1)) was | dd of=s.1/sub/piece bs=1 seek=$1 conv=notrunc status=none
	rm -f good/sub/piece
}
for how in "" --conflict=merge --writers=1; do
	what="a piece changes once $how"
	pieces 40960
	meanwhile READ sub/piece 1 'printf Z | dd of=piece bs=1 seek=81919 conv=notrunc status=none'
	drains 0 "0 0 0 0" $how --delete
	whole d/all.tar $links sub/piece
	check "$what: as it became" sh -c '{ head -c 81919 was; printf Z; } | cmp - x/sub/piece'
	for r in 0 1; do absent s.$r/sub/piece; done

	what="a piece changes over and over $how"
	pieces 40960
	meanwhile READ sub/piece 100 'echo more >>piece'
	drains 3 "0 1 0 0" $how --delete --settle=0
	whole d/all.tar $links sub/piece.ebt-torn
	named torn sub/piece sub/piece.ebt-torn
	check "$what: what was read" cmp -n 81920 was x/sub/piece.ebt-torn
	for r in 0 1; do exists s.$r/sub/piece; done
	freed

	what="a piece cannot be read $how"
	pieces 40960
	AS=(env "LD_PRELOAD=$shim" EBT_TEST_RANK=1 EBT_TEST_UNREADABLE=sub/piece)
	drains 3 "0 1 0 0" $how --delete
	ending=$(grep -o 'sub/piece\.ebt-[a-z]*' out | head -n 1)
	whole d/all.tar $links $ending
	check "$what: the other one" cmp -n 40960 was x/$ending
	check "$what: zeros" cmp <(tail -c 40960 x/$ending) <(head -c 40960 /dev/zero)
	for r in 0 1; do exists s.$r/sub/piece; done
	freed
done
for code in 5 13; do
	what="a piece cannot be compared: $code"
	pieces 36864
	AS=(env "LD_PRELOAD=$shim" EBT_TEST_RANK=1 EBT_TEST_UNREADABLE=sub/piece EBT_TEST_CODE=$code)
	drains 3 "1 0 0 0" --conflict=merge --delete
	whole d/all.tar $links
	for r in 0 1; do exists s.$r/sub/piece; done
	freed
done

# What is to be as it was scanned, or not at all.
for how in --strict --atomic; do
	as=3 counts="1 0 0 0"
	[ $how = --strict ] || as=1 counts="   "
	what="it changes, $how"
	fresh
	meanwhile READ sub/a-first 1 'echo more >>log'
	drains $as "$counts" $how --delete
	says "sub/a-first on "
	says "changed while it was being drained"
	absent d/all.tar
	[ $how = --strict ] || absent d
	for f in $links sub/steady; do check "$what: $f stays" test -e s.1/$f -o -e s.0/$f; done
	whole_then $how
	what="it cannot be read, $how"
	fresh
	AS=(env "LD_PRELOAD=$shim" EBT_TEST_RANK=1 EBT_TEST_UNREADABLE=sub/a-first)
	drains $as "$counts" $how --delete
	says "sub/a-first on "
	says "read: Input/output error"
	absent d/all.tar
	[ $how = --strict ] || absent d
	for f in $links sub/steady; do check "$what: $f stays" test -e s.1/$f -o -e s.0/$f; done
	whole_then $how
done

# Deaths and errors, by calls and by time. At any moment what is seen is whole, and each output is
# in DEST or on its node; the same run again finishes.
sums() { for d; do [ ! -d $d ] || (cd $d && find . -name '.ebt*' -prune -o -type f -print0 | xargs -0 -r sha256sum); done | sort -u; }
# holds: after whatever happened
holds() {
	CHECKS=$((CHECKS + 2))
	"$PYTHON" "$PACKED" sums d >home 2>said || [ ! -d d ] || fail "$what: $(cat said)"
	sort -u home -o home
	comm -13 before home | grep -q . && fail "$what: in DEST, and not what it has to be: $(comm -13 before home | head -n 3)"
	comm -23 before <(sort -u home <(sums s.0 s.1)) | grep -q . && fail "$what: lost: $(comm -23 before <(sort -u home <(sums s.0 s.1)) | head -n 3)"
}
# again ARG...: the same run
again() {
	local a
	expect 0 $N "${pack[@]}" "$@" "$WORK/s.%r" "$WORK/d"
	holds
	check "$what: all is home" cmp before home
	for a in $(find d -name '*.tar*' ! -name '*.idx'); do exists $a.idx; done
	tidy d
	case " $* " in *" --delete "*) check "$what: freed in the end" test -z "$(find s.? -name .ebt -prune -o -type f -print)" ;; esac
}
# struck ENV...: a run with that, its status is in $status; 1: nothing was struck
struck() {
	rm -f hit
	AS=(env "LD_PRELOAD=$shim" EBT_TEST_HIT=$WORK/hit "$@")
	begin "${pack[@]}" "${with[@]}" "$WORK/s.%r" "$WORK/d"
	AS=()
	ended 60
	[ -e hit ]
}
fresh
for i in $(seq 12); do echo "small $i" | tee s.0/sub/dir/a$i >s.1/sub/dir/b$i; done
for i in 0 1; do mv s.$i keep.$i; done
sums keep.0 keep.1 >before
anew() {
	rm -rf s.? d
	for i in 0 1; do cp -a keep.$i s.$i; done
}
# dies RANK WHEN CALLS AT: and then the same run
dies() {
	anew
	what="rank $1 dies $2 $3, $4, ${with[*]}"
	struck EBT_TEST_RANK=$1 EBT_TEST_DIES=$2 EBT_TEST_CALLS=,$3, EBT_TEST_AT=$4 || return
	deaths=$((deaths + 1))
	check "$what: status $status" test $status -ne 0
	holds
	# What is left of outputs that are freed one by one does not come again.
	again "${with[@]}"
	absent d/all.tar.ebt-new
}
deaths=0
while read -r rank when calls at with; do
	with=($with)
	dies $rank $when $calls $at
done <<'Y'
0 before pwrite64 1
1 after pwrite64 1
1 before pwrite64 2 --writers=1
any after pwrite64 2 --delete
any before ftruncate64 1
any after fsync 1 --delete
any before fsync 2
any after write 2 --delete
any before renameat2 1
0 after renameat2 1 --delete
1 after renameat2 1 --delete
0 before renameat 1 --delete
1 before renameat 1 --delete
0 after renameat 1 --delete
1 after renameat 1
any before unlinkat 1 --delete
0 after unlinkat 1 --delete
1 after unlinkat 1 --delete --overwrite=always
0 before unlinkat 15 --delete --overwrite=update
1 after unlinkat 12 --delete --overwrite=refuse
0 after unlinkat 21 --delete
1 after unlinkat 24 --delete
any after renameat2 1 --atomic
any before renameat 1 --atomic
any after unlinkat 2 --atomic --delete
1 after unlinkat 14 --atomic --delete
0 after unlinkat 9 --strict --delete
any after unlinkat 3 --conflict=newest --delete
Y
check "$deaths deaths" test $deaths -gt 15

# At any time: a slow run, so that its middle is in what is written.
with=(--delete)
while read -r how ms; do
	anew
	what="$how after $ms ms"
	begin --rate=8M "${pack[@]}" --delete "$WORK/s.%r" "$WORK/d"
	all_ranks >/dev/null
	sleep 0.$ms
	case $how in
	rank?) kill -KILL "$(rank ${how#rank})" 2>/dev/null ;;
	termrank?) kill -TERM "$(rank ${how#termrank})" 2>/dev/null ;;
	term) kill -TERM $launcher 2>/dev/null ;;
	launcher) kill -KILL $launcher 2>/dev/null ;;
	esac
	ended 30
	holds
	again --delete
	absent d/all.tar.ebt-new
done <<'Y'
rank0 150
term 150
termrank1 300
launcher 300
rank1 400
term 500
Y

# An index that cannot be written is no reason to fail, and the next run writes it.
what="no index"
anew
with=(--delete)
struck EBT_TEST_RANK=any EBT_TEST_CALLS=,renameat, EBT_TEST_AT=1 EBT_TEST_ON=1 EBT_TEST_ERROR=28 || fail "$what: nothing was struck"
is "$what: status" 0 $status
says "no index of all.tar"
absent d/all.tar.idx
holds
anew
with=()
struck EBT_TEST_RANK=any EBT_TEST_CALLS=,renameat, EBT_TEST_AT=1 EBT_TEST_ON=1 EBT_TEST_ERROR=28 || fail "$what: nothing was struck"
absent d/all.tar.idx
again --delete

# Drained and freed, and what the job writes afterwards.
for how in auto always update; do
	what="more outputs, $how"
	anew
	expect 0 $N "${pack[@]}" --delete --overwrite=$how "$WORK/s.%r" "$WORK/d"
	again --delete --overwrite=$how
	is "$what: nothing new" "all.tar all.tar.idx plain0 plain1" "$(ls d | paste -sd ' ')"
	echo more >s.1/sub/more
	expect 4 $N "${pack[@]}" --delete --overwrite=$how "$WORK/s.%r" "$WORK/d"
	"$PYTHON" "$PACKED" sums d | sort -u | comm -23 before - | grep . && fail "$what: lost"
	is "$what: beside" more "$(tar -xOf d/all.tar.ebt-new sub/more)"
	absent s.1/sub/more
done

# Without a journal nobody knows that it is ours: asked to be replaced, it must not hold anything alone.
what="no journal"
anew
mv s.1/sub moved
with=(--delete --overwrite=always)
struck EBT_TEST_RANK=any EBT_TEST_CALLS=,write, EBT_TEST_AT=1 EBT_TEST_ON=1 EBT_TEST_ERROR=28 || fail "$what: nothing was struck"
is "$what: status" 0 $status
says "no room in the journal for all.tar"
exists s.0/sub/steady
mv moved s.1/sub
again "${with[@]}"

# No room in DEST: the archive is named, all else comes.
if [ "$(id -u)" = 0 ] && mkdir small && mount -t tmpfs -o size=4m tmpfs small 2>/dev/null; then
	MOUNTS=("$WORK/small")
	for how in --writers=1 --writers=2; do
		what="DEST is full, $how"
		anew
		expect 3 $N --json "${pack[@]}" $how --delete "$WORK/s.%r" "$WORK/small/d"
		says '"kind":"missing","path":"all.tar"'
		says "No space left"
		# While the archive takes all of the room there is none for them either.
		for f in plain0 plain1; do
			cmp -s keep.${f#plain}/$f small/d/$f || says "\"kind\":\"missing\",\"path\":\"$f\""
		done
		tidy small/d
		absent small/d/all.tar
		is "$what: nothing of it is freed" "$(sums keep.0/sub keep.1/sub)" "$(sums s.0/sub s.1/sub)"
		mount -o remount,size=60m small
		expect 0 $N "${pack[@]}" $how --delete "$WORK/s.%r" "$WORK/small/d"
		check "$what: then it is there" cmp before <("$PYTHON" "$PACKED" sums small/d | sort -u)
		exists small/d/all.tar.idx
		rm -rf small/d
		mount -o remount,size=4m small
	done
	umount small
	MOUNTS=()
else
	echo "not tried: a DEST without room needs root to mount"
fi
if [ "$(id -u)" = 0 ]; then
	what="a quota"
	anew
	mkdir -p top/d/group
	chown :5678 top/d/group
	chmod 2775 top/d/group
	was=("${pack[@]}")
	pack=(--pack=/sub=group/all.tar)
	AS=(env "LD_PRELOAD=$2/quota.so" "EBT_TEST_DEST=$WORK/top" "EBT_TEST_QUOTA=,group 5678 1000,")
	begin --json "${pack[@]}" --no-owner --delete "$WORK/s.%r" "$WORK/top/d"
	AS=()
	ended 60
	is "$what: status" 3 $status
	says '"kind":"missing","path":"group/all.tar"'
	says "Disk quota exceeded"
	is "$what: the others" "group plain0 plain1" "$(cd top/d && ls . | paste -sd ' ')"
	is "$what: nothing there" "" "$(ls -A top/d/group)"
	is "$what: nothing is freed" "$(sums keep.0 keep.1 | grep -v plain)" "$(sums s.0 s.1)"
	expect 0 $N "${pack[@]}" --no-owner --delete "$WORK/s.%r" "$WORK/top/d"
	check "$what: then it is there" cmp before <("$PYTHON" "$PACKED" sums top/d | sort -u)
	is "$what: its group" 5678 "$(stat -c %g top/d/group/all.tar)"
	pack=("${was[@]}")
fi

# An ordinary user, and a file whose mode is his own fault.
as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/)
if [ "$(id -u)" = 0 ] && "${as_user[@]}" test -x "$STAGE" -a -r "$shim" 2>/dev/null; then
	what="a mode that forbids it"
	fresh
	chmod 0 s.1/sub/log
	mkdir d
	chown -R 65534:65534 s.? d
	AS=("${as_user[@]}")
	drains 3 "0 3 0 0" --delete
	whole d/all.tar sub/{log,second,a-first}.ebt-missing
	torn missing
	freed
else
	echo "not tried: an ordinary user needs root, setpriv and a build that everybody may run"
fi
finish
