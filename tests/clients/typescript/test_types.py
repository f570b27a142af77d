"""The types of the TypeScript client say what the bridge says: its description, and its real answers."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from clients.typescript.typescript_package import PACKAGE
from live_bridge import LiveBridge
from taskspool.errors import BY_CODE

_INTERFACE = re.compile(r"^export interface (\w+)(?: extends (\w+))? \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^  readonly (\w+)(\??):", re.MULTILINE)

Fields = dict[str, bool]
"""Name -> whether it may be left out."""


def interfaces() -> dict[str, Fields]:
    """Every interface of types.ts, with the fields it inherits."""
    found: dict[str, Fields] = {}
    for name, base, body in _INTERFACE.findall((PACKAGE / "src" / "types.ts").read_text(encoding="utf-8")):
        own = {field: mark == "?" for field, mark in _FIELD.findall(body)}
        found[name] = {**found.get(base, {}), **own}
    return found


@pytest.fixture(scope="module")
def schemas(bridge: LiveBridge) -> dict[str, Any]:
    return dict(bridge.get("/openapi.json").json()["components"]["schemas"])


MIRRORED = {
    "Accepted", "BackoffAsked", "BatchSubmitted", "Beat", "BeatAnswer", "BeatsAnswer", "CancelAnswer",
    "ClaimRequest", "Claimed", "Complete", "ExplanationAnswer", "Fail", "Health", "LineSent", "LogAccepted",
    "LogAnswer", "LogAppend", "Release", "ResultAnswer", "Running", "Submission", "Submitted", "TaskAnswer",
    "TaskList", "TaskTold", "Told", "Wish", "WorkerBeat",
}


def test_interfaces_have_the_fields_of_their_schemas(schemas: dict[str, Any]) -> None:
    """An interface with the name of a schema in /openapi.json has exactly its fields, and demands what it demands."""
    found = interfaces()
    assert found.keys() & schemas.keys() >= MIRRORED
    for name in found.keys() & schemas.keys():
        assert found[name].keys() == schemas[name]["properties"].keys(), name
        demanded = {field for field, is_optional in found[name].items() if not is_optional}
        assert demanded == set(schemas[name].get("required", ())), name


def test_filters_are_those_of_the_list(bridge: LiveBridge) -> None:
    """`TaskFilters` has exactly the query parameters of GET /api/tasks, and `cursor`, which only a page gives."""
    listed = bridge.get("/openapi.json").json()["paths"]["/api/tasks"]["get"]["parameters"]
    assert interfaces()["TaskFilters"].keys() == {"cursor", *(each["name"] for each in listed)}


def test_answers_have_the_fields_that_are_read(bridge: LiveBridge) -> None:
    """What is described as "an object" only has the fields its interface says: a claim, its lease, history, events,
    lines of the log."""
    found = interfaces()
    task_id = bridge.submit("typed")
    claimed = bridge.claim("typed", types=["typed"])
    assert found["ClaimedTask"].keys() <= claimed.keys()
    assert found["LeaseTold"].keys() == claimed["lease"].keys()
    body = {"lease_token": claimed["lease"]["token"], "progress": 10}
    assert bridge.post(f"/api/tasks/{task_id}/heartbeat", body).ok
    assert bridge.post(f"/api/tasks/{task_id}/log", {**body, "offset": 0, "lines": ["x"]}).status_code == 202
    told = bridge.get(f"/api/tasks/{task_id}").json()
    assert found["ProgressTold"].keys() <= told["progress"].keys()
    assert found["HistoryEntry"].keys() == told["history"][0].keys()
    log = bridge.get(f"/api/tasks/{task_id}/log").json()
    assert found["LogLine"].keys() == log["lines"][0].keys()
    events = bridge.get(f"/api/tasks/{task_id}/events?limit=10").json()["events"]
    assert found["TaskEvent"].keys() == events[0].keys()


def test_errors_have_the_codes_of_the_engine() -> None:
    """Every error that travels has its class in errors.ts: the same name, the same code, the same status."""
    text = (PACKAGE / "src" / "errors.ts").read_text(encoding="utf-8")
    known = {code: (name, int(status)) for name, code, status in re.findall(r'\[(\w+), "(\w+)", (\d+)\]', text)}
    wanted = {code: (error.__name__, error.status) for code, error in BY_CODE.items()}
    assert {code: each for code, each in wanted.items() if known.get(code) != each} == {}


def test_the_version_is_told_once() -> None:
    """`VERSION`, package.json and its lock agree."""
    version = json.loads((PACKAGE / "package.json").read_text(encoding="utf-8"))["version"]
    lock = json.loads((PACKAGE / "package-lock.json").read_text(encoding="utf-8"))
    assert f'VERSION = "{version}"' in (PACKAGE / "src" / "version.ts").read_text(encoding="utf-8")
    assert (lock["version"], lock["packages"][""]["version"]) == (version, version)
    assert [name for name, each in lock["packages"].items() if "resolved" in each] == []
    assert "dependencies" not in lock["packages"][""]
