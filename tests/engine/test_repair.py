"""The doctor mends: each finding made by hand, found, mended, gone; and nothing that may hold a task is deleted."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from engine.foreign import quarantined
from fake_clock import FakeClock
from taskspool.engine import files
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.store import Finding
from taskspool.engine.task import NewTask, State
from taskspool.errors import StoreUnavailable

ID = "01936f5e-0000-7000-8000-000000000001"
KEY = "0" * 64


def task(**own: object) -> str:
    return json.dumps({"id": ID, "type": "ping", "data": {}, **({"taskspool": own} if own else {})})


def result(status: str = "success") -> str:
    return json.dumps({"task_id": ID, "worker": "w", "status": status, "data": {}})


def claim(attempt: int = 1, worker: str = "w") -> str:
    return f"claimed/{worker}/{ID}~{attempt}~1-9-3c-1-0000000000000000.json"


SCHEDULED, READY, DONE, DEAD, CANCELLED, RESULT = (
    f"{folder}/{ID}.json" for folder in ("scheduled", "tasks", "done", "dead", "cancelled", "results"))


@dataclass(frozen=True)
class Case:
    """``files`` are planted; ``sentence`` is told; after mending ``state`` holds and ``aside`` are in quarantine."""

    files: dict[str, str]
    sentence: str
    state: State | None
    aside: tuple[str, ...] = ()
    is_legal: bool = False
    error: str | None = field(default=None)


CASES = {
    "a result beside a waiting task": Case(
        {READY: task(), RESULT: result()}, "has a result, but is still in tasks/", State.DONE),
    "a result beside a scheduled task": Case(
        {SCHEDULED: task(), RESULT: result("error")}, "has a result, but is still in scheduled/", State.DEAD),
    "a result beside a claim": Case(
        {claim(): task(), RESULT: result("cancelled")}, "has a result, but is still in claimed/", State.CANCELLED),
    "waiting and done": Case(
        {READY: task(), DONE: task(attempts=1), RESULT: result()}, "is in tasks/ and in done/", State.DONE, (READY,)),
    "claimed and done": Case(
        {claim(2): task(), DONE: task(), RESULT: result()}, "is in claimed/ and in done/", State.DONE, (claim(2),)),
    "waiting and scheduled: the higher attempt wins": Case(
        {READY: task(attempts=1), SCHEDULED: task(attempts=2)}, "is in scheduled/ and in tasks/", State.SCHEDULED,
        (READY,)),
    "waiting and scheduled, at the same attempt": Case(
        {READY: task(), SCHEDULED: task()}, "is in scheduled/ and in tasks/", State.READY, (SCHEDULED,)),
    "claimed and waiting: the claim is the later": Case(
        {READY: task(), claim(): task()}, "is in claimed/ and in tasks/", State.CLAIMED, (READY,)),
    "claimed and waiting for the next attempt": Case(
        {READY: task(attempts=1), claim(): task()}, "is in claimed/ and in tasks/", State.READY, (claim(),)),
    "claimed twice": Case(
        {claim(1): task(), claim(2, "v"): task()}, "is in claimed/ and in claimed/", State.CLAIMED, (claim(1),)),
    "done and dead": Case(
        {DONE: task(), DEAD: task(), RESULT: result()}, "is in done/ and in dead/", State.DONE, (DEAD,), is_legal=True),
    "done, and its result says dead": Case(
        {DONE: task(), RESULT: result("error")}, "is finished as dead", State.DEAD, is_legal=True),
    "waiting, and what an interrupted retry left": Case(
        {READY: task(), DEAD: task(attempts=3)}, "is in tasks/ and in dead/", State.READY, (DEAD,), is_legal=True),
    "claimed, and what an interrupted retry left": Case(
        {claim(): task(), CANCELLED: task()}, "is in claimed/ and in cancelled/", State.CLAIMED, (CANCELLED,),
        is_legal=True),
    "waiting, done and no result": Case(
        {READY: task(), DONE: task()}, "is in tasks/ and in done/", State.READY, (DONE,)),
    "done without result": Case({DONE: task()}, "has no result", State.DEAD, error="lost"),
    "dead without result": Case({DEAD: task(last_error="no luck")}, "has no result", State.DEAD, error="no luck"),
    "cancelled without result": Case({CANCELLED: task()}, "has no result", State.CANCELLED, error="lost"),
    "done and dead without result": Case({DONE: task(), DEAD: task(attempts=1)}, "has no result", State.DEAD, (DONE,)),
    "an unreadable claim": Case({claim(): "{"}, "cannot be read", None, (claim(),)),
    "an unreadable scheduled task": Case({SCHEDULED: "{"}, "cannot be read", None, (SCHEDULED,)),
    "an unreadable done task": Case({DONE: "{", RESULT: result()}, "cannot be read", State.DONE, (DONE,)),
    "an unreadable waiting task": Case({READY: "{"}, "cannot be read", None, (READY,)),
    "an unreadable result": Case({RESULT: "{", DONE: task()}, "cannot be read", State.DEAD, (RESULT,)),
    "an unreadable result of a waiting task": Case({RESULT: "{", READY: task()}, "cannot be read", State.READY,
                                                   (RESULT,)),
    "an unreadable twin": Case({READY: task(), SCHEDULED: "{"}, "cannot be read", State.READY, (SCHEDULED,)),
    "a finished task beside an unreadable one": Case({READY: task(), RESULT: result(), DONE: "{"}, "cannot be read",
                                                     State.DONE, (DONE,)),
    "a name that is no task's": Case({"done/x": "x"}, "is not the name of a task", None, ("done/x",)),
    "a name in tasks that is no task's": Case({"tasks/Note.json": "x"}, "is not the name of a task", None,
                                              ("tasks/Note.json",)),
    "a name that is no claim's": Case({"claimed/w/x": "x"}, "is not the name of a task", None, ("claimed/w/x",)),
    "a file that is no worker's folder": Case({"claimed/x": "x"}, "is not the name of a task", None, ("claimed/x",)),
    "a name in results that is no task's": Case({"results/Note.json": "x"}, "is not the name of a task", None,
                                                ("results/Note.json",)),
    "a name that is no key's": Case({"keys/x": "x"}, "not a name that belongs there", None, ("keys/x",)),
    "an unreadable key": Case({f"keys/{KEY}.json": "{"}, "cannot be read", None, (f"keys/{KEY}.json",)),
    "an unreadable unique key": Case({f"keys/unique-{KEY}.json": "{}"}, "it has no task_ids", None,
                                     (f"keys/unique-{KEY}.json",)),
    "an unreadable batch": Case({f"batches/{ID}.json": "[]"}, "cannot be read", None, (f"batches/{ID}.json",)),
    "an unreadable pause": Case({"meta/paused.json": "{"}, "cannot be read", None, ("meta/paused.json",)),
    "a request to cancel what is not there": Case({f"cancelling/{ID}.json": '{"by": "me", "reason": null, "at": ""}'},
                                                  "asks to cancel", None, is_legal=True),
    "a request to cancel what has ended": Case(
        {f"cancelling/{ID}.json": '{"by": "me", "reason": null, "at": ""}', DONE: task(), RESULT: result()},
        "asks to cancel", State.DONE, is_legal=True),
    "what a dead process was writing": Case({"tmp/7-7-7.json": "{"}, "left by a process that died", None),
    "what somebody put into tmp": Case({"tmp/x": "x"}, "left by a process that died", None, ("tmp/x",)),
    "an accepted batch": Case({f"meta/batch-7-7-{ID}.json": json.dumps({"tasks": {ID: json.loads(task())}})},
                              "was accepted, but not delivered", State.READY),
    "an accepted batch of nobody": Case({"meta/batch-x": "{}"}, "was accepted, but not delivered", None,
                                        ("meta/batch-x",)),
    "an accepted batch that cannot be read": Case({f"meta/batch-7-7-{ID}.json": "{"}, "not delivered", None,
                                                  (f"meta/batch-7-7-{ID}.json",)),
    "a reason that stands alone": Case({"quarantine/1-x.reason.txt": "x"}, "without what it is about", None,
                                       is_legal=True),
}


def plant(folder: Path, case: Case) -> None:
    for name, content in case.files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)


def mend(queue: Queue) -> list[Finding]:
    """Everything that can be mended, in rounds, as the command does it; what was."""
    mended: list[Finding] = []
    for _ in range(4):
        mended += [finding for finding in list(queue.store.findings()) if queue.store.mend(finding)]
    return mended


@pytest.mark.parametrize("name", CASES)
def test_what_is_found_is_mended(queue: Queue, folder: Path, clock: FakeClock, name: str) -> None:
    """It is told, with a cure; the cure is done; then the folder is sound and the task where it should be."""
    case = CASES[name]
    plant(folder, case)
    clock.advance(61)
    found = list(queue.store.findings())
    [told] = [finding for finding in found if case.sentence in finding.sentence]
    assert told.is_legal is case.is_legal
    assert (told.sentence in queue.store.problems()) is not case.is_legal
    assert told.cure
    assert told in mend(queue)
    assert list(queue.store.findings()) == []
    assert {name.partition("-")[2] for name in quarantined(folder)} == {Path(path).name for path in case.aside}
    snapshot = queue.store.find(ID)
    assert (snapshot and snapshot.state) == case.state
    if case.error is not None:
        assert case.error in str(queue.result(ID).error_message)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.state is not None])
def test_no_copy_of_a_task_is_deleted(queue: Queue, folder: Path, clock: FakeClock, name: str) -> None:
    """Whatever was planted under a task's name is there afterwards, in a folder of tasks or in quarantine."""
    case = CASES[name]
    plant(folder, case)
    clock.advance(61)
    contents = {content for path, content in case.files.items() if path.partition("/")[0] not in ("cancelling", "meta")}
    mend(queue)
    assert contents <= {path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_what_is_mended_is_worked_off(queue: Queue, folder: Path, clock: FakeClock) -> None:
    """A task that was in two places is claimed once; a done one whose result was lost runs again when it is retried."""
    plant(folder, CASES["waiting and scheduled, at the same attempt"])
    lost = queue.enqueue(NewTask("ping", {})).task_id
    lease = queue.claim_one(lost, "w").lease
    queue.complete(lost, lease.token, {})
    (folder / "results" / f"{lost}.json").unlink()
    mend(queue)
    queue.sweep()
    queue.retry(lost)
    assert sorted(claim.task.id for claim in queue.claim("w", max_tasks=9)) == sorted([ID, lost])


def test_what_is_still_being_written_is_left_alone(queue: Queue, folder: Path) -> None:
    """Half a file in a public folder is told, and mended only after it has been left alone for a minute."""
    plant(folder, CASES["an unreadable waiting task"])
    assert len(list(queue.store.findings())) == 1
    assert mend(queue) == []
    (folder / READY).write_text(task())
    assert list(queue.store.findings()) == []
    assert queue.claim("w")[0].task.id == ID


def test_a_finding_that_is_gone_is_not_mended(queue: Queue, folder: Path, clock: FakeClock) -> None:
    """Between the look and the cure somebody else may have done it: then nothing is touched."""
    for name, case in CASES.items():
        plant(folder, case)
        clock.advance(61)
        found = list(queue.store.findings())
        for path in case.files:
            (folder / path).unlink()
        before = sorted(folder.rglob("*"))
        assert not any(queue.store.mend(finding) for finding in found), name
        assert sorted(folder.rglob("*")) == before


def test_names_used_anew_are_not_touched(queue: Queue, folder: Path) -> None:
    """A request, a key and a file in tmp that are in order now are left, though they were found not to be."""
    broken = [CASES[name] for name in ("a request to cancel what is not there", "an unreadable key",
                                       "a reason that stands alone")]
    for case in broken:
        plant(folder, case)
    found = list(queue.store.findings())
    plant(folder, Case({claim(): task(), "quarantine/1-x": "x",
                        f"keys/{KEY}.json": json.dumps({"task_ids": [ID], "fingerprint": ""})}, "", None))
    assert len(found) == len(broken)
    assert not any(queue.store.mend(finding) for finding in found)


def test_what_goes_away_between_two_looks_is_no_finding(queue: Queue, folder: Path) -> None:
    """A record that was removed is not unreadable, a file that was removed is not settled, nor is a batch delivered
    twice; and what a foreign writer has not finished under a name of its own is his."""
    findings = queue.store._repair.findings
    assert findings._reason_of_record("keys/gone") == ""
    assert not findings.is_settled("tasks/gone")
    assert queue.store._batches._finish(str(folder / "meta" / "gone")) == 0
    (folder / "tasks" / "half.json.part").write_text("{")
    assert list(queue.store.findings()) == []


def test_a_living_process_is_not_disturbed(queue: Queue, opener: Callable[..., Queue], folder: Path) -> None:
    """What another process is writing, or delivering, this moment is no finding."""
    other = opener().store._place
    (folder / "tmp" / f"{other.slot}-{other.epoch}-1.json").write_text("{")
    (folder / "meta" / f"batch-{other.slot}-{other.epoch}-{ID}.json").write_text("{")
    assert list(queue.store.findings()) == []


def test_every_state_at_once_is_sound(queue: Queue, clock: FakeClock) -> None:
    """A whole life, with keys, a batch, a pause and a request to cancel, leaves nothing to say, legal or not."""
    queue.enqueue(NewTask("ping", {}), key="k")
    queue.enqueue_batch([NewTask("ping", {}, max_retries=1) for _ in range(7)], name="night")
    queue.enqueue(NewTask("ping", {}, delay_seconds=5))
    held = [claim.lease for claim in queue.claim("w", max_tasks=6)]
    queue.complete(held[0].task_id, held[0].token, {})
    queue.fail(held[1].task_id, held[1].token, Failure("no", retryable=False))
    queue.fail(held[2].task_id, held[2].token, Failure("no"))
    queue.release(held[3].task_id, held[3].token)
    queue.cancel(held[4].task_id, by="me")
    queue.cancel(held[3].task_id, by="me")
    queue.retry(held[3].task_id)
    queue.pause(["ping"], by="me")
    assert list(queue.store.findings()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such links")
def test_links_and_folders_are_set_aside(queue: Queue, folder: Path, tmp_path: Path) -> None:
    """What stands under a task's name and is no plain file is moved as it is, never followed."""
    (tmp_path / "secret").write_text(task())
    (folder / DONE).symlink_to(tmp_path / "secret")
    (folder / RESULT).write_text(result())
    (folder / SCHEDULED).mkdir()
    assert len(mend(queue)) == 2
    assert {name.partition("-")[2] for name in quarantined(folder)} == {f"{ID}.json"}
    assert (tmp_path / "secret").read_text() == task()
    assert list(queue.store.findings()) == []


def test_a_file_the_disk_refuses_is_set_aside(queue: Queue, folder: Path, clock: FakeClock,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged sector is a damaged file: the rest of the folder is looked at all the same."""
    plant(folder, CASES["an unreadable scheduled task"])
    real = files.read

    def read(path: str, *arguments: object, **named: object) -> object:
        if path.endswith(SCHEDULED):
            raise StoreUnavailable("the disk refused", errno=5)
        return real(path, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(files, "read", read)
    [finding] = queue.store.findings()
    assert "the disk refused" in finding.sentence
    assert queue.store.mend(finding)
    assert list(queue.store.findings()) == []
    clock.advance(timedelta(minutes=1).total_seconds())


def test_a_disk_that_refuses_everything_is_no_finding(queue: Queue, folder: Path,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk as a whole cannot be read, that is what is said, and nothing is called damaged."""
    plant(folder, CASES["an unreadable scheduled task"])

    def read(*_: object, **__: object) -> object:
        raise StoreUnavailable("no more files can be opened", errno=24)

    monkeypatch.setattr(files, "read", read)
    with pytest.raises(StoreUnavailable):
        list(queue.store.findings())


def test_cures_in_another_order_do_no_harm(queue: Queue, folder: Path) -> None:
    """A file is not moved over an unreadable one: that goes aside first, in whatever order somebody mends."""
    case = CASES["a finished task beside an unreadable one"]
    plant(folder, case)
    last, first = (finding for finding in queue.store.findings())
    assert (last.kind, first.kind) == ("unreadable", "unfinished move")
    assert [queue.store.mend(first), queue.store.mend(last), queue.store.mend(first)] == [False, True, True]
    assert set(case.files.values()) <= {path.read_text() for path in folder.rglob("*.json")}


def test_every_kind_is_documented_with_its_cure(queue: Queue) -> None:
    """The table of docs/lifecycle.md names each kind of finding, and no other."""
    text = (Path(__file__).parents[2] / "docs" / "lifecycle.md").read_text(encoding="utf-8")
    table = text.partition("## The doctor")[2].partition("\n## ")[0]
    rows = {line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")} - {"kind"}
    assert rows == set(queue.store._repair._cures)
