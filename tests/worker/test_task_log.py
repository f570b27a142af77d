"""What a handler says reaches the log: all of it, once, in order; and the handler is not kept from its work."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from taskspool.engine.lifecycle import Queue
from taskspool.engine.log_lines import MAX_LINE_BYTES
from taskspool.engine.task import NewTask
from taskspool.errors import (
    InvalidRequest, LeaseLost, LogOffset, PayloadTooLarge, ServerUnreachable, StoreFull, TaskspoolError,
)
from taskspool.worker import task_log
from taskspool.worker.source import FolderSource
from taskspool.worker.task_log import MAX_KEPT_BYTES, TaskLog
from waiting import eventually


class Bridge:
    """Takes lines as the queue does: what is sent twice is dropped, a gap refused. ``failures`` are raised first;
    after ``loses`` calls the answers are lost."""

    def __init__(self, *failures: TaskspoolError) -> None:
        self.lines: list[tuple[str, str]] = []
        self.failures = list(failures)
        self.is_down = False
        self.loses_answers = 0
        self.calls = 0
        self.open = threading.Event()
        self.open.set()

    def send(self, lines: Sequence[tuple[str, str]], offset: int) -> int:
        self.calls += 1
        self.open.wait(30)
        if self.is_down:
            raise ServerUnreachable("down")
        if self.failures:
            raise self.failures.pop(0)
        if offset > len(self.lines):
            raise LogOffset("gap", next_offset=len(self.lines))
        self.lines += lines[len(self.lines) - offset:]
        if self.loses_answers:
            self.loses_answers -= 1
            raise ServerUnreachable("its answer was lost")
        return len(self.lines)

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.lines]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failed calls are repeated at once."""
    monkeypatch.setattr(task_log, "backoff_seconds", lambda _: 0.01)


def test_everything_once_and_in_order() -> None:
    """100,000 lines said faster than they can be sent: the handler waits for room, and none is lost."""
    bridge = Bridge()
    log = TaskLog(bridge.send)
    for number in range(100_000):
        log.write("out", f"line {number}")
    assert log.close(60)
    assert bridge.texts == [f"line {number}" for number in range(100_000)]
    assert bridge.calls < 500


def test_who_says_too_much_waits_for_room() -> None:
    """While the queue takes lines, however slowly, a handler that is faster is held, and no line is lost."""
    bridge = Bridge()
    bridge.open.clear()
    log = TaskLog(bridge.send)
    handler = threading.Thread(target=lambda: [log.write("out", f"{number} {'x' * 1000}") for number in range(3_000)])
    handler.start()
    eventually(lambda: log._kept_bytes > MAX_KEPT_BYTES - 2_000, 20, "there is no room")
    assert handler.is_alive()
    bridge.open.set()
    handler.join(60)
    assert log.close(60)
    assert [int(text.split()[0]) for text in bridge.texts] == list(range(3_000))


def test_lines_are_sent_by_themselves() -> None:
    """A line is sent soon after it was said, though nobody closes the log."""
    bridge = Bridge()
    log = TaskLog(bridge.send)
    log.write("err", "now")
    eventually(lambda: bridge.lines == [("err", "now")], 20, "it is sent")
    log.write("log", "and\nthen\r\n")
    eventually(lambda: bridge.texts == ["now", "and", "then"], 20, "both lines are sent")
    assert log.close(20)


def test_a_lost_answer_costs_nothing() -> None:
    """What the queue has taken though its answer was lost is not told twice."""
    bridge = Bridge()
    bridge.loses_answers = 3
    log = TaskLog(bridge.send)
    for number in range(5_000):
        log.write("out", str(number))
    assert log.close(60)
    assert bridge.texts == [str(number) for number in range(5_000)]


@pytest.mark.parametrize("failure", [ServerUnreachable("down"), StoreFull("full")])
def test_while_nobody_takes_them_lines_are_kept_up_to_a_limit(failure: TaskspoolError) -> None:
    """The first mebibyte is kept, what comes then is dropped without waiting, and a line in its place says how many."""
    bridge = Bridge()
    bridge.is_down = True
    log = TaskLog(bridge.send)
    log.write("out", "first")
    eventually(lambda: bridge.calls > 1, 20, "it was tried, and failed")
    for number in range(40_000):
        log.write("out", f"{number:05d} {'x' * 100}")
    bridge.is_down = False
    eventually(lambda: len(bridge.lines) > 1_000, 20, "what was kept is sent")
    log.write("out", "last")
    assert log.close(60)
    kept = [text for text in bridge.texts if text.endswith("x")]
    assert [int(text[:5]) for text in kept] == list(range(len(kept)))
    assert MAX_KEPT_BYTES / 2 < sum(map(len, kept)) <= MAX_KEPT_BYTES
    assert bridge.texts[len(kept) + 1:] == [f"({40_000 - len(kept)} lines lost: they could not be sent)", "last"]


