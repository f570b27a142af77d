"""The commands of the documents, as their readers would start them.

A fenced block is run when the line before it is `<!-- run -->`. The port of the bridge is put in for 8091; all else is
taken as it stands.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from house.source import PROJECT
from service import environment

_BLOCK = re.compile(r"^<!-- run -->\s*\n```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LANGUAGES = {"bash", "python", "powershell"}


@dataclass(frozen=True)
class Snippet:
    page: str
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.page}:{self.line}:{self.language}"


def snippets(*pages: str) -> list[Snippet]:
    """The blocks that are to be run, in reading order."""
    found = []
    for page in pages:
        text = (PROJECT / page).read_text(encoding="utf-8")
        found += [Snippet(page, text.count("\n", 0, match.start()) + 2, match[1], match[2])
                  for match in _BLOCK.finditer(text)]
    return found


@dataclass(frozen=True)
class Reader:
    """Somebody who types the commands in: in the project's folder, with the environment's commands on the PATH."""

    port: int
    root: Path
    commands: Path

    def prepare(self) -> None:
        """`python` and `taskspool` are this Python and the package of this tree."""
        self.commands.mkdir()
        for name, arguments in (("python", ""), ("taskspool", "-m taskspool ")):
            command = self.commands / name
            command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {arguments}"$@"\n')
            command.chmod(0o755)

    def run(self, snippet: Snippet) -> subprocess.CompletedProcess[str]:
        """Type ``snippet`` in, to its end. A failing line of a shell snippet ends it."""
        text = re.sub(r"\b8091\b", str(self.port), snippet.text)
        starts = {"bash": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"],
                  "powershell": ["pwsh", "-NoProfile", "-NonInteractive", "-Command"]}
        own = environment(TASKSPOOL_ROOT=str(self.root))
        own["PATH"] = f"{self.commands}:{own['PATH']}"
        return subprocess.run([*starts[snippet.language], text], cwd=PROJECT, env=own, capture_output=True,
                              encoding="utf-8", timeout=60, stdin=subprocess.DEVNULL)


def is_missing(snippet: Snippet) -> str:
    """The program this machine lacks to run ``snippet``; empty when it can be run."""
    wanted = {"bash": ["bash"], "powershell": ["pwsh"], "python": []}[snippet.language]
    if snippet.language == "bash":
        wanted += [name for name in ("curl", "jq", "node", "pwsh") if re.search(rf"\b{name}\b", snippet.text)]
    return " ".join(name for name in wanted if shutil.which(name) is None)
