"""The folder is a door too: clients that write slowly, strangely, or nothing that makes sense."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.foreign import ID, drop, quarantined, rewrite
from fake_clock import FakeClock
from taskspool.engine import files
from taskspool.engine.lifecycle import Queue
from taskspool.engine.task import NewTask, State
from taskspool.errors import TaskNotFound

posix_only = pytest.mark.skipif(os.name == "nt", reason="links and pipes of POSIX")


# -- 1: a client writes slowly -------------------------------------------------------------------------------------

def test_a_task_written_byte_by_byte_is_invisible_until_it_is_whole(queue: Queue, folder: Path) -> None:
    """At no length of a half file is it listed, counted, handed out, or an error."""
    task_id = ID.format(1)
    content = json.dumps({"type": "ping", "data": {"t": "봇"}}, ensure_ascii=False).encode()
    path = folder / "tasks" / f"{task_id}.json"
    with path.open("wb", buffering=0) as file:
        for byte in content[:-1]:
            queue.sweep()
            assert (queue.claim("w"), queue.counts().ready, queue.listing()) == ([], 0, [])
            with pytest.raises(TaskNotFound):
                queue.task(task_id)
            file.write(bytes([byte]))
        file.write(content[-1:])
    assert queue.sweep().adopted == 1
    assert queue.task(task_id).state is State.READY
    assert queue.claim("w")[0].task.data == {"t": "봇"}
    assert quarantined(folder) == {}


@pytest.mark.parametrize("pause", [1.0, 59.0])
def test_a_slow_writer_has_a_minute_from_its_last_byte(queue: Queue, folder: Path, clock: FakeClock,
                                                       pause: float) -> None:
    """The minute begins anew with every change, so a writer may take as long as it goes on writing."""
    path = folder / "tasks" / f"{ID.format(1)}.json"
    text = json.dumps({"type": "ping"})
    for length in range(len(text)):
        path.write_text(text[:length])
        os.utime(path, ns=(length, length))
        queue.sweep()
        clock.advance(pause)
    path.write_text(text)
    assert queue.sweep().adopted == 1
    assert quarantined(folder) == {}


@pytest.mark.parametrize(("name", "text", "reason"), [
    (ID.format(1), '{"type": "ping", "da', "not whole JSON"), (ID.format(1), "", "not whole JSON"),
    ("Note", "{}", "its name is not"), (ID.format(1).upper(), "{}", "its name is not"),
])
def test_what_stays_unreadable_is_put_aside_after_a_minute(queue: Queue, folder: Path, clock: FakeClock, name: str,
                                                           text: str, reason: str) -> None:
    """With its content as it was and the reason beside it; not a moment earlier; and nothing else is held up."""
    (folder / "tasks" / f"{name}.json").write_text(text)
    queue.sweep()
    good = drop(folder, 9)
    clock.advance(59.9)
    assert queue.sweep().quarantined == 0
    assert [claim.task.id for claim in queue.claim("w")] == [good]
    clock.advance(0.1)
    assert queue.sweep().quarantined == 1
    [(kept, why)] = quarantined(folder).items()
    assert (folder / "quarantine" / kept).read_text() == text
    assert reason in why
    assert queue.counts().quarantined == 1
    assert queue.sweep().total == 0


@pytest.mark.parametrize("document", [{"type": 7}, {"id": "another"}, {"data": [1]}])
def test_what_is_whole_and_no_task_is_put_aside(queue: Queue, folder: Path, clock: FakeClock,
                                                document: dict[str, Any]) -> None:
    """Waiting would not make it better."""
    drop(folder, 1, document)
    queue.sweep()
    clock.advance(60)
    queue.sweep()
    assert len(quarantined(folder)) == 1
    assert queue.counts().ready == 0


@posix_only
@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "large", "hard link"])
@pytest.mark.timeout(20)
def test_what_is_no_plain_file_is_put_aside(queue: Queue, folder: Path, clock: FakeClock, tmp_path: Path,
                                            kind: str) -> None:
    """Links are not followed, pipes not waited for; the thing itself is moved, not what it points to."""
    path = folder / "tasks" / f"{ID.format(1)}.json"
    target = tmp_path / "secret.json"
    target.write_text('{"type": "ping"}')
    if kind == "link":
        path.symlink_to(target)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "large":
        path.write_text(json.dumps({"type": "ping", "data": {"x": "x" * 2_000_000}}))
    else:
        os.link(target, path)
    for _ in range(2):
        queue.sweep()
        clock.advance(60)
    queue.sweep()
    assert len(quarantined(folder)) == 1
    assert target.read_text() == '{"type": "ping"}'
    assert queue.claim("w") == []


@posix_only
def test_a_writer_that_publishes_by_link_is_believed_once_it_is_done(queue: Queue, folder: Path) -> None:
    """link(2) then unlink(2) is a good way to publish: between the two the file has two names, and just waits."""
    aside = folder / "tasks" / ".writing"
    aside.write_text('{"type": "ping"}')
    os.link(aside, folder / "tasks" / f"{ID.format(1)}.json")
    queue.sweep()
    assert queue.claim("w") == []
    aside.unlink()
    queue.sweep()
    assert [claim.task.id for claim in queue.claim("w")] == [ID.format(1)]
    assert quarantined(folder) == {}


def test_temporary_names_are_left_alone_for_ever(queue: Queue, folder: Path, clock: FakeClock) -> None:
    """What a writer calls .x, tmp… or *.part is its own affair."""
    for name in (".x.json", "tmp-1.json", "_x.json", "x.json.part", "x"):
        (folder / "tasks" / name).write_text("{")
    for _ in range(3):
        clock.advance(100)
        assert queue.sweep().total == 0
    assert len(list((folder / "tasks").iterdir())) == 5
    assert list(queue.store.problems()) == []


@pytest.mark.parametrize("name", ["任" * 80, "x" * 240, "a b'\"$(x)", "\udcff\udcfe"])
def test_a_strange_name_does_not_stop_the_sweep(queue: Queue, folder: Path, clock: FakeClock, name: str) -> None:
    """However long, in whatever script or bytes: it is put aside, and the tasks beside it go on."""
    try:
        (folder / "tasks" / f"{name}.json").write_text("{")
    except OSError:
        pytest.skip("this file system has no such names")
    queue.sweep()
    clock.advance(60)
    queue.sweep()
    assert len(quarantined(folder)) == 1
    drop(folder, 1)
    assert queue.sweep().adopted == 1


def test_one_file_that_may_not_be_read_does_not_stop_the_sweep(
        queue: Queue, folder: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of another user in tasks/ holds nobody up."""
    locked = drop(folder, 1)
    real = os.open

    class LockedOs:
        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

        def open(self, path: str, *arguments: Any) -> int:
            if locked in path and "/tasks/" in path:
                raise PermissionError(13, "Permission denied")
            return real(path, *arguments)

    monkeypatch.setattr(files, "os", LockedOs())
    good = drop(folder, 2)
    queue.sweep()
    assert [claim.task.id for claim in queue.claim("w", max_tasks=9)] == [good]
    clock.advance(60)
    queue.sweep()
    assert len(quarantined(folder)) == 1


