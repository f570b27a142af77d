"""The to-dos over a real socket, on any of the three databases, served in this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from databases import open_fresh
from live_bridge import Reply, read_reply, socket
from waiting import eventually

from taskspool.doors.todos import create_app
from taskspool.records.database import Database
from taskspool.settings import Settings
from taskspool.web.server import Serving

TASKS = "/api/v1/tasks"
BATCHES = "/api/v1/batches"


class LiveTodos:
    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database
        self.serving = Serving(create_app(database, settings), settings, port=0)
        self.port: int = self.serving.port
        self.url = f"http://127.0.0.1:{self.port}"
        self.session = requests.Session()
        self.session.trust_env = False
        self._thread = threading.Thread(target=self.serving.run, daemon=True)

    def start(self) -> None:
        self._thread.start()
        eventually(lambda: self.get("/health").ok, why="the to-dos answer")

    def stop(self) -> None:
        self.session.close()
        self.serving.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()

    def ask(self, method: str, path: str, json: Any = None, **options: Any) -> requests.Response:
        options.setdefault("allow_redirects", False)
        return self.session.request(method, self.url + path, json=json, timeout=30, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.ask("GET", path, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> requests.Response:
        return self.ask("POST", path, json, **options)

    def put(self, path: str, json: Any = None, **options: Any) -> requests.Response:
        return self.ask("PUT", path, json, **options)

    def delete(self, path: str, json: Any = None, **options: Any) -> requests.Response:
        return self.ask("DELETE", path, json, **options)

    def task(self, title: str = "a task", **more: Any) -> dict[str, Any]:
        """A new to-do, as it was answered."""
        reply = self.post(TASKS, {"title": title, **more})
        assert reply.status_code == 201, reply.text
        return dict(reply.json())

    def batch(self, *titles: str, **more: Any) -> dict[str, Any]:
        """A new batch, as it was answered."""
        reply = self.post(BATCHES, {"tasks": [{"title": title} for title in titles], **more})
        assert reply.status_code == 201, reply.text
        return dict(reply.json())

    def titles(self, query: str = "") -> list[str]:
        """Of a page of the list, in its order."""
        reply = self.get(f"{TASKS}?{query}")
        assert reply.status_code == 200, reply.text
        return [item["title"] for item in reply.json()["items"]]

    def raw(self, request: bytes) -> Reply:
        """The answer to exactly these bytes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(request)
            return read_reply(connection)


@contextmanager
def serving(database: Database, root: Path, **settings: Any) -> Iterator[LiveTodos]:
    todos = LiveTodos(database, Settings(root=root, durability="fast", **settings))
    try:
        todos.start()
        yield todos
    finally:
        todos.stop()


@contextmanager
def live_todos(kind: str, folder: Path, **settings: Any) -> Iterator[LiveTodos]:
    """The to-dos on a fresh database of ``kind``. Skips the test where there is none."""
    with open_fresh(kind, folder) as database, serving(database, folder, **settings) as todos:
        yield todos
