#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""ARCHIVE.idx of any tar, as share/man/ebt-index.5 has it: make_index.py ARCHIVE [EDIT]

EDIT is a Python expression for the lines of members, a list "lines" of lists of fields.
"""
import os
import sys
import tarfile


def coded(name):
    raw = name.encode("utf-8", "surrogateescape")
    return "".join(chr(c) if 0x20 < c < 0x7F and c != 0x25 else "%%%02X" % c for c in raw)


def clean(name):
    return "/".join(p for p in name.split("/") if p not in ("", "."))


def main():
    archive = sys.argv[1]
    lines = []
    with tarfile.open(archive, "r:", errors="surrogateescape") as tar:
        for m in tar:
            kind = "d" if m.isdir() else "l" if m.issym() else "h" if m.islnk() else "f"
            size = m.size if kind == "f" else 0
            lines.append([m.offset, m.offset_data, size, size, kind, coded(clean(m.name))])
            if kind == "h":
                lines[-1].append(coded(clean(m.linkname)))
    if len(sys.argv) > 2:
        lines = eval(sys.argv[2], {"lines": lines})
    st = os.stat(archive)
    with open(archive + ".idx", "w", encoding="ascii") as out:
        print("EBT-INDEX 1", st.st_size, st.st_size, "%d.%09d" % divmod(st.st_mtime_ns, 10**9),
              len(lines), file=out)
        for line in lines:
            print(*line, file=out)


main()
