"""What `Invoke-RestMethod` sends and expects, for machines without PowerShell.

Byte for byte as Windows PowerShell 5.1 does it: its User-Agent, `Expect: 100-continue` and a body that follows the
server's consent, one connection kept alive, the indented JSON of ConvertTo-Json.
"""

from __future__ import annotations

import json
import re
import socket
from typing import Any

AGENT = "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.22621.963"
CONSENT = b"HTTP/1.1 100 Continue\r\n\r\n"


class Shell:
    """One PowerShell with its connection to the bridge."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._said = self._connection.makefile("rb")

    def close(self) -> None:
        self._said.close()
        self._connection.close()

    def invoke(self, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        """(status, value) of `Invoke-RestMethod`, which parses JSON only when the answer says that it is JSON."""
        self._send(path, body)
        status = int(self._said.readline().split()[1])
        if status == 100:  # the server may consent before the body or not at all
            assert self._said.readline() == b"\r\n"
            status = int(self._said.readline().split()[1])
        headers = {}
        while (line := self._said.readline().strip()):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        content = self._said.read(int(headers["content-length"]))
        assert headers["content-type"].startswith("application/json"), headers
        return status, json.loads(content.decode("utf-8"))

    def _send(self, path: str, body: dict[str, Any] | None) -> None:
        head = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", f"User-Agent: {AGENT}"]
        if body is None:
            self._connection.sendall("\r\n".join([*head, f"Host: localhost:{self._port}", "", ""]).encode())
            return
        content = json.dumps(body, indent=4).replace("\n", "\r\n").encode("latin-1")
        head += ["Content-Type: application/json", f"Host: localhost:{self._port}",
                 f"Content-Length: {len(content)}", "Expect: 100-continue", "", ""]
        self._connection.sendall("\r\n".join(head).encode())
        self._connection.settimeout(0.35)  # how long .NET waits for the server's consent before it sends all the same
        try:
            self._connection.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            pass
        self._connection.settimeout(20)
        self._connection.sendall(content)


def addresses(text: str) -> list[str]:
    """The paths a snippet calls, in order: what stands behind the port in each `Invoke-RestMethod`."""
    return [match.rstrip('"') for match in re.findall(r"Invoke-RestMethod[^\n]*?http://localhost:8091(\S*)", text)]


def body_of(text: str) -> dict[str, Any]:
    """The hashtable that goes through ConvertTo-Json: names with quoted texts or empty hashtables."""
    table = re.search(r"\$body = @\{(.*?)\n\} \| ConvertTo-Json", text, re.DOTALL)
    assert table is not None
    pairs = re.findall(r"(\w+) = (?:'([^']*)'|@\{\})", table[1])
    return {name: value if f"{name} = '" in table[1] else {} for name, value in pairs}
