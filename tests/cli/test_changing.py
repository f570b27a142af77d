"""`cancel`, `retry`, `pause`, `resume`: on the folder, and the same over a bridge."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskspool.engine.lifecycle import Failure, open_queue
from taskspool.settings import Settings


def work(root: Path, *, fails: bool = False, ends: bool = True) -> str:
    """Claim the next task, and end it; its id."""
    queue = open_queue(Settings(root=root, durability="fast"))
    try:
        [claim] = queue.claim("somebody", lease_seconds=60)
        if fails:
            queue.fail(claim.task.id, claim.lease.token, Failure("it broke", retryable=False))
        elif ends:
            queue.complete(claim.task.id, claim.lease.token, {})
        return claim.task.id
    finally:
        queue.close()


def put(command, task_type: str = "x", *options: object) -> str:
    return command("put", task_type, *options).out.strip()


def state(command, task_id: str) -> str:
    return str(command("show", task_id, "--json").json["state"])


def test_what_waits_is_cancelled_at_once(anywhere):
    """A ready and a scheduled task end as cancelled, with who and why in their history."""
    ready, scheduled = put(anywhere), put(anywhere, "y", "--delay", "1h")
    done = anywhere("cancel", ready, scheduled, "--by", "me", "--reason", "not needed")
    assert (done.code, done.out.splitlines()) == (0, [f"cancelled  {ready}", f"cancelled  {scheduled}"])
    assert "cancelled  by me: not needed" in anywhere("show", ready).out
    assert state(anywhere, scheduled) == "cancelled"
    assert anywhere("result", ready).err.startswith("cancelled (me): cancelled by me: not needed")


def test_what_runs_is_cancelling_until_its_worker_lets_go(anywhere, root):
    """The command does not wait for the worker, and says so; `show` says who asked."""
    put(anywhere)
    held = work(root, ends=False)
    done = anywhere("cancel", held, "--by", "me")
    assert (done.code, done.out) == (0, f"cancelling  {held}\n")
    shown = anywhere("show", held).out
    assert "asked for by me" in shown
    assert anywhere("show", held, "--json").json["cancel_requested"] is True


def test_one_that_cannot_be_cancelled_holds_no_other_up(anywhere, root):
    """A finished and an unknown task are said on stderr, the others are cancelled; the exit code is 1."""
    put(anywhere)
    finished, waiting = work(root), put(anywhere)
    unknown = "00000000-0000-7000-8000-000000000000"
    done = anywhere("cancel", finished, unknown, waiting)
    assert (done.code, done.out) == (1, f"cancelled  {waiting}\n")
    assert "TASK_FINISHED" in done.err
    assert "TASK_NOT_FOUND" in done.err
    told = anywhere("cancel", finished, "--json")
    assert (told.code, [one["code"] for one in told.json["failed"]]) == (1, ["TASK_FINISHED"])


def test_a_dead_task_waits_again(anywhere, root):
    """`retry` of one, with who and why; a second time it is refused."""
    put(anywhere)
    task_id = work(root, fails=True)
    done = anywhere("retry", task_id, "--by", "me", "--reason", "their site is back")
    assert (done.code, done.out) == (0, f"waits again  {task_id}\n")
    story = anywhere("show", task_id).out
    assert "failed     attempt 1 by somebody after" in story
    assert ": it broke" in story
    assert "retried    by me: their site is back" in story
    assert anywhere("retry", task_id).code == 1


def test_all_that_fit_are_cancelled(anywhere):
    """By type and by group; a dry run only shows them; nothing that does not fit is touched."""
    chosen = [put(anywhere, "x", "--group", "g"), put(anywhere, "x", "--group", "g", "--delay", "1h")]
    others = [put(anywhere, "x"), put(anywhere, "y", "--group", "g")]
    dry = anywhere("cancel", "--type", "x", "--group", "g", "--dry-run", "--json").json
    assert (set(dry["task_ids"]), dry["total"]) == (set(chosen), 2)
    assert {state(anywhere, task_id) for task_id in chosen} == {"ready", "scheduled"}
    assert set(anywhere("cancel", "--type", "x", "--group", "g", "--json").json["task_ids"]) == set(chosen)
    assert [state(anywhere, task_id) for task_id in chosen + others] == ["cancelled"] * 2 + ["ready"] * 2
    assert anywhere("cancel", "--type", "x", "--older-than", "1h").out.startswith("0 ")


def test_all_the_dead_wait_again(anywhere, root):
    """`retry --all`: the dead ones; the cancelled only when they are named."""
    for _ in range(2):
        put(anywhere)
    dead = {work(root, fails=True) for _ in range(2)}
    cancelled = put(anywhere)
    anywhere("cancel", cancelled)
    assert set(anywhere("retry", "--all", "--json").json["task_ids"]) == dead
    assert state(anywhere, cancelled) == "cancelled"
    assert anywhere("retry", "--state", "cancelled").out.startswith("1 ")
    assert state(anywhere, cancelled) == "ready"


@pytest.mark.parametrize("arguments", [
    ["cancel"], ["retry"], ["cancel", "x", "--all"], ["retry", "x", "--type", "y"], ["cancel", "--older-than", "soon"],
    ["cancel", "--state", "done"], ["retry", "--state", "ready"], ["cancel", "x", "--dry-run"],
])
def test_which_tasks_must_be_said_in_one_way(command, arguments):
    """Neither IDs nor a filter, or both: code 2, and nothing happens to anything."""
    waiting = put(command)
    done = command(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")
    assert state(command, waiting) == "ready"


def test_a_paused_type_is_not_handed_out(anywhere, root):
    """`pause TYPE`: it waits, `ls` says why, everything else goes on; `resume TYPE` ends it."""
    paused, other = put(anywhere, "x"), put(anywhere, "y")
    done = anywhere("pause", "x", "--by", "me", "--reason", "site down")
    assert (done.code, done.out) == (0, "paused x, 0s ago by me: site down\n")
    assert "paused x, " in anywhere("ls").out
    assert work(root) == other
    assert "paused" in anywhere("explain", paused).out
    assert anywhere("resume", "x").out == "everything is handed out\n"
    assert work(root) == paused


def test_a_paused_queue_stays_so_for_every_type(anywhere):
    """`pause`: the queue as a whole; `resume TYPE` does not end that, `resume` does."""
    anywhere("put", "x")
    assert anywhere("pause", "--json").json["paused"] is True
    assert "paused the queue, " in anywhere("resume", "x").out
    assert anywhere("resume", "--json").json["paused"] is False
