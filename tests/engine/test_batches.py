"""Batches on files: the manifest is the instant, the record comes last, and a crash between leaves both to come."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from taskspool.engine.batches import Batches
from taskspool.engine.file_store import FileStore
from taskspool.engine.lifecycle import Queue
from taskspool.engine.task import NewTask, State
from taskspool.errors import BatchNotFound


class Stop(BaseException):
    """The process ends here."""


def stopped(*_: Any) -> None:
    raise Stop


def three() -> list[NewTask]:
    return [NewTask("ping", {"n": n}) for n in range(3)]


def manifests(folder: Path) -> list[Path]:
    return list((folder / "meta").glob("batch-*"))


@pytest.mark.parametrize("step", ["_deliver", "_write"])
def test_what_was_accepted_comes_with_its_record(opener: Callable[..., Queue], folder: Path,
                                                 monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """The writer dies after the manifest has its name: the next start delivers tasks and record."""
    queue = opener()
    with monkeypatch.context() as patched, pytest.raises(Stop):
        patched.setattr(Batches, step, stopped)
        queue.enqueue_batch(three(), name="n")
    assert len(manifests(folder)) == 1
    assert list((folder / "batches").iterdir()) == []
    queue.close()
    [batch] = opener().batches()
    assert (batch.record.name, batch.counts[State.READY], batch.missing) == ("n", 3, 0)
    assert manifests(folder) == []


def test_what_was_not_accepted_does_not_come(opener: Callable[..., Queue], folder: Path,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer dies before: there is nothing, and the key makes the batch under the ids it keeps."""
    queue = opener()
    with monkeypatch.context() as patched, pytest.raises(Stop):
        patched.setattr(Batches, "put", stopped)
        queue.enqueue_batch(three(), key="k")
    queue.close()
    queue = opener()
    assert (queue.batches(), queue.counts().ready) == ([], 0)
    [kept] = [json.loads(path.read_text())["task_ids"] for path in (folder / "keys").iterdir()]
    batch = queue.enqueue_batch(three(), key="k")
    assert (batch.created, list(batch.record.task_ids)) == (True, kept)


def test_a_key_whose_record_is_missing_brings_it(opener: Callable[..., Queue], folder: Path,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    """The tasks are there and the record is not, yet: who comes with the key is answered with the whole batch."""
    queue = opener()
    with monkeypatch.context() as patched, pytest.raises(Stop):
        patched.setattr(Batches, "_write", stopped)
        queue.enqueue_batch(three(), name="n", key="k")
    batch = queue.enqueue_batch(three(), name="n", key="k")
    assert (batch.record.name, batch.counts[State.READY]) == ("n", 3)
    queue.sweep()
    assert (len(queue.batches()), queue.counts().ready) == (1, 3)
    assert manifests(folder) == []


def test_half_a_batch_gets_its_other_half(opener: Callable[..., Queue], folder: Path,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there stays, even if it was worked on since, and only what is missing is delivered."""
    queue = opener()
    real = Batches._deliver
    with monkeypatch.context() as patched, pytest.raises(Stop):
        patched.setattr(Batches, "_deliver", lambda self, tasks: (real(self, tasks[:1]), stopped()))
        queue.enqueue_batch(three())
    claim = queue.claim_one(next(path.stem for path in (folder / "tasks").iterdir()), "w")
    queue.complete(claim.task.id, claim.lease.token, {})
    queue.sweep()
    [batch] = queue.batches()
    assert (batch.counts[State.DONE], batch.counts[State.READY]) == (1, 2)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"id": 1, "task_ids": [], "name": null}',
                                     '{"id": "x", "task_ids": "y", "name": null}', '"text"'])
def test_a_damaged_record_is_no_batch(queue: Queue, folder: Path, content: str) -> None:
    """It is passed over in the list, and the doctor says so; its tasks go on."""
    kept = queue.enqueue_batch(three())
    damaged = queue.enqueue_batch(three())
    (folder / "batches" / f"{damaged.record.id}.json").write_text(content)
    assert [batch.record for batch in queue.batches()] == [kept.record]
    with pytest.raises(BatchNotFound):
        queue.batch(damaged.record.id)
    assert queue.counts().ready == 6


def test_a_record_that_tells_no_time_is_a_record(queue: Queue, folder: Path) -> None:
    """Leniently read: what matters are its ids."""
    batch = queue.enqueue_batch(three(), name="n")
    path = folder / "batches" / f"{batch.record.id}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "created_at": "yesterday", "name": 7}))
    found = queue.batch(batch.record.id).record
    assert (found.task_ids, found.name) == (batch.record.task_ids, "7")


def test_a_batch_under_way_is_not_forgotten(queue: Queue, opener: Callable[..., Queue], folder: Path,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process prunes while the tasks are being delivered: the record, which comes last, stays."""
    other = opener()
    real = Batches._deliver

    def deliver(self: Batches, tasks: Any) -> None:
        real(self, tasks)
        other.clock.advance(1)  # type: ignore[attr-defined]
        assert other.store.prune(other.clock.now()) == 0

    monkeypatch.setattr(Batches, "_deliver", deliver)
    batch = queue.enqueue_batch(three())
    assert isinstance(queue.store, FileStore)
    assert queue.batch(batch.record.id).missing == 0
