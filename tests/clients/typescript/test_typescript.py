"""The TypeScript package, built as it stands, against the real bridge: its own tests, its README, kills and outages."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.typescript.ts_worker import TypeScriptWorker, typescript_worker
from clients.typescript.typescript_package import LACKS, NODE, PACKAGE, built, compiled, node
from live_bridge import LiveBridge, live_bridge
from service import Service, Services
from taskspool.client import Client
from waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(LACKS), reason=LACKS)]


@pytest.fixture(scope="module", autouse=True)
def package() -> Path:
    return built()


@pytest.mark.timeout(300)
def test_its_own_tests_pass(bridge: LiveBridge) -> None:
    """Sources and tests hold together under the strictest types, and `node --test` passes."""
    compiled("tsconfig.test.json")
    tests = sorted((PACKAGE / "build" / "test").glob("*.test.js"))
    wanted = {path.name for path in (PACKAGE / "test").glob("*.test.ts")}
    chosen = [path for path in tests if path.name.replace(".js", ".ts") in wanted]
    assert len(chosen) == len(wanted) > 4
    done = node("--test", *chosen, BRIDGE_URL=bridge.url, seconds=280)
    assert done.returncode == 0, "".join(re.findall(r"(?:^|\n)not ok .*?\n  \.\.\.", done.stdout, re.DOTALL))
    assert re.search(r"^# fail 0$", done.stdout, re.MULTILINE)


def test_it_asks_for_nothing_but_a_browser() -> None:
    """No file of dist/ imports anything from outside, nor names Node."""
    files = list((PACKAGE / "dist").glob("*.js"))
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    assert len(files) > 10
    assert {name for name in re.findall(r'from "([^"]+)"', text) if not name.startswith("./")} == set()
    assert re.findall(r"\b(?:process|Buffer|require)\b[.(]", text) == []


# -- the README ------------------------------------------------------------------------------------------------------


def blocks(language: str) -> list[str]:
    """The programs of the README in ``language``, in reading order."""
    text = (PACKAGE / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's project that has the package installed."""
    installed = tmp_path / "node_modules" / "taskspool"
    shutil.copytree(PACKAGE / "dist", installed / "dist")
    shutil.copy(PACKAGE / "package.json", installed)
    return tmp_path


def written(project: Path, name: str, block: str, url: str) -> Path:
    path = project / name
    path.write_text(block.replace("http://127.0.0.1:8091", url), encoding="utf-8")
    return path


def test_the_readme_runs(bridge: LiveBridge, project: Path) -> None:
    """The worker of ten lines answers the client of ten lines, as both stand in the README."""
    worker, client = blocks("js")
    for block in (worker, client):
        assert len([line for line in block.splitlines() if line.strip()]) <= 10
    process = subprocess.Popen([NODE, str(written(project, "worker.mjs", worker, bridge.url))], cwd=project)
    try:
        done = node(written(project, "client.mjs", client, bridge.url), cwd=project, seconds=60)
    finally:
        process.kill()
        process.wait(10)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "hello Ada" in done.stdout


def test_all_of_the_readme_compiles(project: Path) -> None:
    """Every typed program of the README fits the types that are shipped."""
    programs = blocks("ts")
    assert len(programs) > 1
    for number, block in enumerate(programs):
        (project / f"block{number}.mts").write_text(block, encoding="utf-8")
    (project / "tsconfig.json").write_text(json.dumps({
        "compilerOptions": {"target": "ES2022", "module": "NodeNext", "strict": True, "noEmit": True, "types": ["node"],
                            "lib": ["ES2022", "DOM"], "typeRoots": [str(PACKAGE / "node_modules" / "@types")],
                            "skipLibCheck": False}, "include": ["*.mts"]}), encoding="utf-8")
    compiled(str(project / "tsconfig.json"))


# -- kills and outages -----------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def worker(bridge: LiveBridge, folder: Path) -> Iterator[TypeScriptWorker]:
    with typescript_worker(bridge.url, f"ts-{folder.name}", folder) as one:
        yield one


FATES = {"ok": ("success", 1), "error": ("error", 2), "retry": ("success", 2), "give_up": ("error", 1),
         "snooze": ("success", 2), "wait": ("success", 1), "hang": ("error", 2)}
"""Fate -> how it ends, and how often it is claimed, with one retry; who hangs has a second."""


