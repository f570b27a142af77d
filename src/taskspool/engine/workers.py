"""The registry of workers: who is alive, what each does, and what it was told from outside.

    workers/<name>.json          what a worker told of itself; the time of the file is its last sign of life
    workers/<name>,order.json    what it is told: be quiet, or end (``worker_orders``)
    workers/<name>,twin.json     another process that uses the same name
    locks/slot-<n>.epoch         in which epoch the process with that slot's lock registered a worker

A worker on the folder is alive exactly as long as its process holds the lock of its slot: the kernel tells. One that
speaks over HTTP is alive until it has been silent for ``SILENT_SECONDS``. No task depends on what stands here: a
registry that cannot be written is behind, and never in the way.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from taskspool.engine import files
from taskspool.engine.bell import Bell
from taskspool.engine.claims import Claims
from taskspool.engine.documents import Unreadable, parse, sealed
from taskspool.engine.layout import worker_folder
from taskspool.engine.place import Place
from taskspool.engine.presence import Presence
from taskspool.engine.task import check_name
from taskspool.engine.worker_orders import Orders
from taskspool.engine.worker_record import (
    GONE, MAX_ASKED, ORDERS, RUN, Record, Twin, WorkerInfo, WorkerReport, check_report, is_older, is_other_process,
    joined, record_document, record_of,
)
from taskspool.errors import InvalidRequest, StoreUnavailable, WorkerNotFound

SILENT_SECONDS = 75.0
"""Three beats of 20 s that did not come, and some grace."""
TOUCH_SECONDS = 5.0
"""A sign of life that says nothing new is noted at most so often."""
MAX_WORKERS = 10_000
MAX_RECORD_BYTES = 1 << 20
SETTLE_SECONDS = 60.0

log = logging.getLogger("taskspool.workers")


@dataclass(frozen=True, slots=True)
class Mark:
    """What this process last noted of a worker, and when (monotonic). ``run`` empty: the record is another's."""

    at: float
    told: Any
    run: str


