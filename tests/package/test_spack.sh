#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# share/spack/package.py, with stand-ins for what Spack gives to a package: it is about this version, and
# what it tells Meson for each choice of variants are options that Meson takes, with that effect.
# Spack itself is not run.
. "$(dirname "$0")/../cli/lib.sh"
top=$(cd "$(dirname "$0")/../.." && pwd)
command -v python3 >/dev/null || skip "no python3"
version=$(sed -n "s/^  version : '\(.*\)',$/\1/p" "$top/meson.build")

cat >"$WORK/spack.py" <<'X'
import contextlib, itertools, sys, types

noted = {"version": [], "variant": [], "depends_on": []}
module = types.ModuleType("spack.package")

def note(kind):
    return lambda *args, **kw: noted[kind].append((args, kw))

for kind in noted:
    setattr(module, kind, note(kind))
module.license = lambda *args, **kw: None
module.when = lambda spec: contextlib.nullcontext()
module.MesonPackage = object
module.working_dir = contextlib.nullcontext
sys.modules["spack"] = types.ModuleType("spack")
sys.modules["spack.package"] = module

class Spec:
    def __init__(self, chosen):
        self.chosen = chosen
    def satisfies(self, what):
        assert what[0] == "+" and what[1:] in names, what
        return what[1:] in self.chosen

scope = {}
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), scope)
names = [args[0] for args, kw in noted["variant"]]
print(noted["version"][0][0][0])
print(*(args[0].split("@")[0].split(":")[0] for args, kw in noted["depends_on"]))
for n in range(len(names) + 1):
    for chosen in itertools.combinations(names, n):
        package = scope["Ebt"]()
        package.spec = Spec(chosen)
        print("+".join(chosen) or "none", *package.meson_args())
X
python3 "$WORK/spack.py" "$top/share/spack/package.py" >"$WORK/out" 2>"$WORK/err" || { fail "package.py"; show; finish; }
is "version" "$version" "$(sed -n 1p "$WORK/out")"
for word in mpi xxhash libarchive lz4 zstd cunit meson; do
	check "needs $word" grep -qw "$word" <(sed -n 2p "$WORK/out")
done

# Each choice, with the tools of this machine: what is left out is left out.
sed 1,2d "$WORK/out" >"$WORK/choices"
is "choices" 8 "$(wc -l <"$WORK/choices")"
tried=0
while read -r chosen args; do
	# All of them are told the same options; none and all of them are set up.
	for option in libarchive zlib bzip2 lzma zstd lz4 tests bench; do
		check "$chosen: $option" grep -q "with:$option=\(enabled\|disabled\)" <<<"$args"
	done
	case $chosen in
	none | archives+compress+tests) ;;
	*) continue ;;
	esac
	tried=$((tried + 1))
	CHECKS=$((CHECKS + 1))
	# shellcheck disable=SC2086 # words
	meson setup "$WORK/$chosen" "$top" $args >"$WORK/log" 2>&1 || {
		fail "$chosen: meson setup $args"
		tail -n 5 "$WORK/log" >&2
	}
	case $chosen in
	none) check "nothing comes in" grep -q 'libarchive (archives) *: False\|libarchive (archives) *: NO' "$WORK/log" ;;
	*) check "archives come in" grep -q 'libarchive (archives) *: .*[0-9][.][0-9]' "$WORK/log" ;;
	esac
done <"$WORK/choices"
is "tried" 2 $tried
finish
