"""The description of a door: /openapi.json for programs, /docs for people, without anything from another host."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from werkzeug.wrappers import Response

from taskspool.web.pages import files_view, swagger_files, swagger_page
from taskspool.web.reply import encode, reply_bytes
from taskspool.web.route import Route, Work

PAGES = frozenset({"/docs"})
"""Paths here that a link on another site may lead to."""


def docs_routes(describe: Callable[[], dict[str, Any]]) -> list[Route]:
    """``describe`` gives the description (``openapi.describe``); it is asked once, when somebody first wants it."""
    encoded = cache(lambda: encode(describe()))

    def openapi() -> Response:
        return reply_bytes(encoded())

    return [
        Route("GET", "/openapi.json", openapi, "This description", tag="overview", is_documented=False),
        Route("GET", "/docs", swagger_page, "The description as a page", Work.SLOW, is_documented=False),
        Route("GET", "/docs/<name>", files_view(swagger_files()), "", Work.SLOW, is_documented=False),
    ]
