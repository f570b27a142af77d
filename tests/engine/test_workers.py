"""The registry of workers: who lives, whose record it is, what is told to whom, and what it does not let in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fake_clock import FakeClock
from taskspool.engine import workers as module
from taskspool.engine.lifecycle import Queue
from taskspool.engine.task import NewTask
from taskspool.engine.worker_record import WorkerReport
from taskspool.errors import InvalidRequest, StoreFull, WorkerNotFound


def report_of(queue: Queue, worker: str = "w", **more: Any) -> WorkerReport:
    return WorkerReport(worker, "folder", "here", 7, "1", ("ping",), started_at=queue.clock.now(), **more)


def alive(queue: Queue) -> dict[str, bool]:
    return {info.name: info.is_alive for info in queue.workers.list()}


def test_what_a_worker_tells_is_kept(queue: Queue, opener: Callable[..., Queue]) -> None:
    """Another process reads the same of it, and what it holds now."""
    report = report_of(queue, done=3, failed=1, labels={"gpu": "no"})
    assert queue.workers.report(report, is_local=True) == "run"
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    queue.claim("w")
    [info] = opener().workers.list()
    assert (info.report, info.is_alive, info.state, info.running, info.order) == (
        report, True, "running", (task_id,), None)


def test_a_local_worker_lives_as_long_as_its_process_has_its_lock(queue: Queue, opener: Callable[..., Queue],
                                                                  clock: FakeClock) -> None:
    """Silence does not make it die, and the end of its process does at once."""
    other = opener()
    other.workers.report(report_of(other), is_local=True)
    clock.advance(10_000)
    assert alive(queue) == {"w": True}
    other.close()
    assert alive(queue) == {"w": False}
    assert queue.workers.get("w").state == "gone"


def test_who_takes_the_slot_of_a_dead_process_is_not_taken_for_its_worker(
        queue: Queue, opener: Callable[..., Queue]) -> None:
    """The lock alone says that somebody lives; the epoch says who."""
    other = opener()
    other.workers.report(report_of(other), is_local=True)
    other.close()
    successor = opener()
    assert successor.store._place.slot == other.store._place.slot
    assert alive(queue) == {"w": False}
    successor.workers.report(report_of(successor, "another"), is_local=True)
    assert alive(queue) == {"w": False, "another": True}


@pytest.mark.parametrize(("seconds", "is_alive"), [(60, True), (76, False)])
def test_a_remote_worker_lives_until_three_beats_are_missing(
        queue: Queue, opener: Callable[..., Queue], clock: FakeClock, seconds: float, is_alive: bool) -> None:
    """20 s a beat, and some grace; a process that looks for the first time says the same."""
    queue.workers.asked("w", ["ping"])
    assert alive(queue) == {"w": True}
    clock.advance(seconds)
    assert alive(queue) == {"w": is_alive}
    assert alive(opener()) == {"w": is_alive}


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_clock_that_is_set_makes_nobody_die_or_live_longer(queue: Queue, clock: FakeClock, hours: int) -> None:
    """Silence is measured, not read off two clocks."""
    queue.workers.asked("w", ["ping"])
    assert alive(queue) == {"w": True}
    clock.jump(3600 * hours)
    clock.advance(60)
    assert alive(queue) == {"w": True}
    clock.advance(16)
    assert alive(queue) == {"w": False}


def test_who_only_polls_is_listed_with_what_it_asked_for(queue: Queue) -> None:
    """Old clients ask for one type after the other; one that names none takes any."""
    for types in (["a"], ["b"], ["a"]):
        queue.workers.asked("old", types)
    queue.workers.asked("any", None)
    found = {info.name: (info.report.kind, info.types) for info in queue.workers.list()}
    assert found == {"old": ("http", ("a", "b")), "any": ("http", None)}


def test_what_a_beat_leaves_out_stays(queue: Queue) -> None:
    """Each field is told when it changes, or always; nothing is forgotten meanwhile."""
    queue.workers.beat("w", {"types": ("a",), "concurrency": 4, "done": 1})
    queue.workers.beat("w", {"done": 2})
    report = queue.workers.get("w").report
    assert (report.types, report.concurrency, report.done) == (("a",), 4, 2)


def test_a_run_begins_with_nothing_of_the_one_before(queue: Queue, clock: FakeClock) -> None:
    """Another start, another process or a long silence: the totals and orders of before are not its own."""
    first = clock.now()
    queue.workers.beat("w", {"started_at": first, "done": 5})
    queue.workers.order("w", "quiet", "ann")
    assert queue.workers.beat("w", {"started_at": first}) == "quiet"
    assert queue.workers.beat("w", {"started_at": first + timedelta(seconds=1)}) == "run"
    assert (queue.workers.get("w").report.done, queue.workers.get("w").order) == (0, None)
    queue.workers.beat("silent", {"done": 5})
    queue.workers.order("silent", "terminate", "ann")
    clock.advance(100)
    assert queue.workers.beat("silent", {}) == "run"
    assert queue.workers.get("silent").report.done == 0


@pytest.mark.parametrize("order", ["quiet", "terminate"])
def test_an_order_is_told_until_it_is_taken_back(
        queue: Queue, opener: Callable[..., Queue], clock: FakeClock, order: str) -> None:
    """To reports and to polls, whichever process gave it; it says by whom and why."""
    report = report_of(queue)
    queue.workers.report(report, is_local=True)
    queue.workers.asked("remote", ["ping"])
    other = opener()
    for worker in ("w", "remote"):
        info = other.workers.order(worker, order, "ann", "an update")
        assert info.order is not None
        assert (info.order.order, info.order.by, info.order.reason, info.is_quiet) == (order, "ann", "an update", True)
    clock.advance(1)
    assert queue.workers.report(report, is_local=True) == order
    assert queue.workers.asked("remote", ["ping"]) == order
    other.workers.order("remote", "run", "ann")
    assert queue.workers.asked("remote", ["ping"]) == "run"


def test_nobody_is_ordered_who_is_not_there(queue: Queue, opener: Callable[..., Queue]) -> None:
    """An unknown name and one that is gone are told apart in words, and both are not found."""
    with pytest.raises(WorkerNotFound, match="no worker is called 'nobody'"):
        queue.workers.order("nobody", "quiet", "ann")
    other = opener()
    other.workers.report(report_of(other), is_local=True)
    other.close()
    with pytest.raises(WorkerNotFound, match="gone"):
        queue.workers.order("w", "quiet", "ann")


def test_a_goodbye_is_the_end_of_a_run(queue: Queue) -> None:
    """What was still under way when it said so brings it back no more."""
    report = report_of(queue)
    queue.workers.report(report, is_local=True)
    queue.workers.order("w", "terminate", "ann")
    queue.workers.report(replace(report, state="gone"), is_local=True)
    assert alive(queue) == {"w": False}
    assert queue.workers.report(report, is_local=True) == "run"
    assert queue.workers.asked("w", ["ping"], report.started_at) == "run"
    assert alive(queue) == {"w": False}


def test_two_processes_with_one_name(queue: Queue, opener: Callable[..., Queue], clock: FakeClock) -> None:
    """The younger has the name; the older is told of as another process, for as long as it speaks."""
    older, younger = opener(), opener()
    first = replace(report_of(older), pid=1)
    older.workers.report(first, is_local=True)
    clock.advance(10)
    second = replace(report_of(younger), pid=2)
    younger.workers.report(second, is_local=True)
    older.workers.report(first, is_local=True)
    [info] = queue.workers.list()
    assert (info.report.pid, info.twin and info.twin.pid) == (2, 1)
    younger.workers.order("w", "quiet", "ann")
    clock.advance(1)
    assert (older.workers.report(first, is_local=True), younger.workers.report(second, is_local=True)) == (
        "run", "quiet")
    younger.close()
    clock.advance(6)
    older.workers.report(first, is_local=True)
    info = queue.workers.get("w")
    assert (info.report.pid, info.is_alive, info.twin, info.order) == (1, True, None, None)


def test_the_goodbye_of_a_predecessor_is_no_twin(queue: Queue, clock: FakeClock) -> None:
    """A restart that overlaps: the old process ends while the new one works already."""
    first, second = clock.now(), clock.now() + timedelta(seconds=1)
    queue.workers.beat("w", {"started_at": first, "pid": 1})
    queue.workers.beat("w", {"started_at": second, "pid": 2})
    queue.workers.beat("w", {"started_at": first, "pid": 1, "state": "gone"})
    info = queue.workers.get("w")
    assert (info.report.pid, info.is_alive, info.twin) == (2, True, None)


def test_a_stranger_on_the_wire_does_not_take_the_name_of_a_local_worker(queue: Queue) -> None:
    """Its record stays its own, and its orders too."""
    report = report_of(queue)
    queue.workers.report(report, is_local=True)
    queue.workers.order("w", "quiet", "ann")
    assert queue.workers.asked("w", ["other"]) == "run"
    assert queue.workers.beat("w", {"types": ("other",)}) == "run"
    info = queue.workers.get("w")
    assert (info.report, info.twin is not None) == (report, True)


def test_what_says_nothing_new_is_written_seldom(queue: Queue, folder: Path, clock: FakeClock) -> None:
    """At most once in five seconds, and then the time of the file alone."""
    path = folder / "workers" / "w.json"

    def polled_after(seconds: float) -> tuple[int, int]:
        clock.advance(seconds)
        queue.workers.asked("w", ["ping"])
        return path.stat().st_ino, path.stat().st_mtime_ns

    first = polled_after(0)
    assert polled_after(4.9) == first
    second = polled_after(0.2)
    assert (second[0], second[1] > first[1]) == (first[0], True)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"worker": "w"}', b"\xff\xfe", b"[" * 5000])
def test_a_damaged_record_is_removed_and_written_anew(queue: Queue, folder: Path, clock: FakeClock,
                                                      content: bytes) -> None:
    """It holds no task, and whoever it was about tells it again."""
    queue.workers.asked("w", ["ping"])
    (folder / "workers" / "w.json").write_bytes(content)
    (folder / "workers" / "w,order.json").write_bytes(content)
    assert alive(queue) == {}
    assert not (folder / "workers" / "w.json").exists()
    clock.advance(6)
    assert queue.workers.asked("w", ["ping"]) == "run"
    assert alive(queue) == {"w": True}


def test_a_record_under_another_name_is_nobodys(queue: Queue, folder: Path) -> None:
    """A copied file makes no worker."""
    queue.workers.asked("w", ["ping"])
    (folder / "workers" / "v.json").write_bytes((folder / "workers" / "w.json").read_bytes())
    assert alive(queue) == {"w": True}


@pytest.mark.parametrize("name", [
    "../../x", "con", "a/b", "x.order", "x~order", "x,order", "한국", "%2e", ".", "a" * 100])
def test_any_name_has_its_own_record(queue: Queue, folder: Path, name: str) -> None:
    """Names that would be paths, or files of ours, are written so that they are neither."""
    queue.workers.asked("x", ["ping"])
    queue.workers.asked(name, ["ping"])
    queue.workers.order(name, "quiet", "ann")
    assert (queue.workers.asked("x", ["ping"]), queue.workers.asked(name, ["ping"])) == ("run", "quiet")
    assert set(alive(queue)) == {"x", name}
    assert len(list((folder / "workers").iterdir())) == 3


@pytest.mark.parametrize(("more", "field"), [
    ({"kind": "x" * 33}, "kind"), ({"labels": {str(n): "x" for n in range(21)}}, "labels"),
    ({"labels": {"a": "\x1b"}}, "labels"), ({"labels": {"": "x"}}, "labels"), ({"host": "a\nb"}, "host"),
    ({"types": tuple(map(str, range(501)))}, "types"), ({"types": ("",)}, "types"), ({"pid": -1}, "pid"),
    ({"concurrency": 0}, "concurrency"), ({"done": 1 << 60}, "done"), ({"state": ""}, "state"),
    ({"version": "\x00"}, "version"),
])
def test_what_is_no_report_is_refused(queue: Queue, more: dict[str, Any], field: str) -> None:
    """By the name of the field and its rule; nothing is written."""
    with pytest.raises(InvalidRequest) as caught:
        queue.workers.report(WorkerReport("w", **more))
    assert caught.value.details["field"] == field
    assert queue.workers.list() == []


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 129, "\ud800"])
def test_what_is_no_name_is_refused(queue: Queue, name: str) -> None:
    """Before anything is made of it."""
    for say in (queue.workers.asked, lambda worker, _: queue.workers.beat(worker, {})):
        with pytest.raises(InvalidRequest):
            say(name, ["ping"])


def test_the_registry_is_bounded(queue: Queue, monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    """When it is full those that are gone make room, and without them a new name is not kept; it works all the same."""
    monkeypatch.setattr(module, "MAX_WORKERS", 3)
    for name in ("a", "b", "c", "d"):
        assert queue.workers.asked(name, ["ping"]) == "run"
    assert set(alive(queue)) == {"a", "b", "c"}
    clock.advance(100)
    queue.workers.asked("e", ["ping"])
    assert set(alive(queue)) == {"e"}


def test_a_disk_that_refuses_does_not_stop_a_worker(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry is behind then, and nobody is in its way."""
    def refuse(*_: Any) -> None:
        raise StoreFull("no room")

    monkeypatch.setattr(queue.store._place, "install_lightly", refuse)
    assert queue.workers.asked("w", ["ping"]) == "run"
    assert queue.workers.report(report_of(queue), is_local=True) == "run"
    monkeypatch.undo()
    assert queue.workers.asked("v", ["ping"]) == "run"
    assert alive(queue) == {"v": True}


