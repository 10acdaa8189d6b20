#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""
Drains that are killed, or fail, at every call that changes something, and a model of what has
to come out of them.

    torture_drain.py COMMANDS SHIMS [--seed N] [--rounds N | --seconds S | --case NAME]
                     [--dest DIR] [--keep]

COMMANDS is the folder of ebt-drain, SHIMS that of failing.so, both as built. First come the
cases, small stores made by hand, with a sweep over the calls of a rank; then random rounds,
seed after seed. With another --seed or with --seconds there are no cases, only rounds. What
fails is printed with its seed or case and its steps; --seed N --rounds 1, or --case NAME, does
the same again. With --dest DIR drains go to DIR/d, on another file system for example.

The model knows nothing of how a drain works. It has the stores as they were made, and says:

  - A name that only one node has gets that node's version. Of a name that several nodes have
    the policy says what it gets: the newest version, all of them under names of their own, or
    their union, in which bytes that are zero on a node come from another one. By default it is
    the union if no two of them have data in the same block, or all are equal, else all of them.
  - By default what is in DEST before stays. What says the same is one with it, else the version
    that comes has NAME.ebt-new, and a later one takes its place there.
  - Two names in DEST are one file exactly if one node has them as one file and neither of them
    is a union. Directories are united, the lowest node's attributes count.
  - With --pack some of these names are not in DEST but in archives there: NAME, or where that
    has what was freed since, NAME.ebt-new and so on. Nothing in DEST is in their way. What is in
    one archive is one file exactly if it would be so in DEST; nothing is one with what is not.
  - At any time, a name in DEST holds what was there before the drain, or what it has to hold. An
    archive that can be seen is whole, and each member is what its name has to hold.
  - At any time, what a name has to hold is in DEST, or all that it is made of in the stores.
  - At the end DEST has exactly the names it has to have, a further run writes nothing, and with
    --delete nothing is left that is in DEST.

All of this whatever happened on the way: a killed rank, an error of one call, a journal without
room, outputs that are added, changed or linked between two runs.
"""
import argparse
import errno
import hashlib
import os
import random
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass, field, replace
from decimal import Decimal

HOST = socket.gethostname()
# Calls that are struck in a round: of these names, or of any that changes something.
CALLS = ["renameat,renameat2", "linkat", "unlinkat", "write", "fsync", "futimens", "mkdirat", ""]
NS = 1_000_000_000


class Wrong(Exception):
    """Something that must not be."""


@dataclass(frozen=True)
class File:
    """What is under a name, on a node or in DEST."""

    kind: str  # "file", "dir" or "link"
    content: object = None  # digest of a file, target of a link
    size: int = 0
    mode: int = 0
    mtime: int = 0
    inode: tuple = ()

    def look(self):
        """All that somebody who opens it can tell; of a directory nothing."""
        if self.kind == "dir":
            return ("dir",)
        if self.kind == "link":
            return ("link", self.content, self.mtime)
        return ("file", self.content, self.size, self.mode, self.mtime)


@dataclass
class Want:
    """What a name in DEST has to hold."""

    file: File
    parts: list = field(default_factory=list)  # (node, name) of what it is made of
    same_as: object = None  # equal for names that are one file; None: nobody's
    beside: bool = False  # by an earlier run, nothing is linked to it: it is one file with others or not
    packed: bool = False  # in an archive


def digest(data):
    return hashlib.sha256(data).hexdigest()


def look_at(path):
    st = os.lstat(path)
    known = {"mode": stat.S_IMODE(st.st_mode), "mtime": st.st_mtime_ns, "inode": (st.st_dev, st.st_ino)}
    if stat.S_ISDIR(st.st_mode):
        return File("dir", **known)
    if stat.S_ISLNK(st.st_mode):
        return File("link", os.readlink(path), **known)
    with open(path, "rb") as f:
        data = f.read()
    return File("file", digest(data), len(data), **known)


def tree(root):
    """name -> File of all below @root but EBT's own."""
    found = {}
    todo = [""]
    while todo:
        above = todo.pop()
        for name in os.listdir(os.path.join(root, above)):
            below = os.path.join(above, name)
            if name.startswith(".ebt"):
                continue
            found[below] = look_at(os.path.join(root, below))
            if found[below].kind == "dir":
                todo.append(below)
    return found


def members(path):
    """name -> File of all in an archive, which has to be whole."""
    found, end = {}, 0
    try:
        with tarfile.open(path, "r:", encoding="utf-8", errors="surrogateescape") as tar:
            for m in tar:
                known = {"mode": m.mode, "mtime": int(Decimal(m.pax_headers.get("mtime", m.mtime)) * NS)}
                if m.name in found:
                    raise Wrong(f"{path} has {m.name} twice")
                if m.isdir():
                    found[m.name] = File("dir", **known)
                elif m.issym():
                    found[m.name] = File("link", m.linkname, **known)
                elif m.islnk():
                    found[m.name] = found[m.linkname]
                else:
                    data = tar.extractfile(m).read()
                    found[m.name] = File("file", digest(data), len(data), **known, inode=(path, m.name))
                end = tar.offset
        with open(path, "rb") as f:
            f.seek(end)
            if f.read() != bytes(1024):
                raise Wrong(f"{path} has no end, or more behind it")
    except (tarfile.TarError, KeyError, EOFError) as e:
        raise Wrong(f"{path} is not whole: {e}") from None
    return found


