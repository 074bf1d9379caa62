"""Each module says what it is about, holds one idea, and waits for conditions instead of sleeping."""

import ast
from pathlib import Path

from tests.style.sources import is_generated, name_of, project_files, python_modules

LINES_MAX = 400
WRITTEN = {".py", ".js", ".css"}


def too_long(text: str) -> bool:
    return len(text.splitlines()) > LINES_MAX


def lacks_docstring(source: str) -> bool:
    """Say whether a module with code has no docstring; an empty file needs none."""
    tree = ast.parse(source)
    return bool(tree.body) and not ast.get_docstring(tree)


def sleeping_lines(source: str) -> list[int]:
    """Lines that call time.sleep, under whatever name it was imported."""
    tree = ast.parse(source)
    names, modules = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            names |= {alias.asname or alias.name for alias in node.names if alias.name == "sleep"}
        elif isinstance(node, ast.Import):
            modules |= {alias.asname or alias.name for alias in node.names if alias.name == "time"}
    return [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Call) and _sleeps(node.func, names, modules)]


def _sleeps(function: ast.expr, names: set[str], modules: set[str]) -> bool:
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        return function.attr == "sleep" and function.value.id in modules
    return isinstance(function, ast.Name) and function.id in names


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_no_module_is_longer_than_one_idea() -> None:
    """A reader holds a module in mind at once, or not at all."""
    written = [path for path in project_files() if path.suffix in WRITTEN and not is_generated(path)]
    assert written
    assert [name_of(path) for path in written if too_long(read(path))] == []


def test_every_module_says_what_it_is_about() -> None:
    assert [name_of(path) for path in python_modules() if lacks_docstring(read(path))] == []


def test_no_test_sleeps_and_hopes() -> None:
    """A sleep is too short on a busy machine and too long on all others: wait for the condition."""
    sleepers = [f"{name_of(path)}:{line}" for path in python_modules("tests") for line in sleeping_lines(read(path))]
    assert sleepers == []


def test_these_checks_can_fail() -> None:
    assert too_long("x\n" * (LINES_MAX + 1))
    assert not too_long("x\n" * LINES_MAX)
    assert lacks_docstring("x = 1")
    assert not lacks_docstring('"""About x."""\nx = 1')
    assert not lacks_docstring("")
    assert sleeping_lines("import time\ntime.sleep(1)") == [2]
    assert sleeping_lines("import time as t\nt.sleep(1)") == [2]
    assert sleeping_lines("from time import sleep as nap\ndef f():\n    nap(1)") == [3]
    assert sleeping_lines("import asyncio\nasync def f(): await asyncio.sleep(0)") == []
