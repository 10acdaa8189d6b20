#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The pages about formats against the commands: files that they wrote, read by the tables of
# the page alone (formats.c), and every field of every JSON line.
. "$(dirname "$0")/lib.sh"
top=$(cd "$(dirname "$0")/../.." && pwd)
man=$top/share/man
build=$(cd "$BIN/../.." && pwd)
READ=$2
DRAIN=$BIN/ebt-drain
JSON=$WORK/json
: >"$JSON"

# A run of ebt-drain: its output too is in $WORK/out.
drain() { STAGE=$DRAIN expect "$@"; }
# Keeps what the last run printed.
keep() { cat "$WORK/out" >>"$JSON"; }

# Names that need no escape, so that text can be compared.
tree=$WORK/tree
mkdir -p "$tree/a/b" "$tree/a-b" "$tree/empty"
printf 'hello\n' >"$tree/a/hello"
: >"$tree/a/none"
head -c 1000000 /dev/urandom >"$tree/a/b/large"
head -c 262144 /dev/zero >"$tree/zeros"
for i in $(seq 50); do echo "$i" >"$tree/a-b/f$i"; done
ln -s a/hello "$tree/link"
ln "$tree/a/hello" "$tree/second"
truncate -s 80M "$tree/bighole"
printf y | dd of="$tree/bighole" bs=1 seek=70000000 conv=notrunc status=none
truncate -s 3M "$tree/hole"
chmod 4755 "$tree/a/none"
touch -d '1969-12-31 23:59:58.123456789 UTC' "$tree/zeros"
touch -a -d '2005-05-05 05:05:05.5 UTC' "$tree/zeros"
# Fields beside one another have to differ.
[ "$(id -u)" != 0 ] || chown 1234:5678 "$tree/a/b/large"
xattr=
setfattr -n user.ebt -v value "$tree/a/hello" 2>/dev/null && xattr=1

what=manifest
expect 0 2 --json --done="$WORK/done" "$tree" "$WORK/n%r"
keep
cat "$WORK/done" >>"$JSON" || fail "--done"
"$STAGE" --list --json "$WORK/n0" >"$WORK/list" || fail "--list"
cat "$WORK/list" >>"$JSON"
check "manifest has entries" test "$(wc -l <"$WORK/list")" -gt 60
"$READ" manifest "$man/ebt-manifest.5" "$WORK/n0/.ebt/manifest" "$WORK/n0" >"$WORK/read" ||
	fail "the page does not describe the manifest"
check "the page describes the manifest" diff "$WORK/list" "$WORK/read"
"$READ" details "$man/ebt-manifest.5" "$WORK/n0/.ebt/manifest" >"$WORK/details" || fail details
check "data extents" \
	grep -qx "tree/bighole: data $((70000000 / 131072 * 131072)) 131072" "$WORK/details"
if [ "$xattr" ]; then
	check "extended attributes" grep -qx 'tree/a/hello: user.ebt=value' "$WORK/details"
	check "those of a link" grep -qx 'tree/second: user.ebt=value' "$WORK/details"
else
	echo "not tried: no extended attributes here"
fi
expect 0 2 --json --overwrite=update "$WORK/tree" "$WORK/n%r"
keep
expect 0 2 --json --dry-run --overwrite=always "$tree" "$WORK/n%r"
keep
expect 0 2 --json --verify "$WORK/n%r"
keep
expect 0 2 --json --recover "$WORK/n%r"
keep
expect 1 2 --json --overwrite=refuse "$tree" "$WORK/n%r"
keep
"$STAGE" --json --simulate=nodes=100,bytes=1G >>"$JSON" || fail "--simulate"
"$STAGE" --json --doctor "$WORK" >>"$JSON" || fail "--doctor"

what=journal
for i in 0 1; do
	mkdir -p "$WORK/n$i/out/of-$i"
	echo "result $i" >"$WORK/n$i/out/of-$i/file"
	echo "$i" >"$WORK/n$i/out/both"
