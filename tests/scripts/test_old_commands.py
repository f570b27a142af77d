"""The commands of seed days keep working, word for word: ping, status, poller, server, watcher."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from service import PROJECT, Services, environment, services
from waiting import eventually

SCRIPTS = PROJECT / "scripts"
UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
PING_BLOCK = re.compile(rf"""🚀 HTTP-based Ping Task Submission
📤 Ping 작업 전송 중\.\.\.
✅ 작업 전송 완료!
🆔 Task ID: {UUID}

⏳ Comet 응답 대기 중 \(최대 10초\)\.\.\.

========================================
  ✅ 결과 수신 완료!
========================================
🤖 Worker: \S+
📊 Status: success
💬 Message: pong
⏰ Completed: \d{{4}}-\d\d-\d\dT\S+
========================================
""")


def script(name: str, *arguments: str | Path, root: Path, cwd: Path | None = None,
           **more: str) -> subprocess.CompletedProcess[str]:
    """`python scripts/NAME ARGUMENTS`, to its end."""
    own = environment(TASKSPOOL_ROOT=str(root), **more)
    del own["PYTHONPATH"]
    return subprocess.run([sys.executable, str(SCRIPTS / name), *map(str, arguments)], capture_output=True, cwd=cwd,
                          encoding="utf-8", timeout=60, env=own, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with services(tmp_path_factory.mktemp("services")) as made:
        yield made


@pytest.fixture(scope="module")
def root(started: Services, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a worker on it, started as `scripts/watch_task_worker.py`."""
    folder = tmp_path_factory.mktemp("queue") / "outputs"
    started.start(SCRIPTS / "watch_task_worker.py", TASKSPOOL_ROOT=str(folder))
    eventually((folder / "task_queue" / "tasks").is_dir, 20, "the worker opened the folder")
    return folder


@pytest.fixture(scope="module")
def url(started: Services, root: Path) -> str:
    """A bridge on that folder, started as `scripts/task_queue_api_server.py`."""
    server = started.start(SCRIPTS / "task_queue_api_server.py", "--port", "0", TASKSPOOL_ROOT=str(root))
    return f"http://127.0.0.1:{server.port()}"


@pytest.mark.parametrize("ending", [
    "", *(pytest.param(ending, marks=pytest.mark.slow) for ending in ("/", "/api", "/api/"))])
def test_send_ping_http_prints_the_known_block(root: Path, url: str, ending: str) -> None:
    """`send_ping_http.py` prints the block its users know, with the address in any spelling; exit code 0."""
    done = script("send_ping_http.py", "--api", url + ending, root=root)
    assert done.returncode == 0, done.stdout + done.stderr
    assert PING_BLOCK.fullmatch(done.stdout), done.stdout


@pytest.mark.slow
def test_send_ping_finds_the_way_itself(root: Path, url: str, free_port: int) -> None:
    """HTTP when a bridge answers, the folder when none does; --force decides otherwise."""
    assert "HTTP-based" in script("send_ping.py", "--api", url, root=root).stdout
    nobody = f"http://127.0.0.1:{free_port}/api"
    through_folder = script("send_ping.py", "--api", nobody, root=root)
    assert (through_folder.returncode, "File-based" in through_folder.stdout) == (0, True), through_folder.stdout
    assert "File-based" in script("send_ping.py", "--api", url, "--force", "file", root=root).stdout
    assert script("send_ping.py", "--api", nobody, "--force", "http", root=root).returncode == 3


def test_send_ping_that_nobody_answers_fails(tmp_path: Path, free_port: int) -> None:
    """Nobody works on the folder: exit code 1 when --timeout is over, and what to start."""
    done = script("send_ping.py", "--timeout", "0.2", "--api", f"http://127.0.0.1:{free_port}", root=tmp_path)
    assert done.returncode == 1
    assert "watch_task_worker.py" in done.stdout


def test_status_is_good_only_when_a_worker_answers(root: Path, url: str, tmp_path: Path, free_port: int) -> None:
    """`check_comet_status.py` shows the folders and ends with 0 if a ping was answered, else with 1."""
    done = script("check_comet_status.py", "--api", url, root=root)
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(root / "task_queue" / "tasks") in done.stdout
    done = script("check_comet_status.py", "--api", f"http://127.0.0.1:{free_port}", "--timeout", "0.2", root=tmp_path)
    assert done.returncode == 1
    assert "none answered" in done.stdout
    assert "does not answer" in done.stdout


