#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Outputs that change while they are drained, targets that do not keep what was written, and
# outputs that leave while the job still runs.
cli=$(cd "$(dirname "$0")/../cli" && pwd)
. "$(dirname "$0")/fault.sh"
. "$cli/drain.sh"

mkdir -p want/d
for i in $(seq 30); do head -c 20000 /dev/urandom >want/d/f$i; done
head -c 4000000 /dev/urandom >want/d/large
spread want $N keep
at=$(ls -d keep.?/d/large)
at=s.${at:5:1} # the store that has it
fresh() {
	local r
	rm -rf s.? d
	for ((r = 0; r < N; r++)); do cp -a keep.$r s.$r; done
}
# slowly ARG...: a drain that is busy with the large file
slowly() {
	fresh
	begin --rate=3M "$@" "$WORK/s.%r" "$WORK/d"
	all_ranks >/dev/null
	until_there 'd/d/.ebt*' || fail "$what: too late"
	sleep 0.7
	[ ! -e d/d/large ] || fail "$what: too late for large"
}
# the_others: are done and freed
the_others() {
	local f
	for f in want/d/f*; do check "$what: ${f#want/}" cmp -s "$f" "d/${f#want/}"; done
	check "$what: they are freed" test -z "$(ls s.?/d/f* 2>/dev/null)"
	tidy d
}
# during COMMAND...: the content changes in the middle, so that file alone is read once more
during() {
	slowly --delete
	"$@"
	cp -a $at/d/large now
	ended 60
	check "$what: status $status" test "$status" = 0
	check "$what: it is what it became" cmp now d/d/large
	absent $at/d/large
	the_others
}
# under COMMAND...: the name comes to mean something else, while what it meant is open still.
# Both were outputs: one is done at least, and it is not freed if it is the older.
under() {
	slowly --delete
	"$@"
	rm -f now
	[ ! -f $at/d/large ] || cp -a $at/d/large now
	ended 60
	check "$what: status $status" test "$status" = 0
	if [ -f d/d/large ]; then
		check "$what: it is one or the other" sh -c 'cmp -s d/d/large want/d/large || cmp -s d/d/large now'
	fi
	the_others
}
# then_done: run again, with what is there still
then_done() {
	expect 0 $N --delete "$WORK/s.%r" "$WORK/d"
	check "$what: done by the next run" cmp now d/d/large
	absent $at/d/large
	tidy d
}
what="a file grows"
during sh -c "echo more >>$at/d/large"
what="a file is truncated"
during truncate -s 100 $at/d/large
what="a file is replaced"
replace() {
	head -c "$1" /dev/urandom >other
	touch -r $at/d/large other
	[ "$1" = 4000000 ] || touch other
	mv other $at/d/large
}
under replace 3000000
then_done
what="a file is replaced, same size and time"
under replace 4000000
then_done
what="a file is written into, and its time put back"
poke() {
	cp -p $at/d/large stamp
	printf XXXX | dd of=$at/d/large bs=1 seek=3999990 conv=notrunc status=none
	touch -r stamp $at/d/large
}
slowly
poke
ended 60
# It may have been read before or after, but never be something in between that counts as done.
if [ -e d/d/large ]; then
	check "$what: it is one or the other" sh -c "cmp -s d/d/large stamp || cmp -s d/d/large $at/d/large"
else
	check "$what: status $status" test "$status" = 3
fi
what="a file vanishes"
under rm $at/d/large
expect 0 $N --delete "$WORK/s.%r" "$WORK/d"
what="a file becomes a link"
relink() { mv $at/d/large $at/d/y && ln -s y $at/d/large; }
under relink
check "$what: its content stays" cmp $at/d/y want/d/large
check "$what: and the link" test -L $at/d/large
what="a file becomes a FIFO"
fifo() { rm $at/d/large && mkfifo $at/d/large; }
under fifo
expect 0 $N "$WORK/s.%r" "$WORK/d"
what="a directory becomes a link to somewhere else"
mkdir -p away
head -c 4000000 /dev/zero >away/large
redirect() { mv $at/d $at/moved && ln -s "$WORK/away" $at/d; }
slowly --delete
redirect
ended 60
if [ -e d/d/large ]; then
	check "$what: nothing comes from there" cmp -s d/d/large want/d/large
else
	check "$what: status $status" test "$status" = 3
fi
check "$what: nothing is freed there" test -e away/large

# One of several pieces changes: the file is joined once more.
what="a piece changes"
fresh
rm -f s.?/d/large
for r in 0 1 2; do
	truncate -s 6000000 s.$r/d/large
	dd if=want/d/large of=s.$r/d/large bs=100000 skip=$((r * 10)) seek=$((r * 10)) count=10 conv=notrunc status=none
