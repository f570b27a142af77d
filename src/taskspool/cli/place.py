"""Where a command looks and acts: the folder, or the bridge. One set of questions, one shape of answers for both."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from taskspool.cli.options import connected, opened
from taskspool.cli.printing import counts_json, task_json
from taskspool.cli.shapes import told_json
from taskspool.engine.index_query import Filter
from taskspool.engine.log_lines import LogLine
from taskspool.engine.task import State
from taskspool.errors import Conflict, NotFound, StoreUnavailable
from taskspool.shapes import (
    Shape, batch_json, event_json, explanation_json, pauses_json, statistics_json, worker_json,
)

if TYPE_CHECKING:
    from taskspool.client import Client
    from taskspool.engine.lifecycle import Queue

EVENTS_AT_ONCE = 500
NEW_EVENTS_SECONDS = 0.2
"""How often a folder is asked for new events."""
NEW_LINES_SECONDS = 0.1
"""How often it is asked for new lines of a log."""
MOST = 1000
"""What one question for tasks brings at most."""
ORDERS: Mapping[State | None, str] = {
    State.READY: "-priority", State.CLAIMED: "created_at", State.SCHEDULED: "created_at", State.DONE: "-finished_at",
    State.DEAD: "-finished_at", State.CANCELLED: "-finished_at",
}
"""How a state is listed: what waits as it will be claimed, what is finished with the latest first."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which tasks a listing shows, in which order (None: the order of their state), and which part of it."""

    filter: Filter
    sort: str | None = None
    limit: int = 20
    offset: int = 0

    @property
    def state(self) -> State | None:
        """The one state that is asked for."""
        states = self.filter.states or ()
        return next(iter(states)) if len(states) == 1 else None

    @property
    def is_plain(self) -> bool:
        """Whether the folder itself can be asked, without its index."""
        only_types = Filter(self.filter.states, self.filter.types)
        return self.state is not None and self.filter == only_types and self.sort is None and not self.offset


@dataclass(frozen=True, slots=True)
class Found:
    """A part of a listing; ``total`` is how many there are in all, None when that is not known this moment."""

    tasks: list[Shape]
    total: int | None


@dataclass(frozen=True, slots=True)
class Chosen:
    """Tasks that something is done to. ``older_than`` seconds: since their end, or their creation."""

    states: frozenset[State]
    types: frozenset[str] | None = None
    group: str | None = None
    older_than: float | None = None
    limit: int = MOST


class Place(Protocol):
    def task(self, task_id: str) -> Shape: ...

    def explain(self, task_id: str) -> Shape: ...

    def overview(self) -> Shape:
        """``{counts, paused, pause, paused_types}``"""

    def tasks(self, wanted: Wanted) -> Found: ...

    def stats(self, type_: str | None, group: str | None) -> Shape: ...

    def cancel(self, task_id: str, by: str, reason: str | None) -> Shape: ...

    def retry(self, task_id: str, by: str, reason: str | None) -> Shape: ...

    def many(self, verb: str, chosen: Chosen, by: str, reason: str | None) -> Shape:
        """Cancel or retry what is ``chosen``: ``{count, task_ids, skipped: [{task_id, code, message}]}``."""

    def pause(self, types: list[str] | None, by: str, reason: str | None) -> Shape: ...

    def resume(self, types: list[str] | None) -> Shape: ...

    def workers(self) -> list[Shape]:
        """All that are known, by name."""

    def order(self, worker: str, order: str, by: str, reason: str | None) -> Shape: ...

    def batch(self, batch_id: str) -> Shape: ...

    def batches(self, limit: int) -> list[Shape]: ...

    def events(self, after: str | None, task_id: str | None, *, follow: bool) -> Iterator[Shape]: ...

    def log(self, task_id: str, after: int, *, follow: bool) -> Iterator[LogLine]:
        """The lines behind ``after``; with ``follow`` until the task has ended."""


@contextmanager
def place(url: str | None, root: Path | None, queue: str | None) -> Iterator[Place]:
    """The bridge at ``url``, or the folder, which must be there."""
    if url is not None:
        with connected(url) as client:
            yield BridgePlace(client)
        return
    with opened(root, queue) as folder:
        yield FolderPlace(folder)


