"""Ids by an instant, against a naive model: a dictionary."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from taskspool.engine.times import Times

deeds = st.lists(st.tuples(st.sampled_from(["put", "discard", "due"]), st.integers(0, 6), st.integers(0, 9)),
                 max_size=80)


@given(deeds)
def test_what_is_due_is_told_once_and_earliest_first(some: list[tuple[str, int, int]]) -> None:
    """The last instant given counts; what was discarded is never due."""
    times, model = Times(), dict[str, float]()
    for deed, number, at in some:
        task_id = str(number)
        if deed == "put":
            times.put(task_id, float(at))
            model[task_id] = float(at)
        elif deed == "discard":
            times.discard(task_id)
            model.pop(task_id, None)
        else:
            due = sorted((when, one) for one, when in model.items() if when <= at)
            assert times.due(float(at)) == [one for _, one in due]
            for _, one in due:
                del model[one]
        assert times.ids() == set(model)
        assert all(one in times for one in model)


def test_it_does_not_grow_with_what_is_put_again() -> None:
    """A task that is put off thousands of times is one task."""
    times = Times()
    for number in range(5_000):
        times.put("a", float(number))
    assert len(times._heap) < 200
    assert times.due(1e9) == ["a"]
