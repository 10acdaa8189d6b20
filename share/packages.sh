# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# Sourced by share/demo and share/test, whose function `run` carries out commands so that a signal
# does not have to wait for them, and by share/deb and share/rpm.

# install_missing PACKAGE...: those that are not installed, as root on Debian; anybody else is
# told which they are and goes on with what is there.
install_missing() {
	local p
	local -a missing=()
	command -v dpkg-query >/dev/null || return 0
	for p in "$@"; do
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q ' installed' || missing+=("$p")
	done
	((${#missing[@]})) || return 0
	if [[ $EUID != 0 ]]; then
		echo "not installed: ${missing[*]}" >&2
		return 0
	fi
	export DEBIAN_FRONTEND=noninteractive
	run apt-get update -q || return
	# A newer release has another number in the name of clang's runtime.
	for p in "${!missing[@]}"; do
		apt-cache show "${missing[p]}" >/dev/null 2>&1 || unset "missing[p]"
	done
	run apt-get install -q -y --no-install-recommends "${missing[@]}"
}

# copy_source FOLDER: what git knows or would add of the source tree in which we are, or, outside of
# git, everything but build folders
copy_source() {
	local name
	mkdir "$1"
	if [[ $(git rev-parse --show-toplevel 2>/dev/null) == "$PWD" ]]; then
		git ls-files -z --cached --others --exclude-standard
	else
		find . \( -path ./build -o -path './build-*' -o -path ./.git \) -prune \
			-o \( -type f -o -type l \) -print0
	fi | while IFS= read -r -d '' name; do
		# What git knows may be gone from the tree.
		[[ ! -e $name && ! -L $name ]] || printf '%s\0' "$name"
	done | tar -c --null -T - | tar -x -C "$1"
}
