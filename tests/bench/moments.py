"""How long any moment of a long history takes to open, with 10,000 locks held all the time.

Elsewhere: the history (filled), what is asked (questions), the answers (dlmsite.dashboard.moment, compare, timeline).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.bench import filled

if TYPE_CHECKING:
    from tests.bench.report import Row

TITLE: Final = filled.title("time travel, 95 % of 40 answers,")
BOUND_S: Final = filled.BOUND_S


async def measure() -> list[Row]:
    """Return the rows."""
    history = await filled.filled()
    return [*history.rows, *await history.asked("moments")]
