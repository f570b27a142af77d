"""Live logs on the disk: every line once, in order, with its number, whoever writes and whoever is killed."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from fake_clock import FakeClock
from service import environment
from taskspool.engine import task_logs
from taskspool.engine.lifecycle import Failure, Queue, open_queue
from taskspool.engine.log_lines import MAX_LINE_BYTES, LogLine, pieces_of
from taskspool.engine.task import Claim, NewTask, State
from taskspool.errors import InvalidRequest, LeaseLost, LogOffset, StoreFull, TaskNotFound
from taskspool.settings import Settings
from waiting import eventually

SMALL = 65_536


def begun(queue: Queue, **wishes: int) -> Claim:
    """A task in work."""
    queue.enqueue(NewTask("x", {}, max_retries=wishes.get("retries", 0)))
    return queue.claim("w")[0]


def say(queue: Queue, claim: Claim, texts: Sequence[str], offset: int | None) -> int:
    return queue.logs.append(claim.task.id, claim.lease.token, [("out", text) for text in texts], offset)


def told(queue: Queue, task_id: str, limit: int = 1000) -> list[LogLine]:
    """The whole log, page by page."""
    lines: list[LogLine] = []
    while (page := queue.logs.read(task_id, lines[-1].number if lines else -1, limit)).lines:
        lines += page.lines
    return lines


def texts(queue: Queue, task_id: str) -> list[str]:
    return [line.text for line in told(queue, task_id)]


def test_lines_are_numbered_over_all_attempts(queue: Queue, clock: FakeClock) -> None:
    """Numbers go on from one attempt to the next; each line tells its time, its attempt and its stream."""
    first = begun(queue, retries=1)
    assert queue.logs.append(first.task.id, first.lease.token, [("out", "a"), ("err", "b\tc")], 0) == 2
    queue.fail(first.task.id, first.lease.token, Failure("no", retry_after_seconds=0))
    clock.advance(60)
    queue.sweep()
    second = queue.claim("w")[0]
    assert queue.logs.append(second.task.id, second.lease.token, [("log", "핑 🙂")], 0) == 1
    now = clock.now()
    assert told(queue, first.task.id) == [
        LogLine(0, now - timedelta(seconds=60), 1, "out", "a"),
        LogLine(1, now - timedelta(seconds=60), 1, "err", "b\tc"),
        LogLine(2, now, 2, "log", "핑 🙂")]


def test_what_comes_twice_is_dropped_and_a_gap_is_refused(queue: Queue) -> None:
    """The same call again adds nothing, an overlap only what is new; after a gap the right offset is told."""
    claim = begun(queue)
    assert [say(queue, claim, ["a", "b"], 0), say(queue, claim, ["a", "b"], 0)] == [2, 2]
    assert say(queue, claim, ["b", "c"], 1) == 3
    assert say(queue, claim, ["d"], None) == 4
    with pytest.raises(LogOffset) as refused:
        say(queue, claim, ["f"], 5)
    assert refused.value.details["next_offset"] == 4
    assert texts(queue, claim.task.id) == ["a", "b", "c", "d"]


def test_any_cut_and_any_repeat_gives_the_same_log(opener: Callable[..., Queue],
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    """However a log is cut into calls, whatever is repeated, whichever process takes it: it is the same log."""
    monkeypatch.setattr(task_logs, "SEGMENT_BYTES", 2_000)
    queues = [opener(), opener()]
    chance = random.Random(7)
    claim = begun(queues[0])
    said = [chance.choice(["", "x" * 700, f"line {number}", "a\nb\r\nc", "é" * 40_000]) for number in range(120)]
    has = 0
    while has < len(said):
        start = chance.randint(max(0, has - 4), has)
        has = say(chance.choice(queues), claim, said[start:start + chance.randint(1, 9)], start)
    expected = [piece for text in said for piece in _pieces(text)]
    for queue in queues:
        lines = told(queue, claim.task.id, limit=chance.randint(1, 50))
        assert [line.text for line in lines] == expected
        assert [line.number for line in lines] == list(range(len(expected)))


def _pieces(text: str) -> list[str]:
    if text.startswith("é"):
        half = MAX_LINE_BYTES // 2
        return [text[start:start + half] for start in range(0, len(text), half)]
    return text.replace("\r\n", "\n").split("\n")


def test_only_the_holder_may_append(queue: Queue, clock: FakeClock) -> None:
    """A stale token, no token, and the token of a task that has ended: LeaseLost; no such task: TaskNotFound."""
    claim = begun(queue, retries=1)
    queue.release(claim.task.id, claim.lease.token)
    again = queue.claim("v")[0]
    for token in (claim.lease.token, ""):
        with pytest.raises(LeaseLost):
            queue.logs.append(claim.task.id, token, [("out", "late")], 0)
    say(queue, again, ["last"], 0)
    queue.complete(again.task.id, again.lease.token, {})
    with pytest.raises(LeaseLost):
        say(queue, again, ["after"], 1)
    with pytest.raises(TaskNotFound):
        queue.logs.append("01936f5e-0000-7000-8000-000000000001", "1-1-0-0-0", [("out", "?")], 0)
    assert texts(queue, claim.task.id) == ["last"]


def test_the_files_say_who_holds_it(opener: Callable[..., Queue], folder: Path) -> None:
    """Who believes to hold a task that another process has ended is refused, also before its claim is gone."""
    one, other = opener(), opener()
    claim = begun(one)
    say(one, claim, ["a"], 0)
    file = next((folder / "claimed").glob("*/*.json"))
    content = file.read_bytes()
    other.complete(claim.task.id, claim.lease.token, {})
    with pytest.raises(LeaseLost):
        say(one, claim, ["after"], 1)
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)  # as in the moment between the two steps of a finish
    with pytest.raises(LeaseLost):
        say(other, claim, ["between"], 1)
    assert texts(other, claim.task.id) == ["a"]
    file.unlink()


def test_a_long_text_is_not_cut_within_a_character() -> None:
    """Each line of it is whole text, and together they are what was said."""
    text = "a" + "é" * 40_000 + "🙂" * 20_000
    pieces = pieces_of(text)
    assert len(pieces) == 3
    assert all(len(piece) <= MAX_LINE_BYTES for piece in pieces)
    assert "".join(piece.decode() for piece in pieces) == text


def test_what_cannot_be_a_log_is_refused(queue: Queue) -> None:
    """Another stream and an offset below 0 are refused by name, and nothing is written."""
    claim = begun(queue)
    for lines, offset, field in (([("stdout", "x")], 0, "stream"), ([("out", "x")], -1, "offset")):
        with pytest.raises(InvalidRequest) as refused:
            queue.logs.append(claim.task.id, claim.lease.token, lines, offset)
        assert refused.value.details["field"] == field
    assert told(queue, claim.task.id) == []


def test_half_a_character_and_control_characters(queue: Queue) -> None:
    """A lone surrogate becomes ?; what would steer a terminal is kept as it is: it is shown with care (the command)."""
    claim = begun(queue)
    say(queue, claim, ["\ud800x", "\x1b[2J\x85\u2028", "a\rb"], 0)
    assert texts(queue, claim.task.id) == ["?x", "\x1b[2J\x85\u2028", "a\rb"]


def test_the_oldest_lines_go(opener: Callable[..., Queue], folder: Path) -> None:
    """A log that grows too large loses its oldest lines, and no number changes; a reader far behind goes on from the
    first that is kept, and a page tells which that is."""
    queue = opener(log_max_bytes=SMALL)
    claim = begun(queue)
    has = 0
    for _ in range(40):
        has = say(queue, claim, [f"{has + number} {'x' * 80}" for number in range(100)], has)
    files = list((folder / "logs" / claim.task.id).iterdir())
    assert SMALL / 2 < sum(file.stat().st_size for file in files) <= SMALL + 1_000
    page = queue.logs.read(claim.task.id, 17, 5)
    assert page.first == page.lines[0].number > 100
    assert [line.text.split()[0] for line in page.lines] == [str(line.number) for line in page.lines]
    assert told(queue, claim.task.id)[-1].number == 3_999
    assert say(opener(log_max_bytes=SMALL), claim, ["new"], 4_000) == 4_001


def test_a_torn_line_is_not_shown_and_goes(opener: Callable[..., Queue], folder: Path) -> None:
    """Readers see lines with an end only; the next append cuts off what a crash left, and says it whole."""
    queue = opener()
    claim = begun(queue)
    say(queue, claim, ["a"], 0)
    file = folder / "logs" / claim.task.id / f"{0:012d}.log"
    torn = file.read_bytes().replace(b"~0 out a", b"~1 out whole line")[:-4]
    file.write_bytes(file.read_bytes() + torn)
    file.write_bytes(file.read_bytes() + b"x" * 5_000)
    assert texts(queue, claim.task.id) == ["a"]
    assert say(opener(), claim, ["whole line", "c"], 1) == 3
    assert texts(queue, claim.task.id) == ["a", "whole line", "c"]
    assert file.read_bytes().endswith(b"out c\n")


def test_a_text_torn_between_its_lines_is_completed(opener: Callable[..., Queue], folder: Path) -> None:
    """Of a text of several lines, of which a crash left some, the repeated call adds the others alone."""
    claim = begun(opener())
    say(opener(), claim, ["a", "1\n2\n3"], 0)
    file = folder / "logs" / claim.task.id / f"{0:012d}.log"
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:3]))
    fresh = opener()
    with pytest.raises(LogOffset) as refused:
        say(fresh, claim, ["b"], 2)
    assert refused.value.details["next_offset"] == 1
    assert say(fresh, claim, ["1\n2\n3", "b"], 1) == 3
    assert texts(fresh, claim.task.id) == ["a", "1", "2", "3", "b"]


def test_a_damaged_line_is_told_as_it_is(opener: Callable[..., Queue], folder: Path) -> None:
    """It keeps its number, says that it has no time, and the lines around it are whole."""
    claim = begun(opener())
    say(opener(), claim, ["a", "b", "c"], 0)
    file = folder / "logs" / claim.task.id / f"{0:012d}.log"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + b"x" + lines[1] + lines[2])
    found = told(opener(), claim.task.id)
    assert [(line.number, line.text) for line in (found[0], found[2])] == [(0, "a"), (2, "c")]
    assert found[1].at is None
    assert found[1].text.endswith("out b")


def test_a_page_says_when_nothing_more_comes(queue: Queue) -> None:
    """``is_finished`` is true on the page that tells the last line of a task that has ended, and on none before."""
    claim = begun(queue)
    assert queue.logs.read(claim.task.id).is_finished is False
    say(queue, claim, ["a", "b", "c"], 0)
    assert queue.logs.read(claim.task.id).is_finished is False
    queue.complete(claim.task.id, claim.lease.token, {})
    assert [queue.logs.read(claim.task.id, after, 2).is_finished for after in (-1, 1, 2)] == [False, True, True]
    with pytest.raises(TaskNotFound):
        queue.logs.read("01936f5e-0000-7000-8000-000000000001")


def test_there_is_a_mark_for_what_is_new(queue: Queue) -> None:
    """The mark of a log changes with every append, and when its task ends; else it stays."""
    claim = begun(queue)
    marks = [queue.logs.mark(claim.task.id)]
    say(queue, claim, ["a"], 0)
    marks.append(queue.logs.mark(claim.task.id))
    assert queue.logs.mark(claim.task.id) == marks[-1]
    queue.complete(claim.task.id, claim.lease.token, {})
    marks.append(queue.logs.mark(claim.task.id))
    assert len(set(marks)) == 3


def test_a_long_log_is_read_in_one_go(opener: Callable[..., Queue]) -> None:
    """Page by page 20,000 lines cost little more than their bytes, not a count from the beginning each."""
    queue = opener()
    claim = begun(queue)
    has = 0
    while has < 20_000:
        has = say(queue, claim, [f"line {has + number}" for number in range(2_000)], has)
    task_logs.PAGE_BYTES, page_bytes = 16_384, task_logs.PAGE_BYTES
    reads: list[int] = []
    real = task_logs.log_files.read_part

    def counted(path: str, start: int, max_bytes: int) -> tuple[bytes, int]:
        content, inode = real(path, start, max_bytes)
        reads.append(len(content))
        return content, inode

    task_logs.log_files.read_part = counted
    try:
        lines = told(queue, claim.task.id, limit=100)
    finally:
        task_logs.log_files.read_part = real
        task_logs.PAGE_BYTES = page_bytes
    assert [line.text for line in lines] == [f"line {number}" for number in range(20_000)]
    looks = [size for size in reads if size > 200_000]  # each more than a page wants: a count from the beginning
    assert len(looks) <= 2


def test_a_full_disk_refuses_logs_and_nothing_else(opener: Callable[..., Queue]) -> None:
    """While the disk is nearly full a log gets nothing more, and the task is finished all the same."""
    claim = begun(opener())
    low = opener(min_free_bytes=1 << 50)
    with pytest.raises(StoreFull):
        say(low, claim, ["a"], 0)
    assert low.complete(claim.task.id, claim.lease.token, {}).state is State.DONE


def test_the_log_goes_with_its_task(queue: Queue, clock: FakeClock, folder: Path) -> None:
    """Pruning removes a task's log; a log that was left, or is none, is found by the doctor and mended."""
    claim = begun(queue)
    say(queue, claim, ["a"], 0)
    queue.complete(claim.task.id, claim.lease.token, {})
    assert list(queue.store.findings()) == []
    clock.advance(100)
    assert queue.store.prune(clock.now()) == 1
    assert list((folder / "logs").iterdir()) == []
    left = folder / "logs" / claim.task.id
    left.mkdir()
    (left / f"{0:012d}.log").write_bytes(b"")
    (folder / "logs" / "odd").write_bytes(b"")
    found = list(queue.store.findings())
    assert sorted(finding.kind for finding in found) == ["left log", "stray name"]
    clock.advance(100)
    assert [queue.store.mend(finding) for finding in found] == [True, True]
    assert list((folder / "logs").iterdir()) == []
    assert list(queue.store.findings()) == []


