"""What the doctor says: nothing of a sound folder, a sentence for every combination that is not legal; and damage."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from fake_clock import FakeClock
from taskspool.engine.file_store import FileStore
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.task import NewTask, State
from taskspool.settings import Settings

ID = "01936f5e-0000-7000-8000-000000000001"
TASK = json.dumps({"id": ID, "type": "ping", "data": {}})
RESULT = json.dumps({"task_id": ID, "worker": "w", "status": "success", "data": {}})
CLAIM = f"claimed/w/{ID}~1~1-9-3c-1-0000000000000000.json"


def plant(folder: Path, **contents: str) -> None:
    for name, content in contents.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)


def test_a_whole_life_leaves_nothing_to_say(queue: Queue, clock: FakeClock) -> None:
    """Every state at once is in order."""
    for _ in range(5):
        queue.enqueue(NewTask("ping", {}, max_retries=1))
    done, dead, scheduled, _ = (claim.lease for claim in queue.claim("w", max_tasks=4))
    queue.complete(done.task_id, done.token, {})
    queue.fail(dead.task_id, dead.token, Failure("no", retryable=False))
    queue.fail(scheduled.task_id, scheduled.token, Failure("no"))
    assert list(queue.store.problems()) == []


PROBLEMS = {
    "is in tasks/ and in done/": {f"tasks/{ID}.json": TASK, f"done/{ID}.json": TASK, f"results/{ID}.json": RESULT},
    "is in claimed/ and in tasks/": {f"tasks/{ID}.json": TASK, CLAIM: TASK},
    "has a result, but is still in claimed/": {CLAIM: TASK, f"results/{ID}.json": RESULT},
    "has a result, but is still in scheduled/": {f"scheduled/{ID}.json": TASK, f"results/{ID}.json": RESULT},
    f"{CLAIM} cannot be read": {CLAIM: "{"},
    f"dead/{ID}.json has no result": {f"dead/{ID}.json": TASK},
    f"done/{ID}.json cannot be read": {f"done/{ID}.json": "{", f"results/{ID}.json": RESULT},
    f"results/{ID}.json cannot be read": {f"results/{ID}.json": "{", f"done/{ID}.json": TASK},
    "done/x is not the name of a task": {"done/x": ""},
    "tasks/Note.json is not the name of a task": {"tasks/Note.json": ""},
    "tmp/7-7-7.json was left by a process that died": {"tmp/7-7-7.json": ""},
    "was accepted, but not delivered": {f"meta/batch-7-7-{ID}.json": json.dumps({"tasks": {ID: json.loads(TASK)}})},
}


@pytest.mark.parametrize("sentence", PROBLEMS)
def test_every_illegal_combination_is_told(queue: Queue, folder: Path, sentence: str) -> None:
    """And what can be mended is mended by the next sweep of a queue that starts."""
    for name, content in PROBLEMS[sentence].items():
        plant(folder, **{name: content})
    assert any(sentence in problem for problem in queue.store.problems())


@pytest.mark.parametrize("sentence", [one for one in PROBLEMS if "cannot" not in one and "not the name" not in one
                                      and "no result" not in one])
def test_what_a_crash_can_leave_is_mended(opener: Callable[..., Queue], folder: Path, sentence: str) -> None:
    """After a start and a sweep the same folder is sound."""
    opener().close()
    for name, content in PROBLEMS[sentence].items():
        plant(folder, **{name: content})
    queue = opener()
    queue.sweep()
    queue.sweep()
    found = [problem for problem in queue.store.problems() if "in claimed/ and in tasks/" not in problem]
    assert found == []


def test_looking_needs_no_opening_and_changes_nothing(tmp_path: Path, queue: Queue, folder: Path,
                                                      clock: FakeClock) -> None:
    """The doctor looks at a folder that others use, without taking part."""
    queue.enqueue(NewTask("ping", {}))
    before = sorted(folder.rglob("*"))
    assert list(FileStore(Settings(root=tmp_path), clock).problems()) == []
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"tasks": 7}', '{"tasks": {"x": {}}}',
                                     f'{{"tasks": {{"{ID}": {{"type": 7}}}}}}', f'{{"tasks": {{"{ID}": 7}}}}'])
def test_a_damaged_batch_does_not_keep_the_queue_closed(opener: Callable[..., Queue], folder: Path,
                                                        content: str) -> None:
    """What cannot be read is put aside, and the start goes on."""
    opener().close()
    plant(folder, **{f"meta/batch-7-7-{ID}.json": content, "meta/batch-x": "strange"})
    queue = opener()
    queue.enqueue(NewTask("ping", {}))
    assert len(queue.claim("w", max_tasks=9)) == 1
    assert not (folder / f"meta/batch-7-7-{ID}.json").exists()


def test_a_dead_writers_batch_is_delivered_at_the_start(opener: Callable[..., Queue], folder: Path) -> None:
    """What was accepted comes, and only what is missing of it."""
    opener().close()
    other = ID[:-1] + "2"
    tasks = {ID: json.loads(TASK), other: {"id": other, "type": "ping", "data": {"n": 2}}}
    plant(folder, **{f"meta/batch-7-7-{ID}.json": json.dumps({"tasks": tasks}), f"tasks/{ID}.json": TASK})
    queue = opener()
    assert sorted(claim.task.id for claim in queue.claim("w", max_tasks=9)) == [ID, other]
    assert list((folder / "meta").glob("batch-*")) == []


@pytest.mark.parametrize("content", ["", "{", '{"task_ids": [', "[]", "{}", '{"fingerprint": 7}'])
def test_a_damaged_key_is_a_key_that_was_never_used(opener: Callable[..., Queue], folder: Path, content: str) -> None:
    """A power cut in the fast mode may leave an empty file: the caller is served, and the key stands from then on."""
    queue = opener()
    queue.enqueue(NewTask("ping", {}), key="k")
    [path] = (folder / "keys").iterdir()
    path.write_text(content)
    again = queue.enqueue(NewTask("ping", {}), key="k")
    assert again.created
    assert queue.enqueue(NewTask("ping", {}), key="k").task_id == again.task_id


def test_results_alone_count_as_finished(queue: Queue, folder: Path, clock: FakeClock) -> None:
    """A foreign worker deleted the task: its result is found, listed, and pruned like any other."""
    plant(folder, **{f"results/{ID}.json": RESULT})
    queue.sweep()
    assert queue.task(ID).state is State.DONE
    assert queue.task(ID).task.type == "unknown"
    assert queue.store.prune(clock.now() + timedelta(days=1)) == 1
    assert queue.counts().results == 0


def test_a_result_that_goes_away_is_forgotten(queue: Queue, folder: Path) -> None:
    """Somebody deleted it by hand: the counts follow."""
    plant(folder, **{f"results/{ID}.json": RESULT})
    assert queue.counts().results == 1
    (folder / "results" / f"{ID}.json").unlink()
    assert queue.counts().results == 0
    assert queue.latest_results() == []
