"""A path is read safely, whatever it leads to."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from taskspool.jobs import opening
from taskspool.jobs.opening import path_of, read_file
from taskspool.worker.handlers import GiveUp, Retry

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders, and few links")
ID = "00000000-0000-7000-8000-000000000001"


@pytest.mark.timeout(20)
@POSIX
@pytest.mark.usefixtures("root")
def test_a_named_pipe_does_not_hang(tmp_path: Path) -> None:
    """A pipe without a writer, a folder and a device are refused in words, and nothing waits."""
    os.mkfifo(tmp_path / "pipe")
    for path, what in ((tmp_path / "pipe", "a named pipe"), (tmp_path, "a folder"), (Path(os.devnull), "a device")):
        with pytest.raises(GiveUp, match=f"this is {what}, not a file"):
            read_file(path)


@POSIX
@pytest.mark.usefixtures("root")
def test_a_link_is_no_document(tmp_path: Path) -> None:
    """The last part of a path is the file itself; a folder on the way may be a link."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").write_text("x")
    (tmp_path / "folder").symlink_to(tmp_path / "real")
    (tmp_path / "a").symlink_to(tmp_path / "real" / "a")
    assert read_file(tmp_path / "folder" / "a") == b"x"
    with pytest.raises(GiveUp, match="symbolic link"):
        read_file(tmp_path / "a")


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("path", ["relative.txt", "/no/such/file", "/etc/passwd/x", "/" + "a" * 300, "/half\ud800"])
def test_a_path_that_leads_nowhere_is_refused_for_good(path: str) -> None:
    """Missing, relative and impossible paths are a GiveUp that names them."""
    with pytest.raises(GiveUp) as caught:
        read_file(path_of(path, None))
    assert path[1:5] in str(caught.value)


@pytest.mark.usefixtures("root")
def test_what_passes_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is locked, or a disk that stumbles, is a Retry."""
    def locked(*_arguments: object) -> int:
        raise OSError(errno.EBUSY, "busy")

    (tmp_path / "a").write_text("x")
    monkeypatch.setattr(opening.os, "open", locked)
    with pytest.raises(Retry, match="it cannot be read now: busy"):
        read_file(tmp_path / "a")


@pytest.mark.usefixtures("root")
def test_a_file_has_a_greatest_size(tmp_path: Path) -> None:
    """A sparse file of terabytes is not read."""
    with (tmp_path / "a").open("wb") as file:
        file.truncate(opening.MAX_DOCUMENT_BYTES + 1)
    with pytest.raises(GiveUp, match="more than the 104857600 that are read"):
        read_file(tmp_path / "a")


@POSIX
def test_documents_are_read_below_the_roots_only(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With TASKSPOOL_DOCUMENT_ROOTS a path leads below one of them, links followed, or into the root itself."""
    allowed, other = tmp_path / "allowed", tmp_path / "other"
    for folder in (allowed, other, root / "uploads"):
        folder.mkdir(parents=True)
        (folder / "a").write_text("x")
    (allowed / "way-out").symlink_to(other)
    monkeypatch.setenv("TASKSPOOL_DOCUMENT_ROOTS", f"{tmp_path / 'nowhere'},{allowed}")
    assert read_file(allowed / "a") == read_file(root / "uploads" / "a") == b"x"
    for path in (other / "a", allowed / "way-out" / "a", allowed / ".." / "other" / "a"):
        with pytest.raises(GiveUp, match="TASKSPOOL_DOCUMENT_ROOTS"):
            read_file(path)


def test_an_upload_is_named_by_its_id(root: Path) -> None:
    """The one file in its folder; no file, or two, is told."""
    folder = root / "uploads" / ID
    with pytest.raises(GiveUp, match="it is not there"):
        path_of(None, ID)
    folder.mkdir(parents=True)
    (folder / "report.pdf").write_bytes(b"x")
    (folder / "pending.json").write_bytes(b"{}")
    (folder / ".part").write_bytes(b"x")
    assert path_of(None, ID) == folder / "report.pdf"
    (folder / "second.pdf").write_bytes(b"x")
    with pytest.raises(GiveUp, match="holds 2 files"):
        path_of(None, ID)
