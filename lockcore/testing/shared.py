"""Rings and regions that all nodes of a world use together.

In a cluster each node works them out for itself; here they would be most of
what a seed costs. They are immutable (H2), so sharing shows nothing else.

Elsewhere: what they mean (lockcore.core.ring, lockcore.core.region).
"""

from __future__ import annotations

from lockcore.core.region import Region
from lockcore.core.ring import HashRing


class SharedRegion(Region):
    """A region that remembers what it was joined with and lessened by.

    It keeps each operand alive with its result, so an `id` is never reused.
    """

    __slots__ = ("_known",)
    _known: dict[tuple[bool, int], tuple[Region, Region]]

    def __init__(self, region: Region) -> None:
        """Copy a region."""
        super().__init__(region.intervals)
        object.__setattr__(self, "_known", {})

    def __or__(self, other: Region) -> Region:
        """Union."""
        known = self._known.get((True, id(other)))
        if known is None:
            known = self._known[True, id(other)] = (SharedRegion(super().__or__(other)), other)
        return known[0]

    def __sub__(self, other: Region) -> Region:
        """Everything here that is not in the other."""
        known = self._known.get((False, id(other)))
        if known is None:
            known = self._known[False, id(other)] = (super().__sub__(other), other)
        return known[0]

    def __eq__(self, other: object) -> bool:
        """Equal to every region with the same positions."""
        return isinstance(other, Region) and self.intervals == other.intervals

    def __hash__(self) -> int:
        """Hash of the positions."""
        return hash(self.intervals)


class SharedRing(HashRing):
    """A ring whose regions are worked out once for all nodes of a world."""

    def __init__(self, servers: tuple[str, ...], *, down: tuple[str, ...]) -> None:
        """Place the virtual nodes."""
        super().__init__(servers, down=down)
        self._regions: dict[tuple[str | None, str | None], Region] = {}

    def region(self, *, primary: str | None = None, backup: str | None = None) -> Region:
        """Return the positions with this primary and/or this backup."""
        known = self._regions.get((primary, backup))
        if known is None:
            region = super().region(primary=primary, backup=backup)
            known = self._regions[primary, backup] = SharedRegion(region)
        return known