done
begin --rate=1M --conflict=merge --delete "$WORK/s.%r" "$WORK/d"
all_ranks >/dev/null
until_there 'd/d/.ebt*' || fail "$what: too late"
sleep 0.5
[ ! -e d/d/large ] || fail "$what: too late for large"
printf Y | dd of=s.2/d/large bs=1 seek=5999999 conv=notrunc status=none
ended 60
check "$what: status $status" test "$status" = 0
head -c 3000000 want/d/large >now
truncate -s 5999999 now
printf Y >>now
check "$what: as it became" cmp now d/d/large
for r in 0 1 2; do absent s.$r/d/large; done

# One of several pieces cannot be read, found out where it is compared with others' or where it
# is written: that file alone is not done.
for overlap in yes no; do
	what="a piece cannot be read, compared: $overlap"
	fresh
	rm -f s.?/d/large
	for r in 0 1 2; do
		truncate -s 3000000 s.$r/d/large
		dd if=want/d/large of=s.$r/d/large bs=100000 skip=$((r * 10)) seek=$((r * 10)) count=10 conv=notrunc status=none
		# A header that all have.
		[ $overlap = no ] || dd if=want/d/large of=s.$r/d/large bs=10000 count=1 conv=notrunc status=none
	done
	AS=(env "LD_PRELOAD=$2/failing.so" EBT_TEST_RANK=2 EBT_TEST_UNREADABLE=s.2/d/large)
	begin --conflict=merge --delete "$WORK/s.%r" "$WORK/d"
	AS=()
	ended 60
	check "$what: status $status" test "$status" = 3
	says "d/large"
	says "Input/output error"
	absent d/d/large
	for r in 0 1 2; do exists s.$r/d/large; done
	the_others
	# A tree that is shown as a whole is not, without it.
	rm -rf d
	fresh
	AS=(env "LD_PRELOAD=$2/failing.so" EBT_TEST_RANK=0 "EBT_TEST_UNREADABLE=$at/d/large")
	if [ $overlap = yes ]; then
		for r in 0 1 2; do [ -e s.$r/d/large ] || cp -p $at/d/large s.$r/d/large; done
		AS[3]=EBT_TEST_UNREADABLE=s.0/d/large
	else
		AS[2]=EBT_TEST_RANK=${at#s.}
	fi
	begin --conflict=merge --atomic "$WORK/s.%r" "$WORK/d"
	AS=()
	ended 60
	check "$what: of a whole, status $status" test "$status" = 1
	absent d
	expect 0 $N --conflict=merge --atomic "$WORK/s.%r" "$WORK/d"
	check "$what: the whole" cmp want/d/large d/d/large
done

# A file with holes that does not tell where they are is read as if it had none.
what="a file without a map"
fresh
truncate -s 5000000 $at/d/large
cp -a $at/d/large now
AS=(env "LD_PRELOAD=$2/failing.so" EBT_TEST_RANK=${at#s.} EBT_TEST_UNMAPPED=$at/d/large)
begin --delete "$WORK/s.%r" "$WORK/d"
ended 60
is "$what: status" 0 $status
check "$what: it is there" cmp now d/d/large
the_others
what="a file without a map that cannot be read"
fresh
truncate -s 5000000 $at/d/large
AS+=(EBT_TEST_UNREADABLE=$at/d/large)
begin --delete "$WORK/s.%r" "$WORK/d"
AS=()
ended 60
is "$what: status" 3 $status
says "d/large"
absent d/d/large
exists $at/d/large
the_others

# A target that returns something else than was written: --verify does not let it be seen.
what="content is spoiled"
fresh
begin --rate=2M --verify "$WORK/s.%r" "$WORK/d"
all_ranks >/dev/null
until_there 'd/d/.ebt*' || fail "$what: too late"
spoiled=0
end=$(($(now_ms) + 1300))
while [ "$(now_ms)" -lt $end ]; do
	for f in d/d/.ebt*; do
		# The large one: its first bytes are written already, as time goes by.
		[ "$(stat -c %s "$f" 2>/dev/null || echo 0)" -gt 100000 ] || continue
		{ printf SPOILED | dd of="$f" bs=1 conv=notrunc,nocreat status=none; } 2>/dev/null && spoiled=$((spoiled + 1))
	done
	sleep 0.02
done
check "$what: $spoiled times" test $spoiled -gt 0
ended 60
if [ "$status" -eq 0 ]; then
	check "$what: written again" cmp -s want/d/large d/d/large
else
	check "$what: status $status" test "$status" = 3
	says "d/large"
	absent d/d/large
	expect 0 $N --verify "$WORK/s.%r" "$WORK/d"
fi
arrived want d
finish
