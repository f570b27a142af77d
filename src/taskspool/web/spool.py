"""Large bodies go to a file while they come: a hundred uploads at once cost disk, not memory.

The file has no name, so nothing is left of it when the process dies. What is small stays in memory.
"""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Awaitable, Callable, MutableMapping
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, cast

from taskspool.errors import StoreFull, StoreUnavailable, TaskspoolError

PIECE_BYTES = 1 << 20
"""So much is gathered in memory before it is written, by a thread."""
LEAST_BYTES_PER_SECOND = 1 << 20
"""A body may take as long as it would at this pace, beside what every body may take."""
MOST_AT_ONCE = 16
"""So many large bodies are read at the same time; who comes then is asked to come back."""

Run = Callable[..., Awaitable[Any]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class TooManyUploads(StoreUnavailable):
    """As many large bodies as there may be are being read."""


class Spool:
    """Reads large bodies, of which ``folder`` (made when it is needed) takes the files; None: the system's own."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._count = 0

    async def read(self, receive: Receive, limit: int, drain_bytes: int, run: Run) -> tuple[BinaryIO | None, int, bool]:
        """(the body from its beginning, its length, whether it was read to its end). None: larger than ``limit``.

        ``run`` calls a function in a thread. Raises ConnectionResetError when the client left, StoreUnavailable,
        StoreFull.
        """
        if self._count >= MOST_AT_ONCE:
            raise TooManyUploads(f"{MOST_AT_ONCE} large bodies are being read: try again in a moment")
        self._count += 1
        body = _Body(self._folder, run)
        try:
            return await self._collect(body, receive, limit, drain_bytes)
        except OSError as error:
            body.close()
            raise _refused(error) from error
        except BaseException:  # cut off, too slow, or the server stops: nobody will read it
            body.close()
            raise
        finally:
            self._count -= 1

    async def _collect(self, body: _Body, receive: Receive, limit: int,
                       drain_bytes: int) -> tuple[BinaryIO | None, int, bool]:
        total = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise ConnectionResetError
            chunk: bytes = message.get("body", b"")
            total += len(chunk)
            is_end = not message.get("more_body")
            if total > limit:
                body.close()
                if is_end or total > limit + drain_bytes:
                    return None, total, is_end
                continue
            await body.add(chunk)
            if is_end:
                return await body.whole(), total, True


class _Body:
    """What has come so far: in memory up to a piece, then in a file."""

    def __init__(self, folder: Path | None, run: Run) -> None:
        self._folder = folder
        self._run = run
        self._piece: list[bytes] = []
        self._piece_bytes = 0
        self._file: BinaryIO | None = None

    async def add(self, chunk: bytes) -> None:
        self._piece.append(chunk)
        self._piece_bytes += len(chunk)
        if self._piece_bytes >= PIECE_BYTES:
            await self._run(self._write)

    async def whole(self) -> BinaryIO:
        if self._file is None:
            return BytesIO(b"".join(self._piece))
        await self._run(self._write)
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        self._piece.clear()
        if self._file is not None:
            self._file.close()

    def _write(self) -> None:
        if self._file is None:
            if self._folder is not None:
                for each in (self._folder.parent, self._folder):
                    each.mkdir(mode=0o700, parents=True, exist_ok=True)
            made = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115  # closed by whoever reads it
            self._file = cast("BinaryIO", made)
        piece = memoryview(b"".join(self._piece))
        while piece:
            piece = piece[self._file.write(piece):]
        self._piece.clear()
        self._piece_bytes = 0


def seconds_for(limit: int) -> float:
    """How much longer than any other body one of up to ``limit`` bytes may take."""
    return limit / LEAST_BYTES_PER_SECOND


def _refused(error: OSError) -> TaskspoolError:
    if isinstance(error, ConnectionResetError):
        raise error
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull("there is no room on the disk for this body", hint="free some, and send it again")
    return StoreUnavailable(f"the disk refused this body: {error.strerror}")
