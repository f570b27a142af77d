"""Any program as a handler: it is started for each task, told of it, listened to, and ended with all it has started.

    told        the task as JSON on stdin and in the environment (program_task)
    heard       stdout and stderr, line by line: the live log, progress, checkpoints (program_lines)
    result      the JSON in the file TASKSPOOL_RESULT_FILE names, else the last line of stdout, else null
    exit code   0 done · 75 try again later · 65 give up (EX_TEMPFAIL and EX_DATAERR of sysexits.h) · any other, or a
                signal: failed, tried again as the task allows
    stopped     cancelled, out of time, lease lost, worker stopping: SIGTERM, then SIGKILL, for all its processes
    worker dead the guard ends what it left
"""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from taskspool.engine.task import JsonValue
from taskspool.errors import InvalidRequest, RefusedToStart, TaskspoolError
from taskspool.worker.contact import Cancelled
from taskspool.worker.context import GiveUp, Retry, TaskContext
from taskspool.worker.guard import Guard
from taskspool.worker.process_tree import OWN_TREE, end_tree
from taskspool.worker.program_lines import Lines, json_of, progress_of, text_of
from taskspool.worker.program_task import RESULT_FILE, environment, task_line

EX_TEMPFAIL = 75
EX_DATAERR = 65
MAX_RESULT_BYTES = 1_048_576
READERS_SECONDS = 5.0
"""How long the last lines are waited for, when a process that hides from us still has the pipe open."""
HASTY_GRACE_SECONDS = 0.25
"""The grace when the task may soon be begun elsewhere: lease lost, time over, or the worker's own grace over."""


class Program:
    """``command``, run for each task; ``run`` is the handler, for any number of threads.

    ``grace_seconds``: how long a program that is to stop has to obey. ``has_directives``: whether lines of stdout that
    begin with ``::progress`` and ``::checkpoint`` are taken as such.
    """

    def __init__(self, command: Sequence[str], guard: Guard, *, grace_seconds: float, has_directives: bool = True,
                 max_result_bytes: int = MAX_RESULT_BYTES) -> None:
        self.command = command
        self.grace_seconds = grace_seconds
        self.has_directives = has_directives
        self.max_result_bytes = max_result_bytes
        self._guard = guard

    def run(self, data: JsonValue, context: TaskContext) -> JsonValue:
        """One task. Raises Retry, GiveUp, Cancelled."""
        with self._guard.watching() as (mark, folder):
            result_file = folder / "result.json"
            told = _Told(task_line(data, context), environment(data, context, result_file, mark), mark)
            return _Run(self, context, result_file).run(told)

    run.stops_itself = True  # type: ignore[attr-defined]  # a word to the worker: it ends by itself, wait for it


def found(name: str) -> str:
    """The program ``name`` means, as it is to be started. Raises RefusedToStart when there is none."""
    path = shutil.which(name)
    if path is None:
        is_there = Path(name).exists()
        raise RefusedToStart(f"{name} {'cannot be executed' if is_there else 'is not found'}",
                             hint="chmod +x, or name its interpreter: -- sh FILE" if is_there
                             else "give the whole path, or look at PATH")
    return path if sys.platform == "win32" else name


@dataclass(frozen=True, slots=True)
class _Told:
    """What a program is told: the line on its stdin, its environment, and the mark that stands in this too."""

    line: bytes
    environ: Mapping[str, str]
    mark: str


@dataclass(frozen=True, slots=True)
class _Ears:
    """Who listens to a program, and what they heard."""

    out: Lines
    err: Lines
    threads: Sequence[threading.Thread]


