"""The TypeScript package: where it is, whether this machine can build it, and the commands that do."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from filelock import FileLock

from service import PROJECT

PACKAGE = PROJECT / "clients" / "typescript"
COMPILER = PACKAGE / "node_modules" / "typescript" / "bin" / "tsc"
NODE = shutil.which("node") or ""
LACKS = ("" if NODE and COMPILER.exists() else
         "no node on this machine" if not NODE else "clients/typescript has no node_modules: npm ci there")


def node(*arguments: str | Path, seconds: float = 110, cwd: Path = PACKAGE,
         **more: str) -> subprocess.CompletedProcess[str]:
    """``node ARGUMENTS``, run to its end."""
    return subprocess.run([NODE, *map(str, arguments)], cwd=cwd, capture_output=True, encoding="utf-8",
                          timeout=seconds, env={**os.environ, **more})


def compiled(project: str, *options: str) -> None:
    """Build what ``project`` (a tsconfig file) names; one process at a time."""
    with FileLock(PACKAGE / "node_modules" / ".building.lock"):
        done = node(COMPILER, "-p", project, *options)
    assert done.returncode == 0, done.stdout + done.stderr


def built() -> Path:
    """``dist/`` of the sources as they are now."""
    compiled("tsconfig.json")
    return PACKAGE / "dist"
