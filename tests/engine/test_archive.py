"""A queue as a tar of its plain files, and back: nothing lost, nothing twice, and nothing believed on sight."""

from __future__ import annotations

import io
import itertools
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from engine.foreign import ID, drop, pop, reply
from engine.tars import DONE, READY, RESULT, RESULTS, TASK, special, tar_of
from fake_clock import FakeClock
from taskspool.engine import files
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.options import Options
from taskspool.engine.store import Imported
from taskspool.engine.task import NewTask, State
from taskspool.errors import StoreFull, StoreUnavailable


def exported(queue: Queue) -> io.BytesIO:
    stream = io.BytesIO()
    queue.store.export(stream)
    stream.seek(0)
    return stream


def one_of_each(queue: Queue) -> dict[State, str]:
    """A task in every state that a person can see."""
    def put(**fields: Any) -> str:
        return queue.enqueue(NewTask("ping", {"text": "한글"}, **fields)).task_id

    ids = {State.READY: put(), State.SCHEDULED: put(delay_seconds=30), State.CLAIMED: put(max_retries=3),
           State.DONE: put(), State.DEAD: put(), State.CANCELLED: put()}
    first = queue.claim_one(ids[State.CLAIMED], "w").lease
    queue.fail(first.task_id, first.token, Failure("not yet", retry_after_seconds=0))
    queue.sweep()
    queue.claim_one(ids[State.CLAIMED], "w")
    for state in (State.DONE, State.DEAD):
        lease = queue.claim_one(ids[state], "w").lease
        if state is State.DONE:
            queue.complete(lease.task_id, lease.token, {"answer": 42})
        else:
            queue.fail(lease.task_id, lease.token, Failure("no luck"))
    queue.cancel(ids[State.CANCELLED], by="me")
    return ids


def test_every_state_comes_over(queue: Queue, elsewhere: Queue) -> None:
    """State, content, history and results are what they were; what was claimed waits, its history kept."""
    ids = one_of_each(queue)
    assert elsewhere.store.bring_in(exported(queue)) == Imported(len(ids), 0, 0)
    for state, task_id in ids.items():
        here, there = queue.task(task_id), elsewhere.task(task_id)
        assert there.state is (State.READY if state is State.CLAIMED else state)
        assert (there.task.data, there.task.history) == (here.task.data, here.task.history)
        assert elsewhere.store.result(task_id) == queue.store.result(task_id)
    assert elsewhere.task(ids[State.CLAIMED]).task.history
    assert queue.task(ids[State.CLAIMED]).state is State.CLAIMED


def test_what_came_over_is_worked_off(queue: Queue, elsewhere: Queue, clock: FakeClock) -> None:
    """Waiting tasks are claimed there, scheduled ones come due, dead ones can be retried, tokens of done ones stand."""
    ids = one_of_each(queue)
    elsewhere.store.bring_in(exported(queue))
    elsewhere.retry(ids[State.DEAD])
    clock.advance(31)
    elsewhere.sweep()
    expected = {ids[state] for state in (State.READY, State.SCHEDULED, State.CLAIMED, State.DEAD)}
    assert {claim.task.id for claim in elsewhere.claim("w", max_tasks=9)} == expected
    result = queue.result(ids[State.DONE])
    assert elsewhere.complete(ids[State.DONE], str(result.token), {}) == result


def test_twice_is_once(queue: Queue, elsewhere: Queue) -> None:
    """What exists is left as it is, in whatever state, and counted; nothing else changes."""
    ids = one_of_each(queue)
    tar = exported(queue)
    elsewhere.store.bring_in(tar)
    elsewhere.cancel(ids[State.READY])
    before = {task_id: elsewhere.task(task_id) for task_id in ids.values()}
    tar.seek(0)
    assert elsewhere.store.bring_in(tar) == Imported(0, 0, len(ids))
    assert {task_id: elsewhere.task(task_id) for task_id in ids.values()} == before
    assert queue.store.bring_in(exported(queue)) == Imported(0, 0, len(ids))


