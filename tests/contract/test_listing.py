"""Lists with filter and order, totals, statistics and events: what the index tells is what the tasks say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.candidates import Candidate
from taskspool.engine.index_query import EVERYTHING, SORT_KEYS, Filter
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.options import Options
from taskspool.engine.task import NewTask, Priority, Snapshot, State
from taskspool.errors import InvalidRequest

TYPES, GROUPS, TAGS = ("mail", "review", "sum"), ("north", "south"), ("red", "blue")
PARENT = "01936f5e-0000-4000-8000-00000000000c"
FATES = ("wait", "later", "claim", "complete", "fail", "bury", "cancel", "release", "retry")


def news() -> st.SearchStrategy[NewTask]:
    options = st.builds(lambda group, tags, batch: Options(group=group, tags=tuple(tags), batch_id=batch),
                        st.none() | st.sampled_from(GROUPS), st.lists(st.sampled_from(TAGS), unique=True),
                        st.none() | st.just("01936f5e-0000-4000-8000-00000000000b"))
    return st.builds(lambda kind, who, level, given, parent: NewTask(kind, {}, who, level, 1, options=given,
                                                                     parent=parent),
                     st.sampled_from(TYPES), st.sampled_from(["ann", "bob"]), st.sampled_from(Priority), options,
                     st.none() | st.just(PARENT))


def filters() -> st.SearchStrategy[Filter]:
    some = st.none() | st.frozensets(st.sampled_from(State), max_size=3)
    return st.builds(
        Filter, states=some, types=st.none() | st.frozensets(st.sampled_from(TYPES), max_size=2),
        priorities=st.none() | st.frozensets(st.sampled_from(Priority), max_size=2),
        group=st.none() | st.sampled_from(GROUPS), tags=st.lists(st.sampled_from(TAGS), max_size=1).map(tuple),
        requester=st.none() | st.sampled_from(["ann", "bob"]), worker=st.none() | st.sampled_from(["w1", "w2"]),
        parent=st.none() | st.just(PARENT))


def meet(queue: Queue, candidate: Candidate, new: NewTask, fate: str, worker: str) -> str:
    """A task of this kind that ``fate`` has happened to."""
    candidate.clock.advance(1.0)
    new = replace(new, delay_seconds=3600.0) if fate == "later" else new
    task_id = queue.enqueue(new).task_id
    if fate in ("wait", "later"):
        return task_id
    if fate == "cancel":
        queue.cancel(task_id, by=worker)
        return task_id
    lease = queue.claim_one(task_id, worker).lease
    candidate.clock.advance(0.5)
    if fate == "complete":
        queue.complete(task_id, lease.token, {})
    elif fate == "fail":
        queue.fail(task_id, lease.token, Failure("no"))
    elif fate in ("bury", "retry"):
        queue.fail(task_id, lease.token, Failure("no", retryable=False))
    elif fate == "release":
        queue.release(task_id, lease.token)
    if fate == "retry":
        candidate.clock.advance(0.5)
        queue.retry(task_id)
    return task_id


def fits(one: Snapshot, wanted: Filter) -> bool:
    task, options = one.task, one.task.options
    return ((wanted.states is None or one.state in wanted.states)
            and (wanted.types is None or task.type in wanted.types)
            and (wanted.priorities is None or task.priority in wanted.priorities)
            and wanted.group in (None, options.group) and set(wanted.tags) <= set(options.tags)
            and wanted.requester in (None, task.requester)
            and (wanted.worker is None or (one.state not in (State.READY, State.SCHEDULED)
                                           and one.worker == wanted.worker))
            and wanted.batch_id in (None, options.batch_id) and wanted.parent in (None, options.parent))


KEYS: dict[str, Callable[[Snapshot], tuple[object, ...]]] = {
    "created_at": lambda one: (one.task.created_at,),
    "priority": lambda one: (one.task.priority, -one.task.created_at.timestamp()),
    "type": lambda one: (one.task.type, one.task.created_at),
    "state": lambda one: (one.state, one.task.created_at),
}
"""What a listing is sorted by; times of change are compared elsewhere."""


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(news(), st.sampled_from(FATES), st.sampled_from(["w1", "w2"])), max_size=12),
       st.lists(filters(), min_size=3, max_size=6), st.sampled_from(sorted(KEYS)), st.booleans())
def test_a_list_is_what_a_look_at_every_task_finds(candidate: Candidate, queue: Queue,
                                                   some: list[tuple[NewTask, str, str]], wanted: list[Filter],
                                                   sort: str, falls: bool) -> None:
    """Whatever happened to the tasks, filter, order and total agree with a model that reads them one by one."""
    for snapshot in queue.store.index.listing(limit=1000).items:  # of the example before
        _remove(queue, candidate, snapshot)
    ids = [meet(queue, candidate, new, fate, worker) for new, fate, worker in some]
    found = [queue.task(task_id) for task_id in ids]
    for each in [EVERYTHING, *wanted]:
        fitting = sorted((one for one in found if fits(one, each)), key=KEYS[sort], reverse=falls)
        page = queue.store.index.listing(each, sort=f"{'-' if falls else ''}{sort}", limit=1000)
        assert [one.task.id for one in page.items] == [one.task.id for one in fitting], each
        assert page.total == len(fitting)


def _remove(queue: Queue, candidate: Candidate, snapshot: Snapshot) -> None:
    if not snapshot.state.is_final:
        queue.cancel(snapshot.task.id)
        if snapshot.lease is not None:
            queue.release(snapshot.task.id, snapshot.lease.token)
    candidate.clock.advance(1e-3)
    queue.store.prune(candidate.clock.now())


@pytest.mark.parametrize("key", SORT_KEYS)
@pytest.mark.parametrize("sign", ["", "-"])
def test_pages_by_cursor_and_by_offset_tell_each_task_once(candidate: Candidate, queue: Queue, key: str,
                                                           sign: str) -> None:
    """All pages together are the whole list, in its order, however it is cut; the last one has no cursor."""
    for number in range(26):
        meet(queue, candidate, NewTask(TYPES[number % 3], {}, priority=list(Priority)[number % 4], max_retries=1),
             FATES[number % len(FATES)], "w1")
    queue.enqueue_many([NewTask("mail", {})] * 5)  # all of the same instant
    index = queue.store.index
    whole = [one.task.id for one in index.listing(sort=f"{sign}{key}", limit=1000).items]
    by_cursor: list[str] = []
    page = index.listing(sort=f"{sign}{key}", limit=4)
    while True:
        by_cursor += [one.task.id for one in page.items]
        if page.cursor is None:
            break
        page = index.listing(sort=f"{sign}{key}", limit=4, cursor=page.cursor)
    by_offset = [one.task.id for start in range(0, len(whole), 4)
                 for one in index.listing(sort=f"{sign}{key}", limit=4, offset=start).items]
    assert by_cursor == by_offset == whole
    assert len(set(whole)) == len(whole) == (31 if key != "finished_at" else
                                             sum(one.state.is_final for one in index.listing(limit=1000).items))


def test_times_and_the_beginning_of_an_id_select(candidate: Candidate, queue: Queue) -> None:
    """Created and finished after and before: closed below, open above. An id's beginning selects it."""
    ids = [meet(queue, candidate, NewTask("mail", {}), "complete", "w1") for _ in range(5)]
    index = queue.store.index
    created = [queue.task(task_id).task.created_at for task_id in ids]
    ended = [queue.result(task_id).completed_at for task_id in ids]

    def ids_of(wanted: Filter) -> list[str]:
        page = index.listing(wanted, sort="created_at")
        assert page.total == len(page.items)
        return [one.task.id for one in page.items]

    assert ids_of(Filter(created_after=created[2])) == ids[2:]
    assert ids_of(Filter(created_before=created[2])) == ids[:2]
    assert ids_of(Filter(finished_after=ended[1], finished_before=ended[3])) == ids[1:3]
    for length in (24, 30, 36):
        assert ids_of(Filter(id_prefix=ids[3][:length])) == [one for one in ids if one.startswith(ids[3][:length])]
    assert ids_of(Filter(id_prefix="zz")) == []


