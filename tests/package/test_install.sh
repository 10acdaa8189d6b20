#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# `meson install`: everything is where it belongs, the commands run from there, and the
# program of libebt(3) compiles and links with what pkg-config says, and stages.
. "$(dirname "$0")/../cli/lib.sh"
top=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "$BIN/../.." && pwd)
root=$WORK/root

DESTDIR=$root meson install -C "$build" --no-rebuild >"$WORK/out" 2>"$WORK/err" </dev/null || {
	show
	fail "meson install"
	finish
}
pc=$(find "$root" -name ebt.pc)
lib=${pc%/pkgconfig/ebt.pc}
prefix=$(sed -n 's/^prefix=//p' "$pc")
base=$root$prefix
version=$("$STAGE" --version | sed -n '1s/.* //p')
check "the version is known" test -n "$version"

find "$root" ! -type d -printf '%P\n' | sed "s,^${prefix#/}/,,; s,^${lib#"$base/"}/,LIB/," |
	sort >"$WORK/installed"
{
	printf '%s\n' bin/ebt-drain bin/ebt-stage LIB/libebt.so LIB/pkgconfig/ebt.pc
	echo "LIB/libebt.so.$version"
	readelf -d "$lib/libebt.so" | sed -n 's,.*soname: \[\(.*\)\],LIB/\1,p'
	(cd "$top" && find include/ebt -name '*.h')
	(cd "$top/share/man" && printf '%s\n' *) | sed 's/\.in$//; s,.*\.\(.\)$,share/man/man\1/&,'
	for program in ebt-drain ebt-stage; do
		echo "share/bash-completion/completions/$program"
		echo "share/fish/vendor_completions.d/$program.fish"
		echo "share/zsh/site-functions/_$program"
	done
	(cd "$top/share/doc" && printf 'share/doc/ebt/%s\n' *)
	# Files for job scripts and sites, as they are in the source.
	for folder in jobs sites; do
		[ ! -d "$top/share/$folder" ] ||
			(cd "$top/share" && find "$folder" -type f -printf 'share/ebt/%p\n')
	done
} | sort >"$WORK/expected"
check "what is installed" diff "$WORK/expected" "$WORK/installed"

# Only what the headers declare can be seen.
nm -D --defined-only "$lib/libebt.so" >"$WORK/nm"
awk '$2 == "T" { sub(/@.*/, "", $3); print $3 }' "$WORK/nm" | sort >"$WORK/symbols"
cat "$top"/include/ebt/*.h | grep -oE '\bebt_[a-z_]+\(' | tr -d '(' | sort -u >"$WORK/declared"
check "the library shows what the headers declare" diff "$WORK/declared" "$WORK/symbols"
check "nothing but functions" test -z "$(awk '$2 !~ /[TA]/' "$WORK/nm")"
soname=$(readelf -d "$lib/libebt.so" | sed -n 's/.*soname: \[libebt\.so\.\(.*\)\]/\1/p')
check "symbols carry the version of the interface" grep -q "@EBT_$soname\$" "$WORK/nm"

mkdir -p "$WORK/source/a"
echo content >"$WORK/source/a/file"
BIN=$base/bin STAGE=$base/bin/ebt-stage
expect 0 2 "$WORK/source" "$WORK/n%r"
same "$WORK/source" "$WORK/n1/source"

[ "$2" = none ] || {
	echo "not tried: a program against a library with sanitizers"
	finish
}
awk '/^#include/ { code = 1 } /^\.Ed/ { code = 0 } code' "$top/share/man/libebt.3" |
	sed 's/\\e/\\/g' >"$WORK/program.c"
export PKG_CONFIG_PATH=$lib/pkgconfig
flags=$(pkg-config --define-variable=prefix="$base" --cflags --libs ebt) || fail "pkg-config"
# Where MPI is no matter of pkg-config, its compiler adds it.
if pkg-config --print-requires ebt | grep -q mpi; then cc=cc; else cc=$("$LAUNCH" --mpicc); fi
# shellcheck disable=SC2086 # several arguments
check "the program of libebt(3) compiles" \
	"$cc" -Wall -Wextra -Werror "$WORK/program.c" -o "$WORK/program" $flags
if command -v c++ >/dev/null; then
	# shellcheck disable=SC2086 # several arguments
	check "and as C++" c++ -std=gnu++20 -DMPICH_SKIP_MPICXX -DOMPI_SKIP_MPICXX -Wall \
		-Werror -x c++ "$WORK/program.c" -x none -o "$WORK/program++" $flags
else
	echo "not tried: no C++ compiler"
fi
run_program() {
	LD_LIBRARY_PATH=$lib timeout "$LIMIT" "$LAUNCH" -n 2 "$WORK/program" "$@" \
		>"$WORK/out" 2>"$WORK/err" </dev/null
}
check "the program stages" run_program "$WORK/source" "$WORK/store"
says '1 files'
same "$WORK/source" "$WORK/store/source"
CHECKS=$((CHECKS + 1))
run_program "$WORK/missing" "$WORK/store" && fail "the program stages what is not there"
says "$WORK/missing"
finish
