"""Windows: files that others have open cannot be moved for a while, and names that differ in case only are one name."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from fake_clock import FakeClock
from faults.verdict import queue_on
from faults.windows import WindowsOs, on_windows
from faults.windows_walk import TRIES, Client, Story, work_off
from taskspool.engine import files
from taskspool.engine.layout import claim_name
from taskspool.engine.lifecycle import Queue
from taskspool.engine.task import NewTask, State
from taskspool.errors import StoreUnavailable

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the shim stands on POSIX")
VERBS = int(os.environ.get("TASKSPOOL_TEST_ROUNDS", "5000"))
SEED = 20_265
LONGEST_STALL_SECONDS = 5.0


def walk(root: Path, steps: int, threads: int, seed: int) -> tuple[Story, WindowsOs, list[str]]:
    """``steps`` verbs in ``threads`` threads, a restart in the middle; then quiet, and everything is worked off."""
    story, clock = Story(), FakeClock()
    with on_windows(WindowsOs(seed)) as shim:
        for half in range(2):
            queue = _started(root, clock)
            clients = [Client(queue, clock, root / "task_queue", story, shim, seed + 10 * half + one)
                       for one in range(threads)]
            _together(clients, steps // 2 // threads)
            queue.close()
        shim.calm()
        queue = _started(root, clock)
        work_off(queue, clock, story)
        broken = judge(queue, story)
        queue.close()
    return story, shim, broken


def _started(root: Path, clock: FakeClock) -> Queue:
    """Tried again, as by whoever starts it: a file that somebody has open may stand in the way."""
    for _ in range(TRIES):
        queue = queue_on(root, clock)
        with suppress(StoreUnavailable):
            queue.start()
            return queue
        queue.close()
    raise AssertionError("it does not start")


def _together(clients: list[Client], steps: int) -> None:
    failures: list[BaseException] = []

    def run(client: Client) -> None:
        try:
            for _ in range(steps):
                client.step()
        except BaseException as error:  # a thread's failure must reach the test
            failures.append(error)

    threads = [threading.Thread(target=run, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def judge(queue: Queue, story: Story) -> list[str]:
    """What was promised and does not hold; prints the counts in Jepsen's words."""
    results = {one.task_id: one for one in queue.latest_results(10**6)}
    tasks = {one.task.id: one.task for state in State for one in queue.listing(state, limit=10**6)}
    lost = [task_id for task_id, n in story.put.items()
            if task_id not in tasks or tasks[task_id].data["n"] != n or task_id not in results]
    changed = [task_id for task_id, data in story.ended.items() if task_id not in story.retried
               and (task_id not in results or results[task_id].data != data)]
    changed += [task_id for task_id in story.cancelled - story.retried
                if task_id not in results or results[task_id].status != "cancelled"]
    strangers = [task_id for task_id, result in results.items()
                 if result.data is not None and result.data["by"] not in story.ends.get(task_id, ())]
    times = Counter(task.data["n"] for task in tasks.values())
    twice = [n for n, count in times.items() if count > 1]
    unexpected = [n for n in times if n not in story.tried]
    stalls = {verb: round(seconds, 1) for verb, seconds in sorted(story.longest_stalls.items())}
    print(f"attempt {story.attempted} / acknowledged {len(story.put)} / ok {len(results)} / "
          f"lost {len(lost) + len(changed)} / unexpected {len(strangers) + len(unexpected)} / "
          f"duplicated {len(twice)} / recovered {len(results) - len(story.ended)}; answered 503: {story.refusals}; "
          f"longest stalls in seconds {stalls}")
    kinds = {"lost": lost, "changed": changed, "by nobody": strangers, "never put": unexpected, "twice": twice}
    return [f"{kind}: {found}" for kind, found in kinds.items() if found] + list(queue.store.problems())


