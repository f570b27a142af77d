"""F19: a folder written by the first version of this project opens under this one, and nothing of it is lost.

``old_folders/first.tar.gz`` was made once, with the first version: tasks in every state, moves interrupted between
their steps, accepted batches not delivered, and what other programs had left. ``first.json`` accounts for every task:
its case, and what had been said about it to those who asked.
"""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fake_clock import FakeClock
from faults.crashes import killed_while_recovering
from faults.forks import needs_fork
from taskspool.engine.lifecycle import Queue, open_queue
from taskspool.engine.task import NewTask, State
from taskspool.errors import IdempotencyConflict, LeaseLost
from taskspool.settings import Settings

HERE = Path(__file__).parent / "old_folders"
Account = dict[str, Any]
ACCOUNTS: list[Account] = json.loads((HERE / "first.json").read_text(encoding="utf-8"))["tasks"]
WRITTEN_AT = datetime(2026, 1, 2, 3, 5, 6, tzinfo=UTC)
LEASE_SECONDS = 60
STATES = {
    "ready": State.READY, "batch": State.READY, "abandoned": State.READY, "scheduled": State.SCHEDULED,
    "claimed": State.CLAIMED, "failure interrupted": State.CLAIMED, "popped in place": State.CLAIMED,
    "done": State.DONE, "finish interrupted": State.DONE, "result alone": State.DONE,
    "result beside the waiting task": State.DONE, "result rewritten by another": State.DONE,
    "dead": State.DEAD, "burial interrupted": State.DEAD, "failed alone": State.DEAD,
}
"""Where a task of each case is as soon as this version has opened the folder."""
ELSEWHERE = {"key without task", "in quarantine"}
"""Never was a task yet, or is none any more: looked at by a test of its own."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the old folder's root."""
    with tarfile.open(HERE / "first.tar.gz") as packed:
        packed.extractall(tmp_path, filter="data")
    return tmp_path


@pytest.fixture
def opener(root: Path) -> Iterator[Callable[[], Queue]]:
    opened: list[Queue] = []

    def open_one() -> Queue:
        opened.append(open_queue(Settings(root=root, durability="fast", lease_seconds=LEASE_SECONDS),
                                 clock=FakeClock(WRITTEN_AT)))
        return opened[-1]

    yield open_one
    for queue in opened:
        queue.close()


def of_case(*cases: str) -> list[Account]:
    return [account for account in ACCOUNTS if account["case"] in cases]


def asked(account: Account) -> NewTask:
    """What was asked for when the task was made."""
    return NewTask("ping", {"n": account["n"], "text": "naïve 한글 😀"}, "me")


def pass_a_lease(queue: Queue) -> None:
    queue.sweep()
    queue.clock.advance(LEASE_SECONDS + 1)
    queue.sweep()


def test_every_case_has_its_rule() -> None:
    """No task of the old folder is left out of the account."""
    assert {account["case"] for account in ACCOUNTS} == STATES.keys() | ELSEWHERE
    assert len({account["id"] for account in ACCOUNTS}) == len(ACCOUNTS)


def test_every_task_is_where_it_was(opener: Callable[[], Queue]) -> None:
    """State, data, priority, holder and failed attempts of each task are what the first version left."""
    queue = opener()
    for account in ACCOUNTS:
        if account["case"] in ELSEWHERE:
            continue
        found = queue.task(account["id"])
        assert found.state is STATES[account["case"]], account
        if found.task.type != "unknown":
            assert found.task.data == asked(account).data
            assert found.task.priority.word == account.get("priority", "normal")
            assert found.task.attempts == account.get("attempts", 0), account
        if found.state is State.CLAIMED:
            assert found.worker == account["worker"]
        if found.state is State.READY:
            assert found.task.crashes == account.get("crashes", int(account["case"] == "abandoned"))


