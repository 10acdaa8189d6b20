#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# What cannot have its plain name gets one that tells: where DEST has another file, where several
# nodes have different ones, where a name is too long for its ending. Whatever the names are, an
# independent look at DEST finds every byte of every store there, and all that was there before
# as it was.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/drain.sh"
cd "$WORK" || exit 99
host=$(hostname)

# fresh N: empty stores s.0 to s.N-1, and an empty DEST
fresh() {
	local r
	rm -rf s.? d || exit 99
	for ((r = 0; r < $1; r++)); do mkdir s.$r; done
	mkdir d
}
# content DIR...: of all files and links, whatever their names; pieces are looked at by name
content() {
	{
		find "$@" -name '.ebt' -prune -o -type f ! -name 'piece*' -print0 | xargs -0 -r sha256sum | sed 's/^\\//' | cut -c1-64
		find "$@" -name '.ebt' -prune -o -type l -printf 'link %l\n'
	} | sort -u
}
# there: all of DEST that is no directory, with the file that it is
there() {
	{
		find d ! -type d ! -name '.ebt-drain-*' -printf '%P %i %y %m %s %T@ %l\n'
		find d -type f ! -name '.ebt-drain-*' -print0 | sort -z | xargs -0 -r sha256sum
	} | sort
}
# before: what is in DEST now stays
before() { there >was; }
# made: what is in the stores now has to come
made() { content s.? >jobs; }
stays() {
	is "${what:-}: what was in DEST" "" "$(comm -23 was <(there) | head -3)"
}
home() {
	is "${what:-}: content that is not in DEST" "" "$(comm -23 jobs <(content d) | head -3)"
	stays
	tidy d
}
names() { (cd d && find . ! -type d -printf '%P\n' | LC_ALL=C sort | paste -sd ' '); }
left() { find s.? -name .ebt -prune -o ! -type d -print | LC_ALL=C sort | paste -sd ' '; }
# looks: kind, name, other name and node of what the last run printed as JSON
looks() {
	sed -nE 's/.*"type":"look","kind":"([^"]*)","path":"([^"]*)",("as":"([^"]*)",)?"node":"([^"]*)".*/\1 \2 \4 \5/p' out |
		LC_ALL=C sort
}
# quiet ARG...: the same once more writes nothing
quiet() {
	local want=$1
	shift
	picture d >pictured
	expect "$want" "$@"
	check "${what:-}: nothing is written again" diff pictured <(picture d)
}
ones() { head -c "$1" /dev/zero | tr '\0' "$2"; }
# put FILE OFFSET TEXT
put() { printf %s "$3" | dd of="$1" bs=64K oflag=seek_bytes seek="$2" conv=notrunc status=none; }
# 255 bytes: 127 characters of two bytes, and one of one.
long=$(printf 'é%.0s' $(seq 127))x

