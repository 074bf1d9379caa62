"""Which part may import which: DESIGN's rooms, as rules, and a reader of imports that says what breaks them.

Imports run one way: core <- wire <- service, client <- seaweed; core.events <- journal; journal, operations <-
dashboard.

Elsewhere: the test that applies the rules to the project (test_imports.py).
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

# What drags in a clock, chance, a loop or a log has no place in the pure core: those arrive as arguments or leave as
# effects.
IMPURE: Final = frozenset(
    {"asyncio", "grpc", "time", "random", "logging", "threading", "socket", "datetime", "secrets"}
)
SITE: Final = frozenset({"django", "channels", "daphne", "twisted", "dlmsite"})


@dataclass(frozen=True, slots=True)
class Rule:
    """Modules under `package` import nothing under `forbidden`, unless it is under `but`.

    Attributes:
        why: told to whoever breaks the rule.
    """

    package: str
    forbidden: frozenset[str]
    why: str
    but: frozenset[str] = frozenset()


def _others(prefix: str, *names: str) -> frozenset[str]:
    return frozenset(f"{prefix}.{name}" for name in names)


RULES: Final = (
    Rule("lockcore", SITE, "the lock engine knows nothing of the site"),
    Rule("lockcore.core", IMPURE, "the core is pure: time comes in as an argument, effects go out"),
    Rule("lockcore.core", frozenset({"google"}), "messages of the wire stop at the codec"),
    Rule("lockcore.core", _others("lockcore", "wire", "service", "client", "testing"), "nothing is below the core"),
    Rule("lockcore.wire", _others("lockcore", "service", "client", "testing"), "the wire only knows the core"),
    Rule("lockcore.seaweed", frozenset({"lockcore.testing"}), "what runs needs nothing that only tests need"),
    *(
        Rule(f"lockcore.{room}", frozenset({"lockcore.seaweed"}), "a member of a foreign ring is built upon the rest")
        for room in ("core", "wire", "service", "client")
    ),
    Rule("lockcore.service", _others("lockcore", "client", "testing"), "service and client do not know each other"),
    Rule("lockcore.client", _others("lockcore", "service", "testing"), "service and client do not know each other"),
    Rule(
        "dlmsite.access", _others("dlmsite", "journal", "operations", "dashboard", "observing"), "access stands alone"
    ),
    Rule(
        "dlmsite.journal",
        frozenset({"lockcore", "dlmsite.operations", "dlmsite.dashboard", "dlmsite.observing"}),
        "the journal writes down events and knows nothing of who made or who reads them",
        # The running check judges facts as they are written down; it is pure, and no part of what it judges.
        but=frozenset({"lockcore.core.events", "lockcore.testing.online"}),
    ),
    Rule(
        "dlmsite.observing",
        frozenset({"dlmsite.operations", "dlmsite.dashboard", "dlmsite.journal", "lockcore.service"}),
        "what is only watched is apart from what is our own",
    ),
    Rule("dlmsite.operations", frozenset({"dlmsite.dashboard"}), "the dashboard reads operations, not the reverse"),
    # Generated classes stop at the codec.
    *(
        Rule(package, frozenset({"lockcore.wire.gen"}), "only lockcore.wire touches generated classes")
        for package in (
            "lockcore.core",
            "lockcore.service",
            "lockcore.client",
            "lockcore.seaweed",
            "lockcore.testing",
            "dlmsite",
        )
    ),
)


def broken_rules(module: str, source: str) -> list[str]:
    """Return what `module` imports and should not, one line of text each."""
    rules = [rule for rule in RULES if _under(module, rule.package)]
    return [
        f"{module}:{line} imports {imported}: {rule.why}"
        for line, imported in imports_of(module, source)
        for rule in rules
        if _hits(imported, rule.forbidden) and not _hits(imported, rule.but)
    ]


def imports_of(module: str, source: str) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) of everything imported, also inside functions; `from a import b` gives `a.b`.

    Args:
        module: dotted name, needed for relative imports. A package's is without `__init__`.
        source: its text.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = module.split(".")[: -node.level]
                base = ".".join([*parent, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def _hits(imported: str, names: frozenset[str]) -> bool:
    return any(_under(imported, name) for name in names)


def _under(dotted: str, package: str) -> bool:
    return dotted == package or dotted.startswith(package + ".")
