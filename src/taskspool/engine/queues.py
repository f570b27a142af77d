"""The queues below one root: which there are, and what lies in each, counted as ``ls`` would; nothing is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from taskspool.engine import files
from taskspool.engine.layout import FOLDER_OF, id_of, parse_claim
from taskspool.engine.task import State
from taskspool.errors import InvalidRequest
from taskspool.settings import Settings, check


@dataclass(frozen=True, slots=True)
class QueueFolder:
    """A queue by name, with the number of files in the folder of each state."""

    name: str
    counts: Mapping[State, int]


def names_below(settings: Settings) -> list[str]:
    """The queues below ``settings.root``, by name: a folder with ``tasks/`` and ``results/`` in it is one."""
    root = str(settings.root.absolute())
    return sorted(name for name in files.names(root) if _is_name(settings, name)
                  and {"tasks", "results"} <= set(files.names(f"{root}/{name}")))


def queues_below(settings: Settings) -> list[QueueFolder]:
    """The same, with what lies in them: a photograph of a place where others work."""
    root = str(settings.root.absolute())
    return [QueueFolder(name, {state: _count(f"{root}/{name}", state) for state in State})
            for name in names_below(settings)]


def _is_name(settings: Settings, name: str) -> bool:
    try:
        check(replace(settings, queue=name))
    except InvalidRequest:
        return False
    return True


def _count(folder: str, state: State) -> int:
    path = f"{folder}/{FOLDER_OF[state]}"
    if state is not State.CLAIMED:
        return sum(id_of(name) is not None for name in files.names(path))
    return sum(parse_claim(worker, name) is not None for worker in files.names(path)
               for name in files.names(f"{path}/{worker}"))