done
ln "$WORK/n0/out/of-0/file" "$WORK/n0/out/of-0/same"
drain 0 2 --json --dry-run --conflict=suffix "$WORK/n%r/out" "$WORK/dest"
keep
drain 0 2 --json --conflict=suffix --done="$WORK/done" "$WORK/n%r/out" "$WORK/dest"
keep
cat "$WORK/done" >>"$JSON" || fail "--done"
host=$(hostname)
for i in 0 1; do
	"$READ" journal "$man/ebt-journal.5" "$WORK/n$i/out/.ebt/drain" "$host.0" "$host.1" \
		>"$WORK/journal.$i" || fail "the page does not describe the journal of node $i"
	check "head" grep -qxE 'head [0-9a-f]{32} 0' "$WORK/journal.$i"
	check "dest" grep -qxF "dest $WORK/dest" "$WORK/journal.$i"
	check "end" test "$(tail -n 1 "$WORK/journal.$i")" = end
	check "an id for all" diff <(head -n 1 "$WORK/journal.0") <(head -n 1 "$WORK/journal.$i")
done
# A new directory that is there before has no seal; everything else below dest has.
sed -n 's/^name //p' "$WORK"/journal.? | sort -u >"$WORK/sealed"
find "$WORK/dest" -mindepth 1 -printf '%P\n' | sort >"$WORK/found"
check "all that is in place is sealed" diff "$WORK/found" "$WORK/sealed"
inode=$(stat -c %i "$WORK/n1/out/of-1/file")
size=$(stat -c %s "$WORK/n1/out/of-1/file")
check "sources" grep -q "^source $host.1 $inode $size " "$WORK"/journal.?
awk '/^inode/ { inode = $2 } /^seal/ { n++ } /^source/ { s = 1 } /^name/ { if (s) print inode, $2 } /^inode/ { s = 0 }' \
	"$WORK"/journal.? | sort >"$WORK/inodes"
check "inodes" diff <(find "$WORK/dest" -type f -printf '%i %P\n' | sort) "$WORK/inodes"
sort -u "$WORK"/journal.? | grep '^split ' >"$WORK/splits"
check "splits" test "$(cat "$WORK/splits")" = "split both"
# By default what differs goes under its node's name, and next to what is there.
mkdir -p "$WORK/aside/out-of-job" "$WORK/aside/of-0"
echo theirs >"$WORK/aside/of-0/file"
drain 4 2 --json "$WORK/n%r/out" "$WORK/aside"
keep
for i in 0 1; do
	"$READ" journal "$man/ebt-journal.5" "$WORK/n$i/out/.ebt/drain" "$host.0" "$host.1" \
		>"$WORK/journal.$i" || fail "the page does not describe the journal of node $i with other names"
done
check "other names" test "$(cd "$WORK/aside" && ls -d both* of-0/file* | paste -sd ' ')" = \
	"both.$host.0 both.$host.1 of-0/file of-0/file.ebt-new"
sed -n 's/^name //p' "$WORK"/journal.? | grep -E '^(both|of-0/file)' | sort -u >"$WORK/sealed"
for name in "both.$host.0" "both.$host.1" of-0/file.ebt-new; do
	check "$name is sealed" grep -qxF "$name" "$WORK/sealed"
done
drain 1 2 --json "$WORK/n%r/out" "$WORK/n0"
keep
# Of a compressed archive the frames are written down as well.
if grep -q 'not built in' <(timeout 60 "$LAUNCH" -n 1 "$DRAIN" -n --pack='**=all.tar.zst' "$WORK/n0/out" "$WORK/packed" 2>&1); then
	echo "not tried: compressed archives, without zstd"
else
	for i in 0 1; do rm -rf "$WORK/n$i/out/.ebt"; done
	drain 4 2 --json --pack='**=all.tar.zst' "$WORK/n%r/out" "$WORK/packed"
	keep
	for i in 0 1; do
		"$READ" journal "$man/ebt-journal.5" "$WORK/n$i/out/.ebt/drain" "$host.0" "$host.1" \
			>"$WORK/journal.$i" || fail "the page does not describe the journal of node $i with frames"
	done
	check "frames" test "$(awk '/^frame / { sum += $2; n++ } END { print sum + 8 * n + 17 }' "$WORK"/journal.?)" = \
		"$(stat -c %s "$WORK/packed/all.tar.zst")"
	check "index" test "$(head -n 1 "$WORK/packed/all.tar.zst.idx" | cut -d' ' -f1-3)" = \
		"EBT-INDEX 1 $(stat -c %s "$WORK/packed/all.tar.zst")"
fi
"$DRAIN" --json --simulate=nodes=10,targets=4,files=100,size=1M >>"$JSON" || fail "--simulate"

