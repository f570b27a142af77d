"""Many tasks, all or none: a manifest that lists them is the instant, the files follow from it.

``meta/batch-<slot>-<epoch>-<id of its first task>.json`` holds the tasks until each has its own file on the disk. A
manifest whose writer died is delivered by whoever sweeps next. What was asked for as a batch has a record besides,
``batches/<batch id>.json``: it comes after the last of its tasks and before the manifest goes, so that a record stands
for tasks that all were there, and never for some that are still to come.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from taskspool.clock import from_text, to_text
from taskspool.engine import files
from taskspool.engine.batch import BatchRecord
from taskspool.engine.documents import Unreadable, parse, sealed, task_document, task_of
from taskspool.engine.layout import id_of, owner_of
from taskspool.engine.place import Place
from taskspool.engine.presence import Presence
from taskspool.engine.reading import Reading
from taskspool.engine.task import JsonValue, State, Task, is_task_id

MAX_MANIFEST_BYTES = 1 << 34


class Batches:
    def __init__(self, place: Place, reading: Reading) -> None:
        self._place = place
        self._reading = reading
        self._under_way: set[str] = set()

    def put(self, tasks: Sequence[Task], record: BatchRecord | None = None) -> None:
        """All of ``tasks``, and ``record``, exist when this returns, and will exist once the manifest has its name."""
        place = self._place
        manifest: dict[str, JsonValue] = {
            "tasks": {task.id: parse(task_document(task, place.max_bytes)) for task in tasks}}
        if record is not None:
            manifest["batch"] = _document(record)
        content = sealed(manifest, place.max_file_bytes * (len(tasks) + 1), "tasks")
        name = f"batch-{place.slot}-{place.epoch}-{record.task_ids[0] if record else tasks[0].id}.json"
        self._under_way.add(name)
        try:
            place.install(content, place.path("meta", name))  # the instant: the batch is accepted
            place.sync("meta")
            self._deliver(tasks)
            self._write(record)
            files.discard(place.path("meta", name))
        finally:
            self._under_way.discard(name)

    def _deliver(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            state = State.READY if task.not_before is None else State.SCHEDULED
            self._place.install(task_document(task, self._place.max_file_bytes), self._place.task_path(state, task.id))
        for folder in {"tasks" if task.not_before is None else "scheduled" for task in tasks}:
            self._place.sync(folder)

    def _write(self, record: BatchRecord | None) -> None:
        """The record, if there is to be one and none is there."""
        if record is None or files.exists(self._path(record.id)):
            return
        self._place.install(sealed(_document(record), MAX_MANIFEST_BYTES, "tasks"), self._path(record.id))
        self._place.sync("batches")

    def _path(self, batch_id: str) -> str:
        return self._place.path("batches", f"{batch_id}.json")

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
            manifest = parse(files.read(path, MAX_MANIFEST_BYTES)[0])
            tasks = [task_of(document, task_id, now) for task_id, document in manifest["tasks"].items()
                     if is_task_id(task_id)]
            record = _record_of(manifest["batch"], now) if "batch" in manifest else None
        except FileNotFoundError:
            return 0
        except (Unreadable, files.NotRegular, LookupError, AttributeError) as error:
            self._place.quarantine("meta", path.rpartition("/")[2], f"it is not a batch of tasks: {error}")
            return 0
        missing = [task for task in tasks if self._reading.find(task.id) is None]
        self._deliver(missing)
        self._write(record)
        files.discard(path)
        return len(missing)

    # -- the records ---------------------------------------------------------------------------------------------

    def record(self, batch_id: str) -> BatchRecord | None:
        """The batch's record; None when there is none. One that is damaged is put aside."""
        if not is_task_id(batch_id):
            return None
        try:
            content, _ = files.read(self._path(batch_id), MAX_MANIFEST_BYTES)
            return _record_of(parse(content), self._place.clock.now())
        except FileNotFoundError:
            return None
        except (files.NotRegular, Unreadable) as error:
            self._place.quarantine("batches", f"{batch_id}.json", str(error))
            return None

    def newest(self, limit: int) -> list[BatchRecord]:
        """Up to ``limit`` records, newest first: a batch's name begins with the time of its first task."""
        names = sorted(filter(None, map(id_of, files.names(self._place.path("batches")))), reverse=True)
        records: list[BatchRecord] = []
        for batch_id in names:
            if len(records) == limit:
                break
            if (record := self.record(batch_id)) is not None:
                records.append(record)
        return records

    def forget(self, before: datetime, names: Iterable[str] | None = None) -> None:
        """Remove the records older than ``before``, of these ``names`` (None: all), of which no task is left."""
        for name in files.names(self._place.path("batches")) if names is None else names:
            record = self.record(name.removesuffix(".json"))
            if record is not None and record.created_at < before \
                    and not any(self._reading.find(task_id) for task_id in record.task_ids):
                files.discard(self._path(record.id))


def _document(record: BatchRecord) -> dict[str, JsonValue]:
    return {"id": record.id, "name": record.name, "task_ids": list(record.task_ids),
            "created_at": to_text(record.created_at)}


def _record_of(document: Mapping[str, JsonValue], seen_at: datetime) -> BatchRecord:
    """Raises Unreadable naming what is wrong. ``seen_at`` stands in for a time that cannot be read."""
    try:
        batch_id, ids, name = document["id"], document["task_ids"], document["name"]
    except (LookupError, TypeError) as error:
        raise Unreadable(f"it is not the record of a batch: {error}") from error
    if not (is_task_id(batch_id) and isinstance(ids, list) and ids and all(map(is_task_id, ids))):
        raise Unreadable("it is not the record of a batch: its ids are none")
    try:
        created_at = from_text(str(document.get("created_at")))
    except ValueError:
        created_at = seen_at
    return BatchRecord(batch_id, None if name is None else str(name), tuple(ids), created_at)
