"""The pages in another language: every word of theirs comes from a catalogue."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Final

import pytest
from django.contrib.auth.models import User
from django.test import Client, override_settings

from dlmsite.access.links import issue_link
from dlmsite.access.roles import Role, give_role
from dlmsite.dashboard import scenarios
from dlmsite.languages import available
from lockcore.core.events import EventKind
from tests.words.pseudo import CLOSE, CODE, OPEN, write_language

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.django_db

UNREAD: Final = {"script", "style", "code", "kbd", "noscript", "datalist"}
READ_ATTRIBUTES: Final = {"title", "aria-label", "placeholder", "alt", "aria-valuetext"}
WORD: Final = re.compile(r"[^\W\d_]{3,}")
# Names, which are the same in every language: ours, the visitor's, and those of kinds of events (the API's).
NAMES: Final = {"Lockring", "ada", "Log in as ada", "CSV", "NDJSON"}
PAGES: Final = ("/", "/audit/", "/charts/", "/lock/", "/spacetime/", "/no/such/page/")
STRANGERS: Final = ("/login/", "/login/never-was/", "link")


class Reader(HTMLParser):
    """Keeps what people see or hear of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.inside: list[str] = []
        self.language: str | None = None
        self.said: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "html":
            self.language = dict(attrs)["lang"]
        self.said += [value for name, value in attrs if name in READ_ATTRIBUTES and value]
        if tag not in {"meta", "link", "input", "br", "col"}:
            self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if UNREAD.isdisjoint(self.inside):
            self.said.append(data)


def untranslated(html: str) -> tuple[str | None, list[str]]:
    """Return the page's language, and what has words and is no name, outside of brackets."""
    reader = Reader()
    reader.feed(html)
    rest = [re.sub(rf"{OPEN}[^{CLOSE}]*{CLOSE}", "", text).strip(" ·\n") for text in reader.said]
    return reader.language, [text for text in rest if WORD.search(text) and text not in NAMES]


def recorded() -> set[str]:
    """Return what the pages show as it is written in rows, in English: kinds of events, and what is there to try."""
    found: set[str] = set(EventKind)
    for one in scenarios.described():
        found |= {
            one["title"],
            one["shows"],
            *(s["says"] for s in one["steps"]),
            *(e["expected"] for e in one["expects"]),
        }
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("locale")
    write_language(made)
    return made


@pytest.fixture
def languages(folder: Path) -> Iterator[None]:
    with override_settings(LOCALE_PATHS=[folder], LANGUAGES=available([folder])):
        yield


@pytest.fixture
def visitor(languages: None) -> Client:  # noqa: ARG001 - pages in the language that is asked for
    return Client(headers={"Accept-Language": CODE})


@pytest.mark.parametrize("path", PAGES)
def test_every_word_of_a_page_comes_from_the_catalogue(visitor: Client, path: str) -> None:
    user = User.objects.create_user("ada")
    give_role(user, Role.OPERATOR)
    visitor.force_login(user)
    language, left = untranslated(visitor.get(path).content.decode())
    assert (language, [text for text in left if text not in recorded()]) == (CODE, [])


@pytest.mark.parametrize("path", STRANGERS)
def test_so_does_every_word_before_the_door(visitor: Client, path: str) -> None:
    page = visitor.get(issue_link("ada", Role.VIEWER) if path == "link" else path)
    assert untranslated(page.content.decode()) == (CODE, [])


def test_the_modules_get_the_same_language(visitor: Client) -> None:
    script = visitor.get("/words.js")
    assert script["Content-Type"].startswith("text/javascript")
    assert "Accept-Language" in script["Vary"]
    catalogue = re.search(r"newcatalog = (\{.*?\n\s*\});", script.content.decode(), re.DOTALL)
    assert catalogue is not None
    assert json.loads(catalogue.group(1))["Kill"] == f"{OPEN}Kill{CLOSE}"


def test_who_asks_for_a_language_that_nobody_has_made_reads_english() -> None:
    page = Client(headers={"Accept-Language": "eo, de;q=0.5"}).get("/login/")
    assert (page["Content-Language"], "Log in to Lockring" in page.content.decode()) == ("en", True)


def test_what_is_not_translated_is_found() -> None:
    assert untranslated(f'<html lang="x"><p title="Some words">{OPEN}a{CLOSE} and more</p></html>') == (
        "x",
        ["Some words", "and more"],
    )
