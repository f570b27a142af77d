"""Who may ask at all: the gates every request passes before any handler sees it. Each raises, or lets pass.

A bridge on loopback is within reach of every web page that the same person has open. Three things a page cannot
forge tell it from a program: the Host header (DNS rebinding leaves the attacker's name in it), the Origin and
Sec-Fetch-Site headers (its browser adds them), and the Content-Type (anything but a form needs the browser's consent).
Sources: OWASP ASVS 5.0 3.4-3.5, Go's CrossOriginProtection, CVE-2024-28224, GHSA-4w35-279q-9x9p.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from taskspool.settings import Settings
from taskspool.web.bridge import BODY, REFUSAL, TARGET
from taskspool.web.errors import Forbidden, Misdirected, NotJson, UnsupportedMedia

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

Gate = Callable[["WSGIEnvironment"], None]

LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})

_EXTENSION = re.compile(r"(?:chrome|moz|safari-web)-extension://[0-9A-Za-z-]{1,64}")
_PORT = re.compile(r":[1-9][0-9]{0,4}")
_JSON_TYPE = re.compile(r"application/json\s*(;\s*charset=\"?utf-?8\"?\s*)?;?", re.IGNORECASE)
_TEXT_TYPE = re.compile(r"(?:text/plain|application/x-ndjson)\s*(;\s*charset=\"?utf-?8\"?\s*)?;?", re.IGNORECASE)


def says_json(environ: WSGIEnvironment) -> bool:
    """Whether the body is JSON in UTF-8, as its Content-Type says."""
    content_type: str = environ.get("CONTENT_TYPE", "")
    return content_type == "application/json" or _JSON_TYPE.fullmatch(content_type.strip()) is not None


def says_json_or_nothing(environ: WSGIEnvironment) -> bool:
    """The same; who names no Content-Type at all means JSON."""
    return not environ.get("CONTENT_TYPE") or says_json(environ)


def says_anything(_environ: WSGIEnvironment) -> bool:
    """For clients that never said what they send. That no page of another site asks is then left to ``same_site``."""
    return True


def gates(settings: Settings, pages: Collection[str], takers: Collection[str] = (), *,
          texts: re.Pattern[str] | None = None,
          takes: Callable[[WSGIEnvironment], bool] = says_json) -> tuple[Gate, ...]:
    """All of them, in order. ``pages``: paths without side effects that a link on another site may lead to.

    ``takers``: paths whose GET takes something away. ``texts``: paths that take plain text and NDJSON too, from who
    sends a ``Lease-Token``. ``takes``: see ``Dialect``.
    """
    return (refused_by_front, known_host(settings.allowed_hosts), same_site(settings.cors_origins, pages, takers),
            plain_json(texts, takes))


def refused_by_front(environ: WSGIEnvironment) -> None:
    """The front could not read the body."""
    refusal = environ.get(REFUSAL)
    if refusal is not None:
        raise refusal


def known_host(allowed_hosts: Collection[str]) -> Gate:
    """Host must be one of our names, exactly, with any port or none; the target must be a path."""
    names = frozenset((*LOCAL_NAMES, *allowed_hosts))

    def gate(environ: WSGIEnvironment) -> None:
        host: str = environ.get("HTTP_HOST", "")
        name, colon, port = host.rpartition(":")
        is_ours = host in names or (name in names and _PORT.fullmatch(colon + port) is not None)
        if not is_ours or not environ.get(TARGET, "/").startswith("/"):
            raise Misdirected(
                "this server answers to localhost only, not to the host this request names",
                hint="call it as http://127.0.0.1; another name of this machine must be named in "
                     "TASKSPOOL_ALLOWED_HOSTS",
            )

    return gate


def same_site(cors_origins: Collection[str], pages: Collection[str], takers: Collection[str] = ()) -> Gate:
    """No page of another site may ask anything, but for the origins that are listed one by one.

    An extension that its user gave this address to sends its origin with a write, and none with a GET: that counts as
    ``Sec-Fetch-Site: none``, as what is typed in does. So it may read, and ``takers`` are closed to it.
    """
    trusted = frozenset(cors_origins)

    def gate(environ: WSGIEnvironment) -> None:
        origin: str | None = environ.get("HTTP_ORIGIN")
        site: str | None = environ.get("HTTP_SEC_FETCH_SITE")
        is_unnamed = _is_from_extension(environ) and environ["PATH_INFO"] in takers
        if origin is None and site in (None, "none", "same-origin") and not is_unnamed:
            return
        if origin in trusted or origin == own_origin(environ):
            return
        if origin is None and _follows_link(environ) and environ["PATH_INFO"] in pages:
            return
        raise Forbidden(
            "this request comes from a page of another site, or from an extension, which may not use this server",
            hint=_how_to_trust(origin, is_unnamed=is_unnamed),
            origin=origin, sec_fetch_site=site,
        )

    return gate


def _is_from_extension(environ: WSGIEnvironment) -> bool:
    """Whether a browser asks by itself, and nobody typed the address in: that is how an extension's GET looks."""
    return (environ.get("HTTP_SEC_FETCH_SITE") == "none" and environ["REQUEST_METHOD"] in ("GET", "HEAD")
            and environ.get("HTTP_SEC_FETCH_MODE") in ("cors", "no-cors"))


def _how_to_trust(origin: str | None, *, is_unnamed: bool) -> str:
    """What the person who runs the server does when they want this. Only an extension's well-formed origin is told."""
    if is_unnamed:
        return "an extension claims with POST, which tells who it is"
    if origin is not None and _EXTENSION.fullmatch(origin):
        return f"if you trust this extension, start the server with --cors-origin {origin}"
    return "if you trust that page or extension, name its exact origin with --cors-origin or in TASKSPOOL_CORS_ORIGINS"


def own_origin(environ: WSGIEnvironment) -> str:
    """The origin of our own pages, as the browser that loaded them writes it. The host has been checked before."""
    return f"{environ['wsgi.url_scheme']}://{environ['HTTP_HOST']}"


def _follows_link(environ: WSGIEnvironment) -> bool:
    """Whether somebody clicked a link somewhere: the page opens on its own, its opener cannot read it."""
    return (environ["REQUEST_METHOD"] in ("GET", "HEAD") and environ.get("HTTP_SEC_FETCH_MODE") == "navigate"
            and environ.get("HTTP_SEC_FETCH_DEST") == "document")


def plain_json(texts: re.Pattern[str] | None, takes: Callable[[WSGIEnvironment], bool] = says_json) -> Gate:
    """A write with a body must say that it is JSON, in UTF-8 (or what else ``takes`` takes), and not compressed.

    A page of another site can send plain text without asking, but no header of its own: so ``texts`` want one.
    """

    def gate(environ: WSGIEnvironment) -> None:
        if environ["REQUEST_METHOD"] not in WRITES:
            return
        if environ.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
            raise UnsupportedMedia("compressed bodies are not accepted", field="Content-Encoding", rule="none")
        if not environ.get(BODY) and environ.get("CONTENT_LENGTH", "0") in ("", "0"):
            return
        if takes(environ):
            return
        content_type: str = environ.get("CONTENT_TYPE", "")
        is_text = _TEXT_TYPE.fullmatch(content_type.strip()) is not None and environ.get("HTTP_LEASE_TOKEN")
        if is_text and texts is not None and texts.fullmatch(environ["PATH_INFO"]):
            return
        raise NotJson(
            "the body must be JSON and say so: Content-Type: application/json; charset=utf-8",
            hint="curl: -H 'Content-Type: application/json' · PowerShell: -ContentType 'application/json'",
            field="Content-Type", rule="application/json",
        )

    return gate
