"""What people see: tables, colours, ages; and what programs see: JSON. Nothing here reads or writes a queue."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import click

from taskspool.clock import to_text
from taskspool.engine.task import Counts, JsonValue, Result, Snapshot, State
from taskspool.shapes import belonging_json

COLOURS = {
    State.SCHEDULED: "cyan", State.READY: "blue", State.CLAIMED: "yellow", State.DONE: "green", State.DEAD: "red",
    State.CANCELLED: "magenta",
}
WORDS = {
    State.SCHEDULED: "pending", State.READY: "pending", State.CLAIMED: "in_progress", State.DONE: "completed",
    State.DEAD: "failed", State.CANCELLED: "cancelled",
}
"""``status`` as the bridge says it, beside our own ``state``."""


def speak_utf8() -> None:
    """Make the console able to show any text: a letter its code page lacks becomes ``?``, never an error."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(ValueError):  # a stream that is closed, or was read from before, stays as it is
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")


def json_text(value: JsonValue, *, indent: int | None = None) -> str:
    """``value`` as JSON that is safe to show: what a terminal would obey is written as an escape."""
    return safe(json.dumps(value, ensure_ascii=False, indent=indent), but="\n")


def safe(text: str, but: str = "") -> str:
    """``text`` with everything that is not printable, ``but`` for these characters, written as ``\\uXXXX``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in but else _escape(c) for c in text)


def _escape(character: str) -> str:
    halves = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{halves[i]:02x}{halves[i + 1]:02x}" for i in range(0, len(halves), 2))


def echo_json(value: JsonValue) -> None:
    click.echo(json_text(value))


def task_json(snapshot: Snapshot) -> dict[str, JsonValue]:
    """The bridge's keys of a task, and what only the folder knows."""
    task = snapshot.task
    return {
        "id": task.id, "type": task.type, "requester": task.requester, "data": task.data,
        "status": WORDS[snapshot.state], "created_at": to_text(task.created_at), "assigned_to": snapshot.worker,
        "updated_at": to_text(snapshot.updated_at), "state": snapshot.state.value, "priority": task.priority.word,
        "attempts": task.attempts, "crashes": task.crashes, "max_retries": task.max_retries,
        "not_before": None if task.not_before is None else to_text(task.not_before), "last_error": task.last_error,
        **belonging_json(snapshot),
    }


def result_json(result: Result) -> dict[str, JsonValue]:
    return {"task_id": result.task_id, "worker": result.worker, "status": result.status, "data": result.data,
            "completed_at": to_text(result.completed_at), "error_message": result.error_message}


def counts_json(counts: Counts) -> dict[str, int]:
    numbers = {state.value: getattr(counts, state.value) for state in State}
    return {**numbers, "results": counts.results, "quarantined": counts.quarantined}


def state_text(state: State) -> str:
    return click.style(state.value, fg=COLOURS[state])


def age_text(since: datetime, now: datetime) -> str:
    """How long ago, in the largest unit that fits: ``12s``, ``3m``, ``5h``, ``2d``."""
    return span_text((now - since) / timedelta(seconds=1))


def span_text(span_seconds: float) -> str:
    """The same for a number of seconds."""
    seconds = max(0, int(span_seconds))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def ahead_text(instant: datetime, now: datetime) -> str:
    """How long until then, in the two largest units: ``in 1h59m``, ``in 12s``."""
    seconds = max(0, round((instant - now) / timedelta(seconds=1)))
    parts = [(seconds // 86_400, "d"), (seconds // 3_600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")]
    first = next((place for place, (number, _) in enumerate(parts) if number), len(parts) - 1)
    told = [f"{number}{unit}" for number, unit in parts[first:first + 2] if number]
    return f"in {''.join(told) or '0s'}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns as wide as their widest cell, counted as a terminal shows them."""
    styled = [[click.style(head, bold=True) for head in heads], *([*row] for row in rows)]
    widths = [max(map(shown_width, column)) for column in zip(*styled, strict=True)]
    return "\n".join(_row(row, widths) for row in styled)


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell + " " * (width - shown_width(cell)) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()


def shown_width(text: str) -> int:
    """Columns a terminal needs: letters of East Asia are two wide, accents that join are none, colours are none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
               for c in click.unstyle(text))
