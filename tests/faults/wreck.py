"""A folder as the unluckiest process would leave it: every half-made move at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest import mock

from taskspool.engine import files
from taskspool.engine.arrivals import Arrivals
from taskspool.engine.batches import Batches
from taskspool.engine.lifecycle import Failure
from taskspool.engine.task import NewTask

if TYPE_CHECKING:
    from faults.stage import Stage


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
    _dying(Arrivals, "_put_one", lambda: queue.enqueue(NewTask("ping", {"n": 3}), key="k3"))
    for numbers, missing in (((4, 5), 2), ((6, 7, 8), 1)):
        stage.report("try", *numbers)
        stage.report("batch", *numbers)
        _undelivered(stage, numbers, missing)
    _leave_ends(stage)
    queue.store._place.write_temporary(b"half a ta")


def _leave_ends(stage: Stage) -> None:
    """Held to be ended, before its time; wanted cancelled, and still held; a retry of which the result still stands; a
    cancelled task whose request is still there; a batch with a name, accepted and not delivered."""
    queue = stage.queue
    early = stage.put(10, delay_seconds=86_400.0)
    stage.report("later", early)
    queue.store.take_to_end(early, "a person")

    wanted = stage.put(11)
    stage.claim(wanted)
    queue.cancel(wanted, by="a person")
    stage.report("wanted", wanted)

    retried = stage.put(12)
    queue.fail(retried, stage.claim(retried), Failure("no"))
    stage.report("retrying", retried)
    _dying(files, "discard", lambda: queue.retry(retried))

    cancelled = stage.put(13)
    token = stage.claim(cancelled)
    queue.cancel(cancelled)
    _dying(queue.store._cancels, "forget_finished", lambda: queue.release(cancelled, token))
    stage.report("cancelled", cancelled)

    stage.report("try", 14, 15)
    stage.report("batch", 14, 15)
    stage.report("record", 14, 15)
    news = [NewTask("ping", {"n": n}) for n in (14, 15)]
    _dying(Batches, "_deliver", lambda: queue.enqueue_batch(news, name="ours"))


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
