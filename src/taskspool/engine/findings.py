"""What is not as docs/lifecycle.md says: looked for without moving anything, in a folder that others may be using.

A task on its way from one folder to the next can look like a finding; so each is looked at once more, by itself,
before it is told, and a finding that counts is one that is there again later (``cli.care``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from taskspool.engine import files
from taskspool.engine.batches import Batches
from taskspool.engine.documents import Unreadable, parse, task_of
from taskspool.engine.layout import FOLDER_OF, RECORD_KEYS, id_of, is_temporary, owner_of, parse_claim
from taskspool.engine.place import QUARANTINE_AFTER_SECONDS, Place
from taskspool.engine.presence import Presence
from taskspool.engine.reading import Reading
from taskspool.engine.store import Finding
from taskspool.engine.task import Lease, Result, Task, is_task_id
from taskspool.engine.task_logs import is_segment
from taskspool.errors import StoreUnavailable

WAITING = ("scheduled", "tasks")
FINAL = ("done", "dead", "cancelled")
PUBLIC = ("tasks", "results", "tmp")
"""Others write here, slowly and in place: what cannot be read counts once it has been left alone for a minute."""
KEY_NAME = re.compile(r"(?:unique-)?[0-9a-f]{64}\.json")
ASIDE = "move it to quarantine/, with the reason"
REMOVE = "remove it: it holds no task"


@dataclass(frozen=True, slots=True)
class Copy:
    """One file that may be the task: ``folder`` is that of a state, ``path`` is below the queue's folder."""

    folder: str
    path: str
    task: Task | None
    reason: str = ""
    lease: Lease | None = None

    @property
    def rank(self) -> tuple[int, int, int]:
        """The higher attempt is the newer copy; of equals the one that is further on its way."""
        if self.lease is not None:
            return self.lease.attempt, 2, int(self.lease.claimed_at.timestamp() * 1000)
        attempt = 0 if self.task is None else self.task.next_attempt
        return attempt, (*WAITING, "claimed", *FINAL).index(self.folder), 0


