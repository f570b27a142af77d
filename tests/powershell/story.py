"""Every call that the module makes, made by its transport with the bodies that it writes; and a record of them."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import requests
from live_bridge import LiveBridge
from powershell.rendering import module_json
from powershell.syntax import Call
from powershell.transports import Answer, Transport

WORKER = "OFFICE 7-4711 한글+1"
"""A name with what an address must not hold as it is."""
STARTED = "2026-01-31T12:00:00.1234567Z"
DATA = {"name": "Zoë \"한글\" 🚀 <it's> a\\b\r\n\t\u0001", "rows": [1], "none": None, "deep": {"is": [True, 1.5, []]}}
"""What is easily spoilt on its way."""
HELLO = {"message": "안녕 Zoë"}


class Story:
    """``told``: call -> the keys that its bodies held."""

    def __init__(self, transport: Transport, bridge: LiveBridge) -> None:
        self._transport = transport
        self.url = bridge.url
        self.told: dict[Call, set[str]] = {}

    def call(self, method: str, path: str, body: dict[str, Any] | None = None, *, headers: dict[str, str] | None = None,
             **values: str) -> Answer:
        """As Invoke-TaskSpoolCall does it. ``path`` as the description names it, with its query."""
        bare, _, query = path.partition("?")
        names = tuple(pair.partition("=")[0] for pair in query.split("&") if pair)
        self.told.setdefault(Call(method, bare, names), set()).update(body or ())
        address = re.sub(r"{(\w+)}", lambda found: quote(values[found[1]], safe=""), bare)
        content = None if body is None else module_json(body)
        return self._transport.send("module", method, self.url + address + (f"?{query}" if query else ""), content,
                                    headers=headers or {})

    def tell(self, task: Any, verb: str, **body: Any) -> Any:
        """A worker's call for a task it holds; what was answered, which must be a yes."""
        answer = self.call("POST", f"/api/tasks/{{task_id}}/{verb}",
                           {"lease_token": task["lease"]["token"], **body}, task_id=task["task_id"])
        assert answer.status in (200, 202), answer.text
        return answer.body

    def submit(self, task_type: str, key: str, **more: Any) -> Answer:
        body = {"task_type": task_type, "data": DATA, "requester": "powershell", **more}
        return self.call("POST", "/api/tasks", body, headers={"Idempotency-Key": key})

    def task(self, task_type: str, **more: Any) -> str:
        """The id of a new task."""
        answer = self.submit(task_type, str(uuid4()), **more)
        assert answer.status == 201, answer.text
        return str(answer.body["task_id"])

    def claim(self, task_type: str, **more: Any) -> Any:
        """The next task of this type, or None."""
        body = {"worker_id": WORKER, "types": [task_type], "max": 1, "wait": 0, "request_id": str(uuid4()), **more}
        answer = self.call("POST", "/api/tasks/next", body)
        assert answer.status == 200, answer.text
        assert answer.body["state"] == "run"
        return answer.body["task"]

    def result(self, task_id: str, query: str = "") -> Answer:
        return self.call("GET", "/api/tasks/{task_id}/result" + query, task_id=task_id)


# -- the chapters ----------------------------------------------------------------------------------------------------


def hand_over(story: Story) -> None:
    """Submit-Task, with everything it may ask for; the same key twice is one task."""
    assert story.call("GET", "/health").body["status"] in ("ok", "healthy")
    key = str(uuid4())
    first, again = story.submit("early", key), story.submit("early", key)
    assert (first.status, again.status) == (201, 200)
    assert (first.body["task_id"], again.body["created"]) == (again.body["task_id"], False)
    wishes = {"priority": "high", "max_retries": 3, "delay": 5, "start_before": "2099-01-31T12:00:00.0000000Z",
              "timeout": 60, "total_timeout": 3600, "lease": 30, "backoff": {"kind": "linear", "base": 1, "cap": 9},
              "unique_key": key, "on_conflict": "existing", "group": "g", "tags": ["one"],
              "parent_id": first.body["task_id"]}
    asked = story.task("late", **wishes)
    story.task("late", run_at="2099-01-31T12:00:00.0000000Z")
    told = story.call("GET", "/api/tasks/{task_id}", task_id=asked).body
    assert (told["data"], told["state"], told["history"][0]["verb"]) == (DATA, "scheduled", "enqueue")


