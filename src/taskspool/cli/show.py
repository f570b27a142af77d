"""``taskspool show`` and ``explain``: one task, what it is, what happened to it, and why it is where it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from taskspool.cli.codes import ExitCode
from taskspool.cli.options import folder_options, json_option, url_option
from taskspool.cli.place import place
from taskspool.cli.printing import age_text, ahead_text, echo_json, json_text, safe, span_text, state_text
from taskspool.clock import SystemClock, from_text
from taskspool.engine.task import State

VERBS: Mapping[str, str] = {
    "enqueue": "submitted", "adopt": "found", "promote": "due", "claim": "begun", "complete": "done", "fail": "failed",
    "release": "given back", "expire": "lost", "cancel": "cancelled", "retry": "retried",
    "revise": "changed",
}
"""What happened, as a person says it."""


@click.command()
@click.argument("task_id", metavar="ID")
@url_option
@folder_options
@json_option
def show(task_id: str, url: str | None, root: Path | None, queue: str | None, as_json: bool) -> int:
    """Show everything about one task, and its history.

    Exit code 1: there is no such task.
    """
    with place(url, root, queue) as asked:
        found = asked.task(task_id)
    if as_json:
        echo_json(found)
        return ExitCode.OK
    now = SystemClock().now()
    lines = [(name, text) for name, text in _fields(found, now) if text]
    width = max(len(name) for name, _ in lines)
    for name, text in lines:
        click.echo(f"{click.style(name.ljust(width), bold=True)}  {text}")
    story = found.get("history") or []
    if story:
        click.echo()
        click.echo(click.style("history (UTC)", bold=True))
        for step in story:
            click.echo("  " + step_text(step))
    return ExitCode.OK


@click.command()
@click.argument("task_id", metavar="ID")
@url_option
@folder_options
@json_option
def explain(task_id: str, url: str | None, root: Path | None, queue: str | None, as_json: bool) -> int:
    """Say in words why a task is where it is, and what happens next."""
    with place(url, root, queue) as asked:
        told = asked.explain(task_id)
    if as_json:
        echo_json(told)
        return ExitCode.OK
    click.echo(click.style(safe(told["summary"]), bold=True))
    for sentence in told["sentences"]:
        click.echo(safe(sentence))
    click.echo(f"{click.style('next:', bold=True)} {safe(told['next'])}")
    return ExitCode.OK


# -- one task as lines -----------------------------------------------------------------------------------------------


def _fields(task: Mapping[str, Any], now: datetime) -> Iterator[tuple[str, str]]:
    yield "id", safe(task["id"])
    yield "type", safe(task["type"])
    yield "state", state_text(State(task["state"]))
    yield "worker", safe(task.get("assigned_to") or "")
    yield "progress", _progress_text(task.get("progress"), now)
    yield "cancel", _note_text(task.get("cancel"), now)
    yield "requester", safe(task["requester"])
    yield "priority", safe(task["priority"])
    yield "created", _instant_text(task["created_at"], now)
    yield "changed", _instant_text(task.get("updated_at"), now)
    if task["state"] == State.SCHEDULED:
        yield "runs at", _instant_text(task.get("not_before"), now)
    if not State(task["state"]).is_final:
        yield "given up at", _instant_text(task.get("deadline_at"), now)
    yield "attempts", _attempts_text(task)
    yield from ((name.replace("_", " "), safe(_option_text(value)))
                for name, value in (task.get("options") or {}).items())
    yield "last error", safe(task.get("last_error") or task.get("previous_error") or "")
    yield "checkpoint", "" if task.get("checkpoint") is None else json_text(task["checkpoint"])
    yield "data", json_text(task.get("data"))


def _option_text(value: Any) -> str:
    """Numbers among the options are seconds."""
    if isinstance(value, dict):
        return f"{value['kind']}, base {value['base']:g} s, cap {value['cap']:g} s"
    return f"{value:g} s" if isinstance(value, int | float) else ", ".join(value) if isinstance(value, list) else value


def _attempts_text(task: Mapping[str, Any]) -> str:
    allowed = task["max_retries"] + 1 if "max_retries" in task else task["max_attempts"]
    crashes = task.get("crashes") or 0
    lost = "" if not crashes else f", {crashes} lost with {'its worker' if crashes == 1 else 'their workers'}"
    return f"{task['attempts']} of {allowed} failed{lost}"


def _progress_text(progress: Mapping[str, Any] | None, now: datetime) -> str:
    if progress is None:
        return ""
    percent = "" if progress["percent"] is None else f"{progress['percent']:g} %"
    age = f"({age_text(from_text(progress['at']), now)} ago)"
    return " ".join(part for part in (percent, safe(progress["message"] or ""), age) if part)


def _note_text(note: Mapping[str, Any] | None, now: datetime) -> str:
    if note is None:
        return ""
    reason = f": {note['reason']}" if note.get("reason") else ""
    return safe(f"asked for by {note['by']} {age_text(from_text(note['at']), now)} ago{reason}")


def _instant_text(text: str | None, now: datetime) -> str:
    """``2026-01-31 12:00:00 UTC (5m ago)``"""
    if not text:
        return ""
    instant = from_text(text)
    distance = ahead_text(instant, now) if instant > now else f"{age_text(instant, now)} ago"
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC ({distance})"


def step_text(step: Mapping[str, Any]) -> str:
    """``2026-01-31 12:00:00  failed     attempt 2 by office-1 after 3.2 s: what went wrong``"""
    words = [f"attempt {step['attempt']}"] if step.get("attempt") else []
    if step.get("worker"):
        words.append(f"by {step['worker']}")
    if step.get("seconds") is not None:
        seconds = step["seconds"]
        words.append(f"after {seconds:.1f} s" if seconds < 100 else f"after {span_text(seconds)}")
    verb = VERBS.get(step["verb"], step["verb"])
    if step["verb"] == "expire" and step["state"] == State.DEAD:
        verb = "given up"
    reason = (step.get("reason") or "").removeprefix(f"cancelled by {step.get('worker')}").removeprefix(": ")
    told = " ".join(words) + (f": {reason}" if reason else "")
    return f"{from_text(step['at']):%Y-%m-%d %H:%M:%S}  {safe(verb):<10} {safe(told)}".rstrip()
