"""What anybody calls who looks after tasks: see why, cancel, try anew, one or many; pause and resume the queue."""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Response

from taskspool import shapes
from taskspool.doors.bridge import asked, telling, wire
from taskspool.doors.bridge.asking import Asking
from taskspool.doors.bridge.models import CancelMany, PauseWish, RetryMany, Wish
from taskspool.engine.history import ANONYMOUS, story_of
from taskspool.engine.many import Many
from taskspool.engine.task import Snapshot, State


class ControlViews(Asking):
    # -- one task ------------------------------------------------------------------------------------------------

    def task(self, task_id: str) -> Response:
        """Everything that is known of it."""
        snapshot = self.queue.task(task_id)
        story = story_of(snapshot, self.queue.store.result(task_id) if snapshot.state.is_final else None)
        cancel = self.queue.cancel_request(task_id) if snapshot.state is State.CLAIMED else None
        return self.reply(telling.told_json(snapshot, story, cancel))

    def explain(self, task_id: str) -> Response:
        """Why it is where it is, and what happens next."""
        return self.reply(telling.explanation_json(self.queue.explain(task_id)))

    def cancel(self, task_id: str) -> Response:
        """200 when it is cancelled now; 202 when its worker has to let go first."""
        wish = self.body(Wish)
        snapshot = self.queue.cancel(task_id, by=wish.by or ANONYMOUS, reason=wish.reason)
        is_over = snapshot.state is State.CANCELLED
        message = "the task is cancelled" if is_over else "its worker is told to stop with its next sign of life"
        return self.reply({**_where(snapshot), "cancel_requested": not is_over, "message": message},
                          200 if is_over else 202)

    def retry(self, task_id: str) -> Response:
        """It waits again, with all its attempts before it."""
        wish = self.body(Wish)
        snapshot = self.queue.retry(task_id, by=wish.by or ANONYMOUS, reason=wish.reason)
        return self.reply({**_where(snapshot), "message": "the task waits for a worker again"})

    # -- many tasks ----------------------------------------------------------------------------------------------

    def cancel_many(self) -> Response:
        """What waits, unless it is said that what runs is meant too."""
        wish = self.body(CancelMany)
        states = frozenset(map(State, wish.state or (State.SCHEDULED, State.READY)))
        wanted = asked.filter_of_wish(wish, states, self.queue.clock.now())
        return self._done(self.queue.cancel_many(wanted, by=wish.by or ANONYMOUS, reason=wish.reason,
                                                 limit=wish.limit))

    def retry_many(self) -> Response:
        """What is dead, unless it is said that what was cancelled is meant too."""
        wish = self.body(RetryMany)
        wanted = asked.filter_of_wish(wish, frozenset(map(State, wish.state or (State.DEAD,))), self.queue.clock.now())
        return self._done(self.queue.retry_many(wanted, by=wish.by or ANONYMOUS, reason=wish.reason, limit=wish.limit))

    def _done(self, many: Many) -> Response:
        skipped = [{"task_id": task_id, "code": code, "message": "it has moved on meanwhile"}
                   for task_id, code in many.refused.items()]
        return self.reply({"success": True, "count": len(many.ids), "task_ids": list(many.ids), "skipped": skipped,
                           "total": len(many.ids) + len(skipped) + many.left, "remaining": many.left})

    # -- the queue -----------------------------------------------------------------------------------------------

    def pause(self) -> Response:
        wish = self.body(PauseWish)
        self.queue.pause(wish.types, by=wish.by or ANONYMOUS, reason=wish.reason)
        return self.look()

    def resume(self) -> Response:
        self.queue.resume(self.body(PauseWish).types)
        return self.look()

    def look(self) -> Response:
        """What is paused, and how many tasks are where."""
        counts = self.queue.counts()
        return self.reply({
            "queue": self.settings.queue, **shapes.pauses_json(self.queue.paused()),
            "counts": {state.value: getattr(counts, state.value) for state in State},
            "quarantined": counts.quarantined,
            "by_priority": {wire.WORD[level]: count for level, count in counts.ready_by_priority.items()},
        })


def _where(snapshot: Snapshot) -> dict[str, Any]:
    return {"success": True, "task_id": snapshot.task.id, "status": wire.STATUS[snapshot.state],
            "state": snapshot.state.value}
