"""What docs/guarantees.md names exists: tests, sections, files and sources.

A promise whose test was renamed is a promise that nobody holds.
"""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.style.sources import ROOT, name_of

PAGE = "docs/guarantees.md"
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
LINK = re.compile(r"\]\((?!https://)([^)\s]+)\)")
SOURCE = re.compile(r"\b([CEGLNRSZ]\d+)\b")
CITED = re.compile(r"\[((?:[CEGLNRSZ]\d+)[^\]]*)\]")


@cache
def text() -> str:
    return (ROOT / PAGE).read_text(encoding="utf-8")


@cache
def names_in(path: str) -> frozenset[str]:
    """What a file defines at its top: tests, and classes that a library makes of state machines."""
    if not (ROOT / path).is_file():
        return frozenset()
    found: set[str] = set()
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return frozenset(found)


def missing_tests(page: str) -> list[str]:
    return [f"{path}::{name}" for path, name in TEST.findall(page) if name not in names_in(path)]


def anchors(page: str) -> set[str]:
    titles = re.findall(r"(?m)^#+ (.+)$", page)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def dead_links(page: str) -> list[str]:
    """Links within the project that lead nowhere."""
    dead = []
    for link in LINK.findall(page):
        path, _, anchor = link.partition("#")
        target = (ROOT / PAGE).parent / path if path else ROOT / PAGE
        if not target.is_file() or (anchor and not path and anchor not in anchors(page)):
            dead.append(link)
    return dead


def sources_of(page: str) -> tuple[set[str], set[str]]:
    """Return the sources that are cited, and those that are listed."""
    body, _, listed = page.partition("## Sources")
    cited = {source for group in CITED.findall(body) for source in SOURCE.findall(group)}
    return cited, set(re.findall(r"(?m)^\| ([CEGLNRSZ]\d+) \|", listed))


def test_every_test_that_the_page_names_exists() -> None:
    assert len(TEST.findall(text())) > 50
    assert missing_tests(text()) == []


def test_every_point_names_a_test() -> None:
    points = text().partition("## Point by point")[2].partition("\n## ")[0].split("\n### ")[1:]
    assert len(points) >= 15
    assert [point.splitlines()[0] for point in points if not TEST.search(point)] == []


def test_no_link_of_the_page_is_dead() -> None:
    assert LINK.findall(text())
    assert dead_links(text()) == []


def test_every_source_is_cited_and_every_citation_is_a_source() -> None:
    cited, listed = sources_of(text())
    assert len(listed) > 20
    assert cited == listed


def test_the_page_is_found_from_the_front() -> None:
    assert f"]({PAGE})" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"]({PAGE})" in (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "page",
    [
        f"`{name_of(ROOT / 'tests/style/test_guarantees.py')}::test_that_never_was`",
        "`tests/style/test_that_never_was.py::test_x`",
    ],
)
def test_a_test_that_does_not_exist_is_found(page: str) -> None:
    assert missing_tests(page)


def test_the_other_checks_can_fail() -> None:
    assert dead_links("# A\n[x](#b) [y](#a) [z](nowhere.md)") == ["#b", "nowhere.md"]
    assert sources_of("said [S1: W3] [R2]\n## Sources\n| R2 | x |\n| Z9 | y |") == ({"S1", "R2"}, {"R2", "Z9"})
