"""What a door may have of its own: how it says no, what it reads, and the habits its clients know."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import RootModel
from werkzeug.wrappers import Response

from taskspool.errors import TaskspoolError
from taskspool.settings import Settings
from taskspool.web import guard
from taskspool.web.app import BODY_LIMIT, IS_QUICK, build_app
from taskspool.web.dialect import Dialect
from taskspool.web.docs import PAGES, docs_routes
from taskspool.web.errors import MethodNotAllowed
from taskspool.web.mount import Mount
from taskspool.web.openapi import describe
from taskspool.web.reply import reply
from taskspool.web.route import Route, Work

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class Things(RootModel[list[str]]):
    """An array of texts."""


def said(error: TaskspoolError, environ: WSGIEnvironment) -> Response:
    status = 404 if isinstance(error, MethodNotAllowed) else error.status
    return reply({"no": error.code, "path": environ["PATH_INFO"]}, status)


OWN = Dialect(render=said, takes=guard.says_json_or_nothing, echoes_request_id=True, timing_header="X-Process-Time",
              slash=lambda method: 301 if method == "GET" else 307, has_head=False, options_status=204)
ROUTES = [
    Route("GET", "/things", lambda: reply({}), "All"),
    Route("POST", "/things", lambda: reply({}, 201), "One more", Work.SLOW, body=Things,
          body_types={"text/csv": {"type": "string"}}, max_body_bytes=5_000_000, replies={201: ("made", None)}),
    Route("GET", "/things/<number>", lambda number: reply({"number": number}), "One",
          path_schemas={"number": {"type": "integer"}}, replies={404: ("none", None), 422: ("not a number", None)}),
]


def app_with(dialect: Dialect, **more: Any) -> Flask:
    return build_app(__name__, Settings(root=Path("nowhere")), ROUTES, dialect=dialect, **more)


@pytest.fixture(scope="module")
def own() -> FlaskClient:
    return app_with(OWN).test_client()


def test_every_error_is_told_in_the_words_of_the_door(own: FlaskClient) -> None:
    """Unknown paths, wrong methods and what the gates refuse are rendered by the dialect."""
    assert own.get("/nothing").get_json() == {"no": "NOT_FOUND", "path": "/nothing"}
    wrong = own.delete("/things")
    assert (wrong.status_code, wrong.get_json()["no"]) == (404, "METHOD_NOT_ALLOWED")
    assert own.get("/things", headers={"Host": "evil.example"}).get_json()["no"] == "WRONG_HOST"


@pytest.mark.parametrize(("method", "status"), [("GET", 301), ("POST", 307), ("DELETE", 307)])
def test_a_slash_too_many_leads_to_the_path_without(own: FlaskClient, method: str, status: int) -> None:
    """Only where there is something; the query goes with it."""
    answer = own.open("/things/?a=%20b", method=method)
    assert (answer.status_code, answer.headers["Location"]) == (status, "http://localhost/things?a=%20b")
    assert own.open("/nothing/", method=method).status_code == 404
    assert own.open("/", method=method).status_code == 404


def test_a_slash_too_many_leads_to_no_other_host(own: FlaskClient) -> None:
    """A path that looks like another host's address stays one of ours."""
    answer = own.get("/", environ_overrides={"PATH_INFO": "//evil.example/things/"})
    assert answer.status_code == 404
    assert "Location" not in answer.headers


def test_head_and_options_are_what_the_dialect_says(own: FlaskClient) -> None:
    """Without HEAD it is a wrong method; OPTIONS is answered 204 where there is something, or is one too."""
    assert own.head("/things").status_code == 404
    options = own.options("/things")
    assert (options.status_code, options.headers["Allow"]) == (204, "GET, OPTIONS, POST")
    assert own.options("/nothing").status_code == 404
    assert app_with(Dialect(options_status=None)).test_client().options("/things").status_code == 405
    assert app_with(Dialect()).test_client().head("/things").status_code == 200


