"""Live logs: what a task's worker says while it works, line by line, for all to read.

    logs/<task id>/<number of its first line, 12 digits>.log

Lines are numbered from 0 over all attempts of the task. Only who holds the task may append, holding the task's lock;
so the lines of one claim stand together, and the last of them tells how far that claim has come: what is sent again is
dropped, and a gap is refused. A line is there once its end is: of one that a crash tore, readers see nothing, and the
next append cuts it off. Nothing is flushed to the disk: after a power cut the last lines may be missing.
"""

from __future__ import annotations

import re
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from taskspool.clock import to_text
from taskspool.engine import files, log_files
from taskspool.engine.claims import Claims
from taskspool.engine.log_lines import (
    MAX_LINE_BYTES, NOTHING_TOLD, LogLine, LogPage, Told, check_lines, claim_tag, parse, told_by, written,
)
from taskspool.engine.place import Place
from taskspool.engine.reading import Reading
from taskspool.engine.task import Lease
from taskspool.errors import InvalidRequest, LeaseLost, LogOffset, TaskNotFound

SEGMENT_BYTES = 1 << 20
PAGE_BYTES = 512 * 1024
"""A page ends behind the line that makes it larger than this."""
REMEMBERED = 4_096
"""Of so many tasks and readers is known, without reading, where they are."""
TRIES = 5
_SEGMENT = re.compile(r"([0-9]{12})\.log")
Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a log: its last segment begins with line ``first`` and has ``count`` whole ones, of ``size`` bytes."""

    first: int = 0
    count: int = 0
    size: int = 0
    told: Told = NOTHING_TOLD
    inode: int = 0


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a line begins: so many bytes behind the beginning of a segment."""

    segment: int
    start: int
    inode: int


