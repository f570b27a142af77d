"""POST /api/v1/uploads/*: a file is safe before its task is there, and nothing is left of one that is refused."""

from __future__ import annotations

import io
import stat
import threading
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
from live_bridge import read_reply, request_bytes
from live_managed import LiveManaged, live_managed
from service import services
from waiting import eventually

from taskspool.doors.managed.uploads_kinds import kind_of
from taskspool.web.errors import UnsupportedMedia
from taskspool.web.spool import MOST_AT_ONCE

MAX_BYTES = 4 << 20


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveManaged]:
    """Takes files of up to 4 MiB."""
    with live_managed(tmp_path_factory.mktemp("uploads"), upload_max_bytes=MAX_BYTES) as one:
        yield one


def docx(*names: str, body: bytes = b"<w/>") -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names or ("[Content_Types].xml", "word/document.xml"):
            archive.writestr(name, body)
    return content.getvalue()


def upload(door: LiveManaged, content: bytes = b"Hello", name: str = "a.txt", *, path: str = "file",
           headers: dict[str, str] | None = None, **fields: str) -> requests.Response:
    return door.session.post(f"{door.url}/api/v1/uploads/{path}", data={"kb_id": "kb", **fields}, timeout=60,
                             files={"file": (name, content)}, headers=headers)


def everything_in(door: LiveManaged) -> list[str]:
    folder = door.settings.root / "uploads"
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(("content", "name", "kind"), [
    (b"%PDF-1.7 ...", "report.txt", "pdf"), (docx(), "letter.zip", "docx"), (b"plain", "a.txt", "txt"),
    (b"# Title", "notes.MD", "md"), (b"\xef\xbb\xbf\n<!DOCTYPE html><p>x", "page", "html"),
    ("안녕".encode("utf-16"), "korean.txt", "txt"), (b"#!/bin/sh\nrm -rf /", "run.sh", "txt")])
def test_a_file_becomes_a_task(door: LiveManaged, content: bytes, name: str, kind: str) -> None:
    """The answer is the new task; its payload names the file, whose suffix says what it holds."""
    reply = upload(door, content, name)
    assert reply.status_code == 201, reply.text
    task = reply.json()
    path = Path(task["payload"]["file_path"])
    assert (task["task_type"], task["status"], task["kb_id"], task["priority"]) == (
        "document_processing", "queued", "kb", "normal")
    assert (path.read_bytes(), path.suffix, task["kind"]) == (content, f".{kind}", kind)
    assert task["payload"] == {"file_path": str(path), "upload_id": task["upload_id"], "file_name": name,
                               "file_size": len(content)}
    assert door.told(task["id"])["payload"] == task["payload"]


