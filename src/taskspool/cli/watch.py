"""``taskspool watch``: a live view of a queue in the terminal."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from taskspool.cli.codes import ExitCode
from taskspool.cli.look import counts_line
from taskspool.cli.options import folder_options, url_option
from taskspool.cli.place import Place, Wanted, place
from taskspool.cli.printing import age_text, safe, shown_width, state_text, table
from taskspool.cli.times import SPAN
from taskspool.cli.workers import COLOURS, told_state
from taskspool.clock import SystemClock, from_text
from taskspool.engine.index_query import Filter
from taskspool.engine.task import State
from taskspool.errors import ServerUnreachable, StoreUnavailable, TaskspoolError
from taskspool.shapes import Shape

SHORTEST_SECONDS = 0.2
MAX_WORKERS = 8
MAX_RUNNING = 8
MAX_ENDED = 5
MAX_CELL_CHARS = 20
BAR_CHARS = 10
HOME, TO_LINE_END, TO_SCREEN_END = "\033[H", "\033[K", "\033[J"
ENDED = frozenset(state for state in State if state.is_final)


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen of the queue at one look. ``ended`` None: that cannot be told this moment."""

    overview: Shape
    workers: Sequence[Shape]
    running: Sequence[Shape]
    ended: Sequence[Shape] | None


@click.command()
@click.option("--once", is_flag=True, help="Show it once and end.")
@click.option("--interval", type=SPAN, default=1.0, metavar="SPAN", help="How often it is looked at (1).")
@url_option
@folder_options
def watch(once: bool, interval: float, url: str | None, root: Path | None, queue: str | None) -> int:
    """Watch the queue: counts, workers, what runs and how far it is, what ended last. Until Ctrl-C.

    On a terminal it is drawn in place; elsewhere each look is printed below the one before.
    """
    is_drawn = sys.stdout.isatty() and not once
    try:
        with place(url, root, queue) as asked:
            for number, lines in enumerate(_frames(asked, once=once, interval=max(SHORTEST_SECONDS, interval))):
                _draw(lines, is_first=number == 0) if is_drawn else _print(lines, is_first=number == 0)
    except KeyboardInterrupt:
        if is_drawn:
            click.echo()
    return ExitCode.OK


def _frames(asked: Place, *, once: bool, interval: float) -> Iterator[list[str]]:
    """The lines of one look after the other. A queue that cannot be reached for a while is waited for."""
    pause, clock = threading.Event(), SystemClock()
    lines: list[str] = []
    while True:
        try:
            lines = frame(look(asked), clock.now(), *shutil.get_terminal_size())
            yield lines
        except (ServerUnreachable, StoreUnavailable) as error:
            if once or not lines:
                raise
            yield [*lines, "", cut(click.style(f"{safe(error.message)}; trying again", fg="red"), 80)]
        if once:
            return
        pause.wait(interval)


def look(asked: Place) -> Sight:
    """One look at everything that is shown."""
    overview, workers = asked.overview(), asked.workers()
    running = asked.tasks(Wanted(Filter(frozenset({State.CLAIMED})), limit=MAX_RUNNING)).tasks
    try:
        ended: Sequence[Shape] | None = asked.tasks(Wanted(Filter(ENDED), "-finished_at", MAX_ENDED)).tasks
    except ServerUnreachable:
        raise
    except TaskspoolError:  # they come from the index, which may be in the making; the rest does not
        ended = None
    return Sight(overview, workers, running, ended)


def frame(sight: Sight, now: datetime, columns: int, rows: int) -> list[str]:
    """What is shown, in lines that fit ``columns``, at most ``rows`` - 1 of them."""
    counts = sight.overview["counts"]
    lines = [click.style(f"taskspool  {now:%Y-%m-%d %H:%M:%S} UTC", bold=True),
             counts_line({state.value: counts[state.value] for state in State})]
    if sight.overview["paused"] or sight.overview["paused_types"]:
        what = "the queue" if sight.overview["paused"] else ", ".join(sorted(sight.overview["paused_types"]))
        lines.append(click.style(f"paused: {safe(what)}", fg="yellow"))
    alive = [info for info in sight.workers if info["is_alive"]]
    lines += ["", click.style(f"workers: {len(alive)} alive, {len(sight.workers) - len(alive)} gone", bold=True)]
    if alive:
        lines += table(("NAME", "KIND", "STATE", "RUNNING", "DONE", "FAILED"), map(_worker, alive[:MAX_WORKERS])) \
            .splitlines()
    lines += ["", click.style(f"running: {counts['claimed']}", bold=True)]
    if sight.running:
        lines += table(("TYPE", "AGE", "WORKER", "PROGRESS", "ID"), (_running(task, now) for task in sight.running)) \
            .splitlines()
    lines += ["", click.style("ended last", bold=True)]
    if sight.ended is None:
        lines.append("not known this moment")
    elif sight.ended:
        lines += table(("STATE", "TYPE", "AGO", "WORKER", "ID"), (_ended(task, now) for task in sight.ended)) \
            .splitlines()
    return [cut(line, columns) for line in lines[:max(3, rows - 1)]]


def _worker(info: Mapping[str, Any]) -> Sequence[str]:
    state = told_state(info)
    return (_cell(info["worker_id"]), _cell(info["kind"]), click.style(safe(state), fg=COLOURS.get(state)),
            f"{len(info['running'])}/{info['concurrency']}", str(info["done"]), str(info["failed"]))


def _running(task: Mapping[str, Any], now: datetime) -> Sequence[str]:
    since = from_text(task["updated_at"])
    return (_cell(task["type"]), age_text(since, now), _cell(task.get("assigned_to") or "-"),
            _progress(task.get("progress")), safe(task["id"]))


def _ended(task: Mapping[str, Any], now: datetime) -> Sequence[str]:
    return (state_text(State(task["state"])), _cell(task["type"]), age_text(from_text(task["updated_at"]), now),
            _cell(task.get("assigned_to") or "-"), safe(task["id"]))


def _progress(progress: Mapping[str, Any] | None) -> str:
    """``####......  40 % row 4 of 10``"""
    if progress is None:
        return ""
    percent, message = progress["percent"], safe(progress["message"] or "")[:MAX_CELL_CHARS]
    if percent is None:
        return message
    done = int(percent * BAR_CHARS / 100)
    return f"{'#' * done}{'.' * (BAR_CHARS - done)} {percent:3.0f} % {message}".rstrip()


def _cell(text: str) -> str:
    text = safe(text)
    return text if len(text) <= MAX_CELL_CHARS else f"{text[:MAX_CELL_CHARS - 1]}~"


def cut(line: str, columns: int) -> str:
    """``line`` as far as it fits into so many columns; one that is cut loses its colours."""
    if shown_width(line) <= columns:
        return line
    text = click.unstyle(line)
    while shown_width(text) > columns:
        text = text[:-1]
    return text


def _draw(lines: Sequence[str], *, is_first: bool) -> None:
    """Over what was drawn before; what is shorter now is wiped."""
    is_plain = click.get_current_context().color is False
    start = HOME + (TO_SCREEN_END if is_first else "")
    body = f"{TO_LINE_END}\n".join(click.unstyle(line) if is_plain else line for line in lines)
    click.echo(f"{start}{body}{TO_LINE_END}\n{TO_SCREEN_END}", nl=False, color=True)


def _print(lines: Sequence[str], *, is_first: bool) -> None:
    if not is_first:
        click.echo()
    click.echo("\n".join(line.rstrip() for line in lines))