def test_the_order_of_change_and_of_ending(candidate: Candidate, queue: Queue) -> None:
    """The latest change first; the latest result first, and what has none is left out."""
    first, second, third = (meet(queue, candidate, NewTask("mail", {}), "wait", "w1") for _ in range(3))
    for task_id in (third, first):
        candidate.clock.advance(1.0)
        queue.complete(task_id, queue.claim_one(task_id, "w1").lease.token, {})
    index = queue.store.index
    assert [one.task.id for one in index.listing(sort="-updated_at").items] == [first, third, second]
    assert [one.task.id for one in index.listing(sort="-finished_at").items] == [first, third]


@pytest.mark.parametrize("asked", [
    {"sort": "size"}, {"sort": "--created_at"}, {"limit": -1}, {"limit": 1001}, {"offset": -1}, {"cursor": "x"},
    {"cursor": "[]"}, {"cursor": "[1]"}, {"cursor": "{}"}, {"cursor": "[[1], 2]"}, {"cursor": "[" * 5000},
])
def test_what_is_no_order_and_no_cursor_is_refused(queue: Queue, asked: dict[str, object]) -> None:
    """InvalidRequest names the field."""
    with pytest.raises(InvalidRequest) as caught:
        queue.store.index.listing(**asked)
    assert caught.value.details["field"] in {*asked, "limit"}


