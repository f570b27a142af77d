"""How many tasks of a type may run at once in one worker: the types without room are not asked for."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence

from taskspool.errors import InvalidRequest


class Limits:
    """Counts what is in hand by type. Safe for many threads.

    ``most`` is type -> how many, 1 or more; types that are not named have no limit. Raises InvalidRequest for a type
    that is not among ``types``, or for a number below 1.
    """

    def __init__(self, types: Sequence[str], most: Mapping[str, int] | None = None) -> None:
        self.types = types
        self._most = dict(most or {})
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()
        for name, number in self._most.items():
            if name not in types:
                raise InvalidRequest(f"a limit for {name!r}, which this worker does not do", field="limit",
                                     rule=f"one of {', '.join(types)}")
            if number < 1:
                raise InvalidRequest(f"the limit of {name} must be 1 or more", field="limit", rule="1 or more")

    def askable(self, wanted: int) -> tuple[Sequence[str], int]:
        """The types that have room, and how many tasks of them may be asked for at once: whatever comes, fits."""
        if not self._most:
            return self.types, wanted
        with self._lock:
            room = {name: most - self._held[name] for name, most in self._most.items()}
        types = [name for name in self.types if room.get(name, 1) > 0]
        return types, min([wanted, *(room[name] for name in types if name in room)])

    def take(self, type_name: str) -> None:
        if type_name in self._most:
            with self._lock:
                self._held[type_name] += 1

    def put_down(self, type_name: str) -> bool:
        """Whether a type that may have been without room has some again."""
        if type_name not in self._most:
            return False
        with self._lock:
            self._held[type_name] -= 1
        return True
