"""The log on stderr: a line an event, as text for people or as JSON for machines.

Whatever a client sent and somebody logged stays inside its line: what is not printable is written as an escape.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

from taskspool.cli.printing import safe
from taskspool.clock import to_text

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""Fields every record has; what is beyond them was given with ``extra=``."""


class TextLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        extra = "".join(f" {name}={value}" for name, value in _extra(record).items())
        line = f"{_stamp(record)} {record.levelname.lower():<7} {record.name}: {record.getMessage()}{extra}"
        if record.exc_info:
            line += " | " + self.formatException(record.exc_info).replace("\n", " | ")
        return safe(line)


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        event = {"time": _stamp(record), "level": record.levelname.lower(), "logger": record.name,
                 "message": record.getMessage(), **_extra(record)}
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return json.dumps(event, default=str)


def _extra(record: logging.LogRecord) -> dict[str, object]:
    """What the event brought along: in one dict ``fields`` (the short way, for every request), or one by one."""
    fields = record.__dict__.get("fields")
    if isinstance(fields, dict):
        return fields
    return {name: value for name, value in vars(record).items() if name not in _PLAIN}


def _stamp(record: logging.LogRecord) -> str:
    return to_text(datetime.fromtimestamp(record.created, UTC))


def log_to_stderr(kind: Literal["text", "json"]) -> None:
    """Send everything from level INFO on to stderr. Called once, by a command that stays up."""
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False  # no line shows them
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if kind == "json" else TextLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for chatty in ("urllib3", "watchdog", "asyncio", "filelock", "uvicorn", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
