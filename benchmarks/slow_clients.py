"""Clients that never finish their request: one byte of a header every so often. Ends by itself.

    python -m benchmarks.slow_clients PORT COUNT SECONDS
"""

from __future__ import annotations

import contextlib
import socket
import sys
import time

PAUSE_SECONDS = 0.2


def drip(port: int, count: int, seconds: float) -> None:
    ends_at = time.monotonic() + seconds
    clients: list[socket.socket] = []
    for _ in range(count):
        with contextlib.suppress(OSError):
            client = socket.create_connection(("127.0.0.1", port), timeout=1)
            client.sendall(b"POST /empty HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
            clients.append(client)
    while time.monotonic() < ends_at:
        for client in clients:
            with contextlib.suppress(OSError):
                client.send(b"x")
        time.sleep(PAUSE_SECONDS)
    for client in clients:
        client.close()


if __name__ == "__main__":
    drip(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
