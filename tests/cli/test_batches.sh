#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Runs of many batches, also of a single entry each: what comes in one is what comes in all.
. "$(dirname "$0")/lib.sh"
cd "$WORK" || exit 99
make_tree src

batches() { grep -c ' s planned' err; }
field() { sed -n "s/.*\"type\":\"result\".*\"$1\":\([0-9]*\).*/\1/p" out; }
# whole N DEST SOURCE: N stores like the source
whole() {
	local r
	for ((r = 0; r < $1; r++)); do
		same "$3" "$2.$r"
		same_times "$3" "$2.$r"
	done
}

expect 0 1 --json src/. "$WORK/one.%r"
files=$(field files) dirs=$(field dirs) links=$(field links) bytes=$(field bytes)
for n in 1 2 4; do
	for batch in 1 3 40; do
		what="$n nodes, batches of $batch"
		expect 0 $n -vv --json --batch=$batch src/. "$WORK/d.%r"
		whole $n d src
		is "files" "$files" "$(field files)"
		is "directories" "$dirs" "$(field dirs)"
		is "links" "$links" "$(field links)"
		is "bytes" "$bytes" "$(field bytes)"
		check "several batches" test "$(batches)" -gt 2
		expect 0 $n --verify "$WORK/d.%r"
		is "manifests" "$("$STAGE" --list one.0 | sort | sha256sum)" "$("$STAGE" --list d.0 | sort | sha256sum)"

		# What did not change stays; what did comes, with what else has changed.
		echo more >>src/a/none
		echo new >src/many/new
		mv src/many/f7 src/many/f7moved
		expect 0 $n --json --batch=$batch --overwrite=update src/. "$WORK/d.%r"
		is "comes again" 3 "$(($(field files) + $(field links) + $(field symlinks) - $(field unchanged)))"
		check "content" cmp src/a/none d.$((n - 1))/a/none
		check "content" cmp src/many/new d.0/many/new
		expect 0 $n --verify "$WORK/d.%r"
		expect 0 $n --batch=$batch src/. "$WORK/d.%r"
		mv src/many/f7moved src/many/f7
		rm src/many/new
		: >src/a/none
		touch -r one.0/a/none src/a/none
		touch -r one.0/many src/many
		rm -rf d.*
	done
done

# A name in the way, an object that cannot be read, a store without room: found in whatever batch,
# and nothing is visible.
what="a name in the way"
for r in 0 1; do mkdir -p d.$r/many && echo mine >d.$r/many/f399; done
expect 1 2 --batch=7 src/. "$WORK/d.%r"
says "many/f399"
for r in 0 1; do
	is "what there was" "many many/f399" "$(cd d.$r && find . -mindepth 1 -path ./.ebt -prune -o -mindepth 1 -printf '%P\n' | sort | tr '\n' ' ' | sed 's/ $//')"
	check "left of it" test -z "$(ls d.$r/.ebt/incoming 2>/dev/null)"
done
expect 0 2 --batch=7 --overwrite=always src/. "$WORK/d.%r"
whole 2 d src
rm -rf d.*
what="a socket, a FIFO"
mkfifo src/many/fifo1 src/a/fifo2
expect 0 2 --batch=1 src/. "$WORK/d.%r"
is "one warning" 1 "$(grep -c 'skipped, they are FIFOs' err)"
rm -rf d.* src/many/fifo1 src/a/fifo2
if [ "$(id -u)" != 0 ] || command -v setpriv >/dev/null; then
	what="a file that may not be read"
	rm -rf closed && mkdir -p closed/z && chmod 755 "$WORK" closed closed/z
	for i in $(seq 30); do echo $i >closed/f$i; done
	echo no >closed/z/secret
	chmod 000 closed/z/secret
	mkdir open && chmod 1777 open
	[ "$(id -u)" = 0 ] && WHO=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	expect 1 2 --batch=5 closed/. "$WORK/open/d.%r"
	says "closed/z/secret: open: Permission denied"
	nothing_visible open/d.0 open/d.1
	WHO=()
fi

# Sources that give the same name are seen together, however small a batch was to be.
what="sources that meet"
mkdir -p left/both right/both
echo l >left/both/l
echo r >right/both/r
chmod 700 right/both
expect 0 2 -vv --batch=1 left/. right/. "$WORK/m.%r"
is "one batch" 1 "$(batches)"
check "of both" test -f m.1/both/l -a -f m.1/both/r
is "the later one's mode" 700 "$(stat -c %a m.0/both)"
echo x >right/both/l
expect 1 2 --batch=1 left/. right/. "$WORK/n.%r"
says "both/l: comes from both"
nothing_visible n.0 n.1

# Whole paths, whose directories above come once.
what="relative"
expect 0 3 --batch=2 -R src/a/b src/many/f3 src/many/f4 "$WORK/r.%r"
same src/a/b r.2/src/a/b
is "directories above" "$(stat -c '%a %Y' src/many)" "$(stat -c '%a %Y' r.1/src/many)"
check "a file" cmp src/many/f4 r.0/src/many/f4
(cd src && find many -name 'f*') | sed "s|^|src/|" >list
expect 0 3 --batch=20 -R --files-from=list "$WORK/l.%r"
check "a list" diff -r src/many l.2/src/many -x hard2

# What a batch shows of reading and writing is what the plans of the next ones are made with.
what="rates"
mkdir large
for i in $(seq 12); do head -c 12M /dev/zero | tr '\0' "\\$((i + 100))" >large/f$i; done
expect 0 2 --json --batch=3 large/. "$WORK/t.%r"
for name in read write; do
	says "\"${name}_measured\":true"
	check "$name: not what is assumed" test -z "$(grep -E "\"$name\":(1000000000|4000000000)," out)"
	rate=$(grep '"type":"node"' out | grep -o "\"${name}_rate\":[0-9]*" | cut -d: -f2 | sort -n | tail -n 1)
	check "$name: $rate bytes a second" test "$rate" -gt 1000000
done
expect 0 2 -v large/. "$WORK/u.%r"
for name in reader store link; do
	check "slowest $name" grep -Eq "^slowest $name: [0-9.]+ [kMG]?B/s, rank [01] on " out
done
# One batch: nothing is left to be planned.
expect 0 2 --json --batch=1000 large/. "$WORK/v.%r"
says '"read_measured":false'
finish
