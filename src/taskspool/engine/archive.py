"""A whole queue as a tar of its plain files, and back, while both queues go on working.

A tar holds ``scheduled/ tasks/ done/ dead/ cancelled/ results/ cancelling/ keys/ batches/`` under the names they have
in the folder. What is claimed is written as waiting: its worker is not there where the tar is read. Each task is
photographed holding its lock, so that its files fit together.

Reading checks the whole tar first, then brings in task by task: all of it or nothing. What exists already, in
whatever state, is left as it is; so the same tar read twice is the same tar read once, also after a crash in between.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import IO

from taskspool.engine import files
from taskspool.engine.claims import Claims
from taskspool.engine.documents import Unreadable, foreign_holder, parse, result_of, task_document, task_of
from taskspool.engine.layout import FINAL_STATES, FOLDER_OF, RECORD_KEYS, id_of
from taskspool.engine.place import SYNCED_FOLDERS, Place
from taskspool.engine.reading import Reading
from taskspool.engine.store import Exported, Imported
from taskspool.engine.tar import Member, Writer, content_of, members
from taskspool.engine.task import JsonValue, State, Task, is_task_id
from taskspool.errors import DuplicateTask, StoreUnavailable

WAITING = ("scheduled", "tasks")
FINAL = tuple(FOLDER_OF[state] for state in FINAL_STATES)
RECORDS = ("keys", "batches", "cancelling")
FOLDERS = frozenset({*WAITING, *FINAL, "results", *RECORDS, "."})
PASSES = 5
_NAME = re.compile(r"([a-z]+)/([0-9a-f-]{36}|[0-9a-f]{64})\.json")


class Archive:
    """``unique_again(task)``: while it lasts the task's unique key, if it has one, is its own (or DuplicateTask)."""

    def __init__(self, place: Place, claims: Claims, reading: Reading,
                 unique_again: Callable[[Task], AbstractContextManager[None]]) -> None:
        self._place = place
        self._claims = claims
        self._reading = reading
        self._unique_again = unique_again

    # -- out -----------------------------------------------------------------------------------------------------

    def export(self, stream: IO[bytes]) -> Exported:
        """Write everything that is there when it begins; what comes meanwhile may be in it or not."""
        tar = Writer(stream, int(self._place.clock.now().timestamp()))
        tasks, records, left_out = 0, 0, []
        for task_id in self._ids():
            with self._place.moves.of(task_id):
                photo = self._photo(task_id)
            tasks += bool(photo)
            for name, content in photo:
                tar.add(name, content)
            if not photo and self._exists(task_id):
                left_out.append(f"task {task_id} cannot be read")
        for name in [f"{folder}/{name}" for folder in RECORDS for name in files.names(self._place.path(folder))]:
            record = self._record(name)
            if record is not None:
                tar.add(name, record)
                records += 1
        tar.close()
        return Exported(tasks, records, tuple(left_out))

    def _ids(self) -> list[str]:
        """Of every task: read again until a whole pass finds nothing new, for tasks move from folder to folder."""
        known: dict[str, None] = {}
        for number in range(PASSES):
            before = len(known)
            for folder in (*WAITING, "claimed", *FINAL, "results"):
                if folder == "claimed":
                    known |= dict.fromkeys(lease.task_id for lease in self._claims.look())
                else:
                    known |= dict.fromkeys(filter(None, map(id_of, files.names(self._place.path(folder)))))
            if number > 0 and len(known) == before:
                break  # what the first pass missed, because it went back meanwhile, the second has seen
        return sorted(known)

    def _photo(self, task_id: str) -> list[tuple[str, bytes]]:
        """The files of one task as they fit together; none when it is gone, or cannot be read. Call it holding the
        task's lock: a claim may still come, but that moves along the order of looking."""
        reply, state = self._result(task_id)
        if reply is not None and state is not None:
            states = (state, *FINAL_STATES, State.READY, State.SCHEDULED)
            paths = [*(self._place.task_path(each, task_id) for each in states), *self._claim_path(task_id)]
            found = next((content for path in paths if (content := self._task_file(path, task_id))), None)
            parts = [(f"results/{task_id}.json", reply)]
            return parts if found is None else [*parts, (f"{FOLDER_OF[state]}/{task_id}.json", found)]
        for folder in WAITING:
            found = self._task_file(self._place.path(folder, f"{task_id}.json"), task_id)
            if found is not None:
                return [(f"{folder}/{task_id}.json", found)]
        for path in self._claim_path(task_id):
            task = self._reading.task_at(path, task_id)
            if task is not None:
                waiting = replace(task, not_before=None, delay_seconds=None, progress=None)
                return [(f"tasks/{task_id}.json", task_document(waiting, self._place.max_file_bytes))]
        return []

    def _claim_path(self, task_id: str) -> list[str]:
        lease = self._claims.of(task_id)
        return [] if lease is None else [self._place.lease_path(lease)]

    def _task_file(self, path: str, task_id: str) -> bytes | None:
        """The content of a whole task, as of one that waits; None when there is none."""
        content = self._content(path)
        try:
            return None if content is None else self._as_waiting(content, task_id)[0]
        except Unreadable:
            return None

    def _result(self, task_id: str) -> tuple[bytes | None, State | None]:
        """The content of a whole result, and the state it makes; None when there is none."""
        content = self._content(self._place.result_path(task_id))
        try:
            return content, None if content is None else result_of(content, task_id, self._place.clock.now()).state
        except Unreadable:
            return None, None

    def _as_waiting(self, content: bytes, task_id: str) -> tuple[bytes, Task]:
        """The task in ``content``, which is changed only if it says that an old program has popped it."""
        document = parse(content)
        task = task_of(document, task_id, self._place.clock.now())
        if foreign_holder(document) is None:
            return content, task
        return task_document(task, self._place.max_file_bytes), task

    def _content(self, path: str) -> bytes | None:
        """None when it is not there, is no plain file, or lies on a damaged spot of the disk."""
        try:
            return files.read(path, self._place.max_file_bytes)[0]
        except (FileNotFoundError, files.NotRegular):
            return None
        except StoreUnavailable as error:
            if error.details.get("errno") not in files.DAMAGED:
                raise
            return None

    def _record(self, name: str) -> bytes | None:
        """A record that can be read, under a name of ours."""
        if not self._allows(name):
            return None
        content = self._content(f"{self._place.folder}/{name}")
        try:
            return content if content is not None and parse(content) else None
        except Unreadable:
            return None

    # -- in ------------------------------------------------------------------------------------------------------

    def bring_in(self, stream: IO[bytes]) -> Imported:
        """Read a tar that begins where ``stream``, a seekable one, stands. Raises InvalidRequest, and nothing is
        brought in, when any member is not the plain file of a queue; StoreFull when the disk is nearly full."""
        tasks, results, records = self._survey(stream)
        counts, left_out = {"tasks": 0, "existed": 0, "records": 0}, []
        for task_id in dict.fromkeys([*tasks, *results]):
            parts = [None if part is None else content_of(stream, part)
                     for part in (tasks.get(task_id), results.get(task_id))]
            self._place.disk.refuse_if_low()
            try:
                folder = tasks[task_id].name.partition("/")[0] if task_id in tasks else "results"
                counts["tasks" if self._bring_task(task_id, folder, *parts) else "existed"] += 1
            except (Unreadable, DuplicateTask) as error:
                left_out.append(f"task {task_id}: {error}")
        for member in records:
            counts["records"] += self._bring_record(member.name, content_of(stream, member))
        for folder in SYNCED_FOLDERS:
            self._place.sync(folder)
        return Imported(counts["tasks"], counts["records"], counts["existed"], tuple(left_out))

    def _survey(self, stream: IO[bytes]) -> tuple[dict[str, Member], dict[str, Member], list[Member]]:
        """Tasks and results by id, and the rest. The first of two members with the same part of a task counts."""
        tasks: dict[str, Member] = {}
        results: dict[str, Member] = {}
        records: list[Member] = []
        for member in members(stream, self._allows, FOLDERS):
            folder, _, name = member.name.partition("/")
            if folder in RECORDS:
                records.append(member)
            else:
                (results if folder == "results" else tasks).setdefault(name.removesuffix(".json"), member)
        return tasks, results, records

    def _allows(self, name: str) -> int:
        """How many bytes a member of this name may have; 0: it is no name of ours."""
        match = _NAME.fullmatch(name)
        if match is None or match[1] not in FOLDERS:
            return 0
        is_ours = len(match[2]) == 64 if match[1] == "keys" else is_task_id(match[2])
        return self._place.max_file_bytes if is_ours else 0

    def _bring_task(self, task_id: str, folder: str, content: bytes | None, reply: bytes | None) -> bool:
        """False when it exists. Raises Unreadable, DuplicateTask."""
        result = None if reply is None else result_of(reply, task_id, self._place.clock.now())
        task = None
        if content is not None:
            content, task = self._as_waiting(content, task_id)
        if result is None and folder in FINAL:
            raise Unreadable("it is finished, and its result is not in the tar")
        target = self._place.path(folder if result is None else FOLDER_OF[result.state], f"{task_id}.json")
        parts = [(part, path) for part, path in ((reply, self._place.result_path(task_id)), (content, target)) if part]
        if not self._missing(task_id, parts):
            return False
        key = self._unique_again(task) if task is not None and result is None else nullcontext()
        with key, self._place.beside(*(part for part, _ in parts)) as written, self._place.moves.of(task_id):
            missing = self._missing(task_id, parts)
            steps = zip(written[-len(missing):] if missing else (), missing, strict=True)
            is_new = bool(missing) and all(self._publish(source, path) for source, path in steps)
            for path in written:
                files.discard(path)
        return is_new

    def _missing(self, task_id: str, parts: list[tuple[bytes, str]]) -> list[str]:
        """The paths to be filled: all, or none when the task exists; or the last, when an import ended between the
        two steps: the very result of the tar stands, and no task beside it."""
        paths = [path for _, path in parts]
        if not self._exists(task_id):
            return paths
        is_half = len(parts) == 2 and not self._has_file(task_id) and self._content(paths[0]) == parts[0][0]
        return paths[1:] if is_half else []

    def _publish(self, source: str, path: str) -> bool:
        """The instant: a task waits, or is finished. False when something stands there."""
        try:
            self._place.publish(source, path)
        except FileExistsError:
            return False
        return True

    def _exists(self, task_id: str) -> bool:
        return files.exists(self._place.result_path(task_id)) or self._has_file(task_id)

    def _has_file(self, task_id: str) -> bool:
        return any(files.exists(self._place.path(folder, f"{task_id}.json")) for folder in (*WAITING, *FINAL)) \
            or self._claims.of(task_id) is not None

    def _bring_record(self, name: str, content: bytes) -> bool:
        """A key or a batch of which a task is here, or a request to cancel one that is not finished: if none stands."""
        path = f"{self._place.folder}/{name}"
        try:
            document = parse(content)
        except Unreadable:
            return False
        if not self._concerns_us(name, document):
            return False
        with self._place.beside(content) as (written,):
            is_new = self._publish(written, path)
            files.discard(written)
        return is_new

    def _concerns_us(self, name: str, document: Mapping[str, JsonValue]) -> bool:
        folder, _, rest = name.partition("/")
        ids = document.get("task_ids")
        if any(key not in document for key in RECORD_KEYS[folder]):
            return False
        if folder == "cancelling":
            snapshot = self._reading.find(rest.removesuffix(".json"))
            return snapshot is not None and not snapshot.state.is_final
        if not isinstance(ids, list) or not ids or not all(map(is_task_id, ids)):
            return False
        is_right = f"{document['id']}.json" == rest if folder == "batches" else isinstance(document["fingerprint"], str)
        return is_right and any(self._reading.find(task_id) is not None for task_id in ids)
