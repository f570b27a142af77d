"""Pages for browsers: HTML and its few files, all of them ours, under a policy that allows nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

from flask import request
from werkzeug.wrappers import Response

from taskspool.web.app import PAGE_HEADERS, PAGE_POLICY
from taskspool.web.errors import NoSuchAddress

_TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
          ".js": "text/javascript; charset=utf-8", ".png": "image/png", ".svg": "image/svg+xml"}


def page(html: str) -> Response:
    request.environ[PAGE_POLICY] = PAGE_HEADERS
    return Response(html, content_type=_TYPES[".html"])


def files_view(files: Mapping[str, Path]) -> Callable[[str], Response]:
    """A view that serves ``files``, by name, and nothing else: the name never becomes part of a path."""

    def view(name: str) -> Response:
        path = files.get(name)
        if path is None:
            raise NoSuchAddress("there is no such file here")
        request.environ[PAGE_POLICY] = PAGE_HEADERS
        return Response(path.read_bytes(), content_type=_TYPES[path.suffix])

    return view


def files_in(folder: Path, *names: str) -> dict[str, Path]:
    return {name: folder / name for name in names}


def swagger_files() -> dict[str, Path]:
    """The files of /docs: Swagger UI out of its wheel (its module is never imported), our own start and style.

    Empty when the wheel is not installed; /docs then says so.
    """
    own = files_in(Path(__file__).parent / "swagger", "init.js", "docs.css")
    spec = find_spec("flask_swagger_ui")
    if spec is None or not spec.submodule_search_locations:
        return own
    dist = Path(spec.submodule_search_locations[0]) / "dist"
    return own | files_in(dist, "swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")


def swagger_page() -> Response:
    return page((Path(__file__).parent / "swagger" / "index.html").read_text(encoding="utf-8"))
