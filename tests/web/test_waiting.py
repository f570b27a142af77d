"""The waiting room, step by step: the front driven directly, with a view whose every look is counted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from taskspool.web.bridge import Front
from taskspool.web.waiting import SEAT, Parked, in_thread

SECONDS = 20.0
"""How long the view would wait: a test that ends by this has failed."""


class View:
    """A WSGI app that hands out one thing, and parks while there is none."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self.things: list[str] = []
        self.looks: list[bool] = []
        self.left: list[bool] = []
        self.returned: list[str] = []
        self.wake: Callable[[], None] | None = None
        self.on_join: Callable[[], None] = lambda: None
        self.on_look: Callable[[], None] = lambda: None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.on_look()
        seat = environ[SEAT]
        self.looks.append(seat.may_wait)
        if not self.things and seat.may_wait:
            seat.parked = Parked(self.seconds, self.join)
            start_response("204 No Content", [])
            return [b""]
        thing = self.things.pop() if self.things else "nothing"
        seat.give_back = lambda: self.returned.append(thing)
        start_response("200 OK", [("Content-Length", str(len(thing)))])
        return [thing.encode()]

    def join(self, wake: Callable[[], None]) -> Callable[[bool], None]:
        self.on_join()
        self.wake = wake
        return self.left.append

    def put(self, thing: str) -> None:
        self.things.append(thing)
        assert self.wake is not None
        self.wake()


class Client:
    """The other end of one request."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.has_left = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await self.has_left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def body(self) -> bytes:
        return bytes(self.sent[1]["body"])


SCOPE = {"type": "http", "method": "GET", "raw_path": b"/", "path": "/", "query_string": b"", "headers": [],
         "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1), "http_version": "1.1", "scheme": "http"}


async def asked(view: View, during: Callable[[Client, asyncio.Task[None]], Any], *, is_quick: bool = True) -> Client:
    """Ask ``view`` through the front; ``during`` runs once the request is parked."""
    front = Front(view, is_quick=lambda *_: is_quick, max_body_bytes=1000)
    client = Client()
    request = asyncio.create_task(front(dict(SCOPE), client.receive, client.send))
    async with asyncio.timeout(SECONDS / 2):
        while len(view.looks) < 2 and not request.done():  # noqa: ASYNC110  # the view may look in another thread
            await asyncio.sleep(0)
        done = during(client, request)
        if asyncio.iscoroutine(done):
            await done
        await request
    front.close()
    return client


def test_woken_by_the_ring() -> None:
    """A ring brings a third look, and its answer; the place in line is left as one whose ring was used."""
    view = View()
    client = asyncio.run(asked(view, lambda *_: view.put("thing")))
    assert client.body == b"thing"
    assert view.left[0] is True
    assert view.returned == []


def test_nothing_is_lost_between_look_and_wait() -> None:
    """What arrives after the first look, and before the place in line is taken, is found at once."""
    view = View()
    view.on_join = lambda: view.things.append("early")
    client = asyncio.run(asked(view, lambda *_: None))
    assert client.body == b"early"
    assert len(view.looks) == 2


@pytest.mark.parametrize("leaves_first", [True, False])
def test_ring_and_leaving_at_once(leaves_first: bool) -> None:
    """A ring that finds its client gone is passed on: no look, no answer, and the thing stays."""
    view = View()

    def during(client: Client, _: Any) -> None:
        if leaves_first:
            client.has_left.set()
        view.put("thing")
        client.has_left.set()

    client = asyncio.run(asked(view, during))
    assert view.things == ["thing"]
    assert len(view.looks) == 2
    assert view.left == [False]
    assert client.sent == []


def test_given_back_when_the_client_left_meanwhile() -> None:
    """Who leaves while its answer is being made in a thread takes nothing along: the thing is given back."""
    view = View()

    async def during(client: Client, _: Any) -> None:
        loop = asyncio.get_running_loop()
        view.on_look = lambda: (loop.call_soon_threadsafe(client.has_left.set), threading.Event().wait(0.2))
        view.put("thing")

    client = asyncio.run(asked(view, during, is_quick=False))
    assert view.returned == ["thing"]
    assert client.sent == []


def test_time_is_up() -> None:
    """When the time is up there is one last look, which may not wait, and its answer counts."""
    view = View(seconds=0.05)
    client = asyncio.run(asked(view, lambda *_: None))
    assert client.body == b"nothing"
    assert view.looks == [True, True, False]
    assert view.left == [False]


def test_stopping_lets_go() -> None:
    """A front that stops answers who waits, and parks nobody any more."""
    view = View()

    async def run() -> list[bytes]:
        front = Front(view, is_quick=lambda *_: True, max_body_bytes=1000)
        waiting, late = Client(), Client()
        first = asyncio.create_task(front(dict(SCOPE), waiting.receive, waiting.send))
        async with asyncio.timeout(SECONDS / 2):
            while len(view.looks) < 2:  # noqa: ASYNC110  # the view may look in another thread
                await asyncio.sleep(0)
            await asyncio.sleep(0.01)
            front.stop()
            await first
            await front(dict(SCOPE), late.receive, late.send)
        front.close()
        return [waiting.body, late.body]

    assert asyncio.run(run()) == [b"nothing", b"nothing"]


def test_in_thread_finds_what_came_early_too() -> None:
    """Waiting in a thread looks again after joining, just the same."""
    view = View()
    view.on_join = lambda: view.things.append("early")
    answer = in_thread(view)({"REQUEST_METHOD": "GET"}, lambda *_: lambda _: None)
    assert list(answer) == [b"early"]
    assert len(view.looks) == 2
    assert view.left == [False]
