"""What a worker tells of itself, and what is kept of it: frozen values, their rules, and their JSON. No I/O.

A *run* of a worker is one life of its process under one name. Who starts anew under the same name is another run: it
is told apart by ``started_at``, process id and machine, as far as these are told.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from taskspool.clock import from_text, to_text
from taskspool.engine.names import MAX_TYPE_CHARS, check_name
from taskspool.engine.task import JsonValue
from taskspool.errors import InvalidRequest

RUN = "run"
QUIET = "quiet"
TERMINATE = "terminate"
ORDERS = (RUN, QUIET, TERMINATE)
"""What a worker may be told: take tasks; take no new ones; end."""
BEAT_SECONDS = 20.0
"""A worker over HTTP shows that it lives so often, also with nothing in hand."""
STOPPING = "stopping"
GONE = "gone"
"""The state of a worker that has said goodbye, or is not heard of any more."""
MAX_KIND_CHARS = 32
MAX_TYPES = 500
MAX_ASKED = 100
MAX_LABELS = 20
MAX_LABEL_CHARS = 64
MAX_NUMBER = 1 << 53


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What a worker tells of itself. ``types`` None: not told. ``done`` and ``failed`` count since ``started_at``."""

    worker: str
    kind: str = "http"
    host: str | None = None
    pid: int | None = None
    version: str | None = None
    types: tuple[str, ...] | None = None
    concurrency: int = 1
    state: str = "running"
    started_at: datetime | None = None
    done: int = 0
    failed: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Twin:
    """Another process that used the same name at the same time, and when it was last heard of."""

    host: str | None
    pid: int | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Record:
    """One name in the registry. ``asked``: the types it polled for (None: any; empty: it has not).

    ``slot`` and ``epoch`` of the process that shows its life by a lock; 0, 0 when it is heard of over HTTP only.
    ``run`` is a random word of this run of it.
    """

    report: WorkerReport
    first_seen_at: datetime
    slot: int = 0
    epoch: int = 0
    asked: tuple[str, ...] | None = ()
    run: str = field(default_factory=lambda: secrets.token_hex(6))

    @property
    def is_local(self) -> bool:
        return self.epoch != 0

    @property
    def types(self) -> tuple[str, ...] | None:
        """What it does, as it says or, if it does not, as it asked; None: any."""
        return self.asked if self.report.types is None else self.report.types