class CoarseOs:
    """A file system whose clock stands still: no folder's time ever changes."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def stat(self, path: str) -> Any:
        found = os.stat(path)
        return type("Stat", (), {"st_mtime_ns": 7_000_000_000, "st_mode": found.st_mode, "st_uid": found.st_uid})


def test_nothing_that_comes_in_the_same_tick_is_overlooked(
        queue: Queue, folder: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folder times are coarse (2 s on FAT): a file that comes after any number of looks, in the same tick, is found."""
    monkeypatch.setattr(files, "os", CoarseOs())
    for n in range(1, 9):
        for _ in range(4):
            queue.sweep()
        assert queue.claim("w") == []
        drop(folder, n)
        clock.advance(0.2)
        assert [claim.task.id for claim in queue.claim("w")] == [ID.format(n)]


def test_what_was_put_is_there_as_a_file_at_once(queue: Queue, folder: Path) -> None:
    """Right after enqueue returned the public file stands, with its eight keys."""
    task_id = queue.enqueue(NewTask("ping", {"n": 1}, "me")).task_id
    document = json.loads((folder / "tasks" / f"{task_id}.json").read_text())
    assert list(document) == ["id", "type", "requester", "data", "status", "created_at", "assigned_to", "updated_at"]
    assert document["status"] == "pending"


def test_a_task_rewritten_between_the_look_and_the_claim_is_read_again(
        queue: Queue, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the worker gets is what the file says at the moment of the rename; popped meanwhile, it is not given out."""
    real = files.move

    def meddle(task_id: str, **changes: Any) -> Callable[[str, str], None]:
        def move(source: str, target: str) -> None:
            if f"/tasks/{task_id}" in source:
                monkeypatch.setattr(files, "move", real)
                rewrite(folder, task_id, **changes)
                os.utime(source, ns=(1, 1))
            real(source, target)

        return move

    changed, popped = drop(folder, 1), drop(folder, 2)
    queue.sweep()
    monkeypatch.setattr(files, "move", meddle(changed, data={"n": "new"}))
    assert queue.claim_one(changed, "w").task.data == {"n": "new"}
    monkeypatch.setattr(files, "move", meddle(popped, status="in_progress", assigned_to="comet"))
    assert queue.claim("w") == []
    queue.sweep()
    assert queue.task(popped).worker == "comet"


def test_a_task_rewritten_for_another_type_is_for_that(
        queue: Queue, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stood in line as what it was: before the look, or between the look and the rename."""
    real, changed, late = files.move, drop(folder, 1), drop(folder, 2)

    def move(source: str, target: str) -> None:
        if f"/tasks/{late}" in source:
            monkeypatch.setattr(files, "move", real)
            rewrite(folder, late, type="pong")
            os.utime(source, ns=(1, 1))
        real(source, target)

    queue.sweep()
    rewrite(folder, changed, type="pong")
    monkeypatch.setattr(files, "move", move)
    assert queue.claim("w", types=["ping"], max_tasks=9) == []
    assert files.move is real
    assert {claim.task.id for claim in queue.claim("w", types=["pong"], max_tasks=9)} == {changed, late}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_from_powershell_is_a_task(queue: Queue, folder: Path, encoding: str) -> None:
    """Out-File writes a mark, or UTF-16."""
    (folder / "tasks" / f"{ID.format(1)}.json").write_bytes(
        json.dumps({"type": "ping", "data": {"t": "봇"}}, ensure_ascii=False).encode(encoding))
    queue.sweep()
    assert queue.claim("w")[0].task.data == {"t": "봇"}
