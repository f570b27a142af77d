"""Hooks: called in order, beside the handler, and without a say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from taskspool import on_cancel, on_failure, on_retry, on_start, on_success
from taskspool.engine.lifecycle import Queue
from taskspool.errors import RefusedToStart
from taskspool.worker.handlers import Handlers, Retry, Snooze, load_handlers
from taskspool.worker.hooks import Hooks, hooks_among
from waiting import eventually
from worker.at_work import at_work, put, result, source_of

MARKS = (on_start, on_success, on_retry, on_failure, on_cancel)


def listener(told: list[tuple[str, str, object]], mark: Any, name: str) -> Any:
    """A hook that writes down what it is told, and then raises if its name says so."""
    def hook(context: Any, end: object) -> None:
        told.append((name, context.type, end))
        if name.startswith("broken"):
            raise SystemExit(name)

    return mark(hook)


def handlers_for_each_end(told: list[tuple[str, str, object]]) -> dict[str, Any]:
    def flaky(_data: object, context: Any) -> int:
        if context.attempt == 1:
            raise Retry(0.0, "not yet")
        return 2

    def snoozing(_data: object) -> int:
        if not [each for each in told if each[1:] == ("snoozing", "busy")]:
            raise Snooze(0.01, "busy")
        return 3

    def failing(_data: object) -> None:
        raise ValueError("no")

    def obedient(_data: object, context: Any) -> None:
        context.wait(60)

    return {"flaky": flaky, "snoozing": snoozing, "failing": failing, "obedient": obedient}


def test_each_end_calls_its_hooks_in_order(queue: Queue, root: Path) -> None:
    """Before the handler on_start, after the end the hooks of its fate, each with how it ended; twice marked, twice
    called; one that breaks does not hold up the next."""
    told: list[tuple[str, str, object]] = []
    hooks = [listener(told, mark, f"{kind} {mark.__name__}") for mark in MARKS for kind in ("broken", "sound")]
    handlers = Handlers(handlers_for_each_end(told), Hooks(hooks_among(hooks)))
    with source_of("folder", queue, root) as source, at_work(source, handlers):
        result(queue, put(queue, "flaky", max_retries=1))
        result(queue, put(queue, "snoozing"))
        result(queue, put(queue, "failing"))
        task_id = put(queue, "obedient")
        eventually(lambda: told[-1] == ("sound on_start", "obedient", None), 20, "it runs")
        queue.cancel(task_id)
        result(queue, task_id)
    assert told == [(f"{kind} {name}", of, end) for name, of, end in [
        ("on_start", "flaky", None), ("on_retry", "flaky", "not yet"),
        ("on_start", "flaky", None), ("on_success", "flaky", 2),
        ("on_start", "snoozing", None), ("on_retry", "snoozing", "busy"),
        ("on_start", "snoozing", None), ("on_success", "snoozing", 3),
        ("on_start", "failing", None), ("on_failure", "failing", "ValueError: no"),
        ("on_start", "obedient", None), ("on_cancel", "obedient", "cancelled"),
    ] for kind in ("broken", "sound")]


def test_hooks_are_found_beside_handlers(tmp_path: Path) -> None:
    """Those of all modules, in the order in which they stand; a module with nothing but hooks is one too."""
    (tmp_path / "hooks_alone.py").write_text(
        "from taskspool import on_start, on_failure\n@on_start\n@on_failure\ndef tell(context): pass\n"
        "@on_failure\ndef tell_more(context, end): pass\n", encoding="utf-8")
    found = load_handlers([str(tmp_path / "hooks_alone.py")]).hooks.all
    assert [(hook.name, hook.function.__name__, hook.wants_end) for hook in found] == [
        ("on_start", "tell", False), ("on_failure", "tell", False), ("on_failure", "tell_more", True)]


def test_a_hook_that_cannot_be_called_refuses_the_start() -> None:
    """Like a handler."""
    with pytest.raises(RefusedToStart, match="cannot be called with"):
        hooks_among([on_start(lambda: None)])
