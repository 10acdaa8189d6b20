#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Is the index beside an archive of it? index.py ARCHIVE; what tells is Python's own reader."""
import os
import sys
import tarfile
import urllib.parse

KINDS = {b"f": "isreg", b"d": "isdir", b"l": "issym", b"h": "islnk"}


def name(field):
    return os.fsdecode(urllib.parse.unquote_to_bytes(field))


def main():
    path = sys.argv[1]
    with open(path + ".idx", "rb") as f:
        lines = f.read().split(b"\n")
    head = lines[0].split(b" ")
    st = os.stat(path)
    assert head[:2] == [b"EBT-INDEX", b"1"], head
    assert [int(x) for x in head[2:4]] == [st.st_size, st.st_size], head
    assert head[4] == b"%d.%09d" % divmod(st.st_mtime_ns, 10**9), head
    assert not lines[-1], "no newline at the end"
    with tarfile.open(path) as t:
        members = list(t)
        end = t.offset
    assert int(head[5]) == len(lines) - 2 == len(members), (head, len(members))
    at = 0
    for m, line in zip(members, lines[1:]):
        f = line.split(b" ")
        assert name(f[5]) == m.name, line
        assert getattr(m, KINDS[f[4]])(), line
        assert int(f[0]) == at == m.offset and int(f[3]) == m.size, line
        assert int(f[1]) == m.offset_data or m.size == 0, line
        assert (name(f[6]) if f[4] == b"h" else "") == (m.linkname if m.islnk() else ""), line
        assert len(f) == (7 if f[4] == b"h" else 6), line
        at = int(f[1]) + (int(f[2]) + 511) // 512 * 512
    # The end mark and nothing else.
    assert at + 1024 == st.st_size, (at, st.st_size)
    with open(path, "rb") as f:
        f.seek(at)
        assert f.read() == bytes(1024)


main()
