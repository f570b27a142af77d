"""The folder of uploads: what is in it is whole and safe, what a crash left goes, and names lead nowhere."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from fake_clock import FakeClock
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import Client

from taskspool.doors.managed.dialect import DIALECT
from taskspool.doors.managed.uploads_folder import PENDING, PENDING_SECONDS, UploadsFolder, safe_name
from taskspool.doors.managed.uploads_kinds import Kind
from taskspool.doors.managed.uploads_routes import upload_routes
from taskspool.engine.lifecycle import Queue, open_queue
from taskspool.engine.options import Options
from taskspool.engine.task import NewTask
from taskspool.errors import InvalidRequest, QueueFull, StoreFull, StoreUnavailable, TaskspoolError
from taskspool.settings import Settings
from taskspool.web.app import build_app


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue(tmp_path: Path, clock: FakeClock) -> Iterator[Queue]:
    opened = open_queue(Settings(root=tmp_path, queue="managed", durability="fast"), clock=clock)
    yield opened
    opened.close()


def kept_in(folder: UploadsFolder, name: str = "a.txt") -> Any:
    one = folder.begin(name)
    one.file.write(b"text")
    return folder.keep(one, "kb")


def test_what_a_crash_left_is_swept(tmp_path: Path, queue: Queue, clock: FakeClock) -> None:
    """An hour later a part and a file without a task are gone; a file whose task came is kept, and loses its mark."""
    folder = UploadsFolder(tmp_path, queue, keep_bytes=1 << 20, is_durable=False)
    part, lone, known = folder.begin("part.txt"), kept_in(folder, "lone.txt"), kept_in(folder, "known.txt")
    part.file.close()
    os.utime(part.path, (clock.now().timestamp(),) * 2)
    queue.enqueue(NewTask("document_processing", {"upload_id": known.upload_id}, options=Options(group="kb")))
    assert folder.sweep() == 0, "too early"
    clock.advance(PENDING_SECONDS + 1)
    assert folder.sweep() == 2
    assert not part.path.exists()
    assert not lone.path.parent.exists()
    assert [path.name for path in known.path.parent.iterdir()] == ["known.txt"]
    assert folder.sweep() == 0


def test_a_torn_mark_is_no_obstacle(tmp_path: Path, queue: Queue, clock: FakeClock) -> None:
    """A mark that a power cut left half written counts from when it was written."""
    folder = UploadsFolder(tmp_path, queue, keep_bytes=1 << 20, is_durable=False)
    kept = kept_in(folder)
    mark = kept.path.with_name(PENDING)
    mark.write_text('{"kb_')
    os.utime(mark, (clock.now().timestamp(),) * 2)
    clock.advance(PENDING_SECONDS + 1)
    assert folder.sweep() == 1
    assert not kept.path.parent.exists()


def test_a_file_is_safe_before_its_task_is_there(tmp_path: Path, queue: Queue) -> None:
    """With strict durability the content, the mark, and the names of file and folder are on the disk, in that order."""
    flushed: list[str] = []

    def flush(descriptor: int) -> None:
        flushed.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))

    folder = UploadsFolder(tmp_path, queue, keep_bytes=1 << 20, is_durable=True, flush=flush)
    one = folder.begin("a.txt")
    one.file.write(b"text")
    place = folder.keep(one, "kb").path.parent
    assert flushed == [str(one.path), str(place / PENDING), str(place), str(folder.folder)]


@pytest.mark.parametrize("number", range(4))
def test_a_disk_that_fails_leaves_nothing(tmp_path: Path, queue: Queue, number: int) -> None:
    """Whichever flush fails, the upload is refused (503), and neither file nor mark is left."""
    left = [number]

    def flush(_descriptor: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.EIO, "Input/output error")

    folder = UploadsFolder(tmp_path, queue, keep_bytes=1 << 20, is_durable=True, flush=flush)
    one = folder.begin("a.txt")
    one.file.write(b"text")
    with pytest.raises(StoreUnavailable):
        folder.keep(one, "kb")
    folder.forget(one)
    assert [path for path in folder.folder.rglob("*") if path.name != "tmp"] == []


@pytest.mark.parametrize(("error", "names"), [
    (InvalidRequest("no"), []), (QueueFull("full"), []), (StoreFull("full"), []),
    (StoreUnavailable("the answer of the disk was lost"), ["a.txt", PENDING])])
def test_a_file_goes_only_when_it_is_certain_that_no_task_has_it(tmp_path: Path, queue: Queue, error: TaskspoolError,
                                                                 names: list[str]) -> None:
    """A submit that is refused takes the file with it; after one that may have worked the sweep decides."""
    def submit(bodies: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        raise error

    chosen = Settings(root=tmp_path, queue="managed", durability="fast")
    client = Client(build_app("uploads", chosen, upload_routes(queue, chosen, submit), dialect=DIALECT))
    reply = client.post("/api/v1/uploads/file", data={"kb_id": "kb", "file": (io.BytesIO(b"text"), "a.txt")})
    found = sorted(path.name for path in (tmp_path / "uploads").rglob("*") if path.is_file())
    assert found == names
    assert reply.status_code == (503 if isinstance(error, StoreUnavailable) else 400)


@pytest.mark.parametrize(("name", "safe"), [
    ("../../etc/passwd", "passwd.txt"), ("C:\\temp\\my report.PDF", "my_report.txt"), ("", "document.txt"),
    ("..", "document.txt"), ("CON.txt", "document_CON.txt"), ("com1", "document_com1.txt"), (".hidden", "hidden.txt"),
    ("a\r\nb\0c.md", "a_b_c.txt"), ("핑.docx", "핑.txt"), ("a" * 300, "a" * 80 + ".txt"), ("x.tar.gz", "x_tar.txt")])
def test_names_become_safe(name: str, safe: str) -> None:
    """What a client calls a file never leads anywhere, on any system."""
    assert safe_name(name, Kind.TEXT) == safe


@settings(max_examples=50)
@given(st.text(max_size=300))
def test_any_name_becomes_safe(name: str) -> None:
    """Whatever the name: one plain part of a path, of bounded length, with our suffix."""
    made = safe_name(name, Kind.PDF)
    assert made.endswith(".pdf")
    assert len(made.encode()) <= 255
    assert not set(made[:-4]) & set('/\\:*?"<>|.\0\n\r ')
    assert not made.startswith(".")
