"""The only module that touches the disk: what a failure leaves, what a read refuses, and what Windows does."""

from __future__ import annotations

import errno
import os
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from taskspool.engine import files
from taskspool.errors import StoreFull, StoreUnavailable, TaskspoolError

posix_only = pytest.mark.skipif(os.name == "nt", reason="links, pipes and modes of POSIX")


class FailingOs:
    """``os``, but for some functions."""

    def __init__(self, **functions: Callable[..., Any]) -> None:
        self._functions = functions

    def __getattr__(self, name: str) -> Any:
        return self._functions.get(name) or getattr(os, name)


def failing(code: int) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(code, os.strerror(code))

    return fail


def test_a_new_file_is_whole_and_ours_alone(tmp_path: Path) -> None:
    """Content as given, mode 0600 whatever the umask says."""
    before = os.umask(0)
    try:
        files.write_new(str(tmp_path / "x"), b"abc" * 1000, sync=True)
    finally:
        os.umask(before)
    assert (tmp_path / "x").read_bytes() == b"abc" * 1000
    if os.name != "nt":
        assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o600


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that took only some bytes is not taken for the whole."""
    monkeypatch.setattr(files, "os", FailingOs(write=lambda descriptor, content: os.write(descriptor, content[:7])))
    files.write_new(str(tmp_path / "x"), bytes(range(256)), sync=False)
    assert (tmp_path / "x").read_bytes() == bytes(range(256))


@pytest.mark.parametrize("function", ["write", "fsync", "close"])
@pytest.mark.parametrize(("code", "expected"), [
    (errno.ENOSPC, StoreFull), (errno.EDQUOT, StoreFull), (errno.EIO, StoreUnavailable),
    (errno.EROFS, StoreUnavailable)])
def test_a_write_that_failed_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, code: int,
                                            expected: type[TaskspoolError]) -> None:
    """507 when there is no room, 503 otherwise; the half file is gone, and so is its descriptor."""
    def fail(descriptor: int, *_: Any) -> None:
        if function == "close":
            os.close(descriptor)
        failing(code)()

    monkeypatch.setattr(files, "os", FailingOs(**{function: fail}))
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    with pytest.raises(expected) as caught:
        files.write_new(str(tmp_path / "x"), b"abc", sync=True)
    assert type(caught.value) is expected
    assert list(tmp_path.iterdir()) == []
    if before:
        assert len(os.listdir("/proc/self/fd")) == before


def test_a_name_that_is_taken_is_never_written_over(tmp_path: Path) -> None:
    """A new file is new: O_EXCL, and no link is followed."""
    (tmp_path / "x").write_text("mine")
    with pytest.raises(StoreUnavailable):
        files.write_new(str(tmp_path / "x"), b"abc", sync=False)
    assert (tmp_path / "x").read_text() == "mine"


@pytest.mark.parametrize("action", [
    lambda path: files.write_new(path + "/x", b"", sync=False), lambda path: files.move(path, path + "2"),
    lambda path: files.publish(path, path + "2"), files.file_number, files.touch, lambda path: files.read(path, 10),
])
def test_what_is_gone_is_an_answer_and_not_a_failure(tmp_path: Path, action: Callable[[str], Any]) -> None:
    """FileNotFoundError passes through: somebody was faster."""
    with pytest.raises(FileNotFoundError):
        action(str(tmp_path / "gone"))


def test_looking_at_what_is_not_there_finds_nothing(tmp_path: Path) -> None:
    """No names, no time of change, not there, nothing discarded."""
    gone = str(tmp_path / "gone")
    assert (files.names(gone), files.changed_at(gone), files.exists(gone)) == ([], 0, False)
    assert (files.discard(gone), files.remove_folder(gone)) == (False, False)


def test_publish_has_one_winner(tmp_path: Path) -> None:
    """Of sixteen who want the same name at once one gets it; the others hear FileExistsError and keep their file."""
    for number in range(16):
        (tmp_path / f"{number}").write_text(str(number))
    gate, won, lost = threading.Barrier(16), [], []

    def publish(number: int) -> None:
        gate.wait(10)
        try:
            files.publish(str(tmp_path / f"{number}"), str(tmp_path / "name"))
            won.append(number)
        except FileExistsError:
            lost.append(number)

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (len(won), len(lost)) == (1, 15)
    assert (tmp_path / "name").read_text() == str(won[0])
    assert sorted(int(one.name) for one in tmp_path.iterdir() if one.name != "name") == sorted(lost)


FUNCTIONS: dict[str, Callable[[str], Any]] = {
    "rename": lambda path: files.move(path, path + "2"), "link": lambda path: files.publish(path, path + "2"),
    "lstat": files.file_number, "listdir": files.names, "stat": files.changed_at,
    "utime": files.touch, "makedirs": files.make_folder, "open": lambda path: files.read(path, 10),
    "read": lambda path: files.read(path, 10), "fstat": lambda path: files.read(path, 10),
}


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(("code", "expected"), [(errno.EIO, StoreUnavailable), (errno.ENOSPC, StoreFull),
                                                (errno.EMFILE, StoreUnavailable)])
def test_every_other_refusal_is_translated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, code: int,
                                           expected: type[TaskspoolError]) -> None:
    """No OSError of the disk leaves the engine: 503 or 507, saying what was being done."""
    (tmp_path / "x").write_text("abc")
    monkeypatch.setattr(files, "os", FailingOs(**{function: failing(code)}))
    with pytest.raises(expected) as caught:
        FUNCTIONS[function](str(tmp_path / "x"))
    assert type(caught.value) is expected
    assert "x" in caught.value.message


@posix_only
@pytest.mark.parametrize("kind", ["link", "broken link", "pipe", "folder", "socket", "hard link", "large", "device"])
@pytest.mark.timeout(10)
def test_a_read_refuses_what_is_no_plain_file_of_ours(tmp_path: Path, kind: str) -> None:
    """A link is not followed, a pipe is not waited for, a device not read, a second name not believed."""
    path = tmp_path / "x"
    (tmp_path / "other").write_text("secret")
    if kind == "link":
        path.symlink_to(tmp_path / "other")
    elif kind == "broken link":
        path.symlink_to(tmp_path / "nowhere")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    elif kind == "hard link":
        os.link(tmp_path / "other", path)
    elif kind == "large":
        path.write_bytes(b"x" * 11)
    else:
        path = Path("/dev/zero")
    with pytest.raises(files.NotRegular):
        files.read(str(path), 10, only_link=True)


def test_a_read_gives_content_and_number(tmp_path: Path) -> None:
    """The number changes with the content and with the file, and not otherwise; empty files are read too."""
    path = tmp_path / "x"
    path.write_bytes(b"")
    assert files.read(str(path), 10) == (b"", files.file_number(str(path)))
    path.write_bytes(b"abc")
    content, number = files.read(str(path), 10)
    assert (content, number) == (b"abc", files.file_number(str(path)))
    os.utime(path, ns=(1, 1))
    assert files.file_number(str(path)) != number


def test_a_hard_link_is_read_where_it_does_not_matter(tmp_path: Path) -> None:
    """Only foreign tasks must have one name: results are published by a link."""
    (tmp_path / "other").write_text("abc")
    os.link(tmp_path / "other", tmp_path / "x")
    assert files.read(str(tmp_path / "x"), 10)[0] == b"abc"


def test_a_read_in_pieces_is_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may give a few bytes at a time."""
    (tmp_path / "x").write_bytes(bytes(range(200)))
    monkeypatch.setattr(files, "os", FailingOs(read=lambda descriptor, size: os.read(descriptor, min(size, 7))))
    assert files.read(str(tmp_path / "x"), 1000)[0] == bytes(range(200))