class Memory(Generic[Key, Value]):
    """The latest ``REMEMBERED`` values; forgetting one costs time only."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        with self._lock:
            return self._values.get(key)

    def put(self, key: Key, value: Value) -> None:
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            if len(self._values) > REMEMBERED:
                self._values.popitem(last=False)

    def drop(self, key: Key) -> None:
        with self._lock:
            self._values.pop(key, None)


class TaskLogs:
    """The logs of one queue. Safe for many threads and processes."""

    def __init__(self, place: Place, claims: Claims, reading: Reading) -> None:
        self._place = place
        self._claims = claims
        self._reading = reading
        self._max_bytes = place.settings.log_max_bytes
        self._segment_bytes = min(SEGMENT_BYTES, self._max_bytes // 4)
        self._tails: Memory[str, Tail] = Memory()
        self._spots: Memory[tuple[str, int], Spot] = Memory()
        self.heard: Callable[[str], None] = lambda task_id: None  # noqa: ARG005  # nobody listens
        """Called with the id of a task whose log has grown here."""

    # -- writing -------------------------------------------------------------------------------------------------

    def append(self, task_id: str, token: str, lines: Sequence[tuple[str, str]], offset: int | None) -> int:
        """Add ``lines``, each (stream, text), of the claim with ``token``; how many it has appended now.

        ``offset``: how many it had appended before these. What it has already is dropped, so a repeated call does no
        harm; None: they are new, whatever there is. Raises LogOffset for a gap, LeaseLost, TaskNotFound,
        InvalidRequest, StoreFull while the disk is nearly full, StoreUnavailable.
        """
        check_lines(lines)
        if offset is not None and offset < 0:
            raise InvalidRequest("offset must be 0 or more", field="offset", rule="0 or more")
        lease = self._lease(task_id, token)
        self._place.disk.refuse_if_low()
        with self._place.moves.of(task_id):
            path = self._place.lease_path(lease)
            if not files.exists(path) or files.exists(self._place.result_path(task_id)):
                raise _lost(task_id)
            try:
                texts = self._append(task_id, claim_tag(lease.attempt, token), lines, offset)
            except BaseException:  # whatever it was, it goes on upward: where the log ends is not known any more
                self._tails.drop(task_id)
                raise
        self.heard(task_id)
        return texts

    def _lease(self, task_id: str, token: str) -> Lease:
        lease = self._claims.of(task_id, token)
        if lease is not None and token and lease.token == token:
            return lease
        if self._reading.find(task_id) is None:
            raise _unknown(task_id)
        raise _lost(task_id)

    def _append(self, task_id: str, claim: bytes, lines: Sequence[tuple[str, str]],
                offset: int | None) -> int:
        """Holding the task's lock."""
        tail = self._tail(task_id)
        told = tail.told.of(claim)
        offset = told.texts if offset is None else offset
        if offset > told.texts:
            raise LogOffset(f"this claim has appended {told.texts} lines, and these are said to follow {offset}",
                            next_offset=told.texts, hint="send again from next_offset on")
        fresh = written(lines[told.texts - offset:], told, to_text(self._place.clock.now()))
        while fresh:
            if tail.size >= self._segment_bytes:
                tail = Tail(tail.first + tail.count, told=tail.told)
                self._make_room(task_id)
            part, size = 0, tail.size
            while part < len(fresh) and size < self._segment_bytes:
                size, part = size + len(fresh[part][0]), part + 1
            self._write(task_id, tail, b"".join(line for line, _ in fresh[:part]))
            told = fresh[part - 1][1]
            tail = Tail(tail.first, tail.count + part, size, told, tail.inode)
            fresh = fresh[part:]
        self._tails.put(task_id, tail)
        return told.texts

    def _write(self, task_id: str, tail: Tail, content: bytes) -> None:
        path = self._path(task_id, tail.first)
        try:
            log_files.append(path, tail.size, content)  # the instant: line by line, as their ends reach the file
        except FileNotFoundError:
            files.make_folder(self._folder(task_id))
            log_files.append(path, tail.size, content)

    def _make_room(self, task_id: str) -> None:
        """The oldest segments go, so that the log, with the segment that begins now, is not larger than it may be.

        The last one stays: it tells the numbers.
        """
        segments = self._segments(task_id)
        sizes = [max(0, log_files.size_of(self._path(task_id, first))) for first in segments]
        total = sum(sizes) + self._segment_bytes
        for first, size in zip(segments[:-1], sizes[:-1], strict=True):
            if total <= self._max_bytes:
                return
            files.discard(self._path(task_id, first))
            total -= size

    def _tail(self, task_id: str) -> Tail:
        """Where the log ends, holding the task's lock: what is remembered, and what others wrote since."""
        segments = self._segments(task_id)
        if not segments:
            return Tail()
        known = self._tails.get(task_id)
        tail = Tail(segments[-1]) if known is None or known.first != segments[-1] else known
        content, inode = log_files.read_part(self._path(task_id, tail.first), tail.size, self._whole)
        if tail.inode not in (0, inode):
            tail = Tail(segments[-1])
            content, inode = log_files.read_part(self._path(task_id, tail.first), 0, self._whole)
        *lines, torn = content.split(b"\n")
        return Tail(tail.first, tail.count + len(lines), tail.size + len(content) - len(torn),
                    told_by(lines, tail.told), inode)

    # -- reading -------------------------------------------------------------------------------------------------

    def read(self, task_id: str, after: int = -1, limit: int = 1000) -> LogPage:
        """Up to ``limit`` lines behind the line ``after`` (-1: all there are). Raises TaskNotFound, StoreUnavailable.

        A page may be shorter than that: go on behind ``next - 1`` until one is empty. Lines that were dropped are
        passed over: then the first line is not the one behind ``after``.
        """
        has_ended = files.exists(self._place.result_path(task_id))  # before the look: then nothing comes after it
        for _ in range(TRIES):
            segments = self._segments(task_id)
            if not segments:
                break
            try:
                return self._page(task_id, segments, max(after + 1, segments[0]), limit, has_ended=has_ended)
            except FileNotFoundError:
                continue  # the oldest segment went between the look and the read
        if not has_ended and self._reading.find(task_id) is None:
            raise _unknown(task_id)
        return LogPage((), 0, max(0, after + 1), has_ended)

    def mark(self, task_id: str) -> tuple[int, int, bool]:
        """Something that changes when there is more to read: cheap enough to be asked for often."""
        has_ended = files.exists(self._place.result_path(task_id))
        segments = self._segments(task_id)
        return (segments[-1], log_files.size_of(self._path(task_id, segments[-1])), has_ended) if segments else (
            -1, 0, has_ended)

    def _page(self, task_id: str, segments: list[int], number: int, limit: int, *, has_ended: bool) -> LogPage:
        """Raises FileNotFoundError when the segment of its first line is gone."""
        lines: list[LogLine] = []
        room = PAGE_BYTES
        behind = bisect_right(segments, number)
        for place in range(behind - 1, len(segments)):
            wanted = number + len(lines)
            if place >= behind and wanted < segments[place]:
                wanted = segments[place]  # lines are missing that no rotation took
            found, size = self._lines_of(task_id, segments[place], wanted, limit - len(lines), room)
            lines += found
            room -= size
            if len(lines) >= limit or room <= 0:
                break
        is_whole = len(lines) < limit and room > 0
        after = lines[-1].number + 1 if lines else number
        return LogPage(tuple(lines), segments[0], after, has_ended and is_whole)

    def _lines_of(self, task_id: str, segment: int, number: int, limit: int,
                  room: int) -> tuple[list[LogLine], int]:
        """Lines of one segment from ``number`` on, and how many bytes they have."""
        path = self._path(task_id, segment)
        spot = self._spot(task_id, segment, number)
        if spot is None:
            return [], 0
        content, inode = log_files.read_part(path, spot.start, room + 2 * MAX_LINE_BYTES)
        if inode != spot.inode:
            raise FileNotFoundError(path)  # another file by now: look anew
        lines: list[LogLine] = []
        start = 0
        while len(lines) < limit and start < room and (end := content.find(b"\n", start)) >= 0:
            lines.append(parse(number + len(lines), content[start:end]))
            start = end + 1
        if lines:
            self._spots.put((task_id, number + len(lines)), Spot(segment, spot.start + start, inode))
        return lines, start

    def _spot(self, task_id: str, segment: int, number: int) -> Spot | None:
        """Where line ``number`` begins, or will begin; None when the segment ends before it."""
        path = self._path(task_id, segment)
        known = self._spots.get((task_id, number))
        if known is not None and known.segment == segment and known.inode == log_files.read_part(path, 0, 0)[1]:
            return known
        content, inode = log_files.read_part(path, 0, self._whole)
        start = 0
        for _ in range(number - segment):
            start = content.find(b"\n", start) + 1
            if not start:
                return None
        return Spot(segment, start, inode)

    # -- names ---------------------------------------------------------------------------------------------------

    @property
    def _whole(self) -> int:
        """More than any segment has: the last line of one may be a long one."""
        return self._segment_bytes + 2 * MAX_LINE_BYTES

    def _folder(self, task_id: str) -> str:
        return self._place.path("logs", task_id)

    def _path(self, task_id: str, first: int) -> str:
        return f"{self._folder(task_id)}/{first:012d}.log"

    def _segments(self, task_id: str) -> list[int]:
        """The numbers of their first lines, rising."""
        return sorted(int(match[1]) for name in files.names(self._folder(task_id))
                      if (match := _SEGMENT.fullmatch(name)))


def is_segment(name: str) -> bool:
    return _SEGMENT.fullmatch(name) is not None


def _lost(task_id: str) -> LeaseLost:
    return LeaseLost(f"task {task_id} is not held by this lease token any more", task_id=task_id,
                     hint="stop working on it: it was given to another worker, or is finished")


def _unknown(task_id: str) -> TaskNotFound:
    return TaskNotFound(f"no task has the id {task_id}", task_id=task_id)
