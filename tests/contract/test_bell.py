"""Waiting: one waiter is woken per task, a ring is passed on, and no wake-up is lost."""

from __future__ import annotations

import threading

from contract.candidates import Candidate
from contract.states import bring, new
from contract.threads import together
from taskspool.engine.bell import Waiter
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.task import State


class Sleeper:
    """Counts how often it was woken."""

    def __init__(self) -> None:
        self.woken = 0

    def __call__(self) -> None:
        self.woken += 1


def line(queue: Queue, count: int, **asked: object) -> list[tuple[Sleeper, Waiter]]:
    sleepers = [Sleeper() for _ in range(count)]
    return [(one, queue.bell.wait_for_task(one, **asked)) for one in sleepers]  # type: ignore[arg-type]


def test_one_task_wakes_one_waiter_and_the_longest_waiting(candidate: Candidate, queue: Queue) -> None:
    """Three wait, two tasks come: the first two are woken, once each."""
    waiters = line(queue, 3)
    queue.enqueue(new())
    assert [one.woken for one, _ in waiters] == [1, 0, 0]
    queue.enqueue(new())
    assert [one.woken for one, _ in waiters] == [1, 1, 0]


def test_only_who_waits_for_the_type_is_woken(candidate: Candidate, queue: Queue) -> None:
    """A task of another type lets a waiter sleep."""
    [(picky, _)] = line(queue, 1, types=["b"])
    [(greedy, _)] = line(queue, 1)
    queue.enqueue(new("a"))
    assert (picky.woken, greedy.woken) == (0, 1)
    queue.enqueue(new("b"))
    assert picky.woken == 1


def test_a_ring_that_was_not_used_is_passed_on(candidate: Candidate, queue: Queue) -> None:
    """Who was woken and leaves without looking wakes the next one; who looked does not."""
    (_, first), (second_sleeper, second), (third_sleeper, third) = line(queue, 3)
    queue.enqueue(new())
    queue.bell.leave(first, took=False)
    assert second_sleeper.woken == 1
    queue.bell.leave(second, took=True)
    assert third_sleeper.woken == 0
    queue.bell.leave(third, took=False)


def test_everything_that_makes_a_task_ready_rings(candidate: Candidate, queue: Queue) -> None:
    """Enqueue, batch, release, promotion and expiry all wake a waiter."""
    held = bring(candidate, queue, State.CLAIMED)
    waiters = line(queue, 1)
    queue.release(held.task_id, held.token)
    assert waiters[-1][0].woken == 1

    queue.claim_one(held.task_id, "w1")
    queue.sweep()
    candidate.clock.advance(60)
    waiters += line(queue, 1)
    queue.sweep()
    assert waiters[-1][0].woken == 1

    bring(candidate, queue, State.SCHEDULED)
    candidate.clock.advance(3600)
    queue.claim("w1", max_tasks=9)
    waiters += line(queue, 1)
    queue.sweep()
    assert waiters[-1][0].woken == 1

    waiters += line(queue, 3)
    queue.enqueue_many([new()] * 2)
    assert [one.woken for one, _ in waiters[-3:]] == [1, 1, 0]
    queue.bell.leave(waiters[-1][1])


def test_a_waiter_sleeps_beside_no_waiting_task(candidate: Candidate, queue: Queue) -> None:
    """A task that another process put, and a ring that got lost, are made good by the next sweep."""
    candidate.open().enqueue(new())
    [(sleeper, waiter)] = line(queue, 1)
    queue.sweep()
    assert sleeper.woken == 1
    queue.bell.leave(waiter)
    [(again, waiter)] = line(queue, 1)
    queue.sweep()
    assert again.woken == 1


def test_a_result_wakes_all_who_wait_for_it(candidate: Candidate, queue: Queue) -> None:
    """Done and dead alike, whoever caused it: here, or another process noticed by a sweep."""
    other = candidate.open()
    for finisher in (queue, other):
        for verb in ("complete", "fail"):
            lease = bring(candidate, queue, State.CLAIMED)
            sleepers = [Sleeper(), Sleeper(), Sleeper()]
            waiters = [queue.bell.wait_for_result(one, lease.task_id) for one in sleepers[:2]]
            stranger = queue.bell.wait_for_result(sleepers[2], "another task")
            if verb == "complete":
                finisher.complete(lease.task_id, lease.token, {})
            else:
                finisher.fail(lease.task_id, lease.token, Failure("no"))
            queue.sweep()
            assert [one.woken for one in sleepers] == [1, 1, 0]
            for waiter in (*waiters, stranger):
                queue.bell.leave(waiter)
    assert queue.bell.awaited_results == []


def test_a_glance_sees_what_other_processes_did(candidate: Candidate, queue: Queue) -> None:
    """Cheaper than a sweep: a task put elsewhere and a result written elsewhere wake who waits for them here."""
    other = candidate.open()
    queue.glance()
    [(for_task, _)] = line(queue, 1)
    other.enqueue(new())
    queue.glance()
    assert for_task.woken == 1
    lease = queue.claim("w1")[0].lease
    for_result = Sleeper()
    waiter = queue.bell.wait_for_result(for_result, lease.task_id)
    queue.glance()
    other.complete(lease.task_id, lease.token, {})
    queue.glance()
    assert for_result.woken == 1
    queue.bell.leave(waiter)


def test_leaving_leaves_nothing_behind(candidate: Candidate, queue: Queue) -> None:
    """After leave a waiter is not woken any more, and nobody is remembered."""
    [(sleeper, waiter)] = line(queue, 1)
    result = queue.bell.wait_for_result(sleeper, "x")
    queue.bell.leave(waiter)
    queue.bell.leave(result)
    queue.bell.leave(result)
    queue.enqueue(new())
    assert sleeper.woken == 0
    assert (queue.bell.waiting_types, queue.bell.awaited_results) == ([], [])


def test_the_end_of_the_server_wakes_everybody(candidate: Candidate) -> None:
    """Closing a queue wakes who waits for a task and who waits for a result."""
    queue = candidate.open()
    sleepers = [Sleeper(), Sleeper()]
    queue.bell.wait_for_task(sleepers[0])
    queue.bell.wait_for_result(sleepers[1], "x")
    queue.bell.ring_all()
    assert [one.woken for one in sleepers] == [1, 1]


def test_no_wake_up_is_lost(candidate: Candidate, queue: Queue) -> None:
    """Four workers that sleep whenever they find nothing handle 400 tasks from two producers, without one sweep."""
    left = threading.Semaphore(0)
    total, handled = 400, []
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            alarm = threading.Event()
            waiter = queue.bell.wait_for_task(alarm.set)
            claims = queue.claim("w", max_tasks=2)
            if not claims:
                assert alarm.wait(20), "slept beside a waiting task"
            queue.bell.leave(waiter, took=bool(claims))
            for claim in claims:
                handled.append(claim.task.id)
                left.release()

    def produce() -> list[str]:
        return [queue.enqueue(new()).task_id for _ in range(total // 2)]

    def part(number: int) -> list[str]:
        if number < 4:
            work()
            return []
        if number < 6:
            return produce()
        for _ in range(total):
            assert left.acquire(timeout=20)
        stop.set()
        queue.bell.ring_all()
        return []

    made = together(7, part)
    assert sorted(handled) == sorted(task_id for one in made for task_id in one)