def test_every_fate_ends_as_documented(bridge: LiveBridge, worker: TypeScriptWorker) -> None:
    """Forty-two tasks of seven fates: each ends as it should, no attempt runs beside another, nothing is left."""
    asked = [(fate, bridge.submit("ts", {"fate": fate, "number": number, "seconds": 0.1}, max_retries=1,
                                  timeout=1 if fate == "hang" else None, backoff={"base": 0, "jitter": 0}))
             for number in range(6) for fate in FATES]
    with Client(bridge.url) as client:
        results = {task_id: client.result(task_id, wait=100) for _, task_id in asked}
        stories = {task_id: [entry["verb"] for entry in client.task(task_id)["history"]] for _, task_id in asked}
    for fate, task_id in asked:
        assert (results[task_id].status, stories[task_id].count("claim")) == FATES[fate], (fate, stories[task_id])
    eventually(lambda: worker.last_state()["status"] == "polling", 20, "its hands are free")
    assert worker.end() == 0


def test_killed_with_tasks_in_hand(bridge: LiveBridge, folder: Path) -> None:
    """A worker killed in the middle and started anew with its store gives its tasks back at once; as it
    does when it is asked to stop."""
    with typescript_worker(bridge.url, "ts-killed", folder) as first:
        tasks = [bridge.submit("ts", {"fate": "wait", "seconds": 100}, lease=600) for _ in range(3)]
        eventually(lambda: all(first.has_said(event="begin", task=task) for task in tasks), 30, "all run")
    begun = len(first.said())
    with typescript_worker(bridge.url, "ts-killed", folder) as second, Client(bridge.url) as client:
        eventually(lambda: {line["task"] for line in second.said()[begun:] if line["event"] == "begin"} >= {*tasks}, 60)
        assert second.end() == 0
        stories = [[entry["verb"] for entry in client.task(task)["history"]] for task in tasks]
    assert stories == [["enqueue", "claim", "release", "claim", "release"]] * 3


def test_a_task_that_kills_its_worker_is_counted(bridge: LiveBridge, folder: Path) -> None:
    """It is given back once; when it kills again, its lease runs out, and the next attempt knows that it is one."""
    task_id = bridge.submit("ts", {"fate": "die"})
    for _ in range(2):
        with typescript_worker(bridge.url, "ts-dies", folder, lease_seconds=2) as worker:
            worker.process.wait(60)
    with typescript_worker(bridge.url, "ts-dies", folder), Client(bridge.url) as client:
        assert client.result(task_id, wait=60).data == "survived"
        verbs = [entry["verb"] for entry in client.task(task_id)["history"]]
    assert verbs == ["enqueue", "claim", "release", "claim", "expire", "claim", "complete"]


def test_the_server_is_killed_in_the_middle(started: Services, folder: Path, free_port: int) -> None:
    """Work that is finished while the server is dead is handed in when it is back, once; new tasks are taken."""
    def serve() -> Service:
        return started.start("-m", "taskspool", "serve", "bridge", "--port", str(free_port), "--root", folder / "out")

    url = f"http://127.0.0.1:{free_port}"
    server = serve()
    assert server.port() == free_port
    with typescript_worker(url, "ts-away", folder) as worker, Client(url) as client:
        tasks = [client.submit("ts", {"fate": "wait", "seconds": 1}) for _ in range(4)]
        eventually(lambda: all(worker.has_said(event="begin", task=task) for task in tasks), 30, "all run")
        server.process.kill()
        server.process.wait(10)
        eventually(lambda: worker.last_state() == {"event": "state", "status": "offline", "waiting": 4,
                                                   "circuit": "open"}, 30, "all wait to be handed in")
        serve().port()
        for task in tasks:
            assert client.result(task, wait=60).data == "waited"
            assert [entry["verb"] for entry in client.task(task)["history"]] == ["enqueue", "claim", "complete"]
        assert client.result(client.submit("ping"), wait=60).data == {"message": "pong"}
        assert not any(line["event"] == "error" for line in worker.said())


def test_two_bridges_in_a_row(tmp_path: Path, folder: Path) -> None:
    """What a worker's store holds of a queue that is gone is dropped, and does not keep it from working."""
    with live_bridge(tmp_path / "one") as first, typescript_worker(first.url, "ts-moved", folder) as worker:
        first.submit("ts", {"fate": "hang"})
        eventually(lambda: worker.has_said(event="begin", attempt=1), 30, "it runs")
        worker.kill()
    assert json.loads(worker.store.read_text(encoding="utf-8"))
    with live_bridge(tmp_path / "two") as second, typescript_worker(second.url, "ts-moved", folder) as worker:
        task_id = second.submit("ping")
        eventually(lambda: second.get(f"/api/tasks/{task_id}/result").ok, 30, "it works")
        eventually(lambda: json.loads(worker.store.read_text(encoding="utf-8")) == [], 30, "the store is empty")