def test_keys_batches_and_cancel_requests_come_along(queue: Queue, elsewhere: Queue) -> None:
    """A key stands for the same task there, a batch can be asked for, and what was to be cancelled is."""
    kept = queue.enqueue(NewTask("ping", {}), key="k")
    batch = queue.enqueue_batch([NewTask("ping", {})] * 3, name="night")
    held = queue.claim_one(batch.record.task_ids[0], "w")
    queue.cancel(held.task.id, by="me", reason="too late")
    assert elsewhere.store.bring_in(exported(queue)) == Imported(4, 3, 0)
    again = elsewhere.enqueue(NewTask("ping", {}), key="k")
    assert (again.task_id, again.created) == (kept.task_id, False)
    assert elsewhere.batch(batch.record.id).record == batch.record
    elsewhere.sweep()
    assert elsewhere.task(held.task.id).state is State.CANCELLED


def test_records_of_nothing_here_are_left_out(elsewhere: Queue, folder: Path) -> None:
    """A key or a batch whose tasks are not here, a request for what is not, and records that are none."""
    gone, key = ID.format(7), "0" * 64
    whole = {f"keys/{key}.json": {"task_ids": [gone], "fingerprint": ""},
             f"batches/{gone}.json": {"id": gone, "task_ids": [gone], "name": None},
             f"cancelling/{gone}.json": {"by": "me", "reason": None, "at": "2026-01-01T00:00:00Z"},
             f"batches/{ID.format(2)}.json": {"id": gone, "task_ids": [ID.format(1)], "name": None},
             f"keys/{'1' * 64}.json": {"task_ids": [ID.format(1)], "fingerprint": 7},
             f"keys/{'2' * 64}.json": {"task_ids": ["x"], "fingerprint": ""},
             f"keys/{'3' * 64}.json": {"task_ids": 7, "fingerprint": ""},
             f"keys/{'4' * 64}.json": {"task_ids": []}}
    records = [(name, json.dumps(document).encode()) for name, document in whole.items()]
    tar = tar_of((READY, TASK), *records, (f"keys/{'5' * 64}.json", b"{"))
    assert elsewhere.store.bring_in(tar) == Imported(1, 0, 0)


def test_what_others_left_comes_over(queue: Queue, elsewhere: Queue, folder: Path) -> None:
    """A foreign task, one popped in place, a result alone, and a result whose task has yet to follow."""
    ids = [drop(folder, n) for n in range(1, 5)]
    pop(folder, ids[1])
    reply(folder, ids[2])
    reply(folder, ids[3])
    (folder / "tasks" / f"{ids[3]}.json").unlink()
    assert elsewhere.store.bring_in(exported(queue)).tasks == 4
    states = [elsewhere.task(task_id).state for task_id in ids]
    assert states == [State.READY, State.READY, State.DONE, State.DONE]
    assert elsewhere.task(ids[2]).task.data == {"n": 3}


def test_what_cannot_be_read_is_told(queue: Queue, elsewhere: Queue, folder: Path) -> None:
    """It is left out, and the rest is written."""
    whole, waiting, held, done = (queue.enqueue(NewTask("ping", {})).task_id for _ in range(4))
    (folder / "tasks" / f"{waiting}.json").write_text("{")
    queue.claim_one(held, "w")
    next(folder.glob(f"claimed/w/{held}*")).write_text("{")
    lease = queue.claim_one(done, "w").lease
    queue.complete(done, lease.token, {})
    (folder / "results" / f"{done}.json").write_text("{")
    (folder / "keys" / f"{'0' * 64}.json").write_text("{")
    (folder / "keys" / "x").write_text("{}")
    stream = io.BytesIO()
    assert queue.store.export(stream).left_out == tuple(f"task {each} cannot be read" for each in (waiting, held, done))
    stream.seek(0)
    elsewhere.store.bring_in(stream)
    assert [claim.task.id for claim in elsewhere.claim("w", max_tasks=9)] == [whole]


@pytest.mark.parametrize(("number", "is_damage"), [(5, True), (24, False)])
def test_a_damaged_spot_of_the_disk_costs_one_task(queue: Queue, elsewhere: Queue, monkeypatch: pytest.MonkeyPatch,
                                                   number: int, is_damage: bool) -> None:
    """It is left out and named; when nothing at all can be read, the export ends with that."""
    ids = [queue.enqueue(NewTask("ping", {})).task_id for _ in range(2)]
    real = files.read

    def read(path: str, *arguments: Any, **named: Any) -> Any:
        if ids[0] in path and "tasks" in path:
            raise StoreUnavailable("refused", errno=number)
        return real(path, *arguments, **named)

    monkeypatch.setattr(files, "read", read)
    stream = io.BytesIO()
    if is_damage:
        assert queue.store.export(stream).left_out == (f"task {ids[0]} cannot be read",)
    else:
        with pytest.raises(StoreUnavailable):
            queue.store.export(stream)


