"""The HTTP client of the bridge: hand a task over, wait for its result, or be a worker.

    client = Client()
    task_id = client.submit("ping", {})
    result = client.result(task_id, wait=30)

Errors are the engine's own (``taskspool.errors``): what the server raised is raised here again; no answer is
ServerUnreachable. Every call has an end, and every call that is repeated after a lost answer is safe to repeat:
submits carry an idempotency key, finishes a lease token.
"""

from __future__ import annotations

import ipaddress
import json
import random
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from taskspool.client_wire import claims_of, error_of, result_of
from taskspool.engine.task import Claim, JsonValue, NewTask, Priority, Result
from taskspool.errors import InvalidRequest, ResultPending, ServerUnreachable, StoreFull, StoreUnavailable

DEFAULT_URL = "http://127.0.0.1:8091"
CONNECT_SECONDS = 3.05
LONG_POLL_SECONDS = 25.0
"""Longest single wait the bridge grants; longer waits are made of several."""
LONG_POLL_MARGIN_SECONDS = 10.0
BACKOFF_BASE_SECONDS = 0.1
BACKOFF_CAP_SECONDS = 5.0


class Client:
    """A client of the bridge at ``url``. Safe for many threads; each has its own connection.

    ``timeout``: seconds an answer may take (long polls add their wait). ``retries``: how often a call is repeated
    when no answer came, or the server said "not now" (503); 5 cover a restart of about 3 s.
    """

    def __init__(self, url: str = DEFAULT_URL, *, timeout: float = 10.0, retries: int = 5) -> None:
        self.url = url.rstrip("/")
        self.timeout = timeout
        self.retries = retries
        self._local = threading.local()
        self._sessions: list[requests.Session] = []

    def close(self) -> None:
        """Close the connections of all threads."""
        while self._sessions:
            self._sessions.pop().close()
        self._local = threading.local()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- handing over --------------------------------------------------------------------------------------------

    def submit(self, type: str, data: Mapping[str, JsonValue] | None = None, *,  # noqa: A002  # the word of the wire
               requester: str = "http-client", priority: Priority | str = Priority.NORMAL, max_retries: int = 0,
               idempotency_key: str | None = None) -> str:
        """Hand one task over; its id. Once it returned, the task is on the server's disk.

        ``idempotency_key``: the same key with the same task gives the same id, for at least 24 hours; made when
        absent. Raises InvalidRequest, IdempotencyConflict, StoreUnavailable, ServerUnreachable.
        """
        task = _task_body(type, data, requester, priority, max_retries)
        answer = self._call("POST", "/api/tasks", task, headers=_key_header(idempotency_key))
        return str(answer["task_id"])

    def submit_many(self, tasks: Sequence[NewTask | Mapping[str, Any]], *,
                    idempotency_key: str | None = None) -> list[str]:
        """Hand ``tasks`` over, all of them or none; their ids in the same order.

        Each is a NewTask, or a mapping with the arguments of ``submit`` (``type`` or ``task_type``, ``data``, ...).
        """
        body = {"tasks": [_batch_body(task) for task in tasks]}
        answer = self._call("POST", "/api/tasks/batch", body, headers=_key_header(idempotency_key))
        return [str(task_id) for task_id in answer["task_ids"]]

    def result(self, task_id: str, wait: float | None = None) -> Result:
        """The result of a finished task, waiting up to ``wait`` seconds for it (None: one look).

        A failed task has a result too: see ``status``. Raises ResultPending, TaskNotFound.
        """
        path = f"/api/tasks/{quote(task_id, safe='')}/result"
        ends_at = time.monotonic() + (wait or 0.0)
        while True:
            left = max(0.0, ends_at - time.monotonic())
            try:
                return result_of(self._call("GET", path, wait=min(left, LONG_POLL_SECONDS)))
            except ResultPending:
                if time.monotonic() >= ends_at:
                    raise
                _pause(min(0.05, left))  # bounds the pace should a server answer without waiting

    # -- looking -------------------------------------------------------------------------------------------------

    def task(self, task_id: str) -> dict[str, Any]:
        """``{id, type, requester, data, status, created_at, assigned_to, updated_at}``. Raises TaskNotFound."""
        return self._call("GET", f"/api/tasks/{quote(task_id, safe='')}")

    def tasks(self, *, type: str | None = None,  # noqa: A002  # the word of the wire
              limit: int = 10) -> list[dict[str, Any]]:
        """Up to ``limit`` waiting tasks, oldest first."""
        query = {"limit": str(limit)} | ({} if type is None else {"type": type})
        return list(self._call("GET", "/api/tasks", query=query)["tasks"])

    def stats(self) -> dict[str, Any]:
        """How many tasks are where: the body of ``GET /api/stats``."""
        return self._call("GET", "/api/stats")

    def health(self) -> dict[str, Any]:
        """The body of ``GET /health``."""
        return self._call("GET", "/health")

    # -- working: the verbs of a worker --------------------------------------------------------------------------

    def next(self, worker: str, *, types: Sequence[str] | None = None,
             max: int = 1, wait: float = 0.0,  # noqa: A002  # the word of the wire
             lease: int | None = None) -> list[Claim]:
        """Claim up to ``max`` tasks of ``types`` (None: any), waiting up to ``wait`` (0..25) seconds for the first.

        Never repeated by itself: a claim whose answer was lost comes back when its lease runs out.
        """
        body = {"worker_id": worker, "types": None if types is None else list(types), "max": max,
                "wait": min(wait, LONG_POLL_SECONDS), "lease": lease}
        body = {name: value for name, value in body.items() if value is not None}
        answer = self._call("POST", "/api/tasks/next", body, retries=0, read_margin=wait)
        return claims_of(answer, worker)

    def heartbeat(self, task_id: str, token: str) -> dict[str, Any]:
        """The lease starts anew. Raises LeaseLost: stop working on it."""
        return self._call("POST", _task_path(task_id, "heartbeat"), {"lease_token": token})

    def heartbeat_worker(self, worker: str, leases: Mapping[str, str], *,
                         timeout: float | None = None) -> dict[str, Any]:
        """One beat for all of ``leases`` (task id -> token): ``{lost: [task ids], leases: {...}, ...}``."""
        running = [{"task_id": task_id, "lease_token": token} for task_id, token in leases.items()]
        path = f"/api/workers/{quote(worker, safe='')}/heartbeat"
        return self._call("POST", path, {"running": running}, timeout=timeout)

    def complete(self, task_id: str, token: str, worker: str, data: JsonValue) -> dict[str, Any]:
        """Hand in the result. The same token again is answered again; any other raises LeaseLost."""
        body = {"worker_id": worker, "status": "success", "data": data, "lease_token": token}
        return self._call("POST", _task_path(task_id, "result"), body)

    def fail(self, task_id: str, token: str, worker: str, message: str, *, retryable: bool = True,
             retry_after: float | None = None, data: JsonValue = None) -> dict[str, Any]:
        """Say that the attempt failed: it is tried again while retries are left, else it is dead with a result."""
        body = {"worker_id": worker, "status": "error", "error_message": message, "data": data,
                "lease_token": token, "retryable": retryable, "retry_after": retry_after}
        body = {name: value for name, value in body.items() if value is not None}
        return self._call("POST", _task_path(task_id, "result"), body)

    def release(self, task_id: str, token: str, *, delay: float = 0.0, reason: str = "",
                timeout: float | None = None) -> dict[str, Any]:
        """Give the task back undone; it costs no attempt. Raises LeaseLost."""
        body = {"lease_token": token, "delay": delay, "reason": reason}
        return self._call("POST", _task_path(task_id, "release"), body, timeout=timeout)

    # -- one call ------------------------------------------------------------------------------------------------

    def _call(self, method: str, path: str, body: JsonValue = None, *, query: Mapping[str, str] | None = None,
              headers: Mapping[str, str] | None = None, wait: float = 0.0, read_margin: float = 0.0,
              retries: int | None = None, timeout: float | None = None) -> dict[str, Any]:
        """The JSON object the server answered with. ``wait`` goes into the query, and like ``read_margin`` makes
        the call patient for so much longer. ``retries`` and ``timeout`` None: the client's own."""
        query = {**(query or {}), **({"wait": f"{wait:.3f}"} if wait > 0 else {})}
        longer = max(wait, read_margin)
        patience = self.timeout if timeout is None else timeout
        patience += longer + LONG_POLL_MARGIN_SECONDS if longer > 0 else 0.0

        def once() -> dict[str, Any]:
            return self._once(method, path, body, query, headers, patience)

        return _repeat(once, self.retries if retries is None else retries)

    def _once(self, method: str, path: str, body: JsonValue, query: Mapping[str, str],
              headers: Mapping[str, str] | None, patience: float) -> dict[str, Any]:
        payload = None if body is None else _payload(body)
        try:
            answer = self._session().request(
                method, self.url + path, params=query, data=payload, timeout=(min(CONNECT_SECONDS, patience), patience),
                headers={"Accept": "application/json", "Content-Type": "application/json", **(headers or {})},
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise self._unreachable(_why(error)) from error
        try:
            parsed = answer.json()
        except ValueError:
            parsed = None
        if answer.ok and isinstance(parsed, dict):
            return parsed
        if not isinstance(parsed, dict):
            raise self._unreachable(f"the answer was HTTP {answer.status_code} and no JSON object; "
                                    "another program may be listening there")
        raise error_of(answer.status_code, parsed, answer.headers.get("Retry-After"))

    def _unreachable(self, reason: str) -> ServerUnreachable:
        return ServerUnreachable(f"no answer from {self.url}: {reason}", hint="start it with: taskspool serve bridge",
                                 url=self.url)

    def _session(self) -> requests.Session:
        """This thread's own session: requests does not promise that one may be shared."""
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            session.trust_env = not is_loopback(self.url)  # a proxy cannot reach this machine's loopback
            self._local.session = session
            self._sessions.append(session)
        return session


def _why(error: requests.RequestException) -> str:
    """What the system said, in its own words; requests wraps it in three names of classes."""
    if isinstance(error, requests.Timeout):
        return "it took too long"
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError) and found.strerror:
            return found.strerror
        found = found.__cause__ or found.__context__
    return str(error)


