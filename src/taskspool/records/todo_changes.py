"""What is done to to-dos and their batches. Each function is part of a transaction that its caller begins and ends.

A to-do is locked before it is looked at, in the order of ids, so that of two changes at once the later one sees what
the earlier one left, and two sets of changes never wait for each other in a circle. What happened is told in the same
transaction (``todo_events``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from taskspool.records import todo_events
from taskspool.records.models.todos import Todo, TodoBatch
from taskspool.records.todo_events import of_batch, of_todo

COMPLETED = "completed"
CHANGEABLE = ("title", "description", "status", "priority", "due_date")
WATCHED = (*CHANGEABLE, "completed_at")
IDS_AT_ONCE = 500
"""How many ids one statement names; the databases bound that."""
_UNSEEN: dict[str, Any] = {"synchronize_session": False}
"""Nobody looks at the objects afterwards."""


class NewTodo(NamedTuple):
    """What a to-do is made of."""

    title: str
    description: str | None
    status: str
    priority: str | None
    due_date: datetime | None


def create_todo(session: Session, new: NewTodo, session_id: UUID | None, now: datetime) -> Todo:
    """A to-do on its own. Born completed it has no ``completed_at``: nobody saw it being completed."""
    todo = _made(new, session_id, None, 0, now)
    session.add(todo)
    todo_events.tell(session, [of_todo(todo_events.TASK_CREATED, todo)], now)
    return todo


def create_batch(session: Session, session_id: UUID | None, reason: str | None, news: Sequence[NewTodo],
                 now: datetime) -> TodoBatch:
    """A batch with its to-dos, in their order, all made at the same instant."""
    batch = TodoBatch(id=uuid4(), session_id=session_id, reason=reason, created_at=now)
    batch.todos = [_made(new, session_id, batch.id, place, now) for place, new in enumerate(news)]
    session.add(batch)
    told = [of_batch(todo_events.BATCH_CREATED, batch, len(news)),
            *(of_todo(todo_events.TASK_CREATED, todo) for todo in batch.todos)]
    todo_events.tell(session, told, now)
    return batch


def _made(new: NewTodo, session_id: UUID | None, batch_id: UUID | None, position: int, now: datetime) -> Todo:
    return Todo(id=uuid4(), session_id=session_id, batch_id=batch_id, position=position, created_at=now,
                updated_at=now, completed_at=None, **new._asdict())


def change_todos(session: Session, changes: Sequence[tuple[UUID, Mapping[str, Any]]], now: datetime) -> list[Todo]:
    """Apply ``changes`` (id, name in ``CHANGEABLE`` -> value) one after the other; the to-dos, in that order.

    Unknown ids are left out. ``completed_at`` is set when a to-do becomes completed and cleared when it is no longer;
    ``updated_at`` moves only if a value is another one in the end (contract todos-8001, 1.2).
    """
    found = _locked(session, {todo_id for todo_id, _ in changes})
    before = {todo_id: _values(todo) for todo_id, todo in found.items()}
    changed_todos = []
    for todo_id, values in changes:
        if todo_id in found:
            _apply(found[todo_id], values, now)
            changed_todos.append(found[todo_id])
    told = []
    for todo_id, todo in found.items():
        changed = [name for name, value in _values(todo).items() if value != before[todo_id][name]]
        if changed:
            todo.updated_at = max(now, todo.updated_at)  # of two that met, the later one began earlier
            told.append(of_todo(todo_events.TASK_UPDATED, todo, changed))
    todo_events.tell(session, told, now)
    return changed_todos


def _values(todo: Todo) -> dict[str, Any]:
    return {name: getattr(todo, name) for name in WATCHED}


def _apply(todo: Todo, values: Mapping[str, Any], now: datetime) -> None:
    status = values.get("status", todo.status)
    if status != todo.status:
        todo.completed_at = now if status == COMPLETED else None
    for name, value in values.items():
        if getattr(todo, name) != value:
            setattr(todo, name, value)


def delete_todos(session: Session, ids: Collection[UUID], now: datetime) -> int:
    """How many of ``ids`` there were. Each goes for good."""
    found = _locked(session, ids)
    told = [of_todo(todo_events.TASK_DELETED, todo) for todo in found.values()]
    _delete(session, found)
    todo_events.tell(session, told, now)
    return len(found)


def delete_batch(session: Session, batch_id: UUID, *, with_todos: bool, now: datetime) -> bool:
    """Whether there was such a batch. Its to-dos go with it, or stay as they are and belong to none."""
    batch = session.scalars(select(TodoBatch).where(TodoBatch.id == batch_id).with_for_update()).one_or_none()
    if batch is None:
        return False
    todos = _locked(session, session.scalars(select(Todo.id).where(Todo.batch_id == batch_id)).all())
    told = [of_batch(todo_events.BATCH_DELETED, batch, len(todos))]
    if with_todos:
        told += [of_todo(todo_events.TASK_DELETED, todo) for todo in todos.values()]
        _delete(session, todos)
    session.execute(update(Todo).where(Todo.batch_id == batch_id).values(batch_id=None).execution_options(**_UNSEEN))
    session.execute(delete(TodoBatch).where(TodoBatch.id == batch_id).execution_options(**_UNSEEN))
    todo_events.tell(session, told, now)
    return True


def _delete(session: Session, ids: Collection[UUID]) -> None:
    for some in _portions(ids):
        session.execute(delete(Todo).where(Todo.id.in_(some)).execution_options(**_UNSEEN))


def _locked(session: Session, ids: Collection[UUID]) -> dict[UUID, Todo]:
    """Those of ``ids`` that there are, each locked until the transaction ends. SQLite locks as a whole before."""
    return {todo.id: todo for some in _portions(sorted(ids, key=str))
            for todo in session.scalars(select(Todo).where(Todo.id.in_(some)).order_by(Todo.id).with_for_update())}


def _portions(ids: Collection[UUID]) -> Iterator[list[UUID]]:
    listed = list(ids)
    for start in range(0, len(listed), IDS_AT_ONCE):
        yield listed[start:start + IDS_AT_ONCE]