class Findings:
    def __init__(self, place: Place, reading: Reading, batches: Batches, presence: Presence) -> None:
        self._place = place
        self._reading = reading
        self._batches = batches
        self._presence = presence

    def all(self) -> Iterator[Finding]:
        """Everything there is to find."""
        results = set(filter(None, map(id_of, files.names(self._place.path("results")))))
        seen: dict[str, str] = {}
        held: dict[str, list[str]] = {}
        odd: list[Finding] = []
        for folder in (*WAITING, "claimed", *FINAL):
            for name in self._names(folder):
                task_id = _claimed_id(name) if folder == "claimed" else id_of(name)
                if task_id is None:
                    odd += self._odd(folder, name)
                    continue
                seen[task_id] = f"{seen[task_id]} {folder}" if task_id in seen else folder
                if folder == "claimed":
                    held.setdefault(task_id, []).append(name)
        for task_id, folders in seen.items():
            if self._is_suspicious(task_id, folders, held.get(task_id, []), task_id in results):
                yield from self.of_task(task_id)
        yield from (finding for task_id in results - seen.keys() if self._reading.result(task_id) is None
                    for finding in self.of_task(task_id))
        yield from odd
        yield from self._of_records()
        yield from self._left_behind()
        yield from self._of_logs(results, seen)

    def _names(self, folder: str) -> Iterator[str]:
        """The names in a folder of tasks; below ``claimed/`` with the worker's folder before them."""
        for name in files.names(self._place.path(folder)):
            inner = files.names(self._place.path(folder, name)) if folder == "claimed" else []
            yield from (f"{name}/{each}" for each in inner)
            if folder != "claimed" or (not inner and self._is_file(f"{folder}/{name}")):
                yield name

    def _is_file(self, path: str) -> bool:
        try:
            files.read(f"{self._place.folder}/{path}", self._place.max_file_bytes)
        except (FileNotFoundError, files.NotRegular):
            return False
        return True

    def _is_suspicious(self, task_id: str, folders: str, held: list[str], has_result: bool) -> bool:
        """Whether a close look is worth it: two places, a result too many, too few or of another state, or a file that
        cannot be read."""
        if " " in folders or (folders in FINAL) != has_result:
            return True
        if has_result:
            result = self._reading.result(task_id)
            if result is None or FOLDER_OF[result.state] != folders:
                return True
        copy = self._copy(folders, f"{folders}/{held[0] if held else f'{task_id}.json'}", task_id)
        return copy is not None and copy.task is None

    # -- one task ------------------------------------------------------------------------------------------------

    def of_task(self, task_id: str) -> list[Finding]:
        """What is wrong with one task, as its files are this moment; the cures are right in this order."""
        copies = self._copies(task_id)
        found = [Finding("unreadable", copy.path, f"{copy.path} cannot be read: {copy.reason}", ASIDE, task_id)
                 for copy in copies if copy.task is None]
        readable = sorted((copy for copy in copies if copy.task is not None), key=lambda copy: copy.rank)
        result = self._reading.result(task_id)
        if result is None and files.exists(self._place.result_path(task_id)):
            path = f"results/{task_id}.json"
            return [*found, Finding("unreadable", path, f"{path} cannot be read", ASIDE, task_id)]
        if result is not None:
            return [*found, *_of_finished(task_id, readable, result)]
        return [*found, *_of_unfinished(task_id, readable)]

    def _copies(self, task_id: str) -> list[Copy]:
        paths = [(folder, f"{folder}/{task_id}.json") for folder in (*WAITING, *FINAL)]
        paths += [("claimed", f"claimed/{name}") for name in self._names("claimed") if _claimed_id(name) == task_id]
        found = (self._copy(folder, path, task_id) for folder, path in paths)
        return [copy for copy in found if copy is not None]

    def _copy(self, folder: str, path: str, task_id: str) -> Copy | None:
        """The file as it is; None when it is not there. ``reason`` says why ``task`` is None."""
        lease = parse_claim(*path.split("/")[1:]) if folder == "claimed" else None
        try:
            content, _ = files.read(f"{self._place.folder}/{path}", self._place.max_file_bytes)
            return Copy(folder, path, task_of(parse(content), task_id, self._place.clock.now()), "", lease)
        except FileNotFoundError:
            return None
        except (files.NotRegular, Unreadable) as error:
            return Copy(folder, path, None, str(error), lease)
        except StoreUnavailable as error:
            if error.details.get("errno") not in files.DAMAGED:
                raise
            return Copy(folder, path, None, str(error), lease)

    # -- other names ---------------------------------------------------------------------------------------------

    def _odd(self, folder: str, name: str) -> list[Finding]:
        if folder == "tasks" and is_temporary(name):
            return []  # what a foreign writer uses until its file is whole
        path = f"{folder}/{name}"
        return [Finding("stray name", path, f"{path} is not the name of a task", ASIDE)]

    def _of_records(self) -> Iterator[Finding]:
        """What stands beside the tasks: keys, batches, requests to cancel, the pause."""
        for name in files.names(self._place.path("results")):
            if id_of(name) is None and not is_temporary(name):
                yield from self._odd("results", name)
        for folder in RECORD_KEYS:
            for name in files.names(self._place.path(folder)):
                path = f"{folder}/{name}"
                if not _is_record(folder, name):
                    if folder != "meta":
                        yield Finding("stray name", path, f"{path} is not a name that belongs there", ASIDE)
                elif reason := self._reason_of_record(path):
                    yield Finding("unreadable", path, f"{path} cannot be read: {reason}", ASIDE)
                elif folder == "cancelling" and self._is_stale(name):
                    yield Finding("stale request", path, f"{path} asks to cancel what has ended, or is gone", REMOVE,
                                  is_legal=True)

    def _of_logs(self, *known: Collection[str]) -> Iterator[Finding]:
        """Logs of tasks that are gone, and what is no log."""
        for task_id in files.names(self._place.path("logs")):
            path = f"logs/{task_id}"
            names = files.names(self._place.path("logs", task_id))
            if not is_task_id(task_id) or self._is_file(path):
                yield Finding("stray name", path, f"{path} is not the log of a task", ASIDE)
            elif any(task_id in ids for ids in known) or self._reading.find(task_id) is not None:
                yield from (Finding("stray name", f"{path}/{name}", f"{path}/{name} is not a part of a log", ASIDE)
                            for name in names if not is_segment(name))
            else:
                yield Finding("left log", path, f"{path} is the log of a task that is gone", REMOVE, is_legal=True)

    def _reason_of_record(self, path: str) -> str:
        """Why the record cannot be read; empty when it can, or is not there."""
        try:
            document = parse(files.read(f"{self._place.folder}/{path}", self._place.max_file_bytes)[0])
        except FileNotFoundError:
            return ""
        except (files.NotRegular, Unreadable) as error:
            return str(error)
        missing = [key for key in RECORD_KEYS[path.partition("/")[0]] if key not in document]
        return f"it has no {missing[0]}" if missing else ""

    def _is_stale(self, name: str) -> bool:
        """A request to cancel says nothing once its task has ended, or is gone."""
        snapshot = self._reading.find(name.removesuffix(".json"))
        return snapshot is None or snapshot.state.is_final

    def _left_behind(self) -> Iterator[Finding]:
        """What processes that died left in ``tmp/`` and ``meta/``, and reasons in ``quarantine/`` that stand alone."""
        for name in files.names(self._place.path("tmp")):
            if self._is_left(name):
                yield Finding("left in tmp", f"tmp/{name}", f"tmp/{name} was left by a process that died",
                               REMOVE if owner_of(name) != (0, 0) else ASIDE)
        for name in files.names(self._place.path("meta")):
            if name.startswith("batch-") and self._is_left(name.removeprefix("batch-")):
                path = f"meta/{name}"
                known = owner_of(name.removeprefix("batch-")) != (0, 0)
                yield Finding("undelivered", path, f"{path} was accepted, but not delivered",
                               "deliver the tasks it holds" if known else ASIDE)
        kept = set(files.names(self._place.path("quarantine")))
        for name in kept:
            if name.endswith(".reason.txt") and name.removesuffix(".reason.txt") not in kept:
                path = f"quarantine/{name}"
                yield Finding("lonely reason", path, f"{path} stands there without what it is about", REMOVE,
                               is_legal=True)

    def _is_left(self, name: str) -> bool:
        """Whether nobody alive is at it. Names that tell no owner are nobody's."""
        slot, epoch = owner_of(name)
        lock = self._place.path("locks", f"slot-{slot}.lock")
        return slot == 0 or not files.exists(lock) or not self._presence.is_alive(slot, epoch)

    def is_still_so(self, finding: Finding) -> bool:
        """Whether a finding that concerns no one task is what it was: its name may have been used anew meanwhile."""
        folder, _, name = finding.path.partition("/")
        if not files.exists(f"{self._place.folder}/{finding.path}"):
            return False
        if finding.kind == "unreadable":
            return bool(self._reason_of_record(finding.path))
        if finding.kind == "stale request":
            return self._is_stale(name)
        if finding.kind == "left log":
            return self._reading.find(name) is None
        if finding.kind == "lonely reason":
            return not files.exists(self._place.path(folder, name.removesuffix(".reason.txt")))
        return finding.kind == "stray name" or self._is_left(name.removeprefix("batch-"))

    def is_settled(self, path: str) -> bool:
        """Whether nobody can still be writing the file: it is ours alone, or was left alone for a minute."""
        if path.split("/", maxsplit=1)[0] not in PUBLIC:
            return True
        try:
            _, changed_at = files.file_number(f"{self._place.folder}/{path}")
        except FileNotFoundError:
            return False
        return self._place.clock.now().timestamp() - changed_at / 1e9 >= QUARANTINE_AFTER_SECONDS