def test_statistics_count_what_there_is(candidate: Candidate, queue: Queue) -> None:
    """Per state, type, group and priority; the share of successes; the oldest that waits."""
    oldest = meet(queue, candidate, NewTask("mail", {}, options=Options(group="north")), "wait", "w1")
    for fate, count in (("complete", 3), ("bury", 1), ("cancel", 2), ("claim", 1), ("later", 1)):
        for _ in range(count):
            meet(queue, candidate, NewTask("review", {}, priority=Priority.HIGH), fate, "w1")
    found = queue.store.index.statistics()
    assert found.by_state == {State.READY: 1, State.DONE: 3, State.DEAD: 1, State.CANCELLED: 2, State.CLAIMED: 1,
                              State.SCHEDULED: 1}
    assert found.by_type["mail"] == {State.READY: 1}
    assert found.by_type["review"] == {state: count for state, count in found.by_state.items() if state != "ready"}
    assert found.by_group == {"north": {State.READY: 1}}
    assert found.ready_by_priority == dict.fromkeys(Priority, 0) | {Priority.NORMAL: 1}
    assert found.success_rate == 3 / 4
    assert found.oldest_ready_at == queue.task(oldest).task.created_at
    assert found.is_complete


def test_durations_and_throughput(candidate: Candidate, queue: Queue) -> None:
    """Mean exact, percentiles within 5 percent; each minute with what ended in it, for as long back as asked."""
    seconds = [0.2 * number for number in range(1, 101)]
    for each in seconds:
        task_id = queue.enqueue(NewTask("mail", {})).task_id
        lease = queue.claim_one(task_id, "w1").lease
        candidate.clock.advance(each)
        queue.complete(task_id, lease.token, {})
    found = queue.store.index.statistics(minutes=60)
    assert found.all_durations is not None
    assert found.durations == {"mail": found.all_durations}
    assert found.all_durations.count == 100
    assert found.all_durations.mean_seconds == pytest.approx(sum(seconds) / 100, abs=0.002)
    for percent in (50, 90, 95, 99):
        assert found.all_durations.percentiles[percent] == pytest.approx(seconds[percent - 1], rel=0.06)
    assert sum(minute.done for minute in found.throughput) == 100
    assert len(found.throughput) >= sum(seconds) // 60
    last = queue.store.index.statistics(minutes=1).throughput
    assert last == tuple(minute for minute in found.throughput if minute.at + timedelta(minutes=1) > found.at)


def test_every_verb_is_an_event_in_its_order(candidate: Candidate, queue: Queue) -> None:
    """Who follows the events of a task reads its life; who begins behind one reads what came after."""
    task_id = queue.enqueue(NewTask("mail", {}, max_retries=1)).task_id
    queue.fail(task_id, queue.claim_one(task_id, "w1").lease.token, Failure("no", retry_after_seconds=1.0))
    candidate.clock.advance(2.0)
    queue.sweep()
    lease = queue.claim_one(task_id, "w2").lease
    queue.release(task_id, lease.token)
    queue.fail(task_id, queue.claim_one(task_id, "w2").lease.token, Failure("never", retryable=False))
    queue.retry(task_id)
    other = queue.enqueue(NewTask("review", {})).task_id
    queue.cancel(task_id)
    index = queue.store.index
    index.last_event_id()  # what happened until here is written
    queue.store.prune(candidate.clock.now() + timedelta(seconds=1))
    mine = index.events(task_id=task_id)
    assert [event.verb for event in mine] == [
        "enqueue", "claim", "fail", "promote", "claim", "release", "claim", "fail", "retry", "cancel", "prune"]
    assert {event.type for event in mine} == {"mail"}
    assert (mine[2].worker, mine[2].attempt, mine[2].reason) == ("w1", 1, "no")
    everything = index.events()
    assert [event for event in everything if event.task_id == task_id] == mine
    assert [event.task_id for event in everything].count(other) == 1
    for number, event in enumerate(everything):
        assert index.events(event.id) == everything[number + 1:]
    assert index.events(index.last_event_id()) == []
    assert index.events(limit=3) == everything[:3]


def test_who_asked_for_work_is_known(candidate: Candidate, queue: Queue) -> None:
    """For a type, for any, and since when."""
    recorder = queue.store._recorder
    recorder.asked("w1", ["mail", "review"])
    recorder.asked("w2", None)
    candidate.clock.advance(10.0)
    recorder.asked("w3", {"review"})
    index, now = queue.store.index, candidate.clock.now()
    assert [one.worker for one in index.asked("review", since=now - timedelta(seconds=60))] == ["w3", "w1", "w2"]
    assert [one.worker for one in index.asked("mail", since=now - timedelta(seconds=60))] == ["w1", "w2"]
    assert [one.worker for one in index.asked(since=now)] == ["w3"]
    assert index.asked(since=now)[0].types == ("review",)
    recorder.asked("w3", None)
    assert index.asked("sum", since=now)[0].types is None
