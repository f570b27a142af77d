"""The line of waiting tasks against a naive model: a sorted list."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from taskspool.engine.ready import Entry, ReadyLine
from taskspool.engine.task import Priority

entries = st.builds(Entry, st.sampled_from([-int(level) for level in Priority]), st.integers(0, 5).map(float),
                    st.integers(0, 12).map(str), st.sampled_from("abc"))
types = st.none() | st.lists(st.sampled_from("abcd"), max_size=3)


class LineModel(RuleBasedStateMachine):
    """Whatever is done to it, the line answers as a list that is sorted at every question would."""

    def __init__(self) -> None:
        super().__init__()
        self.line = ReadyLine()
        self.model: dict[str, Entry] = {}

    def wanted(self, kinds: list[str] | None) -> list[Entry]:
        return sorted(entry for entry in self.model.values() if kinds is None or entry.type in kinds)

    @rule(entry=entries)
    def add(self, entry: Entry) -> None:
        assert self.line.add(entry) is (self.model.get(entry.task_id) != entry)
        self.model[entry.task_id] = entry

    @rule(task_id=st.integers(0, 12).map(str))
    def discard(self, task_id: str) -> None:
        assert self.line.discard(task_id) is (self.model.pop(task_id, None) is not None)

    @rule(kinds=types)
    def pop(self, kinds: list[str] | None) -> None:
        expected = next(iter(self.wanted(kinds)), None)
        assert self.line.head(kinds) == expected
        assert self.line.pop(kinds) == expected
        if expected is not None:
            del self.model[expected.task_id]

    @rule(kinds=types, limit=st.integers(0, 20))
    def first(self, kinds: list[str] | None, limit: int) -> None:
        assert self.line.first(kinds, limit) == self.wanted(kinds)[:limit]

    @invariant()
    def agrees(self) -> None:
        ordered = self.wanted(None)
        assert len(self.line) == len(ordered)
        assert self.line.ids() == set(self.model)
        assert all(task_id in self.line for task_id in self.model)
        assert [self.line.position(entry.task_id) for entry in ordered] == list(range(1, len(ordered) + 1))
        assert self.line.position("nobody") is None
        for level in Priority:
            assert self.line.sizes()[level] == sum(entry.rank == -int(level) for entry in ordered)


LineModel.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestTheLine = LineModel.TestCase


@given(st.lists(entries, max_size=40, unique_by=lambda entry: entry.task_id))
def test_popping_all_is_sorting(some: list[Entry]) -> None:
    """Strict priority, then arrival, then id."""
    line = ReadyLine()
    for entry in some:
        line.add(entry)
    assert [line.pop(None) for _ in some] == sorted(some)


@pytest.mark.parametrize("kinds", [None, ["b"]])
def test_the_line_does_not_grow_with_what_has_passed_through(kinds: list[str] | None) -> None:
    """One task that nobody takes, and thousands that come and go beside it, leave thousands of nothing behind."""
    line = ReadyLine()
    line.add(Entry(0, 1e12, "stuck", "a"))
    for number in range(5_000):
        line.add(Entry(0, float(number), str(number), "b"))
        assert line.pop(kinds) is not None
    held = len(line._all) + sum(map(len, line._by_type.values()))
    assert held < 500