@dataclass(frozen=True, slots=True)
class GivenOrder:
    """What a run of a worker was told from outside: ``quiet`` or ``terminate``, by whom, why and when."""

    order: str
    by: str
    reason: str | None
    at: datetime
    run: str = ""


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker as it stands. ``running``: ids of the tasks it holds now. ``state`` is ``gone`` when it is not alive.

    ``types`` None: any, an empty one: not known. ``twin``: another process uses the name as well.
    """

    report: WorkerReport
    is_alive: bool
    last_seen_at: datetime
    first_seen_at: datetime
    types: tuple[str, ...] | None
    running: tuple[str, ...]
    order: GivenOrder | None
    twin: Twin | None

    @property
    def name(self) -> str:
        return self.report.worker

    @property
    def state(self) -> str:
        return self.report.state if self.is_alive else GONE

    @property
    def is_quiet(self) -> bool:
        """Alive, and takes no new tasks."""
        return self.is_alive and (self.order is not None or self.report.state in (QUIET, STOPPING))

    def does(self, task_type: str) -> bool:
        return self.types is None or task_type in self.types


def check_report(report: WorkerReport) -> WorkerReport:
    """``report`` unchanged. Raises InvalidRequest naming the field and the rule."""
    check_name("worker", report.worker)
    check_name("kind", report.kind, MAX_KIND_CHARS)
    check_name("state", report.state, MAX_KIND_CHARS)
    for name in ("host", "version"):
        if getattr(report, name) is not None:
            check_name(name, getattr(report, name))
    for name, low in (("pid", 0), ("concurrency", 1), ("done", 0), ("failed", 0)):
        number = getattr(report, name)
        if number is not None and not low <= number <= MAX_NUMBER:
            raise InvalidRequest(f"{name} must lie in {low}..{MAX_NUMBER}", field=name, rule=f"{low}..{MAX_NUMBER}")
    if report.types is not None:
        if len(report.types) > MAX_TYPES:
            raise InvalidRequest(f"types must be at most {MAX_TYPES}", field="types", rule=f"at most {MAX_TYPES}")
        for each in report.types:
            check_name("types", each, MAX_TYPE_CHARS)
    _check_labels(report.labels)
    return report


def _check_labels(labels: Mapping[str, str]) -> None:
    if len(labels) > MAX_LABELS:
        raise InvalidRequest(f"labels must be at most {MAX_LABELS}", field="labels", rule=f"at most {MAX_LABELS}")
    for name, value in labels.items():
        check_name("labels", name, MAX_LABEL_CHARS)
        if value != "":
            check_name("labels", value, MAX_LABEL_CHARS)


# -- which run of it -------------------------------------------------------------------------------------------------


def is_other_process(known: WorkerReport, told: WorkerReport) -> bool:
    """Whether what both told of machine, process and start shows two of them."""
    pairs = ((known.host, told.host), (known.pid, told.pid), (known.started_at, told.started_at))
    return any(mine is not None and yours is not None and mine != yours for mine, yours in pairs)


def is_older(known: WorkerReport, told: WorkerReport) -> bool:
    """Whether ``told`` comes from a process that began before the known one."""
    return known.started_at is not None and told.started_at is not None and told.started_at < known.started_at


def joined(asked: tuple[str, ...] | None, types: Collection[str] | None) -> tuple[str, ...] | None:
    """What a worker asked for until now, and this; of more than can be kept, some."""
    if asked is None or types is None:
        return None
    return tuple(sorted({*asked, *types}))[:MAX_ASKED]


# -- JSON ------------------------------------------------------------------------------------------------------------


def record_document(record: Record) -> dict[str, JsonValue]:
    report = record.report
    return {
        "worker": report.worker, "kind": report.kind, "host": report.host, "pid": report.pid,
        "version": report.version, "types": None if report.types is None else list(report.types),
        "concurrency": report.concurrency, "state": report.state, "started_at": _text(report.started_at),
        "done": report.done, "failed": report.failed, "labels": dict(report.labels),
        "first_seen_at": to_text(record.first_seen_at), "slot": record.slot, "epoch": record.epoch,
        "asked": None if record.asked is None else list(record.asked), "run": record.run,
    }


def record_of(document: Mapping[str, Any]) -> Record:
    """Raises LookupError, TypeError, ValueError or InvalidRequest when it is not the record of a worker."""
    types, asked, started = document["types"], document["asked"], document["started_at"]
    report = WorkerReport(
        document["worker"], document["kind"], document["host"], document["pid"], document["version"],
        None if types is None else tuple(types), document["concurrency"], document["state"],
        None if started is None else from_text(started), document["done"], document["failed"],
        dict(document["labels"]))
    return Record(
        check_report(report), from_text(document["first_seen_at"]), int(document["slot"]), int(document["epoch"]),
        None if asked is None else tuple(asked), str(document["run"]))


def order_document(order: GivenOrder) -> dict[str, JsonValue]:
    return {"order": order.order, "by": order.by, "reason": order.reason, "at": to_text(order.at), "run": order.run}


def order_of(document: Mapping[str, Any]) -> GivenOrder:
    """Raises LookupError, TypeError or ValueError when it is not an order."""
    reason = document["reason"]
    if document["order"] not in (QUIET, TERMINATE):
        raise ValueError(f"{document['order']!r} is no order")
    return GivenOrder(document["order"], str(document["by"]), None if reason is None else str(reason),
                      from_text(document["at"]), str(document["run"]))


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else to_text(instant)
