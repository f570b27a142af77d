"""A stranger's copy of the project: what a clone would hold, in a folder with a space in its name."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from service import PROJECT

ROOMS = ("src", "scripts", "tests", "docs", "benchmarks")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".*_cache")


def copy_project(folder: Path) -> Path:
    """The project's files in ``folder / "a strange place"``."""
    place = folder / "a strange place"
    place.mkdir()
    for room in ROOMS:
        shutil.copytree(PROJECT / room, place / room, ignore=LEFT_OUT)
    for file in PROJECT.glob("*"):
        if file.is_file():
            shutil.copy2(file, place)
    return place


def strangers_environment(**more: str) -> dict[str, str]:
    """The environment of somebody who has none of our variables set."""
    own = {name: value for name, value in os.environ.items()
           if not name.startswith(("TASKSPOOL_", "PYTHON", "VIRTUAL_ENV", "PYTEST_"))}
    return {**own, **more}
