"""What anybody calls who looks after workers: who is alive, what each does; be quiet, go on, end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from werkzeug.wrappers import Response

from taskspool.doors.bridge.asking import Asking
from taskspool.doors.bridge.registry_models import REPORTED, OrderWish, WorkerBeat
from taskspool.engine.history import ANONYMOUS
from taskspool.shapes import worker_json


class RegistryViews(Asking):
    def list(self) -> Response:
        """All that are known, by name; those that are gone too, until they are forgotten."""
        found = self.queue.workers.list()
        return self.reply({"count": len(found), "workers": [worker_json(info) for info in found]})

    def look(self, worker: str) -> Response:
        return self.reply(worker_json(self.queue.workers.get(worker)))

    def ordering(self, order: str) -> Callable[[str], Response]:
        """The view that tells a worker ``order``."""
        def tell(worker: str) -> Response:
            wish = self.body(OrderWish)
            info = self.queue.workers.order(worker, order, wish.by or ANONYMOUS, wish.reason)
            return self.reply({"success": True, **worker_json(info)})

        return tell


def report_of(beat: WorkerBeat) -> dict[str, Any]:
    """What a beat tells the registry: the fields that were sent."""
    told = {name: getattr(beat, name) for name in REPORTED if getattr(beat, name) is not None}
    return told | ({"types": tuple(told["types"])} if "types" in told else {})
