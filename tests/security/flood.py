"""Clients nobody wants, in a process of their own: slow ones, silent ones, endless ones. What is cut off comes again.

    python flood.py PORT SLOW SILENT TRICKLING

* slow: a head that never ends, a byte at a time. silent: connects, says nothing. trickling: a body that never ends.
* And one after the other, without a pause: a body of 100 MiB, chunks for ever, 20,000 headers, a thousand requests at
  once on one connection, a request whose sender closes its half.

Says ``up`` once all are there; ends with its input, and then says in a line of JSON what came of them.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

DRIP_SECONDS = 0.2
ANSWER_SECONDS = 20
HOST = b"Host: localhost:8091\r\n"
JSON_POST = b"POST /api/tasks HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
CHUNKED = JSON_POST + b"Transfer-Encoding: chunked\r\n\r\n"
BEGINNINGS = {"slow": JSON_POST + b"X-Slow: ", "silent": b"", "trickling": CHUNKED}
DRIPS = {"slow": b"x", "silent": b"", "trickling": b"1\r\n \r\n"}
BIG_BODY_BYTES = 100 << 20
PIECE = b"x" * 65_536
PIPELINED = 1_000
ANSWERED = b"HTTP/1.1 200"


class Flood:
    def __init__(self, port: int, wanted: dict[str, int]) -> None:
        self.came = Counter[str]()
        self.cut_off = Counter[str]()
        self._port = port
        self._wanted = wanted
        self._open: dict[str, list[socket.socket]] = {kind: [] for kind in wanted}

    def fill(self) -> None:
        """As many of each kind as are wanted, again."""
        for kind, number in self._wanted.items():
            while len(self._open[kind]) < number:
                try:
                    client = socket.create_connection(("127.0.0.1", self._port), timeout=5)
                    client.setblocking(False)
                    client.send(BEGINNINGS[kind])
                except OSError:
                    break
                self._open[kind].append(client)
                self.came[kind] += 1

    def drip(self) -> None:
        """A byte more of everything; who was cut off is counted."""
        for kind, clients in self._open.items():
            alive = [client for client in clients if _is_open(client, DRIPS[kind])]
            self.cut_off[kind] += len(clients) - len(alive)
            self._open[kind] = alive

    def close(self) -> None:
        for clients in self._open.values():
            for client in clients:
                client.close()


def _is_open(client: socket.socket, drip: bytes) -> bool:
    """Whether the other side has neither closed it nor answered: both are the end of it."""
    try:
        if drip:
            client.send(drip)
        client.recv(1)
    except BlockingIOError:
        return True
    except OSError:
        pass    # reset: closed as well
    client.close()
    return False


def big_body(port: int) -> str:
    with _connected(port) as client:
        client.sendall(JSON_POST + b"Content-Length: %d\r\n\r\n" % BIG_BODY_BYTES)
        return _pour(client, (PIECE for _ in range(BIG_BODY_BYTES // len(PIECE))))


def endless_chunks(port: int) -> str:
    with _connected(port) as client:
        client.sendall(CHUNKED)
        return _pour(client, iter(lambda: b"10000\r\n" + PIECE + b"\r\n", b""))


def many_headers(port: int) -> str:
    with _connected(port) as client:
        client.sendall(b"GET /health HTTP/1.1\r\n" + HOST)
        return _pour(client, (b"X-H%d: v\r\n" % n for n in range(20_000)))


def pipelined(port: int) -> str:
    """A thousand at once; the answers must all come."""
    with _connected(port) as client:
        client.sendall((b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n") * PIPELINED)
        received, count = b"", 0
        while count < PIPELINED:
            more = client.recv(1 << 16)
            if not more:
                break
            received = received[1 - len(ANSWERED):] + more  # one may come in two pieces
            count += received.count(ANSWERED)
        return f"{count} answers"


def half_closed(port: int) -> str:
    with _connected(port) as client:
        client.sendall(b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n")
        client.shutdown(socket.SHUT_WR)
        return _answer(client)


def _connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS)


def _pour(client: socket.socket, pieces: Iterator[bytes]) -> str:
    """Send until it is over or nobody takes it any more; what was answered."""
    with suppress(ConnectionError):
        for piece in pieces:
            client.sendall(piece)
    return _answer(client)


def _answer(client: socket.socket) -> str:
    try:
        return client.recv(12).decode("latin-1")[9:] or "closed"
    except ConnectionError:
        return "reset"
    except TimeoutError:
        return "no answer"


def attack(port: int, is_over: threading.Event, answers: dict[str, Counter[str]]) -> None:
    attacks: tuple[Callable[[int], str], ...] = (big_body, endless_chunks, many_headers, pipelined, half_closed)
    while not is_over.is_set():
        for one in attacks:
            try:
                answers.setdefault(one.__name__, Counter())[one(port)] += 1
            except OSError as error:
                answers.setdefault(one.__name__, Counter())[type(error).__name__] += 1


def main(port: int, wanted: dict[str, int]) -> None:
    flood, is_over, answers = Flood(port, wanted), threading.Event(), dict[str, Counter[str]]()
    flood.fill()
    attacker = threading.Thread(target=attack, args=(port, is_over, answers))
    attacker.start()
    threading.Thread(target=lambda: (sys.stdin.read(), is_over.set()), daemon=True).start()
    print("up", flush=True)
    while not is_over.wait(DRIP_SECONDS):
        flood.drip()
        flood.fill()
    attacker.join()
    flood.close()
    print(json.dumps({"came": flood.came, "cut_off": flood.cut_off, "answers": answers}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), dict(zip(("slow", "silent", "trickling"), map(int, sys.argv[2:5]), strict=True)))
