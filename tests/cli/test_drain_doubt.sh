#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Books of a store that cannot be read or are not complete: manifest, record of a publication,
# journal. All that they do not explain is output and comes, that is named, and nothing that may
# be staged is freed.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/drain.sh"
cd "$WORK" || exit 99
mkdir -p g/b/deep
echo a >g/a
echo x >g/b/x
echo y >g/b/y
echo z >g/b/deep/z
ln -s a g/link
touch -d '2005-05-05' g/b/* g/a
files_of() { (cd "$1" && find . -name .ebt -prune -o ! -type d -printf '%P\n' | sort | paste -sd ' '); }
outputs() {
	local r
	for r in 0 1; do
		mkdir -p s.$r/out
		echo "output of $r" >s.$r/out/f$r
		echo "beside what was staged, $r" >s.$r/b/new$r
		touch -d '2006-06-06' s.$r/out/f$r s.$r/b/new$r
	done
}
# fresh: two stores with g and outputs
fresh() {
	rm -rf s.0 s.1 d
	staged 2 --overwrite=always g/. "$WORK/s.%r"
	outputs
}
all="a b/deep/z b/new0 b/new1 b/x b/y link out/f0 out/f1"
only="b/new0 b/new1 out/f0 out/f1"

for how in "truncate -s -5" "sed -i s/^EBT-MAN/EBT-NEW/" "dd if=/dev/zero of=s.1/.ebt/manifest bs=1 seek=8 count=1 conv=notrunc status=none"; do
	what="a manifest that is damaged or newer: ${how%% of=*}"
	fresh
	case $how in dd*) printf '\377' | dd of=s.1/.ebt/manifest bs=1 seek=8 conv=notrunc status=none ;; *) $how s.1/.ebt/manifest ;; esac
	expect 1 2 --strict "$WORK/s.%r" "$WORK/d"
	says "s.1/.ebt/manifest: "
	says "may be removed"
	nothing_at d
	rm -rf d s.?/.ebt/drain
	expect 1 2 --atomic "$WORK/s.%r" "$WORK/d"
	nothing_at d
	rm -rf s.?/.ebt/drain
	expect 3 2 -n "$WORK/s.%r" "$WORK/d"
	nothing_at d
	expect 3 2 --json --delete "$WORK/s.%r" "$WORK/d"
	says "s.1/.ebt/manifest: "
	check "$what: it is listed" grep -q '"kind":"doubt","path":".ebt/manifest"' out
	is "$what: their number" 1 "$(number doubt)"
	is "$what: all came" "$all" "$(files_of d)"
	is "$what: nothing is freed there" "a b/deep/z b/new1 b/x b/y link out/f1" "$(files_of s.1)"
	is "$what: elsewhere what is output" "a b/deep/z b/x b/y link" "$(files_of s.0)"
	before=$(picture d)
	expect 3 2 "$WORK/s.%r" "$WORK/d"
	is "$what: nothing is brought twice" "$before" "$(picture d)"
	rm s.1/.ebt/manifest
	expect 0 2 "$WORK/s.%r" "$WORK/d"
done

# A publication in the middle, by the words of ebt-store(5). b/y is not in place yet.
stuck() {
	local r
	fresh
	for r in 0 1; do
		id=$(head -c 64 s.$r/.ebt/manifest | tail -c 32)
		(umask 077 && mkdir -p s.$r/.ebt/incoming/$id/tree/b)
		mv s.$r/b/y s.$r/.ebt/incoming/$id/tree/b/y
		mv s.$r/.ebt/manifest s.$r/.ebt/incoming/$id/manifest
		printf 'ebt publish 1\nid %s\noverwrite refuse\nboot %s\n' "$id" \
			"$(cat /proc/sys/kernel/random/boot_id)" >s.$r/.ebt/publish
	done
}
what="a publication that did not end"
stuck
chmod 700 s.1/b/deep # as it is until it gets its attributes
expect 1 2 --strict "$WORK/s.%r" "$WORK/d"
says "cut short"
nothing_at d
rm -rf d s.?/.ebt/drain
expect 3 2 --json --delete "$WORK/s.%r" "$WORK/d"
says "s.0/.ebt/publish: a publication was cut short here (see ebt-stage --recover)"
is "$what: both say so" 2 "$(number doubt)"
is "$what: what is staged is no output" "$only" "$(files_of d)"
absent d/b/deep
is "$what: outputs are freed" "a b/deep/z b/x link" "$(files_of s.1)"
STAGE=$STAGER expect 0 2 --recover "$WORK/s.%r"
is "$what: it ends as ever" "a b/deep/z b/x b/y link" "$(files_of s.1)"
expect 0 2 "$WORK/s.%r" "$WORK/d"
is "$what: and nothing more is output" "$only" "$(files_of d)"

what="... over what was there before"
stuck
mv g/b/x old
echo "x, changed" >g/b/x
expect 3 2 "$WORK/s.%r" "$WORK/d"
is "$what" "$only" "$(files_of d)"
mv old g/b/x

what="a record that is damaged"
for text in "rubbish" "ebt publish 99" ""; do
	stuck
	echo "$text" >s.1/.ebt/publish
	expect 3 2 --delete "$WORK/s.%r" "$WORK/d"
	says "s.1/.ebt/publish: "
	is "$what: the run is known" "$only" "$(files_of d)"
	is "$what: outputs are freed" "a b/deep/z b/x link" "$(files_of s.1)"
done
what="a record of what cannot be read"
stuck
truncate -s -5 s.1/.ebt/incoming/*/manifest
expect 3 2 --delete "$WORK/s.%r" "$WORK/d"
says "s.1/.ebt/incoming/"
is "$what: what is in place is output" "a b/deep/z b/new0 b/new1 b/x link out/f0 out/f1" "$(files_of d)"
is "$what: nothing is freed" "a b/deep/z b/new1 b/x link out/f1" "$(files_of s.1)"

