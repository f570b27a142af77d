"""``taskspool queues``: which queues there are below one root."""

from __future__ import annotations

from pathlib import Path

import click

from taskspool.cli.codes import ExitCode
from taskspool.cli.options import json_option, root_option
from taskspool.cli.printing import COLOURS, echo_json, safe, table
from taskspool.engine.task import State
from taskspool.errors import NotFound
from taskspool.settings import from_environment


@click.command()
@root_option
@json_option
def queues(root: Path | None, as_json: bool) -> int:
    """List the queues below one root, with what lies in them.

    A folder with tasks/ and results/ in it is a queue; every other command takes its name: --queue NAME.
    """
    from taskspool.engine.queues import queues_below

    settings = from_environment(root=root)
    if not settings.root.is_dir():
        raise NotFound(f"there is no folder {settings.root.absolute()}",
                       hint="say where the queues are: --root DIR, or TASKSPOOL_ROOT")
    found = queues_below(settings)
    if as_json:
        echo_json({"root": str(settings.root.absolute()), "queues": [
            {"name": one.name, "counts": {state.value: one.counts[state] for state in State}} for one in found]})
    elif found:
        rows = [(safe(one.name), *(_number(state, one.counts[state]) for state in State)) for one in found]
        click.echo(table(("QUEUE", *(state.value.upper() for state in State)), rows))
    else:
        click.echo(f"no queue in {safe(str(settings.root.absolute()))}", err=True)
    return ExitCode.OK


def _number(state: State, number: int) -> str:
    return click.style(str(number), fg=COLOURS[state], bold=True) if number else "0"
