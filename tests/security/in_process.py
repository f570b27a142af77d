"""The bridge without a socket: the same front, the same onion, called with bytes; ten times as many calls a second."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from live_bridge import Reply

from taskspool.doors.bridge import create_app
from taskspool.engine.lifecycle import Queue, open_queue
from taskspool.settings import Settings
from taskspool.web.bridge import ENVELOPE_BYTES, Front

LEFT = Reply(0, {}, b"")
"""Not answered: it would have waited, and its client left at once."""


class InProcess:
    def __init__(self, queue: Queue, settings: Settings) -> None:
        self.queue = queue
        self.settings = settings
        self.app = create_app(queue, settings)
        self._front = Front(self.app, is_quick=lambda *_: True, max_body_bytes=settings.max_task_bytes + ENVELOPE_BYTES,
                            threads=1)
        self._loop = asyncio.new_event_loop()

    def post(self, path: str, body: bytes) -> Reply:
        """The answer to a JSON body; LEFT when it would have to be waited for."""
        return self._loop.run_until_complete(self._ask(path, body))

    async def _ask(self, path: str, body: bytes) -> Reply:
        said: list[MutableMapping[str, Any]] = []
        coming = iter(({"type": "http.request", "body": body, "more_body": False}, {"type": "http.disconnect"}))
        headers = [(b"host", b"localhost:8091"), (b"content-type", b"application/json"),
                   (b"content-length", b"%d" % len(body))]
        scope = {"type": "http", "http_version": "1.1", "method": "POST", "path": path, "raw_path": path.encode(),
                 "query_string": b"", "headers": headers, "server": ("127.0.0.1", 8091),
                 "client": ("127.0.0.1", 40_000), "scheme": "http"}

        async def receive() -> MutableMapping[str, Any]:
            return next(coming)

        async def send(message: MutableMapping[str, Any]) -> None:
            said.append(message)

        await self._front(scope, receive, send)
        if not said:
            return LEFT
        told = {name.decode().lower(): value.decode("latin-1") for name, value in said[0]["headers"]}
        return Reply(said[0]["status"], told, b"".join(one["body"] for one in said[1:]))

    def close(self) -> None:
        self._front.close()
        self._loop.close()


@contextmanager
def in_process(root: Path, **settings: Any) -> Iterator[InProcess]:
    """A bridge on ``root``, with nobody who sweeps; fast durability unless said otherwise."""
    chosen = replace(Settings(root=root, durability="fast"), **settings)
    queue = open_queue(chosen)
    bridge = InProcess(queue, chosen)
    try:
        yield bridge
    finally:
        bridge.close()
        queue.close()
