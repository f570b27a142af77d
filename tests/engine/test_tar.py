"""What nobody's export wrote: refused as a whole, by the name of the member, before anything of it comes in."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.foreign import ID
from engine.tars import READY, TASK, special, tar_of
from taskspool.engine.lifecycle import Queue
from taskspool.engine.tar import content_of, members
from taskspool.errors import InvalidRequest


def sized(size: int) -> io.BytesIO:
    """A header that promises so many bytes, and little behind it."""
    member = tarfile.TarInfo(READY)
    member.size = size
    return io.BytesIO(member.tobuf(tarfile.GNU_FORMAT) + bytes(1024))


HOSTILE: dict[str, tuple[Callable[[], io.BytesIO], str]] = {
    "a way out": (lambda: tar_of(("../../etc/passwd", TASK)), "../../etc/passwd"),
    "a way out behind a folder": (lambda: tar_of((f"tasks/../{READY}", TASK)), "tasks/../"),
    "an absolute name": (lambda: tar_of((f"/{READY}", TASK)), "/tasks"),
    "another drive": (lambda: tar_of(("C:\\x", TASK)), "C:"),
    "a name of no folder of ours": (lambda: tar_of((f"bin/{ID.format(1)}.json", TASK)), "bin/"),
    "a claim": (lambda: tar_of((f"claimed/w/{ID.format(1)}~1~1-9-3c-1-00.json", TASK)), "claimed/"),
    "a lock": (lambda: tar_of(("locks/slot-1.lock", TASK)), "locks/"),
    "an id that is none": (lambda: tar_of((f"tasks/{'-' * 36}.json", TASK)), "tasks/---"),
    "a key among the tasks": (lambda: tar_of((f"tasks/{'0' * 64}.json", TASK)), "tasks/000"),
    "an id among the keys": (lambda: tar_of((f"keys/{ID.format(1)}.json", TASK)), "keys/"),
    "an upper-case id": (lambda: tar_of((READY.upper(), TASK)), "TASKS"),
    "a symbolic link": (lambda: tar_of((special(tarfile.SYMTYPE), b"")), "symbolic link"),
    "a hard link": (lambda: tar_of((special(tarfile.LNKTYPE), b"")), "hard link"),
    "a device": (lambda: tar_of((special(tarfile.CHRTYPE), b"")), "a device"),
    "a pipe": (lambda: tar_of((special(tarfile.FIFOTYPE), b"")), "a pipe"),
    "a sparse file": (lambda: tar_of((special(tarfile.GNUTYPE_SPARSE), b"")), "sparse"),
    "an unknown kind": (lambda: tar_of((special(b"Z"), b"")), "no plain file"),
    "an extended header": (lambda: tar_of(("한글" * 60, TASK), format_=tarfile.PAX_FORMAT), "extended header"),
    "a long name": (lambda: tar_of(("x" * 200, TASK), format_=tarfile.GNU_FORMAT), "long name"),
    "a strange folder": (lambda: tar_of((special(tarfile.DIRTYPE, "etc"), b"")), "etc"),
    "a huge file": (lambda: sized(1 << 40), "1099511627776 bytes"),
    "a file of less than nothing": (lambda: sized(-512), "-512 bytes"),
    "an empty file": (lambda: tar_of((READY, b"")), "0 bytes"),
    "a tar that is cut off": (lambda: io.BytesIO(tar_of((READY, TASK)).getvalue()[:700]), "ends"),
    "a tar without its end": (lambda: io.BytesIO(tar_of((READY, TASK)).getvalue()[:1024]), "ends before its end"),
    "a compressed tar": (lambda: io.BytesIO(gzip.compress(tar_of((READY, TASK)).getvalue() * 40)), "ends|no tar"),
    "no tar": (lambda: io.BytesIO(b"hello " * 200), "no tar"),
    "nothing": (io.BytesIO, "ends"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_tar_is_refused_as_a_whole(elsewhere: Queue, tmp_path: Path, what: str) -> None:
    """The member is named, and nothing of the tar comes in, not even what stood before it."""
    make, named = HOSTILE[what]
    tar = make()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InvalidRequest, match=named) as caught:
        elsewhere.store.bring_in(tar)
    assert caught.value.details["field"] == "tar"
    good = tar_of((f"tasks/{ID.format(2)}.json", TASK)).getvalue()[:1024]
    with pytest.raises(InvalidRequest):
        elsewhere.store.bring_in(io.BytesIO(good + tar.getvalue()))
    assert [path for path in sorted(tmp_path.rglob("*")) if path not in before and "index" not in path.name] == []


def test_a_tar_that_grows_shorter_is_noticed() -> None:
    """Between the look through and the reading of one member."""
    tar = tar_of((READY, TASK))
    [member] = members(tar, lambda _: 1000, frozenset())
    assert content_of(tar, member) == TASK
    with pytest.raises(InvalidRequest, match="ends within"):
        content_of(io.BytesIO(tar.getvalue()[:520]), member)