def wait_in_vain(story: Story) -> None:
    """A result that is not there is a 404 with a code and a sentence, for Get-TaskResult as for Wait-TaskResult."""
    task_id = story.task("nobody")
    for answer in (story.result(task_id), story.result(task_id, "?wait=0")):
        assert (answer.status, answer.body["code"]) == (404, "RESULT_PENDING")
        assert answer.retry_after.isdigit()
    unknown = story.result("00000000-0000-7000-8000-000000000000")
    assert (unknown.status, unknown.body["code"]) == (404, "TASK_NOT_FOUND")
    assert set(unknown.body) >= {"message", "details"}


def work(story: Story) -> None:
    """Receive-Task, Send-TaskHeartbeat, Write-TaskLog, Complete-Task, and what the client sees of it."""
    task_id = story.task("greet", timeout=60)
    asked = {"lease": 30, "started_at": STARTED, "request_id": str(uuid4())}
    task = story.claim("greet", **asked)
    assert (task["task_id"], task["type"], task["data"], task["attempt"]) == (task_id, "greet", DATA, 1)
    assert task["lease"]["heartbeat_every"] == 10
    assert task["deadline_at"] > task["claimed_at"]
    assert task.keys() >= {"max_attempts", "priority", "checkpoint", "previous_error"}
    assert story.claim("greet", **asked)["lease"]["token"] == task["lease"]["token"]
    beat = story.tell(task, "heartbeat", progress=40, message="4 of 10 한", checkpoint={"row": 4})
    assert (beat["cancel_requested"], beat["next_beat"]) == (False, 10)
    lines = ["begin 한글", {"stream": "out", "text": "half"}, {"stream": "err", "text": "WARNING: Zoë"}]
    assert story.tell(task, "log", offset=0, lines=lines)["next_offset"] == 3
    assert story.tell(task, "log", offset=2, lines=[lines[2], ""])["next_offset"] == 4
    worker = {"worker_id": WORKER}
    assert story.tell(task, "result", **worker, status="success", data=HELLO)["task_id"] == task_id
    assert story.tell(task, "result", **worker, status="success", data=HELLO)["task_id"] == task_id
    answer = story.result(task_id, "?wait=25")
    assert (answer.status, answer.body["data"], answer.body["worker"]) == (200, HELLO, WORKER)
    assert (answer.body["status"], answer.body["error_message"]) == ("success", None)
    page = story.call("GET", "/api/tasks/{task_id}/log?after=-1&limit=1000", task_id=task_id).body
    assert [(line["number"], line["text"]) for line in page["lines"]] == [
        (0, "begin 한글"), (1, "half"), (2, "WARNING: Zoë"), (3, "")]
    assert (page["is_finished"], page["lines"][2]["stream"]) == (True, "err")


def end_otherwise(story: Story) -> None:
    """Complete-Task with an error, Unlock-Task, Stop-Task, Restart-Task."""
    task_id = story.task("fails", max_retries=1)
    task = story.claim("fails")
    story.tell(task, "release", delay=0, reason="the table is locked")
    task = story.claim("fails")
    assert task["attempt"] == 1, "giving back costs no attempt"
    story.tell(task, "result", worker_id=WORKER, status="error", error_message="no network", retryable=True,
               retry_after=0, data=None)
    late = story.call("POST", "/api/tasks/{task_id}/result", {"lease_token": task["lease"]["token"],
                      "worker_id": WORKER, "status": "success", "data": {}}, task_id=task_id)
    assert (late.status, late.body["code"]) == (409, "LEASE_LOST")
    task = story.claim("fails", wait=25)
    assert (task["attempt"], task["previous_error"]) == (2, "no network")
    story.tell(task, "result", worker_id=WORKER, status="error", error_message="no file", retryable=False, data=None)
    assert story.result(task_id).body["error_message"] == "no file"
    wish = {"by": "powershell", "reason": "the disk has room"}
    assert story.call("POST", "/api/tasks/{task_id}/retry", wish, task_id=task_id).status == 200
    cancelled = story.call("POST", "/api/tasks/{task_id}/cancel", wish, task_id=task_id)
    assert (cancelled.status, cancelled.body["state"]) == (200, "cancelled")