def test_a_task_that_moves_meanwhile_is_in_the_tar(queue: Queue, elsewhere: Queue,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    """From folder to folder and back, between any two looks: every task that was there is written once."""
    ids = {queue.enqueue(NewTask("ping", {})).task_id for _ in range(6)}
    real, turns = files.names, itertools.count()

    def names(folder: str) -> list[str]:
        found = real(folder)
        if next(turns) % 3 == 0:
            for claim in queue.claim("w", max_tasks=2):
                queue.release(claim.task.id, claim.lease.token)
                queue.claim_one(claim.task.id, "v")
        return found

    monkeypatch.setattr(files, "names", names)
    tar = exported(queue)
    monkeypatch.setattr(files, "names", real)
    assert elsewhere.store.bring_in(tar).tasks == len(ids)


def test_an_export_among_endless_submits_ends(queue: Queue, elsewhere: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """New tasks come with every look: the names are read a few times, and what was there at first is in the tar."""
    first = queue.enqueue(NewTask("ping", {})).task_id
    real = files.names

    def names(folder: str) -> list[str]:
        if folder.endswith("/tasks"):
            queue.enqueue(NewTask("ping", {}))
        return real(folder)

    with monkeypatch.context() as patched:
        patched.setattr(files, "names", names)
        tar = exported(queue)
    assert elsewhere.store.bring_in(tar).tasks > 1
    assert elsewhere.task(first).state is State.READY


def test_a_task_that_goes_back_meanwhile_is_in_the_tar(queue: Queue, elsewhere: Queue,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    """It was claimed when tasks/ was read and waits when claimed/ is: the names are read until nothing new comes."""
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    held = [queue.claim_one(task_id, "w").lease]
    real = files.names

    def names(folder: str) -> list[str]:
        if folder.endswith("/claimed") and held:
            queue.release(task_id, held.pop().token)
        return real(folder)

    monkeypatch.setattr(files, "names", names)
    assert elsewhere.store.bring_in(exported(queue)).tasks == 1


def test_a_unique_key_stays_unique(queue: Queue, elsewhere: Queue) -> None:
    """A waiting task whose unique key an unfinished one here has is left out, and named; later it comes in."""
    unique = NewTask("ping", {}, options=Options(unique_key="u"))
    theirs = queue.enqueue(unique).task_id
    mine = elsewhere.enqueue(unique).task_id
    report = elsewhere.store.bring_in(exported(queue))
    assert report.tasks == 0
    assert len(report.left_out) == 1
    assert theirs in report.left_out[0]
    assert mine in report.left_out[0]
    elsewhere.cancel(mine)
    assert elsewhere.store.bring_in(exported(queue)) == Imported(1, 0, 0)
    assert elsewhere.enqueue(unique).task_id == theirs


@pytest.mark.parametrize("step", [1, 2])
def test_an_import_that_was_interrupted_is_finished_by_the_next(queue: Queue, elsewhere: Queue, step: int,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before or between the two steps of a finished task: it is whole after the same tar once more."""
    task_id = queue.enqueue(NewTask("ping", {"n": 1})).task_id
    lease = queue.claim_one(task_id, "w").lease
    queue.complete(task_id, lease.token, {})
    real, calls = files.publish, itertools.count(1)

    class Stop(BaseException):
        pass

    def publish(source: str, target: str) -> None:
        if next(calls) == step:
            raise Stop
        real(source, target)

    with monkeypatch.context() as patched, pytest.raises(Stop):
        patched.setattr(files, "publish", publish)
        elsewhere.store.bring_in(exported(queue))
    assert elsewhere.store.bring_in(exported(queue)) == Imported(1, 0, 0)
    assert elsewhere.task(task_id).task.data == {"n": 1}
    assert elsewhere.store.bring_in(exported(queue)) == Imported(0, 0, 1)


def test_somebody_drops_the_same_task_meanwhile(elsewhere: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that appears between the look and the move is not replaced."""
    real = files.publish

    def publish(source: str, target: str) -> None:
        Path(target).write_text(json.dumps({"type": "theirs", "data": {}}))
        real(source, target)

    monkeypatch.setattr(files, "publish", publish)
    assert elsewhere.store.bring_in(tar_of((READY, TASK))) == Imported(0, 0, 1)
    assert elsewhere.task(ID.format(1)).task.type == "theirs"


WHOLE_TARS: dict[str, tuple[io.BytesIO, State]] = {
    "a waiting task": (tar_of((READY, TASK)), State.READY),
    "a result alone": (tar_of((RESULTS, RESULT)), State.DONE),
    "a finished task, its result last": (tar_of((DONE, TASK), (RESULTS, RESULT)), State.DONE),
    "a waiting task with a result": (tar_of((READY, TASK), (RESULTS, RESULT)), State.DONE),
    "a task in another folder than its result says": (
        tar_of((RESULTS, b'{"status": "error"}'), (DONE, TASK)), State.DEAD),
    "names that begin with a dot, and folders": (
        tar_of(*((special(tarfile.DIRTYPE, name), b"") for name in (".", "./tasks", "results/")),
               (f"./{READY}", TASK)), State.READY),
    "the same task twice": (tar_of((READY, TASK), (f"scheduled/{ID.format(1)}.json", TASK)), State.READY),
}


@pytest.mark.parametrize("what", WHOLE_TARS)
def test_a_tar_made_by_hand_is_read(elsewhere: Queue, what: str) -> None:
    """In whatever order its members stand; a result says where the task belongs."""
    tar, state = WHOLE_TARS[what]
    tar.seek(0)
    assert elsewhere.store.bring_in(tar) == Imported(1, 0, 0)
    assert elsewhere.task(ID.format(1)).state is state


LEFT_OUT = {
    "half a task": (READY, b"{"), "no task": (READY, b"[]"), "another id": (READY, b'{"id": "x", "type": "ping"}'),
    "a finished task without result": (DONE, TASK), "half a result": (RESULTS, b"{"),
    "a history that is none": (READY, b'{"type": "ping", "taskspool": {"history": [{"verb": "x"}]}}'),
}


@pytest.mark.parametrize("what", LEFT_OUT)
def test_what_is_no_task_is_left_out_and_named(elsewhere: Queue, what: str) -> None:
    """The rest of the tar comes in."""
    whole = f"tasks/{ID.format(2)}.json"
    report = elsewhere.store.bring_in(tar_of(LEFT_OUT[what], (whole, TASK)))
    assert (report.tasks, len(report.left_out)) == (1, 1)
    assert ID.format(1) in report.left_out[0]
    assert elsewhere.store.find(ID.format(1)) is None


def test_a_disk_that_is_nearly_full_takes_no_more(queue: Queue, elsewhere: Queue,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    """As for every new task: it is refused; the same tar once more brings the rest when there is room."""
    for _ in range(2):
        queue.enqueue(NewTask("ping", {}))
    calls = itertools.count()

    def refuse() -> None:
        if next(calls):
            raise StoreFull("the disk is nearly full")

    with monkeypatch.context() as patched, pytest.raises(StoreFull):
        patched.setattr(elsewhere.store._place.disk, "refuse_if_low", refuse)
        elsewhere.store.bring_in(exported(queue))
    assert elsewhere.store.bring_in(exported(queue)) == Imported(1, 0, 1)


def test_an_empty_queue_is_an_empty_tar(queue: Queue, elsewhere: Queue) -> None:
    """It is written and read like any other."""
    assert elsewhere.store.bring_in(exported(queue)) == Imported(0, 0, 0)


def test_a_tar_is_read_from_where_the_stream_stands(queue: Queue, elsewhere: Queue) -> None:
    """What comes before is not ours."""
    queue.enqueue(NewTask("ping", {}))
    stream = io.BytesIO(b"before" + exported(queue).getvalue())
    stream.seek(len(b"before"))
    assert elsewhere.store.bring_in(stream).tasks == 1


def test_any_tar_reader_reads_it(queue: Queue) -> None:
    """Plain files under the names they have in the folder, readable by their owner only."""
    task_id = queue.enqueue(NewTask("ping", {"n": 1})).task_id
    with tarfile.open(fileobj=exported(queue), mode="r:") as tar:
        [member] = tar.getmembers()
        assert (member.name, member.mode, member.isreg()) == (f"tasks/{task_id}.json", 0o600, True)
        content = tar.extractfile(member)
        assert content is not None
        assert json.load(content)["data"] == {"n": 1}
