#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# `meson setup` where a machine has two MPIs: which one is built with is what an option or the
# compiler says, header, library and launcher are of that one, and two that are mixed are refused.
. "$(dirname "$0")/../cli/lib.sh"
top=$(cd "$(dirname "$0")/../.." && pwd)
unset CC CFLAGS CPPFLAGS LDFLAGS PKG_CONFIG_PATH

# setup STATUS [NAME=VALUE...] [-OPTION...]: in $WORK/build, what it says in $WORK/out
setup() {
	local want=$1 got
	shift
	CHECKS=$((CHECKS + 1))
	rm -rf "$WORK/build"
	: >"$WORK/err"
	local -a env=()
	while [[ ${1-} == *=* && $1 != -* ]]; do
		env+=("$1")
		shift
	done
	timeout "$LIMIT" env "${env[@]}" meson setup "$WORK/build" "$top" "$@" >"$WORK/out" 2>&1 </dev/null
	got=$?
	[ "$got" -eq "$want" ] && return
	fail "exit status $got, not $want: meson setup ${env[*]} $*"
	tail -n 15 "$WORK/out" >&2
}
# is_with KIND: the build has the tools of that MPI
is_with() {
	local kind tool said
	CHECKS=$((CHECKS + 1))
	kind=$("$WORK/build/src/cmd/launch" --mpi)
	[ "$kind" = "$1" ] || fail "the build is with $kind, not $1"
	for tool in mpiexec mpicc; do
		CHECKS=$((CHECKS + 1))
		said=$("$("$WORK/build/src/cmd/launch" --$tool)" --version 2>&1 </dev/null;
			"$("$WORK/build/src/cmd/launch" --$tool)" -show 2>&1 </dev/null)
		case $1:$said in
		ompi:*OpenRTE* | ompi:*openmpi* | mpich:*HYDRA* | mpich:*mpich*) ;;
		*) fail "not the $tool of $1: $said" ;;
		esac
	done
}

setup 1 -Dwith:mpi=nosuch
says "pkg-config does not know nosuch"
setup 1 -Dwith:mpi=libxxhash
says "libxxhash: a program with mpi.h does not compile and link"
setup 1 -Dmpi=mpich
says 'Unknown options: "mpi"'

have=()
for name in mpich ompi; do
	# One compiler, and both as Debian names their files.
	if pkg-config --exists $name; then have+=($name); fi
done
for name in "${have[@]}"; do
	setup 0 -Dwith:mpi=$name
	is_with $name
	case $name in mpich) wrapper=mpicc.mpich ;; ompi) wrapper=mpicc.openmpi ;; esac
	if command -v $wrapper >/dev/null; then
		setup 0 CC=$wrapper
		is_with $name
		setup 1 CC=$wrapper -Dwith:mpi=$name
		says "brings an MPI of its own"
	else
		echo "not tried: no $wrapper"
	fi
done
if [ ${#have[@]} -lt 2 ]; then
	echo "not tried: two MPIs at once, pkg-config knows ${have[*]:-none}"
	finish
fi
mkdir "$WORK/bin" "$WORK/pc"
for name in mpich ompi; do
	case $name in mpich) other=ompi suffix=openmpi ;; ompi) other=mpich suffix=mpich ;; esac
	# The header of one before the library of the other.
	setup 1 CFLAGS="$(pkg-config --cflags-only-I $other)" -Dwith:mpi=$name
	says "mpi.h is that of"
	says "Two MPIs are mixed"
	# What has no suffix is of the other.
	for tool in mpiexec mpirun mpicc; do
		! command -v $tool.$suffix >/dev/null || ln -sf "$(command -v $tool.$suffix)" "$WORK/bin/$tool"
	done
	ln -sf "$(pkg-config --variable=pcfiledir $other)/$other.pc" "$WORK/pc/mpi.pc"
	setup 0 PATH="$WORK/bin:$PATH" PKG_CONFIG_PATH="$WORK/pc" -Dwith:mpi=$name
	is_with $name
	setup 0 PATH="$WORK/bin:$PATH" PKG_CONFIG_PATH="$WORK/pc"
	is_with mpich
done
finish