def test_a_folder_that_was_deleted_is_made_again(queue: Queue, folder: Path) -> None:
    """A log goes on although ``logs/`` was removed under it."""
    claim = begun(queue)
    (folder / "logs").rmdir()
    assert say(queue, claim, ["a"], 0) == 1
    assert texts(queue, claim.task.id) == ["a"]


def test_the_secret_of_a_lease_is_not_in_its_log(queue: Queue, folder: Path) -> None:
    """Who reads a log does not learn the token by which the task is finished."""
    claim = begun(queue)
    say(queue, claim, ["a"], 0)
    content = (folder / "logs" / claim.task.id / f"{0:012d}.log").read_text()
    secret = claim.lease.token.rpartition("-")[2]
    assert len(secret) >= 16
    assert not any(secret[start:start + 7] in content for start in range(len(secret) - 6))


WRITER = """
import sys
from pathlib import Path
from taskspool.engine.lifecycle import open_queue
from taskspool.engine.task import NewTask
from taskspool.settings import Settings
queue = open_queue(Settings(root=Path(sys.argv[1]), durability="fast"))
queue.enqueue(NewTask("x", {}))
claim = queue.claim("w", lease_seconds=0)[0]
has = 0
while True:
    lines = [("out", f"{has + number} " + "x" * 3000) for number in range(50)]
    has = queue.logs.append(claim.task.id, claim.lease.token, lines, has)
"""


@pytest.mark.parametrize("round_", range(3))
@pytest.mark.slow
def test_a_writer_killed_in_the_middle_leaves_whole_lines(tmp_path: Path, round_: int) -> None:
    """kill -9 at any moment: what a reader sees are whole lines without a gap, and the next attempt goes on."""
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], env=environment())
    try:
        logs = tmp_path / "task_queue" / "logs"
        enough = 40_000 * (1 + round_ * 7)
        eventually(lambda: sum(file.stat().st_size for file in logs.glob("*/*")) > enough, 30, "it writes")
    finally:
        writer.kill()
        writer.wait()
    queue = open_queue(Settings(root=tmp_path, durability="fast"))
    try:
        queue.sweep()
        claim = eventually(lambda: queue.sweep() and queue.claim("v"), 20, "its task comes back")[0]
        before = len(told(queue, claim.task.id))
        say(queue, claim, ["next"], 0)
        lines = told(queue, claim.task.id)
    finally:
        queue.close()
    assert before >= 10
    assert [line.number for line in lines] == list(range(before + 1))
    assert [line.text for line in lines[:-1]] == [f"{number} " + "x" * 3000 for number in range(before)]
    assert lines[-1].text == "next"