what="what DEST has already"
clashes() {
	local f
	fresh 2
	mkdir -p d/sub s.1/sub d/stands
	for f in other second third long h1 g1 g2 file sub/deep stands/inner second.ebt-new third.ebt-new third.ebt-new.2; do
		case $f in
		file) ln -s nowhere d/file ;;
		long) echo theirs >"d/$long" ;;
		*) echo "theirs: $f" >d/$f ;;
		esac
	done
	ln -s elsewhere d/turned
	echo theirs >d/symlink
	# Of the same size as theirs.
	echo "theirs; other" >s.0/other
	for f in second third file free; do echo "job's $f" >s.0/$f; done
	echo "job's long" >"s.0/$long"
	ln -s there s.0/turned
	ln -s there s.0/symlink
	echo "job's stands" >s.0/stands
	echo "job's deep" >s.1/sub/deep
	echo "job's h" >s.1/h1
	ln s.1/h1 s.1/h2
	echo "job's g" >s.1/g1
	ln s.1/g1 s.1/g2
	# These say the same, whatever their times.
	for f in s.0 d; do
		echo same >$f/same
		ln -s there $f/link
		truncate -s 300000 $f/hole
		put $f/hole 200000 data
	done
	cat d/hole >dense
	cat dense >d/hole
	ones 9000 '\0' >s.1/zeros
	truncate -s 9000 d/zeros
	touch -d '2001-01-01 UTC' d/same
	before
	made
}
cut=$(printf 'é%.0s' $(seq 123)).ebt-new
beside="beside $long $cut $host.0
beside file file.ebt-new $host.0
beside g1 g1.ebt-new $host.1
beside g2 g2.ebt-new $host.1
beside h1 h1.ebt-new $host.1
beside other other.ebt-new $host.0
beside second second.ebt-new.2 $host.0
beside stands stands.ebt-new $host.0
beside sub/deep sub/deep.ebt-new $host.1
beside symlink symlink.ebt-new $host.0
beside third third.ebt-new.3 $host.0
beside turned turned.ebt-new $host.0"
beside=$(LC_ALL=C sort <<<"$beside")
came() {
	is "$what: free" "job's free" "$(cat d/free)"
	is "$what: other" "theirs; other" "$(cat d/other.ebt-new)"
	is "$what: second" "job's second" "$(cat d/second.ebt-new.2)"
	is "$what: third" "job's third" "$(cat d/third.ebt-new.3)"
	is "$what: a name of 255 bytes" "job's long" "$(cat "d/$cut")"
	is "$what: in a directory" "job's deep" "$(cat d/sub/deep.ebt-new)"
	is "$what: where a directory is" "job's stands" "$(cat d/stands.ebt-new)"
	is "$what: where a link is" "job's file" "$(cat d/file.ebt-new)"
	is "$what: links" "there there" "$(readlink d/turned.ebt-new d/symlink.ebt-new | paste -sd ' ')"
	check "$what: linked to its free name" test d/h2 -ef d/h1.ebt-new -a ! d/h1 -ef d/h2
	check "$what: linked beside both" test d/g1.ebt-new -ef d/g2.ebt-new
	is "$what: all names" "$(ls_want)" "$(names)"
}
ls_want() {
	{
		awk '{print $1}' was | grep -vE '^[0-9a-f]{64}$'
		cut -d' ' -f3 <<<"$beside"
		printf '%s\n' free h2
	} | LC_ALL=C sort | paste -sd ' '
}
clashes
expect 4 2 --json "$WORK/s.%r" "$WORK/d"
home
came
is "$what: looks" "$beside" "$(looks)"
is "$what: brought beside" 12 "$(number brought_beside)"
is "$what: in place" 4 "$(number in_place)"
is "$what: stores" "$(find s.? -name .ebt -prune -o ! -type d -print | wc -l)" 18
quiet 4 2 --json "$WORK/s.%r" "$WORK/d"
is "$what: looks of the next run" "$beside" "$(looks)"
# The line that is read in a job's log.
quiet 4 2 "$WORK/s.%r" "$WORK/d"
check "$what: the last line" grep -qE '^12 of [0-9]+ files need a look: 12 under another name' <(tail -n 1 out)
# Changed sources take the place of what came of them, under whatever name.
what="what came beside changes"
echo "newer other" >s.0/other
echo "newer third" >s.0/third
echo "newer free" >s.0/free
ln -sfn newer s.0/turned
made
expect 4 2 "$WORK/s.%r" "$WORK/d"
home
is "$what: all names" "$(ls_want)" "$(names)"
is "$what: content" "newer other newer third newer free newer" \
	"$(cat d/other.ebt-new d/third.ebt-new.3 d/free | paste -sd ' ') $(readlink d/turned.ebt-new)"
# Without a journal: what is there is known by what it says.
what="a lost journal"
rm -r s.?/.ebt
quiet 4 2 --json "$WORK/s.%r" "$WORK/d"
is "$what: looks" "$beside" "$(looks)"
home
expect 4 2 --delete "$WORK/s.%r" "$WORK/d"
home
is "$what: freed" "" "$(left)"
what="freed, then drained again"
quiet 0 2 --delete "$WORK/s.%r" "$WORK/d"
what="what DEST has already, freed at once"
clashes
expect 4 2 --delete "$WORK/s.%r" "$WORK/d"
home
came
is "$what: left" "" "$(left)"

what="all says the same"
fresh 2
for f in s.0/a d/a s.1/b d/b; do ones 200000 "${f#*/}" >$f; done
ln -s to s.1/l
ln -s to d/l
touch -d '2001-01-01 UTC' d/?
before
made
quiet 0 2 --json "$WORK/s.%r" "$WORK/d"
is "$what: files" "0 0 3" "$(number files) $(number brought_beside) $(number in_place)"
rm -r s.?/.ebt
quiet 0 2 "$WORK/s.%r" "$WORK/d"
rm -r s.?/.ebt
quiet 0 2 --delete "$WORK/s.%r" "$WORK/d"
is "$what: freed" "" "$(left)"
home

