"""Where doors differ: how each says no, what it reads, and the habits its clients know. All else is in ``app``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from werkzeug.wrappers import Response

from taskspool.errors import TaskspoolError
from taskspool.web import errors, guard

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


@dataclass(frozen=True, slots=True)
class Dialect:
    """The habits of one door. The defaults are those of the bridge."""

    render: Callable[[TaskspoolError, WSGIEnvironment], Response] = errors.render
    """Every error as an answer, whoever found it: views, gates, Flask (``NoSuchAddress``, ``MethodNotAllowed``)."""
    takes: Callable[[WSGIEnvironment], bool] = guard.says_json
    """Whether a body of this Content-Type is read at all."""
    echoes_request_id: bool = False
    """Any X-Request-ID comes back as it was, and a new one is a UUID; else only well-formed ones do."""
    timing_header: str | None = None
    """Header that tells how many seconds the answer took, with three decimals."""
    slash: Callable[[str], int] | None = None
    """Method -> status of the redirect from a path with a slash at its end to the one without. None: both are one."""
    has_head: bool = True
    """Whether HEAD is answered where GET is."""
    options_status: int | None = 200
    """What OPTIONS is answered where there is something; None: it is a wrong method."""
