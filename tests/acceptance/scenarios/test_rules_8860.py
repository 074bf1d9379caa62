"""Every rule of SeaweedFS #8860 has a test that names it, and every name is a rule.

Elsewhere: the rules (rules_8860).
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.acceptance.scenarios.rules_8860 import RULES

TESTS = Path(__file__).resolve().parent.parent.parent
NAMED = re.compile(r"8860:([a-z0-9-]+)")


def rules_named(source: str) -> dict[str, set[str]]:
    """Return the rules that each test function of a source names in its docstring."""
    named: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            named[node.name] = set(NAMED.findall(ast.get_docstring(node) or ""))
    return named


def all_named() -> set[str]:
    paths = sorted(p for p in TESTS.rglob("test_*.py") if p.name != Path(__file__).name)
    return set().union(*(rules for p in paths for rules in rules_named(p.read_text(encoding="utf-8")).values()))


def test_every_rule_of_8860_has_a_test_that_names_it() -> None:
    assert sorted({rule.id for rule in RULES} - all_named()) == []


def test_every_rule_that_a_test_names_is_in_the_table() -> None:
    assert sorted(all_named() - {rule.id for rule in RULES}) == []


def test_rules_have_different_names_and_texts() -> None:
    assert len({rule.id for rule in RULES}) == len({rule.text for rule in RULES}) == len(RULES)


def test_these_checks_can_fail() -> None:
    assert rules_named('def test_x():\n    """Why: 8860:some-rule."""') == {"test_x": {"some-rule"}}
    assert rules_named('def helper():\n    """8860:some-rule."""') == {}
