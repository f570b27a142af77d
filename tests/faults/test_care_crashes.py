"""Killed at any call of an import, a repair or a batch: nothing is lost, and the same again finishes it."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fake_clock import FakeClock
from faults.forks import Report, forked, needs_fork
from faults.shim import Counter, Killer, shimmed
from taskspool.engine.lifecycle import Failure, Queue, open_queue
from taskspool.engine.task import NewTask, State
from taskspool.settings import Settings

pytestmark = needs_fork
SAMPLES = [19, pytest.param(1, marks=pytest.mark.slow)]
"""A few kills every day, each of them before a release."""
ID = "01936f5e-0000-7000-8000-00000000000{}"
Act = Callable[[Queue], object]


def open_on(root: Path) -> Queue:
    return open_queue(Settings(root=root, durability="strict"), clock=FakeClock())


def killed_at_each_point(stage: Path, scratch: Path, act: Act, step: int) -> Iterator[Path]:
    """``act`` on a copy of ``stage``, killed before, in the middle of, and after each call; every ``step``-th of these
    kills: the copy."""
    counter = Counter()

    def count(report: Report) -> None:
        queue = open_on(scratch / "count")
        with shimmed(counter):
            act(queue)
        report(len(counter.points))

    shutil.copytree(stage, scratch / "count")
    [[points]] = forked(count).events
    assert points > 20
    for number in range(0, 3 * points, step):
        root = scratch / "try"
        shutil.copytree(stage, root)
        forked(lambda _, root=root, number=number: _act_and_die(root, act, *divmod(number, 3)))
        yield root
        shutil.rmtree(root)


def _act_and_die(root: Path, act: Act, number: int, how: int) -> None:
    queue = open_on(root)
    with shimmed(Killer(number, ("before", "torn", "after")[how])):
        act(queue)


# -- import ----------------------------------------------------------------------------------------------------------


def tar_of_everything(root: Path) -> tuple[bytes, dict[str, State]]:
    """A tar with tasks in every state, a key, a batch and a cancel request; and where each task belongs."""
    queue = open_on(root)
    stream = io.BytesIO()
    ids = [queue.enqueue(NewTask("ping", {"n": n}), key=f"k{n}").task_id for n in range(2)]
    ids += queue.enqueue_batch([NewTask("ping", {"n": n}, delay_seconds=9000 * n) for n in range(4)]).record.task_ids
    done, dead = (queue.claim_one(task_id, "w").lease for task_id in ids[:2])
    queue.complete(done.task_id, done.token, {})
    queue.fail(dead.task_id, dead.token, Failure("no"))
    queue.cancel(ids[5])
    queue.store.export(stream)
    states = {task_id: queue.task(task_id).state for task_id in ids}
    queue.close()
    return stream.getvalue(), states


@pytest.mark.parametrize("step", SAMPLES)
@pytest.mark.timeout(300)
def test_an_import_that_was_killed_is_finished_by_the_next(scratch: Path, step: int) -> None:
    """What came in is whole and sound; the same tar again brings the rest, and nothing twice."""
    tar, states = tar_of_everything(scratch / "source")
    open_on(scratch / "stage").close()
    tries = 0
    for root in killed_at_each_point(scratch / "stage", scratch,
                                     lambda queue: queue.store.bring_in(io.BytesIO(tar)), step):
        queue = open_on(root)
        queue.sweep()
        assert list(queue.store.problems()) == []
        assert queue.store.bring_in(io.BytesIO(tar)).left_out == ()
        for task_id, state in states.items():
            found = queue.task(task_id)
            assert found.state is state
            assert set(found.task.data) == {"n"}, "a result came without its task"
        assert len(queue.batches()) == 1
        assert not queue.enqueue(NewTask("ping", {"n": 0}), key="k0").created
        assert list(queue.store.findings()) == []
        queue.close()
        tries += 1
    print(f"import: {tries} kills, {len(states)} tasks, 0 lost")


# -- repair ----------------------------------------------------------------------------------------------------------


def plant_problems(root: Path) -> set[str]:
    """Something wrong of most kinds, each with a task of its own; what their files hold."""
    open_on(root).close()
    folder = root / "task_queue"
    ids = [ID.format(n) for n in range(8)]
    task = [json.dumps({"id": task_id, "type": "ping", "data": {"n": n}}) for n, task_id in enumerate(ids)]
    claim = f"claimed/w/{ids[2]}~2~1-9-3c-1-0000000000000000.json"
    planted = {
        f"tasks/{ids[0]}.json": task[0], f"scheduled/{ids[0]}.json": task[0] + " ",
        f"done/{ids[1]}.json": task[1],
        claim: task[2], f"tasks/{ids[2]}.json": task[2] + " ",
        f"scheduled/{ids[3]}.json": "{",
        f"dead/{ids[4]}.json": task[4], f"tasks/{ids[4]}.json": task[4] + " ",
        f"done/{ids[5]}.json": task[5], f"dead/{ids[5]}.json": task[5] + " ", f"results/{ids[5]}.json": "{}",
        "done/x": "a name that is none", f"meta/batch-7-7-{ids[6]}.json": "{",
        f"cancelled/{ids[7]}.json": task[7],
    }
    for name, content in planted.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    return {content for name, content in planted.items() if not name.startswith("results/")}


def mend(queue: Queue) -> None:
    for _ in range(4):
        for finding in list(queue.store.findings()):
            queue.store.mend(finding)


def contents(root: Path) -> set[str]:
    return {path.read_text() for path in (root / "task_queue").rglob("*")
            if path.is_file() and path.suffix in (".json", "") and "index" not in path.name}


@pytest.mark.parametrize("step", SAMPLES)
@pytest.mark.timeout(300)
def test_a_repair_that_was_killed_loses_nothing(scratch: Path, step: int) -> None:
    """Every file that may be a task is still there, in its folder or in quarantine; the next repair ends sound."""
    planted = plant_problems(scratch / "stage")
    tries = 0
    for root in killed_at_each_point(scratch / "stage", scratch, mend, step):
        assert planted <= contents(root)
        queue = open_on(root)
        mend(queue)
        assert list(queue.store.findings()) == []
        assert {queue.task(ID.format(n)).state for n in (0, 4)} == {State.READY}
        assert queue.task(ID.format(2)).state is State.CLAIMED
        queue.close()
        assert planted <= contents(root)
        tries += 1
    print(f"repair: {tries} kills, {len(planted)} files, 0 lost")


# -- batch -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", SAMPLES)
@pytest.mark.timeout(300)
def test_a_batch_that_was_killed_is_there_or_not(scratch: Path, step: int) -> None:
    """All of its tasks and its record, or none of them; the same key is the same batch, whole."""
    open_on(scratch / "stage").close()
    news = [NewTask("ping", {"n": n}) for n in range(3)]
    tries = 0
    for root in killed_at_each_point(scratch / "stage", scratch,
                                     lambda queue: queue.enqueue_batch(news, name="n", key="k"), step):
        queue = open_on(root)
        queue.sweep()
        assert queue.counts().ready in (0, 3)
        before = [(batch.record.task_ids, batch.missing) for batch in queue.batches()]
        assert len(before) == queue.counts().ready / 3
        batch = queue.enqueue_batch(news, name="n", key="k")
        assert before in ([], [(batch.record.task_ids, 0)])
        assert (batch.counts[State.READY], queue.counts().ready) == (3, 3)
        assert list(queue.store.findings()) == []
        queue.close()
        tries += 1
    print(f"batch: {tries} kills, 0 halves")
