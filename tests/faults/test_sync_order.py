"""A power cut without a power cut: the order of write, fsync, rename and fsync of the folder, per verb."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fake_clock import FakeClock
from faults.scenarios import SCENARIOS
from faults.shim import shimmed
from faults.stage import Scenario, Stage
from faults.sync_record import SyncRecord
from faults.verdict import queue_on
from taskspool.engine.file_store import FileStore
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.options import Options
from taskspool.engine.task import NewTask
from taskspool.errors import StoreUnavailable
from taskspool.settings import Settings

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no fsync of a directory on Windows")
Call = Callable[[Queue], object]
UNPROMISED = ("claimed", "local", "try", "batch", "run", "pruning", "planted", "pruned", "key", "asks",
              "record", "setting", "retrying", "either")


def broken_order(scenario: Scenario, root: Path) -> list[str]:
    """Every rule the scenario's verbs break, seen from their acknowledgements."""
    clock = FakeClock()
    queue = queue_on(root, clock)
    record = SyncRecord()

    def report(kind: str, *_: Any) -> None:
        if kind not in UNPROMISED and not scenario.name.startswith("foreign"):
            record.acknowledge(kind)

    queue.start()
    told = scenario.prepare(Stage(queue, clock, root / "task_queue", lambda *_: None))
    with shimmed(record):
        scenario.act(Stage(queue, clock, root / "task_queue", report), json.loads(json.dumps(told)))
        record.acknowledge("the end")
    queue.close()
    return record.broken


@pytest.mark.parametrize("scenario", [one for one in SCENARIOS if one.name != "recovery"], ids=lambda one: one.name)
def test_nothing_is_acknowledged_before_it_is_on_the_disk(scenario: Scenario, tmp_path: Path) -> None:
    """Content before its name, key and batch before their tasks, every promised name before its acknowledgement."""
    assert broken_order(scenario, tmp_path) == []


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    queue = queue_on(tmp_path, FakeClock())
    queue.start()
    yield queue
    queue.close()


VERBS: dict[str, tuple[str, Callable[[Queue], Call]]] = {}
"""name -> (folder of the name that makes it true, what sets the stage and returns the call to be repeated)."""


def verb(folder: str) -> Callable[[Callable[[Queue], Call]], object]:
    def note(stage: Callable[[Queue], Call]) -> object:
        VERBS[stage.__name__] = folder, stage
        return stage

    return note


@verb("tasks")
def submit_with_key(queue: Queue) -> Call:
    return lambda queue: queue.enqueue(NewTask("ping", {}), key="k")


@verb("keys")
def submit_with_a_key_that_is_not_durable(queue: Queue) -> Call:
    return lambda queue: queue.enqueue(NewTask("ping", {}), key="k")


@verb("tasks")
def submit_with_a_unique_key(queue: Queue) -> Call:
    return lambda queue: queue.enqueue(NewTask("ping", {}, options=Options(unique_key="u")))


@verb("tasks")
def batch_with_key(queue: Queue) -> Call:
    return lambda queue: queue.enqueue_many([NewTask("ping", {})] * 2, key="k")


@verb("batches")
def named_batch_with_key(queue: Queue) -> Call:
    return lambda queue: queue.enqueue_batch([NewTask("ping", {})] * 2, key="k")


@verb("results")
def cancel_what_waits(queue: Queue) -> Call:
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    return lambda queue: queue.cancel(task_id, by="w")


@verb("results")
def complete(queue: Queue) -> Call:
    queue.enqueue(NewTask("ping", {}))
    lease = queue.claim("w")[0].lease
    return lambda queue: queue.complete(lease.task_id, lease.token, {})


@verb("results")
def fail_for_good(queue: Queue) -> Call:
    queue.enqueue(NewTask("ping", {}))
    lease = queue.claim("w")[0].lease
    return lambda queue: queue.fail(lease.task_id, lease.token, Failure("no"))


@pytest.mark.parametrize("name", VERBS)
def test_a_repeated_call_is_not_acknowledged_on_the_strength_of_a_failed_fsync(queue: Queue, name: str) -> None:
    """The fsync of the folder failed, the caller got 503 and asks again: it is told yes only after another one."""
    assert repeated_after_failed_fsync(queue, name) == []


def repeated_after_failed_fsync(queue: Queue, name: str) -> list[str]:
    folder, stage = VERBS[name]
    call = stage(queue)
    record = SyncRecord(lambda _, path: os.path.basename(path) == folder)
    with shimmed(record):
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                call(queue)
        record._fails = lambda name, path: False
        call(queue)
        record.acknowledge(name)
    return record.broken


@pytest.mark.parametrize("name", VERBS)
def test_a_repeated_call_in_another_process_is_not_acknowledged_before_it_is_durable(
        queue: Queue, tmp_path: Path, name: str) -> None:
    """The first process was killed between the rename and the fsync: who answers for it fsyncs first."""
    folder, stage = VERBS[name]
    call = stage(queue)
    record = SyncRecord(lambda _, path: os.path.basename(path) == folder)
    with shimmed(record), pytest.raises(StoreUnavailable):
        call(queue)
    shutil.copytree(tmp_path / "task_queue", tmp_path / "copy" / "task_queue")
    other = queue_on(tmp_path / "copy", FakeClock())
    other.start()
    again = SyncRecord()
    again.pending[folder].add("by the process that died")
    with shimmed(again):
        call(other)
        again.acknowledge(name)
    other.close()
    assert again.broken == []


def test_a_failed_fsync_of_a_file_leaves_no_name(queue: Queue, tmp_path: Path) -> None:
    """The content may be gone: the task is not visible, and nothing is left in tmp."""
    record = SyncRecord(lambda _, path: "/tmp/" in path.split("task_queue")[1])
    with shimmed(record), pytest.raises(StoreUnavailable):
        queue.enqueue(NewTask("ping", {}))
    assert queue.counts().ready == 0
    assert list((tmp_path / "task_queue" / "tmp").iterdir()) == []
    assert queue.enqueue(NewTask("ping", {})).created


def test_fast_means_no_fsync_at_all(tmp_path: Path) -> None:
    """``durability = "fast"``: a whole life without one."""
    queue = Queue(FileStore(Settings(root=tmp_path, durability="fast"), FakeClock()), clock=FakeClock())
    record = SyncRecord()
    with shimmed(record):
        queue.start()
        queue.enqueue(NewTask("ping", {}), key="k")
        queue.enqueue_many([NewTask("ping", {}, max_retries=1)] * 2)
        first, second, third = (claim.lease for claim in queue.claim("w", max_tasks=3))
        queue.complete(first.task_id, first.token, {})
        queue.fail(second.task_id, second.token, Failure("no"))
        queue.release(third.task_id, third.token)
        queue.sweep()
        queue.close()
    assert record.flushes == []


def test_a_token_is_never_younger_than_its_epoch_on_the_disk(tmp_path: Path) -> None:
    """The epoch is fsynced, content and name, before the start returns."""
    queue = queue_on(tmp_path, FakeClock())
    record = SyncRecord()
    with shimmed(record):
        queue.start()
        record.acknowledge("start")
    queue.close()
    assert record.broken == []
    assert any(path.endswith("/meta") for path in record.flushes)
