#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Compressed on the wire: whatever the schedule and the codec, the same arrives; what does not shrink,
# holes and empty files too. What was saved is reported, and bad wishes are refused.
. "$(dirname "$0")/lib.sh"
cd "$WORK" || exit 99

built() { "$STAGE" --version | sed -n 's/^compression //p' | tr -d ,; }
# field NAME: of the result of the last run
field() { sed -n '/"type":"result"/s/.*"'"$1"'":\([0-9]*\).*/\1/p' out; }
# run N HOW ARG...: staged, equal on all nodes, and as the manifest says
run() {
	local n=$1 how=$2 r
	shift 2
	what="$how $*"
	rm -rf to.*
	expect 0 "$n" --json --compress="$how" "$@" tree/. "$WORK/to.%r" || return
	for ((r = 0; r < n; r++)); do
		same tree "to.$r"
	done
}
make_tree tree
for i in 1 2 3; do
	find /usr/include -name '*.h' -size -64k -exec cat {} + 2>/dev/null | head -c "${i}500000" >"tree/text$i"
done

codecs=$(built)
case $codecs in
*built*) codecs= ;;
esac
for algo in chain two-tree circulant binomial mpi-bcast; do
	for how in $codecs auto; do
		run 3 "$how" --algo=$algo --readers=2
		[ $how = auto ] || check "$how, $algo: something was saved" test "$(field bytes_saved)" -gt 1000000
	done
done
for how in $codecs; do
	what="$how: verified"
	run 2 $how
	expect 0 2 --verify "$WORK/to.%r"
	run 2 none
	is "nothing saved" 0 "$(field bytes_saved)"
	run 2 $how --parcel=128K --memory=6M --io-threads=2 --write-threads=2
	run 2 $how --window=4 --readers=1
	# The bound holds for all that it takes.
	run 2 $how --memory=12M
	most=$(sed -n 's/.*"max_rss":\([0-9]*\).*/\1/p' out | sort -n | tail -n 1)
	check "memory of $how: $((most >> 20)) MiB" test "$most" -le $(((12 + 64) << 20))
	run 1 $how
	is "alone nothing travels" 0 "$(field bytes_sent)"
done
case $codecs in
*zstd*)
	run 2 zstd:9 --memory=128M
	what="levels"
	expect 1 2 --compress=zstd:19 --memory=16M tree/. "$WORK/no.%r"
	says "--memory"
	nothing_visible no.*
	;;
esac
# Nobody asked for it: with little memory it is done without.
run 2 auto --memory=2M --readers=1
rm -rf to.*
what="as people read it"
if [ "$codecs" ]; then
	expect 0 2 --compress="${codecs%% *}" tree/. "$WORK/to.%r"
	says "compression saved"
fi

what="wishes"
for bad in '' gzip zstd:0 zstd:20 zstd: lz4:3 none:1 Auto; do
	expect 2 1 --compress="$bad" tree/. "$WORK/no.%r"
	says "--compress"
done
"$STAGE" --simulate=nodes=16,bytes=1G,link=25G,read=1T,write=1T,ratio=0.4,compress=300M,uncompress=1G >out 2>err
says "compression off"
"$STAGE" --simulate=nodes=16,bytes=1G,link=200mbit,ratio=0.4,compress=300M,uncompress=1G >out 2>err
says "compression on"
finish