# version COMMAND NAME PAGE: what the command says is what the page has.
version() {
	local want
	want=$(sed -n 's/^ *[0-9]* *[0-9]* *version  *\([0-9]*\).*/\1/p' "$man/$3")
	check "$1 --version" grep -qx "$2 format $want" <("$BIN/$1" --version)
}
version ebt-stage manifest ebt-manifest.5
version ebt-drain journal ebt-journal.5

what=json
# "SCHEMA TYPE FIELD" of all that was printed; of manifests without a type.
awk '{
	gsub(/\\"/, "")
	match($0, /"schema":"[^"]*"/)
	schema = substr($0, RSTART + 10, RLENGTH - 11)
	type = match($0, /"type":"[^"]*"/) ? substr($0, RSTART + 8, RLENGTH - 9) : "-"
	while (match($0, /"[a-z_]+":("[^"]*"|[^,}]*)[,}]/)) {
		key = substr($0, RSTART + 1, RLENGTH)
		$0 = substr($0, RSTART + RLENGTH)
		sub(/".*/, "", key)
		if (key != "schema" && key != "type")
			print schema, type, key
	}
}' "$JSON" | sort -u >"$WORK/printed"
# The same of the page.
awk '/^\.Ss / {
	sub(/^\.Ss /, "")
	n = split($0, half, /: */)
	schemas = split(half[1], schema, /, */)
	types = n > 1 ? split(half[2], type, /, */) : 1
	if (n == 1)
		type[1] = "-"
}
/^\.Sh / {
	types = 0
}
/^\.It Cm / {
	gsub(/^\.It Cm | ,/, "")
	fields = split($0, field, " ")
	for (i = 1; i <= schemas; i++)
		for (k = 1; k <= types; k++)
			for (f = 1; f <= fields; f++)
				print schema[i], type[k], field[f]
}' "$man/ebt-json.5" | sort -u >"$WORK/described"
check "fields were printed" test "$(wc -l <"$WORK/printed")" -gt 150
comm -23 "$WORK/printed" "$WORK/described" >"$WORK/unknown"
check "every field that is printed is in the page" test -z "$(tee /dev/stderr <"$WORK/unknown")"
# Lines about OSTs need a file system that has some: there the source has to do.
comm -13 "$WORK/printed" "$WORK/described" | while read -r schema type key; do
	[ "$schema $type" = "ebt.stage/1 ost" ] &&
		grep -q "\\\\\"$key\\\\\":" "$top/src/cmd/stage_result.c" ||
		echo "$schema $type $key"
done >"$WORK/stale"
check "every field in the page is printed" test -z "$(tee /dev/stderr <"$WORK/stale")"

# shellcheck disable=SC2034 # lib.sh prints it
what=pages
pages=("$man"/*.[0-9])
for page in "$man"/*.in; do # into which the list of options is put
	name=${page##*/}
	pages+=("$build/share/${name%.in}")
	check "$name: the page is there" test -s "$build/share/${name%.in}"
done
for page in "${pages[@]}"; do
	if command -v mandoc >/dev/null; then
		check "${page##*/}: mandoc is content" \
			test -z "$(mandoc -T lint -W warning "$page" 2>&1)"
	fi
	# Pages of EBT that it names exist, and its own name and section are those of the file.
	grep -hoE '^\.Xr (lib)?ebt[a-z-]* [0-9]' "$page" | sort -u | while read -r _ name section; do
		[ -e "$man/$name.$section" ] || [ -e "$man/$name.$section.in" ] || echo "$name($section)"
	done >"$WORK/missing"
	check "${page##*/}: names pages that exist" test -z "$(tee /dev/stderr <"$WORK/missing")"
	name=${page##*/}
	check "$name: title" grep -qixF ".Dt ${name%.*} ${name##*.}" "$page"
	[ ! -e "$man/$name" ] || check "$name: is installed" grep -qF "'man/$name'" "$top/share/meson.build"
	for other in "${pages[@]}"; do
		other=${other##*/}
		[ "$other" = "$name" ] || [ "$name" != ebt.7 ] ||
			check "ebt(7) points to $other" grep -q "^\.Xr ${other%.*} ${other##*.}" "$page"
	done
done
command -v mandoc >/dev/null || echo "not tried: mandoc is not installed"
finish
