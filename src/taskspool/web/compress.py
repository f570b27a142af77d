"""Answers made smaller (gzip) for clients that say they can read it.

Only whole answers of JSON or text, larger than ``LEAST_BYTES``: streams, and what is compressed or partial already,
leave as they are. A HEAD is told what its GET would be.
BREACH (a page guesses a secret from the length of answers that also hold what the page sent) needs requests that
another site makes: ``guard`` refuses those, and the ones it is told to let pass are answered uncompressed.
``LEVEL`` and ``LEAST_BYTES`` are measured: docs/decisions/0026-compression.md.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from taskspool.web.waiting import SEAT, Answer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LEAST_BYTES = 1024
"""Up to here an answer fits into one packet anyway."""
LEVEL = 3
"""As quick as level 1, and within a tenth of the size that level 9 reaches in four times the time."""
MAX_WISH_CHARS = 256
"""A longer Accept-Encoding is not read."""

_TEXTS = re.compile(r"(?:text/(?!event-stream)[a-z0-9.+-]+|image/svg\+xml|application/"
                    r"(?:json|javascript|xml|openmetrics-text|[a-z0-9.+-]+\+(?:json|xml)))\s*(?:;.*)?", re.IGNORECASE)
_WHOLE = frozenset({"200", "201", "202", "203", "400", "404", "409", "410", "422", "500", "503"})
_OWN_SITE = frozenset({None, "none", "same-origin"})


def compressed(app: WSGIApplication) -> WSGIApplication:
    """``app``, whose large answers are compressed where the client accepts it."""

    def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        wish: str | None = environ.get("HTTP_ACCEPT_ENCODING")
        if wish is None:  # as most programs that are not browsers: nothing more is asked of them
            return app(environ, start_response)
        answer = Answer()
        answer.chunks = app(environ, answer.start)
        if _is_worth_it(answer, environ):
            answer.headers = [*_with_vary(answer.headers)]
            if environ.get("HTTP_SEC_FETCH_SITE") in _OWN_SITE and accepts_gzip(wish[:MAX_WISH_CHARS + 1]):
                _compress(answer)
        start_response(answer.status, answer.headers)
        return answer.chunks

    return call


def _is_worth_it(answer: Answer, environ: WSGIEnvironment) -> bool:
    """Whether it is one whole text that is large enough: its length is said, and nobody has compressed it."""
    seat = environ.get(SEAT)
    if answer.status[:3] not in _WHOLE or (seat is not None and seat.stream is not None):
        return False
    said = {name.lower(): value for name, value in answer.headers}
    return (int(said.get("content-length", 0)) > LEAST_BYTES and "content-encoding" not in said
            and _is_text(said.get("content-type", "")) and "no-transform" not in said.get("cache-control", ""))


@lru_cache(maxsize=64)
def _is_text(content_type: str) -> bool:
    return _TEXTS.fullmatch(content_type.strip()) is not None


def _with_vary(headers: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    """``headers``, which say that a cache must not give this to a client that accepts something else."""
    wishes = ["Accept-Encoding"]
    for name, value in headers:
        if name.lower() == "vary":
            wishes.insert(-1, value)
        else:
            yield name, value
    yield "Vary", ", ".join(wishes)


def _compress(answer: Answer) -> None:
    """Put the smaller body, its length and its encoding into ``answer``."""
    whole = answer.body()
    small = gzip.compress(whole, LEVEL, mtime=0)
    headers = [(name, _weak(value) if name.lower() == "etag" else value) for name, value in answer.headers
               if name.lower() != "content-length"]
    if whole:  # Flask leaves the body of a HEAD out; then nobody knows its length
        headers.append(("Content-Length", str(len(small))))
    answer.headers = [*headers, ("Content-Encoding", "gzip")]
    answer.chunks = [small] if whole else []


def _weak(tag: str) -> str:
    """The same content, other bytes: RFC 9110 section 8.8.3.3."""
    return tag if tag.startswith("W/") else f"W/{tag}"


@lru_cache(maxsize=256)
def accepts_gzip(wish: str) -> bool:
    """Whether gzip is as welcome as the plain answer or more (RFC 9110 section 12.5.3); what is not understood is no.

    ``*`` means gzip too, unless gzip has a word of its own; ``identity`` that is named is weighed against it.
    """
    if len(wish) > MAX_WISH_CHARS:
        return False
    weights: dict[str, float] = {}
    for part in wish.split(","):
        name, _, parameters = part.partition(";")
        weights[name.strip().lower()] = _weight(parameters)
    gzip_weight = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return gzip_weight > 0 and gzip_weight >= weights.get("identity", 0.0)


_WEIGHT = re.compile(r"\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*", re.IGNORECASE)


def _weight(parameters: str) -> float:
    """1 unless said otherwise; 0 for what is no weight."""
    if not parameters.strip():
        return 1.0
    said = _WEIGHT.fullmatch(parameters)
    return float(said[1]) if said else 0.0
