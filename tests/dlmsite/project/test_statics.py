"""Static files are sent as they are now, not as they were when the site started."""

import os
from pathlib import Path

import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.test import RequestFactory, override_settings

from dlmsite.statics import Statics


def nothing(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=404)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.js").write_text("export const a = 1;\n")
    return tmp_path


@pytest.fixture
def site(folder: Path) -> Statics:
    """Start one that knows a single folder, as it is now."""
    with override_settings(STATICFILES_DIRS=[folder], STATICFILES_FINDERS=settings.STATICFILES_FINDERS):
        return Statics(nothing)


def ask(site: Statics, folder: Path, name: str = "a.js") -> HttpResponseBase:
    with override_settings(STATICFILES_DIRS=[folder]):
        return site(RequestFactory().get(f"/static/{name}"))


def body(response: HttpResponseBase) -> bytes:
    return b"".join(response)


@pytest.mark.parametrize("text", ["export const a = 1_000_000;\n", "export {};\n"])
def test_a_file_that_changed_is_sent_whole_and_with_its_own_length(site: Statics, folder: Path, text: str) -> None:
    """With the length of before, the browser waits for the rest of a shorter file and gets a piece of a longer one."""
    (folder / "a.js").write_text(text)
    answer = ask(site, folder)
    assert body(answer) == text.encode()
    assert answer["Content-Length"] == str(len(text))


def test_a_browser_that_has_the_old_file_is_sent_the_new_one(site: Statics, folder: Path) -> None:
    old = ask(site, folder)
    (folder / "a.js").write_text("export const a = 2;\n")
    os.utime(folder / "a.js", (2_000_000_000, 2_000_000_000))  # HTTP knows whole seconds only
    with override_settings(STATICFILES_DIRS=[folder]):
        again = site(RequestFactory().get("/static/a.js", headers={"If-None-Match": old["ETag"]}))
    assert (again.status_code, body(again)) == (200, b"export const a = 2;\n")


def test_a_file_that_did_not_change_is_not_read_anew(site: Statics, folder: Path) -> None:
    known = site.files["/static/a.js"]
    assert ask(site, folder).status_code == 200
    assert site.files["/static/a.js"] is known


def test_a_file_that_is_gone_is_not_found_and_one_that_came_is(site: Statics, folder: Path) -> None:
    (folder / "a.js").unlink()
    (folder / "b.js").write_text("export {};\n")
    assert ask(site, folder).status_code == 404
    assert body(ask(site, folder, "b.js")) == b"export {};\n"


@pytest.mark.parametrize("name", ["", "c.js", "../secret", "%2e%2e/secret", "a.js/", "\\a.js"])
def test_nothing_else_is_found(site: Statics, folder: Path, name: str) -> None:
    (folder.parent / "secret").write_text("x")
    assert ask(site, folder, name).status_code == 404
