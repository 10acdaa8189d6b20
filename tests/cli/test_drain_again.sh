#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# What a second drain from the same stores does after the first one freed local files, and what
# nobody else may see or lose on the way.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/drain.sh"
cd "$WORK" || exit 99
chmod 755 "$WORK"
fresh() {
	rm -rf s.? d .d.*
	mkdir s.0 s.1
}

what="a link on two nodes"
fresh
ln -s there s.0/l
ln -s there s.1/l
touch -h -d '2001-01-01 UTC' s.0/l
expect 0 2 --delete "$WORK/s.%r" "$WORK/d"
expect 0 2 --delete "$WORK/s.%r" "$WORK/d"
is "the link" there "$(readlink d/l)"
absent s.0/l
absent s.1/l

what="the newest of two, freed"
for how in refuse always update; do
	fresh
	echo older >s.1/f
	touch -d '2001-01-01 UTC' s.1/f
	echo newest! >s.0/f
	expect 0 2 --delete --conflict=newest --overwrite=$how "$WORK/s.%r" "$WORK/d"
	absent s.0/f
	expect 0 2 --delete --conflict=newest --overwrite=$how "$WORK/s.%r" "$WORK/d"
	is "$what, $how" newest! "$(cat d/f)"
	is "the older one" older "$(cat s.1/f)"
done

what="a link of a name that two nodes have"
fresh
truncate -s 8192 s.0/f
printf a | dd of=s.0/f conv=notrunc status=none
truncate -s 8192 s.1/f
printf b | dd of=s.1/f seek=4096 bs=1 conv=notrunc status=none
ln s.0/f s.0/g
mkdir -p d/g/stands.in.the.way
expect 1 2 --delete --strict --conflict=merge "$WORK/s.%r" "$WORK/d"
exists s.0/g
rm -rf d
expect 0 2 --delete --conflict=merge "$WORK/s.%r" "$WORK/d"
is "the merged file" "a b" "$(head -c 1 d/f) $(tail -c 4096 d/f | head -c 1)"
check "the other name is in place" test "$(head -c 1 d/g)" = a
absent s.0/g

# What was found there and only looks the same is no reason to free anything, and other names of
# the file get what the node has, not what is there.
what="a new link of what looks the same"
fresh
mkdir d
echo there >d/f
echo local >s.0/f
touch -d '2001-01-01 UTC' d/f s.0/f
ln s.0/f s.0/g
expect 0 2 --delete --overwrite=update "$WORK/s.%r" "$WORK/d"
is "$what" "there local" "$(cat d/f) $(cat d/g)"
is "the local one" local "$(cat s.0/f)"
absent s.0/g

# Killed after it was opened up for its rename, an atomic drain goes on.
what="a hidden directory that is open"
fresh
mkdir s.0/sub
echo one >s.0/sub/f
head -c 3000000 /dev/urandom >s.1/large
timeout -k 5 30 "$LAUNCH" -n 2 "$STAGE" --per-rank --atomic --rate=100K --timeout=1 "$WORK/s.%r" "$WORK/d" \
	>out 2>err </dev/null &
drain=$!
for i in $(seq 100); do
	hidden=$(find . -maxdepth 1 -name '.d.ebt-drain-*')
	[ -n "$hidden" ] && [ -n "$(find "$hidden" -type f)" ] && break
	sleep 0.1
done
kill -TERM $drain
wait $drain
exists "$hidden"
chmod 755 "$hidden"
expect 0 2 --atomic "$WORK/s.%r" "$WORK/d"
check "$what" cmp s.1/large d/large
tidy d

# Cut short after one node freed its version and before the other did: what is left has the name
# that it got, or would have got, with its node's name.
host=$(hostname)
for state in killed finished; do
	for arrived in yes no; do
		what="both of two, one freed, $state, the other has arrived: $arrived"
		fresh
		mkdir s.0/d s.1/d
		for r in 0 1; do echo "log of $r" >s.$r/d/log; done
		ln -s zero s.0/link
		ln -s one s.1/link
		ln s.1/d/log kept
		expect 0 2 --delete --conflict=suffix "$WORK/s.%r" "$WORK/d"
		ln kept s.1/d/log
		ln -s one s.1/link
		[ $arrived = yes ] || rm d/d/log.$host.1 d/link.$host.1
		# The end of a drain is the last record, of 21 bytes.
		[ $state = finished ] || truncate -s -21 s.?/.ebt/drain
		before=$(stat -c %i d/d/log.$host.1 2>/dev/null)
		expect 0 2 --delete --conflict=suffix --overwrite=update "$WORK/s.%r" "$WORK/d"
		is "all there is" "d/d/log.$host.0 d/d/log.$host.1 d/link.$host.0 d/link.$host.1" \
			"$(find d ! -type d | sort | paste -sd ' ')"
		is "their content" "log of 0 log of 1" "$(cat d/d/log.* | paste -sd ' ')"
		[ $arrived = no ] || is "not written twice" "$before" "$(stat -c %i d/d/log.$host.1)"
		absent s.1/d/log
		absent s.1/link
		rm kept
	done
