"""`doctor` that mends, `prune`, `export`, `import`, `queues`: looking after whole queues."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from service import environment
from taskspool.cli import care
from taskspool.engine.lifecycle import open_queue
from taskspool.engine.task import NewTask
from taskspool.settings import Settings


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor looks again at once."""
    monkeypatch.setattr(care, "LOOK_AGAIN_SECONDS", 0.02)


def twin(command: Callable, root: Path) -> tuple[Path, Path]:
    """A task that waits, and its copy among the done ones."""
    task_id = command("put", "x").out.strip()
    first, second = (root / "task_queue" / folder / f"{task_id}.json" for folder in ("tasks", "done"))
    second.write_bytes(first.read_bytes())
    return first, second


# -- doctor ----------------------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_repair_would_do(command, root):
    """A line with its cure for each problem, and nothing is changed; --repair does just that, and then all is sound."""
    first, second = twin(command, root)
    dry = command("doctor", "--dry-run")
    assert (dry.code, "is in tasks/ and in done/: move it to quarantine/" in dry.out) == (1, True)
    assert second.exists()
    mended = command("doctor", "--repair")
    assert (mended.code, mended.out.count("mended"), "sound" in mended.out) == (0, 1, True)
    assert (first.exists(), second.exists()) == (True, False)
    assert len(list((root / "task_queue" / "quarantine").iterdir())) == 2
    assert command("doctor").code == 0


def test_doctor_tells_programs_kind_path_and_cure(command, root):
    """--json: sentences for old readers, findings for new ones, and what was mended."""
    _, second = twin(command, root)
    told = command("doctor", "--json").json
    [finding] = told["findings"]
    assert told["problems"] == [finding["sentence"]]
    assert (finding["kind"], finding["path"], finding["is_legal"]) == ("two places", f"done/{second.name}", False)
    told = command("doctor", "--repair", "--json").json
    assert (told["mended"], told["findings"], told["problems"]) == ([finding], [], [])


def test_a_leftover_is_told_and_no_problem(command, root):
    """It does no harm: code 0, and --repair takes it away."""
    command("put", "x")
    left = root / "task_queue" / "quarantine" / "1-x.reason.txt"
    left.write_text("x")
    done = command("doctor")
    assert (done.code, done.out.splitlines()[0].split()[0], "sound" in done.out) == (0, "leftover", True)
    assert command("doctor", "--repair").code == 0
    assert not left.exists()


def test_what_cannot_be_mended_yet_stays_a_problem(command, root):
    """Half a file that somebody may still be writing: code 1 also with --repair."""
    command("put", "x")
    (root / "task_queue" / "tasks" / "0190c0de-0000-7000-8000-000000000001.json").write_text("{")
    done = command("doctor", "--repair")
    assert (done.code, "mended" in done.out, "problem" in done.out) == (1, False, True)


def test_one_cure_brings_the_next_to_light(command, root):
    """An unreadable result goes aside, and the task that has lost it is finished as an error, in one call."""
    task_id = command("put", "x").out.strip()
    folder = root / "task_queue"
    (folder / "done" / f"{task_id}.json").write_bytes((folder / "tasks" / f"{task_id}.json").read_bytes())
    (folder / "tasks" / f"{task_id}.json").unlink()
    result = folder / "results" / f"{task_id}.json"
    result.write_text("{")
    os.utime(result, (1, 1))
    assert command("doctor", "--repair", "--json").code == 0
    assert "its result was lost" in command("result", task_id).err


def test_repair_and_dry_run_contradict_each_other(command):
    """One or the other."""
    command("put", "x")
    assert command("doctor", "--repair", "--dry-run").code == 2


def test_the_doctor_disturbs_nobody(command, root):
    """While others submit, claim and finish, nothing is found that lasts, and nothing is mended."""
    queue = open_queue(Settings(root=root, durability="fast"))
    is_over = threading.Event()

    def work() -> None:
        while not is_over.is_set():
            queue.enqueue(NewTask("ping", {}))
            for claim in queue.claim("w", max_tasks=2):
                queue.complete(claim.task.id, claim.lease.token, {})

    worker = threading.Thread(target=work)
    worker.start()
    try:
        for _ in range(3):
            told = command("doctor", "--repair", "--json").json
            assert (told["findings"], told["mended"]) == ([], [])
    finally:
        is_over.set()
        worker.join()
        queue.close()


# -- prune -----------------------------------------------------------------------------------------------------------


def test_prune_removes_what_is_finished_and_old(command, root):
    """Of the states that are named, or of all; what waits stays, and so does what is younger."""
    ids = [command("put", "ping").out.strip() for _ in range(3)]
    with_queue = open_queue(Settings(root=root, durability="fast"))
    lease = with_queue.claim_one(ids[0], "w").lease
    with_queue.complete(ids[0], lease.token, {})
    with_queue.cancel(ids[1], by="me")
    with_queue.close()
    assert command("prune", "--older-than", "1h").out == "0 pruned\n"
    assert command("prune", "cancelled", "dead", "--older-than", "0").out == "1 pruned\n"
    assert command("prune", "--older-than", "0s", "--json").json == {"pruned": 1}
    assert [command("show", task_id).code for task_id in ids] == [1, 1, 0]


@pytest.mark.parametrize("arguments", [[], ["--older-than", "soon"], ["ready", "--older-than", "1"]])
def test_prune_wants_to_know_what(command, arguments):
    """An age must be given, and a state that is final."""
    command("put", "x")
    assert command("prune", *arguments).code == 2


# -- export, import --------------------------------------------------------------------------------------------------


