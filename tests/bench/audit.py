"""Questions to a long history: the first page of each within a second, or 300 ms where an index serves it.

LOCKRING_BENCH_ROWS says how long the history is: a million events unless it says otherwise.

Elsewhere: filling and asking (tests.bench.auditfill).
"""

from __future__ import annotations

import os
from typing import Final

from tests.bench.apart import said_by
from tests.bench.report import Row, at_most
from tests.bench.site import PROJECT

ROWS: Final = int(os.environ.get("LOCKRING_BENCH_ROWS", "1000000"))
TITLE: Final = f"the audit of {ROWS:,} events on SQLite: 95 % of {40} first pages of each question"
BOUND_S: Final = 120 + ROWS // 2_000
INDEXED_MS: Final = 300.0
OTHER_MS: Final = 1_000.0
OTHER: Final = frozenset({"a text in some minute", "a text in all of it (bounded)"})
"""No index serves these: rows are read."""


async def measure() -> list[Row]:
    """Return the rows."""
    text = await said_by("-m", "tests.bench.auditfill", "--rows", str(ROWS), PYTHONPATH=str(PROJECT))
    return [row for line in text.splitlines() for row in _rows(line)]


def _rows(line: str) -> list[Row]:
    kind, _, rest = line.partition("|")
    name, _, value = rest.partition("|")
    if kind == "say":
        return [Row(name, value)]
    if kind != "ask":
        return []
    p95, _, more = value.partition("|")
    limit = OTHER_MS if name in OTHER else INDEXED_MS
    return [at_most(name, float(p95), limit, "ms", 1), Row("", more)]
