"""kill -9 of the real server while clients submit, claim and complete; restarted every time, on the same folder."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.server_load import Clients, Server, judge, work_off
from waiting import eventually

pytestmark = pytest.mark.skipif(os.name == "nt", reason="kill -9")
SEED = 20_263


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.slow)])
@pytest.mark.timeout(400)
@pytest.mark.slow
def test_a_killed_server_loses_nothing_and_repeats_nothing(server: Server, tmp_path: Path, kills: int) -> None:
    """Nothing that was answered is lost, nothing is finished twice, no answer is a 500, and the folder is sound."""
    dice, pause = random.Random(SEED), threading.Event()
    clients = Clients(server)
    clients.start()
    try:
        for _ in range(kills):
            answered = len(clients.submitted)
            eventually(lambda: len(clients.submitted) > answered or clients.errors, seconds=30)  # noqa: B023
            pause.wait(dice.uniform(0.0, 0.5))
            server.kill()
            server.start()
        work_off(clients, server)
    finally:
        clients.end()
    assert clients.errors == []
    assert server.stop() == 0
    judge(clients, tmp_path, f"{kills} kills of the server")
    assert len(clients.submitted) >= kills
