"""`serve` without a door: all of them, a process each, that begin and end together."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from service import Service, Services, services, taskspool
from taskspool.cli.doors import DOORS
from waiting import eventually

_PORTS = re.compile(r"(the (?:bridge|door of [a-z- ]+)) listens on http://127\.0\.0\.1:(\d+)")


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Services]:
    with services(tmp_path) as made:
        yield made


def all_doors(started: Services, root: Path) -> Service:
    ports = {f"TASKSPOOL_{name}": "0" for name in ("PORT", "MANAGED_PORT", "TODOS_PORT", "TAGGED_PORT")}
    return started.start("-m", "taskspool", "serve", "--root", root, **ports)


def ports_of(service: Service) -> dict[str, int]:
    """Title of the door -> its port, once all of them listen."""
    found = eventually(lambda: len(said := _PORTS.findall(service.said())) == len(DOORS) and said, 60,
                       "every door listens")
    return {title: int(port) for title, port in found}


def children_of(service: Service) -> list[psutil.Process]:
    return psutil.Process(service.process.pid).children()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent another way there")
def test_every_door_is_served_until_told_to_stop(started: Services, tmp_path: Path) -> None:
    """Each answers on a port of its own; after SIGTERM no process is left, and the code is 0."""
    service = all_doors(started, tmp_path / "outputs")
    ports = ports_of(service)
    assert set(ports) == {door.title for door in DOORS.values()}
    for port in ports.values():
        assert requests.get(f"http://127.0.0.1:{port}/health", timeout=20).status_code == 200
    children = children_of(service)
    assert len(children) == len(DOORS)
    assert service.end(30) == 0, service.said()
    assert psutil.wait_procs(children, 10)[1] == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_no_door_outlives_the_process_that_started_it(started: Services, tmp_path: Path) -> None:
    """kill -9 of the one process ends the doors too: they notice that nobody holds them any more."""
    service = all_doors(started, tmp_path / "outputs")
    ports_of(service)
    children = children_of(service)
    service.process.kill()
    assert psutil.wait_procs(children, 20)[1] == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_door_that_ends_closes_the_others(started: Services, tmp_path: Path) -> None:
    """Half a system would be worse than none: the exit code says that it failed, the log which door it was."""
    service = all_doors(started, tmp_path / "outputs")
    ports_of(service)
    children = children_of(service)
    os.kill(children[0].pid, signal.SIGKILL)
    assert service.process.wait(30) != 0
    assert psutil.wait_procs(children, 10)[1] == []
    assert "has ended" in service.said()


def test_a_port_without_a_door_is_that_of_the_bridge(started: Services, tmp_path: Path) -> None:
    """As it was when there was no other door."""
    service = started.start("-m", "taskspool", "serve", "--port", "0", "--root", tmp_path / "outputs")
    assert requests.get(f"http://127.0.0.1:{service.port()}/health", timeout=20).json()["service"] == "taskspool"
    assert children_of(service) == []


def test_only_the_bridge_takes_a_queue(tmp_path: Path) -> None:
    """--queue with another door is refused with code 2, before a folder is made."""
    done = taskspool("serve", "todos", "--queue", "mine", "--root", tmp_path / "outputs")
    assert done.returncode == 2
    assert "--queue" in done.stderr
    assert not (tmp_path / "outputs").exists()
