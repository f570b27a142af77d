"""`put`, `result`: hand a task over, get its result back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from service import taskspool
from taskspool.engine.lifecycle import open_queue
from taskspool.settings import Settings


def finish(root: Path, data: object = None, error: str | None = None) -> str:
    """Do the next task as a worker would; its id."""
    from taskspool.engine.lifecycle import Failure

    queue = open_queue(Settings(root=root, durability="fast"))
    try:
        [claim] = queue.claim("somebody")
        if error is None:
            queue.complete(claim.task.id, claim.lease.token, data)
        else:
            queue.fail(claim.task.id, claim.lease.token, Failure(error, retryable=False))
        return claim.task.id
    finally:
        queue.close()


def test_put_prints_the_id_alone(command, root):
    """What stands on stdout is the id, so that a script can keep it; the file is there."""
    done = command("put", "ping")
    assert (done.code, done.err) == (0, "")
    assert (root / "task_queue" / "tasks" / f"{done.out.strip()}.json").is_file()


def test_pairs_are_json_where_they_are_json(command):
    """KEY=VALUE: a VALUE that is JSON is taken as such, anything else is text; pairs go before --data."""
    task_id = command("put", "x", "numbers=[1,2]", "flag=true", "text=한글 a=b", "n=2", "--data",
                      '{"n": 1, "more": {}}').out.strip()
    assert command("show", task_id, "--json").json["data"] == {
        "numbers": [1, 2], "flag": True, "text": "한글 a=b", "n": 2, "more": {}}


def test_data_comes_from_a_file_too(command, tmp_path):
    """--data @FILE reads a file, also one that Windows' Notepad marked as UTF-8."""
    (tmp_path / "task.json").write_bytes(b"\xef\xbb\xbf" + '{"text": "é"}'.encode())
    task_id = command("put", "x", "--data", f"@{tmp_path / 'task.json'}").out.strip()
    assert command("show", task_id, "--json").json["data"] == {"text": "é"}


def test_data_may_be_given_in_parts(command, tmp_path):
    """--data may be repeated, and be KEY=VALUE as well; what is said later, or outside of it, wins."""
    (tmp_path / "task.json").write_text('{"a": 1, "b": 1, "c": 1, "d": 1}')
    task_id = command("put", "x", "d=4", "--data", "c=3", "--data", f"@{tmp_path / 'task.json'}", "--data",
                      '{"b": "x=y"}', "--data", "d=5").out.strip()
    assert command("show", task_id, "--json").json["data"] == {"a": 1, "b": "x=y", "c": 3, "d": 4}


def test_data_comes_from_a_pipe_too(root):
    """--data - reads UTF-8 from stdin, whatever the console's code page is."""
    done = taskspool("put", "x", "--data", "-", "--root", root, given='{"text": "한글"}', PYTHONUTF8="0",
                     PYTHONIOENCODING="cp1252")
    assert done.returncode == 0, done.stderr
    [file] = (root / "task_queue" / "tasks").iterdir()
    assert json.loads(file.read_text(encoding="utf-8"))["data"] == {"text": "한글"}


@pytest.mark.parametrize("arguments", [
    ["pair"], ["=1"], ["--data", "{"], ["--data", "[1]"], ["--data", '{"a": NaN}'], ["--data", "@no such file"],
    ["--data", "[" * 100_000], ["--priority", "loud"], ["--max-retries", "-1"], ["--wait", "soon"],
    ["--wait", "nan"], ["--requester", ""], ["--key", "a\nb"], ["--each", "no such file"],
])
def test_what_is_not_a_task_is_refused(command, root, arguments):
    """Wrong arguments end with code 2 and one line that says so; nothing is handed over."""
    done = command("put", "x", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")
    assert "Traceback" not in done.err
    assert not any((root / "task_queue" / "tasks").glob("*")) if root.exists() else True


def test_the_same_key_is_the_same_task(command):
    """--key: the same key again gives the same id; with another task it is a conflict, code 1."""
    first = command("put", "x", "n=1", "--key", "k")
    assert command("put", "x", "n=1", "--key", "k").out == first.out
    done = command("put", "x", "n=2", "--key", "k")
    assert (done.code, done.out) == (1, "")
    assert "IDEMPOTENCY_CONFLICT" in done.err


def test_each_line_becomes_a_task(command, tmp_path):
    """--each: one task a line in the order of the lines; blank lines are left out."""
    (tmp_path / "lines").write_text("".join(f'{{"n": {n}}}\n\n' for n in range(1201)))
    ids = command("put", "x", "--each", tmp_path / "lines").out.split()
    listed = command("ls", "ready", "--json", "--limit", 2000).json["tasks"]
    assert [task["id"] for task in listed] == ids
    assert [task["data"]["n"] for task in listed] == list(range(1201))


def test_a_bad_line_hands_nothing_over(command, root, tmp_path):
    """--each: a line that is no JSON object is named, before anything is handed over."""
    (tmp_path / "lines").write_text('{"n": 1}\n[]\n')
    done = command("put", "x", "--each", tmp_path / "lines")
    assert (done.code, done.out) == (2, "")
    assert "line 2" in done.err
    assert not any((root / "task_queue" / "tasks").glob("*"))


def test_a_result_is_shown(command, root):
    """`result`: data on stdout, code 0; with --json the whole of it."""
    command("put", "x")
    task_id = finish(root, {"n": 1})
    assert json.loads(command("result", task_id).out) == {"n": 1}
    shown = command("result", task_id, "--json").json
    assert {**shown, "completed_at": ""} == {"task_id": task_id, "worker": "somebody", "status": "success",
                                             "data": {"n": 1}, "completed_at": "", "error_message": None}


def test_a_failed_task_has_a_result_too(command, root):
    """`result` of a failed task: the message on stderr, code 1."""
    command("put", "x")
    done = command("result", finish(root, error="no such city\x1b[2J"))
    assert done.code == 1
    assert "no such city\\u001b[2J" in done.err


def test_a_pending_result_is_code_4(command):
    """`result`, and `put --wait`, end with 4 when the time is up and the task is not finished."""
    task_id = command("put", "x").out.strip()
    assert command("result", task_id).code == 4
    assert command("result", task_id, "--wait", "0.05").code == 4
    done = command("put", "x", "--wait", "0.05")
    assert (done.code, done.out) == (4, "")


def test_unknown_tasks_are_code_1(command):
    """`show` and `result` of an id nobody has end with 1, also when the id is no id at all."""
    command("put", "x")
    for task_id in ("00000000-0000-7000-8000-000000000000", "../../etc/passwd", "nul"):
        for verb in ("show", "result"):
            done = command(verb, task_id)
            assert (done.code, done.out) == (1, "")
            assert "TASK_NOT_FOUND" in done.err


def test_a_bridge_that_is_not_there_is_code_3(command, free_port):
    """--url of nobody: code 3 and a hint, from every command that takes it."""
    url = f"http://127.0.0.1:{free_port}"
    for arguments in (["put", "x"], ["show", "x"], ["result", "x"]):
        done = command(*arguments, "--url", url)
        assert (done.code, done.out) == (3, "")
        assert "SERVER_UNREACHABLE" in done.err
        assert "hint:" in done.err
