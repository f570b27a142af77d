"""The log of a task on the wire: what workers send, what readers are answered."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from taskspool.doors.bridge.answers import Answer
from taskspool.doors.bridge.fields import Token
from taskspool.web.fields import WHOLE
from taskspool.web.shape import Shape

MAX_LINES = 10_000
"""How many lines one call appends at most."""
MAX_NUMBER = 999_999_999_999


class LineSent(Shape):
    """A line, and where the worker's program said it."""

    stream: Literal["out", "err", "log"] = "out"
    text: str


def _with_stream(value: Any) -> Any:
    """A text alone stands for what was said on standard output."""
    return {"text": value} if isinstance(value, str) else value


class LogAppend(Shape):
    """Lines of a log. With the header ``Lease-Token`` and ``?offset=`` the body may also be ``text/plain``, a line of
    the log each, or ``application/x-ndjson``, a text or ``{stream, text}`` each."""

    model_config = ConfigDict(json_schema_extra={"examples": [
        {"lease_token": "1-1-3c-19b6-0f", "offset": 0, "lines": ["42 rows loaded", {"stream": "err", "text": "!"}]}]})

    lease_token: Token
    offset: Annotated[int | None, Field(
        ge=0, le=MAX_NUMBER, description="how many lines of this lease come before these; left out: all there are"),
        WHOLE] = None
    lines: Annotated[list[Annotated[LineSent, BeforeValidator(_with_stream, json_schema_input_type=str | LineSent)]],
                     Field(max_length=MAX_LINES, description="a text alone: on the stream out")]


class LogAccepted(Answer):
    """``next_offset``: how many lines of this lease there are now."""

    task_id: str
    next_offset: int
    cancel_requested: bool


class LogAnswer(Answer):
    """``first``: the oldest line that is kept; ``next``: the number of the line behind these.

    ``is_finished``: the task has ended, and nothing comes after these lines.
    """

    task_id: str
    first: int
    next: int
    is_finished: bool
    lines: list[dict[str, Any]]
