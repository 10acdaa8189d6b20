#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# RPM packages by share/rpm: the spec builds, with its unit tests; between them the packages hold what
# an installation has, each file once; they need what they load; and what is in them works unpacked.
. "$(dirname "$0")/../cli/lib.sh"
top=$(cd "$(dirname "$0")/../.." && pwd)
for tool in rpmbuild rpm2cpio cpio; do
	command -v "$tool" >/dev/null || skip "no $tool (packages rpm, cpio)"
done
build=$(cd "$BIN/../.." && pwd)
# Which MPI this build has; there is no database of RPM here to ask for what is installed.
mpi=$("$LAUNCH" --mpi)
[ "$mpi" = ompi ] || mpi=mpich
CHECKS=$((CHECKS + 1))
bash "$top/share/rpm" --nodeps --define "ebt_mpi $mpi" "$WORK/packages" >"$WORK/out" 2>"$WORK/err" </dev/null || {
	fail "share/rpm"
	show
	finish
}
check "three packages" test "$(wc -l <"$WORK/out")" = 3
while read -r package; do
	rpm -qpl "$package" 2>/dev/null
	mkdir -p "$WORK/system"
	(cd "$WORK/system" && rpm2cpio "$package" | cpio -id --quiet)
done <"$WORK/out" | grep -v '/\.build-id\|/licenses/' | sort >"$WORK/listed"
check "no file is in two packages" test -z "$(while read -r f; do
	[ -d "$WORK/system$f" ] || echo "$f"
done <"$WORK/listed" | uniq -d)"
# What meson installs, by its own words: paths below the prefix, whatever that is.
meson introspect --installed "$build" | python3 -c '
import json, sys
for path in json.load(sys.stdin).values():
    print(path)' >"$WORK/installed" || fail "meson introspect"
sed -n 's,.*/\(share/\|bin/\|include/\)\(.*\),\1\2,p' "$WORK/installed" | sort >"$WORK/expected"
check "something is installed" test -s "$WORK/expected"
while read -r f; do
	[ -e "$WORK/system/usr/$f" ] || fail "no package has $f"
done <"$WORK/expected"
check "what programs are compiled with" grep -q "^/usr/lib.*/pkgconfig/ebt.pc$" "$WORK/listed"
needs=$(rpm -qp --requires "$WORK"/packages/ebt-0*.rpm 2>/dev/null)
for word in "$([ "$mpi" = ompi ] && echo libmpi.so || echo libmpich.so)" libxxhash.so libc.so; do
	check "ebt needs $word" grep -q "^$word" <<<"$needs"
done

make_tree "$WORK/tree"
STAGE=$WORK/system/usr/bin/ebt-stage
expect 0 2 "$WORK/tree" "$WORK/n%r"
same "$WORK/tree" "$WORK/n1/tree"
# Wrong usage says so.
CHECKS=$((CHECKS + 1))
bash "$top/share/rpm" >"$WORK/out" 2>"$WORK/err"
is "status without OUTPUT" 2 $?
finish
