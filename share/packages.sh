# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# Sourced by share/demo and share/test. The caller's function `run` carries out commands so
# that a signal does not have to wait for them.

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
