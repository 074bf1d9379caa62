"""What one kind of fault has cost, and the table of all.

Elsewhere: who counts (faults).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

NOTHING: Final = "-"


@dataclass(slots=True)
class Toll:
    """What faults of one kind have cost one side.

    Attributes:
        trials: how often it was done.
        locks: that the fault concerned, over all trials.
        given: of them, granted to the thief while the holder's acknowledged lease ran.
        lost: of them, refused to their holder, or not renewed until their lease ended.
        fell: keys whose next generation was not above all that anybody had been told.
        renewable_s: of each lock kept, the longest time that a renewal took; of the first one, from the fault.
        anew_s: of each lock lost, from the fault until its holder was granted it again.
        problem: why it could not be done, empty where it was.
    """

    trials: int = 0
    locks: int = 0
    given: int = 0
    lost: int = 0
    fell: int = 0
    renewable_s: list[float] = field(default_factory=list)
    anew_s: list[float] = field(default_factory=list)
    problem: str = ""

    @property
    def is_clean(self) -> bool:
        """Say whether it was done, and nothing was given away, lost or fell."""
        return bool(self.trials) and not (self.given or self.lost or self.fell or self.problem)


class Generations:
    """The generations of keys, as anybody is told of them."""

    def __init__(self) -> None:
        self.fell: set[str] = set()
        self._highest: dict[str, int] = {}

    def note(self, key: str, generation: int) -> None:
        """Note a fresh grant."""
        if generation <= self._highest.get(key, 0):
            self.fell.add(key)
        self._highest[key] = max(generation, self._highest.get(key, 0))


HEADS: Final = (
    "fault",
    "",
    "trials",
    "locks",
    "given to another",
    "lost",
    "generations that fell",
    "time to renewable, median / max",
    "lost ones held again after, median / max",
)


def rows_of(fault: str, tolls: Sequence[tuple[str, Toll]]) -> list[tuple[str, ...]]:
    """Return the rows of one fault, one for each side."""
    return [(fault if not i else "", name, *_cells(toll)) for i, (name, toll) in enumerate(tolls)]


def _cells(toll: Toll) -> tuple[str, ...]:
    if toll.problem and not toll.trials:
        return (f"not measured: {toll.problem}", *(NOTHING,) * 6)
    counts = (toll.given, toll.lost, toll.fell)
    times = (spread(toll.renewable_s), spread(toll.anew_s))
    trials = f"{toll.trials} ({toll.problem})" if toll.problem else str(toll.trials)
    return (trials, f"{toll.locks:,}", *(f"{count:,}" for count in counts), *times)


def spread(times_s: Sequence[float]) -> str:
    """Return median and maximum."""
    return f"{median(times_s):.2f} / {max(times_s):.2f} s" if times_s else NOTHING


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown, its columns below each other."""
    widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in (heads, *rows)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
