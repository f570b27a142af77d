"""``taskspool cancel``, ``retry``, ``pause``, ``resume``: what people do to tasks, and to the queue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from taskspool.cli.codes import ExitCode, code_of
from taskspool.cli.look import show_pauses, show_tasks
from taskspool.cli.options import folder_options, json_option, url_option
from taskspool.cli.place import MOST, Chosen, Place, Wanted, filter_of, place
from taskspool.cli.printing import echo_json, safe
from taskspool.cli.times import SPAN
from taskspool.engine.task import State
from taskspool.errors import InvalidRequest, ServerUnreachable, StoreUnavailable, TaskspoolError
from taskspool.shapes import Shape

Command = TypeVar("Command", bound=Callable[..., Any])


def who_options(command: Command) -> Command:
    """``--by`` and ``--reason``: they stand in the history of what was done."""
    by = click.option("--by", default="cli", metavar="NAME", help="Who wants it (cli).")
    reason = click.option("--reason", metavar="TEXT", help="Why; it is kept in the history.")
    return by(reason(command))


def many_options(*states: State) -> Callable[[Command], Command]:
    """Which tasks, where they are not named one by one."""
    def decorate(command: Command) -> Command:
        options = (
            click.option("--state", "states", multiple=True, type=click.Choice([each.value for each in states]),
                         help="All in this state; may be repeated."),
            click.option("--type", "types", multiple=True, metavar="TYPE", help="All of this type; may be repeated."),
            click.option("--group", metavar="NAME", help="All of this group."),
            click.option("--older-than", type=SPAN, metavar="SPAN", help="Only what is older: 90, 5m, 1h30m, 2d."),
            click.option("--all", "is_all", is_flag=True, help="All of them."),
            click.option("--limit", type=click.IntRange(1, MOST), default=MOST, metavar="N",
                         help=f"At most so many at once ({MOST})."),
            click.option("--dry-run", is_flag=True, help="Show which, and leave them as they are."),
        )
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@click.command()
@click.argument("task_ids", nargs=-1, metavar="[ID]...")
@many_options(State.SCHEDULED, State.READY, State.CLAIMED)
@who_options
@url_option
@folder_options
@json_option
def cancel(task_ids: tuple[str, ...], by: str, reason: str | None, url: str | None, root: Path | None,
           queue: str | None, as_json: bool, **chosen: Any) -> int:
    """Cancel tasks: those named by ID, or all that fit.

    What waits ends at once. What runs ends as soon as its worker, who is told, lets go: "cancelling" until then.

    Exit code 1: one of those named is finished already, or there is no such task.
    """
    unfinished = (State.SCHEDULED, State.READY, State.CLAIMED)
    with place(url, root, queue) as asked:
        if task_ids:
            _refuse_both(task_ids, chosen)
            return _each("cancel", asked.cancel, task_ids, by, reason, as_json)
        return _many("cancel", asked, chosen, unfinished, by, reason, as_json)


@click.command()
@click.argument("task_ids", nargs=-1, metavar="[ID]...")
@many_options(State.DEAD, State.CANCELLED)
@who_options
@url_option
@folder_options
@json_option
def retry(task_ids: tuple[str, ...], by: str, reason: str | None, url: str | None, root: Path | None,
          queue: str | None, as_json: bool, **chosen: Any) -> int:
    """Let tasks wait again that are dead or cancelled: those named by ID, or all that fit.

    They have all their attempts before them again; their history and checkpoint stay. Without --state, the dead ones.
    """
    with place(url, root, queue) as asked:
        if task_ids:
            _refuse_both(task_ids, chosen)
            return _each("retry", asked.retry, task_ids, by, reason, as_json)
        return _many("retry", asked, chosen, (State.DEAD,), by, reason, as_json)


# -- named one by one ------------------------------------------------------------------------------------------------


def _each(verb: str, act: Callable[[str, str, str | None], Shape], task_ids: Sequence[str], by: str,
          reason: str | None, as_json: bool) -> int:
    """All of them, also when one cannot be done; the exit code is the first failure's."""
    done: list[Shape] = []
    failed: list[Shape] = []
    code = ExitCode.OK
    for task_id in dict.fromkeys(task_ids):
        try:
            answer = act(task_id, by, reason)
        except (ServerUnreachable, StoreUnavailable):
            raise
        except TaskspoolError as error:
            failed.append({"task_id": task_id, "code": error.code, "message": error.message})
            code = code or code_of(error)
            if not as_json:
                click.echo(f"error: {safe(error.message)} ({error.code})", err=True)
            continue
        done.append({"task_id": task_id, "state": answer["state"]})
        if not as_json:
            click.echo(f"{_outcome(verb, answer)}  {safe(task_id)}")
    if as_json:
        echo_json({"done": done, "failed": failed})
    return code


