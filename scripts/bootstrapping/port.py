"""Who has the port? Best effort, by what the system tells: /proc, lsof, netstat and tasklist."""

from __future__ import annotations

import csv
import json
import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
LISTENING = "0A"
"""State column of /proc/net/tcp."""


def is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if os.name == "posix":  # a server that stopped a moment ago is no hindrance; on Windows this option means more
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def bridge_folder(port: int) -> str | None:
    """The tasks folder of the taskspool bridge on ``port``; None when something else, or nothing, answers."""
    try:
        with open_url(f"http://{HOST}:{port}/health", timeout=2) as answer:
            health = json.load(answer)
    except (OSError, ValueError, http_nonsense()):
        return None
    folder = health.get("tasks_dir") if isinstance(health, dict) else None
    return folder if isinstance(folder, str) else None


def http_nonsense() -> type[Exception]:
    """What is raised when the other side does not speak HTTP."""
    import http.client

    return http.client.HTTPException


def open_url(request: str | urllib.request.Request, timeout: float) -> Any:
    """Open it without any proxy: the other end is on this machine."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=timeout)


def holder(port: int) -> str:
    """"pid 123 (name)" of the process that listens on ``port``, or a sentence that it cannot be told."""
    pid = None
    for ask in (_from_proc, _from_lsof, _from_netstat):
        try:
            pid = ask(port)
        except (OSError, subprocess.SubprocessError, ValueError):
            continue  # this system has no such source, or does not let us read it
        if pid is not None:
            return f"pid {pid} ({_name(pid) or 'name unknown'})"
    return "a process the system does not let us see (another user's?)"


def _from_proc(port: int) -> int | None:
    inodes = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if not table.exists():
            continue
        for line in table.read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == LISTENING and int(columns[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{columns[9]}]")
    for folder in Path("/proc").glob("[0-9]*/fd") if inodes else ():
        try:
            if any(str(entry.readlink()) in inodes for entry in folder.iterdir()):
                return int(folder.parent.name)
        except OSError:
            continue  # gone, or another user's
    return None


def _from_lsof(port: int) -> int | None:
    if sys.platform in ("win32", "linux"):
        return None
    said = _said("lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fp")
    found = re.search(r"^p(\d+)", said, re.MULTILINE)
    return int(found[1]) if found else None


def _from_netstat(port: int) -> int | None:
    return find_in_netstat(_said("netstat", "-ano", "-p", "TCP"), port) if sys.platform == "win32" else None


def find_in_netstat(said: str, port: int) -> int | None:
    """The pid in Windows' ``netstat -ano`` that listens on ``port``; the foreign port of a listener is always 0."""
    for line in said.splitlines():
        columns = line.split()
        if len(columns) >= 5 and columns[1].endswith(f":{port}") and columns[2].endswith(":0"):
            return int(columns[-1])
    return None


def _name(pid: int) -> str:
    try:
        if sys.platform == "win32":
            rows = list(csv.reader(_said("tasklist", "/FI", f"PID eq {pid}", "/FO", "CSV", "/NH").splitlines()))
            return rows[0][0] if rows else ""
        if Path("/proc/self").exists():
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
            return " ".join(words).strip()[:100]
        return _said("ps", "-o", "command=", "-p", str(pid)).strip()[:100]
    except (OSError, subprocess.SubprocessError):
        return ""


def _said(*arguments: str) -> str:
    return subprocess.run(arguments, capture_output=True, text=True, errors="replace", timeout=10, check=False).stdout
