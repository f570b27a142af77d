"""The half of a FileStore that looks after the folder as a whole: batches, pruning, export and import, the doctor."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import IO

from taskspool.engine.archive import Archive
from taskspool.engine.arrivals import Arrivals
from taskspool.engine.batch import BatchRecord
from taskspool.engine.batches import Batches
from taskspool.engine.bell import Bell
from taskspool.engine.claims import Claims
from taskspool.engine.intake import Intake
from taskspool.engine.place import Place
from taskspool.engine.presence import Presence
from taskspool.engine.reading import Reading
from taskspool.engine.recorder import Recorder
from taskspool.engine.repair import Repair
from taskspool.engine.retention import Retention
from taskspool.engine.store import Exported, Finding, Imported
from taskspool.engine.task import State
from taskspool.engine.workers import Workers
from taskspool.engine.task_logs import TaskLogs


class Housekeeping:
    bell: Bell
    _place: Place
    _presence: Presence
    _claims: Claims
    _reading: Reading
    _recorder: Recorder
    _intake: Intake
    _batches: Batches
    _arrivals: Arrivals

    def _take_care(self) -> None:
        """Called once, when everything it stands on is there."""
        self._retention = Retention(self._place, self._claims, self._reading, self._batches,
                                    self._arrivals.forget_keys, self._recorder.note)
        self._archive = Archive(self._place, self._claims, self._reading, self._arrivals.unique_again)
        self.logs = TaskLogs(self._place, self._claims, self._reading)
        self.workers = Workers(self._place, self._claims, self._presence, self.bell)
        self._repair = Repair(self._place, self._reading, self._batches, self._presence)

    def batch(self, batch_id: str) -> BatchRecord | None:
        return self._batches.record(batch_id)

    def batches(self, limit: int) -> list[BatchRecord]:
        return self._batches.newest(limit)

    def prune(self, before: datetime, states: Collection[State] | None = None) -> int:
        self._intake.catch_up()
        return self._retention.prune(before, states)

    def export(self, stream: IO[bytes]) -> Exported:
        return self._archive.export(stream)

    def bring_in(self, stream: IO[bytes]) -> Imported:
        return self._archive.bring_in(stream)

    def findings(self) -> Iterable[Finding]:
        return self._repair.findings.all()

    def mend(self, finding: Finding) -> bool:
        return self._repair.mend(finding)

    def problems(self) -> Iterable[str]:
        return (finding.sentence for finding in self.findings() if not finding.is_legal)
