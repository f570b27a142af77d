"""A route, declared once: Flask serves it, and the OpenAPI description is made from it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from pydantic import BaseModel
from werkzeug.wrappers import Response


class Work(Enum):
    """What a request costs its thread: whether it may run on the event loop."""

    QUICK = "a few file calls, none of which waits for the disk"
    DURABLE = "waits for the disk, unless durability is fast"
    SLOW = "looks at many files"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One query parameter or header. ``schema`` is JSON Schema."""

    name: str
    schema: Mapping[str, Any]
    description: str
    place: str = "query"
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """``path`` is Flask's, e.g. ``/api/tasks/<task_id:task_id>``. ``replies``: status -> (text, model or None).

    ``is_safe`` False: a GET that takes something away; no HEAD is answered there.
    """

    method: str
    path: str
    view: Callable[..., Response]
    summary: str
    work: Work = Work.QUICK
    tag: str = "tasks"
    body: type[BaseModel] | None = None
    is_body_optional: bool = False
    parameters: tuple[Parameter, ...] = ()
    replies: Mapping[int, tuple[str, type[BaseModel] | None]] = field(default_factory=dict)
    is_safe: bool = True
    is_documented: bool = True
    path_schemas: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Place in the path -> JSON Schema, for places that are no ``task_id``."""
    body_types: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What the body may be beside JSON: media type -> JSON Schema."""
    max_body_bytes: int | None = None
    """How large a body may be here, where it is more than elsewhere."""


_PLACE = re.compile(r"<(?:([a-z_]+):)?[a-z_]+>")
_ID = re.compile(r"[0-9a-f-]{36}")


def quick_requests(routes: Iterable[Route], *, is_durable: bool) -> Callable[[str, str], bool]:
    """Says of (method, path) whether that request may run on the event loop (see ``web.bridge``)."""
    quick = [route for route in routes if route.work is Work.QUICK or (route.work is Work.DURABLE and not is_durable)]
    plain = frozenset(f"{route.method} {_PLACE.sub(_mark, route.path)}" for route in quick)
    others = [re.compile(_PLACE.sub("[^/]+", f"{route.method} {route.path}")) for route in quick
              if any(kind != "task_id" for kind in _PLACE.findall(route.path))]

    def is_quick(method: str, path: str) -> bool:
        asked = f"{method} {path}"
        return (asked in plain or f"{method} {_ID.sub('*', path, count=1)}" in plain
                or any(pattern.fullmatch(asked) for pattern in others))

    return is_quick


def body_limits(routes: Iterable[Route]) -> Callable[[str, str], int | None]:
    """Says of (method, path) how many bytes its body may have; None: as many as anywhere."""
    limits = {f"{route.method} {route.path}": route.max_body_bytes for route in routes if route.max_body_bytes}
    return lambda method, path: limits.get(f"{method} {path}")


def _mark(match: re.Match[str]) -> str:
    return "*" if match[1] == "task_id" else match[0]
