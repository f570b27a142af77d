"""Names: what a worker, a claim and a file may be called, and that every name leads back to what it stands for."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskspool.clock import IdMaker, from_text, to_text
from taskspool.engine.layout import (
    claim_name, id_of, is_temporary, new_token, owner_of, parse_claim, parse_token, worker_folder, worker_of,
)
from taskspool.engine.task import Lease, is_task_id
from taskspool.errors import InvalidRequest

ID = "01936f5e-0000-7000-8000-000000000001"
FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]|[. ]$')
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)
printable = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="\u2028"), min_size=1, max_size=30)


@pytest.mark.parametrize("name", [
    "한국어-워커", "CON", "con.txt", "nul", "LPT1.x", "COM9", ".", "..", ".hidden", "trailing.", "a/b\\c", "%", "%2F",
    "a:b*c?\"<>|", " spaced ", "~tmp", "e\u0301", "é", "ｆｕｌｌ", "🙂", "x" * 120, "plain-worker_1@host+2",
])
def test_a_worker_name_becomes_a_safe_folder_and_comes_back(name: str) -> None:
    """No character, no reserved word and no end of a name that some system forbids; and the way back is exact."""
    folder = worker_folder(name)
    assert not FORBIDDEN.search(folder)
    assert not RESERVED.match(folder)
    assert folder not in (".", "..")
    assert not folder.startswith(".")
    assert len(folder.encode()) <= 250
    assert worker_of(folder) == name


@given(printable)
def test_any_printable_name_goes_there_and_back(name: str) -> None:
    """Round trip for whatever Hypothesis can think of; two names never share a folder."""
    try:
        folder = worker_folder(name)
    except InvalidRequest:
        assert len(name.encode()) > 13
        return
    assert worker_of(folder) == name
    assert not FORBIDDEN.search(folder)


def test_plain_names_stay_readable() -> None:
    """Letters of any script, digits and -_.@+ are shown as they are, so that ``ls claimed/`` is for people."""
    for name in ("poller-1@host.local+2", "봇7", "Jürgen"):
        assert worker_folder(name) == name


@pytest.mark.parametrize("name", ["x" * 300, "🙂" * 60, "/" * 100, "김" * 100])
def test_a_name_too_long_for_a_folder_is_refused(name: str) -> None:
    """The rule and the field are named."""
    with pytest.raises(InvalidRequest) as caught:
        worker_folder(name)
    assert caught.value.details["field"] == "worker_id"


@given(st.integers(0, 2**40), st.integers(0, 4095), st.integers(0, 86_400), st.datetimes(
    datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_a_token_tells_how_its_holder_is_judged(epoch: int, slot: int, seconds: int, now: datetime) -> None:
    """Epoch, slot, lease and time of claim come back out of the text."""
    token = new_token(epoch, slot, seconds, now)
    again = parse_token(token.text)
    assert again == token
    assert (again.epoch, again.slot, again.lease_seconds) == (epoch, slot, seconds)
    assert abs((again.claimed_at - now).total_seconds()) <= 0.001


def test_no_two_tokens_are_equal() -> None:
    """64 random bits: the same instant, epoch and slot still make two tokens."""
    now = datetime.now(UTC)
    assert len({new_token(1, 1, 60, now).text for _ in range(1000)}) == 1000


@given(printable, st.integers(1, 10**6), st.integers(0, 3600))
def test_a_claim_is_told_by_its_name_alone(worker: str, attempt: int, seconds: int) -> None:
    """Everything about a lease stands in the path of its file."""
    now = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
    token = new_token(3, 2, seconds, now)
    lease = Lease(ID, worker, attempt, token.text, seconds, token.claimed_at)
    try:
        folder, name = claim_name(lease).split("/")
    except InvalidRequest:
        return
    assert parse_claim(folder, name) == lease


@pytest.mark.parametrize("name", [
    f"{ID}.json", f"{ID}~1.json", f"{ID}~x~1-1-1-1-1.json", f"{ID}~1~1-1-1-1-1.txt", f"{ID.upper()}~1~1-1-1-1-1.json",
    f"{ID}~1~../../x.json", f"{ID}~1~{'f' * 40}-1-1-1-1.json", ".DS_Store", "",
])
def test_other_names_are_no_claims(name: str) -> None:
    """A strange file below claimed/ is nobody's lease."""
    assert parse_claim("w", name) is None


def test_ids_and_temporary_names() -> None:
    """``<lower-case UUID>.json`` is a task; dot files, tmp names and other endings are left alone."""
    assert id_of(f"{ID}.json") == ID
    for name in (f"{ID.upper()}.json", f"{ID}.JSON", f"{ID}.json.tmp", f"x{ID}.json", "../../etc.json", f"{ID}.json\n"):
        assert id_of(name) is None
    for name in (".x.json", "~x.json", "tmp1.json", "_x.json", f"{ID}.json.part", "x"):
        assert is_temporary(name)
    assert not is_temporary("note.json")


@pytest.mark.parametrize(("name", "owner"), [
    ("3-17-5.json", (3, 17)), ("12-1-x", (12, 1)), ("x-1-2.json", (0, 0)), ("٣-1-2.json", (0, 0)), ("1.json", (0, 0)),
    (f"{'9' * 30}-1-1.json", (0, 0)),
])
def test_the_owner_of_a_temporary_file_stands_in_its_name(name: str, owner: tuple[int, int]) -> None:
    """Any other name belongs to nobody."""
    assert owner_of(name) == owner


def test_ids_rise_in_the_order_they_were_made() -> None:
    """Plain ``ls`` is the order of arrival; every id is a lower-case UUIDv7."""
    ids = [IdMaker()() for _ in range(3)]
    maker = IdMaker()
    ids = [maker() for _ in range(5000)]
    assert ids == sorted(set(ids))
    assert all(is_task_id(one) and one[14] == "7" and one[19] in "89ab" for one in ids)


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_go_there_and_back(instant: datetime) -> None:
    """RFC 3339 with microseconds and Z."""
    assert from_text(to_text(instant)) == instant
    assert to_text(instant).endswith("Z")


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone of a running process cannot be set here")
@pytest.mark.parametrize(("zone", "hour"), [("KST-9", 3), ("UTC0", 12), ("EST5", 17)])
def test_a_time_without_offset_is_the_machines_own(zone: str, hour: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old library writes the clock on its wall: its tasks must not stand behind those of the next nine hours."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert from_text("2026-01-02T12:04:05") == datetime(2026, 1, 2, hour, 4, 5, tzinfo=UTC)
        assert from_text("2026-01-02T12:04:05+09:00") == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "yesterday", ""])
def test_a_time_that_is_none_is_a_value_error(text: str) -> None:
    """Also one that exists in its own zone and in no calendar of ours."""
    with pytest.raises(ValueError):
        from_text(text)
