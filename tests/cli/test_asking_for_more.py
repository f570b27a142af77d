"""`put` with all that may be asked for; spans and times as people type them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
import pytest

from taskspool.cli.printing import ahead_text
from taskspool.cli.show import step_text
from taskspool.cli.times import AHEAD, BACK, seconds_of
from taskspool.clock import from_text

PARENT = "01936f5e-0000-4000-8000-00000000000c"
MORE = ["--requester", "me", "--priority", "low", "--max-retries", 3, "--backoff", "linear:2:1m30s",
        "--at", "2999-01-31T12:00Z", "--start-before", "2999-02-01T00:00Z", "--timeout", "5m",
        "--total-timeout", "1h30m", "--lease", "2m", "--unique-key", "k", "--on-conflict", "reject",
        "--group", "g", "--tag", "a", "--tag", "b", "--parent", PARENT]


def test_every_wish_arrives(anywhere):
    """Each option stands in the task, from the folder as over a bridge."""
    task_id = anywhere("put", "x", *MORE).out.strip()
    shown = anywhere("show", task_id, "--json").json
    assert (shown["requester"], shown["priority"], shown["not_before"]) == ("me", "low", "2999-01-31T12:00:00.000000Z")
    assert shown["options"] == {
        "group": "g", "tags": ["a", "b"], "start_before": "2999-02-01T00:00:00.000000Z", "timeout": 300.0,
        "total_timeout": 5400.0, "lease": 120, "unique_key": "k",
        "parent_id": PARENT,
        "backoff": {"kind": "linear", "base": 2.0, "cap": 90.0, "jitter": 0.1}}
    assert "0 of 4 failed" in (told := anywhere("show", task_id).out)
    assert f"parent id      {PARENT}" in told
    assert [one["id"] for one in anywhere("ls", "--parent", PARENT, "--json").json["tasks"]] == [task_id]
    done = anywhere("put", "x", "--unique-key", "k", "--on-conflict", "reject")
    assert (done.code, done.out) == (1, "")
    assert "DUPLICATE_TASK" in done.err
    assert anywhere("put", "x", "--unique-key", "k").out.strip() == task_id
    other = anywhere("put", "x", "--unique-key", "k", "--on-conflict", "replace").out.strip()
    assert anywhere("show", task_id, "--json").json["state"] == "cancelled"
    assert anywhere("show", other, "--json").json["state"] == "ready"


def test_each_line_gets_the_wishes_too(command, tmp_path):
    """--each: what was asked for is asked for every line; a unique key is for one task."""
    (tmp_path / "lines").write_text("{}\n{}\n")
    ids = command("put", "x", "--each", tmp_path / "lines", "--delay", "1h", "--tag", "t").out.split()
    assert [command("show", task_id, "--json").json["state"] for task_id in ids] == ["scheduled"] * 2
    assert command("put", "x", "--each", tmp_path / "lines", "--unique-key", "k").code == 2


@pytest.mark.parametrize("arguments", [
    ["--delay", "soon"], ["--delay", "-1"], ["--at", "noon"], ["--delay", "5", "--at", "5m"], ["--timeout", "0"],
    ["--backoff", "cubic"], ["--backoff", "linear:x"], ["--backoff", "linear:1:2:3"], ["--tag", ""],
    ["--on-conflict", "reject"], ["--group", "a\nb"], ["--parent", "x"], ["--delay", "60w"], ["--lease", "2d"],
])
def test_a_wish_that_breaks_a_rule_is_refused(command, root, arguments):
    """Code 2, one line that says the rule; nothing is handed over."""
    done = command("put", "x", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")
    assert not any((root / "task_queue" / "tasks").glob("*")) if root.exists() else True


@pytest.mark.parametrize(("text", "seconds"), [
    ("90", 90), ("0.5", 0.5), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("2d", 172_800), ("1w", 604_800),
    ("1.5h", 5400), ("", None), ("soon", None), ("-5", None), ("5 m", None), ("5x", None), ("inf", None), ("1e3", None),
    ("9" * 400, None),
])
def test_spans_are_seconds_or_have_units(text, seconds):
    """What is neither is none."""
    assert seconds_of(text) == seconds


def test_times_are_instants_or_spans_from_now():
    """A span points ahead or back; a time without offset is this machine's; far beyond the calendar is refused."""
    now = datetime.now(UTC)
    assert timedelta(0) <= AHEAD.convert("1h", None, None) - now - timedelta(hours=1) < timedelta(seconds=30)
    assert timedelta(0) <= BACK.convert("1h", None, None) - now + timedelta(hours=1) < timedelta(seconds=30)
    assert BACK.convert("2026-01-31T09:00+01:00", None, None) == from_text("2026-01-31T08:00:00Z")
    assert AHEAD.convert("2026-01-31T09:00", None, None) == datetime(2026, 1, 31, 9).astimezone(UTC)
    for text in ("99999999w", "9999999999999999999w", "0001-01-01T00:00"):
        with pytest.raises(click.BadParameter):
            BACK.convert(text, None, None)


@pytest.mark.parametrize(("seconds", "text"), [
    (0, "in 0s"), (59.6, "in 1m"), (61, "in 1m1s"), (7199, "in 1h59m"), (7200, "in 2h"), (90_000, "in 1d1h")])
def test_what_lies_ahead_has_two_units(seconds, text):
    """The two largest; what is nothing is left out."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert ahead_text(now + timedelta(seconds=seconds), now) == text


@pytest.mark.parametrize(("step", "text"), [
    ({"verb": "enqueue", "state": "ready", "worker": "me"}, "submitted  by me"),
    ({"verb": "fail", "state": "scheduled", "worker": "w", "attempt": 2, "seconds": 3.21, "reason": "no\x1b[2J"},
     "failed     attempt 2 by w after 3.2 s: no\\u001b[2J"),
    ({"verb": "expire", "state": "dead", "worker": "taskspool", "reason": "late"}, "given up   by taskspool: late"),
    ({"verb": "cancel", "state": "cancelled", "worker": "me", "reason": "cancelled by me: x"}, "cancelled  by me: x"),
    ({"verb": "cancel", "state": "cancelled", "worker": "w", "attempt": 1, "seconds": 7200,
      "reason": "cancelled by me"},
     "cancelled  attempt 1 by w after 2h: cancelled by me"),
    ({"verb": "hatch", "state": "ready"}, "hatch"),
])
def test_a_step_is_a_line(step, text):
    """When, what, which attempt, by whom, for how long, why; what is not known is left out."""
    assert step_text({"at": "2026-01-31T12:00:00.5Z", **step}) == f"2026-01-31 12:00:00  {text}"
