"""``taskspool put``: hand tasks over, to the folder or to the bridge."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from taskspool.cli.codes import ExitCode
from taskspool.cli.options import connected, folder_options, json_option, opened, url_option
from taskspool.cli.printing import echo_json
from taskspool.cli.results import show_result, wait_text
from taskspool.cli.waiting import wait_for_result
from taskspool.cli.wishes import Wishes, wish_options
from taskspool.engine.task import JsonValue, NewTask, Result
from taskspool.errors import InvalidRequest, ResultPending

if TYPE_CHECKING:
    from taskspool.client import Client
    from taskspool.engine.lifecycle import Queue

BATCH = 500
"""Tasks handed over in one step by ``--each``."""


class NewFrom(Protocol):
    def __call__(self, asked: JsonValue) -> NewTask: ...


class Way(Protocol):
    """Where tasks go: the folder or the bridge."""

    def put(self, news: Sequence[NewTask], key: str | None) -> list[str]: ...

    def wait(self, task_id: str, seconds: float) -> Result | None: ...


class FolderWay:
    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def put(self, news: Sequence[NewTask], key: str | None) -> list[str]:
        if len(news) == 1:
            return [self._queue.enqueue(news[0], key=key).task_id]
        return [one.task_id for one in self._queue.enqueue_many(news, key=key)]

    def wait(self, task_id: str, seconds: float) -> Result | None:
        return wait_for_result(self._queue, task_id, seconds)


class BridgeWay:
    def __init__(self, client: Client) -> None:
        self._client = client

    def put(self, news: Sequence[NewTask], key: str | None) -> list[str]:
        if len(news) == 1:
            return [self._client.submit_task(news[0], idempotency_key=key)]
        return self._client.submit_many(news, idempotency_key=key)

    def wait(self, task_id: str, seconds: float) -> Result | None:
        try:
            return self._client.result(task_id, wait=seconds)
        except ResultPending:
            return None


@click.command()
@click.argument("type_", metavar="TYPE")
@click.argument("pairs", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--data", multiple=True, metavar="JSON|@FILE|-|KEY=VALUE",
              help="The task's data: a JSON object, a file with one, - for stdin, or KEY=VALUE; may be repeated.")
@click.option("--each", type=click.File(encoding="utf-8"), metavar="FILE",
              help="One task for every line of FILE (- is stdin): the line is its data.")
@wish_options
@click.option("--key", metavar="KEY", help="Idempotency key: the same KEY again is the same task again.")
@click.option("--wait", "wait_seconds", is_flag=False, flag_value="30", metavar="[SECONDS]",
              help="Wait for the result (30 s) and show it.")
@url_option
@folder_options
@json_option
def put(type_: str, pairs: tuple[str, ...], data: tuple[str, ...], each: Iterator[str] | None, key: str | None,
        wait_seconds: str | None, url: str | None, root: Path | None, queue: str | None, as_json: bool,
        **wishes: Any) -> int:
    """Hand a task over and print its id.

    \b
    taskspool put ping
    taskspool put calculation operation=add numbers=[1,2,3] --wait
    taskspool put data_transform --data @task.json
    seq 1000 | sed 's/.*/{"n": &}/' | taskspool put my_type --each -
    taskspool put report --at 2026-01-31T07:00 --max-retries 3 --timeout 10m

    A VALUE that is JSON is taken as such, anything else as text.
    """
    def new(asked: JsonValue) -> NewTask:
        return wished.new(type_, asked)

    wished = Wishes(**wishes)
    seconds = None if wait_seconds is None else wait_text(wait_seconds)
    if each is not None and (pairs or data or key is not None or seconds is not None):
        raise InvalidRequest("--each goes alone: without KEY=VALUE, --data, --key and --wait", field="each",
                             rule="alone")
    if url is not None:
        with connected(url) as client:
            return _put(BridgeWay(client), new, pairs, data, each, key, seconds, as_json)
    with opened(root, queue, must_exist=False) as folder:
        return _put(FolderWay(folder), new, pairs, data, each, key, seconds, as_json)


def _put(way: Way, new: NewFrom, pairs: Sequence[str], data: Sequence[str], each: Iterator[str] | None, key: str | None,
         seconds: float | None, as_json: bool) -> int:
    if each is not None:
        return _put_each(way, new, each)
    task_id = way.put([new(read_data(data, pairs))], key)[0]
    if seconds is None:
        if as_json:
            echo_json({"task_id": task_id})
        else:
            click.echo(task_id)
        return ExitCode.OK
    result = way.wait(task_id, seconds)
    if result is None:
        raise ResultPending(f"task {task_id} has no result after {seconds:g} s", task_id=task_id,
                            hint=f"ask later: taskspool result {task_id}")
    if not as_json:
        click.echo(task_id, err=True)
    return show_result(result, as_json)


def _put_each(way: Way, new: NewFrom, lines: Iterator[str]) -> int:
    """A task a line, BATCH at a time; what was printed was accepted."""
    full = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    news = [new(object_of(line, f"line {number}")) for number, line in full]
    rest = iter(news)
    is_shown = sys.stderr.isatty() and not sys.stdout.isatty()  # on one terminal the ids themselves show the progress
    with click.progressbar(length=len(news), label="handing over", file=sys.stderr, hidden=not is_shown) as bar:
        while batch := list(islice(rest, BATCH)):
            for task_id in way.put(batch, None):
                click.echo(task_id)
            bar.update(len(batch))
    return ExitCode.OK


def read_data(data: Sequence[str], pairs: Sequence[str]) -> dict[str, JsonValue]:
    """The task's data from each ``--data``, and KEY=VALUE arguments, which win. Raises InvalidRequest."""
    found: dict[str, JsonValue] = {}
    for text in data:
        if not _is_pair(text):
            found |= object_of(_text(text), "--data")
    for pair in (*filter(_is_pair, data), *pairs):
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise InvalidRequest(f"{pair!r} is not KEY=VALUE", field="data", rule="KEY=VALUE")
        found[name] = _value(value)
    return found


def _is_pair(data: str) -> bool:
    """Whether it is KEY=VALUE, and not JSON, a file or stdin."""
    return "=" in data and not data.lstrip().startswith(("{", "[", '"', "@"))


def _text(data: str) -> str:
    """What ``--data`` stands for."""
    try:
        if data == "-":
            with click.open_file("-", encoding="utf-8") as stdin:
                return str(stdin.read())
        return Path(data[1:]).read_text(encoding="utf-8-sig") if data.startswith("@") else data
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"cannot read {data}: {error}", field="data", rule="a readable UTF-8 file") from None


def object_of(text: str, where: str) -> dict[str, JsonValue]:
    try:
        found = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"{where} is not JSON: {error}", field="data", rule="a JSON object",
                             hint="PowerShell and cmd eat quotes: use KEY=VALUE, or @FILE") from None
    if not isinstance(found, dict):
        raise InvalidRequest(f"{where} must be a JSON object, like {{\"key\": 1}}", field="data", rule="a JSON object")
    return found


def _value(text: str) -> JsonValue:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return text


def _no_constant(name: str) -> JsonValue:
    raise ValueError(f"{name} is no JSON")
