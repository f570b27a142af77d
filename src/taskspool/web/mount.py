"""Several apps behind one port, told apart by how the path begins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from taskspool.web.app import BODY_LIMIT, IS_QUICK

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from flask import Flask


class Mount:
    """WSGI application: ``mounted`` (prefix -> app) has the paths below its prefixes, ``default`` all others.

    Every app sees the whole path. It stands for a Flask app wherever one is served (``extensions``).
    """

    def __init__(self, default: Flask, mounted: Mapping[str, Flask]) -> None:
        self._default = default
        self._mounted = dict(mounted)
        self.extensions: Mapping[str, Any] = {
            IS_QUICK: lambda method, path: self._app(path).extensions[IS_QUICK](method, path),
            BODY_LIMIT: lambda method, path: self._app(path).extensions[BODY_LIMIT](method, path),
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self._app(environ["PATH_INFO"])(environ, start_response)

    def _app(self, path: str) -> Flask:
        for prefix, app in self._mounted.items():
            if path == prefix or path.startswith(f"{prefix}/"):
                return app
        return self._default