def test_a_file_is_closed_to_others_and_cannot_be_run(door: LiveManaged) -> None:
    """0600 in a folder 0700 with a random name; no mark and no part is left beside it."""
    path = Path(upload(door).json()["payload"]["file_path"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.parent.parent == (door.settings.root / "uploads").absolute()
    assert list(path.parent.iterdir()) == [path]
    assert list((door.settings.root / "uploads" / "tmp").iterdir()) == []


def test_wishes_reach_the_task(door: LiveManaged) -> None:
    """Fields of the form are what the same keys are in POST /api/v1/tasks; chunk sizes go into the payload."""
    task = upload(door, priority="high", max_retries="5", timeout="60", chunk_size="500", chunk_overlap="50",
                  task_type="knowledge_indexing").json()
    assert [task[name] for name in ("priority", "max_retries", "timeout", "task_type")] == [
        "high", 5, 60, "knowledge_indexing"]
    assert (task["payload"]["chunk_size"], task["payload"]["chunk_overlap"]) == (500, 50)


@pytest.mark.parametrize(("fields", "field"), [
    ({"kb_id": ""}, "kb_id"), ({"kb_id": "k" * 37}, "kb_id"), ({"priority": "urgent"}, "priority"),
    ({"task_type": "shell"}, "task_type"), ({"chunk_size": "1e3"}, "chunk_size"), ({"timeout": "-"}, "timeout"),
    ({"max_retries": "9" * 30}, "max_retries"), ({"max_retries": "--5"}, "max_retries"),
    ({"chunk_size": "0"}, "chunk_size"), ({"chunk_overlap": "100000"}, "chunk_overlap"),
    ({"timeout": "\u00b2"}, "timeout"), ({"schedule_for": "tomorrow"}, "schedule_for")])
def test_a_field_that_breaks_its_rule_is_named(door: LiveManaged, fields: dict[str, str], field: str) -> None:
    """400, the field in the details, and nothing is left of the file."""
    before = everything_in(door)
    reply = upload(door, **fields)
    assert (reply.status_code, reply.json()["details"]["field"]) == (400, field), reply.text
    assert everything_in(door) == before


@pytest.mark.parametrize("content", [
    b"", b"\x7fELF\x02\x01\x01\0\0", b"MZ\x90\0", b"\x89PNG\r\n\x1a\n\0\0", docx("a.txt"), b"PK\x03\x04 torn",
    docx()[:-10]], ids=["empty", "elf", "exe", "png", "zip", "torn", "cut off"])
def test_what_is_no_document_is_refused(door: LiveManaged, content: bytes) -> None:
    """415 by content, whatever its name says, and nothing is left of it."""
    before = everything_in(door)
    reply = upload(door, content, "report.pdf")
    assert (reply.status_code, reply.json()["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE"), reply.text
    assert everything_in(door) == before


def test_an_archive_with_a_huge_list_is_not_read(tmp_path: Path) -> None:
    """A ZIP that lists more than 10,000 files is refused by its last bytes, before its list is read."""
    names = ("[Content_Types].xml", "word/document.xml", *map(str, range(10_001)))
    with pytest.raises(UnsupportedMedia):
        kind_of(io.BytesIO(docx(*names, body=b"")), "a.docx")


def test_too_large_is_refused_in_bounds(door: LiveManaged) -> None:
    """413 for a file over the limit, told or found out while it comes, and nothing is left of it."""
    before = everything_in(door)
    said = upload(door, b"x" * (MAX_BYTES + 100_000))
    assert (said.status_code, said.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")
    just = upload(door, b"x" * (MAX_BYTES + 1))
    assert (just.status_code, just.json()["details"]["field"]) == (413, "file")
    assert upload(door, b"x" * MAX_BYTES).status_code == 201
    head = request_bytes("POST", "/api/v1/uploads/file", Content_Type="multipart/form-data; boundary=b",
                         Content_Length=str(1 << 40), Expect="100-continue")
    assert door.raw(head).status == 413
    assert len(everything_in(door)) == len(before) + 1


def test_other_addresses_stay_small(door: LiveManaged) -> None:
    """What an upload may weigh, a submit may not."""
    reply = door.post("/api/v1/tasks", {"task_type": "health_check", "kb_id": "kb", "payload": {"x": "x" * 2_000_000}})
    assert reply.status_code == 413


def test_a_large_body_is_not_held_in_memory(door: LiveManaged) -> None:
    """While a body comes it lies in a file without a name below the root."""
    boundary, size = b"--b\r\n", 3 << 20
    start = (b'Content-Disposition: form-data; name="kb_id"\r\n\r\nkb\r\n--b\r\n'
             b'Content-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n')
    body = boundary + start + b"x" * size + b"\r\n--b--\r\n"
    request = request_bytes("POST", "/api/v1/uploads/file", body, Content_Type="multipart/form-data; boundary=b")
    with door.connect() as connection:
        connection.sendall(request[:-100])
        eventually(lambda: size * 0.6 < open_temporary_bytes(door), why="the body goes to a file as it comes")
        connection.sendall(request[-100:])
        assert read_reply(connection).status == 201
    assert open_temporary_bytes(door) == 0


def open_temporary_bytes(door: LiveManaged) -> int:
    """What this process has in files without a name below the root."""
    place, total = str(door.settings.root.absolute()), 0
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            target = str(descriptor.readlink())
            if target.startswith(place) and target.endswith("(deleted)"):
                total += descriptor.stat().st_size
        except FileNotFoundError:
            continue
    return total


def test_a_client_that_leaves_leaves_nothing(door: LiveManaged) -> None:
    """A connection that is cut in the middle of a body makes no task, and no file is left open."""
    before = everything_in(door)
    request = request_bytes("POST", "/api/v1/uploads/file", b"x" * (3 << 20),
                            Content_Type="multipart/form-data; boundary=b")
    with door.connect() as connection:
        connection.sendall(request[:-1000])
        eventually(lambda: open_temporary_bytes(door) > 0)
    eventually(lambda: open_temporary_bytes(door) == 0, why="the file is closed")
    assert everything_in(door) == before


def test_a_body_that_does_not_say_its_length_is_read(door: LiveManaged) -> None:
    """Sent in chunks, it is a file like any other, and bounded like any other."""
    start = (b'--b\r\nContent-Disposition: form-data; name="kb_id"\r\n\r\nkb\r\n'
             b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n')
    for count, status in ((3, 201), (6, 413)):
        pieces = iter([start, *[b"x" * (1 << 20)] * count, b"\r\n--b--\r\n"])
        reply = door.session.post(f"{door.url}/api/v1/uploads/file", data=pieces, timeout=30,
                                  headers={"Content-Type": "multipart/form-data; boundary=b"})
        assert reply.status_code == status, reply.text


def test_only_so_many_large_bodies_come_at_once(door: LiveManaged) -> None:
    """While sixteen are on their way a seventeenth is asked to come back; it may as soon as one has left."""
    head = request_bytes("POST", "/api/v1/uploads/file", Content_Type="multipart/form-data; boundary=b",
                         Content_Length="1000000")
    with ExitStack() as clients:
        connections = [clients.enter_context(door.connect()) for _ in range(MOST_AT_ONCE)]
        for connection in connections:
            connection.sendall(head + b"--b\r\n")
        eventually(lambda: upload(door).status_code == 503, why="all seats are taken")
        refused = upload(door)
        assert (refused.json()["code"], refused.headers["Retry-After"]) == ("SERVICE_UNAVAILABLE", "1")
        connections[0].close()
        eventually(lambda: upload(door).status_code == 201, why="one has left")


@pytest.mark.parametrize("body", [b"", b"garbage", b"--b\r\nno header\r\n--b--\r\n",
                                  b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx'])
def test_a_broken_form_is_a_clear_400(door: LiveManaged, body: bytes) -> None:
    """A form that cannot be read, or ends early, is told so; it makes no task."""
    before = everything_in(door)
    reply = door.session.post(f"{door.url}/api/v1/uploads/file", data=body, timeout=20,
                              headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert (reply.status_code, reply.json()["code"]) == (400, "INVALID_REQUEST"), reply.text
    assert everything_in(door) == before


def test_what_is_no_form_is_refused(door: LiveManaged) -> None:
    """JSON and plain bytes are 415: the file itself is wanted, as a form."""
    for content_type in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
        reply = door.session.post(f"{door.url}/api/v1/uploads/file", data=b'{"a":1}', timeout=20,
                                  headers={"Content-Type": content_type})
        assert reply.status_code == 415, reply.text


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.com"}, {"Origin": "null"},
                                     {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}])
def test_a_form_of_another_site_is_refused(door: LiveManaged, headers: dict[str, str]) -> None:
    """A page can send a form anywhere without asking: it is known by its Origin or Sec-Fetch-Site."""
    before = everything_in(door)
    for path in ("file", "batch"):
        assert upload(door, path=path, headers=headers).status_code == 403
    assert everything_in(door) == before


def test_several_files_all_or_none(door: LiveManaged) -> None:
    """A batch makes a task for each file, in order; one bad file, and none is there."""
    url, fields = f"{door.url}/api/v1/uploads/batch", {"kb_id": "kb", "priority": "low"}
    good = [("files", (f"{number}.md", b"# %d" % number)) for number in range(3)]
    reply = door.session.post(url, data=fields, files=good, timeout=30)
    assert (reply.status_code, reply.json()["count"]) == (201, 3), reply.text
    assert [task["file_name"] for task in reply.json()["tasks"]] == ["0.md", "1.md", "2.md"]
    assert {task["priority"] for task in reply.json()["tasks"]} == {"low"}
    before = everything_in(door)
    refused = door.session.post(url, data=fields, files=[*good, ("files", ("x", b"\0"))], timeout=30)
    assert refused.status_code == 415
    assert door.session.post(url, data=fields, files={"kb_id": (None, "kb")}, timeout=30).status_code == 400
    many = [("files", (f"{number}.md", b"x")) for number in range(101)]
    assert door.session.post(url, data=fields, files=many, timeout=30).status_code == 400
    assert everything_in(door) == before


def test_one_address_takes_one_file(door: LiveManaged) -> None:
    """Two files at /file are refused, and kept nowhere."""
    before = everything_in(door)
    files = [("file", ("a.txt", b"a")), ("file", ("b.txt", b"b"))]
    reply = door.session.post(f"{door.url}/api/v1/uploads/file", data={"kb_id": "kb"}, files=files, timeout=30)
    assert (reply.status_code, reply.json()["details"]["field"]) == (400, "file")
    assert everything_in(door) == before


def test_a_url_is_never_fetched(door: LiveManaged) -> None:
    """/uploads/url says no and why, whatever it is asked."""
    for body in ({"url": "http://169.254.169.254/latest"}, {}):
        reply = door.post("/api/v1/uploads/url", body)
        assert (reply.status_code, reply.json()["code"]) == (403, "URL_UPLOADS_REFUSED")


def test_figures_tell_what_is_there(tmp_path: Path) -> None:
    """Files and bytes, and how much there may be; a full folder takes no more, and says so."""
    with live_managed(tmp_path, uploads_keep_bytes=2000) as one:
        assert upload(one, b"x" * 600).status_code == 201
        told = one.get("/api/v1/uploads/stats").json()
        assert told == {"total_files": 1, "total_size": 600, "max_total_size": 2000, "max_file_size": 104_857_600}
        reply = upload(one, b"x" * 1500)
        assert (reply.status_code, reply.json()["code"]) == (503, "SERVICE_UNAVAILABLE"), reply.text
        assert "TASKSPOOL_UPLOADS_KEEP_BYTES" in reply.json()["details"]["hint"]
        assert len(everything_in(one)) == 1


def test_a_full_queue_leaves_no_file(tmp_path: Path) -> None:
    """503 QUEUE_FULL, and nothing of the file is left."""
    with live_managed(tmp_path, managed_max_waiting=1) as one:
        assert upload(one).status_code == 201
        reply = upload(one)
        assert (reply.status_code, reply.json()["code"]) == (503, "QUEUE_FULL"), reply.text
        assert len(everything_in(one)) == 1


@pytest.mark.slow
def test_many_large_uploads_at_once_cost_no_memory(tmp_path: Path) -> None:
    """Eight uploads of 32 MiB at the same time: the server grows by a fraction of one of them."""
    def resident_bytes(process_id: int) -> int:
        lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
        return max(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))

    content = b"text " * (32 << 20 >> 2)
    with services(tmp_path) as started:
        server = started.start("-m", "taskspool", "serve", "managed", "--port", "0", "--root", tmp_path / "root")
        url = f"http://127.0.0.1:{server.port()}/api/v1/uploads/file"
        small = requests.post(url, data={"kb_id": "kb"}, files={"file": ("a.txt", b"x")}, timeout=60)
        assert small.status_code == 201, small.text
        before = resident_bytes(server.process.pid)
        answers: list[int] = []

        def send() -> None:
            reply = requests.post(url, data={"kb_id": "kb"}, files={"file": ("a.txt", content)}, timeout=100)
            answers.append(reply.status_code)

        threads = [threading.Thread(target=send) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(110)
        eventually(lambda: len(answers) == 8)
        grown = resident_bytes(server.process.pid) - before
    assert answers == [201] * 8
    assert grown < 48 << 20, f"{grown >> 20} MiB for 8 uploads of {len(content) >> 20} MiB"
