"""Builds of what lies in clients/, made from a copy: tests change a handler in it, and builds do not meet."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from service import PROJECT

CLIENTS = PROJECT / "clients"
NODE = shutil.which("node")


def copied(name: str, to: Path) -> Path:
    """A copy of clients/``name`` with the packages it is built with; skips the test where they are not installed."""
    source = CLIENTS / name
    packages = source / "node_modules"
    if NODE is None or not packages.is_dir():
        pytest.skip(f"no node on this machine, or no `npm ci` in clients/{name} yet")
    shutil.copytree(source, to, ignore=shutil.ignore_patterns("node_modules", "dist", "out", "build"))
    try:
        (to / "node_modules").symlink_to(packages, target_is_directory=True)
    except OSError:  # Windows lets only some people make links
        shutil.copytree(packages, to / "node_modules")
    return to


def built_client(to: Path) -> Path:
    """The TypeScript client, built in a copy."""
    copy = copied("typescript", to)
    node(copy, copy / "node_modules" / "typescript" / "bin" / "tsc", "-p", "tsconfig.json")
    return copy


def node(folder: Path, *arguments: str | Path, **more: str) -> str:
    """What ``node ARGUMENTS`` said; AssertionError with all of it when it did not end well."""
    done = subprocess.run([NODE or "node", *map(str, arguments)], cwd=folder, capture_output=True, encoding="utf-8",
                          timeout=100, env={**os.environ, **more}, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
