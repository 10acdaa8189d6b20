#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Site files: each can be sourced by a job script without harm, gives what job scripts use, says
# where every value is from, and its options and launcher are such that the commands run. And
# the module file gives the paths of this build.
. "$(dirname "$0")/lib.sh"
top=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "$BIN/../.." && pwd)
sites=$top/share/sites
VARIABLES='EBT_SITE_DRAIN_OPTIONS EBT_SITE_LOCAL EBT_SITE_PFS EBT_SITE_STAGE_OPTIONS'

# Launchers that tell how they were called and run nothing; what is not theirs is the command's, and an `lfs` that knows 16 targets.
mkdir "$WORK/bin"
for launcher in srun mpiexec ibrun flux; do
	cat >"$WORK/bin/$launcher" <<-'EOF'
		#!/bin/bash
		[ "$*" != 'getattr size' ] || { echo 4; exit; }
		echo "${0##*/} $* PER_NODE=${IBRUN_TASKS_PER_NODE:-} PFS=${EBT_PFS:-}"
	EOF
done
cat >"$WORK/bin/lfs" <<-'EOF'
	#!/bin/bash
	[ "$1 $2" = "df /lustre/me" ] || exit 2
	echo 'UUID 1K-blocks Used Available Use% Mounted on'
	echo "s-MDT0000_UUID 9 1 8 1% $2[MDT:0]"
	for ((i = 0; i < 16; i++)); do printf 's-OST%04x_UUID 9 1 8 1%% %s[OST:%d]\n' $i "$2" $i; done
	echo "filesystem_summary: 9 1 8 1% $2"
