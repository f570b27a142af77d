"""``taskspool workers``: who works here, what each does; be quiet, go on, end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from taskspool.cli.change import who_options
from taskspool.cli.codes import ExitCode
from taskspool.cli.options import folder_options, json_option, url_option
from taskspool.cli.place import place
from taskspool.cli.printing import age_text, echo_json, safe, table
from taskspool.clock import SystemClock, from_text
from taskspool.engine.worker_record import QUIET, RUN, TERMINATE
from taskspool.shapes import Shape

HEADS = ("NAME", "KIND", "STATE", "ALIVE", "RUNNING", "DONE", "FAILED", "SEEN", "TYPES")
COLOURS = {"running": "green", "quiet": "yellow", "stopping": "yellow", "gone": "red"}
MAX_TYPES_CHARS = 40


@click.group(invoke_without_command=True)
@url_option
@folder_options
@json_option
@click.pass_context
def workers(context: click.Context, url: str | None, root: Path | None, queue: str | None, as_json: bool) -> int:
    """List the workers: who is alive, what each does and holds, what it was told.

    RUNNING is how many tasks it holds, of how many at once. A worker that is gone is listed for a day.

    \b
    taskspool workers quiet office-4711 --reason "an update"
    taskspool workers run office-4711
    taskspool workers terminate office-4711
    """
    if context.invoked_subcommand is not None:
        context.obj = (url, root, queue)
        return ExitCode.OK
    with place(url, root, queue) as asked:
        found = asked.workers()
    if as_json:
        echo_json({"count": len(found), "workers": found})
        return ExitCode.OK
    click.echo(workers_text(found, SystemClock().now()))
    for line in notes_of(found):
        click.echo(line, err=True)
    return ExitCode.OK


def _order_command(order: str, told: str, text: str) -> click.Command:
    @click.command(order, help=text)
    @click.argument("name", metavar="NAME")
    @who_options
    @url_option
    @folder_options
    @json_option
    @click.pass_context
    def command(context: click.Context, name: str, by: str, reason: str | None, url: str | None, root: Path | None,
                queue: str | None, as_json: bool) -> int:
        before = context.obj or (None, None, None)
        with place(url or before[0], root or before[1], queue or before[2]) as asked:
            info = asked.order(name, order, by, reason)
        if as_json:
            echo_json(info)
        else:
            click.echo(f"{safe(name)} {told}")
        return ExitCode.OK

    return command


workers.add_command(_order_command(
    QUIET, "is told to take no new tasks", "Have NAME take no new tasks. What it runs goes on, and it stays alive."))
workers.add_command(_order_command(RUN, "may take tasks", "Have NAME, which is quiet, take tasks again."))
workers.add_command(_order_command(
    TERMINATE, "is told to end", "Have NAME end, as with SIGTERM: what does not finish soon is given back."))


# -- as people see it ------------------------------------------------------------------------------------------------


def workers_text(found: Iterable[Shape], now: datetime) -> str:
    """The table; who is alive comes first."""
    rows = [_row(info, now) for info in sorted(found, key=lambda info: (not info["is_alive"], info["worker_id"]))]
    return table(HEADS, rows) if rows else "no worker is known"


def _row(info: Mapping[str, Any], now: datetime) -> Sequence[str]:
    state = told_state(info)
    return (safe(info["worker_id"]), safe(info["kind"]), click.style(safe(state), fg=COLOURS.get(state)),
            "yes" if info["is_alive"] else "no", f"{len(info['running'])}/{info['concurrency']}", str(info["done"]),
            str(info["failed"]), age_text(from_text(info["last_seen_at"]), now), safe(_types_text(info["types"])))


def told_state(info: Mapping[str, Any]) -> str:
    """Its state; or what it was told and has not answered to yet."""
    order = info["order"]
    if order is None or not info["is_alive"]:
        return str(info["state"])
    return {QUIET: "quiet", TERMINATE: "stopping"}[order["order"]]


def _types_text(types: Sequence[str] | None) -> str:
    if types is None:
        return "any"
    text = ", ".join(types) or "-"
    return text if len(text) <= MAX_TYPES_CHARS else f"{text[:MAX_TYPES_CHARS - 3]}..."


def notes_of(found: Iterable[Mapping[str, Any]]) -> list[str]:
    """What somebody should know beside the table: names that two processes use, and who ordered what."""
    told = []
    for info in found:
        order, twin = info["order"], info["twin"]
        if order is not None and info["is_alive"]:
            reason = f": {order['reason']}" if order["reason"] else ""
            told.append(safe(f"{info['worker_id']}: {order['by']} ordered {order['order']}{reason}"))
        if twin is not None:
            others = ", ".join(str(part) for part in (twin["host"], twin["pid"]) if part is not None) or "unknown"
            told.append(safe(f"warning: {info['worker_id']}: another process ({others}) uses this name too; it is not "
                             "listed, and hears no orders. Give each a --name of its own"))
    return told