what="a directory of such a store"
stuck
echo "changed by the job" >s.0/b/x
expect 3 1 --per-rank --missing-ok "$WORK/s.%r/b" "$WORK/d"
is "$what" "new0 x" "$(files_of d)"

# The journal. It proves what it can, and is kept.
spoil() {
	case $1 in
	noise) head -c 3000 /dev/urandom >s.1/.ebt/drain ;;
	flipped) printf '\377' | dd of=s.1/.ebt/drain bs=1 seek=$(($(stat -c %s s.1/.ebt/drain) - 40)) conv=notrunc status=none ;;
	newer) printf '\143' | dd of=s.1/.ebt/drain bs=1 seek=8 conv=notrunc status=none ;;
	link) mv s.1/.ebt/drain precious && ln -s "$WORK/precious" s.1/.ebt/drain ;;
	directory) rm s.1/.ebt/drain && mkdir s.1/.ebt/drain && touch s.1/.ebt/drain/in ;;
	esac
}
for how in noise flipped newer link directory; do
	what="a journal: $how"
	fresh
	rm -f precious
	expect 0 2 "$WORK/s.%r" "$WORK/d"
	spoil $how
	[ $how != link ] || cp precious was
	before=$(picture d)
	expect 1 2 --strict "$WORK/s.%r" "$WORK/d"
	says "s.1: journal "
	look=$(find s.1/.ebt | sort)
	expect 3 2 -n "$WORK/s.%r" "$WORK/d"
	is "$what: a dry run leaves it alone" "$look" "$(find s.1/.ebt | sort)"
	echo "later" >s.1/later
	expect 3 2 --json --delete "$WORK/s.%r" "$WORK/d"
	says "s.1: journal "
	check "$what: it is listed" grep -q '"kind":"doubt","path":".ebt/drain"' out
	exists s.1/.ebt/drain.damaged
	is "$what: nothing is brought twice" "$before" "$(rm -f d/later && touch -r s.1/b d/none 2>/dev/null; rm -f d/none; picture d)"
	is "$what: outputs are freed" "a b/deep/z b/x b/y link" "$(files_of s.1)"
	[ $how != link ] || check "$what: what it pointed to" cmp was precious
	echo "last" >s.1/last
	expect 0 2 "$WORK/s.%r" "$WORK/d"
	check "$what: then all is well" cmp s.1/last d/last
	# Once more, and the first is kept too.
	spoil noise
	expect 3 2 "$WORK/s.%r" "$WORK/d"
	exists s.1/.ebt/drain.damaged.2
done
what="a journal that was torn is none in doubt"
fresh
expect 0 2 "$WORK/s.%r" "$WORK/d"
truncate -s -7 s.1/.ebt/drain
head -c 100 /dev/zero >>s.0/.ebt/drain
expect 0 2 "$WORK/s.%r" "$WORK/d"
absent s.1/.ebt/drain.damaged
finish