what="our own earlier version"
fresh 2
echo first >s.0/f
before
expect 0 2 "$WORK/s.%r" "$WORK/d"
echo second >s.0/f
made
expect 0 2 "$WORK/s.%r" "$WORK/d"
is "$what: replaced" "f: second" "$(names): $(cat d/f)"
# Somebody changes it: it is his from then on.
echo his >d/f
before
echo third >s.0/f
made
expect 4 2 "$WORK/s.%r" "$WORK/d"
home
is "$what: somebody changed it" "f f.ebt-new: his third" "$(names): $(cat d/f d/f.ebt-new | paste -sd ' ')"
echo fourth >s.0/f
made
expect 4 2 --delete "$WORK/s.%r" "$WORK/d"
home
is "$what: replaced beside it" "f f.ebt-new: his fourth" "$(names): $(cat d/f d/f.ebt-new | paste -sd ' ')"
# Somebody changes that one too.
echo his too >d/f.ebt-new
before
echo fifth >s.0/f
made
expect 4 2 "$WORK/s.%r" "$WORK/d"
home
is "$what: and the next" "f f.ebt-new f.ebt-new.2: fifth" "$(names): $(cat d/f.ebt-new.2)"

what="what only says the same is not ours"
fresh 2
echo old >s.0/f
echo old >d/f
before
quiet 0 2 "$WORK/s.%r" "$WORK/d"
echo new >s.0/f
made
expect 4 2 "$WORK/s.%r" "$WORK/d"
home
is "$what" "f f.ebt-new: old new" "$(names): $(cat d/f d/f.ebt-new | paste -sd ' ')"

what="a directory where DEST has something else"
fresh 2
echo theirs >d/file
ln -s nowhere d/link
mkdir -p s.0/file/sub s.1/file/sub s.1/link
for r in 0 1; do echo "below it $r" >s.$r/file/sub/f$r; done
echo "below the link" >s.1/link/f
echo free >s.0/free
before
made
expect 4 2 --json "$WORK/s.%r" "$WORK/d"
home
is "$what: names" "file file.ebt-new/sub/f0 file.ebt-new/sub/f1 free link link.ebt-new/f" "$(names)"
is "$what: looks" "beside file file.ebt-new
beside link link.ebt-new" "$(looks | cut -d' ' -f1-3)"
quiet 4 2 "$WORK/s.%r" "$WORK/d"
echo "changed" >s.0/file/sub/f0
echo "another" >s.1/link/g
made
expect 4 2 --delete "$WORK/s.%r" "$WORK/d"
home
is "$what: the next run" "file file.ebt-new/sub/f0 file.ebt-new/sub/f1 free link link.ebt-new/f link.ebt-new/g" "$(names)"
is "$what: changed" changed "$(cat d/file.ebt-new/sub/f0)"
is "$what: left" "" "$(left)"

what="an output has the other name"
fresh 2
echo "theirs" >d/f
echo "job's f" >s.0/f
echo "job's own" >s.0/f.ebt-new
before
made
expect 4 2 --delete "$WORK/s.%r" "$WORK/d"
home
is "$what: left" "" "$(left)"
is "$what: how many" 3 "$(find d -type f | wc -l)"

