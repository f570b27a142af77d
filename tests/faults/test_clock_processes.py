"""Real processes whose clocks are set, or run apart: the wall clock by libfaketime, the monotonic one by the kernel."""

from __future__ import annotations

import glob
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from taskspool.engine import files
from taskspool.engine.lifecycle import Queue, open_queue
from taskspool.engine.task import NewTask, State
from taskspool.settings import Settings

LEASE_SECONDS, PAUSE_SECONDS, TEN_YEARS = 2, 0.1, 315_360_000


class Sweeping:
    """``clock_worker.py`` as a process; every ``sweep`` says what it did and what time it has."""

    def __init__(self, root: Path, before: list[str], environ: dict[str, str]) -> None:
        script = str(Path(__file__).parent / "clock_worker.py")
        self._process = subprocess.Popen(
            [*before, sys.executable, script, str(root)], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(files.__file__).parents[2]), **environ})
        assert self._read() == "ready"

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def sweep(self, line: str = "") -> tuple[int, int, str, str, float]:
        """(expired, promoted, its wall clock in UTC, the same in its time zone, its monotonic clock)"""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        expired, promoted, now, local, ticks = json.loads(self._read())
        return expired, promoted, now, local, ticks

    def end(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=10)


@contextmanager
def sweeping(root: Path, before: list[str], **environ: str) -> Iterator[Sweeping]:
    process = Sweeping(root, before, environ)
    try:
        yield process
    finally:
        process.end()


def lives_and_ends(queue: Queue, process: Sweeping, jumps: list[str]) -> float:
    """A lease that is kept by beats while the other process's clock jumps, and ends when the beats do. Its silence."""
    lease = queue.claim_one(queue.enqueue(NewTask("ping", {})).task_id, "w", lease_seconds=LEASE_SECONDS).lease
    ends_at = time.monotonic() + 1.5 * LEASE_SECONDS
    while time.monotonic() < ends_at or jumps:
        queue.extend(lease.task_id, lease.token)
        assert process.sweep(jumps.pop() if jumps else "")[0] == 0, "expired while its holder gave signs of life"
        threading.Event().wait(PAUSE_SECONDS)
    last_sign = time.monotonic()
    queue.extend(lease.task_id, lease.token)
    while not process.sweep()[0]:
        assert time.monotonic() - last_sign < LEASE_SECONDS + 5, "it never ends"
        threading.Event().wait(PAUSE_SECONDS)
    silence = time.monotonic() - last_sign
    assert silence >= LEASE_SECONDS
    return silence


def _faketime() -> str:
    places = ["/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/libfaketimeMT.so.1"]
    found = [name for place in places for name in glob.glob(place)] + [os.environ.get("LIBFAKETIME", "")]
    return found[0]


@pytest.mark.slow
@pytest.mark.skipif(not _faketime(), reason="libfaketime is not installed (LIBFAKETIME may name it)")
def test_a_real_process_whose_clock_jumps_expires_nothing_early(tmp_path: Path) -> None:
    """Its wall clock is set a day back, ten years forward, and over the hour that is left out in spring."""
    queue, told = open_queue(Settings(root=tmp_path, durability="fast")), tmp_path / "time"
    told.write_text("+0")
    fake = {"LD_PRELOAD": _faketime(), "FAKETIME_TIMESTAMP_FILE": str(told), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1", "TZ": "Europe/Berlin"}
    due_in_nine_years = queue.clock.now() + timedelta(days=9 * 365)
    waiting = queue.enqueue(NewTask("later", {}, run_at=due_in_nine_years)).task_id
    with sweeping(tmp_path, [], **fake) as process:
        years = set()
        for offset in ("-1d", "+0", "@2027-03-28 01:59:59"):
            told.write_text(offset)
            lives_and_ends(queue, process, [""])
            years.add(process.sweep()[2][:10])
            assert queue.task(waiting).state is State.SCHEDULED
        told.write_text("+3650d")
        promoted = [process.sweep()[1] for _ in range(3)]
        silence = lives_and_ends(queue, process, ["TZ=America/New_York", "TZ=UTC", ""])
    assert len(years) == 3, "the clock did not jump"
    assert sum(promoted) == 1
    print(f"its clock set to {sorted(years)} and ten years on: 4 leases, 0 early; the last after {silence:.2f} s")
    queue.close()


def _has_time_namespaces() -> bool:
    try:
        return subprocess.run(["unshare", "--time", "--fork", "--monotonic", "1", "true"], capture_output=True,
                              check=False, timeout=10).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@pytest.mark.slow
@pytest.mark.skipif(not _has_time_namespaces(), reason="this system lets nobody make a time namespace")
def test_processes_with_different_monotonic_clocks_judge_alike(tmp_path: Path) -> None:
    """A container, a restored snapshot: its monotonic clock is ten years ahead of ours; it expires nothing early."""
    queue = open_queue(Settings(root=tmp_path, durability="fast"))
    before = ["unshare", "--time", "--fork", "--kill-child", "--monotonic", str(TEN_YEARS)]
    with sweeping(tmp_path, before) as process:
        silence = lives_and_ends(queue, process, [""])
        assert process.sweep()[4] - time.monotonic() > TEN_YEARS / 2
    print(f"a process ten years ahead: a lease of {LEASE_SECONDS} s ended after {silence:.2f} s of silence")
    queue.close()


