"""Importing does nothing: no file is written, no thread started, no socket opened, no process begun."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from service import PROJECT, SOURCE, environment

MODULES = sorted(".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
                 for path in SOURCE.rglob("*.py"))
SCRIPTS = sorted(path.stem for path in (PROJECT / "scripts").glob("*.py"))

SPY = """
import sys, json, os, threading
seen = []
WATCHED = {"os.mkdir", "os.rename", "os.remove", "os.link", "os.symlink", "os.truncate", "os.chmod", "socket.__new__",
           "socket.bind", "socket.connect", "subprocess.Popen", "os.fork", "os.system", "_thread.start_new_thread",
           "sqlite3.connect", "signal.signal", "shutil.rmtree", "tempfile.mkstemp", "tempfile.mkdtemp"}
def spy(event, arguments):
    writes = event == "open" and (isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
             or (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    if writes or event in WATCHED:
        seen.append(f"{event} {arguments[:2]!r}"[:300])
sys.dont_write_bytecode = True
for name in json.loads(sys.argv[2]):   # what others do when imported is theirs: it is imported before we look
    __import__(name)
sys.addaudithook(spy)
threading.Thread.start = lambda thread: seen.append(f"thread {thread.name}")
for name in json.loads(sys.argv[1]):
    __import__(name)
    if seen:
        print(name, seen)
        sys.exit(1)
"""
OTHERS = ["alembic.command", "asyncio", "click", "click.shell_completion", "filelock", "flask", "flask_swagger_ui",
          "httptools", "multiprocessing", "prometheus_client", "pydantic", "requests", "sqlalchemy.orm",
          "uvicorn", "uvicorn.logging", "uvicorn.protocols.http.httptools_impl",
          "uvicorn.protocols.websockets.websockets_sansio_impl", "watchdog.events", "watchdog.observers"]


def import_watched(names: list[str], folder: Path, *extra: Path) -> subprocess.CompletedProcess[str]:
    path = environment()["PYTHONPATH"] + "".join(f"{':' if sys.platform != 'win32' else ';'}{each}" for each in extra)
    return subprocess.run([sys.executable, "-c", SPY, json.dumps(names), json.dumps(OTHERS)], cwd=folder,
                          capture_output=True, text=True, timeout=60, env=environment(PYTHONPATH=path))


def test_importing_every_module_does_nothing(tmp_path: Path) -> None:
    """No module of the package writes, connects, forks, starts a thread or makes a folder when imported."""
    done = import_watched([name for name in MODULES if not name.endswith("__main__")], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


def test_importing_the_old_library_opens_no_folder(tmp_path: Path) -> None:
    """`from shared_task_queue import ...` is cheap: nothing is made before the first call. So with every script."""
    done = import_watched(SCRIPTS, tmp_path, PROJECT / "scripts")
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("deed", ["open('x', 'w')", *(pytest.param(deed, marks=pytest.mark.slow) for deed in (
    "import os; os.mkdir('d')", "import socket; socket.socket()",
    "import threading; threading.Thread(target=print).start()"))])
def test_the_spy_sees(tmp_path: Path, deed: str) -> None:
    """A module that does something when imported is caught: the spy has eyes."""
    (tmp_path / "busy.py").write_text(deed)
    assert import_watched(["busy"], tmp_path, tmp_path).returncode == 1
