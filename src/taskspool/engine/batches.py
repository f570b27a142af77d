"""Many tasks, all or none: a manifest that lists them is the instant, the files follow from it.

``meta/batch-<slot>-<epoch>-<id of its first task>.json`` holds the tasks until each has its own file on the disk. A
manifest whose writer died is delivered by whoever sweeps next.
"""

from __future__ import annotations

from collections.abc import Sequence

from taskspool.engine import files
from taskspool.engine.documents import Unreadable, encode, parse, task_document, task_of
from taskspool.engine.layout import owner_of
from taskspool.engine.place import Place
from taskspool.engine.presence import Presence
from taskspool.engine.reading import Reading
from taskspool.engine.task import State, Task, is_task_id


class Batches:
    def __init__(self, place: Place, reading: Reading) -> None:
        self._place = place
        self._reading = reading
        self._under_way: set[str] = set()

    def put(self, tasks: Sequence[Task]) -> None:
        """All of ``tasks`` exist when this returns, and will exist once its manifest has its name."""
        place = self._place
        documents = {task.id: parse(task_document(task, place.max_bytes)) for task in tasks}
        limit = place.max_file_bytes * len(tasks)
        name = f"batch-{place.slot}-{place.epoch}-{tasks[0].id}.json"
        manifest = encode({"tasks": documents}, limit, "tasks")
        self._under_way.add(name)
        try:
            place.install(manifest, place.path("meta", name))  # the instant: the batch is accepted
            place.sync("meta")
            self._deliver(tasks)
            files.discard(place.path("meta", name))
        finally:
            self._under_way.discard(name)

    def _deliver(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            state = State.READY if task.not_before is None else State.SCHEDULED
            self._place.install(task_document(task, self._place.max_file_bytes), self._place.task_path(state, task.id))
        for folder in {"tasks" if task.not_before is None else "scheduled" for task in tasks}:
            self._place.sync(folder)

    def finish_left(self, presence: Presence) -> int:
        """Deliver what was accepted but not delivered, because its writer died or met an error. How many tasks."""
        delivered = 0
        for name in files.names(self._place.path("meta")):
            if name.startswith("batch-") and self._is_left(name, presence):
                with self._place.keys.of(name):
                    delivered += self._finish(self._place.path("meta", name))
        return delivered

    def _is_left(self, name: str, presence: Presence) -> bool:
        slot, epoch = owner_of(name.removeprefix("batch-"))
        if slot == 0:
            return False
        if (slot, epoch) == (self._place.slot, self._place.epoch):
            return name not in self._under_way
        return not presence.is_alive(slot, epoch)

    def _finish(self, path: str) -> int:
        now = self._place.clock.now()
        try:
            documents = parse(files.read(path, 1 << 34)[0])["tasks"]
            tasks = [task_of(document, task_id, now) for task_id, document in documents.items() if is_task_id(task_id)]
        except FileNotFoundError:
            return 0
        except (Unreadable, files.NotRegular, LookupError, AttributeError) as error:
            self._place.quarantine("meta", path.rpartition("/")[2], f"it is not a batch of tasks: {error}")
            return 0
        missing = [task for task in tasks if self._reading.find(task.id) is None]
        self._deliver(missing)
        files.discard(path)
        return len(missing)