class _Run:
    """One run of the program."""

    def __init__(self, program: Program, context: TaskContext, result_file: Path) -> None:
        self._program = program
        self._context = context
        self._result_file = result_file
        self._has_ended = False
        self._happened = threading.Event()
        """It has ended, or is to stop."""

    def run(self, told: _Told) -> JsonValue:
        """Start it, wait for its end or for the wish that it stops, and leave nothing behind."""
        self._context.raise_if_cancelled()
        try:
            process = subprocess.Popen(self._program.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, env=told.environ, **OWN_TREE)
        except (OSError, ValueError) as error:
            raise Retry(None, f"{self._name} cannot be started: {error}") from error
        waiter = self._thread(self._wait_for_end, process)
        ears = self._listen(process, told.line)
        with self._context.contact.calling_at_end(self._happened.set):
            self._happened.wait()
        is_stopped = not self._has_ended
        try:
            end_tree(process.pid, self._grace_seconds(), told.mark)  # what it left running, if it has ended by itself
        finally:
            waiter.join()
            code = process.wait()
        for thread in ears.threads:
            thread.join(READERS_SECONDS)
        if is_stopped:  # whatever it says: it was not let finish
            raise Cancelled
        return self._end(code, ears)

    def _grace_seconds(self) -> float:
        if self._context.stop_reason in (None, "cancelled"):
            return self._program.grace_seconds
        return min(HASTY_GRACE_SECONDS, self._program.grace_seconds)

    @property
    def _name(self) -> str:
        return Path(self._program.command[0]).name

    # -- beside it -----------------------------------------------------------------------------------------------

    def _thread(self, work: Callable[..., object], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=work, args=arguments, name=f"program-{self._context.task_id}", daemon=True)
        thread.start()
        return thread

    def _wait_for_end(self, process: subprocess.Popen[bytes]) -> None:
        """Where it can be, the program is left as a zombie: its number is not given to another until we are done."""
        try:
            if sys.platform != "win32" and hasattr(os, "waitid"):
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            else:
                process.wait()
        finally:
            self._has_ended = True
            self._happened.set()

    def _listen(self, process: subprocess.Popen[bytes], line: bytes) -> _Ears:
        log, limit = self._context.log, self._program.max_result_bytes
        out = Lines(lambda text: log(text, "out"), limit,
                    self._take_directive if self._program.has_directives else None)
        err = Lines(lambda text: log(text, "err"), limit)
        assert process.stdin is not None  # noqa: S101  # all three are pipes: it was asked for above
        assert process.stdout is not None  # noqa: S101  # the same
        assert process.stderr is not None  # noqa: S101  # the same
        self._thread(_tell, process.stdin, line)
        return _Ears(out, err, [self._thread(out.read, process.stdout), self._thread(err.read, process.stderr)])

    def _take_directive(self, text: str) -> bool:
        """Whether ``text`` is one. What is none, however alike, is a line like any other."""
        word, _, rest = text.partition(" ")
        if word == "::progress":
            said = progress_of(rest)
            if said is not None:
                self._context.progress(*said)
            return said is not None
        if word != "::checkpoint":
            return False
        try:
            self._context.checkpoint(json_of(rest))
        except ValueError:
            return False
        except (InvalidRequest, Cancelled) as error:
            self._context.log(f"a checkpoint was not kept: {error}")
        except TaskspoolError as error:
            self._context.log(f"a checkpoint could not be kept: {error}")
        return True

    # -- how it ended --------------------------------------------------------------------------------------------

    def _end(self, code: int, ears: _Ears) -> JsonValue:
        if code == 0:
            return self._result(ears.out)
        how = f"signal {-code}, {_signal_name(-code)}" if code < 0 else f"exit code {code}"
        last = "" if ears.err.is_last_too_long else ears.err.last.strip()
        text = f"{last} ({how})" if last else f"{self._name} ended with {how}"
        if code == EX_DATAERR:
            raise GiveUp(text)
        raise Retry(_retry_after(ears.out.last) if code == EX_TEMPFAIL else None, text)

    def _result(self, out: Lines) -> JsonValue:
        text = self._written()
        if text:
            try:
                return json_of(text)
            except ValueError as error:
                raise GiveUp(f"the file that {RESULT_FILE} names is not JSON: {error}") from error
        if out.is_last_too_long:
            raise self._too_large("the last line of its output")
        try:
            return json_of(out.last) if out.last else None
        except ValueError:
            return out.last

    def _written(self) -> str:
        """What is in the result file; empty when there is none. Raises GiveUp when it is too large or no file."""
        limit = self._program.max_result_bytes
        try:
            if not stat.S_ISREG(self._result_file.lstat().st_mode):
                raise GiveUp(f"what {RESULT_FILE} names is not a plain file any more")
            with self._result_file.open("rb") as file:
                content = file.read(limit + 1)
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise Retry(None, f"the file that {RESULT_FILE} names cannot be read: {error}") from error
        if len(content) > limit:
            raise self._too_large(f"the file that {RESULT_FILE} names")
        return text_of(content).removeprefix("\ufeff").strip()

    def _too_large(self, what: str) -> GiveUp:
        return GiveUp(f"the result is too large: {what} has more than {self._program.max_result_bytes} bytes")


def _tell(stdin: IO[bytes], line: bytes) -> None:
    try:
        with stdin:
            stdin.write(line)
    except OSError:
        pass  # it does not read its stdin, or not to the end: its own business


def _retry_after(line: str) -> float | None:
    """The seconds in a last line ``retry_after=SECONDS``; None: none, the usual backoff."""
    word, _, seconds = line.strip().partition("=")
    try:
        return float(seconds) if word == "retry_after" and float(seconds) >= 0 else None
    except ValueError:
        return None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
