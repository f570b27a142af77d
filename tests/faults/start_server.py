"""A process that has imported everything, and forks a server for every line it reads: a start without the imports.

A line is ``{"log": FILE, "arguments": [...]}`` of the command ``taskspool``. The new process stops itself before it
does anything, so that a tracer can attach; its process id is the answer, a line too. Ends with its input.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from typing import Any

import taskspool.cli.logs
import taskspool.doors.bridge
import taskspool.engine.lifecycle
import taskspool.web.server  # noqa: F401  # imported here, once, not in every child
from taskspool.cli.main import main

PR_SET_PTRACER, ANYBODY = 0x59616D61, -1


def be_server(arguments: list[str], log: str) -> None:
    """Never returns."""
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, ctypes.c_long(ANYBODY), 0, 0, 0)  # a sibling may trace us (Yama)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.kill(os.getpid(), signal.SIGSTOP)
    main(arguments)
    os._exit(0)  # never reached: main ends the process


def serve_requests() -> None:
    children: list[int] = []
    for line in sys.stdin:
        children = [child for child in children if os.waitpid(child, os.WNOHANG) == (0, 0)]
        asked: dict[str, Any] = json.loads(line)
        child = os.fork()
        if child == 0:
            be_server(asked["arguments"], asked["log"])
        children.append(child)
        os.waitpid(child, os.WUNTRACED)
        print(child, flush=True)


if __name__ == "__main__":
    serve_requests()
