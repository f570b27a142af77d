"""`serve` and `work` as processes: they start, say where they are, refuse with a reason, and stop when told."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from service import Services, services, taskspool
from waiting import eventually


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Services]:
    with services(tmp_path) as made:
        yield made


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent another way there")
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_bridge_and_worker_stop_when_told(started: Services, tmp_path: Path, number: int) -> None:
    """Ctrl-C or SIGTERM: exit code 0 within 5 s, also with a long poll open; no claim and no lock is left behind."""
    root = tmp_path / "outputs"
    bridge = started.bridge(root)
    url = f"http://127.0.0.1:{bridge.port()}"
    workers = [started.worker("--root", root), started.worker("--url", url)]
    task_id = requests.post(f"{url}/api/tasks", json={"task_type": "ping"}, timeout=5).json()["task_id"]
    assert requests.get(f"{url}/api/tasks/{task_id}/result?wait=10", timeout=20).json()["status"] == "success"
    for worker in workers:
        eventually(lambda worker=worker: "working" in worker.said(), 10, "the worker works")
    for service in (*workers, bridge):
        begin = time.monotonic()
        os.kill(service.process.pid, number)
        assert service.process.wait(6) == 0, service.said()
        assert time.monotonic() - begin < 5
    assert taskspool("doctor", "--root", root).returncode == 0


@pytest.mark.slow
def test_the_log_is_json_when_asked(started: Services, tmp_path: Path) -> None:
    """`--log-format json`: every line is an object with time, level, logger and message."""
    bridge = started.bridge(tmp_path / "outputs", "--log-format", "json")
    port = bridge.port()
    assert requests.get(f"http://127.0.0.1:{port}/health", timeout=5).json()["status"] == "ok"
    for line in bridge.said().splitlines():
        assert {"time", "level", "logger", "message"} <= set(json.loads(line))


@pytest.mark.parametrize("host", [
    "0.0.0.0", *(pytest.param(host, marks=pytest.mark.slow) for host in ("", "::", "192.0.2.1", "example.org"))])
def test_an_open_address_is_refused(tmp_path: Path, host: str) -> None:
    """Without keys the bridge listens on loopback only; any other --host ends with code 2, before a folder is made."""
    done = taskspool("serve", "bridge", "--host", host, "--port", "0", "--root", tmp_path / "outputs")
    assert done.returncode == 2
    assert "REFUSED_TO_START" in done.stderr
    assert not (tmp_path / "outputs").exists()


def test_a_taken_port_is_refused_with_its_holder(tmp_path: Path) -> None:
    """The message names the port and who has it; code 2."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        done = taskspool("serve", "bridge", "--port", str(port), "--root", tmp_path / "outputs")
    assert done.returncode == 2
    assert str(port) in done.stderr
    if sys.platform == "linux":
        assert str(os.getpid()) in done.stderr


@pytest.mark.slow
def test_commands_speak_to_the_bridge(started: Services, tmp_path: Path) -> None:
    """put, show, result with --url, with and without /api, do what they do on the folder."""
    root = tmp_path / "outputs"
    url = f"127.0.0.1:{started.bridge(root).port()}/api/"
    put = taskspool("put", "calculation", "numbers=[1,2,3]", "--url", url)
    assert put.returncode == 0, put.stderr
    task_id = put.stdout.strip()
    assert json.loads(taskspool("show", task_id, "--url", url, "--json").stdout)["id"] == task_id
    assert taskspool("result", task_id, "--url", url).returncode == 4
    work = taskspool("work", "--url", url, "--once")
    assert work.returncode == 0, work.stderr
    assert json.loads(taskspool("result", task_id, "--url", url, "--wait", "5").stdout) == {"result": 6}


def test_a_worker_asks_for_one_place(tmp_path: Path) -> None:
    """--url and --root exclude each other; a handler module that does not exist is named; both are code 2."""
    done = taskspool("work", "--url", "http://127.0.0.1:1", "--root", tmp_path)
    assert (done.returncode, "INVALID_REQUEST" in done.stderr) == (2, True)
    done = taskspool("work", "--handlers", "no_such_module", "--root", tmp_path)
    assert (done.returncode, "no_such_module" in done.stderr) == (2, True)


@pytest.mark.slow
def test_a_worker_uses_the_handlers_it_is_given(tmp_path: Path) -> None:
    """--handlers FILE --no-builtin --once: the task of that type is done, a ping is left alone."""
    root = tmp_path / "outputs"
    (tmp_path / "greetings.py").write_text(
        "from taskspool import handler\n\n\n@handler('greet')\ndef greet(data):\n"
        "    return {'message': 'hello ' + data['name']}\n")
    ping = taskspool("put", "ping", "--root", root).stdout.strip()
    greet = taskspool("put", "greet", "name=you", "--root", root).stdout.strip()
    work = taskspool("work", "--handlers", tmp_path / "greetings.py", "--no-builtin", "--once", "--name", "greeter",
                     "--root", root)
    assert work.returncode == 0, work.stderr
    result = json.loads(taskspool("result", greet, "--json", "--root", root).stdout)
    assert (result["data"], result["worker"]) == ({"message": "hello you"}, "greeter")
    assert taskspool("result", ping, "--root", root).returncode == 4
