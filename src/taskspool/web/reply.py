"""JSON answers: one encoder, built once; UTF-8 with the charset said, non-ASCII as it is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from flask import Response
from werkzeug.datastructures import Headers

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

JSON = "application/json; charset=utf-8"
"""With the charset, because Windows PowerShell 5.1 reads JSON without one as Latin-1."""
PLAIN_JSON = "application/json"

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode
_encode_ascii = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), check_circular=False).encode


def encode(value: Any) -> bytes:
    """``value`` as JSON, UTF-8, with a newline at its end (a terminal likes it)."""
    return encode_part(value) + b"\n"


def encode_part(value: Any) -> bytes:
    """``value`` as JSON without the newline. Half a character (a lone surrogate) is written as an escape."""
    try:
        return _encode(value).encode()
    except UnicodeEncodeError:
        return _encode_ascii(value).encode()


def reply(value: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return reply_bytes(encode(value), status, headers)


def plain_reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """The same as FastAPI services write it: ``application/json`` and no more, no newline at the end."""
    return reply_bytes(encode_part(value), status, headers, PLAIN_JSON)


def reply_bytes(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None,
                content_type: str = JSON) -> Response:
    """A response with ``body``, which is JSON already."""
    lines = Headers()
    lines.add("Content-Type", content_type)
    lines.add("Content-Length", str(len(body)))
    for name, value in (headers or {}).items():
        lines.add(name, value)
    return Reply([body], status, lines)


class Reply(Response):
    """A response that is complete as it stands: Werkzeug need not look for lengths, locations and cookies."""

    def __call__(self, _environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response(self.status, self.headers.to_wsgi_list())
        return self.response  # type: ignore[return-value]  # a list of bytes, see reply_bytes
