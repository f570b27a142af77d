"""Ready -> claimed: the next of the line, exactly one, or one that is to be ended without being run.

The line suggests, the rename decides. What turns out not to be claimable after the rename goes back at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from taskspool.clock import Clock
from taskspool.engine import files
from taskspool.engine.claims import Claims
from taskspool.engine.documents import Incomplete, Unreadable, foreign_holder, parse, task_of
from taskspool.engine.events import Change
from taskspool.engine.history import SELF
from taskspool.engine.intake import Intake
from taskspool.engine.layout import new_token, worker_folder
from taskspool.engine.options import PLAIN
from taskspool.engine.pauses import PauseFile
from taskspool.engine.place import Place
from taskspool.engine.reading import Reading
from taskspool.engine.ready import Entry
from taskspool.engine.recorder import Recorder
from taskspool.engine.task import Claim, Lease, Snapshot, State, Task
from taskspool.errors import StoreUnavailable, TaskNotClaimable, TaskNotFound, TaskspoolError

CLAIM_TRIES = 5


class Taking:
    def __init__(self, place: Place, claims: Claims, reading: Reading, intake: Intake, pauses: PauseFile,
                 recorder: Recorder) -> None:
        self._place = place
        self._clock: Clock = place.clock
        self._claims = claims
        self._reading = reading
        self._intake = intake
        self._line = intake.line
        self._pauses = pauses
        self._recorder = recorder
        self._untold: list[tuple[Lease, State]] = []
        self._past_deadline: dict[str, Task] = {}

    def take(self, worker: str, types: Collection[str] | None, limit: int, lease_seconds: int) -> list[Claim]:
        worker_folder(worker)  # a name that makes no folder is refused before a task is touched
        self._recorder.asked(worker, types)
        pauses = self._pauses.now()
        claims: list[Claim] = []
        while len(claims) < limit and pauses.queue is None:
            entry = self._line.pop(types, pauses.types) or self._look_and_pop(types, pauses.types)
            if entry is None:
                break
            try:
                claim = self._claim_or_put_back(entry, worker, lease_seconds)
            except StoreUnavailable:
                if claims:
                    break
                raise
            if claim is not None:
                claims.append(claim)
        return claims

    def _look_and_pop(self, types: Collection[str] | None, paused: Collection[str]) -> Entry | None:
        """Nothing in the line: other processes may have added something since the last sweep."""
        self._intake.look_at_tasks(wait=False, until=lambda: self._line.head(types, paused) is not None)
        return self._line.pop(types, paused)

    def take_one(self, task_id: str, worker: str, lease_seconds: int) -> Claim:
        worker_folder(worker)
        snapshot = self._find(task_id)
        self._refuse_paused(snapshot)
        return self._take_found(snapshot, worker, lease_seconds, is_for_end=False)

    def take_to_end(self, task_id: str, worker: str) -> Claim:
        """Scheduled, ready -> claimed by this process, paused or not, whatever its deadline: it will not be run."""
        worker_folder(worker)
        self._past_deadline.pop(task_id, None)
        snapshot = self._find(task_id)
        claim = self._claim_scheduled(snapshot.task, worker) if snapshot.state is State.SCHEDULED else None
        return claim or self._take_found(snapshot, worker, 0, is_for_end=True)

    def _find(self, task_id: str) -> Snapshot:
        snapshot = self._reading.find(task_id)
        if snapshot is None:
            raise TaskNotFound(f"no task has the id {task_id}", task_id=task_id)
        return snapshot

    def _take_found(self, snapshot: Snapshot, worker: str, lease_seconds: int, *, is_for_end: bool) -> Claim:
        task_id, claim = snapshot.task.id, None
        if snapshot.state is State.READY:
            self._line.discard(task_id)
            entry = self._intake.entry_of(snapshot.task)
            claim = self._claim_or_put_back(entry, worker, lease_seconds, is_for_end=is_for_end)
            snapshot = snapshot if claim else self._reading.find(task_id) or snapshot
        if claim is None and task_id in self._past_deadline:
            raise TaskNotClaimable(f"task {task_id} is not handed out any more: its time is over", task_id=task_id,
                                   state=snapshot.state.value)
        if claim is None and snapshot.state is State.READY:
            raise StoreUnavailable(f"task {task_id} cannot be read this moment", task_id=task_id)
        if claim is None:
            raise TaskNotClaimable(f"task {task_id} is not waiting: it is {snapshot.state.value}", task_id=task_id,
                                   state=snapshot.state.value)
        return claim

    def _refuse_paused(self, snapshot: Snapshot) -> None:
        pauses, task = self._pauses.now(), snapshot.task
        if snapshot.state is State.READY and (pauses.queue is not None or task.type in pauses.types):
            what = "the queue" if pauses.queue is not None else f"the type {task.type!r}"
            raise TaskNotClaimable(f"task {task.id} is not handed out: {what} is paused", task_id=task.id,
                                   state=snapshot.state.value)

    def _claim_scheduled(self, task: Task, worker: str) -> Claim | None:
        """Scheduled -> claimed, to end it; None when somebody was faster."""
        lease = self.lease_to_end(task.id, worker)
        if not self.hold(lease, State.SCHEDULED):
            return None
        self._claims.add(lease, task)
        return Claim(task, lease)

    def lease_to_end(self, task_id: str, worker: str = SELF) -> Lease:
        """The lease of this process for a task that is taken, and not to be run. Nothing is taken yet."""
        token = new_token(self._place.epoch, self._place.slot, 0, self._clock.now())
        return Lease(task_id, worker, 0, token.text, 0, token.claimed_at)

    def hold(self, lease: Lease, state: State) -> bool:
        """``state`` (scheduled or ready) -> claimed by ``lease``, which is told to nobody. False: it is not there."""
        return self._rename_claim(self._place.task_path(state, lease.task_id), self._place.lease_path(lease))

    @contextmanager
    def giving_back(self, lease: Lease, state: State) -> Iterator[None]:
        """What fails within leaves nothing claimed: what ``lease`` holds goes back to where it came from."""
        try:
            yield
        except TaskspoolError:
            self._untold.append((lease, state))  # a disk that refuses may not say whether it is there
            self.give_back_untold()
            raise

    def _claim_or_put_back(self, entry: Entry, worker: str, lease_seconds: int, *,
                           is_for_end: bool = False) -> Claim | None:
        try:
            return self._claim(entry, worker, lease_seconds, is_for_end=is_for_end)
        except StoreUnavailable:
            self._line.add(entry)
            raise

    def _claim(self, entry: Entry, worker: str, lease_seconds: int, *, is_for_end: bool) -> Claim | None:
        """The claim, or None when the task is not to be had (any more): then it is out of the line, or will be."""
        path = self._place.task_path(State.READY, entry.task_id)
        found = self._intake.read_ready(entry.task_id)
        if found is None:
            return None
        task, number = found
        now = self._clock.now()
        if not is_for_end and task.type != entry.type:  # others may write it anew: it is for whom it says now
            self._line.add(self._intake.entry_of(task))
            return None
        if not is_for_end and task.options is not PLAIN:
            if task.deadline is not None and task.deadline <= now:
                self._past_deadline[task.id] = task  # too late to begin it: the sweep gives it up
                return None
            lease_seconds = task.options.lease_seconds or lease_seconds
        token = new_token(self._place.epoch, self._place.slot, lease_seconds, now)
        attempt = 0 if is_for_end else task.next_attempt
        lease = Lease(task.id, worker, attempt, token.text, lease_seconds, token.claimed_at)
        target = self._place.lease_path(lease)
        if not self._rename_claim(path, target):
            return None
        self._claims.add(lease, task)
        try:  # written anew between the look and the rename, or others had it meanwhile, and one more: look again
            current = task if files.file_number(target) == number else self._reread(target, task.id)
        except FileNotFoundError:  # a foreign result came this moment, and the file has followed it
            self._claims.remove(lease)
            return None
        except StoreUnavailable:
            self._untold.append((lease, State.READY))
            self.give_back_untold()
            raise
        if current is None or (not is_for_end and (current.type, current.next_attempt) != (entry.type, attempt)):
            self._untold.append((lease, State.READY))
            self.give_back_untold()
            return None if current is None else self._claim(entry, worker, lease_seconds, is_for_end=is_for_end)
        if not is_for_end:
            self._recorder.note(Change("claim", task.id, State.CLAIMED, now, current, None, worker,
                                       lease.attempt))
        return Claim(current, lease)

    def _rename_claim(self, path: str, target: str) -> bool:
        """False when somebody was faster."""
        for _ in range(CLAIM_TRIES):
            try:
                files.move(path, target)  # the instant: the task is this worker's
            except FileNotFoundError:
                if not files.exists(path):
                    return False
                files.make_folder(target.rpartition("/")[0])  # a start may remove it again: it was empty
            else:
                return True
        raise StoreUnavailable(f"the folder of {target} does not stay")

    def put_back(self, claim: Claim) -> None:
        """A task that was taken to be ended, and could not be: where it came from, and as soon as that works."""
        not_before = claim.task.not_before
        is_early = not_before is not None and not_before > self._clock.now()
        self._untold.append((claim.lease, State.SCHEDULED if is_early else State.READY))
        self.give_back_untold()

    def give_back_untold(self) -> None:
        """Claims -> where they came from, that nobody was told of because what came after failed. Tried until it
        works."""
        for lease, state in [self._untold.pop() for _ in range(len(self._untold))]:
            try:
                with self._place.moves.of(lease.task_id):
                    files.move(self._place.lease_path(lease), self._place.task_path(state, lease.task_id))
            except FileNotFoundError:
                pass  # finished, or given back, by somebody else
            except StoreUnavailable:
                self._untold.append((lease, state))
                continue
            self._claims.remove(lease)
            self._intake.came_back(lease.task_id, state)

    def _reread(self, path: str, task_id: str) -> Task | None:
        """The task as it is now; None when it is not claimable as it stands."""
        try:
            document = parse(files.read(path, self._place.max_file_bytes)[0])
            return None if foreign_holder(document) else task_of(document, task_id, self._clock.now())
        except (Incomplete, Unreadable, files.NotRegular):
            return None

    def take_past_deadline(self) -> list[Task]:
        """Tasks that were met at the head of the line after their time: told until somebody has taken them."""
        for task_id in list(self._past_deadline):
            if not files.exists(self._place.task_path(State.READY, task_id)):
                self._past_deadline.pop(task_id, None)
        return list(self._past_deadline.values())
