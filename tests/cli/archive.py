#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Tars as no archiver makes them: archive.py OUT FORMAT MEMBER...

FORMAT is pax, gnu or ustar; "-end" after it leaves the end mark out. A MEMBER is a letter and
fields that commas separate:

  f,NAME[,CONTENT[,ATTR]...]   file; CONTENT is text, or @N for N bytes that depend on NAME
  d,NAME[,ATTR]...             directory
  h,NAME,TARGET[,CONTENT]      hard link, with content in spite of its type
  s,NAME,TARGET                symbolic link
  p,NAME  c,NAME               FIFO, character device
  t,TYPE,NAME[,CONTENT]        any type of member
  z,N                          N blocks of zeros
  r,FILE                       the bytes of FILE

ATTR is mode=OCTAL, time=SECONDS, uid=N, gid=N, size=N (what the header claims) or KEY=VALUE, a
record of a pax header. In fields %XX is a byte.
"""
import hashlib
import io
import sys
import tarfile
import urllib.parse

TYPES = {"f": tarfile.REGTYPE, "d": tarfile.DIRTYPE, "h": tarfile.LNKTYPE,
         "s": tarfile.SYMTYPE, "p": tarfile.FIFOTYPE, "c": tarfile.CHRTYPE}
FORMATS = {"pax": tarfile.PAX_FORMAT, "gnu": tarfile.GNU_FORMAT, "ustar": tarfile.USTAR_FORMAT}


def text(s):
    return urllib.parse.unquote_to_bytes(s)


def name_of(s):
    return text(s).decode("utf-8", "surrogateescape")


def content(s, name):
    """Bytes that no compressor shortens, other ones for each name."""
    if not s.startswith("@"):
        return text(s)
    return hashlib.shake_128(name.encode("utf-8", "surrogateescape")).digest(int(s[1:]))


def apply(info, attrs):
    """What the header says beside name and kind; the size that it claims, or None."""
    claim = None
    for a in attrs:
        key, value = a.split("=", 1)
        if key == "mode":
            info.mode = int(value, 8)
        elif key == "time":
            info.mtime = float(value) if "." in value else int(value)
        elif key in ("uid", "gid"):
            setattr(info, key, int(value))
        elif key == "size":
            claim = int(value)
        else:
            info.pax_headers[key] = text(value).decode("utf-8", "surrogateescape")
    return claim


def member(spec, fmt):
    fields = spec.split(",")
    kind = fields[0]
    if kind == "z":
        return bytes(512 * int(fields[1]))
    if kind == "r":
        with open(fields[1], "rb") as f:
            return f.read()
    typeflag = TYPES.get(kind)
    if kind == "t":
        typeflag = text(fields.pop(1))
    info = tarfile.TarInfo(name_of(fields[1]))
    info.type = typeflag
    info.mtime = 1000000000
    info.mode = 0o755 if kind == "d" else 0o644
    rest = fields[2:]
    data = b""
    if kind in "hs":
        info.linkname = name_of(rest.pop(0))
    if rest and kind in "fht":
        data = content(rest.pop(0), fields[1])
    info.size = len(data)
    claim = apply(info, rest)
    if claim is not None:
        info.size = claim
    head = info.tobuf(fmt, "utf-8", "surrogateescape")
    return head + data + bytes(-len(data) % 512)


def main():
    out, fmt = sys.argv[1:3]
    mark = not fmt.endswith("-end")
    fmt = FORMATS[fmt.removesuffix("-end")]
    buf = io.BytesIO()
    for spec in sys.argv[3:]:
        buf.write(member(spec, fmt))
    if mark:
        buf.write(bytes(1024))
    with open(out, "wb") as f:
        f.write(buf.getvalue())


main()