class Windows:
    """Raises as Windows does while another program has the file open, for the first ``times`` calls."""

    def __init__(self, call: Callable[..., Any], winerror: int, times: int) -> None:
        self.calls = 0
        self._call, self._winerror, self._times = call, winerror, times

    def __call__(self, *arguments: Any) -> Any:
        self.calls += 1
        if self.calls <= self._times:
            error = PermissionError(errno.EACCES, "in use")
            error.winerror = self._winerror
            raise error
        return self._call(*arguments)


@pytest.fixture
def on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "IS_WINDOWS", True)
    monkeypatch.setattr(files, "SHARING_PAUSE_SECONDS", 0.0001)


@pytest.mark.usefixtures("on_windows")
@pytest.mark.parametrize("winerror", [5, 32, 33])
@pytest.mark.parametrize("function", ["replace", "rename"])
def test_a_file_in_use_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, winerror: int,
                                      function: str) -> None:
    """Sharing violations of Windows pass after a few tries, for a move and for a publish."""
    (tmp_path / "x").write_text("abc")
    shim = Windows(getattr(os, function), winerror, 5)
    monkeypatch.setattr(files, "os", FailingOs(**{function: shim}))
    (files.move if function == "replace" else files.publish)(str(tmp_path / "x"), str(tmp_path / "y"))
    assert shim.calls == 6
    assert (tmp_path / "y").read_text() == "abc"


@pytest.mark.usefixtures("on_windows")
def test_a_file_in_use_for_ever_is_a_clear_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tries are counted; then it is a 503. Another PermissionError is not tried again at all."""
    (tmp_path / "x").write_text("abc")
    for winerror, tries in ((32, files.SHARING_RETRIES + 1), (19, 1)):
        shim = Windows(os.replace, winerror, 10_000)
        monkeypatch.setattr(files, "os", FailingOs(replace=shim))
        with pytest.raises(StoreUnavailable):
            files.move(str(tmp_path / "x"), str(tmp_path / "y"))
        assert shim.calls == tries
    assert (tmp_path / "x").read_text() == "abc"


@pytest.mark.usefixtures("on_windows")
def test_a_publish_on_windows_refuses_a_taken_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There ``rename`` raises FileExistsError, which is the answer; it is not tried again."""
    def rename(source: str, target: str) -> None:
        raise FileExistsError(errno.EEXIST, "exists")

    monkeypatch.setattr(files, "os", FailingOs(rename=rename))
    with pytest.raises(FileExistsError):
        files.publish(str(tmp_path / "x"), str(tmp_path / "y"))


def test_a_lock_keeps_two_processes_apart(tmp_path: Path) -> None:
    """Two lock tables on one path are two processes: the second waits until the first is done."""
    tables = [files.ShardLocks(str(tmp_path / "move")) for _ in range(2)]
    inside, most, gate = [0], [0], threading.Barrier(8)
    for table in tables:
        table.open()

    def enter(number: int) -> None:
        gate.wait(10)
        for _ in range(50):
            with tables[number % 2].of("same name"):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    threads = [threading.Thread(target=enter, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for table in tables:
        table.close()
    assert most[0] == 1


def test_a_refused_lock_is_a_503_and_is_free_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without working locks makes the call fail, and the next one that succeeds is not blocked by it."""
    table = files.ShardLocks(str(tmp_path / "move"))
    table.open()
    with monkeypatch.context() as patch:
        patch.setattr(files, "_lock", failing(errno.ENOLCK))
        with pytest.raises(StoreUnavailable), table.of("x"):
            pass
    with table.of("x"):
        pass
    table.close()
