"""The hub of a stream, over a source made by hand: nobody is told anything twice, or misses any of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from waiting import eventually

from taskspool.errors import StoreUnavailable
from taskspool.web.errors import TooManyStreams
from taskspool.web.streams import PAGE_LINES, Hub, Line, Place, Stream

NEVER = 1e6


class Record:
    """A source: lines of generation ``name``, each of a topic."""

    def __init__(self) -> None:
        self.name = "a"
        self.lines: list[Line] = []
        self.asked = 0
        self.is_broken = False

    def add(self, count: int = 1, topic: str = "x") -> None:
        for _ in range(count):
            place = Place(self.name, len(self.lines) + 1)
            self.lines.append(Line(place, topic, f"{place.number}/{topic} ".encode()))

    def begin_anew(self) -> None:
        self.name, self.lines = "b", []

    def tip(self) -> Place:
        return Place(self.name, len(self.lines))

    def after(self, place: str | None, topic: str | None, limit: int) -> list[Line]:
        if self.is_broken:
            raise StoreUnavailable("broken")
        self.asked += 1
        generation, _, number = (place or f"{self.name}-0").rpartition("-")
        if generation != self.name:
            return [Line(self.tip(), "", b"reset ", is_reset=True)]
        return [line for line in self.lines[int(number):] if topic in (None, line.topic)][:limit]


@pytest.fixture
def record() -> Record:
    return Record()


@pytest.fixture
def hub(record: Record) -> Iterator[Hub]:
    """A hub that polls when the test says so: ``hub._poll()``."""
    one = Hub(record, poll_seconds=NEVER, kept_lines=5, max_streams=3)
    yield one
    for stream in list(one._streams):
        stream.close()
    eventually(lambda: one._thread is None, why="its thread ends with the last reader")


def told(stream: Stream) -> str:
    """All that there is for the reader now."""
    found = b""
    while True:
        chunk = stream.ready()
        chunk = stream.fetch() if chunk is None else chunk
        if not chunk:
            return found.decode().strip()
        found += chunk


def test_from_memory(record: Record, hub: Hub) -> None:
    """What is kept is told from memory: the source is asked once, however many readers there are."""
    readers = [hub.open(None, from_now=True) for _ in range(3)]
    record.add(3)
    hub._poll()
    assert [told(reader) for reader in readers] == ["1/x 2/x 3/x"] * 3
    assert record.asked == 1


def test_a_reader_ahead_of_the_hub(record: Record, hub: Hub) -> None:
    """A reader that asked the source itself, and is ahead of the hub, is not told again what it was told."""
    record.add(2)
    reader = hub.open("a-0")
    record.add(2)
    assert told(reader) == "1/x 2/x 3/x 4/x"
    assert told(reader) == ""
    record.add(1)
    hub._poll()
    assert told(reader) == "5/x"


def test_a_reader_behind_what_is_kept(record: Record, hub: Hub) -> None:
    """What has left the memory meanwhile is read from the source, without a gap at the seam."""
    reader = hub.open(None, from_now=True)
    for count in (3, 4, 1):
        record.add(count)
        hub._poll()
    assert told(reader) == " ".join(f"{number}/x" for number in range(1, 9))
    record.add(1)
    hub._poll()
    assert told(reader) == "9/x"


def test_more_than_a_page(record: Record, hub: Hub) -> None:
    """A long record is told page by page."""
    record.add(2 * PAGE_LINES + 3)
    reader = hub.open(None)
    assert len(told(reader).split()) == 2 * PAGE_LINES + 3


def test_one_topic(record: Record, hub: Hub) -> None:
    """A reader of one topic hears of no other, in memory and beyond it, and asks the source once to catch up."""
    record.add(2, "y")
    record.add(2)
    reader = hub.open(None, "y")
    assert told(reader) == "1/y 2/y"
    assert record.asked == 1
    record.add(4)
    record.add(1, "y")
    hub._poll()
    assert told(reader) == "9/y"
    assert told(hub.open("a-2", "y")) == "9/y"


def test_a_record_begun_anew(record: Record, hub: Hub) -> None:
    """Every reader is told ``reset``, also before the hub has noticed, and goes on from there."""
    early, late = hub.open(None, from_now=True), hub.open("a-0")
    record.add(1)
    assert told(late) == "1/x"
    hub._poll()
    record.begin_anew()
    hub._poll()
    assert [told(early), told(late)] == ["reset", "reset"]
    record.add(1)
    hub._poll()
    assert [told(early), told(late)] == ["1/x", "1/x"]


def test_whoever_waits_is_woken(record: Record, hub: Hub) -> None:
    """A poll that finds something wakes all readers; one that finds nothing wakes nobody."""
    woken: list[int] = []
    for number in range(2):
        hub.open(None, from_now=True).join(lambda number=number: woken.append(number))  # type: ignore[misc]
    hub._poll()
    assert woken == []
    record.add(1)
    hub._poll()
    assert sorted(woken) == [0, 1]


def test_the_cap(hub: Hub) -> None:
    """So many readers and no more; whoever leaves makes room."""
    readers = [hub.open(None) for _ in range(3)]
    with pytest.raises(TooManyStreams):
        hub.open(None)
    readers[0].close()
    hub.open(None)


def test_the_thread_outlives_a_failure(record: Record) -> None:
    """While the source cannot be asked nobody is told anything; then all of it."""
    hub = Hub(record, poll_seconds=0.01)
    reader = hub.open(None, from_now=True)
    record.is_broken = True
    record.add(1)
    assert told(reader) == ""
    record.is_broken = False
    assert eventually(lambda: told(reader), why="it goes on") == "1/x"
    reader.close()