class Workers:
    """Safe for many threads and processes: of two that write one record the later wins, and both write again."""

    def __init__(self, place: Place, claims: Claims, presence: Presence, bell: Bell) -> None:
        self._place = place
        self._claims = claims
        self._presence = presence
        self._orders = Orders(place, bell)
        self.look_for_orders = self._orders.look
        self._lock = threading.Lock()
        self._reports: dict[str, Mark] = {}
        self._polls: dict[str, Mark] = {}
        self._signs: dict[str, tuple[int, float]] = {}
        self._is_behind = False
        self._number, self._count_at = 0, 0.0
        self._settled_at = place.clock.monotonic()

    # -- signs of life -------------------------------------------------------------------------------------------

    def report(self, report: WorkerReport, *, is_local: bool = False) -> str:
        """A worker tells of itself; what it is to do: ``run``, ``quiet`` or ``terminate``.

        ``is_local``: it runs in this very process, whose lock shows its life. Raises InvalidRequest.
        """
        worker_folder(check_report(report).worker)
        told = (report, is_local)
        with self._lock:
            mark = self._reports.get(report.worker)
            if mark is None or mark.told != told or not self._is_fresh(mark):
                run = self._sign(report.worker, lambda old: self._reported(old, report, is_local))
                mark = self._keep(self._reports, report.worker, Mark(self._place.clock.monotonic(), told, run))
            if report.state == GONE:
                self._polls.pop(report.worker, None)
        return self._told(report.worker, mark)

    def beat(self, worker: str, given: Mapping[str, Any]) -> str:
        """The same over HTTP, where each field of a WorkerReport may be left out: then it stays as it was told."""
        known = self.record(check_name("worker", worker))
        probe = WorkerReport(worker, host=given.get("host"), pid=given.get("pid"), started_at=given.get("started_at"))
        goes_on = known is not None and not known.is_local and self._lives(known) \
            and not is_other_process(known.report, probe)
        return self.report(replace(known.report if known is not None and goes_on else WorkerReport(worker), **given))

    def asked(self, worker: str, types: Collection[str] | None, started_at: datetime | None = None) -> str:
        """A worker asked over HTTP for tasks of ``types`` (None: any): a sign of life too. What it is to do.

        Raises InvalidRequest.
        """
        mark = self._polls.get(worker)
        if mark is None or not self._is_fresh(mark) or not _covers(mark, types, started_at):
            worker_folder(check_name("worker_id", worker))
            with self._lock:
                asked = joined(() if mark is None or mark.told[0] != started_at else mark.told[1], types)
                run = self._sign(worker, lambda old: self._asked(old, worker, types, started_at))
                mark = self._keep(self._polls, worker, Mark(self._place.clock.monotonic(), (started_at, asked), run))
        return self._told(worker, mark)

    def lives(self, worker: str) -> None:
        """A worker showed over HTTP that it lives, and said nothing of itself."""
        mark = self._polls.get(worker)
        self.asked(worker, (), None if mark is None else mark.told[0])

    def _told(self, worker: str, mark: Mark) -> str:
        order = self._orders.asked(worker, mark.run)
        return RUN if order is None else order.order

    def _is_fresh(self, mark: Mark) -> bool:
        return self._place.clock.monotonic() - mark.at < TOUCH_SECONDS

    @staticmethod
    def _keep(marks: dict[str, Mark], worker: str, mark: Mark) -> Mark:
        marks.pop(worker, None)
        marks[worker] = mark
        if len(marks) > MAX_WORKERS:
            del marks[next(iter(marks))]
        return mark

    # -- writing -------------------------------------------------------------------------------------------------

    def _sign(self, worker: str, change: Callable[[Record | None], Record | None]) -> str:
        """Note what ``change`` makes of the record; the worker's run. Empty: the name is another process's (``change``
        said None), or the disk refused."""
        try:
            old = self.record(worker)
            new = change(old)
            if new is not None:
                self._write(worker, old, new)
        except StoreUnavailable as error:
            if not self._is_behind:
                log.warning("the registry of workers is behind: %s", error)
            self._is_behind = True
            return ""
        self._is_behind = False
        return "" if new is None else new.run

    def _write(self, worker: str, old: Record | None, new: Record) -> None:
        path = self._path(worker)
        if new == old:
            with suppress(FileNotFoundError):  # somebody tidied up: it is written anew
                files.touch(path)
                return
        if old is None and not self._has_room():
            return
        if new.is_local:
            self._mark_slot()
        self._place.install_lightly(sealed(record_document(new), MAX_RECORD_BYTES, "types"), path)
        if old is None or old.run != new.run or new.report.state == GONE:
            self._orders.forget(worker)  # what another run was told ends with it

    def _write_twin(self, other: WorkerReport) -> None:
        if other.state == GONE:
            return
        content = sealed({"host": other.host, "pid": other.pid}, MAX_RECORD_BYTES, "host")
        self._place.install_lightly(content, self._path(other.worker, ",twin"))

    def _has_room(self) -> bool:
        """Whether one more name may be kept. The names are counted now and then: who floods it must not be served."""
        now = self._place.clock.monotonic()
        if not self._count_at or now - self._count_at >= (SETTLE_SECONDS if self._is_full else TOUCH_SECONDS):
            self._number, self._count_at = len(files.names(self._place.path("workers"))), now
            if self._is_full:
                self._forget(0.0)
                self._number = len(files.names(self._place.path("workers")))
        if self._is_full:
            return False
        self._number += 1
        return True

    @property
    def _is_full(self) -> bool:
        return self._number >= MAX_WORKERS

    def _mark_slot(self) -> None:
        place = self._place
        if not self._holds_slot(place.slot, place.epoch):
            place.install_lightly(b"%d\n" % place.epoch, place.path("locks", f"slot-{place.slot}.epoch"))

    # -- what becomes of a record; None: it belongs to another process -------------------------------------------

    def _reported(self, old: Record | None, report: WorkerReport, is_local: bool) -> Record | None:
        slot, epoch = (self._place.slot, self._place.epoch) if is_local else (0, 0)
        if _is_over(old, report):
            return None
        if old is not None and self._lives(old):
            is_other = is_other_process(old.report, report) or (
                old.is_local and (old.slot, old.epoch) != (slot, epoch))
            if is_other and (is_older(old.report, report) or (old.is_local and not is_local)):
                self._write_twin(report)
                return None
            if not is_other:
                return replace(old, report=report, slot=slot, epoch=epoch)
        return Record(report, self._place.clock.now(), slot, epoch)

    def _asked(self, old: Record | None, worker: str, types: Collection[str] | None,
               started_at: datetime | None) -> Record | None:
        told = WorkerReport(worker, started_at=started_at)
        if _is_over(old, told):
            return None
        if old is not None and self._lives(old):
            if old.is_local or is_older(old.report, told):
                self._write_twin(told)
                return None
            if not is_other_process(old.report, told):
                return replace(old, asked=joined(old.asked, types))
        return Record(told, self._place.clock.now(), asked=joined((), types))

    # -- who lives -----------------------------------------------------------------------------------------------

    def _lives(self, record: Record, sign: int | None = None) -> bool:
        """``sign``: the time of its file, in ns; None: looked at now."""
        if record.report.state == GONE:
            return False
        if record.is_local:
            return self._holds_slot(record.slot, record.epoch)
        name = record.report.worker
        sign = self._time_of(self._path(name)) if sign is None else sign
        now = self._place.clock.monotonic()
        seen, since = self._signs.get(name, (-1, 0.0))
        if seen != sign:  # compared with itself from now on: a clock that is set makes nobody die, or live longer
            since = now - max(0.0, self._place.clock.now().timestamp() - sign / 1e9)
            if len(self._signs) > 2 * MAX_WORKERS:
                self._signs.clear()
            self._signs[name] = (sign, since)
        return now - since < SILENT_SECONDS

    def _holds_slot(self, slot: int, epoch: int) -> bool:
        """The lock of the slot is held, and by the process of that epoch: who takes a slot removes the mark."""
        if not self._presence.is_alive(slot, epoch):
            return False
        try:
            return int(files.read(self._place.path("locks", f"slot-{slot}.epoch"), 64)[0]) == epoch
        except (FileNotFoundError, files.NotRegular, ValueError):
            return False

    @staticmethod
    def _time_of(path: str) -> int:
        """In ns; 0 when the file is gone."""
        try:
            return files.file_number(path)[1]
        except FileNotFoundError:
            return 0

    # -- looking -------------------------------------------------------------------------------------------------

    def list(self) -> Sequence[WorkerInfo]:
        """Every worker that is known, by name; those that are gone too, until they are forgotten."""
        running = self._running()
        return sorted((self._info(record, sign, running.get(record.report.worker, []))
                       for record, sign in self._all()), key=lambda info: info.name)

    def get(self, worker: str) -> WorkerInfo:
        """Raises WorkerNotFound."""
        record = self._found(worker)
        return self._info(record, self._time_of(self._path(worker)), self._running().get(worker, []))

    def doing(self, task_type: str) -> Sequence[WorkerInfo]:
        """The live workers that do tasks of this type, those that are quiet too."""
        return [info for info in self.list() if info.is_alive and info.does(task_type)]

    def record(self, worker: str) -> Record | None:
        """What is kept under the name; None when nothing is, or it was damaged: the next report writes it anew."""
        record = self._read(f"{worker_folder(worker)}.json")
        return record if record is not None and record.report.worker == worker else None

    def _found(self, worker: str) -> Record:
        record = self.record(check_name("worker", worker))
        if record is None:
            raise WorkerNotFound(f"no worker is called {worker!r}", worker=worker,
                                 hint="taskspool workers lists those that are known")
        return record

    def _running(self) -> Mapping[str, Sequence[str]]:
        running: dict[str, list[str]] = {}
        for lease in self._claims.look():
            running.setdefault(lease.worker, []).append(lease.task_id)
        return running

    def _info(self, record: Record, sign: int, running: Collection[str]) -> WorkerInfo:
        is_alive, name = self._lives(record, sign), record.report.worker
        return WorkerInfo(
            record.report, is_alive, datetime.fromtimestamp(sign / 1e9, UTC), record.first_seen_at, record.types,
            tuple(sorted(running)), self._orders.to(name, record.run) if is_alive else None,
            self._twin(record.report) if is_alive else None)

    def _twin(self, report: WorkerReport) -> Twin | None:
        path = self._path(report.worker, ",twin")
        at = datetime.fromtimestamp(self._time_of(path) / 1e9, UTC)
        if (self._place.clock.now() - at).total_seconds() >= SILENT_SECONDS:
            return None
        try:
            document = parse(files.read(path, MAX_RECORD_BYTES)[0])
        except (FileNotFoundError, files.NotRegular, Unreadable):
            return None
        twin = Twin(document.get("host"), document.get("pid"), at)
        return None if (twin.host, twin.pid) == (report.host, report.pid) else twin  # it has the name to itself by now

    def _all(self) -> Iterator[tuple[Record, int]]:
        """Every record with the time of its file, in ns."""
        for name in files.names(self._place.path("workers")):
            if name.endswith(".json") and "," not in name and (record := self._read(name)) is not None:
                yield record, self._time_of(self._place.path("workers", name))

    def _read(self, name: str) -> Record | None:
        path = self._place.path("workers", name)
        try:
            record = record_of(parse(files.read(path, MAX_RECORD_BYTES)[0]))
            if f"{worker_folder(record.report.worker)}.json".casefold() != name.casefold():
                raise ValueError("it stands under another name")
            return record
        except FileNotFoundError:
            return None
        except (files.NotRegular, Unreadable, LookupError, TypeError, ValueError, InvalidRequest) as error:
            log.warning("workers/%s is no record of a worker, it is removed: %s", ascii(name), error)
            files.discard(path)  # it holds no task, and a worker that lives writes it anew
            return None

    def _path(self, worker: str, kind: str = "") -> str:
        return self._place.path("workers", f"{worker_folder(worker)}{kind}.json")

    # -- orders, and forgetting ----------------------------------------------------------------------------------

    def order(self, worker: str, order: str, by: str, reason: str | None = None) -> WorkerInfo:
        """Tell a live worker to take no new tasks (``quiet``), to end (``terminate``), or to go on (``run``).

        It ends with this run of it: who starts anew under the name is told nothing. Raises WorkerNotFound,
        InvalidRequest, StoreUnavailable.
        """
        check_name("by", by)
        if reason is not None:
            check_name("reason", reason, 1000)
        if order not in ORDERS:
            rule = "|".join(ORDERS)
            raise InvalidRequest(f"order must be one of {rule}", field="order", rule=rule)
        record = self._found(worker)
        if not self._lives(record):
            raise WorkerNotFound(f"worker {worker!r} is gone: there is nobody to be told", worker=worker)
        self._orders.give(worker, order, by, reason, record.run)
        return self.get(worker)

    def settle(self) -> None:
        """The share of a sweep: once a minute, those are forgotten who are gone for longer than the settings keep."""
        now, kept = self._place.clock.monotonic(), self._place.settings.keep_workers_seconds
        if now - self._settled_at >= SETTLE_SECONDS:
            self._settled_at = now
            if kept:
                self._forget(kept)

    def _forget(self, kept_seconds: float) -> None:
        """Remove those that are gone, and were last seen longer ago than this."""
        now = self._place.clock.now().timestamp()
        for record, sign in self._all():
            if now - sign / 1e9 >= kept_seconds and not self._lives(record, sign):
                worker = record.report.worker
                self._orders.forget(worker)
                files.discard(self._path(worker, ",twin"))
                files.discard(self._path(worker))
                self._signs.pop(worker, None)


def _is_over(old: Record | None, told: WorkerReport) -> bool:
    """Whether this very run has said goodbye: what still comes of it was under way."""
    return (old is not None and old.report.state == GONE and told.started_at is not None
            and old.report.started_at == told.started_at)


def _covers(mark: Mark, types: Collection[str] | None, started_at: datetime | None) -> bool:
    """Whether a poll says nothing that is not noted."""
    told_start, asked = mark.told
    if told_start != started_at:
        return False
    return asked is None or len(asked) >= MAX_ASKED or (types is not None and set(types) <= set(asked))
