"""The listening port: ours alone, on loopback alone, or a clear reason why not."""

from __future__ import annotations

import os
import socket

import pytest
from live_bridge import LiveBridge

from taskspool.errors import RefusedToStart
from taskspool.web.port import listen, who_holds


def test_port_zero_takes_a_free_one() -> None:
    """Port 0 binds a free port, the same for IPv4 and IPv6."""
    sockets = listen("localhost", 0)
    try:
        assert sockets[0].getsockname()[1] > 0
        assert len({one.getsockname()[1] for one in sockets}) == 1
    finally:
        for one in sockets:
            one.close()


def test_taken_by_a_bridge(bridge: LiveBridge) -> None:
    """A port that another bridge holds is refused, and the text names its folder and this process."""
    with pytest.raises(RefusedToStart, match=f"port {bridge.port} is taken") as caught:
        listen("127.0.0.1", bridge.port)
    assert f"a taskspool bridge on the folder {bridge.settings.folder.absolute()}" in caught.value.message
    assert "--port" in caught.value.hint


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="names of programs come from /proc")  # noqa: PTH112
def test_taken_by_another_program() -> None:
    """A port that another program holds is refused, and the text names program and pid."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(RefusedToStart, match=rf"pid {os.getpid()}"):
            listen("127.0.0.1", port)


def test_nobody_there() -> None:
    """Of a port nobody listens on, nothing is told."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert who_holds(port) == ""


def test_both_loopback_addresses_answer(bridge: LiveBridge) -> None:
    """``localhost`` works at once, whichever address a client tries first (Windows tries ::1)."""
    assert bridge.session.get(f"http://localhost:{bridge.port}/health", timeout=5).ok
    if len(bridge.serving.sockets) > 1:
        assert bridge.session.get(f"http://[::1]:{bridge.port}/health", timeout=5).ok
