"""File events: a hint soon after a file appears, and nothing that depends on it."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from taskspool.worker.wakeup import Wakeup
from waiting import eventually


def test_a_file_that_is_created_or_moved_in_gives_a_hint(tmp_path: Path) -> None:
    """Both ways a file may appear are noticed; reading it and its leaving are not."""
    folder, beside = tmp_path / "tasks", tmp_path / "tmp"
    folder.mkdir()
    beside.mkdir()
    hints: list[float] = []
    wakeup = Wakeup({folder: lambda: True}, lambda: hints.append(time.monotonic()))
    assert wakeup.start()
    try:
        (folder / "a.json").write_text("{}", encoding="utf-8")
        eventually(lambda: len(hints) == 1, why="created")
        (beside / "b.json").write_text("{}", encoding="utf-8")
        (beside / "b.json").rename(folder / "b.json")
        eventually(lambda: len(hints) == 2, why="moved in")
        (folder / "a.json").read_text(encoding="utf-8")
        (folder / "a.json").rename(beside / "a.json")
        (beside / "c.json").write_text("{}", encoding="utf-8")
        (beside / "c.json").rename(folder / "c.json")
        eventually(lambda: len(hints) == 3, why="moved in once more")
        assert len(hints) == 3
    finally:
        wakeup.stop()


def test_events_come_together_but_the_last_is_never_dropped(tmp_path: Path) -> None:
    """A thousand files give few hints, and one of them comes after the last file."""
    hints: list[float] = []
    wakeup = Wakeup({tmp_path: lambda: True}, lambda: hints.append(time.monotonic()), pause_seconds=0.05)
    assert wakeup.start()
    try:
        began = time.monotonic()
        for number in range(1000):
            (tmp_path / f"{number}.json").touch()
        ended = time.monotonic()
        eventually(lambda: hints and hints[-1] >= ended, why="a hint after the last file")
        assert len(hints) <= (time.monotonic() - began) / 0.05 + 2
    finally:
        wakeup.stop()


def test_what_nobody_waits_for_gives_no_hint(tmp_path: Path) -> None:
    """While nobody waits, file events cost no look at the folder."""
    hints: list[str] = []
    asked: list[str] = []
    is_waited_for = threading.Event()

    def is_wanted() -> bool:
        asked.append("?")
        return is_waited_for.is_set()

    wakeup = Wakeup({tmp_path: is_wanted}, lambda: hints.append("look"), pause_seconds=0)
    assert wakeup.start()
    try:
        (tmp_path / "a.json").touch()
        eventually(lambda: asked, why="the event came")
        is_waited_for.set()
        (tmp_path / "b.json").touch()
        eventually(lambda: hints, why="now somebody waits")
        assert (len(asked), len(hints)) == (2, 1)
    finally:
        wakeup.stop()


def test_a_file_that_leaves_delays_no_hint(tmp_path: Path) -> None:
    """Claims move files out all the time; the next arrival is seen at once all the same."""
    folder, beside = tmp_path / "tasks", tmp_path / "claimed"
    folder.mkdir()
    beside.mkdir()
    (folder / "claimed.json").write_text("{}", encoding="utf-8")
    came = threading.Event()
    wakeup = Wakeup({folder: lambda: True}, came.set)
    assert wakeup.start()
    try:
        (folder / "claimed.json").rename(beside / "claimed.json")
        (folder / "next.json").write_text("{}", encoding="utf-8")
        assert came.wait(0.35), "the hint waited for the file that left"
    finally:
        wakeup.stop()


def test_a_folder_that_cannot_be_watched_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without events the tick does the work; the log says so."""
    wakeup = Wakeup({tmp_path / "missing": lambda: True}, lambda: None)
    assert not wakeup.start()
    wakeup.stop()
    assert "seen at the next tick" in caplog.text
