"""The program in the process of a handler: it loads the handlers, runs one at a time, and says how each ended.

It reads what its worker says from stdin; when the worker is gone, killed even, stdin ends, and so does the process
together with whatever it has started. The handler has stdin empty, and stdout and stderr to itself.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from itertools import count
from queue import SimpleQueue
from typing import IO, Any, NoReturn

from taskspool.engine.task import JsonValue
from taskspool.errors import InvalidRequest, RefusedToStart
from taskspool.worker.calling import call_handler
from taskspool.worker.child_wire import Message, context_from, error_from, line_of, outcome_json
from taskspool.worker.contact import Cancelled, Contact, Seen
from taskspool.worker.handlers import Handlers, load_handlers


def main() -> None:
    """``sys.argv[1]``: which handlers, where the answers go, and the mark that ends the output of a run, as JSON."""
    wish = json.loads(sys.argv[1])
    del sys.argv[1:]
    commands, voice = _own_stdin(), Voice(_own_pipe(wish["answers"]))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    try:
        handlers = load_handlers(wish["modules"], builtin=wish["builtin"])
    except RefusedToStart as error:
        voice.say({"refused": error.message, "hint": error.hint})
        sys.exit(2)
    voice.say({"ready": True})
    Child(handlers, voice, wish["end_mark"].encode()).serve(commands)


class Voice:
    """What the process says to its worker. Safe for many threads."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()

    def say(self, message: Message) -> None:
        with self._lock:
            self._pipe.write(line_of(message))
            self._pipe.flush()


class Child:
    """Runs what comes, one after the other, in the main thread: a handler may handle signals."""

    def __init__(self, handlers: Handlers, voice: Voice, end_mark: bytes) -> None:
        self._handlers = handlers
        self._voice = voice
        self._end_mark = end_mark
        self._next: SimpleQueue[Message] = SimpleQueue()
        self._contact: ChildContact | None = None

    def serve(self, commands: IO[bytes]) -> None:
        """Until told to quit."""
        threading.Thread(target=self._listen, args=[commands], name="worker", daemon=True).start()
        while "run" in (message := self._next.get()):
            contact = self._contact
            assert contact is not None  # noqa: S101  # made when the line was read
            self._voice.say({"begun": True})
            outcome = call_handler(self._handlers, context_from(message["run"], contact), message["data"])
            self._end_output()
            self._voice.say({"done": outcome_json(outcome)})

    def _listen(self, commands: IO[bytes]) -> None:
        for line in commands:
            message = json.loads(line)
            contact = self._contact
            if "run" in message:
                self._contact = ChildContact(self._voice)
            elif contact is not None and "stop" in message:
                contact.end(message["stop"])
            elif contact is not None and "reply" in message:
                contact.take(message)
            if "run" in message or "quit" in message:
                self._next.put(message)
        _end_with_all()

    def _end_output(self) -> None:
        """A line that says that nothing more comes from this run."""
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
                os.write(stream.fileno(), b"\n" + self._end_mark + b"\n")
            except (OSError, ValueError, AttributeError):  # closed, or replaced by something else: not ours to mend
                continue


class ChildContact(Contact):
    """The line of a handler to its worker, which has the line to the queue."""

    def __init__(self, voice: Voice) -> None:
        super().__init__()
        self._voice = voice
        self._numbers = count(1)
        self._waiting: dict[int, SimpleQueue[Message]] = {}

    def say(self, percent: float | None, message: str | None) -> None:
        self._voice.say({"progress": [percent, message]})

    def log(self, stream: str, text: str) -> None:
        self._voice.say({"log": [stream, text]})

    def keep(self, value: JsonValue) -> None:
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidRequest(f"a checkpoint must be JSON: {error}", field="checkpoint", rule="JSON") from error
        self._ask({"checkpoint": value})

    def submit(self, body: Mapping[str, Any], key: str | None = None) -> str:
        return str(self._ask({"submit": body, "key": key}))

    def look(self, task_ids: Sequence[str]) -> Mapping[str, Seen]:
        return {task_id: Seen(*told) for task_id, told in self._ask({"look": list(task_ids)}).items()}

    def cancel(self, task_id: str, reason: str | None = None) -> None:
        self._ask({"cancel": task_id, "reason": reason})

    def take(self, reply: Message) -> None:
        """The answer to a call."""
        self._waiting[reply["reply"]].put(reply)

    def _ask(self, message: Message) -> Any:
        number = next(self._numbers)
        reply = self._waiting[number] = SimpleQueue()
        self._voice.say({**message, "call": number})
        answer = reply.get()
        del self._waiting[number]
        if "is_cancelled" in answer:
            raise Cancelled
        if "error" in answer:
            raise error_from(answer["error"])
        return answer["value"]


def _own_stdin() -> IO[bytes]:
    """stdin as it was; from here on what handlers and their programs read is empty."""
    own = os.dup(0)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    return os.fdopen(own, "rb")


def _own_pipe(number: int) -> IO[bytes]:
    """The pipe that our worker handed on; not handed on any further."""
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415  # exists on Windows only

        os.set_handle_inheritable(number, False)
        return os.fdopen(msvcrt.open_osfhandle(number, 0), "wb")
    os.set_inheritable(number, False)
    return os.fdopen(number, "wb")


def _end_with_all() -> NoReturn:
    """The worker is gone: nobody wants what runs here. On POSIX we head a session, which is ended with us."""
    if sys.platform != "win32" and os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)
