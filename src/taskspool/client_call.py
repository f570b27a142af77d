"""One call to the bridge: a connection a thread, patience with a server that starts anew, errors by their code."""

from __future__ import annotations

import ipaddress
import json
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self
from urllib.parse import urlsplit

import requests

from taskspool.client_wire import error_of
from taskspool.engine.task import JsonValue
from taskspool.errors import InvalidRequest, ServerUnreachable, StoreFull, StoreUnavailable, TaskspoolError

DEFAULT_URL = "http://127.0.0.1:8091"
CONNECT_SECONDS = 3.05
LONG_POLL_MARGIN_SECONDS = 10.0
BACKOFF_BASE_SECONDS = 0.1
BACKOFF_CAP_SECONDS = 5.0


class Connection:
    """To the bridge at ``url``. Safe for many threads; each has its own connection.

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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, method: str, path: str, body: JsonValue = None, *, query: Mapping[str, Any] | None = None,
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

    def _once(self, method: str, path: str, body: JsonValue, query: Mapping[str, Any],
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
        parsed = _object(answer)
        if answer.ok and parsed is not None:
            return parsed
        raise self._refusal(answer, parsed)

    @contextmanager
    def _stream(self, path: str, query: Mapping[str, Any], headers: Mapping[str, str],
                silence_seconds: float) -> Iterator[Iterator[bytes]]:
        """The answer piece by piece, as it comes, until it ends or nothing came for ``silence_seconds``.

        Raises ServerUnreachable, also in the middle, and what the server answered instead.
        """
        try:
            with self._session().get(
                self.url + path, params=query, headers=dict(headers), stream=True, allow_redirects=False,
                timeout=(min(CONNECT_SECONDS, silence_seconds), silence_seconds),
            ) as answer:
                if not answer.ok or not answer.headers.get("Content-Type", "").startswith("text/event-stream"):
                    raise self._refusal(answer, _object(answer))
                whole_chunks = getattr(answer.raw, "chunked", False)  # else a read would wait until it is full
                yield answer.iter_content(chunk_size=None if whole_chunks else 1)
        except requests.RequestException as error:
            raise self._unreachable(_why(error)) from error

    def _refusal(self, answer: requests.Response, parsed: dict[str, Any] | None) -> TaskspoolError:
        if parsed is None or answer.ok:
            return self._unreachable(f"the answer was HTTP {answer.status_code} and not what was asked for; "
                                     "another program may be listening there")
        return error_of(answer.status_code, parsed, answer.headers.get("Retry-After"))

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


def _object(answer: requests.Response) -> dict[str, Any] | None:
    """The JSON object of the answer; None when it has none."""
    try:
        parsed = answer.json()
    except (ValueError, requests.RequestException):
        return None
    return parsed if isinstance(parsed, dict) else None


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
            nap(max(backoff_seconds(attempt), min(asked_for, BACKOFF_CAP_SECONDS)))
    return once()


def _payload(body: JsonValue) -> bytes:
    """Raises InvalidRequest when there is something in ``body`` that JSON does not know."""
    try:
        return json.dumps(body, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"data must be JSON: {error}", field="data", rule="JSON") from error


def nap(seconds: float) -> None:
    threading.Event().wait(seconds)
