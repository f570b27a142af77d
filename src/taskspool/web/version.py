"""Which taskspool this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def installed_version() -> str:
    """The installed version; ``0+source`` in a source tree that is not installed."""
    try:
        return version("taskspool")
    except PackageNotFoundError:
        return "0+source"
