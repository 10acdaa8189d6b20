# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Sourced by the tests of --unpack, behind lib.sh: in $WORK, with archives made by archive.py.
cli=$(cd "$(dirname "$0")" && pwd)
cd "$WORK" || exit 99
command -v python3 >/dev/null || skip "no python3"
"$STAGE" --version | grep -q '^archives tar' || skip "built without libarchive"

make() { python3 "$cli/archive.py" "$@" || exit 99; }
# field NAME: of the result in out
field() { sed -n "s/.*\"type\":\"result\".*\"$1\":\([0-9]*\).*/\1/p" out; }