def beat(running: Any = ()) -> dict[str, Any]:
    """A worker's beat as Send-WorkerBeat writes it."""
    return {"running": list(running), "types": ["stops"], "kind": "powershell", "concurrency": 1, "host": "OFFICE-7",
            "pid": 4711, "version": "powershell 5.1.22621.963", "state": "running", "done": 2, "failed": 0,
            "started_at": STARTED}


def be_told(story: Story) -> None:
    """Send-WorkerBeat: a cancel and a lost lease come back in its answer, an order too."""
    story.task("stops")
    task, path = story.claim("stops"), "/api/workers/{worker}/heartbeat"
    entry = {"task_id": task["task_id"], "lease_token": task["lease"]["token"],
             "progress": {"percent": 4.0, "message": ""}}
    answer = story.call("POST", path, beat([entry]), worker=WORKER).body
    assert (answer["state"], answer["cancel"], answer["lost"]) == ("run", [], [])
    wanted = story.call("POST", "/api/tasks/{task_id}/cancel", {"by": "me"}, task_id=task["task_id"])
    assert (wanted.status, wanted.body["cancel_requested"]) == (202, True)
    assert story.call("POST", path, beat([entry]), worker=WORKER).body["cancel"] == [task["task_id"]]
    story.tell(task, "release", delay=0, reason="cancelled")
    assert story.result(task["task_id"]).body["status"] == "cancelled"
    assert story.call("POST", path, beat([entry]), worker=WORKER).body["lost"] == [task["task_id"]]


def be_ordered(story: Story) -> None:
    """The registry knows the worker from its beats; quiet and terminate reach it in the answers it gets anyway."""
    path, known = "/api/workers/{worker}/heartbeat", f"{story.url}/api/workers/{quote(WORKER, safe='')}"
    told = requests.get(known, timeout=30).json()
    assert (told["kind"], told["is_alive"], told["version"]) == ("powershell", True, "powershell 5.1.22621.963")
    for order in ("quiet", "terminate"):
        assert requests.post(f"{known}/{order}", json={"by": "me"}, timeout=30).ok
        assert story.call("POST", path, beat(), worker=WORKER).body["state"] == order
        asked = {"worker_id": WORKER, "types": ["stops"], "max": 1, "wait": 0, "request_id": str(uuid4())}
        answer = story.call("POST", "/api/tasks/next", {**asked, "started_at": STARTED}).body
        assert (answer["state"], answer["task"]) == (order, None)
    assert story.call("POST", path, {**beat(), "state": "gone"}, worker=WORKER).status == 200
    assert requests.get(known, timeout=30).json()["is_alive"] is False


def be_refused(story: Story) -> None:
    """A result that comes after the cancel is refused with a code, and a header beside it."""
    story.task("stopped")
    task = story.claim("stopped")
    assert story.call("POST", "/api/tasks/{task_id}/cancel", {"by": "me"}, task_id=task["task_id"]).status == 202
    late = {"worker_id": WORKER, "lease_token": task["lease"]["token"], "status": "success", "data": None}
    refused = story.call("POST", "/api/tasks/{task_id}/result", late, task_id=task["task_id"])
    assert (refused.status, refused.body["code"]) == (409, "TASK_CANCELLED")
