"""What the site gives to whom: pages, static files, headers, sockets, logs."""

import json
import logging
import re

import pytest
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.staticfiles import finders
from django.db import connection
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from dlmsite.logs import RedactingFormatter, redact
from dlmsite.origin import is_same_origin
from dlmsite.vendor import PACKAGES


def all_paths(resolver: URLResolver, prefix: str = "") -> list[str]:
    paths: list[str] = []
    for entry in resolver.url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            paths += all_paths(entry, route)
        elif isinstance(entry, URLPattern):
            paths.append("/" + re.sub(r"<[^>]*>", "1", route))
    return paths


@pytest.mark.django_db
def test_anonymous_visitors_get_nothing_but_the_login(client: Client) -> None:
    """Every URL that exists, also those that are added later; what may be asked of its health has a test of its own.

    The words of the pages are as public as the files that they stand in.
    """
    for path in {"/", *all_paths(get_resolver())} - {"/healthz", "/readyz", "/words.js"}:
        for answer in (client.get(path), client.post(path)):
            refused = answer.status_code in {301, 302, 401, 403, 404, 405, 410}
            assert refused or path.startswith("/login/"), f"{path} answered {answer.status_code}"
            if answer.status_code == 302:
                assert answer["Location"].startswith(("/login/", "/admin/login/")), path


@pytest.mark.django_db
def test_every_page_carries_the_strict_policy(client: Client) -> None:
    answer = client.get("/login/")
    directives = dict(part.strip().split(" ", 1) for part in answer["Content-Security-Policy"].split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"].split()[0] == "'self'"
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert directives["frame-ancestors"] == directives["base-uri"] == "'none'"
    assert directives["form-action"] == directives["connect-src"] == directives["style-src"] == "'self'"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"


@pytest.mark.django_db
def test_the_login_page_runs_nothing_inline_and_loads_nothing_foreign(client: Client) -> None:
    page = client.get("/login/").content.decode()
    ours = re.compile(r'<script (?:type="module" )?src="/(?:static/js/\w+|words)\.js"></script>')
    assert not re.search(r"<script|<style|\sstyle=|\son[a-z]+=|//", ours.sub("", page)), page


@pytest.mark.django_db
def test_a_foreign_host_name_is_refused_without_filling_the_log(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """DNS rebinding: a foreign name that points to our address."""
    assert client.get("/login/", headers={"host": "evil.example"}).status_code == 400
    assert caplog.text == ""


@pytest.mark.django_db
def test_cookies_are_named_by_port_and_closed_to_scripts(client: Client) -> None:
    client.get("/login/")
    cookie = client.cookies["lockring_8000_csrf"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Strict"
    assert (settings.SESSION_COOKIE_HTTPONLY, settings.SESSION_COOKIE_SAMESITE) == (True, "Lax")


def test_the_style_sheet_is_served_without_collecting_files(client: Client) -> None:
    answer = client.get("/static/css/base.css")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/css")
    assert "Access-Control-Allow-Origin" not in answer
    assert client.get("/static/../manage.py").status_code in {302, 404}


@pytest.mark.parametrize("name", PACKAGES)
def test_each_module_of_the_import_map_is_served_and_imports_only_mapped_ones(client: Client, name: str) -> None:
    """A name that the map lacks would stop the whole page."""
    answer = client.get(f"/static/vendor/{name}/{name}.mjs")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/javascript")
    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    imported = set(re.findall(r"""^(?:import|export)\b[^;]*?\bfrom\s*['"]([^'"]+)['"]""", text, re.MULTILINE))
    assert imported <= set(PACKAGES)


def test_nothing_else_of_node_modules_is_served() -> None:
    assert finders.find("vendor/typescript/package.json") is None
    assert finders.find("vendor/d3-array/package.json") is None


@pytest.mark.django_db
def test_sqlite_keeps_a_write_ahead_log() -> None:
    if connection.vendor != "sqlite":
        pytest.skip("the journal is on another database")
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode")
        assert cursor.fetchone()[0] == "wal"


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        (b"http://127.0.0.1:8000", b"127.0.0.1:8000", True),
        (b"https://ring.example", b"ring.example", True),
        (b"http://127.0.0.1:9999", b"127.0.0.1:8000", False),
        (b"http://localhost:8000", b"127.0.0.1:8000", False),
        (b"http://evil.example", b"127.0.0.1:8000", False),
        (b"null", b"127.0.0.1:8000", False),
        (b"file://127.0.0.1:8000", b"127.0.0.1:8000", False),
        (b"http://[", b"127.0.0.1:8000", False),
        (b"\xff", b"127.0.0.1:8000", False),
    ],
)
def test_a_socket_opens_only_for_a_page_of_the_same_host_and_port(origin: bytes, host: bytes, same: bool) -> None:  # noqa: FBT001
    """Cookies are shared by all ports of a host, so a neighbour's page would bring our session along."""
    assert is_same_origin([(b"host", host), (b"origin", origin)]) is same


def test_a_handshake_without_an_origin_or_with_two_is_refused() -> None:
    host = (b"host", b"127.0.0.1:8000")
    origin = (b"origin", b"http://127.0.0.1:8000")
    assert not is_same_origin([host])
    assert not is_same_origin([host, origin, origin])
    assert not is_same_origin([origin])


@pytest.mark.parametrize(
    "headers",
    [
        [(b"host", b"localhost"), (b"origin", b"http://evil.example")],
        [(b"host", b"evil.example"), (b"origin", b"http://evil.example")],  # rebound: same, but not allowed
        [(b"host", b"localhost"), (b"origin", b"http://localhost")],  # ours, but there is nothing at this path
    ],
)
@pytest.mark.django_db(transaction=True)
async def test_a_socket_from_elsewhere_or_to_nowhere_is_closed(headers: list[tuple[bytes, bytes]]) -> None:
    from dlmsite.asgi import application

    socket = WebsocketCommunicator(application, "/ws/nowhere/", headers=headers)
    connected, _code = await socket.connect()
    assert not connected


def test_a_login_link_is_taken_out_of_what_is_logged() -> None:
    record = logging.LogRecord("x", logging.WARNING, __file__, 1, "Gone: %s", ("/login/s3cr3t-T_oken/",), None)
    line = RedactingFormatter("{message}", style="{").format(record)
    assert line == "Gone: /login/<redacted>/"
    assert redact('"GET /login/abc HTTP/1.1" from /login/') == '"GET /login/<redacted> HTTP/1.1" from /login/'


def test_every_handler_of_the_site_redacts() -> None:
    """A handler with another formatter would be the hole."""
    for name, handler in settings.LOGGING["handlers"].items():
        formatter = settings.LOGGING["formatters"][handler["formatter"]]
        assert formatter["()"] == "dlmsite.logs.RedactingFormatter", name


@pytest.mark.django_db
def test_the_import_map_carries_the_nonce_of_its_response(client: Client) -> None:
    """The one inline script of the site runs under the policy that came with it."""
    from django.template.loader import render_to_string
    from django.test import RequestFactory

    request = RequestFactory().get("/")
    request.csp_nonce = "n0nce"  # type: ignore[attr-defined]
    text = render_to_string("importmap.html", request=request)
    assert 'nonce="n0nce"' in text
    (found,) = re.findall(r"<script[^>]*>(.*)</script>", text)
    assert json.loads(found)["imports"]["d3-scale"] == "/static/vendor/d3-scale/d3-scale.mjs"
    del client