def test_who_is_gone_for_long_is_forgotten(opener: Callable[..., Queue], folder: Path, clock: FakeClock) -> None:
    """A day after the last sign of life, or as the settings say; who lives stays, however long."""
    queue = opener(keep_workers_seconds=1000)
    queue.workers.report(report_of(queue, "local"), is_local=True)
    queue.workers.asked("remote", ["ping"])
    queue.workers.order("remote", "quiet", "ann")
    clock.advance(900)
    queue.sweep()
    assert alive(queue) == {"local": True, "remote": False}
    clock.advance(200)
    queue.sweep()
    assert alive(queue) == {"local": True}
    assert {path.name for path in (folder / "workers").iterdir()} == {"local.json"}


def test_a_removed_folder_is_made_again(queue: Queue, folder: Path, clock: FakeClock) -> None:
    """Somebody tidied up: the next report writes what is missing."""
    report = report_of(queue)
    queue.workers.report(report, is_local=True)
    (folder / "workers" / "w.json").unlink()
    (folder / "workers").rmdir()
    assert queue.workers.list() == []
    clock.advance(6)
    queue.workers.report(report, is_local=True)
    assert alive(queue) == {"w": True}


@pytest.mark.parametrize("content", [None, b"", b"x", b"99"])
def test_the_mark_of_a_slot_is_made_again(queue: Queue, folder: Path, clock: FakeClock, content: bytes | None) -> None:
    """Somebody removed or broke it: who still reports is alive again."""
    report = report_of(queue)
    queue.workers.report(report, is_local=True)
    mark = folder / "locks" / f"slot-{queue.store._place.slot}.epoch"
    mark.unlink() if content is None else mark.write_bytes(content)
    assert alive(queue) == {"w": False}
    clock.advance(6)
    queue.workers.report(report, is_local=True)
    assert alive(queue) == {"w": True}


def test_explain_knows_who_lives_and_who_is_quiet(queue: Queue, clock: FakeClock) -> None:
    """Live workers that do its type are named; when all are quiet, it says what ends that; the dead ask for nothing."""
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    queue.workers.asked("w", ["ping"])
    assert "Alive, and doing tasks of its type: w." in queue.explain(task_id).sentences
    queue.workers.order("w", "quiet", "ann")
    told = queue.explain(task_id)
    assert "every live worker that does tasks of type 'ping' is quiet" in told.summary
    assert "taskspool workers run w" in told.next
    queue.pause(["ping"])
    queue.claim("w", types=["ping"])
    queue.resume(["ping"])
    queue.workers.report(WorkerReport("w", state="gone"))
    told = queue.explain(task_id)
    assert "no live worker asks for tasks of type 'ping'" in told.summary
    assert "Not alive any more: w" in " ".join(told.sentences)
