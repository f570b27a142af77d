"""The line of waiting tasks against a naive model: a sorted list."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from taskspool.engine import order, ready
from taskspool.engine.ready import Entry, ReadyLine, entry_at
from taskspool.engine.task import Priority

entries = st.builds(entry_at, st.sampled_from([int(level) for level in Priority]), st.integers(0, 5).map(float),
                    st.integers(0, 12).map(str), st.sampled_from("abc"))
types = st.none() | st.lists(st.sampled_from("abcd"), max_size=3)


class LineModel(RuleBasedStateMachine):
    """Whatever is done to it, the line answers as a list that is sorted at every question would."""

    def __init__(self) -> None:
        super().__init__()
        self.line = ReadyLine()
        self.model: dict[str, Entry] = {}

    def wanted(self, kinds: list[str] | None, paused: Collection[str] = ()) -> list[Entry]:
        return sorted(entry for entry in self.model.values()
                      if (kinds is None or entry.type in kinds) and entry.type not in paused)

    @rule(entry=entries)
    def add(self, entry: Entry) -> None:
        assert self.line.add(entry) is (self.model.get(entry.task_id) != entry)
        self.model[entry.task_id] = entry

    @rule(task_id=st.integers(0, 12).map(str))
    def discard(self, task_id: str) -> None:
        assert self.line.discard(task_id) is (self.model.pop(task_id, None) is not None)

    @rule(some=st.lists(entries, max_size=4))
    def add_unknown(self, some: list[Entry]) -> None:
        self.line.add_unknown(some)
        self.model = {entry.task_id: entry for entry in reversed(some)} | self.model

    @rule(kinds=types, paused=st.frozensets(st.sampled_from("abcd"), max_size=2))
    def pop(self, kinds: list[str] | None, paused: frozenset[str]) -> None:
        expected = next(iter(self.wanted(kinds, paused)), None)
        assert self.line.head(kinds, paused) == expected
        assert self.line.pop(kinds, paused) == expected
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
            assert self.line.sizes()[level] == sum(entry.level == level for entry in ordered)


LineModel.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestTheLine = LineModel.TestCase


@given(st.lists(entries, max_size=40, unique_by=lambda entry: entry.task_id))
def test_popping_all_is_sorting(some: list[Entry]) -> None:
    """Strict priority, then arrival, then id."""
    line = ReadyLine()
    for entry in some:
        line.add(entry)
    assert [line.pop(None) for _ in some] == sorted(some)


@given(st.lists(entries, max_size=40, unique_by=lambda entry: entry.task_id), st.integers(1, 3))
def test_with_ageing_a_level_is_worth_so_many_seconds(some: list[Entry], aging_seconds: int) -> None:
    """The order is that of arrival, each level put forward by ``aging_seconds``; the sizes still tell levels apart."""
    line = ReadyLine()
    for entry in some:
        line.add(entry_at(entry.level, entry.arrived, entry.task_id, entry.type, aging_seconds))
    sizes = {level: sum(entry.level == level for entry in some) for level in Priority}
    assert line.sizes() == sizes
    wanted = sorted(some, key=lambda entry: (entry.arrived - entry.level * aging_seconds, entry.task_id))
    assert [line.position(entry.task_id) for entry in wanted] == list(range(1, len(some) + 1))
    assert [popped.task_id for _ in some if (popped := line.pop(None))] == [entry.task_id for entry in wanted]


def test_nobody_waits_for_ever_with_ageing() -> None:
    """A low task goes before a critical one that came three levels' worth of seconds after it."""
    line = ReadyLine()
    line.add(entry_at(Priority.LOW, 0.0, "low", "a", 60))
    distance = (Priority.CRITICAL - Priority.LOW) * 60
    line.add(entry_at(Priority.CRITICAL, distance - 1.0, "soon", "a", 60))
    line.add(entry_at(Priority.CRITICAL, distance + 1.0, "late", "a", 60))
    assert [popped.task_id for _ in range(3) if (popped := line.pop(None))] == ["soon", "low", "late"]


def test_a_deadline_is_told_until_its_task_has_left_the_line() -> None:
    """Each id in line whose deadline has come; never one that was taken."""
    line = ReadyLine()
    for number in range(4):
        line.add(entry_at(Priority.NORMAL, 0.0, str(number), "a"), datetime.fromtimestamp(number, UTC))
    line.discard("1")
    assert line.past_deadline(2.0) == ["0", "2"]
    assert set(line.past_deadline(2.5)) == {"0", "2"}
    line.discard("0")
    assert set(line.past_deadline(9.0)) == {"2", "3"}


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


@pytest.mark.parametrize("unasked", [0, 3, 10_000])
@given(steps=st.lists(st.tuples(st.sampled_from("aaaaadpqqq"), entries), max_size=60))
@settings(max_examples=60, deadline=None)
def test_a_place_asked_for_now_and_then_is_the_naive_one(unasked: int, steps: list[tuple[str, Entry]]) -> None:
    """Puts, takes out of the middle, takes of the next and changed priorities, whatever happened since places were
    last asked for, and however small the buckets: a place is 1 + how many would be taken before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order, "BUCKET", 2)
        patch.setattr(ready, "UNASKED_CHANGES", unasked)
        line, model = ReadyLine(), dict[str, Entry]()
        for deed, entry in steps:
            if deed == "a":
                line.add(entry)
                model[entry.task_id] = entry
            elif deed == "d":
                line.discard(entry.task_id)
                model.pop(entry.task_id, None)
            elif deed == "p":
                taken = line.pop(None)
                assert taken == min(model.values(), default=None)
                model.pop(taken.task_id if taken else "", None)
            else:
                wanted = {one.task_id: place for place, one in enumerate(sorted(model.values()), 1)}
                assert {task_id: line.position(task_id) for task_id in model} == wanted


def test_places_are_not_kept_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asked once does not make every later put and take dearer for ever; who asks again is told right."""
    monkeypatch.setattr(ready, "UNASKED_CHANGES", 10)
    line = ReadyLine()
    for number in range(20):
        line.add(Entry(0, float(number), str(number), "a"))
    assert (line.position("7"), line._order is not None) == (8, True)
    for number in range(40):
        line.add(Entry(0, float(number), "other", "a"))
    assert (line._order, line.position("7")) == (None, 8)
