"""What a process saw in the folder a moment ago does not undo, in the index, what others did since."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from engine.foreign import pop, reply
from fake_clock import FakeClock
from taskspool.engine import files
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.task import NewTask, State


def overtaken(monkeypatch: pytest.MonkeyPatch, look: str, seen: str, deed: Callable[[], None]) -> None:
    """``deed`` happens right after the first ``look`` (a function of ``files``) at a path that ends with ``seen``:
    whoever looked knows nothing of it."""
    real, left = getattr(files, look), [deed]

    def looking(path: str, *arguments: Any, **options: Any) -> Any:
        found = real(path, *arguments, **options)
        if left and path.endswith(seen):
            left.pop()()
        return found

    monkeypatch.setattr(files, look, looking)


def test_a_task_that_is_done_while_it_is_met_is_done(opener: Callable[..., Queue], clock: FakeClock,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    """Met in tasks/ by one process, claimed and completed by another before the first has noted it: it is done."""
    here, there = opener(), opener()
    assert here.figures().is_complete, "from here on the index is not compared with the files"
    task_id = there.enqueue(NewTask("ping", {})).task_id

    def finish() -> None:
        clock.advance(0.001)
        there.complete(task_id, there.claim_one(task_id, "w").lease.token, {})
        clock.advance(0.001)

    overtaken(monkeypatch, "exists", f"results/{task_id}.json", finish)  # the last look before it is met
    assert here.claim("w", types=["other"]) == []
    for queue in (there, here):  # the one that did it is quicker to tell
        assert queue.store._recorder.flush()
    assert here.figures().by_state == {State.DONE: 1}


def test_a_task_that_is_done_while_it_is_seen_scheduled_is_done(opener: Callable[..., Queue], clock: FakeClock,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for one that was seen in scheduled/."""
    here, there = opener(), opener()
    task_id = there.enqueue(NewTask("ping", {}, max_retries=1)).task_id
    there.fail(task_id, there.claim_one(task_id, "w").lease.token, Failure("no luck", retry_after_seconds=60))
    assert there.store._recorder.flush()

    def cancel() -> None:
        clock.advance(0.001)
        there.cancel(task_id)
        clock.advance(0.001)

    overtaken(monkeypatch, "read", f"scheduled/{task_id}.json", cancel)
    here.sweep()
    for queue in (there, here):
        assert queue.store._recorder.flush()
    assert here.figures().by_state == {State.CANCELLED: 1}


def test_a_task_that_is_retried_while_its_foreign_result_is_read_is_ready(
        opener: Callable[..., Queue], clock: FakeClock, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A result that an old program wrote, read by one process, taken away by another's retry before it is told."""
    here, there = opener(), opener()
    assert here.figures().is_complete
    task_id = there.enqueue(NewTask("ping", {})).task_id
    reply(folder, task_id, status="error")
    clock.advance(3)
    there.sweep()
    assert there.store._recorder.flush()

    def retry() -> None:
        clock.advance(0.001)
        there.retry(task_id)
        clock.advance(0.001)

    overtaken(monkeypatch, "read", f"results/{task_id}.json", retry)
    here.sweep()
    for queue in (there, here):
        assert queue.store._recorder.flush()
    assert here.figures().by_state == {State.READY: 1}


def test_a_task_that_is_done_while_it_is_seen_popped_is_done(
        opener: Callable[..., Queue], clock: FakeClock, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old program's mark, seen by one process, and the end, told by another before the first has told the mark."""
    here, there = opener(), opener()
    assert here.figures().is_complete
    task_id = there.enqueue(NewTask("ping", {})).task_id
    assert there.store._recorder.flush()
    pop(folder, task_id)

    def cancel() -> None:
        clock.advance(0.001)
        there.cancel(task_id)
        clock.advance(0.001)

    overtaken(monkeypatch, "exists", f"results/{task_id}.json", cancel)  # the last look before it counts as popped
    assert here.claim("w", types=["other"]) == []
    for queue in (there, here):
        assert queue.store._recorder.flush()
    assert here.figures().by_state == {State.CANCELLED: 1}
