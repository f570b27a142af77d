"""The scripts of the tagged tasks do what their names promise: the worker, and the proof of concept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from service import PROJECT, environment
from waiting import eventually

from taskspool.engine.lifecycle import open_queue
from taskspool.settings import Settings

SCRIPTS = PROJECT / "scripts"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="shell scripts")


@pytest.mark.parametrize("name", ["run_worker.sh", "poc/run_poc.sh"])
def test_a_script_can_be_started(name: str) -> None:
    """It is executable, and a plain POSIX shell reads it."""
    assert os.access(SCRIPTS / name, os.X_OK)
    assert subprocess.run(["sh", "-n", SCRIPTS / name], check=False).returncode == 0


@pytest.mark.slow
def test_the_proof_of_concept_runs(tmp_path: Path, free_port: int) -> None:
    """run_poc.sh: POST /task?sleep_time=0 answers, its worker does it, and SIGTERM ends door and worker."""
    own = environment(TASKSPOOL_ROOT=str(tmp_path / "outputs"), PORT=str(free_port), PYTHON=sys.executable)
    with (tmp_path / "log").open("wb") as log:
        script = subprocess.Popen([SCRIPTS / "poc" / "run_poc.sh"], env=own, stdout=log, stderr=log,
                                  stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        reply = eventually(lambda: asked(free_port), 40, "the door answers")
        assert reply.json()["message"] == "Task enqueued successfully!"
        done = tmp_path / "outputs" / "tagged" / "results"
        eventually(lambda: list(done.glob("*.json")), 30, "the job is done")
        script.terminate()
        assert script.wait(30) == 0
        queue = open_queue(Settings(root=tmp_path / "outputs", queue="tagged"))
        assert [result.data for result in queue.latest_results()] == ["Slept for 0 seconds."]
        assert [worker.is_alive for worker in queue.workers.list()] == [False]
        queue.close()
    finally:
        try:
            os.killpg(script.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def asked(port: int) -> requests.Response | None:
    try:
        return requests.post(f"http://127.0.0.1:{port}/task?sleep_time=0", timeout=10)
    except requests.ConnectionError:
        return None