def test_every_result_is_what_it_was(opener: Callable[[], Queue]) -> None:
    """Results keep their data and error, and who finished a task by its token is told so again."""
    queue = opener()
    for account in ACCOUNTS:
        state = STATES.get(account["case"])
        if state is State.DONE:
            assert queue.result(account["id"]).data["answer"] == 42
        elif state is State.DEAD:
            assert queue.result(account["id"]).error_message == "no luck"
        if state in (State.DONE, State.DEAD) and "token" in account:
            result = queue.result(account["id"])
            assert (result.attempt, result.token) == (1, account["token"])
            assert result.duration_seconds == 0
            assert queue.complete(account["id"], account["token"], {}) == result
    [rewritten] = of_case("result rewritten by another")
    assert queue.result(rewritten["id"]).token is None


def test_who_was_at_work_goes_on(opener: Callable[[], Queue]) -> None:
    """A lease of the first version is kept alive and finished with its token, and with no other."""
    queue = opener()
    for account in of_case("claimed"):
        queue.extend(account["id"], account["token"])
        with pytest.raises(LeaseLost):
            queue.complete(account["id"], account["token"][:-1] + "x", {})
        queue.complete(account["id"], account["token"], {"answer": 42})
        assert queue.task(account["id"]).state is State.DONE


def test_a_key_stands_for_the_same_task(opener: Callable[[], Queue]) -> None:
    """The same key with the same body is the same task, made now if it was not; with another body it is refused."""
    queue = opener()
    for account in [account for account in ACCOUNTS if "key" in account]:
        again = queue.enqueue(asked(account), key=account["key"])
        assert (again.task_id, again.created) == (account["id"], account["case"] == "key without task")
        with pytest.raises(IdempotencyConflict):
            queue.enqueue(NewTask("ping", {"n": "another"}, "me"), key=account["key"])
    batch = [account for account in ACCOUNTS if "batch key" in account]
    again_all = queue.enqueue_many([asked(account) for account in batch], key="batch key")
    assert [(one.task_id, one.created) for one in again_all] == [(account["id"], False) for account in batch]


def test_what_was_in_quarantine_stays_there(opener: Callable[[], Queue], root: Path) -> None:
    """What the first version could not read is kept with its reason."""
    before = {path.name: path.read_bytes() for path in (root / "task_queue" / "quarantine").iterdir()}
    [account] = of_case("in quarantine")
    assert any(account["id"] in name for name in before)
    opener().sweep()
    assert {path.name: path.read_bytes() for path in (root / "task_queue" / "quarantine").iterdir()} == before


def drained(queue: Queue) -> set[str]:
    """Every task done that can be: those that were held come back when their leases end. The ids with a result."""
    pass_a_lease(queue)
    queue.clock.advance(864_000)
    queue.sweep()
    while claims := queue.claim("new", max_tasks=10):
        for claim in claims:
            queue.complete(claim.task.id, claim.lease.token, {"answer": 42})
    queue.sweep()
    assert list(queue.store.problems()) == []
    return {result.task_id for result in queue.latest_results(1000)}


def expected_results() -> set[str]:
    return {account["id"] for account in ACCOUNTS if account["case"] not in ELSEWHERE}


def test_every_task_gets_its_result(opener: Callable[[], Queue]) -> None:
    """Worked off under this version, each task has one result, and the folder is sound."""
    queue = opener()
    assert drained(queue) == expected_results()
    [interrupted] = of_case("failure interrupted")
    done = queue.task(interrupted["id"]).task
    assert (done.attempts, done.crashes) == (1, 0)


@needs_fork
@pytest.mark.parametrize("points", [range(2, 40, 9), pytest.param(range(0, 140, 4), marks=pytest.mark.slow)])
def test_a_crash_while_opening_loses_nothing(opener: Callable[[], Queue], root: Path, tmp_path_factory: Any,
                                             points: range) -> None:
    """Killed at any call of the first start, the next start finds everything."""
    stage = tmp_path_factory.mktemp("old") / "root"
    shutil.copytree(root, stage)
    deaths = 0
    for number in points:
        shutil.rmtree(root / "task_queue")
        shutil.copytree(stage / "task_queue", root / "task_queue")
        deaths += killed_while_recovering(root, number, ("before", "torn", "after")[number % 3])
        queue = opener()
        assert drained(queue) == expected_results()
        queue.close()
    print(f"first version's folder: {deaths} kills while opening it, {len(expected_results())} tasks, 0 lost")
    assert deaths