def test_export_and_import_carry_a_queue_over(command, root, tmp_path):
    """Into another queue below the same root, which is made; twice is once."""
    ids = {command("put", "x", f"n={n}").out.strip() for n in range(3)}
    assert "3 tasks" in command("export", tmp_path / "q.tar").err
    done = command("import", tmp_path / "q.tar", "--queue", "other", "--json")
    assert done.json == {"tasks": 3, "records": 0, "existed": 0, "left_out": []}
    assert {task["id"] for task in command("ls", "--queue", "other", "--json").json["tasks"]} == ids
    assert command("import", tmp_path / "q.tar", "--queue", "other").out == (
        "0 tasks and 0 records came in, 3 tasks existed\n")
    assert list(tmp_path.glob("*.part")) == []


def test_export_and_import_through_a_pipe(command, root):
    """`taskspool export - | taskspool import - --queue other`: a stream that cannot be read twice."""
    task_id = command("put", "x").out.strip()
    run = [sys.executable, "-m", "taskspool"]
    variables = environment(TASKSPOOL_ROOT=str(root), TASKSPOOL_DURABILITY="fast")
    with subprocess.Popen([*run, "export", "-"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          env=variables) as out:
        done = subprocess.run([*run, "import", "-", "--queue", "other"], stdin=out.stdout, capture_output=True,
                              env=variables, timeout=30)
    assert done.stdout.startswith(b"1 tasks")
    assert command("show", task_id, "--queue", "other").code == 0


def test_what_is_left_out_is_told(command, root, tmp_path):
    """A line each on stderr, and code 1, on the way out and on the way in."""
    kept, damaged = (command("put", "x").out.strip() for _ in range(2))
    path = root / "task_queue" / "tasks" / f"{damaged}.json"
    whole = path.read_bytes()
    path.write_text("{")
    done = command("export", tmp_path / "q.tar")
    assert (done.code, damaged in done.err, kept in done.err) == (1, True, False)
    path.write_bytes(whole)
    with tarfile.open(tmp_path / "bad.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        (tmp_path / "half").write_text("{")
        tar.add(tmp_path / "half", f"tasks/{damaged}.json")
    done = command("import", tmp_path / "bad.tar", "--queue", "other")
    assert (done.code, damaged in done.err) == (1, True)


def test_a_tar_that_is_none_is_refused(command, root, tmp_path):
    """In one line that says why, and nothing is there."""
    (tmp_path / "no.tar").write_text("hello " * 200)
    done = command("import", tmp_path / "no.tar")
    assert (done.code, "this tar is refused" in done.err, "taskspool export" in done.err) == (2, True, True)
    assert command("import", tmp_path / "nowhere.tar").code == 2


def test_an_export_that_fails_leaves_the_old_file(command, root, tmp_path, monkeypatch):
    """The name is given to the new one only when it is whole."""
    command("put", "x")
    (tmp_path / "q.tar").write_text("old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(5, "refused")))
    assert command("export", tmp_path / "q.tar").code == 3
    assert (tmp_path / "q.tar").read_text() == "old"
    assert list(tmp_path.glob("*.part")) == []
    assert command("export", tmp_path / "nowhere" / "q.tar").code == 3


@pytest.mark.skipif(sys.platform == "win32", reason="terminals are made otherwise there")
def test_a_tar_is_not_for_a_terminal(command, root):
    """`taskspool export -` alone is a mistake."""
    command("put", "x")
    pty = pytest.importorskip("pty")
    near, far = pty.openpty()
    done = subprocess.run([sys.executable, "-m", "taskspool", "export", "-", "--root", root], stdout=far,
                          stderr=subprocess.PIPE, env=environment(), timeout=30)
    os.close(far)
    os.close(near)
    assert done.returncode == 2
    assert b"not for a terminal" in done.stderr


# -- queues ----------------------------------------------------------------------------------------------------------


def test_queues_lists_them_with_counts(command, root):
    """A folder with tasks/ and results/ in it is a queue; everything else below the root is not."""
    command("put", "x")
    command("put", "x", "--queue", "second")
    command("put", "x", "--queue", "second")
    claimed = open_queue(Settings(root=root, queue="second", durability="fast"))
    claimed.claim("w")
    (root / "notes").mkdir()
    for name in ("tasks", "results"):
        (root / "no queue's name" / name).mkdir(parents=True)
    (root / "file").write_text("x")
    lines = [line.split() for line in command("queues").out.splitlines()]
    claimed.close()
    assert lines == [["QUEUE", "SCHEDULED", "READY", "CLAIMED", "DONE", "DEAD", "CANCELLED"],
                     ["second", "0", "1", "1", "0", "0", "0"], ["task_queue", "0", "1", "0", "0", "0", "0"]]
    told = command("queues", "--json").json
    assert told["root"] == str(root)
    assert [(queue["name"], queue["counts"]["ready"]) for queue in told["queues"]] == [("second", 1), ("task_queue", 1)]


def test_no_queues_is_no_error(command, root):
    """An empty root says so; one that is not there is not found, and not made."""
    assert command("queues").code == 1
    assert not root.exists()
    root.mkdir()
    done = command("queues")
    assert (done.code, done.out, "no queue" in done.err) == (0, "", True)


@pytest.mark.parametrize("name", ["../x", "a/b", "", "x" * 65, ".", "a b"])
@pytest.mark.parametrize("verb", [["put", "x"], ["ls"], ["doctor"], ["prune", "--older-than", "0"], ["sweep"],
                                  ["export", "-"]])
def test_a_name_that_is_none_is_refused_everywhere(command, root, name, verb):
    """Names of queues are checked once, before anything is looked at; an empty one stands for the default."""
    done = command(*verb, "--queue", name) if name else command(*verb, "--queue", " ")
    assert done.code == 2
    assert "queue must be" in done.err
    assert not root.exists()