class FolderPlace:
    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def task(self, task_id: str) -> Shape:
        snapshot = self._queue.task(task_id)
        return told_json(snapshot, self._queue.story(task_id), self._queue.cancel_request(task_id))

    def explain(self, task_id: str) -> Shape:
        return explanation_json(self._queue.explain(task_id))

    def overview(self) -> Shape:
        return pauses_json(self._queue.paused()) | {"counts": counts_json(self._queue.counts())}

    def tasks(self, wanted: Wanted) -> Found:
        if not wanted.is_plain or wanted.state is None:
            return _gathered(wanted, self._page)
        found = self._queue.listing(wanted.state, types=wanted.filter.types, limit=wanted.limit)
        total: int | None = len(found)
        if len(found) == wanted.limit:
            try:
                total = self._queue.store.index.listing(wanted.filter, limit=0).total
            except StoreUnavailable:  # the files were asked: that they are there does not hang on their number
                total = None
        return Found([task_json(snapshot) for snapshot in found], total)

    def _page(self, wanted: Filter, sort: str, limit: int, offset: int) -> Found:
        page = self._queue.store.index.listing(wanted, sort=sort, limit=limit, offset=offset)
        return Found([task_json(snapshot) for snapshot in page.items], page.total)

    def stats(self, type_: str | None, group: str | None) -> Shape:
        return statistics_json(self._queue.store.index.statistics(), [type_] if type_ else [], [group] if group else [])

    def cancel(self, task_id: str, by: str, reason: str | None) -> Shape:
        snapshot = self._queue.cancel(task_id, by=by, reason=reason)
        return {"task_id": task_id, "state": snapshot.state.value,
                "cancel_requested": not snapshot.state.is_final}

    def retry(self, task_id: str, by: str, reason: str | None) -> Shape:
        snapshot = self._queue.retry(task_id, by=by, reason=reason)
        return {"task_id": task_id, "state": snapshot.state.value}

    def many(self, verb: str, chosen: Chosen, by: str, reason: str | None) -> Shape:
        done: list[str] = []
        skipped: list[Shape] = []
        for task in _gathered(Wanted(filter_of(chosen), "created_at", chosen.limit), self._page).tasks:
            try:
                (self.cancel if verb == "cancel" else self.retry)(task["id"], by, reason)
                done.append(task["id"])
            except (NotFound, Conflict) as error:  # it has moved on since it was found: the others are meant too
                skipped.append({"task_id": task["id"], "code": error.code, "message": error.message})
        return {"count": len(done), "task_ids": done, "skipped": skipped}

    def pause(self, types: list[str] | None, by: str, reason: str | None) -> Shape:
        self._queue.pause(types, by=by, reason=reason)
        return pauses_json(self._queue.paused())

    def resume(self, types: list[str] | None) -> Shape:
        self._queue.resume(types)
        return pauses_json(self._queue.paused())

    def workers(self) -> list[Shape]:
        return [worker_json(info) for info in self._queue.workers.list()]

    def order(self, worker: str, order: str, by: str, reason: str | None) -> Shape:
        return worker_json(self._queue.workers.order(worker, order, by, reason))

    def batch(self, batch_id: str) -> Shape:
        return batch_json(self._queue.batch(batch_id))

    def batches(self, limit: int) -> list[Shape]:
        return [batch_json(batch) for batch in self._queue.batches(limit)]

    def events(self, after: str | None, task_id: str | None, *, follow: bool) -> Iterator[Shape]:
        """With ``follow`` and no ``after`` it begins now; ``0``, as over the bridge, is all that is known."""
        index = self._queue.store.index
        if follow and after is None:
            after = index.last_event_id()
        elif after == "0":
            after = None
        while True:
            found = index.events(after, task_id=task_id, limit=EVENTS_AT_ONCE)
            yield from map(event_json, found)
            after = found[-1].id if found else after
            if len(found) < EVENTS_AT_ONCE:
                if not follow:
                    return
                threading.Event().wait(NEW_EVENTS_SECONDS)

    def log(self, task_id: str, after: int, *, follow: bool) -> Iterator[LogLine]:
        while True:
            page = self._queue.logs.read(task_id, after)
            yield from page.lines
            after = page.next - 1
            if page.is_finished or not (page.lines or follow):
                return
            if not page.lines:
                threading.Event().wait(NEW_LINES_SECONDS)


