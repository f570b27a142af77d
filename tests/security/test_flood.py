"""A flood of clients nobody wants: whoever asks a normal question is answered as before."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from service import Service, environment, services

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the memory")
SPARE_FILES = 1_000
MEASURED_SECONDS = 15.0
DEADLINE_SECONDS = 5.0
"""The 99th percentile of normal requests, however busy the machine is. The bar, for one that does nothing else, is
0.25 s."""
MAX_MEMORY_MIB = 300


class Flood:
    """The process of ``flood.py``."""

    def __init__(self, port: int, slow: int, silent: int, trickling: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("flood.py")), *map(str, (port, slow, silent, trickling))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment())
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "up\n"

    def end(self) -> dict[str, Any]:
        """What came of it."""
        told, _ = self._process.communicate("", timeout=60)
        return dict(json.loads(told))

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)


class Normal:
    """A client that behaves: submits, asks for the result, asks how things are; kept alive and on new connections."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()
        self.seconds: list[float] = []
        self.statuses: set[int] = set()

    def round(self) -> None:
        made = self._timed(self._session, "POST", "/api/tasks", json={"task_type": "normal", "data": {}})
        self._timed(self._session, "GET", f"/api/tasks/{made.json()['task_id']}")
        with requests.Session() as fresh:
            self._timed(fresh, "GET", "/health")

    def _timed(self, session: requests.Session, method: str, path: str, **options: Any) -> requests.Response:
        began = time.monotonic()
        reply = session.request(method, self._url + path, timeout=30, **options)
        self.seconds.append(time.monotonic() - began)
        self.statuses.add(reply.status_code)
        return reply

    def for_seconds(self, seconds: float) -> tuple[float, float, float]:
        """(median, 99th percentile, longest) of what it asked in that time, in seconds."""
        self.seconds.clear()
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            self.round()
        ordered = sorted(self.seconds)
        return ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100], ordered[-1]


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Service]:
    with services(tmp_path) as all_of_them:
        yield all_of_them.bridge(tmp_path / "out")


def allowed_connections(wanted: int) -> int:
    """As many of ``wanted`` as this machine lets one process open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard - SPARE_FILES)


def memory_mib(service: Service) -> int:
    """The most memory it ever had, in MiB."""
    status = Path(f"/proc/{service.process.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_flood_drowns_nobody(bridge: Service) -> None:
    """1,000 slow and up to 9,000 silent clients, endless bodies and heads: normal requests are answered as before, the
    memory stays small, and who is slow is cut off."""
    port = bridge.port()
    normal = Normal(f"http://127.0.0.1:{port}")
    before = normal.for_seconds(3)
    slow, trickling = 1_000, 50
    silent = allowed_connections(10_000) - slow
    flood = Flood(port, slow, silent, trickling)
    try:
        during = normal.for_seconds(MEASURED_SECONDS)
        told = flood.end()
    finally:
        flood.kill()
    after = normal.for_seconds(3)
    print(f"flood of {slow} slow, {silent} silent, {trickling} trickling: {told}")
    for when, figures in (("before", before), ("during", during), ("after", after)):
        print("  {}: median {:.1f} ms, p99 {:.1f} ms, longest {:.1f} ms".format(when, *(1000 * one for one in figures)))
    print(f"  most memory {memory_mib(bridge)} MiB")
    assert normal.statuses <= {200, 201}
    assert max(during[1], after[2]) < DEADLINE_SECONDS
    assert memory_mib(bridge) < MAX_MEMORY_MIB
    judge_flood(told, slow)
    assert bridge.end() == 0


def judge_flood(told: dict[str, Any], slow: int) -> None:
    """Every kind of abuse got its own answer, and who is slow is cut off (all of them, but some a little later)."""
    assert told["cut_off"]["slow"] > slow / 2
    answers = {kind: set(counts) for kind, counts in told["answers"].items()}
    assert answers["half_closed"] == {"200"}
    assert answers["pipelined"] == {"1000 answers"}
    assert answers["many_headers"] <= {"431", "reset"}
    assert answers["big_body"] <= {"413", "reset"}
    assert answers["endless_chunks"] <= {"413", "reset"}
