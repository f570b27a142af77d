"""What is to be changed of a task that is not finished, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from taskspool.engine.options import PLAIN, Options, check_options
from taskspool.engine.task import Priority, Progress, Step, Task
from taskspool.errors import InvalidRequest

MAX_MESSAGE_CHARS = 1000
FIXED = frozenset({"unique_key", "batch_id", "parent"})
"""Options that other records name the task by: they stand as they were submitted."""
OPEN = tuple(field.name for field in fields(Options) if field.name not in FIXED)


@dataclass(frozen=True, slots=True)
class Revision:
    """None stays as it was. ``options`` are fields of Options by name."""

    priority: Priority | None = None
    percent: float | None = None
    message: str | None = None
    options: Mapping[str, Any] | None = None
    max_retries: int | None = None

    @classmethod
    def checked(cls, priority: Priority | None, percent: float | None, message: str | None,
                options: Mapping[str, Any] | None, max_retries: int | None) -> Revision:
        """Raises InvalidRequest naming the field and the rule."""
        if percent is not None:
            check_percent(percent)
        if max_retries is not None:
            check_retries(max_retries)
        for name in options or ():
            if name not in OPEN:
                rule = "|".join(OPEN)
                raise InvalidRequest(f"options: {name} cannot be changed", field=f"options.{name}", rule=rule)
        if options is not None:
            check_options(replace(PLAIN, **options))
        return cls(priority, percent, None if message is None else message[:MAX_MESSAGE_CHARS], options, max_retries)

    def of(self, task: Task, step: Step) -> Task:
        """``task`` as it is from ``step`` on, which its history keeps, unless only its progress is told."""
        if self.percent is not None or self.message is not None:
            task = replace(task, progress=self._progress(task.progress, step))
        changed = task
        if self.priority is not None:
            changed = replace(changed, priority=Priority(self.priority))
        if self.max_retries is not None:
            changed = replace(changed, max_retries=self.max_retries)
        if self.options:
            options = replace(task.options, **self.options)
            changed = replace(changed, options=PLAIN if options == PLAIN else options)
        if changed == task:
            return task
        return replace(changed, history=(*task.history, replace(step, reason=_words(task, changed))))

    def _progress(self, told: Progress | None, step: Step) -> Progress:
        """A percentage alone keeps the message, and the other way round."""
        percent = self.percent if self.percent is not None or told is None else told.percent
        message = self.message if self.message is not None or told is None else told.message
        return Progress(percent, message, step.at, step.worker)


def check_percent(percent: float) -> None:
    if not 0 <= percent <= 100:
        raise InvalidRequest("progress must lie in 0..100", field="progress", rule="0..100")


def check_retries(max_retries: int) -> None:
    if type(max_retries) is not int or not 0 <= max_retries <= 1000:
        raise InvalidRequest("max_retries must be a whole number in 0..1000", field="max_retries", rule="0..1000")


def _words(old: Task, new: Task) -> str:
    """What changed, for people who read its history."""
    told = []
    if old.priority is not new.priority:
        told.append(f"priority {old.priority.word} to {new.priority.word}")
    if old.max_retries != new.max_retries:
        told.append(f"retries {old.max_retries} to {new.max_retries}")
    told += [name for name in OPEN if getattr(old.options, name) != getattr(new.options, name)]
    return ", ".join(told)
