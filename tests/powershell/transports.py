"""The two transports of PowerShell, for machines without PowerShell.

Windows PowerShell 5.1 speaks through .NET Framework's HttpWebRequest: Mono has the same class. PowerShell 7 speaks
through .NET Core: Python packages carry its runtime. Both run the one program Exchange.cs.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
MONO = "5.1: HttpWebRequest of Mono"
CORE = "7: HttpWebRequest of .NET Core"
ANSWER_SECONDS = 60.0
"""How long a test waits for anything."""


@dataclass(frozen=True)
class Answer:
    """``status`` 0: there was none, and ``text`` says why."""

    status: int
    retry_after: str
    task_status: str
    content_type: str
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)


class Transport:
    """A process that exchanges what it is told, one after another."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def send(self, mode: str, method: str, address: str, content: bytes | None = None, *,
             headers: Mapping[str, str] | str = "", seconds: float = ANSWER_SECONDS) -> Answer:
        """``mode`` module: as the module does. shell: as Invoke-RestMethod does; ``headers`` is its content type."""
        if not isinstance(headers, str):
            headers = "|".join(f"{name}={value}" for name, value in headers.items())
        body = "-" if content is None else base64.b64encode(content).decode()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\t".join([mode, method, address, str(seconds), headers, body]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the transport has ended"
        status, retry_after, task_status, content_type, text = line.rstrip("\n").split("\t")
        return Answer(int(status), retry_after, task_status, content_type, base64.b64decode(text).decode("utf-8"))


def is_missing(name: str) -> str:
    """What this machine lacks for a transport; empty when it has all."""
    if missing := " ".join(each for each in ("mcs", "mono") if shutil.which(each) is None):
        return f"{missing}: apt-get install mono-runtime mono-mcs libmono-system4.0-cil"
    lacking = [each for each in ("dotnetcore2", "pythonnet") if name == CORE and importlib.util.find_spec(each) is None]
    return f"{' '.join(lacking)}: pip install dotnetcore2 pythonnet" if lacking else ""


@contextmanager
def transport(name: str, folder: Path) -> Iterator[Transport]:
    """One of the two, in a process of its own."""
    program = folder / "exchange.exe"
    done = subprocess.run(["mcs", f"-out:{program}", str(HERE / "Exchange.cs")], capture_output=True, text=True,
                          timeout=ANSWER_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    start = ["mono", str(program)] if name == MONO else [sys.executable, str(HERE / "net_core.py"), str(program)]
    with subprocess.Popen(start, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="ascii") as process:
        try:
            yield Transport(process)
        finally:
            process.kill()
