"""How a worker works, as options of ``taskspool work``: how much at once, where, for how long, and how it ends."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from taskspool.cli.times import SPAN

if TYPE_CHECKING:
    from taskspool.worker.loop import WorkerOptions

Command = Callable[..., int]
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"(\d{1,15})([KMGT]?)(?:I?B)?", re.IGNORECASE)


class Size(click.ParamType):  # type: ignore[type-arg]  # not to be subscripted before click 8.4
    """Bytes, plainly or with a unit of 1024: ``500000000``, ``512M``, ``2G``."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = _SIZE.fullmatch(str(value).strip())
        if found is None or not int(found[1]):
            self.fail(f"{value!r} is no size: bytes, or like 512M, 2G", param, ctx)
        return int(found[1]) * UNITS[found[2].upper()]


SIZE = Size()


def worker_options(command: Command) -> Command:
    """All of them, as one argument ``options`` of ``command``: a WorkerOptions."""
    @wraps(command)
    def wrapped(*, concurrency: int, executor: str, limits: Mapping[str, int], max_tasks: int | None,
                max_memory: int | None, grace: float | None, **rest: Any) -> int:
        from taskspool.worker.loop import GRACE_SECONDS

        options: WorkerOptions = {
            "concurrency": concurrency, "executor": executor, "limits": limits, "max_tasks": max_tasks,
            "max_memory_bytes": max_memory, "grace_seconds": GRACE_SECONDS if grace is None else grace}
        return command(options=options, **rest)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def _read_limits(_context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> Mapping[str, int]:
    limits = {}
    for text in texts:
        name, equals, number = text.rpartition("=")
        if not equals or not name or not number.isascii() or not number.isdigit() or not int(number):
            raise click.BadParameter(f"{text!r} is not TYPE=N, like resize=2; N is 1 or more", param=parameter)
        limits[name] = int(number)
    return limits


_OPTIONS = (
    click.option("--concurrency", type=click.IntRange(1, 1000), default=1, show_default=True, metavar="N",
                 help="Tasks run at the same time."),
    click.option("--executor", type=click.Choice(["thread", "process"]), default="thread", show_default=True,
                 help="Where handlers run: in threads of this process, or each in a process of its own, which can be "
                      "ended."),
    click.option("--limit", "limits", multiple=True, metavar="TYPE=N", callback=_read_limits,
                 help="At most N tasks of TYPE at the same time; may be repeated."),
    click.option("--max-tasks", type=click.IntRange(1), metavar="N",
                 help="Begin anew after N tasks: the handler's process, or (threads) the worker, which ends with "
                      "code 5."),
    click.option("--max-memory", type=SIZE, metavar="SIZE", help="The same when it has grown over SIZE: 512M, 2G."),
    click.option("--grace", type=SPAN, metavar="SPAN",
                 help="How long a handler may go on after a stop or a cancel (2.5s)."),
)
