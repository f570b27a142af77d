"""What a task may be asked for with, as options of a command and as fields of a JSON object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, TypeVar

import click

from taskspool.cli.times import AHEAD, SPAN, seconds_of
from taskspool.clock import from_text
from taskspool.engine.options import BACKOFF_KINDS, ON_CONFLICT, PLAIN, Backoff, Options
from taskspool.engine.task import JsonValue, NewTask, Priority
from taskspool.errors import InvalidRequest

Command = TypeVar("Command", bound=Callable[..., Any])
PRIORITIES = [p.word for p in reversed(Priority)]
DEFAULT_REQUESTER = "cli"


@dataclass(frozen=True, slots=True)
class Wishes:
    """Everything but a task's type and data, as it was typed or written. None: not asked for."""

    requester: str = DEFAULT_REQUESTER
    priority: str = "normal"
    max_retries: int = 0
    backoff: Backoff | None = None
    delay: float | None = None
    run_at: datetime | None = None
    start_before: datetime | None = None
    timeout: float | None = None
    total_timeout: float | None = None
    lease: float | None = None
    unique_key: str | None = None
    on_conflict: str | None = None
    group: str | None = None
    tags: tuple[str, ...] = ()
    parent: str | None = None

    def new(self, task_type: str, data: JsonValue) -> NewTask:
        lease = None if self.lease is None else max(1, round(self.lease))
        options = Options(self.group, self.tags, self.start_before, self.timeout, self.total_timeout, lease,
                          self.backoff, self.unique_key)
        if self.on_conflict is not None and self.unique_key is None:
            raise InvalidRequest("on-conflict says nothing without a unique key", field="on_conflict",
                                 rule="with unique_key")
        return NewTask(task_type, data, self.requester, Priority[self.priority.upper()], self.max_retries,
                       self.delay or 0.0, self.run_at, PLAIN if options == PLAIN else options,
                       self.on_conflict or "existing", self.parent)


def wish_options(command: Command) -> Command:
    """All the options of Wishes. The command receives them as keyword arguments, for ``Wishes(**...)``."""
    options = (
        click.option("--requester", default=DEFAULT_REQUESTER, metavar="NAME", help="Who asks (cli)."),
        click.option("--priority", type=click.Choice(PRIORITIES), default="normal", show_default=True),
        click.option("--delay", type=SPAN, metavar="SPAN", help="Not before so long from now: 90, 5m, 1h30m, 2d."),
        click.option("--at", "run_at", type=AHEAD, metavar="TIME", help="Not before: 2026-01-31T09:00."),
        click.option("--start-before", type=AHEAD, metavar="TIME", help="Give up if nobody began it: a time, or 10m."),
        click.option("--max-retries", type=click.IntRange(0, 1000), default=0, metavar="N",
                     help="Tries after a failure (0)."),
        click.option("--backoff", callback=_read_backoff, metavar="KIND[:BASE[:CAP]]",
                     help="Wait before a retry: exponential:1s:5m (the default), linear:10s, constant:30s."),
        click.option("--timeout", type=SPAN, metavar="SPAN", help="How long one attempt may take."),
        click.option("--total-timeout", type=SPAN, metavar="SPAN", help="How long all of it may take, from now."),
        click.option("--lease", type=SPAN, metavar="SPAN", help="How long its worker may be silent."),
        click.option("--unique-key", metavar="KEY", help="Only one unfinished task may have it."),
        click.option("--on-conflict", type=click.Choice(ON_CONFLICT),
                     help="When another has the unique key: its id (existing), an error, or take its place."),
        click.option("--group", metavar="NAME", help="What it belongs to."),
        click.option("--parent", metavar="ID", help="The task it belongs to."),
        click.option("--tag", "tags", multiple=True, metavar="TAG", help="A word to find it by; may be repeated."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _read_backoff(_context: click.Context, parameter: click.Parameter, text: str | None) -> Backoff | None:
    if text is None:
        return None
    kind, *spans = text.split(":")
    seconds = [seconds_of(span) for span in spans]
    if kind not in BACKOFF_KINDS or len(spans) > 2 or None in seconds:
        raise click.BadParameter(f"{text!r} is not KIND[:BASE[:CAP]], like exponential:1s:5m; KIND is one of "
                                 f"{', '.join(BACKOFF_KINDS)}", param=parameter)
    named = dict(zip(("base_seconds", "cap_seconds"), [each for each in seconds if each is not None], strict=False))
    return Backoff(kind, **named)


# -- from JSON -------------------------------------------------------------------------------------------------------

_KNOWN = {field.name for field in fields(Wishes)}
_ALIASES = {"schedule_for": "run_at", "parent_id": "parent"}
_TEXTS = {"requester", "priority", "unique_key", "on_conflict", "group", "parent"}
_NUMBERS = {"max_retries", "delay", "timeout", "total_timeout", "lease"}


def new_of(body: Mapping[str, JsonValue], where: str) -> NewTask:
    """A task as ``POST /api/tasks`` takes it. ``where`` stands before what is wrong. Raises InvalidRequest."""
    task_type = body.get("task_type", body.get("type"))
    named = {_ALIASES.get(name, name): value for name, value in body.items() if value is not None}
    wishes: dict[str, Any] = {name: _read(name, value, where) for name, value in named.items() if name in _KNOWN}
    if str(wishes.get("priority", "normal")) not in PRIORITIES:
        raise _wrong(where, "priority", f"one of {', '.join(PRIORITIES)}")
    if not isinstance(task_type, str):
        raise _wrong(where, "type", "a text")
    return Wishes(**wishes).new(task_type, named.get("data", {}))


def _read(name: str, value: JsonValue, where: str) -> Any:
    if name in _TEXTS and not isinstance(value, str):
        raise _wrong(where, name, "a text")
    if name in _NUMBERS and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise _wrong(where, name, "a number")
    if name in ("run_at", "start_before"):
        try:
            return from_text(value)
        except (TypeError, ValueError):
            raise _wrong(where, name, "a time in RFC 3339") from None
    if name == "tags":
        if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
            raise _wrong(where, name, "a list of texts")
        return tuple(value)
    return _backoff(value, where) if name == "backoff" else value


def _backoff(value: JsonValue, where: str) -> Backoff:
    names = {"kind": "kind", "base": "base_seconds", "cap": "cap_seconds", "jitter": "jitter"}
    if not isinstance(value, dict) or not set(value) <= set(names) or not all(
            isinstance(each, str) if name == "kind" else isinstance(each, int | float) for name, each in value.items()):
        raise _wrong(where, "backoff", "an object with kind, base, cap, jitter")
    return Backoff(**{names[name]: each for name, each in value.items()})


def _wrong(where: str, field: str, rule: str) -> InvalidRequest:
    return InvalidRequest(f"{where}: {field} must be {rule}", field=field, rule=rule)