what="several nodes"
several() {
	local r
	fresh 3
	for r in 0 1; do
		ones 70000 e >s.$r/equal
		echo "differs $r" >s.$r/differs
		ones $((5000 + r)) s >s.$r/sizes
		ln -s to s.$r/link
		ln -s to$r s.$r/links
		echo "long $r" >"s.$r/$long"
		echo "taken $r" >s.$r/taken
		echo "linked $r" >s.$r/x
		truncate -s 300000 s.$r/overlap
		put s.$r/overlap 65536 "$(ones 65536 $r)"
		put s.$r/overlap $((131072 + r * 65536)) "$(ones 65536 $r)"
	done
	ln s.0/x s.0/y
	touch -d '2001-01-01 UTC' s.1/equal
	truncate -s 300000 s.0/holes
	put s.0/holes 131072 data
	cat s.0/holes >s.2/holes
	for r in 0 1 2; do
		truncate -s 400000 s.$r/piece
		put s.$r/piece $((r * 131072)) "$(ones 65536 $r)"
	done
	rm -f joined
	truncate -s 400000 joined
	for r in 0 1 2; do put joined $((r * 131072)) "$(ones 65536 $r)"; done
	echo "file" >s.0/kinds
	mkdir s.1/kinds s.2/kinds
	echo "inner" >s.2/kinds/inner
	ln -s nowhere s.1/fileorlink
	echo "file or link" >s.2/fileorlink
	ln -s nowhere s.0/linkordir
	mkdir s.1/linkordir
	echo "in a directory" >s.1/linkordir/inner
	echo "third" >s.2/taken.$host.0
	before
	made
}
# A name and a node's ending: 255 bytes, or one less where a character would be halved.
cut_for() {
	local room=$((255 - $(printf .%s "$1" | wc -c)))
	printf "%s.%s" "$(printf 'é%.0s' $(seq $((room / 2))))" "$1"
}
split=$(for f in differs sizes links taken x overlap kinds.0 fileorlink.1 fileorlink.2 linkordir.0; do
	case $f in
	*.[0-2]) echo "beside ${f%.*} ${f%.*}.$host.${f##*.} $host.${f##*.}" ;;
	*) for r in 0 1; do echo "beside $f $f.$host.$r $host.$r"; done ;;
	esac
done
for r in 0 1; do echo "beside $long $(cut_for "$host.$r") $host.$r"; done)
split=$(LC_ALL=C sort <<<"$split" | grep -v "^beside taken.* $host.0$")
all_came() {
	local r
	for r in 0 1; do
		is "$what: differs" "differs $r" "$(cat "d/differs.$host.$r")"
		check "$what: sizes" cmp d/sizes.$host.$r <(ones $((5000 + r)) s)
		is "$what: links" to$r "$(readlink "d/links.$host.$r")"
		is "$what: long" "long $r" "$(cat "d/$(cut_for "$host.$r")")"
		is "$what: linked" "linked $r" "$(cat "d/x.$host.$r")"
	done
	is "$what: equal links" to "$(readlink d/link)"
	check "$what: equal copies" cmp d/equal <(ones 70000 e)
	is "$what: holes against zeros" "300000 data" "$(stat -c %s d/holes) $(tr -d '\0' <d/holes)"
	check "$what: pieces" cmp d/piece joined
	check "$what: other names of a file" test d/y -ef d/x.$host.0
	is "$what: a directory keeps the name" "inner file" "$(cat d/kinds/inner d/kinds.$host.0 | paste -sd ' ')"
	is "$what: also against a link" "in a directory nowhere" "$(cat d/linkordir/inner) $(readlink d/linkordir.$host.0)"
	is "$what: neither is one" "nowhere file or link" \
		"$(readlink d/fileorlink.$host.1) $(cat d/fileorlink.$host.2)"
	# Whichever of the two came first.
	is "$what: a node's name that an output has" "taken 0 taken 1 third" "$(cat d/taken.* | sort | paste -sd ' ')"
	for f in differs sizes links taken x overlap fileorlink "$long"; do absent "d/$f"; done
}
several
expect 4 3 --json "$WORK/s.%r" "$WORK/d"
home
all_came
is "$what: looks" "$split" "$(looks | grep -v "^beside taken.* $host.[02]$")"
says "--conflict=merge"
quiet 4 3 --json "$WORK/s.%r" "$WORK/d"
is "$what: looks of the next run" "$split" "$(looks | grep -v "^beside taken.* $host.[02]$")"
expect 4 3 --delete "$WORK/s.%r" "$WORK/d"
home
all_came
is "$what: freed, but for a link that another node brought" s.1/link "$(left)"
quiet 0 3 --delete "$WORK/s.%r" "$WORK/d"
is "$what: freed with the next run" "" "$(left)"
what="several nodes, freed at once"
several
expect 4 3 --delete "$WORK/s.%r" "$WORK/d"
home
all_came
is "$what: left" s.1/link "$(left)"