done

# A sparse file that nobody may read fails alone, as any other does.
if [ "$(id -u)" = 0 ]; then
	nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/)
else
	nobody=()
fi
if [ "$(id -u)" = 0 ] && ! "${nobody[@]}" test -x "$STAGE" 2>/dev/null; then
	echo "not tried: files nobody may read need setpriv and a build that everybody may run"
else
	what="a sparse file without permissions"
	fresh
	truncate -s 1M s.0/closed
	echo end >>s.0/closed
	echo x >s.1/open
	head -c 40000000 /dev/zero | tr '\0' r >s.0/readonly
	chmod 0 s.0/closed
	chmod 444 s.0/readonly
	[ "$(id -u)" != 0 ] || chown -R 65534:65534 s.0 s.1
	chmod 1777 .
	CHECKS=$((CHECKS + 1))
	timeout "$LIMIT" "${nobody[@]}" "$LAUNCH" -n 2 "$STAGE" --per-rank --stripe-count=2 "$WORK/s.%r" "$WORK/d" \
		>"$WORK/out" 2>"$WORK/err" </dev/null
	is "status" 3 $?
	says "s.0/closed"
	is "what could be read" x "$(cat d/open)"
	# Two nodes write it, one of them by its name.
	check "a read-only file" cmp s.0/readonly d/readonly

	what="a piece without permissions"
	fresh
	for r in 0 1; do
		for f in shared closed; do
			truncate -s 200000 s.$r/$f
			echo $r | dd of=s.$r/$f bs=100000 seek=$r conv=notrunc status=none
		done
	done
	echo x >s.1/open
	chmod 0 s.1/closed
	[ "$(id -u)" != 0 ] || chown -R 65534:65534 s.0 s.1
	CHECKS=$((CHECKS + 1))
	timeout "$LIMIT" "${nobody[@]}" "$LAUNCH" -n 2 "$STAGE" --per-rank --conflict=merge --delete --json "$WORK/s.%r" \
		"$WORK/d" >"$WORK/out" 2>"$WORK/err" </dev/null
	is "status" 3 $?
	says "s.1/closed"
	says "Permission denied"
	is "failed" 1 "$(number failed)"
	is "what could be read" "open shared" "$(ls d | paste -sd ' ')"
	is "the joined file" "0 1" "$(tr -d '\0' <d/shared | paste -sd ' ')"
	is "pieces that stay" "s.0/closed s.1/closed" "$(find s.? -name .ebt -prune -o -type f -print | sort | paste -sd ' ')"
	chmod 600 s.1/closed
	timeout "$LIMIT" "${nobody[@]}" "$LAUNCH" -n 2 "$STAGE" --per-rank --conflict=merge --delete "$WORK/s.%r" "$WORK/d" \
		>"$WORK/out" 2>"$WORK/err" </dev/null
	is "joined by the next run" "0 1" "$(tr -d '\0' <d/closed | paste -sd ' ')"
fi

# Until a file has its own group, what that group may do is nobody's.
if [ "$(id -u)" = 0 ]; then
	what="files of another group"
	fresh
	mkdir s.0/dir
	for i in 1 2 3 4 5 6; do head -c 400000 /dev/urandom >s.0/dir/f$i; done
	chgrp -R 65534 s.0/dir
	chmod 750 s.0/dir
	chmod 640 s.0/dir/f?
	timeout -k 5 60 "$LAUNCH" -n 2 "$STAGE" --per-rank --rate=800K "$WORK/s.%r" "$WORK/d" >out 2>err </dev/null &
	drain=$!
	seen=0
	bad=
	while kill -0 $drain 2>/dev/null; do
		# The name, then the mode: what is renamed in between is looked at again.
		while read -r mode gid name; do
			seen=$((seen + 1))
			[ "$gid" = 65534 ] || [ "${mode: -2}" = 00 ] || bad+=" $mode:$gid:$name"
		done < <(find d -mindepth 1 -printf '%m %G %P\n' 2>/dev/null)
		sleep 0.05
	done
	wait $drain
	is "$what: status" 0 $?
	is "$what: open to others" "" "$bad"
	check "$what: seen on the way" test $seen -gt 6
	is "$what: modes at the end" "640:65534 750:65534" \
		"$(find d -mindepth 1 -printf '%m:%G\n' | sort -u | tr '\n' ' ' | sed 's/ $//')"
fi
finish
