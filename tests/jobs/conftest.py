"""What the tests of the managed jobs share: a root of their own, and runs of handlers without a queue."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from taskspool.engine.lifecycle import Failure
from taskspool.engine.options import Options
from taskspool.engine.task import Claim, Lease, Task
from taskspool.worker.calling import Outcome, Success, call_handler, context_of
from taskspool.worker.contact import Contact, Said
from taskspool.worker.handlers import Handlers, load_handlers

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Run = Callable[..., Outcome]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root that jobs find in their environment."""
    folder = tmp_path / "outputs"
    monkeypatch.setenv("TASKSPOOL_ROOT", str(folder))
    monkeypatch.setenv("TASKSPOOL_DURABILITY", "fast")
    return folder


@pytest.fixture(scope="session")
def handlers() -> Handlers:
    return load_handlers(["taskspool.jobs.managed"])


@pytest.fixture
def run(root: Path, handlers: Handlers) -> Run:
    """``run(type, payload)``: one attempt of a task, its number in the id; ``said`` gets what the handler says."""
    def once(task_type: str, payload: Any, *, number: int = 1, kb_id: str | None = "kb", checkpoint: Any = None,
             said: list[Said] | None = None) -> Outcome:
        task = Task(f"00000000-0000-7000-8000-{number:012}", task_type, payload, "test", NOW, checkpoint=checkpoint,
                    options=Options(group=kb_id))
        contact = Contact(lambda each: bool(said.append(each)) if said is not None else False)
        context = context_of(Claim(task, Lease(task.id, "w", 1, "t", 0, NOW)), contact)
        outcome = call_handler(handlers, context, payload)
        contact.tell()
        return outcome

    return once


def given(outcome: Outcome) -> Any:
    """What a successful run gave."""
    assert isinstance(outcome, Success), outcome
    return outcome.data


def refusal(outcome: Outcome) -> str:
    """The message of a run that another attempt would not mend."""
    assert isinstance(outcome, Failure), outcome
    assert not outcome.retryable, outcome
    return outcome.message