def test_a_log_the_queue_has_lost_goes_on() -> None:
    """After a power cut the queue may have fewer lines than it said: what is kept follows those it has."""
    bridge = Bridge()
    log = TaskLog(bridge.send)
    log.write("out", "a")
    eventually(lambda: bridge.texts == ["a"], 20, "it is sent")
    bridge.lines = []
    log.write("out", "b")
    assert log.close(20)
    assert bridge.texts == ["b"]


def test_a_lost_lease_ends_it() -> None:
    """When the task is another's nothing more is sent, writing goes on costing nothing, and the close says no."""
    bridge = Bridge(LeaseLost("gone"))
    log = TaskLog(bridge.send)
    log.write("out", "a")
    eventually(lambda: bridge.calls == 1, 20, "it was tried")
    for _ in range(50_000):
        log.write("out", "x" * 50)
    assert not log.close(20)
    assert (bridge.calls, bridge.lines) == (1, [])


def test_what_is_refused_is_counted() -> None:
    """Lines that the queue refuses are not sent again for ever: a line says how many they were."""
    bridge = Bridge(InvalidRequest("no"))
    log = TaskLog(bridge.send)
    log.write("out", "bad")
    eventually(lambda: bridge.calls == 1, 20, "it was tried")
    log.write("out", "good")
    assert log.close(20)
    assert bridge.texts == ["(1 lines lost: they could not be sent)", "good"]


def test_a_bridge_that_takes_less_at_once_gets_less() -> None:
    """What is too large for one call is sent in smaller ones, and nothing of it is lost."""
    bridge = Bridge(*[PayloadTooLarge("too much")] * 3)
    log = TaskLog(bridge.send)
    for number in range(3_000):
        log.write("out", f"{number} {'x' * 60}")
    assert log.close(60)
    assert [int(text.split()[0]) for text in bridge.texts] == list(range(3_000))


def test_the_end_waits_no_longer_than_it_may() -> None:
    """Closing gives up after its time when nobody takes the lines, and says so; nothing is sent after it."""
    bridge = Bridge()
    bridge.is_down = True
    log = TaskLog(bridge.send)
    log.write("out", "a")
    assert not log.close(0.05)
    bridge.is_down = False
    log.write("out", "b")
    assert bridge.lines == []


def test_a_handler_is_not_held_by_a_bridge_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers, and nobody refuses: a handler that says much waits for its time, and goes on."""
    monkeypatch.setattr(task_log, "ROOM_SECONDS", 0.01)
    bridge = Bridge()
    bridge.open.clear()
    log = TaskLog(bridge.send)
    for number in range(30):
        log.write("out", f"{number:02d}" + "x" * 60_000)
    bridge.open.set()
    assert log.close(60)
    assert bridge.texts[-1].endswith("lines lost: they could not be sent)")


def test_another_stream_is_refused() -> None:
    """A stream there is not is a mistake of the handler, and said at once."""
    with pytest.raises(InvalidRequest):
        TaskLog(Bridge().send).write("stdout", "x")


def test_an_unused_log_costs_no_thread() -> None:
    """A handler that says nothing has no thread beside it, and closing takes no time."""
    before = threading.active_count()
    assert TaskLog(Bridge().send).close(60)
    assert threading.active_count() == before


def test_into_a_real_queue(queue: Queue) -> None:
    """By way of the folder: the lines stand in the task's log, and a lease that is over takes none."""
    queue.enqueue(NewTask("x", {}))
    source = FolderSource(queue, "w")
    claim = source.claim(["x"], 1, 0)[0]
    log = TaskLog(lambda lines, offset: source.append_log(claim, lines, offset))
    log.write("out", "a\nb")
    log.write("err", "c" * (2 * MAX_LINE_BYTES))
    assert log.close(20)
    source.complete(claim, {})
    page = queue.logs.read(claim.task.id)
    assert [(line.stream, len(line.text)) for line in page.lines] == [
        ("out", 1), ("out", 1), ("err", MAX_LINE_BYTES), ("err", MAX_LINE_BYTES)]
    assert page.is_finished
    late = TaskLog(lambda lines, offset: source.append_log(claim, lines, offset))
    late.write("out", "late")
    assert not late.close(20)
