"""One database of tagged tasks has one queue: where two roots shared it, each would take the other's tasks for lost.

The root's mark is a file in it; the database keeps a copy. The database under a root belongs to that root anyway.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from taskspool.engine import files
from taskspool.errors import RefusedToStart
from taskspool.records.database import Database
from taskspool.records.models.tagged import TaggedCursor
from taskspool.settings import Settings

MARK = "tagged_home"
MAX_MARK_BYTES = 100


def refuse_foreign_rows(database: Database, settings: Settings) -> None:
    """Raise RefusedToStart unless the tagged tasks of ``database`` are those of this root, or nobody's yet."""
    if not settings.database_url:
        return
    mark = _mark_of(settings.root)

    def kept(session: Session) -> str:
        row = session.get(TaggedCursor, MARK)
        if row is None:
            row = TaggedCursor(name=MARK, value=mark)
            session.add(row)
        return row.value

    try:
        home = database.run(kept)
    except IntegrityError:  # another root came first, this moment: its mark is there now
        home = database.run(kept)
    if home != mark:
        raise RefusedToStart(
            f"the tagged tasks of {database.name} belong to another root, whose queue has their work",
            hint="serve them there, or name another database; if that root is gone for ever, remove the row named "
                 f"{MARK} from the table tagged_cursors")


def _mark_of(root: Path) -> str:
    """Made when there is none; of two that make it at once, the first counts."""
    path = root / MARK
    if not path.exists():
        new = root / f".{MARK}-{uuid4()}"
        files.write_new(str(new), str(uuid4()).encode(), sync=True)
        with suppress(FileExistsError):
            files.publish(str(new), str(path))
        files.discard(str(new))
    return files.read(str(path), MAX_MARK_BYTES)[0].decode()
