"""The project's own environment, `.venv`: made when it is missing, filled when what is needed has changed."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bootstrapping.children import Stopping, run_to_end

NO_NETWORK = ("name resolution", "getaddrinfo", "NewConnectionError", "Failed to establish", "Network is unreachable",
              "No route to host", "ProxyError", "ConnectTimeout", "Connection refused", "Read timed out")
DEPENDENCIES = {"run": ["-r", "requirements.txt"], "test": [".[test]"]}


class Failed(Exception):
    """What failed, as a sentence; ``hint`` says what a person can do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Environment:
    """`.venv` in ``folder``."""

    def __init__(self, folder: Path, stopping: Stopping) -> None:
        self.folder = folder
        self.stopping = stopping
        self.place = folder / ".venv"
        self.python = self.place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def ready(self, purpose: str) -> Path:
        """The environment's Python, with all that ``purpose`` (run or test) needs. Raises Failed, Interrupted."""
        if self._is_stamped(purpose):
            return self.python
        if not self._is_usable():
            self._make()
        self._install(purpose)
        return self.python

    def _make(self) -> None:
        missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
        if missing:
            raise Failed(f"this Python ({sys.executable}) has no {' and no '.join(missing)}", install_venv_hint())
        print(f"making {self.place} with {sys.executable}")
        code, said = self._run([sys.executable, "-m", "venv", "--clear", str(self.place)])
        if code != 0:
            shutil.rmtree(self.place, ignore_errors=True)
            raise Failed(f"could not make {self.place}:\n{last_lines(said)}", install_venv_hint())

    def _install(self, purpose: str) -> None:
        print(f"installing what `{purpose}` needs (this may take a minute)")
        pip = [str(self.python), "-m", "pip", "--disable-pip-version-check", "--no-input"]
        code, said = self._run([*pip, "--version"])
        if code != 0:
            raise Failed(f"there is no pip in {self.place}:\n{last_lines(said)}",
                         f"delete {self.place} and start again; {install_venv_hint()}")
        install = [*pip, "install", "--retries", "2", "--timeout", "20"]
        for arguments in (DEPENDENCIES[purpose], ["--no-deps", "-e", "."]):
            code, said = self._run([*install, *arguments])
            if code != 0:
                raise Failed(f"pip could not install {' '.join(arguments)}:\n{last_lines(said)}", why_pip_failed(said))
        self._stamp_file(purpose).write_text(self._stamp(purpose), encoding="utf-8")

    def _run(self, arguments: list[str]) -> tuple[int, str]:
        """Exit code and everything said. Written to a file, so that no full pipe can hold the command up."""
        with tempfile.TemporaryFile() as output:
            code = run_to_end(arguments, self.stopping, cwd=self.folder, output=output.fileno())
            output.seek(0)
            return code, output.read().decode("utf-8", "replace")

    def _is_usable(self) -> bool:
        """Whether the Python in `.venv` starts, is the one that runs now, and has pip."""
        if not self.python.is_file():
            return False
        question = "import sys, pip; print('%d.%d' % sys.version_info[:2])"
        try:
            asked = subprocess.run([str(self.python), "-c", question], capture_output=True, text=True, timeout=60,
                                   check=False)
        except OSError:
            return False
        return asked.stdout.strip() == "{}.{}".format(*sys.version_info)

    def _is_stamped(self, purpose: str) -> bool:
        """Whether all that is needed now was installed before. What tests need covers what running needs."""
        purposes = ["test"] if purpose == "test" else ["run", "test"]
        return self.python.exists() and any(
            file.is_file() and file.read_text(encoding="utf-8") == self._stamp(each)
            for each in purposes for file in [self._stamp_file(each)])

    def _stamp_file(self, purpose: str) -> Path:
        return self.place / f"installed-for-{purpose}"

    def _stamp(self, purpose: str) -> str:
        """Changes whenever an installation made before is not the right one any more."""
        said = [purpose, str(self.folder), sys.version]
        said += [(self.folder / name).read_text(encoding="utf-8") for name in ("pyproject.toml", "requirements.txt")]
        return hashlib.sha256("\0".join(said).encode()).hexdigest()


def last_lines(said: str, count: int = 12) -> str:
    return "\n".join(f"  | {line}" for line in said.strip().splitlines()[-count:]) or "  | (it said nothing)"


def why_pip_failed(said: str) -> str:
    """What a person can do about it, by what pip said."""
    if any(sign in said for sign in NO_NETWORK):
        return ("the package index was not reached: is there a network? Behind a proxy set HTTPS_PROXY; with a mirror "
                "set PIP_INDEX_URL; with a folder of wheels set PIP_NO_INDEX=1 and PIP_FIND_LINKS=<folder>")
    if "No space left" in said:
        return "the disk is full"
    if "externally-managed" in said or "Permission denied" in said:
        return "the environment cannot be written to: who owns it?"
    return "the lines above are pip's own; the same command may be started again"


def install_venv_hint() -> str:
    version = "{}.{}".format(*sys.version_info)
    if sys.platform == "linux":
        return f"on Debian and Ubuntu: apt install python{version}-venv; elsewhere a Python from python.org has both"
    return "install Python from https://www.python.org/downloads/, which brings venv and pip"