# What came under its node's name changes on one of them.
what="one of several changes"
fresh 2
for r in 0 1; do echo "log of $r" >s.$r/log; done
before
expect 4 2 "$WORK/s.%r" "$WORK/d"
echo "more of 1" >>s.1/log
made
expect 4 2 "$WORK/s.%r" "$WORK/d"
home
is "$what" "log.$host.0 log.$host.1: log of 0 log of 1 more of 1" "$(names): $(cat d/log.* | paste -sd ' ')"
# A later copy of what another node freed is compared with what is there.
what="a later copy"
fresh 2
echo one >s.0/f
before
expect 0 2 --delete "$WORK/s.%r" "$WORK/d"
before
echo one >s.1/f
quiet 0 2 --delete "$WORK/s.%r" "$WORK/d"
is "$what: freed" "" "$(left)"
echo two >s.1/f
made
expect 4 2 --delete "$WORK/s.%r" "$WORK/d"
home
is "$what: differs" "f f.$host.1: one two" "$(names): $(cat d/f d/f.$host.1 | paste -sd ' ')"
is "$what: left" "" "$(left)"
# The word that the message told.
what="joined as the message told"
fresh 2
ones 100 a >s.0/f
ones 200 a >s.1/f
expect 4 2 "$WORK/s.%r" "$WORK/d"
expect 0 2 --conflict=merge "$WORK/s.%r" "$WORK/e"
check "$what" cmp e/f s.1/f
rm -r e

what="several nodes, and DEST has it"
fresh 2
for r in 0 1; do
	echo equal >s.$r/equal
	echo "differs $r" >s.$r/differs
	truncate -s 200000 s.$r/piece
	put s.$r/piece $((r * 131072)) data$r
done
echo theirs >d/equal
echo theirs >d/differs
echo theirs >d/piece
before
made
expect 4 2 --delete "$WORK/s.%r" "$WORK/d"
home
is "$what" "differs differs.$host.0 differs.$host.1 equal equal.ebt-new piece piece.ebt-new" "$(names)"
is "$what: joined" data0data1 "$(tr -d '\0' <d/piece.ebt-new)"
is "$what: left" "" "$(left)"

what=keep
fresh 2
for f in a b c h1; do echo "theirs $f" >d/$f; done
for f in a b free; do echo "job's $f" >s.0/$f; done
echo "theirs c" >s.1/c
echo linked >s.1/h1
ln s.1/h1 s.1/h2
for r in 0 1; do echo "both $r" >s.$r/both; done
before
expect 3 2 --json --overwrite=keep --delete "$WORK/s.%r" "$WORK/d"
stays
is "$what: names" "a b both.$host.0 both.$host.1 c free h1 h2" "$(names)"
is "$what: looks" "beside both both.$host.0 $host.0
beside both both.$host.1 $host.1
kept a  $host.0
kept b  $host.0
kept h1  $host.1" "$(looks)"
# Never freed: what did not come, by none of its names.
is "$what: left" "s.0/a s.0/b s.1/h1 s.1/h2" "$(left)"
expect 3 2 --overwrite=keep "$WORK/s.%r" "$WORK/d"
says "a is there already"
made
expect 4 2 --delete "$WORK/s.%r" "$WORK/d"
home
is "$what: left, then auto" "" "$(left)"

what="keep, and all names of a file are taken"
fresh 2
for f in h1 h2; do
	echo theirs >d/$f
	before
done
echo linked >s.0/h1
ln s.0/h1 s.0/h2
expect 3 2 --json --overwrite=keep --delete "$WORK/s.%r" "$WORK/d"
stays
is "$what: looks" "kept h1  $host.0
kept h2  $host.0" "$(looks)"
is "$what: left" "s.0/h1 s.0/h2" "$(left)"
expect 3 2 --overwrite=keep --delete "$WORK/s.%r" "$WORK/d"
check "$what: the last line" grep -qx '2 of 2 files need a look: 2 not brought for another one' <(tail -n 1 out)

what=update
fresh 2
for f in same differs; do echo "theirs" >d/$f; done
echo "the job" >s.0/differs
echo "thejob" >s.0/same
touch -d '2001-01-01 UTC' d/same s.0/same
for r in 0 1; do echo "both $r" >s.$r/both; done
expect 4 2 --overwrite=update "$WORK/s.%r" "$WORK/d"
is "$what" "both.$host.0 both.$host.1 differs same: the job theirs" "$(names): $(cat d/differs d/same | paste -sd ' ')"

for how in --strict --overwrite=refuse "--strict --delete" --atomic; do
	what="all or nothing: $how"
	clashes
	picture s.? d >pictured
	expect 1 2 $how "$WORK/s.%r" "$WORK/d"
	check "$what: nothing is touched" diff pictured <(picture s.? d)
	stays
	[ "$how" = --atomic ] || says ": stands"