class BridgePlace:
    def __init__(self, client: Client) -> None:
        self._client = client

    def task(self, task_id: str) -> Shape:
        return self._client.task(task_id)

    def explain(self, task_id: str) -> Shape:
        return self._client.explain(task_id)

    def overview(self) -> Shape:
        return self._client.queue()

    def tasks(self, wanted: Wanted) -> Found:
        return _gathered(wanted, self._page)

    def _page(self, wanted: Filter, sort: str, limit: int, offset: int) -> Found:
        page = self._client.tasks(limit=limit, offset=offset, sort=sort, **_query(wanted))
        return Found(list(page), page.total)

    def stats(self, type_: str | None, group: str | None) -> Shape:
        return self._client.stats(type=type_, group=group)

    def cancel(self, task_id: str, by: str, reason: str | None) -> Shape:
        return self._client.cancel(task_id, by=by, reason=reason)

    def retry(self, task_id: str, by: str, reason: str | None) -> Shape:
        return self._client.retry(task_id, by=by, reason=reason)

    def many(self, verb: str, chosen: Chosen, by: str, reason: str | None) -> Shape:
        call = self._client.cancel_many if verb == "cancel" else self._client.retry_many
        return call(state=sorted(chosen.states), type=None if chosen.types is None else sorted(chosen.types),
                    group=chosen.group, older_than=chosen.older_than, limit=chosen.limit, by=by, reason=reason)

    def pause(self, types: list[str] | None, by: str, reason: str | None) -> Shape:
        return self._client.pause(types, by=by, reason=reason)

    def resume(self, types: list[str] | None) -> Shape:
        return self._client.resume(types)

    def workers(self) -> list[Shape]:
        return self._client.workers()

    def order(self, worker: str, order: str, by: str, reason: str | None) -> Shape:
        return self._client.order_worker(worker, order, by=by, reason=reason)

    def batch(self, batch_id: str) -> Shape:
        return self._client.batch(batch_id)

    def batches(self, limit: int) -> list[Shape]:
        return self._client.batches(limit)

    def events(self, after: str | None, task_id: str | None, *, follow: bool) -> Iterator[Shape]:
        return map(event_json, self._client.events(after, task_id=task_id, follow=follow))

    def log(self, task_id: str, after: int, *, follow: bool) -> Iterator[LogLine]:
        if follow:
            yield from self._client.follow_log(task_id, after)
            return
        while (page := self._client.log(task_id, after)).lines:
            yield from page.lines
            after = page.next - 1


def _gathered(wanted: Wanted, page: Callable[[Filter, str, int, int], Found]) -> Found:
    """All of ``wanted``, in pages of what one question may bring."""
    sort = wanted.sort or ORDERS.get(wanted.state, "-created_at")
    tasks: list[Shape] = []
    total: int | None = None
    for offset in range(wanted.offset, wanted.offset + wanted.limit, MOST):
        found = page(wanted.filter, sort, min(MOST, wanted.offset + wanted.limit - offset), offset)
        tasks, total = tasks + found.tasks, found.total
        if not found.tasks or (total is not None and offset + MOST >= total):
            break
    return Found(tasks, total)


def filter_of(chosen: Chosen) -> Filter:
    """The filter that finds what is ``chosen`` now."""
    wanted = Filter(chosen.states, chosen.types, group=chosen.group)
    if chosen.older_than is None:
        return wanted
    before = datetime.now(UTC) - timedelta(seconds=chosen.older_than)
    if all(state.is_final for state in chosen.states):
        return replace(wanted, finished_before=before)
    return replace(wanted, created_before=before)


def _query(wanted: Filter) -> dict[str, Any]:
    """The filter as ``Client.tasks`` takes it. Without a state all are meant, so that it is not the old question."""
    states = State if wanted.states is None else wanted.states
    return {
        "state": sorted(state.value for state in states), "type": sorted(wanted.types or ()) or None,
        "priority": [level.word for level in sorted(wanted.priorities or ())] or None, "group": wanted.group,
        "tag": list(wanted.tags) or None, "requester": wanted.requester, "worker": wanted.worker,
        "created_after": wanted.created_after, "created_before": wanted.created_before,
        "finished_after": wanted.finished_after, "finished_before": wanted.finished_before, "batch": wanted.batch_id,
        "parent": wanted.parent,
    }
