"""Tuples in order, and how many stand before one of them, while others come and go.

In buckets: a change moves some hundred places in memory, however many there are, and who asks for a place adds up the
buckets before it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

Item = TypeVar("Item", bound=tuple[Any, ...])

BUCKET = 1_000
"""So many in each at first; one with more than twice as many becomes two."""


class Order(Generic[Item]):
    """No two of them may be equal."""

    def __init__(self, items: Iterable[Item] = ()) -> None:
        ordered = sorted(items)
        self._buckets = [ordered[start:start + BUCKET] for start in range(0, len(ordered), BUCKET)]
        self._lasts = [bucket[-1] for bucket in self._buckets]

    def add(self, item: Item) -> None:
        if not self._buckets:
            self._buckets, self._lasts = [[item]], [item]
            return
        at = min(bisect_left(self._lasts, item), len(self._lasts) - 1)
        bucket = self._buckets[at]
        insort(bucket, item)
        if len(bucket) > 2 * BUCKET:
            self._buckets[at:at + 1] = bucket[:BUCKET], bucket[BUCKET:]
            self._lasts[at:at + 1] = bucket[BUCKET - 1], bucket[-1]
        else:
            self._lasts[at] = bucket[-1]

    def remove(self, item: Item) -> None:
        """``item`` must be one of them."""
        at = bisect_left(self._lasts, item)
        bucket = self._buckets[at]
        del bucket[bisect_left(bucket, item)]
        if bucket:
            self._lasts[at] = bucket[-1]
        else:
            del self._buckets[at], self._lasts[at]

    def before(self, item: Item) -> int:
        """How many stand before ``item``, which is one of them."""
        at = bisect_left(self._lasts, item)
        return sum(map(len, self._buckets[:at])) + bisect_left(self._buckets[at], item)
