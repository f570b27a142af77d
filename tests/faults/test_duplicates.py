"""The same Idempotency-Key from fifty callers at once, in processes that are killed: one task, one id, told to all."""

from __future__ import annotations

import itertools
import os
import random
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from contract.threads import together
from faults.children import Child, Talk
from faults.forks import needs_fork
from taskspool.engine.lifecycle import Queue, open_queue
from taskspool.engine.task import NewTask, State
from taskspool.errors import IdempotencyConflict
from taskspool.settings import Settings

pytestmark = needs_fork
SEED = 20_270
PROCESSES, THREADS = 5, 10
KEYS = int(os.environ.get("TASKSPOOL_TEST_ROUNDS", "1000"))
KEYS_AT_ONCE = 50


def caller(root: Path, first: int) -> Callable[[Talk], None]:
    """Ten threads that ask for the same keys in the same order: each says what it was told, as soon as it is."""
    def story(talk: Talk) -> None:
        queue, turn = open_queue(Settings(root=root, durability="fast")), threading.Lock()

        def ask(_: int) -> None:
            for number in range(first, first + KEYS_AT_ONCE):
                told = queue.enqueue(_body(number), key=f"key {number}")
                with turn:
                    talk.say(number, told.task_id, told.created)

        talk.say("ready")
        talk.hear()
        together(THREADS, ask)
        talk.say("end")
        queue.close()

    return story


def _body(number: int) -> NewTask:
    return NewTask("ping", {"n": number})


class Told:
    """What callers were told: ids by key, and by how many calls each was said to have been created."""

    def __init__(self) -> None:
        self.ids: dict[int, set[str]] = {}
        self.created: Counter[int] = Counter()
        self.answers = self.kills = 0

    def listen(self, child: Child, until: int | None) -> bool:
        """Its next ``until`` answers (None: all of them). False when it has none left."""
        for _ in itertools.count() if until is None else range(until):
            words = child.hear()
            if not words or words == ["end"]:
                return False
            if words != ["ready"]:
                number, task_id, is_created = words
                self.ids.setdefault(number, set()).add(task_id)
                self.created[number] += is_created
                self.answers += 1
        return True


@pytest.mark.parametrize("keys", [KEYS_AT_ONCE, pytest.param(KEYS, marks=pytest.mark.slow)])
@pytest.mark.timeout(max(300, KEYS // 5))
def test_one_key_is_one_task_whoever_is_killed(scratch: Path, keys: int) -> None:
    """Each key from fifty callers in five processes, of which two are killed on the way and replaced by others."""
    dice, told = random.Random(SEED), Told()
    for first in range(0, keys, KEYS_AT_ONCE):
        _ask_and_kill(scratch, first, dice, told)
    queue = open_queue(Settings(root=scratch, durability="fast"))
    for number in range(keys):
        _judge_key(queue, number, told)
    tasks = Counter(one.task.data["n"] for one in queue.listing(State.READY, limit=10 * keys))
    twice = [number for number, times in tasks.items() if times > 1]
    print(f"same key, seed {SEED}: {keys} keys, {told.answers} answers to {PROCESSES * THREADS} callers, {told.kills} "
          f"processes killed: {len(tasks)} tasks, {len(twice)} duplicated, {keys - len(tasks)} lost")
    assert twice == []
    assert sorted(tasks) == list(range(keys))
    assert list(queue.store.problems()) == []
    queue.close()


def _ask_and_kill(root: Path, first: int, dice: random.Random, told: Told) -> None:
    with ExitStack() as stack:
        children = [stack.enter_context(Child(caller(root, first))) for _ in range(PROCESSES)]
        for child in children:
            assert child.hear() == ["ready"]
        for child in children:
            child.say("go")
        for victim in dice.sample(children, 2):
            told.listen(victim, dice.randrange(THREADS * KEYS_AT_ONCE))
            victim.kill()
            told.listen(victim, None)   # what it had said before it died
            told.kills += 1
            children.remove(victim)
            children.append(stack.enter_context(Child(caller(root, first))))
            children[-1].say("go")
        for child in children:
            while told.listen(child, None):
                pass
            child.end()


def _judge_key(queue: Queue, number: int, told: Told) -> None:
    again = queue.enqueue(_body(number), key=f"key {number}")
    assert told.ids[number] == {again.task_id}, f"key {number} was answered with {told.ids[number]}"
    assert not again.created
    assert told.created[number] <= 1
    with pytest.raises(IdempotencyConflict):
        queue.enqueue(NewTask("ping", {"n": -1}), key=f"key {number}")