@pytest.mark.parametrize("told", ["abc", "any thing, really!", "x" * 300])
def test_any_request_id_comes_back_where_the_door_says_so(own: FlaskClient, told: str) -> None:
    """As it was sent; without one it is a new UUID."""
    assert own.get("/things", headers={"X-Request-ID": told}).headers["X-Request-ID"] == told
    assert uuid.UUID(own.get("/things").headers["X-Request-ID"]).version == 4


def test_the_time_an_answer_took_is_told(own: FlaskClient) -> None:
    """Seconds with three decimals, on errors too."""
    for path in ("/things", "/nothing"):
        whole, _, decimals = own.get(path).headers["X-Process-Time"].partition(".")
        assert whole.isdigit()
        assert len(decimals) == 3


def test_a_body_without_a_type_is_read_where_the_door_says_so(own: FlaskClient) -> None:
    """Text is refused all the same; the bridge wants to be told that it is JSON."""
    assert own.post("/things", data=b"[]").status_code == 201
    assert own.post("/things", data=b"[]", content_type="text/plain").status_code == 400
    assert app_with(Dialect()).test_client().post("/things", data=b"[]").status_code == 400
    assert app_with(Dialect(takes=guard.says_anything)).test_client().post(
        "/things", data=b"[]", content_type="text/plain").status_code == 201


def test_who_observes_is_told_of_every_answer() -> None:
    """Method, the path as declared, status and seconds; of a path that is none: None."""
    seen: list[tuple[Any, ...]] = []
    client = app_with(Dialect(), observe=lambda *told: seen.append(told)).test_client()
    client.get("/things/7")
    client.get("/nowhere")
    client.get("/things", headers={"Host": "evil.example"})
    assert [told[:3] for told in seen] == [("GET", "/things/<number>", 200), ("GET", None, 404), ("GET", None, 421)]
    assert all(told[3] >= 0 for told in seen)


def test_apps_behind_one_port_are_told_apart_by_prefix() -> None:
    """Whole parts of the path count, and each app says how its requests run."""
    inner = build_app("inner", Settings(), [Route("GET", "/things/inner", lambda: reply({"inner": True}), "")])
    mount = Mount(app_with(Dialect()), {"/things/inner": inner})
    answers: list[str] = []
    for path in ("/things/inner", "/things/innermost", "/things"):
        environ: dict[str, Any] = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "SCRIPT_NAME": "", "QUERY_STRING": "",
                                   "SERVER_NAME": "localhost", "SERVER_PORT": "80", "wsgi.url_scheme": "http",
                                   "HTTP_HOST": "localhost"}
        answers.append(b"".join(mount(environ, lambda *_: lambda _: None)).decode())
    assert answers == ['{"inner":true}\n', '{"number":"innermost"}\n', "{}\n"]
    assert mount.extensions[IS_QUICK]("GET", "/things/inner")
    assert not mount.extensions[IS_QUICK]("POST", "/things")
    assert mount.extensions[BODY_LIMIT]("POST", "/things") == 5_000_000


def test_what_is_described_is_what_routes_say() -> None:
    """Places in paths, further media types, and the error of a status of its own."""
    told = describe(ROUTES, title="t", version="1", description="", tags=(), error=Things, errors={422: Things})
    one = told["paths"]["/things/{number}"]["get"]
    assert one["parameters"] == [{"name": "number", "in": "path", "required": True, "schema": {"type": "integer"}}]
    assert set(told["paths"]["/things"]["post"]["requestBody"]["content"]) == {"application/json", "text/csv"}


def test_the_description_and_its_page_are_served() -> None:
    """/openapi.json for programs, /docs for people, with nothing from another host."""
    app = build_app(__name__, Settings(), docs_routes(lambda: {"openapi": "3.1.0"}), pages=PAGES)
    client = app.test_client()
    assert client.get("/openapi.json").get_json() == {"openapi": "3.1.0"}
    page = client.get("/docs")
    assert page.mimetype == "text/html"
    assert b"https://" not in page.data
