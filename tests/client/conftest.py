"""A server on a real socket that answers as it is told, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]] | None
"""(status, JSON body, bytes or Stream[, headers]); None: hang up without an answer."""


@dataclass
class Stream:
    """Server-sent events, sent in these pieces; then the connection breaks in the middle of the answer."""

    pieces: list[bytes]


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Scripted:
    """``answers`` are given one by one, the last one for ever."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    answers: list[Answer | Callable[[Asked], Answer]] = field(default_factory=list)

    def next_answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer(asked) if callable(answer) else answer


def handler_of(script: Scripted) -> type[BaseHTTPRequestHandler]:
    """Answers as ``script`` says."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = Asked(self.command, self.path, dict(self.headers), json.loads(text) if text else None)
            answer = script.next_answer(asked)
            if answer is None:
                self.close_connection = True
                return
            if isinstance(answer[1], Stream):
                self.stream(answer[1])
                return
            body = answer[1] if isinstance(answer[1], bytes) else json.dumps(answer[1]).encode()
            self.send_response(answer[0])
            self.send_header("Content-Length", str(len(body)))
            for name, value in (answer[2] if len(answer) > 2 else {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def stream(self, stream: Stream) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in stream.pieces:
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                self.wfile.flush()
            self.close_connection = True

        do_GET = do_POST = answer  # noqa: N815  # the names http.server looks for

        def log_message(self, *arguments: Any) -> None:
            pass

    return Handler


@pytest.fixture
def server() -> Iterator[Scripted]:
    script = Scripted()
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(script))
    httpd.daemon_threads = True
    script.url = f"http://127.0.0.1:{httpd.server_address[1]}"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield script
    httpd.shutdown()
    httpd.server_close()
    thread.join()
