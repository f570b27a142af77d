"""``taskspool work --exec --type T -- CMD ARG...``: any program as the handler of tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from taskspool.worker.handlers import Handlers

Command = Callable[..., int]


@dataclass(frozen=True, slots=True)
class Exec:
    """What was said on the command line of a program to run. Without ``--exec`` nothing of the rest may be there."""

    is_asked: bool
    types: Sequence[str]
    has_directives: bool
    command: Sequence[str]


def exec_options(command: Command) -> Command:
    """``--exec``, ``--type``, ``--no-directives`` and CMD, as one argument ``program`` of ``command``."""
    @wraps(command)
    def wrapped(*, is_exec: bool, types: tuple[str, ...], no_directives: bool, cmd: tuple[str, ...],
                **rest: Any) -> int:
        return command(program=Exec(is_exec, types, not no_directives, cmd), **rest)

    for option in (
        click.argument("cmd", nargs=-1, type=click.UNPROCESSED, metavar="[-- CMD [ARG]...]"),
        click.option("--no-directives", is_flag=True, help="With --exec: ::progress and ::checkpoint are lines like "
                                                           "others."),
        click.option("--type", "types", multiple=True, metavar="TYPE", help="With --exec: a type CMD is for; may be "
                                                                            "repeated."),
        click.option("--exec", "is_exec", is_flag=True, help="Run CMD for each task: the task on stdin, the result on "
                                                             "stdout."),
    ):
        wrapped = option(wrapped)
    return wrapped


@contextmanager
def handlers_of(program: Exec, modules: Sequence[str], *, builtin: bool, grace_seconds: float,
                max_result_bytes: int) -> Iterator[Handlers]:
    """The handlers a worker was told to use: those of modules, or the program. Raises RefusedToStart, UsageError."""
    from taskspool.worker.handlers import Handlers, load_handlers

    _check(program, modules)
    if not program.is_asked:
        yield load_handlers(modules, builtin=builtin)
        return
    from taskspool.engine.task import check_name
    from taskspool.worker.guard import Guard
    from taskspool.worker.program import Program, found

    types = [check_name("type", each) for each in program.types]
    command = [found(program.command[0]), *program.command[1:]]
    guard = Guard(grace_seconds)
    try:
        handler = Program(command, guard, grace_seconds=grace_seconds, has_directives=program.has_directives,
                          max_result_bytes=max_result_bytes).run
        yield Handlers(dict.fromkeys(types, handler))
    finally:
        guard.close()


def _check(program: Exec, modules: Sequence[str]) -> None:
    if not program.is_asked:
        if program.command:
            raise click.UsageError(f"{program.command[0]!r}: a program is given with --exec --type TYPE -- CMD")
        if program.types or not program.has_directives:
            raise click.UsageError("--type and --no-directives go with --exec")
    elif modules:
        raise click.UsageError("--exec and --handlers exclude each other: start a worker for each")
    elif not program.command:
        raise click.UsageError("--exec needs a program: --exec --type TYPE -- CMD")
    elif not program.types:
        raise click.UsageError("--exec needs to know the types CMD is for: --type TYPE")