def _is_record(folder: str, name: str) -> bool:
    if folder == "meta":
        return name == "paused.json"
    return KEY_NAME.fullmatch(name) is not None if folder == "keys" else id_of(name) is not None


def _of_finished(task_id: str, readable: list[Copy], result: Result) -> Iterator[Finding]:
    """It has a result: its file belongs where the result says, and nowhere else."""
    if not readable:
        return
    home = FOLDER_OF[result.state]
    best = next((copy for copy in readable if copy.folder == home), readable[-1])
    for copy in readable:
        if copy is not best:
            is_final = copy.folder in FINAL
            yield Finding("two places", copy.path, _twice(task_id, copy, best),
                           f"move it to quarantine/: the task is finished, its file is in {best.folder}/", task_id,
                           is_legal=is_final and best.folder in FINAL)
    if best.folder in FINAL and best.folder != home:
        yield Finding("wrong folder", best.path, f"{best.path} is finished as {result.state.value}",
                       f"move it to {home}/, as its result says", task_id, is_legal=True)
    elif best.folder != home:
        yield Finding("unfinished move", best.path, f"{task_id} has a result, but is still in {best.folder}/",
                       f"move it to {home}/, as its result says", task_id)


def _of_unfinished(task_id: str, readable: list[Copy]) -> Iterator[Finding]:
    """It has no result: a waiting or claimed copy is the task; a finished one is what a retry, or a loss, left."""
    live = [copy for copy in readable if copy.folder not in FINAL]
    if not live and not readable:
        return
    best = live[-1] if live else readable[-1]
    for copy in readable:
        if copy is not best:
            yield Finding("two places", copy.path, _twice(task_id, copy, best),
                           f"move it to quarantine/: the newer copy is in {best.folder}/", task_id,
                           is_legal=bool(live) and copy.folder in ("dead", "cancelled"))
    if best.folder in FINAL:
        cure = "write a result that says it was cancelled" if best.folder == "cancelled" else \
            "write an error result, so that it can be retried"
        yield Finding("no result", best.path, f"{best.path} has no result", cure, task_id)


def _twice(task_id: str, copy: Copy, best: Copy) -> str:
    first, second = sorted((copy.folder, best.folder), key=("claimed", *WAITING, *FINAL).index)
    return f"{task_id} is in {first}/ and in {second}/"


def _claimed_id(name: str) -> str | None:
    """The task a name below ``claimed/`` stands for."""
    folder, slash, last = name.partition("/")
    lease = parse_claim(folder, last) if slash else None
    return None if lease is None else lease.task_id
