"""Tar files of plain files, written and read strictly: what is not a plain file with a name of ours is refused.

Written are POSIX ustar headers, which every tar reads. Read are single headers of 512 bytes, by ``TarInfo.frombuf``:
no links, devices, long names, extended headers or sparse files, so that nothing in a tar can make its reader write
elsewhere, or use more memory than one member may have.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from taskspool.errors import InvalidRequest

BLOCK = 512
_KINDS = {
    tarfile.LNKTYPE: "a hard link", tarfile.SYMTYPE: "a symbolic link", tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device", tarfile.FIFOTYPE: "a pipe", tarfile.CONTTYPE: "a contiguous file",
    tarfile.GNUTYPE_LONGNAME: "a long name", tarfile.GNUTYPE_LONGLINK: "a long link",
    tarfile.GNUTYPE_SPARSE: "a sparse file", tarfile.XHDTYPE: "an extended header",
    tarfile.XGLTYPE: "an extended header", tarfile.SOLARIS_XHDTYPE: "an extended header",
}
HINT = "import reads what `taskspool export` wrote: a plain, uncompressed tar of the queue's own files"


@dataclass(frozen=True, slots=True)
class Member:
    """One file in a tar. ``at`` is where its content begins."""

    name: str
    at: int
    size: int


class Writer:
    """Adds plain files to ``stream``, one after the other; it is whole once closed."""

    def __init__(self, stream: IO[bytes], written_at: int) -> None:
        self._stream = stream
        self._written_at = written_at

    def add(self, name: str, content: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.mtime = len(content), 0o600, self._written_at
        self._stream.write(member.tobuf(tarfile.USTAR_FORMAT))
        self._stream.write(content + bytes(-len(content) % BLOCK))

    def close(self) -> None:
        self._stream.write(bytes(2 * BLOCK))


def members(stream: IO[bytes], allows: Callable[[str], int], folders: frozenset[str]) -> Iterator[Member]:
    """Every file in the tar that begins where ``stream`` stands, which must be seekable.

    ``allows(name)`` is the number of bytes a file of this name may have, 0 for a name that is not allowed; ``folders``
    are those that may be named besides. Raises InvalidRequest naming the first member that breaks a rule.
    """
    while (header := stream.read(BLOCK)) != bytes(BLOCK):
        if len(header) < BLOCK:
            raise _refusal("it ends before its end", "a whole tar")
        found = _header(header)
        name = found.name.removeprefix("./")
        if found.type == tarfile.DIRTYPE:
            if name.rstrip("/") not in folders:
                raise _refusal(f"{found.name!r} is a folder that no queue has", "plain files")
            continue
        if found.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            raise _refusal(f"{found.name!r} is {_KINDS.get(found.type, 'no plain file')}", "plain files")
        limit = allows(name)
        if not limit:
            raise _refusal(f"{found.name!r} is not the name of a file of a queue", "names of a queue's files")
        if not 0 < found.size <= limit:
            raise _refusal(f"{found.name!r} has {found.size} bytes", f"1..{limit} bytes")
        yield Member(name, stream.tell(), found.size)
        stream.seek(stream.tell() + found.size + -found.size % BLOCK)


def content_of(stream: IO[bytes], member: Member) -> bytes:
    """Raises InvalidRequest when the tar ends within it."""
    stream.seek(member.at)
    content = stream.read(member.size)
    if len(content) < member.size:
        raise _refusal(f"it ends within {member.name!r}", "a whole tar")
    return content


def _header(block: bytes) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise _refusal(f"it is no tar, or a damaged or compressed one ({error})", "a plain tar") from error


def _refusal(what: str, rule: str) -> InvalidRequest:
    return InvalidRequest(f"this tar is refused: {what}", field="tar", rule=rule, hint=HINT)
