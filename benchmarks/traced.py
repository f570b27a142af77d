"""Which file calls a claim and complete really make: told by strace, where there is one.

    python -m benchmarks.traced DIR      do ten claims in the folder DIR (what strace looks at)

``bare.CLAIM_AND_COMPLETE`` is written by hand; this says when the engine has moved on and it has not.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from benchmarks import bare
from benchmarks.measuring import WORK, Row
from taskspool.engine.lifecycle import open_queue
from taskspool.engine.task import NewTask
from taskspool.settings import Settings

TASKS = 10
_NAMES = {"openat": "open", "pread64": "read", "pwrite64": "write", "linkat": "link", "unlinkat": "unlink",
          "renameat2": "rename", "renameat": "rename"}
_CALL = re.compile(r"^(?:\[pid +\d+\] |\d+ +)?(\w+)\((.*)$")


def do_ten(root: Path) -> None:
    """Ten tasks, then a mark in the trace (a look at a name that is not there), ten claims, another mark."""
    queue = open_queue(Settings(root=root, durability="fast"))
    for _ in range(TASKS):
        queue.enqueue(NewTask("noop", WORK))
    (root / "mark").exists()
    for _ in range(TASKS):
        claim = queue.claim("w")[0]
        queue.complete(claim.task.id, claim.lease.token, {"message": "pong"})
    (root / "mark").exists()
    queue.close()


def traced(root: Path) -> list[str]:
    """The file calls of one claim and complete, in order. Raises OSError when strace cannot trace here."""
    log = root / "trace.txt"
    calls = "open,openat,fstat,newfstatat,stat,lstat,statx,read,pread64,write,pwrite64,close,rename,renameat,renameat2,"
    calls += "link,linkat,unlink,unlinkat,flock,fcntl,utimensat,fsync,fdatasync,mkdir,getdents64"
    done = subprocess.run(["strace", "-f", "-o", str(log), "-e", f"trace={calls}", sys.executable, "-m",
                           "benchmarks.traced", str(root)], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0 or not log.exists():
        raise OSError(done.stderr.strip()[-200:] or "strace failed")
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    marks = [number for number, line in enumerate(lines) if f'{root}/mark"' in line]
    found = [_word(line) for line in lines[marks[0] + 1: marks[-1]]]
    words = [word for word in found if word]
    return _repeated(words)


def _repeated(words: list[str]) -> list[str]:
    """The shortest run of words that ends the list twice: the last claims are alike, the first makes a folder."""
    for length in range(1, len(words) // 2):
        if words[-length:] == words[-2 * length:-length]:
            return words[-length:]
    return words


def _word(line: str) -> str:
    match = _CALL.match(line)
    if match is None:
        return ""
    name, rest = match.groups()
    if name in ("newfstatat", "statx"):
        return "lstat" if rest.startswith("AT_FDCWD") else "fstat"
    return _NAMES.get(name, name)


def compared(root: Path) -> list[Row]:
    """A row that says whether the bare loop still makes the engine's calls."""
    what = "claim + complete makes the calls of the bare loop"
    if shutil.which("strace") is None:
        return [Row("1", what, "", "", None, note="skipped: there is no strace here")]
    try:
        real = traced(root)
    except (OSError, IndexError, subprocess.TimeoutExpired) as error:
        return [Row("1", what, "", "", None, note=f"skipped: {error}")]
    more, fewer = Counter(real) - Counter(bare.CLAIM_AND_COMPLETE), Counter(bare.CLAIM_AND_COMPLETE) - Counter(real)
    note = "the same" if tuple(real) == bare.CLAIM_AND_COMPLETE else (
        f"more: {dict(more) or 'none'}, fewer: {dict(fewer) or 'none'}, in order: {' '.join(real)}")
    return [Row("1", what, f"{len(real)} calls", f"{len(bare.CLAIM_AND_COMPLETE)} calls", None, note=note)]


if __name__ == "__main__":
    do_ten(Path(sys.argv[1]))
