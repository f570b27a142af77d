"""`ls`, `show`, `explain`, `stats`, `events`, `batch`: on the folder, and the same over a bridge."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from live_bridge import live_bridge
from service import services
from taskspool.engine.lifecycle import Failure, Queue, open_queue
from taskspool.engine.task import NewTask
from taskspool.settings import Settings
from waiting import eventually
from worker_processes import processes


@pytest.fixture
def queue(root: Path) -> Queue:
    opened = open_queue(Settings(root=root, durability="fast"))
    yield opened
    opened.close()


def put(command, task_type: str = "x", *options: object) -> str:
    return command("put", task_type, *options).out.strip()


def ids(done) -> list[str]:
    return [task["id"] for task in done.json["tasks"]]


def test_ls_chooses_sorts_and_pages(anywhere):
    """Filters are joined, totals are of all that fit, --offset goes on where --limit ended."""
    first = put(anywhere, "a", "--group", "g", "--tag", "t", "--priority", "low", "--requester", "me")
    second = put(anywhere, "b", "--group", "g", "--tag", "t", "--tag", "u")
    third = put(anywhere, "a", "--delay", "1h")
    assert set(ids(anywhere("ls", "--group", "g", "--json"))) == {first, second}
    assert ids(anywhere("ls", "--tag", "t", "--tag", "u", "--json")) == [second]
    assert ids(anywhere("ls", "--requester", "me", "--priority", "low", "--json")) == [first]
    assert ids(anywhere("ls", "--type", "a", "--json")) == [first, third]
    assert ids(anywhere("ls", "all", "--sort", "created_at", "--json")) == [first, second, third]
    page = anywhere("ls", "all", "--sort", "-created_at", "--limit", 1, "--offset", 1, "--json")
    assert (ids(page), page.json["total"]) == ([second], 3)
    assert ids(anywhere("ls", "all", "--since", "2030-01-01", "--json")) == []
    assert "1 of 2 shown" in anywhere("ls", "ready", "--limit", 1).err


def test_ls_notes_what_goes_on(anywhere, queue):
    """How far a running task is, when a scheduled one comes, what a dead one died of."""
    put(anywhere, "run")
    [claim] = queue.claim("somebody")
    queue.extend(claim.task.id, claim.lease.token, percent=40, message="row 4 of 10")
    put(anywhere, "later", "--delay", "2h")
    put(anywhere, "broken")
    [broken] = eventually(lambda: queue.claim("somebody"))
    queue.fail(broken.task.id, broken.lease.token, Failure("no such\ncity", retryable=False))
    notes = {line.split()[2]: line for line in anywhere("ls").out.splitlines()[3:]}
    assert notes["run"].endswith("40 % row 4 of 10")
    assert re.search(r"in (2h|1h59m)$", notes["later"])
    assert anywhere("ls", "dead").out.splitlines()[3].endswith("no such")


def test_both_ways_show_the_same(command, root, queue):
    """Whatever the folder tells of a task with --json, the bridge tells under the same names."""
    task_id = put(command, "x", "--max-retries", 2, "--timeout", "5m", "--tag", "t", "--backoff", "linear:2s")
    [claim] = queue.claim("somebody", lease_seconds=60)
    queue.extend(task_id, claim.lease.token, percent=1, checkpoint={"a": 1})
    queue.fail(task_id, claim.lease.token, Failure("broke"))
    with live_bridge(root) as bridge:
        for verb in (["show", task_id], ["explain", task_id], ["stats"], ["ls"]):
            near, far = (command(*verb, "--json", *way).json for way in ([], ["--url", bridge.url]))
            own_words = {"crashes", "max_retries", "last_error", "not_before"}
            assert set(near) - own_words <= set(far), verb
            assert [near.get(name) for name in ("history", "options", "checkpoint", "progress", "sentences")] == \
                [far.get(name) for name in ("history", "options", "checkpoint", "progress", "sentences")]
        same = [re.sub(r"[\d.]+(ms|s|m)\b.*", "", line) for line in command("show", task_id).out.splitlines()]
        assert same == [re.sub(r"[\d.]+(ms|s|m)\b.*", "", line)
                        for line in command("show", task_id, "--url", bridge.url).out.splitlines()]


def test_the_story_tells_of_a_killed_worker(command, root, tmp_path):
    """kill -9 in the middle of a run: `show` tells who had it, and who finished it."""
    with processes(tmp_path) as children:
        first = children.folder_worker(root, name="first")
        task_id = put(command, "hold", f"began={tmp_path / 'began'}", f"until={tmp_path / 'until'}")
        eventually((tmp_path / "began").exists, why="it runs")
        assert "first works on it since" in command("explain", task_id).out
        first.kill()
        (tmp_path / "until").touch()
        children.folder_worker(root, name="second")
        assert command("result", task_id, "--wait", 15).code == 0
    told = command("show", task_id).out.partition("history (UTC)\n")[2]
    story = [line.split(None, 2)[2] for line in told.splitlines()]
    patterns = ["submitted  by cli", "begun      attempt 1 by first",
                r"lost       attempt 1 by first after [\d.]+ s: worker first died or fell silent during attempt 1",
                "begun      attempt 2 by second", r"done       attempt 2 by second after [\d.]+ s"]
    assert len(story) == len(patterns), told
    assert all(re.fullmatch(pattern, line) for pattern, line in zip(patterns, story, strict=True)), told


def test_explain_says_why_and_what_next(anywhere):
    """In words: a summary, the grounds, and what happens next."""
    task_id = put(anywhere, "nobody", "--delay", "1h")
    told = anywhere("explain", task_id).out.splitlines()
    assert told[0].startswith("It is scheduled for")
    assert told[-1].startswith("next: ")
    assert anywhere("explain", "00000000-0000-7000-8000-000000000000").code == 1


def test_stats_count_by_type_and_group(anywhere, queue):
    """A line for each type and group, one for all, and how many were finished lately."""
    put(anywhere, "a", "--group", "g")
    [claim] = queue.claim("w")
    queue.complete(claim.task.id, claim.lease.token, {})
    put(anywhere, "b")
    queue.store.index.events()  # what this process did is written down by now
    told = anywhere("stats", "--json").json
    assert (told["by_type"]["a"]["done"], told["by_type"]["b"]["ready"]) == (1, 1)
    lines = {line.split()[0]: line.split() for line in anywhere("stats").out.splitlines() if line}
    assert lines["all"][1:6] == ["1", "0", "1", "0", "0"]
    assert lines["g"][3] == "1"
    assert lines["finished"][-4] == "1"
    assert set(anywhere("stats", "--type", "a", "--json").json["by_type"]) == {"a"}


def test_events_are_told_in_order(anywhere, queue):
    """All of them, those of one task, and those after one that was seen."""
    first, second = put(anywhere, "a"), put(anywhere, "b")
    anywhere("cancel", first, "--reason", "why not")
    told = [json.loads(line) for line in anywhere("events", "--json").out.splitlines()]
    assert [(event["event"], event["task_id"]) for event in told] == [
        ("enqueue", first), ("enqueue", second), ("cancel", first)]
    lines = anywhere("events", "--task", first).out.splitlines()
    assert [line.split()[2] for line in lines] == ["enqueue", "cancel"]
    assert lines[1].endswith("why not")
    assert [line.split()[2] for line in anywhere("events", "-n", 1).out.splitlines()] == ["cancel"]
    assert [json.loads(line) for line in anywhere("events", "--after", "0", "--json").out.splitlines()] == told
    after = anywhere("events", "--after", told[1]["id"], "--json").out
    assert json.loads(after)["event"] == "cancel"
    assert json.loads(anywhere("events", "--after", "long-gone-1", "--json").out.splitlines()[0])["event"] == "reset"


@pytest.mark.parametrize("way", ["folder", "bridge"])
def test_events_are_followed(root, tmp_path, queue, way):
    """-f -n N: the last N, then what other processes do, within a moment of it; each is told once."""
    for task_type in ("before", "last before"):
        queue.enqueue(NewTask(task_type, {}))
    before = queue.store.index.events()[0].id
    with live_bridge(root) as bridge, services(tmp_path) as made:
        where = ["--root", root] if way == "folder" else ["--url", bridge.url]
        follower = made.start("-m", "taskspool", "events", "-f", "-n", "1", "--after", before, "--json", *where)

        eventually(lambda: '"last before"' in follower.said(), 15, "it tells the last one")
        queue.cancel(queue.enqueue(NewTask("now", {})).task_id)
        eventually(lambda: follower.said().count("\n") > 2, 15, "it tells what happens")
        told = [json.loads(line) for line in follower.said().splitlines()]
        assert [(one["type"], one["event"]) for one in told] == [
            ("last before", "enqueue"), ("now", "enqueue"), ("now", "cancel")]


@pytest.mark.parametrize("way", ["folder", "bridge"])
@pytest.mark.slow
def test_events_are_followed_from_now_on(root, tmp_path, queue, way):
    """-f alone leaves out what was before."""
    queue.enqueue(NewTask("before", {}))
    queue.store.index.events()  # that is written down by now
    with live_bridge(root) as bridge, services(tmp_path) as made:
        where = ["--root", root] if way == "folder" else ["--url", bridge.url]
        follower = made.start("-m", "taskspool", "events", "-f", "--json", *where)

        def is_telling() -> bool:
            queue.cancel(queue.enqueue(NewTask("now", {})).task_id)
            return '"cancel"' in follower.said()

        eventually(is_telling, 15, "the follower tells")
        assert '"before"' not in follower.said()


def test_a_batch_is_put_and_watched(anywhere, queue, tmp_path):
    """All its tasks at once; `batch show` counts them, waits for the end, and fails when one is dead."""
    (tmp_path / "tasks").write_text('{"type": "a", "priority": "high"}\n\n{"task_type": "b", "data": {"n": 1}}\n')
    batch_id = anywhere("batch", "put", tmp_path / "tasks", "--name", "mine").out.strip()
    shown = anywhere("batch", "show", batch_id, "--json").json
    assert (shown["name"], shown["count"], shown["counts"]["ready"], shown["is_finished"]) == ("mine", 2, 2, False)
    assert anywhere("batch", "show", batch_id, "--wait", "0.05").code == 4
    first, second = queue.claim("w", max_tasks=2)
    assert (first.task.type, second.task.data) == ("a", {"n": 1})
    queue.complete(first.task.id, first.lease.token, {})
    assert "1 of 2 finished: at work" in anywhere("batch", "show", batch_id).out
    queue.fail(second.task.id, second.lease.token, Failure("no", retryable=False))
    done = anywhere("batch", "show", batch_id, "--wait", "5")
    assert (done.code, "2 of 2 finished: finished, 1 dead" in done.out) == (1, True)
    assert batch_id in anywhere("batch", "ls").out
    assert set(ids(anywhere("ls", "all", "--batch", batch_id, "--json"))) == set(shown["task_ids"])


@pytest.mark.parametrize(("text", "said"), [
    ("", "1..1000"), ('{"type": "a"}\n[]', "line 2"), ('[{"type": "a"}, 3]', "task 2"), ("[1", "not JSON"),
    ('{"data": {}}', "type must be"), ('{"type": "a", "tags": "x"}', "tags must be"),
    ('{"type": "a", "delay": "soon"}', "delay must be"), ('{"type": "a", "run_at": "soon"}', "run_at must be"),
    ('{"type": "a", "backoff": {"base": "x"}}', "backoff must be"), ('{"type": "a", "priority": "loud"}', "priority"),
    ('{"type": "a", "unique_key": "k"}', "one by one"), ('{"type": "a", "timeout": 0}', "timeout must lie"),
])
def test_a_batch_with_a_fault_hands_nothing_over(command, root, tmp_path, text, said):
    """The first task that is none is named, with the rule; nothing is handed over."""
    (tmp_path / "tasks").write_text(text)
    done = command("batch", "put", tmp_path / "tasks")
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert not any((root / "task_queue" / "tasks").glob("*")) if root.exists() else True