done
for how in --strict --conflict=error --atomic; do
	what="all or nothing of several nodes: $how"
	several
	rmdir d
	picture s.? >pictured
	expect 1 3 $how "$WORK/s.%r" "$WORK/d"
	check "$what: nothing is touched" diff pictured <(picture s.?)
	nothing_at d
done

# Killed at any moment: what is there then, and in the stores, is all; then a run to the end.
cat >each.sh <<'Y'
#!/bin/sh
echo $$ >"$EACH/pid.$EBT_RANK"
exec "$@"
Y
chmod +x each.sh
mkdir pids
# killed MS ARG...: all ranks of a run, that long after they have begun
killed() {
	local after=$1 launcher k
	shift
	rm -f pids/*
	EACH=$WORK/pids timeout -k 5 "$LIMIT" "$LAUNCH" -n 3 ./each.sh "$STAGE" --per-rank --memory=32M --timeout=5s "$@" \
		>out 2>err </dev/null &
	launcher=$!
	for k in $(seq 600); do
		[ "$(cat pids/pid.? 2>/dev/null | wc -l)" -lt 3 ] || break
		sleep 0.05
	done
	sleep "$after"
	kill -KILL $(cat pids/pid.?) 2>/dev/null
	wait $launcher
	KILLED=$?
}
both() {
	clashes
	# What is called the same there.
	rm "s.0/$long" "d/$long" s.0/link d/link
	cp -a s.0 s.1 d keep/
	several
	cp -a keep/s.0 keep/s.1 keep/d . && rm -rf keep/*
	for r in 0 1 2; do for k in 1 2 3 4 5 6; do ones 200000 $r$k >s.$r/slow$k.$r; done; done
	before
	made
}
mkdir keep
interrupted=0
for how in "" --delete "" --delete; do
	for round in 1 2; do
		at=0.$((RANDOM % 900 + 100))
		what="killed after $at s, $how"
		both
		killed $at --rate=4M $how "$WORK/s.%r" "$WORK/d"
		[ $KILLED = 4 ] || interrupted=$((interrupted + 1))
		# Bytes may be in a store still, or home already.
		is "$what: lost" "" "$(comm -23 jobs <(content s.? d) | head -3)"
		stays
		expect 4 3 $how "$WORK/s.%r" "$WORK/d"
		home
		all_came
		is "$what: nothing twice" "" "$(find d \( -name '*.ebt-new.[4-9]' -o -name '*.ebt-new.ebt-new*' -o -name 'slow*.ebt-new*' -o -name "differs.$host.?.*" \))"
		[ -z "$how" ] || is "$what: freed" "" "$(left | sed 's!^s.1/link$!!')"
	done
done
check "runs were killed: $interrupted of 8" test $interrupted -gt 0

# While the job runs nothing is joined, and what several nodes have waits.
what="watching"
for how in "" --delete; do
	fresh 2
	echo one >s.0/one
	for r in 0 1; do
		echo "both $r" >s.$r/both
		echo equal >s.$r/equal
	done
	echo theirs >d/clash
	echo "job's clash" >s.1/clash
	before
	made
	rm -f pids/*
	EACH=$WORK/pids timeout -k 5 "$LIMIT" "$LAUNCH" -n 2 ./each.sh "$STAGE" --per-rank --memory=32M --watch=300ms $how \
		"$WORK/s.%r" "$WORK/d" >out 2>err </dev/null &
	launcher=$!
	for k in $(seq 1200); do
		[ ! -e d/one ] || [ ! -e d/clash.ebt-new ] || break
		sleep 0.05
	done
	echo later >s.0/later
	content s.? d >jobs
	for k in $(seq 1200); do
		[ ! -e d/later ] || break
		sleep 0.05
	done
	is "$what $how: what came" "clash clash.ebt-new later one" "$(names)"
	for f in both equal; do check "$what $how: $f waits" test -e s.0/$f -a -e s.1/$f; done
	kill -TERM $(cat pids/pid.?)
	wait $launcher
	status=$?
	check "$what $how: status $status" test $status = 0 -o $status = 4
	expect 4 2 $how "$WORK/s.%r" "$WORK/d"
	home
	is "$what $how: in the end" "both.$host.0 both.$host.1 clash clash.ebt-new equal later one" "$(names)"
	[ -z "$how" ] || is "$what: left" "" "$(left)"
done
finish