def test_the_poller_does_one_task_and_stops(started: Services, tmp_path: Path) -> None:
    """`http_task_poller.py --once --worker-id ID`: asks once, does what came, under that name."""
    server = started.bridge(tmp_path / "outputs")
    api = f"http://127.0.0.1:{server.port()}/api"
    task = requests.post(f"{api}/tasks", json={"task_type": "calculation", "data": {"numbers": [1, 2, 3]}}, timeout=5)
    done = script("http_task_poller.py", "--api-url", api, "--worker-id", "poller-1", "--interval", "1.0", "--once",
                  root=tmp_path)
    assert done.returncode == 0, done.stderr
    result = requests.get(f"{api}/tasks/{task.json()['task_id']}/result", timeout=5).json()
    assert (result["worker"], result["data"]) == ("poller-1", {"result": 6})


def test_the_batch_one_liner_works(root: Path) -> None:
    """The one-liner that submits five pings, from the project's folder; the worker does them all."""
    line = ("import sys, json; sys.path.insert(0, 'scripts'); from shared_task_queue import TaskQueue; q = TaskQueue();"
            " ids = [q.push_task('ping', {}, f'batch-{i}') for i in range(5)];"
            " print(json.dumps({'submitted': len(ids), 'task_ids': ids}, indent=2))")
    done = subprocess.run([sys.executable, "-c", line], cwd=PROJECT, capture_output=True, text=True, timeout=30,
                          env=environment(TASKSPOOL_ROOT=str(root)))
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["submitted"] == 5
    for task_id in said["task_ids"]:
        eventually(lambda task_id=task_id: (root / "task_queue" / "results" / f"{task_id}.json").exists(), 10)


def test_scripts_use_the_projects_own_outputs(tmp_path: Path) -> None:
    """From whichever folder a script is started, the queue is in the project's outputs, unless TASKSPOOL_ROOT says."""
    ask = "import sys; sys.path.insert(0, sys.argv[1]); import shared_task_queue as q; print(q.TASKS_DIR)"
    own = environment()
    del own["PYTHONPATH"]
    prepared = ("import sys, os; sys.path.insert(0, sys.argv[1]); import _find_package as p; p.prepare();"
                " print(os.environ['TASKSPOOL_ROOT'])")
    done = subprocess.run([sys.executable, "-c", prepared, str(SCRIPTS)], cwd=tmp_path, capture_output=True, text=True,
                          timeout=30, env=own)
    assert done.stdout.strip() == str(PROJECT / "outputs"), done.stderr
    for more, expected in (({}, PROJECT / "outputs"), ({"TASKSPOOL_ROOT": str(tmp_path)}, tmp_path)):
        done = subprocess.run([sys.executable, "-c", ask, str(SCRIPTS)], cwd=tmp_path, capture_output=True, text=True,
                              timeout=30, env={**own, **more})
        assert done.stdout.strip() == str(expected / "task_queue" / "tasks"), done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", sorted(path.name for path in SCRIPTS.glob("[a-z]*.py") if path.stem not in {
    "bootstrap", "bridge_url", "shared_task_queue"}))
def test_a_script_without_its_packages_says_what_to_run(name: str, tmp_path: Path) -> None:
    """Started with a Python that lacks the packages: one sentence with the command that makes them, exit code 1."""
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-S", str(SCRIPTS / name)], cwd=tmp_path, capture_output=True, text=True,
                          timeout=30, env=alone)
    assert done.returncode == 1, done.stderr
    assert "bootstrap.py run" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["cp949", "cp1252"])
def test_a_console_without_the_letters_is_no_error(root: Path, url: str, encoding: str) -> None:
    """On a console of another code page the block is shown with `?` for what it lacks."""
    own = environment(TASKSPOOL_ROOT=str(root), PYTHONUTF8="0", PYTHONIOENCODING=encoding)
    done = subprocess.run([sys.executable, str(SCRIPTS / "send_ping_http.py"), "--api", url], capture_output=True,
                          timeout=60, env=own)
    assert done.returncode == 0, done.stderr
    assert b"pong" in done.stdout
