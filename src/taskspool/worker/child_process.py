"""The process of a handler, as its worker sees it: started, spoken to, listened to, ended with all it has started."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import uuid
from contextlib import suppress
from queue import SimpleQueue
from typing import IO, Any

from taskspool.errors import TaskspoolError
from taskspool.worker.child_wire import Message, context_json, error_json, line_of
from taskspool.worker.contact import Cancelled, Contact
from taskspool.worker.context import TaskContext
from taskspool.worker.handlers import Origin
from taskspool.worker.patience import KILL_SECONDS
from taskspool.worker.process_tree import OWN_TREE, end_tree

START = "import json, sys; sys.path[:] = json.loads(sys.argv[1])['path']; import taskspool.worker.child as c; c.main()"
READY_SECONDS = 60.0
"""How long a process may take to load its handlers."""
QUIT_SECONDS = 2.0
"""How long an idle process may take to end by itself."""
DRAIN_SECONDS = 1.0
"""How long the last lines of a run are waited for, from the one before on."""
WAIT_SECONDS = 15.0
MAX_LINE_BYTES = 65_536
STOP: Message = {"stopped": True}
"""In the inbox: the run is to stop."""
GONE: Message = {"gone": True}
"""In the inbox: the process has ended."""

log = logging.getLogger("taskspool.worker")


class ChildProcess:
    """A process with the handlers of ``origin`` in it, that runs one at a time. Raises OSError when there is none to be
    had. ``inbox``: STOP, GONE, and what the process says of the end of its run."""

    def __init__(self, origin: Origin) -> None:
        self.inbox: SimpleQueue[Message] = SimpleQueue()
        self.is_gone = threading.Event()
        self.has_begun = False
        self.refusal = "it does not begin"
        self._is_ready = threading.Event()
        self._telling = threading.Lock()
        self._contact: Contact | None = None
        self._end_mark = f"\x01end {uuid.uuid4().hex}\x01".encode()
        self._heard = {"out": threading.Event(), "err": threading.Event()}
        self._lines = {"out": 0, "err": 0}
        """How many were read."""
        reading, writing = os.pipe()
        try:
            self._popen = self._start(origin, writing)
        except BaseException:  # whatever it was, nobody will read from this pipe
            os.close(reading)
            raise
        finally:
            os.close(writing)
        self._commands = self._popen.stdin
        self._threads = [threading.Thread(target=self._hear, args=[reading], name="child-answers", daemon=True)]
        self._threads += [threading.Thread(target=self._listen, args=[*pair], name=f"child-{pair[0]}", daemon=True)
                          for pair in (("out", self._popen.stdout), ("err", self._popen.stderr))]
        for thread in self._threads:
            thread.start()

    def _start(self, origin: Origin, writing: int) -> subprocess.Popen[bytes]:
        options, number = _passing(writing)
        wish = {"path": sys.path, "modules": list(origin.modules), "builtin": origin.builtin, "answers": number,
                "end_mark": self._end_mark.decode()}
        return subprocess.Popen([sys.executable, "-c", START, json.dumps(wish)], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **{**OWN_TREE, **options})

    @property
    def pid(self) -> int:
        return self._popen.pid

    # -- speaking ------------------------------------------------------------------------------------------------

    def is_ready(self) -> bool:
        """Waits until it has loaded its handlers. False: it could not; ``refusal`` says why."""
        self._is_ready.wait(READY_SECONDS)
        return self._is_ready.is_set() and not self.is_gone.is_set()

    def begin(self, context: TaskContext, data: object) -> None:
        """Run the handler of this task; the end comes into the ``inbox``."""
        self.has_begun = False
        for heard in self._heard.values():
            heard.clear()
        self._contact = context.contact
        self.tell({"run": context_json(context), "data": data})

    def finish(self) -> None:
        """The run is over: its last lines are waited for, and what comes now belongs to nobody."""
        for stream, heard in self._heard.items():
            before = -1
            while not heard.wait(DRAIN_SECONDS) and self._lines[stream] != before:
                before = self._lines[stream]
        self._contact = None

    def tell(self, message: Message) -> None:
        """To a process that has ended it says nothing: that is heard from ``inbox``."""
        assert self._commands is not None  # noqa: S101  # it is PIPE
        with self._telling, suppress(OSError, ValueError):
            self._commands.write(line_of(message))
            self._commands.flush()

    # -- listening -----------------------------------------------------------------------------------------------

    def _hear(self, reading: int) -> None:
        with os.fdopen(reading, "rb") as lines, suppress(ValueError):  # a torn line: it was killed while it spoke
            for line in lines:
                self._heed(json.loads(line))
        self.is_gone.set()
        self._is_ready.set()
        self.inbox.put(GONE)

    def _heed(self, message: Message) -> None:
        contact = self._contact or Contact()
        match message:
            case {"ready": _}:
                self._is_ready.set()
            case {"refused": reason}:
                self.refusal = str(reason)
            case {"begun": _}:
                self.has_begun = True
            case {"log": [stream, text]}:
                contact.log(stream, text)
            case {"progress": [percent, text]}:
                contact.say(percent, text)
            case {"call": number}:
                self.tell({"reply": number, **_answer(contact, message)})
            case {"done": _}:
                self.inbox.put(message)

    def _listen(self, stream: str, pipe: IO[bytes]) -> None:
        """Line by line into the live log. The line before the mark is ended by us: when it is empty it was no line."""
        empty = 0
        while line := pipe.readline(MAX_LINE_BYTES):
            self._lines[stream] += 1
            text = line.rstrip(b"\r\n")
            if text == self._end_mark:
                self._say(stream, [b""] * (empty - 1))
                empty = 0
                self._heard[stream].set()
            elif not text:
                empty += 1
            else:
                self._say(stream, [*[b""] * empty, text])
                empty = 0
        pipe.close()
        self._heard[stream].set()

    def _say(self, stream: str, lines: list[bytes]) -> None:
        contact = self._contact
        for line in lines:
            text = line.decode("utf-8", "replace")
            if contact is None:
                log.info("handler process %d, between two tasks: %s", self.pid, text)
            else:
                contact.log(stream, text)

    # -- the end -------------------------------------------------------------------------------------------------

    def quit(self) -> None:
        """It ends by itself, if it is idle; by force if it does not."""
        self.tell({"quit": True})
        self.is_gone.wait(QUIT_SECONDS)
        self.end(KILL_SECONDS)

    def end(self, grace_seconds: float) -> str:
        """Nothing of it is left. How it ended: ``signal 9``, ``exit code 3``."""
        end_tree(self.pid, grace_seconds)
        code = self._popen.wait(WAIT_SECONDS)
        assert self._commands is not None  # noqa: S101  # it is PIPE
        with self._telling, suppress(OSError):  # what nobody reads any more is thrown away
            self._commands.close()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(DRAIN_SECONDS)
        self._contact = None
        return f"signal {-code}" if code < 0 else f"exit code {code}"


def _answer(contact: Contact, message: Message) -> dict[str, Any]:
    """What the handler asked the queue for, done in its place."""
    try:
        if "submit" in message:
            return {"value": contact.submit(message["submit"], message.get("key"))}
        if "look" in message:
            return {"value": {task_id: [seen.state, seen.error]
                              for task_id, seen in contact.look(message["look"]).items()}}
        if "cancel" in message:
            contact.cancel(message["cancel"], message["reason"])
        else:
            contact.keep(message["checkpoint"])
    except Cancelled:
        return {"is_cancelled": True}
    except TaskspoolError as error:
        return {"error": error_json(error)}
    except Exception as error:  # a fault of ours must reach the handler that waits for the answer
        log.exception("what a handler asked for could not be done")
        return {"error": error_json(TaskspoolError(f"{type(error).__name__}: {error}"))}
    return {"value": None}


def _passing(descriptor: int) -> tuple[dict[str, Any], int]:
    """What makes ``subprocess.Popen`` hand ``descriptor`` on, and the number it has on the other side."""
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415  # exists on Windows only

        handle = msvcrt.get_osfhandle(descriptor)
        os.set_handle_inheritable(handle, True)
        return {"startupinfo": subprocess.STARTUPINFO(lpAttributeList={"handle_list": [handle]})}, handle
    return {"pass_fds": (descriptor,)}, descriptor
