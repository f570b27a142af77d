"""The command line of `bootstrap.py`: what was asked, and how a failure is told."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from pathlib import Path

from bootstrapping.children import Interrupted, Stopping, run_to_end
from bootstrapping.environment import Environment, Failed
from bootstrapping.first_run import first_run

HERE = Path(__file__).resolve().parents[2]
"""The project's folder."""


def command(arguments: list[str]) -> int:
    """Do what ``arguments`` ask; the exit code."""
    asked, rest = parser().parse_known_args(arguments)
    if rest and asked.what != "test":
        parser().error(f"unknown: {' '.join(rest)}")
    speak_utf8()
    stopping = Stopping()
    environment = Environment(HERE, stopping)
    try:
        if asked.what == "test":
            return test(environment, [*rest, *(["--all"] if asked.all else [])])
        python = environment.ready("run")
        return first_run(python, asked.root.resolve(), asked.port, asked.once, stopping)
    except Failed as failed:
        print(f"error: {failed}", file=sys.stderr)
        if failed.hint:
            print(f"  hint: {failed.hint}", file=sys.stderr)
        return 1
    except Interrupted:
        print("stopped before it was done", file=sys.stderr)
        return 130


AT_ONCE = ["-n", "2", "--dist", "loadfile"]
"""Everyday tests run in two processes, a file in one of them: each has its own folders and ports."""


def parser() -> argparse.ArgumentParser:
    """What may be asked."""
    parser = argparse.ArgumentParser(prog="bootstrap.py", description="Set up, run and test taskspool.")
    kinds = parser.add_subparsers(dest="what", required=True, metavar="run | test")
    run = kinds.add_parser("run", help="start a bridge and a worker, send a ping, stay up until Ctrl-C")
    run.add_argument("--once", action="store_true", help="stop after the ping; exit 0 only if the answer came")
    run.add_argument("--port", type=port_number, default=8091, help="port of the bridge (8091)")
    run.add_argument("--root", type=Path, default=HERE / "outputs", help="folder that holds the queues (outputs)")
    test = kinds.add_parser("test", help="run the tests; further arguments go to pytest")
    test.add_argument("--all", action="store_true", help="the slow tests too (also: TASKSPOOL_SLOW=1)")
    return parser


def port_number(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 65_535:
        raise argparse.ArgumentTypeError(f"a port is a number in 1..65535, not {text!r}")
    return int(text)


def test(environment: Environment, arguments: list[str]) -> int:
    """pytest over everything but the slow tests, unless those, or other tests, were asked for."""
    python = environment.ready("test")
    return run_to_end([str(python), "-m", "pytest", *pytest_arguments(arguments)], environment.stopping,
                      cwd=environment.folder)


def pytest_arguments(arguments: list[str]) -> list[str]:
    """What pytest gets: the everyday tests, unless all, or some by ``-m``, were asked for."""
    wants_all = "--all" in arguments or os.environ.get("TASKSPOOL_SLOW", "") not in ("", "0")
    others = [argument for argument in arguments if argument not in ("--all", "--")]
    if wants_all or any(argument.startswith("-m") for argument in others):
        return others
    return ["-m", "not slow", *AT_ONCE, *others]


def speak_utf8() -> None:
    """A console of another code page shows `?` instead of ending this command with an error."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace", line_buffering=True)
