"""Forgetting what is finished and old enough: by hand (``prune``), and a little in every sweep if it is asked for.

Nothing that waits or is held is ever touched, and of two times that tell when a task ended the later one counts: what
its result says, and when that file was written. So a result in which another program wrote a wrong time stays as long
as any other. The task's own file goes first: what a crash leaves is a result alone, which is a finished task too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta

from taskspool.engine import files, log_files
from taskspool.engine.batches import Batches
from taskspool.engine.claims import Claims
from taskspool.engine.events import Change
from taskspool.engine.layout import FINAL_STATES, id_of
from taskspool.engine.place import Place
from taskspool.engine.reading import Reading
from taskspool.engine.task import Result, State
from taskspool.settings import Settings

LOOKS_PER_SWEEP = 2_000
PRUNED_PER_SWEEP = 200
RECORDS_PER_SWEEP = 100
"""One sweep looks at so many results, removes so many tasks, and looks at so many keys and batches, at most."""
SHORTEST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 600.0
"""From one round over all results to the next: a tenth of the shortest time kept, within these."""

Limits = Mapping[State, datetime]
"""State -> what ended before this instant is over. A state that is not in it is kept for ever."""


def limits_of(settings: Settings, now: datetime) -> dict[State, datetime]:
    """What the settings keep, as limits; a state whose time is 0 is kept for ever."""
    kept = {State.DONE: settings.keep_done_seconds, State.DEAD: settings.keep_dead_seconds,
            State.CANCELLED: settings.keep_cancelled_seconds}
    return {state: now - timedelta(seconds=seconds) for state, seconds in kept.items() if seconds}


class Retention:
    """``forget_keys(before, names)`` unlinks idempotency keys whose tasks are all gone; ``note`` hears of it."""

    def __init__(self, place: Place, claims: Claims, reading: Reading, batches: Batches,
                 forget_keys: Callable[[datetime, Iterable[str] | None], None], note: Callable[[Change], None]) -> None:
        self._place = place
        self._claims = claims
        self._reading = reading
        self._batches = batches
        self._forget_keys = forget_keys
        self._note = note
        self._turn: list[str] = []
        self._records: list[str] = []
        self._has_pruned = False
        self._next_round = 0.0

    def prune(self, before: datetime, states: Collection[State] | None = None) -> int:
        """Done, dead, cancelled -> nowhere: all of ``states`` (None: any) that ended before ``before``. How many."""
        wanted = FINAL_STATES if states is None else states
        pruned = self._prune(self._all(), dict.fromkeys(wanted, before))
        self._forget_keys(before, None)
        self._batches.forget(before)
        return pruned

    def settle(self, now: datetime) -> int:
        """The share of one sweep in what the settings ask for. How many tasks went."""
        limits = limits_of(self._place.settings, now)
        if not limits:
            return 0
        if not self._turn and not self._records:
            self._begin_round(max(limits.values()), now)
        self._forget_some_records(max(limits.values()))
        over: list[str] = []
        for _ in range(min(LOOKS_PER_SWEEP, len(self._turn))):
            task_id = self._turn.pop()
            if self._may_be_over(task_id, max(limits.values()), now):
                over.append(task_id)
            if len(over) == PRUNED_PER_SWEEP:
                break
        pruned = self._prune(over, limits)
        self._has_pruned = self._has_pruned or pruned > 0
        return pruned

    def _begin_round(self, latest: datetime, now: datetime) -> None:
        """Read the names anew, the oldest last, if the last round is long enough ago."""
        clock = self._place.clock.monotonic()
        if clock < self._next_round:
            return
        if self._has_pruned:
            self._has_pruned = False
            self._records = [f"{folder}/{name}" for folder in ("keys", "batches")
                             for name in files.names(self._place.path(folder))]
        pause = (now - latest).total_seconds() / 10
        self._next_round = clock + min(LONGEST_PAUSE_SECONDS, max(SHORTEST_PAUSE_SECONDS, pause))
        self._turn = sorted(self._all(), reverse=True)

    def _all(self) -> list[str]:
        return list(filter(None, map(id_of, files.names(self._place.path("results")))))

    def _forget_some_records(self, before: datetime) -> None:
        """Keys and batches go when the last of their tasks has gone: in the round after."""
        names = [self._records.pop() for _ in range(min(RECORDS_PER_SWEEP, len(self._records)))]
        for folder, forget in (("keys", self._forget_keys), ("batches", self._batches.forget)):
            if some := [name.partition("/")[2] for name in names if name.startswith(folder)]:
                forget(before, some)

    # -- one task ------------------------------------------------------------------------------------------------

    def _may_be_over(self, task_id: str, latest: datetime, now: datetime) -> bool:
        """A look at the file's time, which is much cheaper than to read it."""
        written_at = self._written_at(task_id)
        return written_at is not None and not latest <= written_at <= now

    def _written_at(self, task_id: str) -> datetime | None:
        """When its result's file was written; None when it is gone."""
        try:
            return datetime.fromtimestamp(files.file_number(self._place.result_path(task_id))[1] / 1e9, UTC)
        except FileNotFoundError:
            return None

    def _prune(self, task_ids: Iterable[str], limits: Limits) -> int:
        over = [task_id for task_id in task_ids if self._over(task_id, limits)]
        if not over:
            return 0
        # A task with a result is not claimed anew, so who is not held after its result was seen stays so.
        held = {lease.task_id for lease in self._claims.look()}
        return sum(self._forget(task_id, limits) for task_id in over if task_id not in held)

    def _over(self, task_id: str, limits: Limits) -> Result | None:
        """Its result, if that is older than the limit of its state."""
        result = self._reading.result(task_id)
        if result is None or result.state not in limits or result.completed_at >= limits[result.state]:
            return None
        written_at = self._written_at(task_id)
        if written_at is None or limits[result.state] <= written_at <= self._place.clock.now():
            return None  # beyond now: the clock was set back since, and what the result says is the better word
        return result

    def _forget(self, task_id: str, limits: Limits) -> bool:
        """Unlink the task's files, its result last. False when it is not over, not settled, or the disk refuses."""
        with self._place.moves.of(task_id):
            result = self._over(task_id, limits)
            if result is None or any(files.exists(self._place.task_path(state, task_id))
                                     for state in (State.READY, State.SCHEDULED)):
                return False  # retried meanwhile, or its file has yet to follow its result: the sweep sees to that
            paths = [self._place.task_path(state, task_id) for state in FINAL_STATES]
            for path in paths:
                files.discard(path)
            log_files.remove(self._place.path("logs", task_id))
            if any(map(files.exists, paths)) or not files.discard(self._place.result_path(task_id)):
                return False  # its result stays until both can go
        self._reading.ledger.forget(task_id)
        self._note(Change("prune", task_id, None, self._place.clock.now(), reason=result.state.value))
        return True
