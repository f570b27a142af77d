"""A handler module as a user of the tagged tasks writes one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from taskspool import GiveUp, TaskContext, handler, on_failure, on_retry


@handler("note")
def note(data: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """A line in a file for each run; fails as often as it is told."""
    with Path(data["file"]).open("a", encoding="utf-8") as file:
        file.write(f"{data['name']}\n")
        file.flush()
        os.fsync(file.fileno())
    if context.attempt <= data.get("fails", 0):
        raise ValueError(f"attempt {context.attempt}")
    context.wait(data.get("seconds", 0))
    return {"attempt": context.attempt, "of": context.max_attempts, "type": context.type}


@handler("hopeless")
def hopeless(_data: dict[str, Any]) -> None:
    """Gives up at once."""
    raise GiveUp("never")


@on_retry
def tell_of_retry(context: TaskContext, error: object) -> None:
    _tell("retry", context, error)


@on_failure
def tell_of_failure(context: TaskContext, error: object) -> None:
    _tell("failure", context, error)


def _tell(what: str, context: TaskContext, error: object) -> None:
    """To whom it may concern: the file named in the environment."""
    if "HOOKS_FILE" in os.environ:
        with Path(os.environ["HOOKS_FILE"]).open("a", encoding="utf-8") as file:
            file.write(f"{what} {context.attempt} {error}\n")
