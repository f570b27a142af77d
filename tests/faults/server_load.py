"""A real server under real clients, for tests that kill it: the process, the load, and the verdict afterwards.

Every client does what a good client does: it repeats what was not answered (submits with the same Idempotency-Key,
results with the same lease token) until it gets an answer, and believes that answer.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import uuid
from collections import Counter
from pathlib import Path
from typing import Any, Protocol

import requests

from taskspool.engine import files
from taskspool.engine.lifecycle import open_queue
from taskspool.engine.task import State
from taskspool.settings import Settings
from waiting import eventually

SUBMITTERS, WORKERS, LEASE_SECONDS = 3, 3, 2
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(files.__file__).parents[2])}
FAIR = frozenset({200, 201, 409, 503, 507})
"""What clients may be answered. A connection that breaks is no answer."""


class HasAddress(Protocol):
    """Where the server is now; '' while it is nowhere."""

    url: str


class Server:
    """The bridge as a process, started again whenever it was killed. ``url`` is where it is now."""

    def __init__(self, root: Path) -> None:
        self.url = ""
        self._root = root
        self._log = root / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        before = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "taskspool", "serve", "bridge", "--port", "0", "--root", str(self._root),
                 "--lease-seconds", str(LEASE_SECONDS)], stdout=log, stderr=log, env=ENVIRONMENT)

        def address() -> str:
            said = self._log.read_bytes()[before:].decode(errors="replace")
            assert self._process is not None
            assert self._process.poll() is None, f"the server ended by itself:\n{said}"
            found = re.search(r"listens on (http://\S+),", said)
            return found[1] if found else ""

        self.url = eventually(address, seconds=30, why="the server must come up")

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def stop(self) -> int:
        """SIGTERM; its exit code. -1: it was never started."""
        if self._process is None:
            return -1
        self._process.terminate()
        return self._process.wait(10)


class Clients:
    """Threads that submit, and threads that work; what they were told stands in the fields."""

    def __init__(self, server: HasAddress) -> None:
        self.submitted: dict[str, int] = {}
        self.completed: dict[str, str] = {}
        self.tried: dict[str, set[str]] = {}
        self.statuses: Counter[int] = Counter()
        self.server = server
        self.errors: list[str] = []
        self.no_more = threading.Event()
        self.stop = threading.Event()
        self._pause = threading.Event()
        self._lock = threading.Lock()
        self.attempted = 0
        self.submitters = [threading.Thread(target=self._guarded, args=(self._submit,)) for _ in range(SUBMITTERS)]
        self.workers = [threading.Thread(target=self._guarded, args=(self._work, f"w{n}")) for n in range(WORKERS)]

    def start(self) -> None:
        for thread in (*self.submitters, *self.workers):
            thread.start()

    def end(self) -> None:
        """Stop all of them, whatever state they are in."""
        self.no_more.set()
        self.stop.set()
        for thread in (*self.submitters, *self.workers):
            thread.join(30)

    def _guarded(self, part: Any, *arguments: Any) -> None:
        try:
            part(requests.Session(), *arguments)
        except Exception as error:  # a thread's failure must reach the test
            self.errors.append(repr(error))

    def _ask(self, session: requests.Session, path: str, body: dict[str, Any],
             **headers: str) -> requests.Response | None:
        """One call; None when there was no answer to it."""
        try:
            response = session.post(f"{self.server.url}/api/{path}", json=body, headers=headers, timeout=10)
            response.content  # noqa: B018  # a reply cut off half-way is none
        except requests.RequestException:  # refused, reset, cut off: no answer
            self._pause.wait(0.02)
            return None
        self.statuses[response.status_code] += 1
        return response

    def _submit(self, session: requests.Session) -> None:
        while not self.no_more.is_set():
            with self._lock:
                n = self.attempted
                self.attempted += 1
            key = f"key-{n}"
            while True:
                body = {"task_type": "ping", "data": {"n": n}}
                answer = self._ask(session, "tasks", body, **{"Idempotency-Key": key})
                if answer is not None and answer.ok:
                    self.submitted[answer.json()["task_id"]] = n
                    break

    def _work(self, session: requests.Session, name: str) -> None:
        while not self.stop.is_set():
            answer = self._ask(session, "tasks/next", {"worker_id": name})
            task = answer.json()["task"] if answer is not None and answer.ok else None
            if task is None:
                self._pause.wait(0.01)
                continue
            task_id, nonce = task["id"], uuid.uuid4().hex
            with self._lock:
                self.tried.setdefault(task_id, set()).add(nonce)
            body = {"worker_id": name, "status": "success", "data": {"by": nonce},
                    "lease_token": task["lease"]["token"]}
            answer = None
            while answer is None or answer.status_code in (503, 507):
                answer = self._ask(session, f"tasks/{task_id}/result", body)
            if answer.ok:
                assert self.completed.setdefault(task_id, nonce) == nonce, f"{task_id} was completed twice"
            else:
                assert answer.status_code == 409, answer.text


def is_idle(server: HasAddress) -> bool:
    stats = requests.get(f"{server.url}/api/stats", timeout=10).json()
    return not stats["pending"] and not stats["inflight"]


def work_off(clients: Clients, server: HasAddress) -> None:
    """No new tasks from here on; returns when every one there is has its result."""
    clients.no_more.set()
    for thread in clients.submitters:
        thread.join(30)
    eventually(lambda: clients.errors or is_idle(server), seconds=60, why="everything must be worked off")


def judge(clients: Clients, root: Path, what: str) -> None:
    """Compare what clients were told with what the folder holds; prints the counts in Jepsen's words."""
    queue = open_queue(Settings(root=root))
    tasks = {one.task.id: one for state in State for one in queue.listing(state, limit=10**6)}
    results = {result.task_id: result for result in queue.latest_results(10**6)}
    queue.close()
    lost = [task_id for task_id in clients.submitted if task_id not in tasks]
    unfinished = [task_id for task_id in clients.submitted if task_id not in results]
    changed = [task_id for task_id, nonce in clients.completed.items()
               if task_id not in results or results[task_id].data != {"by": nonce}]
    strangers = [task_id for task_id, result in results.items()
                 if result.is_success and result.data["by"] not in clients.tried.get(task_id, ())]
    numbers = Counter(one.task.data["n"] for one in tasks.values())
    duplicated = [n for n, times in numbers.items() if times > 1]
    print(f"{what}: attempt {clients.attempted} / acknowledged {len(clients.submitted)} / "
          f"ok {len(results)} / lost {len(lost) + len(unfinished) + len(changed)} / "
          f"unexpected {len(strangers)} / duplicated {len(duplicated)} / "
          f"recovered {len(results) - len(clients.completed)}; answers {dict(sorted(clients.statuses.items()))}")
    assert (lost, unfinished, changed, strangers, duplicated) == ([], [], [], [], [])
    assert set(clients.statuses) <= FAIR
    doctor = subprocess.run([sys.executable, "-m", "taskspool", "doctor", "--root", str(root)], text=True,
                            capture_output=True, timeout=60, env=ENVIRONMENT)
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