@pytest.mark.parametrize(("steps", "threads"), [
    (300, 1), (300, 4),
    pytest.param(VERBS // 2, 1, marks=pytest.mark.slow), pytest.param(VERBS // 2, 4, marks=pytest.mark.slow),
])
@pytest.mark.timeout(1_800)
def test_a_third_of_all_moves_refused_loses_nothing(scratch: Path, steps: int, threads: int) -> None:
    """With WinError 5, 32 and 33 in the way of every third move, and a scanner on new files, nothing is lost or done
    twice, and every refusal that lasts is a 503."""
    began = time.monotonic()
    story, shim, broken = walk(scratch, steps, threads, SEED)
    print(f"{steps} verbs in {threads} threads, seed {SEED}, {time.monotonic() - began:.0f} s: {dict(shim.refused)} "
          f"refused; {dict(story.verbs)}")
    assert broken == []
    assert max(seconds for verb, seconds in story.longest_stalls.items() if verb != "sweep") <= LONGEST_STALL_SECONDS
    assert sum(shim.refused.values()) > steps / 3


def test_what_stays_open_is_a_503(tmp_path: Path) -> None:
    """A move is tried for less than 5 seconds; then the caller hears 503, in words, and may repeat it."""
    assert files.SHARING_RETRIES * files.SHARING_PAUSE_SECONDS < LONGEST_STALL_SECONDS
    with on_windows(WindowsOs(SEED, refusal=0, scans=0)) as shim:
        queue = _started(tmp_path, FakeClock())
        task_id = queue.enqueue(NewTask("ping", {})).task_id
        path = f"{tmp_path}/task_queue/tasks/{task_id}.json"
        shim.hold(path, files.SHARING_RETRIES + 1)
        with pytest.raises(StoreUnavailable, match="refused") as caught:
            queue.claim_one(task_id, "w")
        assert caught.value.status == 503
        shim.hold(path, files.SHARING_RETRIES)
        assert queue.claim_one(task_id, "w").task.id == task_id
        queue.close()


def test_one_file_that_is_held_does_not_hold_up_the_others(tmp_path: Path) -> None:
    """A task whose file somebody has open is promoted later, the others now; and a process starts all the same."""
    clock = FakeClock()
    with on_windows(WindowsOs(SEED, refusal=0, scans=0)) as shim:
        queue = _started(tmp_path, clock)
        held, other, done = (queue.enqueue(NewTask("ping", {})).task_id for _ in range(3))
        for task_id in (held, other):
            queue.release(task_id, queue.claim_one(task_id, "w").lease.token, delay_seconds=1)
        lease = queue.claim_one(done, "w").lease
        shim.hold(f"{tmp_path}/task_queue/scheduled/{held}.json", 10**6)
        shim.hold(f"{tmp_path}/task_queue/claimed/{claim_name(lease)}", 10**6)
        with pytest.raises(StoreUnavailable):
            queue.complete(done, lease.token, {})   # its result stands; its file cannot follow yet
        clock.advance(2)
        queue.sweep()
        assert [queue.task(task_id).state for task_id in (held, other, done)] == [
            State.SCHEDULED, State.READY, State.DONE]
        queue.close()
        queue = queue_on(tmp_path, clock)
        queue.start()
        shim.calm()
        assert queue.sweep().promoted == 1
        assert list(queue.store.problems()) == []
        queue.close()


def test_names_that_differ_in_case_only_are_one_folder_and_two_workers(tmp_path: Path) -> None:
    """Bob and bob hold their tasks in one folder there, and each may end his own, with a token and without."""
    with on_windows(WindowsOs(SEED, refusal=0, scans=0)):
        queue = _started(tmp_path, FakeClock())
        ids = [queue.enqueue(NewTask("ping", {})).task_id for _ in range(3)]
        tokens = [queue.claim_one(task_id, worker).lease.token
                  for task_id, worker in zip(ids, ("Bob", "bob", "BOB"), strict=True)]
        assert len(os.listdir(tmp_path / "task_queue" / "claimed")) == 1
        queue.sweep()
        queue.leases()
        assert queue.complete(ids[0], tokens[0], {}).is_success
        queue.finish_without_token(ids[1], "bob", {})
        queue.finish_without_token(ids[2], "BOB", {})
        assert queue.counts().done == 3
        assert list(queue.store.problems()) == []
        queue.close()


@pytest.mark.parametrize("worker", [
    "CON", "com1.txt", "com¹", "LPT³", "ends.", "ends ", "a:b", "a<b>|c?*", "nul", "\\\\host",
])
def test_no_worker_has_a_name_that_windows_forbids(tmp_path: Path, worker: str) -> None:
    """Whatever a worker is called, its folder has a legal name, and a claim finds it."""
    with on_windows(WindowsOs(SEED, refusal=0, scans=0)):
        queue = _started(tmp_path, FakeClock())
        task_id = queue.enqueue(NewTask("ping", {})).task_id
        token = queue.claim_one(task_id, worker).lease.token
        assert [lease.worker for _, lease in queue.leases()] == [worker]
        assert queue.complete(task_id, token, {}).is_success
        queue.close()
