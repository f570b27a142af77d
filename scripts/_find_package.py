"""What every script here does first: find the package beside it, and say what to do when its parts are missing."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
"""The project's folder."""
NEEDED = ("click", "filelock", "flask", "psutil", "requests", "uvicorn", "watchdog", "websockets")


def find_package() -> None:
    """Make ``import taskspool`` work from any folder, in the environment that `bootstrap.py` made or one like it.

    Raises ImportError with a sentence when a dependency is missing. An installed taskspool goes before the one here.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        bootstrap = Path("scripts") / "bootstrap.py"
        place = HERE / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        raise ImportError(f"this Python ({sys.executable}) lacks {', '.join(missing)}\n"
                          f"  hint: run: python {bootstrap} run     and then start scripts with {place}")
    if importlib.util.find_spec("taskspool") is None:
        sys.path.insert(0, str(HERE / "src"))


def prepare() -> None:
    """``find_package``, and what a script that is started (not imported) needs beside it.

    The queues are in this project's `outputs`, from whichever folder the script is started; a console of another
    code page shows `?` for a letter it does not know.
    """
    try:
        find_package()
    except ImportError as error:
        sys.exit(f"error: {error}")
    os.environ.setdefault("TASKSPOOL_ROOT", str(HERE / "outputs"))
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace", line_buffering=True)
