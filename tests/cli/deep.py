#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Trees whose paths are longer than a call takes. Nothing here names one by its path.

deep.py make DIR CHAIN WHAT...   things in the last directory of a chain, which is made if needed
deep.py plant DIR CHAIN NAME TO  a symbolic link there
deep.py picture DIR              a line for each object: path, kind, attributes, content
deep.py inodes DIR               the same with what another writing of it would change
deep.py stat DIR CHAIN NAME      kind and content of one

CHAIN is LEVELSxBYTES, joined by commas: so many directories with names of so many bytes. In a
picture paths are shown as their length, a digest, and the last component.
"""
import hashlib
import os
import stat
import sys

NS = 1000000000
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
TIME = 1111111111 * NS + 123456789


def chain_names(chain):
    for part in chain.split(","):
        levels, size = map(int, part.split("x"))
        for i in range(levels):
            yield (b"%d_" % i).ljust(size, b"d")[:size]


def descend(top, chain, make=False):
    """Descriptors from the top to the end of the chain."""
    fds = [os.open(top, DIRECTORY)]
    for i, name in enumerate(chain_names(chain)):
        if make:
            try:
                os.mkdir(name, 0o700, dir_fd=fds[-1])
            except FileExistsError:
                pass
        fds.append(os.open(name, DIRECTORY, dir_fd=fds[-1]))
    return fds


def write(fd, name, data, mode=0o640, size=None, off=0):
    f = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, mode, dir_fd=fd)
    os.pwrite(f, data, off)
    os.ftruncate(f, off + len(data) if size is None else size)
    os.fchmod(f, mode)
    os.utime(f, ns=(TIME, TIME + 7))
    os.close(f)


def make_one(fds, what):
    fd = fds[-1]
    what, _, arg = what.partition("=")
    if what == "file":
        write(fd, arg, b"content of " + arg.encode() + b"\n")
    elif what == "longest":
        write(fd, "n" * 255, b"longest " + arg.encode())
    elif what == "text":
        name, _, text = arg.partition(":")
        write(fd, name, text.encode())
    elif what == "large":
        write(fd, arg, bytes(range(251)) * 8192)
    elif what == "piece":
        # One of two halves of a file; the other is a hole.
        write(fd, "pieces", (b"%c" % (65 + int(arg))) * 65536, size=131072, off=65536 * int(arg))
    elif what == "hard":
        write(fd, "hard", b"three names")
        os.link("hard", "hard.2", src_dir_fd=fd, dst_dir_fd=fd)
        os.link("hard", "hard.top", src_dir_fd=fd, dst_dir_fd=fds[0])
    elif what == "link":
        os.symlink("../target of it", "link", dir_fd=fd)
        os.utime("link", ns=(TIME, TIME + 9), dir_fd=fd, follow_symlinks=False)
    elif what == "xattr":
        write(fd, "tagged", b"tagged")
        for f, d in (("tagged", 0), (".", 1)):
            f = os.open(f, os.O_RDONLY, dir_fd=fd)
            try:
                os.setxattr(f, "user.deep", b"value %d" % d)
            except OSError:
                pass
            os.close(f)
    elif what == "empty":
        os.mkdir("empty", 0o700, dir_fd=fd)
        f = os.open("empty", DIRECTORY, dir_fd=fd)
        os.fchmod(f, 0o1751)
        os.utime(f, ns=(TIME, TIME + 11))
        os.close(f)
    elif what == "closed":
        # A directory that its owner may not write to.
        os.mkdir("closed", 0o700, dir_fd=fd)
        f = os.open("closed", DIRECTORY, dir_fd=fd)
        write(f, "in it", b"closed")
        os.fchmod(f, 0o555)
        os.utime(f, ns=(TIME, TIME + 13))
        os.close(f)
    else:
        sys.exit(f"what is {what}?")


def make(top, chain, *what):
    fds = descend(top, chain, make=True)
    for w in what:
        make_one(fds, w)
    for i, fd in enumerate(fds[1:]):
        os.fchmod(fd, 0o2750 if i % 2 else 0o701)
        os.utime(fd, ns=(TIME, TIME + i * NS))


def plant(top, chain, name, to):
    os.symlink(to, name, dir_fd=descend(top, chain)[-1])


def xattrs(fd):
    try:
        return sorted((n, os.getxattr(fd, n)) for n in os.listxattr(fd) if n.startswith("user."))
    except OSError:
        return []


def describe(fd, name, path, st, groups, inodes):
    digest = hashlib.sha1(path).hexdigest()[:16]
    line = [str(len(path)), digest, repr(name[-24:]), oct(st.st_mode), f"{st.st_uid}:{st.st_gid}"]
    line.append(str(st.st_mtime_ns))
    if stat.S_ISLNK(st.st_mode):
        line.append(os.fsdecode(os.readlink(name, dir_fd=fd)))
    elif stat.S_ISREG(st.st_mode):
        f = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=fd)
        h = hashlib.sha1()
        while data := os.read(f, 1 << 20):
            h.update(data)
        # The first name of an inode, as it is met, stands for it.
        first = groups.setdefault(st.st_ino, digest) if st.st_nlink > 1 else "-"
        line += [str(st.st_size), h.hexdigest(), str(st.st_nlink), first, str(xattrs(f))]
        os.close(f)
    if inodes:
        line += [str(st.st_ino), str(st.st_ctime_ns)]
    return line


def picture(top, inodes=False):
    out, groups = [], {}
    # A descriptor of each directory under way, as many as the tree is deep.
    todo = [(os.open(top, DIRECTORY), b"", None)]
    while todo:
        fd, path, names = todo.pop()
        if names is None:
            names = sorted(os.fsencode(n) for n in os.listdir(fd) if path or n != ".ebt")
        while names:
            name = names.pop(0)
            below = path + b"/" + name if path else name
            st = os.stat(name, dir_fd=fd, follow_symlinks=False)
            line = describe(fd, name, below, st, groups, inodes)
            out.append(" ".join(line))
            if stat.S_ISDIR(st.st_mode):
                todo.append((fd, path, names))
                sub = os.open(name, DIRECTORY, dir_fd=fd)
                out[-1] += " " + str(xattrs(sub))
                todo.append((sub, below, None))
                break
        else:
            os.close(fd)
    print("\n".join(out))


def stat_one(top, chain, name):
    fd = descend(top, chain)[-1]
    try:
        st = os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        print("nothing")
        return
    if stat.S_ISREG(st.st_mode):
        f = os.open(name, os.O_RDONLY, dir_fd=fd)
        print("file", os.read(f, 4096).decode())
    elif stat.S_ISLNK(st.st_mode):
        print("link", os.readlink(name, dir_fd=fd))
    else:
        print("directory" if stat.S_ISDIR(st.st_mode) else "other")


if __name__ == "__main__":
    # More levels than a process may have open by default.
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    command, *args = sys.argv[1:]
    {
        "make": make,
        "plant": plant,
        "picture": picture,
        "inodes": lambda top: picture(top, True),
        "stat": stat_one,
    }[command](*args)
