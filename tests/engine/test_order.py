"""Tuples in order while others come and go, against a list that is sorted anew each time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskspool.engine import order
from taskspool.engine.order import Order

NUMBERS = st.integers(0, 30)


@given(st.sets(NUMBERS), st.lists(NUMBERS, max_size=60))
def test_every_place_is_that_in_a_sorted_list(first: set[int], toggled: list[int]) -> None:
    """After each item that comes or goes, in buckets of two, every item knows how many stand before it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order, "BUCKET", 2)
        present = {(number,) for number in first}
        kept: Order[tuple[int]] = Order(present)
        for number in toggled:
            item = (number,)
            if item in present:
                present.remove(item)
                kept.remove(item)
            else:
                present.add(item)
                kept.add(item)
            assert [kept.before(each) for each in sorted(present)] == [*range(len(present))]
