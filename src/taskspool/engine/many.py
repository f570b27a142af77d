"""One verb for many tasks: all that fit a filter, oldest first, each for itself.

The index names them and the verb decides: a task that has moved on meanwhile is left alone and told in ``refused``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from taskspool.engine.index import MAX_LIMIT, Index
from taskspool.engine.index_query import Filter
from taskspool.engine.task import State
from taskspool.errors import Conflict, InvalidRequest, NotFound


@dataclass(frozen=True, slots=True)
class Many:
    """``ids``: where it was done. ``refused``: id -> code of the error. ``left``: how many more fit the filter."""

    ids: tuple[str, ...]
    refused: Mapping[str, str]
    left: int


def for_each(index: Index, wanted: Filter, legal: Collection[State], verb: Callable[[str], object],
             limit: int) -> Many:
    """``verb`` for up to ``limit`` (1..1000) tasks that fit ``wanted`` and are in one of ``legal`` states.

    Raises InvalidRequest when ``wanted`` asks for a state the verb does not start from.
    """
    asked = frozenset(legal) if wanted.states is None else wanted.states
    if not asked <= frozenset(legal):
        rule = "|".join(sorted(state.value for state in legal))
        raise InvalidRequest(f"state must be one of {rule}", field="state", rule=rule)
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidRequest(f"limit must lie in 1..{MAX_LIMIT}", field="limit", rule=f"1..{MAX_LIMIT}")
    page = index.listing(replace(wanted, states=asked), sort="created_at", limit=limit)
    done, refused = [], {}
    for snapshot in page.items:
        try:
            verb(snapshot.task.id)
        except (Conflict, NotFound) as error:
            refused[snapshot.task.id] = error.code
        else:
            done.append(snapshot.task.id)
    return Many(tuple(done), refused, max(0, page.total - len(page.items)))
