"""Mending what ``findings`` finds, while the queue goes on working.

Every cure looks again first, where a task is concerned holding its lock, and does nothing when the finding is gone.
Nothing that may hold a task is ever deleted: it is moved to ``quarantine/``, with the reason beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from taskspool.engine import files, log_files
from taskspool.engine.batches import Batches
from taskspool.engine.documents import result_document
from taskspool.engine.findings import ASIDE, REMOVE, Findings
from taskspool.engine.history import SELF
from taskspool.engine.layout import FOLDER_OF
from taskspool.engine.place import Place
from taskspool.engine.presence import Presence
from taskspool.engine.reading import Reading
from taskspool.engine.store import Finding
from taskspool.engine.task import Result, State

LOST = "its result was lost, and what it was is not known: retry the task to have it done again"
_STATE_OF = {folder: state for state, folder in FOLDER_OF.items()}


class Repair:
    def __init__(self, place: Place, reading: Reading, batches: Batches, presence: Presence) -> None:
        self.findings = Findings(place, reading, batches, presence)
        self._place = place
        self._reading = reading
        self._batches = batches
        self._presence = presence
        self._cures: Mapping[str, Callable[[Finding], bool]] = {
            "unreadable": self._set_aside, "two places": self._set_aside, "stray name": self._set_aside,
            "unfinished move": self._move_home, "wrong folder": self._move_home, "no result": self._write_result,
            "stale request": self._remove, "left in tmp": self._remove, "lonely reason": self._remove,
            "undelivered": self._deliver, "left log": self._remove_log,
        }

    def mend(self, finding: Finding) -> bool:
        """Do what ``finding.cure`` says. False when it is not there any more, or somebody may still be writing it."""
        if finding.task_id is None:
            return self.findings.is_still_so(finding) and self._cures[finding.kind](finding)
        with self._place.moves.of(finding.task_id):
            found = self.findings.of_task(finding.task_id)
            again = next((one for one in found if (one.kind, one.path) == (finding.kind, finding.path)), None)
            return again is not None and self._cures[again.kind](again)

    def _path(self, finding: Finding) -> str:
        return f"{self._place.folder}/{finding.path}"

    # -- the cures -----------------------------------------------------------------------------------------------

    def _set_aside(self, finding: Finding) -> bool:
        if finding.kind != "two places" and not self.findings.is_settled(finding.path):
            return False
        folder, _, name = finding.path.rpartition("/")
        self._place.quarantine(folder, name, f"{finding.sentence} (doctor)")
        self._place.sync("quarantine")
        return True

    def _move_home(self, finding: Finding) -> bool:
        """The result has made it finished: the file follows."""
        result = self._reading.result(str(finding.task_id))
        target = None if result is None else self._place.task_path(result.state, result.task_id)
        if result is None or target is None or files.exists(target):
            return False  # what stands there is unreadable: it goes aside first
        files.move(self._path(finding), target)
        self._place.sync(FOLDER_OF[result.state])
        return True

    def _write_result(self, finding: Finding) -> bool:
        """A finished task without its result gets one that claims no more than is known."""
        task_id, state = str(finding.task_id), _STATE_OF[finding.path.partition("/")[0]]
        task = self._reading.task_at(self._path(finding), task_id)
        known = task.last_error if task is not None and state is State.DEAD else None
        status = "cancelled" if state is State.CANCELLED else "error"
        result = Result(task_id, SELF, status, None, self._place.clock.now(), known or LOST)
        with self._place.beside(result_document(result, self._place.max_file_bytes)) as (reply,):
            self._place.publish(reply, self._place.result_path(task_id))  # the instant: it is finished
        self._place.sync("results")
        files.move(self._path(finding), self._place.task_path(result.state, task_id))
        return True

    def _remove(self, finding: Finding) -> bool:
        if finding.cure != REMOVE:
            return self._set_aside(finding)
        return files.discard(self._path(finding))

    def _remove_log(self, finding: Finding) -> bool:
        return log_files.remove(self._path(finding))

    def _deliver(self, finding: Finding) -> bool:
        self._batches.finish_left(self._presence)
        if finding.cure == ASIDE and files.exists(self._path(finding)):
            return self._set_aside(finding)
        return not files.exists(self._path(finding))
