"""A folder as the unluckiest process would leave it: every half-made move at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest import mock

from taskspool.engine import files
from taskspool.engine.batches import Batches
from taskspool.engine.file_store import FileStore
from taskspool.engine.lifecycle import Failure
from taskspool.engine.task import NewTask

if TYPE_CHECKING:
    from faults.scenarios import Stage


class Stop(BaseException):
    """The process ends here."""


def _stop(*_: Any, **__: Any) -> None:
    raise Stop


def leave_everything(stage: Stage) -> None:
    """A local claim, a result without its move, a half-made failure, a key without its task, a batch that was
    accepted and not delivered, one half delivered, and a file in tmp."""
    queue = stage.queue
    local = stage.put(0)
    queue.claim_one(local, "w", lease_seconds=0)
    stage.report("local", local)

    finished = stage.put(1)
    token = stage.claim(finished)
    _dying(queue.store._intake, "move_finished", lambda: queue.complete(finished, token, {"by": "us"}))
    stage.report("done", finished, {"by": "us"})

    failing = stage.put(2, max_retries=1)
    token = stage.claim(failing)
    moves = iter([files.move])

    def once(source: str, target: str) -> None:
        next(moves, _stop)(source, target)

    with mock.patch.object(files, "move", once):
        _expect_stop(lambda: queue.fail(failing, token, Failure("no")))

    stage.report("try", 3)
    _dying(FileStore, "_put_one", lambda: queue.enqueue(NewTask("ping", {"n": 3}), key="k3"))
    for numbers, missing in (((4, 5), 2), ((6, 7, 8), 1)):
        stage.report("try", *numbers)
        stage.report("batch", *numbers)
        _undelivered(stage, numbers, missing)
    queue.store._place.write_temporary(b"half a ta")


def _undelivered(stage: Stage, numbers: tuple[int, ...], missing: int) -> None:
    """A batch of which the last ``missing`` tasks were not delivered."""
    real = Batches._deliver

    def deliver(self: Batches, tasks: Any) -> None:
        real(self, tasks[: len(tasks) - missing])
        raise Stop

    with mock.patch.object(Batches, "_deliver", deliver):
        _expect_stop(lambda: stage.queue.enqueue_many([NewTask("ping", {"n": n}) for n in numbers]))


def _dying(owner: Any, name: str, action: Any) -> None:
    with mock.patch.object(owner, name, _stop):
        _expect_stop(action)


def _expect_stop(action: Any) -> None:
    try:
        action()
    except Stop:
        return
    raise AssertionError("the process was to stop here")
