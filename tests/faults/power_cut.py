"""Cutting the power of a disk while a process works on it, and telling what is left when the power is back."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import threading
import time
from collections import Counter
from typing import Any

from benchmarks.loop_disk import LOG_FLUSHED, LOG_LOST, LoopDisk, loop_disk
from faults.forks import _be_child
from faults.power_story import tell_all
from faults.power_verdict import WORDS, Story, Verdict

KINDS = ("ext4", "xfs")
MOST_ACKNOWLEDGED = 120
"""The power goes after a random number of acknowledgements up to this."""
MOST_CUTS = 3
DEADLINE_SECONDS = 60.0


def cut_and_judge(kind: str, seed: int, *, most_cuts: int = MOST_CUTS) -> tuple[Counter[str], list[str]]:
    """A fresh disk, a few lives on it, each ended by a power cut; (tally, broken promises) of all of them."""
    dice = random.Random(seed)
    story, tally = Story(), Counter[str]()
    with loop_disk(kind) as disk:
        for chapter in range(dice.randrange(1, most_cuts + 1)):
            story.hear(live_until_the_cut(disk, chapter, dice))
            verdict = Verdict(disk.path, story).judge()
            tally = verdict.tally + Counter(cuts=tally["cuts"] + 1)
            if verdict.broken:
                return tally, verdict.broken
        last = Verdict(disk.path, story).work_off()
        return tally + last.tally, last.broken


def live_until_the_cut(disk: LoopDisk, chapter: int, dice: random.Random) -> list[list[Any]]:
    """What a process reported until the power was cut under it, at a random moment. The disk is mounted again."""
    root, seed = disk.path, dice.randrange(10**9)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _be_child(lambda report: tell_all(root, report, chapter, seed), writing)
    os.close(writing)
    try:
        said = _listen(reading, dice.randrange(MOST_ACKNOWLEDGED))
        threading.Event().wait(dice.random() * 0.003)   # not only just after an acknowledgement
        disk.cut(dice.choice((LOG_FLUSHED, LOG_LOST)))
        said += _listen(reading, None)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)
    disk.restore()
    events: list[list[Any]] = [json.loads(line) for line in said.decode().splitlines()]
    raised = [rest[0] for kind, *rest in events if kind == "raised"]
    assert not raised, raised[0]
    return events


def _listen(reading: int, acknowledged: int | None) -> bytes:
    """What is said until so many acknowledgements were heard; None: until the process ends."""
    said, ends_at = b"", time.monotonic() + DEADLINE_SECONDS
    while acknowledged is None or said.count(b'["ack"') < acknowledged:
        ready, _, _ = select.select([reading], [], [], max(0.0, ends_at - time.monotonic()))
        assert ready, f"the process hung; it had said {said[-500:]!r}"
        more = os.read(reading, 65_536)
        if not more:
            assert acknowledged is None, f"the process ended before the power cut: {said[-3000:].decode()}"
            return said
        said += more
    return said


def closing_line(tally: Counter[str]) -> str:
    """The line to publish."""
    return f"power cuts: {tally['cuts']} cuts, " + ", ".join(f"{word} {tally[word]}" for word in WORDS)
