#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A tarball by `meson dist` has what git has, and Debian packages are built from it, with the
# unit tests of that build; what they hold is where Debian wants it, and works unpacked.
. "$(dirname "$0")/../cli/lib.sh"
top=$(cd "$(dirname "$0")/../.." && pwd)
for tool in git dh dpkg-buildpackage; do
	command -v "$tool" >/dev/null || skip "no $tool"
done
git() { command git -c safe.directory='*' -c user.name=ebt -c user.email=ebt@ebt.invalid "$@"; }
[ "$(git -C "$top" rev-parse --show-toplevel 2>/dev/null)" = "$top" ] ||
	skip "the source is no git checkout"

# What is not yet committed comes along.
clone=$WORK/clone
mkdir "$clone"
(cd "$top" && git ls-files -z --cached --others --exclude-standard) |
	(cd "$top" && while IFS= read -r -d '' f; do [ ! -e "$f" ] || printf '%s\0' "$f"; done) |
	tar -c -C "$top" --null -T - | tar -x -C "$clone"
(cd "$clone" && git init -q && git add -A && git commit -q -m copy) || fail "clone"
# run NAME COMMAND...: says what it said if it fails
run() {
	local name=$1
	shift
	CHECKS=$((CHECKS + 1))
	"$@" >"$WORK/out" 2>"$WORK/err" </dev/null && return
	fail "$name"
	show
	finish
}
run "meson setup" meson setup "$WORK/build" "$clone"
run "meson dist" meson dist -C "$WORK/build" --no-tests --formats gztar
tarball=$(echo "$WORK"/build/meson-dist/ebt-*.tar.gz)
name=$(basename "$tarball" .tar.gz)
tar -tzf "$tarball" | sed "s,^$name/,,; /^$/d; /\/\$/d" | sort >"$WORK/packed"
git -C "$clone" ls-files | sort >"$WORK/known"
check "the tarball has what git has" diff "$WORK/known" "$WORK/packed"
tar -xzf "$tarball" -C "$WORK"

export DEB_BUILD_OPTIONS="noopt noautodbgsym parallel=2 ${DEB_BUILD_OPTIONS-}"
run "share/deb" bash "$WORK/$name/share/deb" "$WORK/packages"
grep -v '^W: ' "$WORK/err"
for package in ebt libebt0.1 libebt-dev; do
	deb=$(echo "$WORK/packages/${package}_${name#ebt-}"-*.deb)
	check "$package is there" test -e "$deb"
	dpkg-deb -c "$deb" | awk '$1 !~ /^d/ { print $6 }' | sed 's,^\./,,' |
		grep -v '^usr/share/doc/.*/\(changelog\|copyright\)' | sort >"$WORK/$package.list"
	dpkg-deb -x "$deb" "$WORK/system"
done
find "$clone/share/man" -type f -printf '%f\n' | sed 's/\.in$//' | grep -v '\.3$' |
	sed 's,.*\.\(.\)$,usr/share/man/man\1/&.gz,' >"$WORK/pages"
for folder in jobs sites; do
	[ ! -d "$clone/share/$folder" ] ||
		(cd "$clone/share" && find "$folder" -type f -printf 'usr/share/ebt/%p\n')
done >"$WORK/files"
# Not compressed, as they link to each other.
find "$clone/share/doc" -type f -printf 'usr/share/doc/ebt/%f\n' >>"$WORK/files"
{
	cat "$WORK/pages" "$WORK/files"
	for program in ebt-drain ebt-stage; do
		echo "usr/bin/$program"
		echo "usr/share/bash-completion/completions/$program"
		echo "usr/share/fish/vendor_completions.d/$program.fish"
		echo "usr/share/zsh/vendor-completions/_$program"
	done
} | sort >"$WORK/expected"
check "what ebt holds" diff "$WORK/expected" "$WORK/ebt.list"
check "what libebt holds" test "$(grep -c '/libebt\.so\.' "$WORK/libebt0.1.list")" = 2
sed 's,usr/lib/[^/]*/,LIB/,' "$WORK/libebt-dev.list" >"$WORK/held"
{
	(cd "$clone" && find include/ebt -name '*.h' -printf 'usr/%p\n')
	printf '%s\n' LIB/libebt.so LIB/pkgconfig/ebt.pc usr/share/man/man3/libebt.3.gz
} | sort >"$WORK/expected"
check "what libebt-dev holds" diff "$WORK/expected" <(sort "$WORK/held")
depends=$(dpkg-deb -f "$WORK"/packages/ebt_*.deb Depends)
for word in mpich libmpich libxxhash libc6; do
	check "ebt needs $word" grep -q "\b$word" <<<"$depends"
done

make_tree "$WORK/tree"
BIN=$WORK/system/usr/bin
STAGE=$BIN/ebt-stage
LAUNCH=$top/share/launch # as it stands: MPICH, with which packages are built
expect 0 2 "$WORK/tree" "$WORK/n%r"
same "$WORK/tree" "$WORK/n1/tree"
echo result >"$WORK/n0/result"
STAGE=$BIN/ebt-drain expect 0 2 "$WORK/n%r" "$WORK/results"
check "drained" test "$(cat "$WORK/results/result")" = result
finish