def is_loopback(url: str) -> bool:
    """Whether ``url`` names this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def backoff_seconds(attempt: int) -> float:
    """How long to wait after the ``attempt``-th failure in a row (from 0): doubling, capped, half of it by chance."""
    wait = min(BACKOFF_CAP_SECONDS, BACKOFF_BASE_SECONDS * 2.0 ** min(attempt, 30))
    return wait * (0.5 + random.random() / 2)  # noqa: S311  # spreads clients, guards nothing


def _repeat(once: Callable[[], dict[str, Any]], retries: int) -> dict[str, Any]:
    """``once()``, repeated while it says "not now" and ``retries`` are left."""
    for attempt in range(retries):
        try:
            return once()
        except (ServerUnreachable, StoreUnavailable) as error:
            if isinstance(error, StoreFull):
                raise  # room does not come back within seconds
            asked_for = float(error.details.get("retry_after", 0.0))
            _pause(max(backoff_seconds(attempt), min(asked_for, BACKOFF_CAP_SECONDS)))
    return once()


def _payload(body: JsonValue) -> bytes:
    """Raises InvalidRequest when there is something in ``body`` that JSON does not know."""
    try:
        return json.dumps(body, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"data must be JSON: {error}", field="data", rule="JSON") from error


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)


def _task_path(task_id: str, verb: str) -> str:
    return f"/api/tasks/{quote(task_id, safe='')}/{verb}"


def _key_header(key: str | None) -> Mapping[str, str]:
    return {"Idempotency-Key": uuid.uuid4().hex if key is None else key}


def _task_body(task_type: str | None, data: Mapping[str, JsonValue] | None, requester: str, priority: Priority | str,
               max_retries: int) -> dict[str, Any]:
    word = priority.word if isinstance(priority, Priority) else priority
    return {"task_type": task_type, "data": {} if data is None else data, "requester": requester, "priority": word,
            "max_retries": max_retries}


def _batch_body(task: NewTask | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(task, NewTask):
        return _task_body(task.type, task.data, task.requester, task.priority, task.max_retries)
    asked = dict(task)
    return _task_body(asked.pop("task_type", None) or asked.pop("type", None), asked.pop("data", None),
                      asked.pop("requester", "http-client"), asked.pop("priority", Priority.NORMAL),
                      asked.pop("max_retries", 0)) | asked
