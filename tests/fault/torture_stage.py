#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""
Stagings that are killed, or fail, at calls of a random number, and a model of what stores show.

    torture_stage.py COMMANDS SHIMS [--seed N] [--rounds N | --seconds S] [--keep]

COMMANDS is the folder of ebt-stage, SHIMS that of failing.so, both as built. Each round makes a
random tree and brings it to stores of some ranks in batches of a few entries; then it changes the
tree and brings it again, and so on. What fails is printed with its seed and its steps;
--seed N --rounds 1 does the same again.

The model knows nothing of how a staging works. It has the tree as it was made, and says:

  - A run that says 0 has brought all: each name of the source is in all stores with its content,
    mode, time, target, and what is one file in the source is one file in a store.
  - After one that does not, and at any time, a name in a store holds what it held before the run
    or what it has to hold after it, whole.
  - A run that failed, and was not killed, shows all stores as they were, unless it says that
    names had begun to appear and the next one goes on.
  - --recover afterwards says 0, then all stores show the tree before or all the one after, and
    nothing is left of what was on its way.
  - What a store shows it also says: --verify finds every file as its manifest has it.
"""
import argparse
import hashlib
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

NS = 1_000_000_000
CALLS = ["", "", "mkdirat", "write", "linkat", "renameat,renameat2", "futimens", "unlinkat"]


class Wrong(Exception):
    """Something that must not be."""


def look_at(path):
    """All that somebody who opens it can tell, and which inode it is; of a directory the mode."""
    st = os.lstat(path)
    if stat.S_ISDIR(st.st_mode):
        return ("dir", st.st_mode & 0o7777), None
    if stat.S_ISLNK(st.st_mode):
        return ("link", os.readlink(path), st.st_mtime_ns), None
    with open(path, "rb") as f:
        content = hashlib.sha256(f.read()).hexdigest()
    return ("file", content, st.st_size, st.st_mode & 0o7777, st.st_mtime_ns), (st.st_dev, st.st_ino)


def tree(root):
    """Names below root and what they are; what is one file, as sets of names. Without .ebt."""
    names, inodes = {}, {}
    for at, dirs, files in os.walk(os.fsencode(root)):
        if at == os.fsencode(root) and b".ebt" in dirs:
            dirs.remove(b".ebt")
        for name in dirs + files:
            path = os.path.join(at, name)
            what, inode = look_at(path)
            short = os.path.relpath(path, os.fsencode(root))
            names[short] = what
            if inode:
                inodes.setdefault(inode, set()).add(short)
    return names, {frozenset(s) for s in inodes.values() if len(s) > 1}


class Source:
    """A tree that changes."""

    def __init__(self, rnd, root):
        self.rnd = rnd
        self.root = os.fsencode(root)
        os.mkdir(root)
        self.dirs = [b""]
        for _ in range(rnd.randint(0, 12)):
            self.add_dir()
        for _ in range(rnd.choice([0, 1, 5, 20, 60])):
            self.add_file()

    def name(self):
        odd = [b"a", b"-x", b"new\nline", b"sp ace", b"\xff\xfe", b"n" * 200, b"*", b"."]
        return self.rnd.choice(odd) + b"%d" % self.rnd.randrange(1000)

    def path(self, short):
        return os.path.join(self.root, short)

    def place(self):
        short = os.path.join(self.rnd.choice(self.dirs), self.name())
        return None if os.path.lexists(self.path(short)) else short

    def add_dir(self):
        short = self.place()
        if short:
            os.mkdir(self.path(short), self.rnd.choice([0o755, 0o700, 0o711]))
            self.dirs.append(short)

    def files(self):
        return [s for s, what in tree(self.root)[0].items() if what[0] == "file"]

    def fill(self, path):
        size = self.rnd.choice([0, 0, 1, 100, 4096, 70_000, 300_000, 1_200_000])
        with open(path, "wb") as f:
            if self.rnd.random() < 0.15 and size:
                f.truncate(size)
                f.seek(size // 2)
                f.write(b"x")
            else:
                f.write(self.rnd.randbytes(size))
        os.chmod(path, self.rnd.choice([0o644, 0o600, 0o755, 0o400]))
        self.stamp(path)

    def stamp(self, path):
        t = self.rnd.randrange(1, 1_700_000_000) * NS + self.rnd.randrange(NS)
        os.utime(path, ns=(t, t), follow_symlinks=False)

    def add_file(self):
        short = self.place()
        kind = self.rnd.random()
        if not short:
            return
        path, others = self.path(short), self.files()
        if kind < 0.1:
            os.symlink(self.name(), path)
            self.stamp(path)
        elif kind < 0.3 and others:
            os.link(self.path(self.rnd.choice(others)), path)
        else:
            self.fill(path)

    def change(self):
        for _ in range(self.rnd.randint(0, 8)):
            files = self.files()
            what = self.rnd.random()
            if what < 0.4 or not files:
                self.add_file()
            elif what < 0.5:
                self.add_dir()
            elif what < 0.6:
                os.unlink(self.path(self.rnd.choice(files)))
            else:
                path = self.path(self.rnd.choice(files))
                os.chmod(path, 0o600)
                self.fill(path)


class Round:
    def __init__(self, at, commands, shims, seed):
        self.rnd = random.Random(seed)
        self.at, self.commands, self.shims = at, commands, shims
        self.nodes = self.rnd.choice([1, 2, 2, 3])
        self.source = Source(self.rnd, f"{at}/source")
        self.shown = {}  # what the stores show, the same in all
        self.links = set()
        self.steps = []
        self.struck = 0

    def store(self, node):
        return f"{self.at}/d.{node}"

    def command(self, *arguments):
        return [f"{self.commands}/launch", "-n", str(self.nodes), f"{self.commands}/ebt-stage", "--per-rank",
                "--timeout=10s", *arguments]

    def run(self, arguments, fault=None):
        env = dict(os.environ)
        hit = f"{self.at}/hit"
        if fault:
            env.update({f"EBT_TEST_{k}": str(v) for k, v in fault.items()})
            env.update(LD_PRELOAD=f"{self.shims}/failing.so", EBT_TEST_HIT=hit)
        with open(f"{self.at}/said", "w+b") as said:
            ran = subprocess.Popen(self.command(*arguments), env=env, stdin=subprocess.DEVNULL, stdout=said,
                                   stderr=said, start_new_session=True)
            try:
                status = ran.wait(timeout=60)
            except subprocess.TimeoutExpired:
                os.killpg(ran.pid, signal.SIGKILL)
                raise Wrong(f"it hangs: {arguments}, {fault}") from None
            said.seek(0)
            self.said = said.read().decode(errors="replace")
        self.wait_for_ranks()
        struck = os.path.exists(hit)
        if struck:
            os.unlink(hit)
        self.struck += struck
        self.steps.append(f"{' '.join(arguments)}: {fault or 'no fault'}, {'struck' if struck else 'nothing struck'},"
                          f" status {status}: {' '.join(self.said.split())[-300:]}")
        return status

    def wait_for_ranks(self):
        """Of a rank that was killed the others may take a moment to go."""
        until = time.monotonic() + 20
        needle = self.at.encode()
        while time.monotonic() < until:
            alive = False
            for pid in filter(str.isdigit, os.listdir("/proc")):
                try:
                    with open(f"/proc/{pid}/cmdline", "rb") as f:
                        line = f.read()
                except OSError:
                    continue
                alive |= needle in line and b"/ebt-stage" in line and int(pid) != os.getpid()
            if not alive:
                return
            time.sleep(0.02)
        raise Wrong("ranks do not end")

    def options(self):
        r = self.rnd
        out = [f"--batch={r.choice([1, 1, 2, 3, 7, 30])}", "--memory=16M", "--parcel=128K"]
        if r.random() < 0.5:
            out.append(f"--readers={r.randint(1, self.nodes)}")
        if r.random() < 0.3:
            out.append(f"--algo={r.choice(['chain', 'two-tree', 'circulant', 'binomial', 'mpi-bcast'])}")
        return out

    def fault(self):
        r = self.rnd
        f = {"RANK": r.randrange(self.nodes), "AT": int(r.expovariate(1 / 60)) + 1}
        calls = r.choice(CALLS)
        if calls:
            f["CALLS"] = f",{calls},"
            f["AT"] = int(r.expovariate(1 / 10)) + 1
        if r.random() < 0.5:
            f["DIES"] = r.choice(["before", "after"])
        else:
            f["ERROR"] = r.choice([5, 28])
            if r.random() < 0.3:
                f["ON"] = 1
        return f

    def agree(self, before, after, mixed):
        """Each name of a store is as before or as after; unless mixed, all of all stores alike."""
        verdicts = set()
        for node in range(self.nodes):
            names = tree(self.store(node))[0] if os.path.isdir(self.store(node)) else {}
            for short in names.keys() | before.keys() | after.keys():
                now, old, new = names.get(short), before.get(short), after.get(short)
                if now is not None and now[0] == "dir" and mixed:
                    continue
                if now not in (old, new):
                    raise Wrong(f"node {node}, {short}: {now}, neither {old} nor {new}")
            if names == before == after:
                continue
            verdicts.add("old" if names == before else "new" if names == after else "neither")
        if not mixed and (len(verdicts) > 1 or "neither" in verdicts):
            raise Wrong(f"stores show {verdicts}")
        return verdicts

    def nothing_left(self):
        for node in range(self.nodes):
            incoming = f"{self.store(node)}/.ebt/incoming"
            if os.path.isdir(incoming) and os.listdir(incoming):
                raise Wrong(f"node {node}: left of it: {os.listdir(incoming)}")
            if os.path.exists(f"{self.store(node)}/.ebt/publish"):
                raise Wrong(f"node {node}: a record is left")

    def once(self, first):
        wanted, links = tree(self.source.root)
        before = dict(self.shown)
        after = before | wanted
        # A name of the store may be a directory where the source has something else now.
        arguments = self.options() + ([] if first else [f"--overwrite={self.rnd.choice(['update', 'always'])}"])
        arguments += [f"{self.at}/source/.", f"{self.at}/d.%r"]
        tries = self.rnd.choice([0, 1, 1, 2])
        for n in range(tries + 1):
            fault = self.fault() if n < tries else None
            status = self.run(arguments, fault)
            if status == 0:
                self.agree(after, after, False)
                break
            if fault is None:
                raise Wrong(f"status {status} without a fault")
            appearing = "the next run tries again" in self.said
            self.agree(before, after, "DIES" in fault or appearing)
            if any(os.path.isdir(self.store(k)) for k in range(self.nodes)):
                self.recover(before, after)
                if "new" in self.agree(before, after, False):
                    before = after
        self.nothing_left()
        self.shown = after
        for node in range(self.nodes):
            have = tree(self.store(node))[1]
            for group in links:
                if not any(group <= h for h in have):
                    raise Wrong(f"node {node}: no longer one file: {set(group)}")
        if self.run(["--verify", f"{self.at}/d.%r"]) != 0:
            raise Wrong("--verify")

    def recover(self, before, after):
        # Ranks that had no store yet have nothing to recover.
        missing = [k for k in range(self.nodes) if not os.path.isdir(f"{self.store(k)}/.ebt")]
        if missing:
            return
        if self.run(["--recover", f"{self.at}/d.%r"]) != 0:
            raise Wrong("--recover")
        self.agree(before, after, False)
        self.nothing_left()

    def play(self):
        for n in range(self.rnd.randint(1, 3)):
            if n:
                self.source.change()
            self.once(n == 0)


def main():
    p = argparse.ArgumentParser(description="Stagings under faults, and a model of what stores show.")
    p.add_argument("commands")
    p.add_argument("shims")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--rounds", type=int, default=40)
    p.add_argument("--seconds", type=float, help="as many rounds as fit, instead")
    p.add_argument("--keep", action="store_true", help="what was wrong is kept, its folder named")
    a = p.parse_args()
    top = tempfile.mkdtemp(prefix="ebt-torture-")
    os.chmod(top, 0o755)
    began, seed, wrong, runs, struck = time.monotonic(), a.seed, 0, 0, 0
    while time.monotonic() - began < a.seconds if a.seconds else seed - a.seed < a.rounds:
        at = f"{top}/{seed}"
        os.mkdir(at)
        r = Round(at, a.commands, a.shims, seed)
        try:
            r.play()
        except Wrong as e:
            wrong += 1
            print(f"FAIL: seed {seed} (--seed {seed} --rounds 1), {r.nodes} nodes: {e}")
            for step in r.steps:
                print(f"  {step}")
            if a.keep:
                print(f"  kept in {at}")
        runs += len(r.steps)
        struck += r.struck
        if not a.keep or not wrong:
            shutil.rmtree(at, ignore_errors=True)
        seed += 1
    print(f"{seed - a.seed} rounds with {runs} runs, {struck} struck, {wrong} wrong, {time.monotonic() - began:.0f} s")
    if not struck:
        wrong += 1
        print("FAIL: nothing was struck, is failing.so at work?")
    if not a.keep:
        shutil.rmtree(top, ignore_errors=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