def _outcome(verb: str, answer: Shape) -> str:
    if verb == "retry":
        return click.style("waits again", fg="blue")
    return click.style("cancelling", fg="yellow") if answer.get("cancel_requested") and \
        answer["state"] != State.CANCELLED else click.style("cancelled", fg="magenta")


def _refuse_both(task_ids: Sequence[str], chosen: dict[str, Any]) -> None:
    named = [name for name in ("states", "types", "group", "older_than", "is_all", "dry_run") if chosen[name]]
    if named:
        raise InvalidRequest(f"give IDs, or say which by {_option(named[0])}, not both", field=named[0],
                             rule="one of the two", task_id=task_ids[0])


def _option(name: str) -> str:
    return {"states": "--state", "types": "--type", "is_all": "--all"}.get(name, f"--{name.replace('_', '-')}")


# -- all that fit ----------------------------------------------------------------------------------------------------


def _many(verb: str, asked: Place, given: dict[str, Any], states: Sequence[State], by: str, reason: str | None,
          as_json: bool) -> int:
    if not (given["is_all"] or given["states"] or given["types"] or given["group"] or given["older_than"]):
        raise InvalidRequest("say which tasks: IDs, --state, --type, --group, --older-than, or --all", field="all",
                             rule="IDs, a filter, or --all")
    wanted = frozenset(map(State, given["states"])) or frozenset(states)
    chosen = Chosen(wanted, frozenset(given["types"]) or None, given["group"], given["older_than"], given["limit"])
    if given["dry_run"]:
        found = asked.tasks(Wanted(filter_of(chosen), "created_at", chosen.limit))
        if as_json:
            echo_json({"task_ids": [task["id"] for task in found.tasks], "total": found.total})
        else:
            click.echo(f"would {verb} {len(found.tasks)}")
            show_tasks([found])
        return ExitCode.OK
    answer = asked.many(verb, chosen, by, reason)
    if as_json:
        echo_json(answer)
    else:
        word = {"cancel": "cancelled, or told their workers to stop", "retry": "let wait again"}[verb]
        click.echo(f"{answer['count']} {word}")
        if answer["count"] == chosen.limit:
            click.echo("there may be more: the same again goes on", err=True)
    return ExitCode.OK


# -- the queue -------------------------------------------------------------------------------------------------------


@click.command()
@click.argument("types", nargs=-1, metavar="[TYPE]...")
@who_options
@url_option
@folder_options
@json_option
def pause(types: tuple[str, ...], by: str, reason: str | None, url: str | None, root: Path | None, queue: str | None,
          as_json: bool) -> int:
    """Hand nothing out: no tasks of TYPE, or without TYPE no tasks at all.

    What runs goes on, and tasks are still accepted. It lasts until "resume", over restarts.
    """
    with place(url, root, queue) as asked:
        return _show_queue(asked.pause(list(types) or None, by, reason), as_json)


@click.command()
@click.argument("types", nargs=-1, metavar="[TYPE]...")
@url_option
@folder_options
@json_option
def resume(types: tuple[str, ...], url: str | None, root: Path | None, queue: str | None, as_json: bool) -> int:
    """End the pause of TYPE, or without TYPE that of the queue as a whole.

    A type that was paused by name stays so until it is named.
    """
    with place(url, root, queue) as asked:
        return _show_queue(asked.resume(list(types) or None), as_json)


def _show_queue(overview: Shape, as_json: bool) -> int:
    if as_json:
        echo_json(overview)
        return ExitCode.OK
    show_pauses(overview)
    if not overview["paused"] and not overview["paused_types"]:
        click.echo("everything is handed out")
    return ExitCode.OK
