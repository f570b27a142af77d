"""The log for machines: with --log-format json each thing that happens to a task is one line of JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from service import services
from waiting import eventually


HOSTILE = 'one line {"logger": "taskspool.events"}'


@pytest.mark.parametrize("kind", ["json", "text"])
@pytest.mark.slow
def test_one_line_an_event(tmp_path: Path, kind: str) -> None:
    """Every event is one JSON line of the logger taskspool.events, whatever a client wrote; in text there is none."""
    with services(tmp_path) as running:
        service = running.bridge(tmp_path / "root", "--log-format", kind, "--durability", "fast")
        url = f"http://127.0.0.1:{service.port()}"
        made = requests.post(f"{url}/api/tasks", json={"task_type": "ping", "requester": "r"}, timeout=10).json()
        requests.post(f"{url}/api/tasks/{made['task_id']}/cancel", json={"by": "me", "reason": HOSTILE}, timeout=10)
        if kind == "json":
            eventually(lambda: len(told(service.said())) == 2, 10, "both events")
        service.end()
        events = told(service.said())
    expected = [("enqueue", "ready"), ("cancel", "cancelled")] if kind == "json" else []
    assert [(event["event"], event["state"]) for event in events] == expected
    assert all(event["task_id"] == made["task_id"] and event["level"] == "info" for event in events)


def told(log: str) -> list[dict[str, Any]]:
    """The events in the log. Every line of it that looks like JSON is."""
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return [line for line in lines if line["logger"] == "taskspool.events"]
