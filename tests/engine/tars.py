"""Tars made by hand, the good ones and the others."""

from __future__ import annotations

import io
import json
import tarfile

from engine.foreign import ID

TASK = json.dumps({"type": "ping", "data": {}}).encode()
RESULT = json.dumps({"status": "success", "data": {"by": "tar"}}).encode()
READY, DONE, RESULTS = (f"{folder}/{ID.format(1)}.json" for folder in ("tasks", "done", "results"))


def tar_of(*members: tuple[str | tarfile.TarInfo, bytes], format_: int = tarfile.USTAR_FORMAT) -> io.BytesIO:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=format_) as tar:
        for name, content in members:
            member = tarfile.TarInfo(name) if isinstance(name, str) else name
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    stream.seek(0)
    return stream


def special(kind: bytes, name: str = READY, target: str = "/etc/passwd") -> tarfile.TarInfo:
    """A member that is no plain file."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member
