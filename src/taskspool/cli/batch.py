"""``taskspool batch``: tasks that are handed over together, and looked at together."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import click

from taskspool.cli.codes import ExitCode
from taskspool.cli.options import connected, folder_options, json_option, opened, url_option
from taskspool.cli.place import Place, place
from taskspool.cli.printing import COLOURS, age_text, echo_json, safe, table
from taskspool.cli.put import object_of
from taskspool.cli.results import wait_text
from taskspool.cli.wishes import new_of
from taskspool.clock import SystemClock, from_text
from taskspool.engine.task import NewTask, State
from taskspool.errors import InvalidRequest
from taskspool.shapes import Shape, batch_json

LONGEST_NAP_SECONDS = 0.5


@click.group()
def batch() -> None:
    """Hand tasks over as a set, all or none, and see how far the set is."""


@batch.command("put")
@click.argument("file", type=click.File(encoding="utf-8-sig"), metavar="FILE")
@click.option("--name", metavar="NAME", help="For people; need not be unique.")
@click.option("--key", metavar="KEY", help="Idempotency key: the same KEY again is the same batch again.")
@url_option
@folder_options
@json_option
def batch_put(file: IO[str], name: str | None, key: str | None, url: str | None, root: Path | None,
              queue: str | None, as_json: bool) -> int:
    """Hand over the tasks in FILE (- is stdin), all of them or none, and print the id of the batch.

    FILE has a task a line, or is a JSON array of them; a task is what POST /api/tasks takes:

    \b
    {"type": "calculation", "data": {"numbers": [1, 2]}, "priority": "high", "max_retries": 2}
    """
    news = read_tasks(file.read())
    if url is not None:
        with connected(url) as client:
            made = client.submit_batch(news, name=name, idempotency_key=key)
    else:
        with opened(root, queue, must_exist=False) as folder:
            made = batch_json(folder.enqueue_batch(news, name=name, key=key))
    if as_json:
        echo_json(made)
    else:
        click.echo(made["batch_id"])
    return ExitCode.OK


@batch.command("show")
@click.argument("batch_id", metavar="ID")
@click.option("--wait", "wait_seconds", is_flag=False, flag_value="30", metavar="[SECONDS]",
              help="Wait until all of it is finished (30 s).")
@url_option
@folder_options
@json_option
def batch_show(batch_id: str, wait_seconds: str | None, url: str | None, root: Path | None, queue: str | None,
               as_json: bool) -> int:
    """Show how far a batch is.

    Exit code 1: there is no such batch, or it is finished and a task of it is dead; 4: not finished within --wait.
    """
    seconds = None if wait_seconds is None else wait_text(wait_seconds)
    with place(url, root, queue) as asked:
        found = _finished(asked, batch_id, seconds or 0.0)
    if as_json:
        echo_json(found)
    else:
        _show(found)
    if found["is_finished"]:
        return ExitCode.FAILED if found["counts"][State.DEAD] else ExitCode.OK
    return ExitCode.OK if seconds is None else ExitCode.PENDING


@batch.command("ls")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, metavar="N")
@url_option
@folder_options
@json_option
def batch_ls(limit: int, url: str | None, root: Path | None, queue: str | None, as_json: bool) -> int:
    """List the batches, newest first."""
    with place(url, root, queue) as asked:
        found = asked.batches(limit)
    if as_json:
        echo_json({"batches": found})
        return ExitCode.OK
    now = SystemClock().now()
    rows = [(safe(one["batch_id"]), safe(one["name"] or "-"), age_text(from_text(one["created_at"]), now),
             _share(one), _state(one)) for one in found]
    click.echo(table(("ID", "NAME", "AGE", "FINISHED", "STATE"), rows) if rows else "no batches")
    return ExitCode.OK


# -- reading ---------------------------------------------------------------------------------------------------------


def read_tasks(text: str) -> Sequence[NewTask]:
    """The tasks of a file. Raises InvalidRequest naming the first that is none."""
    if text.lstrip().startswith("["):
        try:
            bodies = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidRequest(f"the file is not JSON: {error}", field="tasks", rule="a JSON array") from None
        return [new_of(_checked(body, f"task {number}"), f"task {number}") for number, body in enumerate(bodies, 1)]
    lines = [(f"line {number}", line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    return [new_of(object_of(line, where), where) for where, line in lines]


def _checked(body: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(body, dict):
        raise InvalidRequest(f"{where} must be a JSON object", field="tasks", rule="objects")
    return body


# -- showing ---------------------------------------------------------------------------------------------------------


def _finished(asked: Place, batch_id: str, seconds: float) -> Shape:
    """The batch as soon as it is finished, or as it is after ``seconds``."""
    ends_at, nap = time.monotonic() + seconds, 0.02
    while True:
        found = asked.batch(batch_id)
        left = ends_at - time.monotonic()
        if found["is_finished"] or left <= 0:
            return found
        threading.Event().wait(min(nap, left))
        nap = min(LONGEST_NAP_SECONDS, nap * 1.5)


def _show(found: Shape) -> None:
    created = age_text(from_text(found["created_at"]), SystemClock().now())
    click.echo(f"{click.style('batch', bold=True)}  {safe(found['batch_id'])}  {safe(found['name'] or '')}".rstrip())
    click.echo(f"created {created} ago, {_share(found)} finished: {_state(found)}")
    told = [(state, found["counts"][state.value]) for state in State if found["counts"][state.value]]
    for state, number in told:
        click.echo(f"  {click.style(f'{state.value:<10}', fg=COLOURS[state])} {number}")
    if found["missing"]:
        click.echo(f"  {'pruned':<10} {found['missing']}")


def _share(found: Shape) -> str:
    unfinished = sum(found["counts"][state.value] for state in State if not state.is_final)
    return f"{found['count'] - unfinished} of {found['count']}"


def _state(found: Shape) -> str:
    if not found["is_finished"]:
        return click.style("at work", fg=COLOURS[State.CLAIMED])
    dead = found["counts"][State.DEAD.value]
    return click.style(f"finished, {dead} dead", fg=COLOURS[State.DEAD]) if dead else \
        click.style("finished", fg=COLOURS[State.DONE])
