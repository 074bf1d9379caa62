"""Regions: sets of ring positions, as sorted disjoint half-open intervals.

Used for "which part of the key space am I complete for". Immutable.

Invariants
  R1  Intervals are sorted, disjoint, never adjacent, within [0, 2^32).
Elsewhere: who owns what (ring), what a node may serve (handover).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

SPACE: Final = 1 << 32
Interval = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Region:
    """A set of positions. Build it with `Region.of`, which normalises."""

    intervals: tuple[Interval, ...] = ()
    _starts: tuple[int, ...] = field(init=False, repr=False, compare=False, default=())

    def __post_init__(self) -> None:
        """Keep the starts apart: membership is asked once per request."""
        object.__setattr__(self, "_starts", tuple(start for start, _ in self.intervals))

    @classmethod
    def of(cls, intervals: Iterable[Interval]) -> Region:
        """Return the union of any half-open intervals, in any order."""
        merged: list[Interval] = []
        for start, stop in sorted(i for i in intervals if i[0] < i[1]):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
            else:
                merged.append((start, stop))
        return cls(tuple(merged))

    def __contains__(self, position: int) -> bool:
        """Say whether a position (0 <= position < 2^32) is in the region."""
        at = bisect_right(self._starts, position) - 1
        return at >= 0 and position < self.intervals[at][1]

    def __bool__(self) -> bool:
        """Say whether there is any position in it."""
        return bool(self.intervals)

    def __or__(self, other: Region) -> Region:
        """Union."""
        return Region.of((*self.intervals, *other.intervals))

    def __and__(self, other: Region) -> Region:
        """Intersection, by one walk over both."""
        out: list[Interval] = []
        mine, theirs, i, j = self.intervals, other.intervals, 0, 0
        while i < len(mine) and j < len(theirs):
            start, stop = max(mine[i][0], theirs[j][0]), min(mine[i][1], theirs[j][1])
            if start < stop:
                out.append((start, stop))
            if mine[i][1] < theirs[j][1]:
                i += 1
            else:
                j += 1
        return Region.of(out)

    def __sub__(self, other: Region) -> Region:
        """Everything here that is not in the other."""
        gaps: list[Interval] = []
        at = 0
        for start, stop in other.intervals:
            gaps.append((at, start))
            at = stop
        gaps.append((at, SPACE))
        return self & Region.of(gaps)

    def covers(self, other: Region) -> bool:
        """Say whether every position of the other is here too."""
        return not other - self

    @property
    def share(self) -> float:
        """The share of the whole space, 0 to 1."""
        return sum(stop - start for start, stop in self.intervals) / SPACE


EVERYWHERE: Final = Region(((0, SPACE),))
NOWHERE: Final = Region()