EOF
chmod +x "$WORK/bin"/*
printf 'n%s\n' 1 1 1 2 2 3 4 4 >"$WORK/nodefile"

# sourced FILE COMMAND [NAME=VALUE...]: as a job script does it, with little in the environment
sourced() {
	env -i PATH="$WORK/bin:$PATH" USER=someone HOME=/nonexistent "${@:3}" \
		bash -c "set -eu; . \"\$1\"; $2" bash "$1"
}

# accepted FILE LIST PROGRAM SOURCE DEST: a dry run on one rank takes the options
accepted() {
	local -a options
	CHECKS=$((CHECKS + 1))
	mapfile -d '' -t options < <(sourced "$1" "((\${#$2[@]} == 0)) || printf '%s\\0' \"\${$2[@]}\"")
	timeout -k 5 "$LIMIT" "$LAUNCH" -n 1 "$BIN/$3" -n "${options[@]}" "${@:4}" \
		>"$WORK/out" 2>"$WORK/err" </dev/null || {
		fail "${1##*/}: $3 -n ${options[*]}"
		show
	}
	ACCEPTED=$((ACCEPTED + ${#options[@]}))
}
ACCEPTED=0

# launches NAME WANT [NAME=VALUE...]: what ebt-stage starts, and the script for mkdir
launches() {
	local got
	CHECKS=$((CHECKS + 1))
	got=$(sourced "$sites/$1.sh" "'$STAGE' source dest" "${@:3}" 2>&1)
	grep -qE -- "$2" <<<"$got" || fail "$1 launches: $got"
}
each_node() {
	local got
	CHECKS=$((CHECKS + 1))
	# shellcheck disable=SC2016 # for the shell that sources the file
	got=$(sourced "$sites/$1.sh" '"${EBT_SITE_EACH_NODE[@]:-none}" program' "${@:3}" 2>&1)
	grep -qE -- "$2" <<<"$got" || fail "$1 on each node: $got"
}

# where NAME WANT [NAME=VALUE...]: the directory on the shared file system
where() {
	# shellcheck disable=SC2016 # likewise
	check "$1: $2" test "$(sourced "$sites/$1.sh" 'echo "$EBT_SITE_PFS"' "${@:3}")" = "$2"
}

# judge FILE
judge() {
	local name=${1##*/} got
	check "$name: is sourced in silence" test -z "$(sourced "$1" : 2>&1 || echo failed)"
	# shellcheck disable=SC2016 # likewise
	got=$(sourced "$1" 'unset EBT_SITE_EACH_NODE; echo ${!EBT_SITE_*}')
	check "$name: all variables, and only these: $got" test "$got" = "$VARIABLES"
	# shellcheck disable=SC2016 # likewise
	check "$name: absolute directories" sourced "$1" \
		'[[ $EBT_SITE_PFS == /* && $EBT_SITE_LOCAL == /* ]]'

	# Nothing else of the job script changes; the first few names change by themselves.
	# shellcheck disable=SC2016 # likewise
	env -i PATH="$WORK/bin:$PATH" USER=someone HOME=/nonexistent bash -c '
		set -eu
		state() {
			(set -o posix; set) | grep -vE "^(_|BASH_[A-Z]*|PIPESTATUS|EBT_SITE_[A-Z_]*|EBT_LAUNCHER)="
			set +o
			trap
			declare -F
			pwd
		}
		state >"$2/before"
		. "$1"
		state >"$2/after"' bash "$1" "$WORK"
	check "$name: nothing else changes" diff "$WORK/before" "$WORK/after"

	# A source for every assignment: in its line, or in the comment right above it.
	CHECKS=$((CHECKS + 1))
	awk -v name="$name" '
		/^[ \t]*#/ { comment = comment $0; next }
		/EBT_SITE_[A-Z_]*[+]?=|EBT_LAUNCHER=|mapfile.*EBT_SITE/ {
			n++
			if (comment $0 !~ /https:[/][/][a-z0-9.]+|unverified/) {
				printf "%s:%d: no source\n", name, FNR
				bad = 1
			}
		}
		{ comment = "" }
		END { exit bad || n < 4 }' "$1" >&2 || fail "$name: values without a source"

	accepted "$1" EBT_SITE_STAGE_OPTIONS ebt-stage "$WORK/source" "$WORK/staged"
	accepted "$1" EBT_SITE_DRAIN_OPTIONS ebt-drain --local-dest "$WORK/store" "$WORK/drained"
	check "$name: dry runs write nothing" test ! -e "$WORK/staged" -a ! -e "$WORK/drained"
}

mkdir "$WORK/source" "$WORK/store"
head -c 100000 /dev/urandom >"$WORK/source/file"
cp "$WORK/source/file" "$WORK/store/output"
names=
for file in "$sites"/*.sh; do
	names+=" $(basename "$file" .sh)"
	judge "$file"
done
check "all sites:$names" test "$names" = " aurora example frontera frontier lonestar6 perlmutter polaris"
check "options were tried: $ACCEPTED" test "$ACCEPTED" -ge 12

# One rank on each of four nodes, whatever else the job has there.
slurm=(SLURM_JOB_ID=1 SLURM_NNODES=4 SLURM_NTASKS=224)
pbs=(PBS_NODEFILE="$WORK/nodefile" PBS_JOBID=1)
program=$(readlink -f "$STAGE")
for name in frontera lonestar6; do
	launches $name "^ibrun -n 4 -o 0 $program --launched=4 source dest PER_NODE=1 " "${slurm[@]}"
done
for name in frontier perlmutter example; do
	launches $name "^srun .*--ntasks=4 --ntasks-per-node=1 .*$program --launched=4" "${slurm[@]}"
done
launches frontier ' PFS=$' "${slurm[@]}"
launches perlmutter ' PFS=$' "${slurm[@]}"
for name in aurora polaris; do
	launches $name "^mpiexec -n 4 -ppn 1 .*$program --launched=4" "${pbs[@]}"
	each_node $name "^mpiexec -n 4 -ppn 1 program" "${pbs[@]}"
done
each_node example "none: command not found" "${pbs[@]}"
launches example "^flux run --nodes=4 --tasks-per-node=1 .*$program --launched=4" FLUX_URI=local:///x SLURM_JOB_ID=1

# Directories follow the user and the project.
where frontera /scratch3/01234 SCRATCH=/scratch3/01234/someone
where lonestar6 /scratch/01234 SCRATCH=/scratch/01234/someone
where frontier /lustre/orion/abc123/scratch SLURM_JOB_ACCOUNT=abc123
where frontier /lustre/orion/xyz/scratch SLURM_JOB_ACCOUNT=abc123 EBT_SITE_PROJECT=xyz
where perlmutter /pscratch/sd/s
where aurora /lus/flare/projects/xyz EBT_SITE_PROJECT=xyz
where polaris /lus/eagle/projects
where example /lustre/me SCRATCH=/lustre/me/someone
# shellcheck disable=SC2016 # for the shell that sources the file
check "a quarter of 16 targets" test --max-stripe-count=4 = \
	"$(sourced "$sites/example.sh" 'echo "${EBT_SITE_DRAIN_OPTIONS[*]}"' SCRATCH=/lustre/me/someone)"

# The module file, by a Lua that knows what Lmod offers.
module=$build/share/modulefile.lua
check "nothing is left to fill in" test -s "$module" -a -z "$(grep -E '@[A-Z]+@' "$module")"
for lua in lua lua5.4 lua5.3 ''; do
	command -v "$lua" >/dev/null && break
done
if [ "$lua" ]; then
	cat >"$WORK/lmod.lua" <<-'EOF'
		function help(text) print("help") end
		function whatis(text) print("whatis", text) end
		function prepend_path(name, value) print(name, value) end
		-- A name that Lmod does not have is an error, not nil.
		setmetatable(_G, {__index = function(_, name) error("no " .. name, 2) end})
		dofile(arg[1])
	EOF
	check "module file" "$lua" "$WORK/lmod.lua" "$module" >"$WORK/out"
	prefix=$(sed -n 's/^prefix=//p' "$build/meson-private/ebt.pc")
	check "prefix is known" test -n "$prefix"
	tab=$(printf '\t')
	check "PATH" grep -qxF "PATH$tab$prefix/bin" "$WORK/out"
	check "MANPATH" grep -qxF "MANPATH$tab$prefix/share/man" "$WORK/out"
	check "version" grep -qxF "whatis${tab}Version: $("$STAGE" --version | sed -n '1s/.* //p')" "$WORK/out"
else
	echo "not tried: Lua is not installed"
fi
finish
