"""Questions to a long history: the first page of each within a second, or 300 ms where an index serves it.

Elsewhere: the history, how long it is and in which database (filled), what is asked (questions).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.bench import filled

if TYPE_CHECKING:
    from tests.bench.report import Row

TITLE: Final = filled.title("the audit, 95 % of 40 answers,")
BOUND_S: Final = filled.BOUND_S


async def measure() -> list[Row]:
    """Return the rows."""
    history = await filled.filled()
    return [*history.rows, *await history.asked("audit"), *await history.asked("export")]