def own_names(root):
    return [n for _, dirs, files in os.walk(root) for n in dirs + files if n.startswith(".ebt-drain-")]


class Stores:
    """Stores of some nodes and a DEST, what has to come out, and runs."""

    def __init__(self, at, commands, shims, dest, nodes, options):
        self.at, self.commands, self.shims = at, commands, shims
        self.nodes = nodes
        self.options = options
        self.policy = options.get("conflict", "auto")
        self.keeps = "overwrite" not in options and "atomic" not in options
        # What matches, a directory with all that is in it or ends of names, and the archive.
        self.pattern, _, self.archive = options.get("pack", "").partition("=")
        self.top = dest or f"{at}/top"
        os.makedirs(self.top, exist_ok=True)
        self.dest = f"{self.top}/d"
        for r in range(nodes):
            os.makedirs(self.store(r))
        self.has = [{} for _ in range(nodes)]  # name -> File, as the model remembers it
        self.data = {}  # (node, name) -> bytes, of names that several nodes have
        self.before = {}  # what is in DEST before
        self.held = {}  # name -> all that it had to hold so far
        self.want = {}
        self.file = {}  # (node, name) -> equal for the names of one file
        self.learned = 0
        self.unproven = False  # a journal had no room
        self.steps = []
        self.struck = 0

    def store(self, node):
        return f"{self.at}/s.{node}"

    def is_packed(self, name):
        if not self.archive:
            return False
        if self.pattern.startswith("/"):
            return f"/{name}/".startswith(f"{self.pattern}/")
        return any(part.startswith(self.pattern.removesuffix("*")) for part in name.split("/"))

    def archives(self, seen):
        """Those in DEST, with what is in each."""
        if not self.archive:
            return {}
        mine = re.compile(re.escape(self.archive) + r"(\.ebt-new(\.[0-9]+)?)?")
        return {n: members(f"{self.dest}/{n}") for n in seen if mine.fullmatch(n) and not self.was_before(n, seen[n])}

    def was_before(self, name, f):
        return name in self.before and self.before[name].look() == f.look()

    def put(self, node, name, data, mtime=NS, mode=0o644, holes=False):
        """A file of that content; node None: in DEST, before the drain."""
        path = os.path.join(self.dest if node is None else self.store(node), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            for i in range(0, len(data), 4096):
                if not holes or any(data[i : i + 4096]):
                    f.seek(i)
                    f.write(data[i : i + 4096])
            f.truncate(len(data))
        os.chmod(path, mode)
        os.utime(path, ns=(mtime, mtime))

    def link(self, node, name, new):
        os.makedirs(os.path.dirname(os.path.join(self.store(node), new)), exist_ok=True)
        os.link(os.path.join(self.store(node), name), os.path.join(self.store(node), new))

    def learn(self):
        """The model looks at the stores: what is there now counts, and what was freed since."""
        self.learned += 1
        for r in range(self.nodes):
            now = tree(self.store(r))
            self.name_files(r, now)
            self.has[r].update(now)
            for name, f in now.items():
                if f.kind == "file":
                    with open(os.path.join(self.store(r), name), "rb") as opened:
                        self.data[r, name] = opened.read()
        if not self.held and os.path.isdir(self.dest):
            self.before = tree(self.dest)
        self.want = self.what_has_to_come_out()
        for name, w in self.want.items():
            self.held.setdefault(name, []).append(w)

    def name_files(self, node, now):
        """A file is the one it was if one of its names is. Inodes alone come back with new files."""
        known = {}
        for name, f in now.items():
            old = self.has[node].get(name)
            if old and old.inode == f.inode and old.look() == f.look():
                known[f.inode] = self.file[node, name]
        for name, f in now.items():
            mark = known.setdefault(f.inode, (self.learned, node, f.inode))
            self.file[node, name] = mark

    def what_has_to_come_out(self):
        want = {}
        names = sorted({n for has in self.has for n in has})
        for name in names:
            who = [r for r in range(self.nodes) if name in self.has[r]]
            files = [self.has[r][name] for r in who]
            first = files[0]
            parts = [(r, name) for r in who]
            if first.kind == "dir":
                want[name] = Want(first)
            elif len(who) == 1:
                want[name] = Want(first, parts, self.file[parts[0]])
            elif first.kind == "link" and len({f.content for f in files}) == 1:
                want[name] = Want(first, parts[:1])
            elif self.policy == "newest":
                i = max(range(len(who)), key=lambda i: (files[i].mtime, -i))
                want[name] = Want(files[i], [parts[i]], self.file[parts[i]])
            elif self.policy == "suffix" or self.policy == "auto" and not self.is_one(name, who, files):
                for r, f in zip(who, files):
                    aside = self.policy == "auto"
                    want[f"{name}.{HOST}.{r}"] = Want(f, [(r, name)], self.file[r, name], aside)
            else:
                want[name] = Want(self.union(name, who, files), parts, f"union {name}")
        for name, w in want.items():
            base = name.split(f".{HOST}.")[0]
            w.packed = self.is_packed(base)
        return self.past_what_is_there(want) if self.keeps else want

    def is_one(self, name, who, files):
        """Pieces, or copies that are equal."""
        if any(f.kind != "file" for f in files):
            return False
        if len({(f.content, f.size) for f in files}) == 1:
            return True
        taken = set()
        for r in who:
            data = self.data[r, name]
            blocks = {i for i in range(0, len(data), 4096) if any(data[i : i + 4096])}
            if taken & blocks:
                return False
            taken |= blocks
        return True

    def past_what_is_there(self, want):
        past = {}
        for name, w in want.items():
            there = self.before.get(name)
            if not there or w.file.kind == "dir" or w.packed:
                past[name] = w
            elif (there.kind, there.content, there.size) == (w.file.kind, w.file.content, w.file.size):
                past[name] = Want(there, w.parts, None, True)
            else:
                past[name + ".ebt-new"] = Want(w.file, w.parts, None, True)
        return past

    def union(self, name, who, files):
        size = max(f.size for f in files)
        number = 0
        for r in who:
            number |= int.from_bytes(self.data[r, name], "little")
        newest = max(range(len(who)), key=lambda i: (files[i].mtime, -i))
        data = number.to_bytes(size, "little") if size else b""
        return replace(files[newest], content=digest(data), size=size)

    def run(self, fault=None):
        """One run; @fault: settings of failing.so. Returns its status, and what was struck."""
        command = [f"{self.commands}/launch", "-n", str(self.nodes), f"{self.commands}/ebt-drain", "--per-rank", "--timeout=10s"]
        command += [f"--{k}" if v is True else f"--{k}={v}" for k, v in self.options.items()]
        command += [f"{self.at}/s.%r", self.dest]
        env = dict(os.environ)
        hit = f"{self.at}/hit"
        if fault:
            env.update({f"EBT_TEST_{k}": str(v) for k, v in fault.items()})
            env.update(LD_PRELOAD=f"{self.shims}/failing.so", EBT_TEST_HIT=hit)
        with open(f"{self.at}/said", "w+") as said:
            ran = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
            try:
                status = ran.wait(timeout=120)
            except subprocess.TimeoutExpired:
                self.end_ranks(signal.SIGKILL)
                ran.kill()
                raise Wrong("it hangs") from None
            said.seek(0)
            self.said = said.read()
        self.wait_for_ranks()
        struck = ""
        if os.path.exists(hit):
            with open(hit) as f:
                struck = f.read().split("\n")[0]
            os.unlink(hit)
        self.struck += struck != ""
        what = f"struck at {struck}" if struck else "nothing struck"
        said = " ".join(self.said.split())[-300:]
        self.steps.append(f"a run, {fault or 'no fault'}: {what}, status {status}: {said}")
        return status, struck

    def end_ranks(self, number):
        for pid in self.ranks():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def ranks(self):
        """Of this run: no other one has these stores."""
        mine = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    words = f.read().split(b"\0")
            except OSError:
                continue
            if words[0].endswith(b"/ebt-drain") and f"{self.at}/s.%r".encode() in words:
                mine.append(int(pid))
        return mine

    def wait_for_ranks(self):
        """The launcher may be gone before the last of its ranks is."""
        until = time.monotonic() + 60
        while self.ranks():
            if time.monotonic() > until:
                self.end_ranks(signal.SIGKILL)
                raise Wrong("ranks stay when the launcher is gone")
            time.sleep(0.01)

    def check_now(self):
        """What has to hold whenever a run has ended, however it did."""
        seen = tree(self.dest) if os.path.isdir(self.dest) else {}
        packed = {}  # name -> how it is in any archive
        archives = self.archives(seen)
        for archive in sorted(archives, key=lambda name: (len(name), name)):
            for name in archive, f"{archive}.idx":
                seen.pop(name, None)
            rest = packed and self.options.get("delete")
            for name, f in archives[archive].items():
                held = [w for w in self.held.get(name, []) if w.packed]
                fine = [w.file.look() for w in held]
                # Beside one that has all of it lies what of several versions was not freed yet.
                if f.look() not in fine and not (rest and any(len(w.parts) > 1 for w in held)):
                    raise Wrong(f"{name} in {archive} is {f}, not one of {fine}")
                packed.setdefault(name, []).append(f.look())
        for name, f in seen.items():
            fine = [w.file.look() for w in self.held.get(name, [])]
            if name in self.before:
                fine.append(self.before[name].look())
            if f.look() not in fine:
                raise Wrong(f"{name} is {f}, not one of {fine}")
        missing = {n for n, w in self.want.items() if n not in (packed if w.packed else seen)}
        if self.options.get("atomic") and seen and missing:
            raise Wrong(f"visible without {sorted(missing)[:3]}")
        there = [tree(self.store(r)) for r in range(self.nodes)]
        for name, w in self.want.items():
            if w.packed and w.file.look() in packed.get(name, []):
                continue
            if not w.packed and name in seen and seen[name].look() == w.file.look():
                continue
            for node, part in w.parts:
                left = there[node].get(part)
                if not left or left.look() != self.has[node][part].look():
                    raise Wrong(f"{name} is not in DEST, and {part} of node {node} is gone")

    def check_end(self):
        seen = tree(self.dest)
        archives = self.archives(seen)
        self.check_archives(seen, archives)
        for archive in archives:
            del seen[archive]
            seen.pop(f"{archive}.idx", None)
        names = {n for n, w in self.want.items() if not w.packed} | set(self.before) - set(archives)
        if set(seen) != names:
            raise Wrong(f"missing {sorted(names - set(seen))[:3]}, too much {sorted(set(seen) - names)[:3]}")
        left = own_names(self.top) + [n for n in os.listdir(self.top) if "ebt-drain-" in n]
        if left:
            raise Wrong(f"left over: {left[:3]}")
        for name, f in seen.items():
            w = self.want.get(name)
            if not w or w.packed:
                if f.look() != self.before[name].look():
                    raise Wrong(f"{name} was not ours and is {f}, not {self.before[name]}")
                continue
            if f.look() != w.file.look():
                raise Wrong(f"{name} is {f}, not {w.file}")
            # A later run does not look at directories that an earlier one finished.
            if f.kind == "dir" and name not in self.before and not self.unproven and self.learned == 1:
                if (f.mode, f.mtime) != (w.file.mode, w.file.mtime):
                    raise Wrong(f"directory {name} is {f}, not {w.file}")
        self.check_links({n: f for n, f in seen.items() if n in self.want and not self.want[n].packed})

    def check_archives(self, seen, archives):
        """Together they have all that is packed."""
        left = {name for name, w in self.want.items() if w.packed}
        if left and self.learned == 1 and not self.unproven and not self.options.get("delete") and len(archives) != 1:
            raise Wrong(f"not one archive, but {sorted(archives)}")
        for archive, found in archives.items():
            # Nobody knows any more what is in one that was there, without its index, before changes.
            if f"{archive}.idx" not in seen and self.learned == 1:
                raise Wrong(f"{archive} has no index")
            fine = {n: f for n, f in found.items() if n in left and f.look() == self.want[n].file.look()}
            self.check_links(fine)
            for name, f in fine.items():
                w = self.want[name]
                if f.kind == "dir" and self.learned == 1 and len(archives) == 1:
                    if (f.mode, f.mtime) != (w.file.mode, w.file.mtime):
                        raise Wrong(f"directory {name} in {archive} is {f}, not {w.file}")
        for found in archives.values():
            left -= {n for n in left if n in found and found[n].look() == self.want[n].file.look()}
        if left:
            raise Wrong(f"in no archive: {sorted(left)[:3]}")

    def check_links(self, seen):
        """Which names are one file."""
        files, inodes = {}, {}
        for name, f in seen.items():
            w = self.want[name]
            if f.kind == "file" and not w.beside:
                files.setdefault(f.inode, {})[w.same_as] = name
                inodes.setdefault(w.same_as, {})[f.inode] = name
        for names in files.values():
            if len(names) > 1:
                raise Wrong(f"one file that must be several: {sorted(names.values())}")
        for names in inodes.values():
            # Without a record nobody knows any more that what is there is the other name's file.
            if len(names) > 1 and not self.unproven:
                raise Wrong(f"several files that must be one: {sorted(names.values())}")

    def check_freed(self):
        if self.unproven:
            return
        for node in range(self.nodes):
            for name, f in tree(self.store(node)).items():
                loser = self.policy == "newest" and sum(name in has for has in self.has) > 1
                if f.kind == "file" and not loser:
                    raise Wrong(f"{name} of node {node} is not freed")

    def own_names(self):
        return {name for has in self.has for name in has}

    def finish(self):
        """Runs to the end."""
        status, _ = self.run()
        # What is not under its own name, or split, is worth a look; what was freed is forgotten.
        beside = any(name not in self.own_names() for name in self.want) and self.policy != "suffix"
        fine = [4] if beside and not self.options.get("delete") else [0, 4] if beside else [0]
        # So is an archive that what is in another one is not in, or that finds its name taken.
        fine = [0, 4] if self.archive else fine
        if status not in fine:
            raise Wrong(f"the last run: status {status}, not {fine}")
        self.check_now()
        self.check_end()
        if self.options.get("delete"):
            self.check_freed()

    def once_more(self):
        self.finish()
        if "drained 0 files" not in self.said and not self.unproven:
            raise Wrong("a further run writes something")


# The cases: options, what makes the stores, and scripts. A step of a script is a function, or a
# run with settings of failing.so, of which those whose number is SWEEP are tried with 1, 2, 3
# and so on, until nothing is struck any more.
SWEEP = 0
FULL = {"RANK": "any", "CALLS": ",write,", "AT": 1, "ON": 1, "ERROR": errno.ENOSPC}
PIECES = (b"a" * 4096 + bytes(8192), bytes(4096) + b"b" * 8192)


def kill(rank, calls, dies="after", at=SWEEP):
    return {"RANK": rank, "CALLS": f",{calls},", "DIES": dies, "AT": at}


def fail(rank, calls):
    return {"RANK": rank, "CALLS": f",{calls},", "ERROR": errno.EIO, "AT": SWEEP}


def linked_piece(stores):
    """A file with two names; under one of them another node has a piece of it."""
    stores.put(0, "a", PIECES[0], 5 * NS, 0o600, True)
    stores.link(0, "a", "b")
    stores.put(1, "a", PIECES[1], 9 * NS, 0o644, True)


def linked_older(stores):
    """The same, but the other node's version is newer."""
    stores.put(0, "a", b"older", 5 * NS)
    stores.link(0, "a", "b")
    stores.put(1, "a", b"newer!", 9 * NS)


def one_piece(stores):
    stores.put(0, "a", PIECES[0], 5 * NS, 0o644, True)


def other_piece(stores):
    """Not larger, not newer: the union looks as what is there."""
    stores.put(1, "a", PIECES[1], 4 * NS, 0o644, True)


def linked_file(stores):
    stores.put(0, "b", b"text", 5 * NS)
    stores.link(0, "b", "a")


def more_links(stores):
    stores.link(0, "b", "c")
    stores.link(0, "b", "d")


def more_outputs(stores):
    stores.put(0, "more", b"more", 5 * NS)


def two_logs(stores):
    for r in (0, 1):
        stores.put(r, "log", b"log of %d" % r, (5 + r) * NS)
        os.link(f"{stores.store(r)}/log", f"{stores.at}/kept.{r}")


def one_is_back(stores):
    """As if the second node had been killed before it freed its version."""
    if not os.path.exists(f"{stores.store(1)}/log"):
        os.link(f"{stores.at}/kept.1", f"{stores.store(1)}/log")


def lookalike(stores):
    """What is there before has size and time of what comes."""
    stores.put(None, "a", b"before", 5 * NS)
    stores.put(0, "a", b"after!", 5 * NS)


def in_the_way(stores):
    """DEST has another file of the same size, and one that says the same."""
    stores.put(None, "a", b"before", 5 * NS)
    stores.put(0, "a", b"after!", 5 * NS)
    stores.put(None, "same", b"same", 3 * NS)
    stores.put(1, "same", b"same", 5 * NS)


def changed(stores):
    """What came beside it has to be replaced, and what says the same no longer does."""
    for node, name in (0, "a"), (1, "same"):
        if os.path.exists(f"{stores.store(node)}/{name}"):
            stores.put(node, name + ".new", b"changed", 7 * NS)
            os.rename(f"{stores.store(node)}/{name}.new", f"{stores.store(node)}/{name}")


def two_copies(stores):
    """Equal ones, one with a hole, and different ones, one with a second name."""
    for r in (0, 1):
        stores.put(r, "copy", bytes(8192) + b"c" * 4096, (5 + r) * NS, 0o644, r == 1)
        stores.put(r, "log", b"log of %d" % r, 5 * NS)
    stores.link(0, "log", "b")


def undisturbed(stores):
    if stores.run()[0] not in (0, 4):
        raise Wrong("a run without faults fails")


PACK = {"pack": "*=all.tar"}
MERGE, FREED = {"conflict": "merge"}, {"conflict": "merge", "delete": True}
LATEST = {"conflict": "newest", "overwrite": "update", "delete": True}
APART = {"conflict": "suffix", "overwrite": "update", "delete": True}
CASES = {
    "a link beside a piece": (MERGE, linked_piece, [[fail(r, "renameat2")] for r in (0, 1)]),
    "a link beside a piece, killed": (MERGE, linked_piece, [[kill(r, "renameat2")] for r in (0, 1)]),
    "a link beside a piece, twice": (
        MERGE,
        linked_piece,
        [[fail(r, "renameat2") | {"AT": 1}, kill(q, "renameat2,linkat")] for r in (0, 1) for q in (0, 1)],
    ),
    "a link beside a piece, freed": (FREED, linked_piece, [[kill(r, "unlinkat")] for r in (0, 1)]),
    "a newer version, full journals": (LATEST, linked_older, [[FULL]]),
    "beside what is there": ({}, in_the_way, [[kill(r, "renameat2,renameat")] for r in (0, 1)]),
    "beside what is there, changed": (
        {},
        in_the_way,
        [[undisturbed, changed, kill(r, "renameat2,renameat", dies)] for r in (0, 1) for dies in ("before", "after")],
    ),
    "beside what is there, freed": ({"delete": True}, in_the_way, [[kill(r, "unlinkat")] for r in (0, 1)]),
    "two copies": ({}, two_copies, [[kill(r, "renameat2")] for r in (0, 1)]),
    "two copies, freed": ({"delete": True}, two_copies, [[kill(r, "unlinkat,renameat2")] for r in (0, 1)]),
    "two logs, freed": ({"delete": True}, two_logs, [[kill(r, "unlinkat"), one_is_back] for r in (0, 1)]),
    "two logs, full journals": (APART, two_logs, [[FULL, one_is_back]]),
    "a lookalike": ({"overwrite": "always"}, lookalike, [[kill(r, "renameat", "before")] for r in (0, 1)]),
    "inodes that differ": ({}, linked_file, [[{"RANK": r, "INODES": 7}] for r in (0, 1)]),
    "more links": (
        {},
        linked_file,
        [[undisturbed, more_links, kill(r, "linkat,renameat2")] for r in (0, 1)],
    ),
    "an archive": (PACK, two_copies, [[kill(r, "renameat2,renameat", dies)] for r in (0, 1) for dies in ("before", "after")]),
    "an archive, changed": (
        PACK,
        in_the_way,
        [[undisturbed, changed, kill(r, "renameat2,renameat,fsync")] for r in (0, 1)],
    ),
    "an archive, freed": (PACK | {"delete": True}, two_copies, [[kill(r, "unlinkat")] for r in (0, 1)]),
    "an archive, asked to be replaced": (
        PACK | {"delete": True, "overwrite": "always"},
        linked_file,
        [[kill(0, "unlinkat"), more_outputs]],
    ),
    "another piece": (
        MERGE,
        one_piece,
        [[undisturbed, other_piece, kill(r, "renameat", "before")] for r in (0, 1)],
    ),
}


def play(stores, steps, sweeps):
    """Carries steps out. Returns whether all that was to be struck was: then a sweep goes on."""
    all_struck = True
    stores.learn()
    for step in steps:
        if callable(step):
            step(stores)
            stores.steps.append(step.__name__)
            stores.learn()
            continue
        stores.unproven |= "ON" in step
        _, struck = stores.run(step)
        all_struck &= struck != ""
        stores.check_now()
    stores.finish()
    if not all_struck or not sweeps:
        stores.once_more()
    return all_struck


class Round:
    """A random one: everything in it comes from the seed, nothing from what the runs do."""

    def __init__(self, seed):
        self.r = random.Random(seed)
        r = self.r
        self.nodes = r.randrange(2, 5)
        self.options = {"conflict": r.choice(["error", "merge", "newest", "newest", "suffix", "", "", ""])}
        self.options["overwrite"] = r.choice(["refuse", "always", "update", "", ""])
        # Without a record, what came under another name is not known as what the job had.
        self.full = r.random() < 0.15
        if self.full:
            self.options["overwrite"] = r.choice(["always", "update"])
            self.options["conflict"] = r.choice(["error", "merge", "newest", "suffix"])
        # The default is what it is without a word about it.
        self.options = {k: v for k, v in self.options.items() if v}
        self.conflict = self.options.get("conflict", "auto")
        self.overwrite = self.options.get("overwrite", "auto")
        for name, share in ("delete", 0.6), ("atomic", 0.15), ("verify", 0.15):
            # Without a record a DEST that is there is not known to be this drain's whole.
            # What is to appear as a whole has no other names.
            whole = name == "atomic"
            if r.random() < share and not (whole and (self.full or "conflict" not in self.options)):
                self.options[name] = True
        if r.random() < 0.5:
            self.options["io-threads"] = r.randrange(1, 4)
        if r.random() < 0.3:
            self.options["writers"] = r.randrange(1, self.nodes + 1)
        self.pack(random.Random(f"archives of {seed}"))
        self.own = []  # (node, name) of files that only one node has, under one name
        self.changes = 0

    def pack(self, r):
        """What other seeds make of the rest does not depend on this."""
        freed = "delete" in self.options
        # An atomic drain that dies while it frees does not know an archive of which some is freed;
        # and which version of a member was the newest is not known when that is freed.
        unknown = freed and ("atomic" in self.options or self.conflict == "newest")
        if r.random() < 0.5 and not unknown:
            self.options["pack"] = r.choice(["/d", "own*", "shared*", "*", "*"]) + "=all.tar"
        self.takes_name = "atomic" not in self.options and self.overwrite != "refuse" and r.random() < 0.2

    def mtime(self):
        return self.r.choice([0, 5, 5, 9, 1_700_000_000]) * NS + self.r.choice([0, 0, 1, 999_999_999])

    def text(self):
        return self.r.randbytes(self.r.choice([0, 1, 100, 5000, 20000, 300000]))

    def mode(self):
        return self.r.choice([0o644, 0o600, 0o755, 0o444, 0o4755])

    def piece(self, whole):
        """Some of its blocks, up to the last of them."""
        blocks = [whole[i : i + 4096] for i in range(0, len(whole), 4096)]
        mine = [b if self.r.random() < 0.6 else bytes(len(b)) for b in blocks]
        return b"".join(mine[: self.r.randrange(len(mine) + 1)])

    def make(self, stores):
        r = self.r
        where = [[""] for _ in range(self.nodes)]
        for above, name in ("", "d"), ("d", "d/e"), ("", "f"):
            for node in range(self.nodes):
                if above in where[node] and r.random() < 0.6:
                    os.mkdir(os.path.join(stores.store(node), name))
                    where[node].append(name)
        for node in range(self.nodes):
            for i in range(r.randrange(8)):
                self.make_own(stores, node, os.path.join(r.choice(where[node]), f"own{node}.{i}"), where[node])
        if self.conflict != "error":
            for i in range(r.randrange(1, 5)):
                self.make_shared(stores, f"shared{i}", where)
        for i in range(r.randrange(3)):
            for node in r.sample(range(self.nodes), 2):
                os.symlink(f"target{i}", os.path.join(stores.store(node), f"link{i}"))
                os.utime(os.path.join(stores.store(node), f"link{i}"), ns=(NS, NS), follow_symlinks=False)
        self.make_before(stores)
        for node in range(self.nodes):
            for name in sorted(where[node], reverse=True)[:-1]:
                path = os.path.join(stores.store(node), name)
                os.chmod(path, r.choice([0o755, 0o700, 0o555, 0o2775]))
                t = self.mtime()
                os.utime(path, ns=(t, t))

    def make_own(self, stores, node, name, where):
        stores.put(node, name, self.text(), self.mtime(), self.mode())
        if self.r.random() < 0.3:
            stores.link(node, name, os.path.join(self.r.choice(where), os.path.basename(name) + ".link"))
        else:
            self.own.append((node, name))

    def make_shared(self, stores, name, where):
        """Also with a second name, that the other nodes do not have."""
        r = self.r
        whole = bytes(r.randrange(1, 256) for _ in range(r.choice([1, 5000, 50000])))
        who = r.sample(range(self.nodes), r.randrange(2, self.nodes + 1))
        how = r.choice(["equal", "pieces", "piece", "text"]) if self.conflict == "auto" else self.conflict
        # Whose a block is.
        turns = [r.choice(who) for _ in range(0, len(whole), 4096)]
        for node in who:
            if how == "equal":
                data = whole
            elif how == "pieces":
                blocks = [whole[i : i + 4096] for i in range(0, len(whole), 4096)]
                data = b"".join(b if turn == node else bytes(len(b)) for b, turn in zip(blocks, turns))
            else:
                data = self.piece(whole) if how in ("piece", "merge") else self.text()
            stores.put(node, name, data, self.mtime(), self.mode(), True)
            for k in range(r.choice([0, 0, 1, 2])):
                # Before and behind it in the order of names.
                stores.link(node, name, os.path.join(r.choice(where[node]), f"{r.choice('az')}{k}.{node}.{name}"))

    def make_before(self, stores):
        r = self.r
        if "pack" in self.options and self.takes_name:
            stores.put(None, "all.tar", b"of somebody", 3 * NS)
        if "atomic" in self.options or r.random() < 0.6:
            return
        for i in range(r.randrange(3)):
            stores.put(None, f"before{i}", self.text(), self.mtime(), self.mode())
        for node, name in self.own:
            if self.overwrite == "refuse" or r.random() < 0.7:
                continue
            path = os.path.join(stores.store(node), name)
            st = os.stat(path)
            if self.overwrite == "auto" and r.random() < 0.4:
                with open(path, "rb") as f:
                    stores.put(None, name, f.read(), self.mtime())
            elif self.overwrite == "always" or self.overwrite == "auto" and r.random() < 0.5:
                stores.put(None, name, r.randbytes(st.st_size), st.st_mtime_ns)
            else:
                stores.put(None, name, b"before", 77 * NS)

    def change(self, stores):
        """Outputs come, change and get links while there is no run."""
        r = self.r
        self.changes += 1
        for i in range(r.randrange(3)):
            name = f"new{self.changes}.{i}"
            stores.put(r.randrange(self.nodes), name, self.text(), self.mtime(), self.mode())
        for node, name in self.own:
            what, data, mode, mtime = r.random(), self.text(), self.mode(), self.mtime()
            path = os.path.join(stores.store(node), name)
            if not os.path.exists(path) or os.stat(path).st_nlink > 1:
                continue
            if what < 0.15:
                stores.put(node, name + ".new", data, mtime + 1000 * self.changes * NS, mode)
                os.rename(path + ".new", path)
            elif what < 0.3 and not self.full:
                stores.link(node, name, f"late{self.changes}.{os.path.basename(name)}")

    def fault(self):
        r = self.r
        calls = r.choice(CALLS)
        fault = {"RANK": r.randrange(self.nodes), "AT": r.randrange(1, 8 if calls else 60)}
        if calls:
            fault["CALLS"] = f",{calls},"
        if r.random() < 0.7:
            fault["DIES"] = r.choice(["before", "after"])
        else:
            fault["ERROR"] = r.choice([errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EACCES])
        return fault

    def steps(self):
        r = self.r
        steps = [FULL] if self.full and r.random() < 0.5 else []
        for _ in range(r.randrange(1, 4)):
            steps.append(self.fault())
            if "atomic" not in self.options and r.random() < 0.3:
                steps.append(self.change)
        return steps + [FULL] if self.full and FULL not in steps else steps


class Torture:
    def __init__(self, args):
        self.args = args
        self.top = tempfile.mkdtemp(prefix="ebt-torture-")
        self.runs = self.wrong = self.struck = 0

    def one(self, name, again, nodes, options, make, steps, sweeps=False):
        """True if all that was to be struck was."""
        at = f"{self.top}/now"
        stores = None
        try:
            if self.args.dest:
                shutil.rmtree(f"{self.args.dest}/d", ignore_errors=True)
            stores = Stores(at, self.args.commands, self.args.shims, self.args.dest, nodes, options)
            make(stores)
            struck = play(stores, steps, sweeps)
        except Wrong as wrong:
            self.wrong += 1
            struck = False
            print(f"FAIL: {name}: {wrong}\n  again: {again}\n  {nodes} nodes, {options}")
            for step in stores.steps:
                print(f"  - {step}")
            if self.args.keep:
                os.rename(at, f"{self.top}/{self.wrong}")
                print(f"  kept in {self.top}/{self.wrong}")
        self.runs += len(stores.steps)
        self.struck += stores.struck
        shutil.rmtree(at, ignore_errors=True)
        return struck

    def case(self, name):
        options, make, scripts = CASES[name]
        self.struck = 0
        for script in scripts:
            for number in range(1, 20):
                steps = [s | {"AT": number} if isinstance(s, dict) and s.get("AT") == SWEEP else s for s in script]
                before = self.wrong
                sweeps = steps != script
                struck = self.one(f"{name}, {number}", f'--case "{name}"', 2, options, make, steps, sweeps)
                if not struck or self.wrong > before or not sweeps:
                    break
        # Without any fault every drain is right, and the case would prove nothing.
        if not self.struck and any("AT" in s for script in scripts for s in script if isinstance(s, dict)):
            self.wrong += 1
            print(f"FAIL: {name}: nothing was struck, is failing.so at work?")

    def round(self, seed):
        r = Round(seed)
        stepped = []

        def make(stores):
            r.make(stores)
            stepped.extend(r.steps())

        self.one(f"seed {seed}", f"--seed {seed} --rounds 1", r.nodes, r.options, make, stepped)

    def all(self):
        began = time.monotonic()
        seed = self.args.seed
        cases = [self.args.case] if self.args.case else []
        if not cases and self.args.seed == 1 and not self.args.seconds:
            cases = list(CASES)
        for name in cases:
            self.case(name)
        in_cases = self.runs
        while not self.args.case:
            done = seed - self.args.seed >= self.args.rounds
            if self.args.seconds:
                done = time.monotonic() - began > self.args.seconds
            if done:
                break
            self.round(seed)
            seed += 1
        print(
            f"{len(cases)} cases with {in_cases} runs, {seed - self.args.seed} rounds with {self.runs - in_cases}"
            f" runs, {self.wrong} wrong, {time.monotonic() - began:.0f} s"
        )
        if not self.args.keep:
            shutil.rmtree(self.top, ignore_errors=True)
        return 1 if self.wrong else 0


def main():
    p = argparse.ArgumentParser(description="Drains under faults, and a model of what comes out.")
    p.add_argument("commands")
    p.add_argument("shims")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--rounds", type=int, default=12)
    p.add_argument("--seconds", type=float, help="as many rounds as fit, instead")
    p.add_argument("--case", choices=CASES)
    p.add_argument("--dest", help="drain to DIR/d, for another file system than that of the stores")
    p.add_argument("--keep", action="store_true", help="what was wrong is kept, its folder named")
    return Torture(p.parse_args()).all()


if __name__ == "__main__":
    sys.exit(main())
