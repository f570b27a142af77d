"""Workers that were stopped past their leases and woken again: refused whatever they bring, and nobody is disturbed.

The stopped processes are real (SIGSTOP); the time they sleep through is the watching process's own, so that a thousand
leases run out in seconds.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from contract.candidates import FileCandidate
from contract.states import everything
from fake_clock import FakeClock
from faults.children import Child, Talk
from faults.forks import needs_fork
from faults.scenarios import LEASE_SECONDS
from faults.verdict import queue_on
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.options import Options
from taskspool.engine.task import Lease, NewTask, State
from taskspool.errors import LeaseLost, TaskNotFound, TaskspoolError

pytestmark = needs_fork
SEED = 20_269
ZOMBIES, HELD_BY_EACH, RACERS, ON_ONE_FOLDER = 5, 20, 100, 30
ROUNDS = int(os.environ.get("TASKSPOOL_TEST_ROUNDS", "1000"))
VERBS: list[Callable[[Queue, str, str], object]] = [
    lambda queue, task_id, token: queue.complete(task_id, token, {"by": "zombie"}),
    lambda queue, task_id, token: queue.fail(task_id, token, Failure("zombie")),
    lambda queue, task_id, token: queue.extend(task_id, token),
    lambda queue, task_id, token: queue.extend(task_id, token, percent=50.0, checkpoint={"by": "zombie"}),
    lambda queue, task_id, token: queue.release(task_id, token),
]


def answer(act: Callable[[], object]) -> str:
    """The name of the error, or "accepted"."""
    try:
        act()
    except TaskspoolError as error:
        return type(error).__name__
    return "accepted"


def queue_with(root: Path, clock: FakeClock, tasks: int) -> Queue:
    """Opened after the children were forked: a queue has threads of its own, and a fork would inherit their locks."""
    queue = queue_on(root, clock)
    queue.start()
    queue.enqueue_many([NewTask("ping", {})] * tasks)
    return queue


def zombie(root: Path) -> Callable[[Talk], None]:
    """Claims what it can hold; whenever it is spoken to, tries every verb on one task after the other."""
    def story(talk: Talk) -> None:
        talk.hear()
        queue = queue_on(root, FakeClock())
        queue.start()
        claims = queue.claim("zombie", max_tasks=HELD_BY_EACH)
        talk.say(len(claims))
        while talk.hear():
            talk.say(*[answer(partial(VERBS[number % len(VERBS)], queue, one.task.id, one.lease.token))
                       for number, one in enumerate(claims)])

    return story


@pytest.mark.parametrize("rounds", [ZOMBIES * HELD_BY_EACH, pytest.param(ROUNDS, marks=pytest.mark.slow)])
@pytest.mark.timeout(max(300, ROUNDS // 5))
def test_zombies_are_refused_and_the_new_holder_is_not_disturbed(scratch: Path, rounds: int) -> None:
    """While the new holder works, and after it has finished: LeaseLost every time, and its results stand."""
    told: Counter[str] = Counter()
    for number in range(rounds // (ZOMBIES * HELD_BY_EACH)):
        told += _stop_and_wake(scratch / str(number))
    print(f"zombies, stopped past their leases and woken: {told.total()} calls with {rounds} leases, "
          f"{told['LeaseLost']} refused, {told['accepted']} accepted")
    assert told == {"LeaseLost": 2 * rounds}


def _stop_and_wake(root: Path) -> Counter[str]:
    """One round of five stopped processes with twenty leases each. What they were told."""
    clock, told, count = FakeClock(), Counter[str](), ZOMBIES * HELD_BY_EACH
    with ExitStack() as stack:
        children = [stack.enter_context(Child(zombie(root))) for _ in range(ZOMBIES)]
        queue = queue_with(root, clock, count)
        for child in children:
            child.say("claim")
        assert [child.hear() for child in children] == [[HELD_BY_EACH]] * ZOMBIES
        for child in children:
            child.stop()
        queue.sweep()
        clock.advance(LEASE_SECONDS)
        assert queue.sweep().expired == count
        held = queue.claim("second", max_tasks=count + 1)
        assert len(held) == count
        before = {one.task.id: queue.task(one.task.id) for one in held}
        told += _woken(children)
        assert {one.task.id: queue.task(one.task.id) for one in held} == before
        for one in held:
            queue.complete(one.task.id, one.lease.token, {"by": "second"})
        told += _woken(children)
        assert all(queue.result(one.task.id).data == {"by": "second"} for one in held)
    queue.sweep()
    assert list(queue.store.problems()) == []
    queue.close()
    return told


def _woken(children: list[Child]) -> Counter[str]:
    """All of them at once; they sleep again afterwards."""
    for child in children:
        child.wake()
        child.say("try")
    told = Counter(word for child in children for word in child.hear())
    for child in children:
        child.stop()
    return told


def racer(root: Path) -> Callable[[Talk], None]:
    """Claims, and completes everything as fast as it can when it is told to."""
    def story(talk: Talk) -> None:
        talk.hear()
        queue = queue_on(root, FakeClock())
        queue.start()
        claims = queue.claim("late", max_tasks=RACERS)
        talk.say(len(claims))
        talk.hear()
        talk.say(*[(one.task.id, answer(partial(queue.complete, one.task.id, one.lease.token, {"by": "late"})))
                   for one in reversed(claims)])

    return story


@pytest.mark.parametrize("rounds", [RACERS, pytest.param(ROUNDS, marks=pytest.mark.slow)])
@pytest.mark.timeout(max(300, ROUNDS // 5))
def test_a_late_finish_and_its_expiry_have_one_winner(scratch: Path, rounds: int) -> None:
    """They come at the same time, a hundred tasks a round: finished and not given back, or refused and given back."""
    told, dice = Counter[str](), random.Random(SEED)
    for number in range(rounds // RACERS):
        told += _race(scratch / str(number), dice)
    print(f"reaper against late finish: {told.total()} races, {told['accepted']} finished, {told['LeaseLost']} expired")
    assert told.total() == rounds
    assert set(told) <= {"accepted", "LeaseLost"}


def _race(root: Path, dice: random.Random) -> Counter[str]:
    clock = FakeClock()
    with Child(racer(root)) as child:
        queue = queue_with(root, clock, RACERS)
        child.say("claim")
        assert child.hear() == [RACERS]
        queue.sweep()
        clock.advance(LEASE_SECONDS)
        reaper = threading.Thread(target=queue.sweep)
        reaper.start()
        threading.Event().wait(dice.uniform(0, 0.03))   # it looks at everything first: the race is what comes after
        child.say("go")
        told = dict(child.hear())
        reaper.join()
    for task_id, word in told.items():
        state = queue.task(task_id).state
        assert state is (State.DONE if word == "accepted" else State.READY), f"told {word}, and it is {state}"
    queue.sweep()
    assert list(queue.store.problems()) == []
    queue.close()
    return Counter(told.values())


# -- every way to lose a lease, on a clock that is moved by hand -----------------------------------------------------


def expired(queue: Queue, clock: FakeClock, lease: Lease) -> None:
    queue.sweep()
    clock.advance(LEASE_SECONDS)
    queue.sweep()


def taken_over(queue: Queue, clock: FakeClock, lease: Lease) -> None:
    expired(queue, clock, lease)
    queue.claim_one(lease.task_id, "second")


def finished_by_another(queue: Queue, clock: FakeClock, lease: Lease) -> None:
    expired(queue, clock, lease)
    queue.complete(lease.task_id, queue.claim_one(lease.task_id, "second").lease.token, {"by": "second"})


def timed_out(queue: Queue, clock: FakeClock, lease: Lease) -> None:
    queue.sweep()
    clock.advance(20)
    queue.sweep()


def poisoned(queue: Queue, clock: FakeClock, lease: Lease) -> None:
    expired(queue, clock, lease)
    for _ in range(2):
        queue.claim_one(lease.task_id, "next")
        expired(queue, clock, lease)


def cancelled(queue: Queue, clock: FakeClock, lease: Lease) -> None:
    queue.cancel(lease.task_id)
    expired(queue, clock, lease)


def cancelled_and_retried(queue: Queue, clock: FakeClock, lease: Lease) -> None:
    cancelled(queue, clock, lease)
    queue.retry(lease.task_id)


def released(queue: Queue, clock: FakeClock, lease: Lease) -> None:
    queue.release(lease.task_id, lease.token, delay_seconds=9)


def pruned(queue: Queue, clock: FakeClock, lease: Lease) -> None:
    finished_by_another(queue, clock, lease)
    clock.advance(1)
    queue.store.prune(clock.now())


WAYS = [expired, taken_over, finished_by_another, timed_out, poisoned, cancelled, cancelled_and_retried, released,
        pruned]


@pytest.mark.parametrize("rounds", [90, pytest.param(ROUNDS, marks=pytest.mark.slow)])
def test_a_lost_lease_stays_lost_however_it_was_lost(scratch: Path, rounds: int) -> None:
    """Every verb with it is LeaseLost (the task may be gone: TaskNotFound), and changes nothing that can be seen."""
    dice, told = random.Random(SEED), Counter[str]()
    for number in range(0, rounds, ON_ONE_FOLDER):
        candidate = FileCandidate(scratch / str(number), "fast")
        queues = [candidate.open(), candidate.open()]
        for _ in range(min(ON_ONE_FOLDER, rounds - number)):
            way = dice.choice(WAYS)
            _lose_and_ask(candidate.clock, queues, way, dice)
            told[way.__name__] += len(VERBS)
        candidate.end()
    assert told.total() == rounds * len(VERBS)
    print(f"lost leases from seed {SEED}: {told.total()} calls refused of {told.total()}; {dict(told)}")


def _lose_and_ask(clock: FakeClock, queues: list[Queue], way: Callable[..., None], dice: random.Random) -> None:
    queue, holder = queues
    options = Options(timeout_seconds=15.0) if way is timed_out else Options()
    task_id = queue.enqueue(NewTask("ping", {}, max_retries=dice.randrange(2), options=options)).task_id
    lease = holder.claim_one(task_id, "zombie").lease
    way(queue, clock, lease)
    before = everything(queue, task_id)
    asked = dice.choice(queues)     # who swept, or who still believes that it holds it
    for verb in VERBS:
        with pytest.raises((TaskNotFound, LeaseLost) if way is pruned else LeaseLost):
            verb(asked, task_id, lease.token)
    assert everything(queue, task_id) == before, f"{way.__name__} changed something; the dice are of seed {SEED}"
