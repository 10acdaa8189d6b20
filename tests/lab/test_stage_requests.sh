#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# What a tree of small files costs the metadata server: from an emulated Lustre to 4 nodes each
# file is opened once, to be looked at and read; where the store has one of its name, it is looked at
# first.
EMUL_SERVER=$2 LAYOUT=$3
LAB_RATE=1gbit
. "$(dirname "$0")/lab.sh"
. "$(dirname "$0")/emul.sh"
emul_begin lab_end || skip "$LACKS"
emul_up "$WORK/observer" --osts 4
FILES=1200
mkdir -p "$O/src"
for d in $(seq 12); do
	mkdir "$O/src/d$d"
	for f in $(seq 100); do echo "$d $f" >"$O/src/d$d/f$f"; done
done
: >"$O/src/d1/none"
ln "$O/src/d1/f1" "$O/src/d2/link"
ln -s f1 "$O/src/d3/symlink"
head -c 3M /dev/urandom >"$O/src/large"

# at_most NAME PER-FILE: requests to the metadata server, of all kinds
at_most() {
	local n
	n=$(requests total)
	CHECKS=$((CHECKS + 1))
	awk -v n="$n" -v f=$FILES -v most="$2" 'BEGIN {exit !(n / f <= most)}' ||
		{ fail "$1: $n requests for $FILES files, more than $2 each"; stats >&2; }
	awk -v n="$n" -v f=$FILES -v w="$1" 'BEGIN {printf "%s: %.2f metadata requests a file\n", w, n / f}'
}
field() { grep -o "\"type\":\"result\".*" "$WORK/out" | grep -o "\"$1\":[0-9]*" | cut -d: -f2; }

# Clients know nothing: what came before is another client's.
forget() { set_ attr-cache=60s; reset; }
forget
run 0 --json /lustre/src/. /local/job
at_most "with extended attributes" 2.1
same_on_nodes "$O/src" /local/job
is "links" 1 "$(field links)"
clear_nodes
forget
run 0 --json --no-xattrs /lustre/src/. /local/job
at_most "without" 1.1
same_on_nodes "$O/src" /local/job

# A second run finds all of it there, and opens nothing.
forget
run 0 --json --overwrite=update /lustre/src/. /local/job
is "nothing is opened again" 0 "$(requests open)"
is "bytes brought" 0 "$(field bytes)"
at_most "where all is there" 2.1

# What is new there is brought with one visit, what has changed with one look and one visit.
mkdir "$O/more"
for f in $(seq $FILES); do echo "more $f" >"$O/more/g$f"; done
forget
run 0 --json /lustre/src/. /lustre/more /local/job
is "each is opened once" $FILES "$(requests open)"
at_most "beside what is there" 4.2
for f in $(seq 10); do echo "other $f" >"$O/more/g$f"; done
forget
run 0 --json --overwrite=update /lustre/src/. /lustre/more /local/job
is "only what has changed is opened" 10 "$(requests open)"
cp -a "$O/src" "$WORK/both"
cp -a "$O/more" "$WORK/both/"
same_on_nodes "$WORK/both" /local/job
clear_nodes

# Memory that ends: what does not fit is looked at and opened later, as ever.
forget
run 0 --json --memory=16M --readers=1 --parcel=128K /lustre/src/. /local/job
same_on_nodes "$O/src" /local/job
is "files" $((FILES + 2)) "$(field files)"
clear_nodes
finish
