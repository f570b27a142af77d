"""The names of a folder that may hold a million of them, a slice at a time. Beside ``files``, for what is only read."""

from __future__ import annotations

import os
from collections.abc import Iterator

from taskspool.engine.files import translate

SLICE = 1000


def slices_of(folder: str, size: int = SLICE) -> Iterator[list[str]]:
    """The names in no order, up to ``size`` at once; nothing when the folder is not there.

    What comes or goes meanwhile may or may not be told. Raises StoreUnavailable.
    """
    try:
        with os.scandir(folder) as entries:
            names: list[str] = []
            for entry in entries:
                names.append(entry.name)
                if len(names) >= size:
                    yield names
                    names = []
            yield names
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise translate(error, f"list {folder}") from error
