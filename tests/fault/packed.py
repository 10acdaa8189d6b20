#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""
What is in archives, for the tests of this folder, by a reader that is not EBT's.

    packed.py list ARCHIVE...   a line for each member: type, path, size, digest or target
    packed.py sums DIR          of all archives below DIR, and all other files: as sha256sum(1)

Either way an archive has to be whole: each member to its end, behind the last one the end mark
and nothing more, no name twice. If it has an index, that has to say the same. What is not so is
told, with status 1.
"""
import hashlib
import os
import sys
import tarfile
from urllib.parse import unquote_to_bytes

TYPES = {tarfile.REGTYPE: "f", tarfile.DIRTYPE: "d", tarfile.SYMTYPE: "l", tarfile.LNKTYPE: "h"}


class Wrong(Exception):
    """An archive, or an index, that must not be."""


def text(name):
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def digest_of(opened):
    whole = hashlib.sha256()
    while block := opened.read(1 << 20):
        whole.update(block)
    return whole.hexdigest()


def members(path):
    """(type, name, size, digest or target, header, data) of all members, in their order."""
    found, end = [], 0
    with tarfile.open(path, "r:", encoding="utf-8", errors="surrogateescape") as tar:
        for m in tar:
            kind = TYPES.get(m.type, "f" if m.isfile() else "?")
            what = m.linkname
            if kind == "f":
                what = digest_of(tar.extractfile(m))
            found.append((kind, m.name, m.size if kind == "f" else 0, what, m.offset, m.offset_data))
            if m.offset != end:
                raise Wrong(f"{path}: {m.name} begins at {m.offset}, not {end}")
            end = tar.offset
    with open(path, "rb") as f:
        f.seek(end)
        left = f.read(2048)
    if left != bytes(1024):
        raise Wrong(f"{path}: behind its last member are {len(left)} bytes, or not zeros")
    names = [m[1] for m in found]
    if len(set(names)) != len(names):
        raise Wrong(f"{path}: a name twice: {sorted(n for n in names if names.count(n) > 1)[:3]}")
    for kind, name, _, what, _, _ in found:
        if kind == "h" and what not in names[: names.index(name)]:
            raise Wrong(f"{path}: {name} is a link to {what}, which is not before it")
    return found


def check_index(path, found):
    """Of the archive at @path, where it has one."""
    st = os.stat(path)
    with open(f"{path}.idx", "rb") as f:
        head, *lines = f.read().split(b"\n")[:-1]
    want = f"EBT-INDEX 1 {st.st_size} {st.st_size} {st.st_mtime_ns // 10**9}.{st.st_mtime_ns % 10**9:09} {len(found)}"
    if head.decode() != want:
        raise Wrong(f"{path}.idx begins with {head.decode()}, not {want}")
    for line, (kind, name, size, what, header, data) in zip(lines, found, strict=True):
        f = line.split(b" ")
        told = (int(f[0]), int(f[1]), f[4].decode(), os.fsdecode(unquote_to_bytes(f[5])))
        # Of a sparse file the header has another name and the map of its data before these.
        is_not = told[0] != header or told[2:] != (kind, name)
        if is_not or (int(f[2]) == size and told[1] != data) or (kind == "f" and int(f[3]) != size):
            raise Wrong(f"{path}.idx: {line.decode()}, not of {(kind, name, size, header, data)}")
        if kind == "h" and os.fsdecode(unquote_to_bytes(f[6])) != what:
            raise Wrong(f"{path}.idx: {line.decode()}: a link to {what}")


def look_at(path):
    found = members(path)
    if os.path.exists(f"{path}.idx"):
        check_index(path, found)
    return found


def is_archive(name):
    return ".tar" in name and not name.endswith(".idx")


def sums(top):
    for above, dirs, files in os.walk(top):
        dirs[:] = [d for d in dirs if not d.startswith(".ebt")]
        for name in files:
            path = os.path.join(above, name)
            if name.startswith(".ebt") or os.path.islink(path) or name.endswith(".idx"):
                continue
            if not is_archive(name):
                with open(path, "rb") as f:
                    print(f"{digest_of(f)}  ./{text(os.path.relpath(path, top))}")
                continue
            content = {}
            for kind, member, _, what, _, _ in look_at(path):
                content[member] = content[what] if kind == "h" else what
                if kind in "fh":
                    print(f"{content[member]}  ./{text(member)}")


def main():
    try:
        if sys.argv[1] == "sums":
            sums(sys.argv[2])
        else:
            for path in sys.argv[2:]:
                for kind, name, size, what, _, _ in look_at(path):
                    print(kind, text(name), size, text(what or "-"))
    except (Wrong, tarfile.TarError, ValueError, OSError) as e:
        print(f"packed.py: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
