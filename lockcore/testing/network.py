"""Virtual time, clocks that differ, and links that delay, drop and duplicate.

Elsewhere: who is connected by them (world).
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING

from lockcore.core.limits import NS_PER_MS

if TYPE_CHECKING:
    from collections.abc import Callable

EVENTS_MAX = 3_000_000
"""A thousand seeds' worth: a test with a thousand locks needs less."""


@dataclass(slots=True)
class Clock:
    """One party's clocks against the world's time.

    `rate` is how fast its CLOCK_BOOTTIME runs (1.0 is true), `offset_ns`
    where it began, `wall_ns` what its wall clock adds to true time.
    """

    rate: float = 1.0
    offset_ns: int = 0
    wall_ns: int = 0

    def boot(self, true_ns: int) -> int:
        """Return the party's CLOCK_BOOTTIME at a true time."""
        return self.offset_ns + int(true_ns * self.rate)

    def true(self, boot_ns: int) -> int:
        """Return the true time at which the party's clock shows `boot_ns`."""
        return int((boot_ns - self.offset_ns) / self.rate) + 1


@dataclass(slots=True)
class Link:
    """One direction between two parties. Delays in milliseconds."""

    delay_ms: tuple[float, float] = (0.2, 2.0)
    cut: bool = False
    drop: float = 0.0
    duplicate: float = 0.0


class Timeline:
    """One queue of everything that will happen, ordered by (time, number)."""

    def __init__(self) -> None:
        """Start at time 0."""
        self.now_ns = 0
        self.events = 0
        self.events_max = EVENTS_MAX
        self.links: dict[tuple[str, str], Link] = {}
        self.default_link = Link()
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._ids = count(1)

    # --- time -----------------------------------------------------------------------

    def after(self, delay_ms: float, action: Callable[[], None]) -> None:
        """Have something happen later."""
        at_ns = self.now_ns + int(delay_ms * NS_PER_MS)
        heappush(self._queue, (at_ns, next(self._ids), action))

    def _at(self, true_ns: int, action: Callable[[], None]) -> None:
        heappush(self._queue, (max(true_ns, self.now_ns), next(self._ids), action))

    def run_ms(self, duration_ms: float) -> None:
        """Let time pass."""
        until_ns = self.now_ns + int(duration_ms * NS_PER_MS)
        while self._queue and self._queue[0][0] <= until_ns:
            self._run_one()
        self.now_ns = until_ns

    def run_until(self, condition: Callable[[], bool], limit_ms: float = 60_000) -> None:
        """Let time pass until a condition holds.

        Raises:
            AssertionError: it does not within `limit_ms` of virtual time.
        """
        until_ns = self.now_ns + int(limit_ms * NS_PER_MS)
        while not condition():
            if not self._queue or self._queue[0][0] > until_ns:
                msg = f"the condition never held within {limit_ms} virtual ms"
                raise AssertionError(msg)
            self._run_one()

    def _run_one(self) -> None:
        at_ns, _, action = heappop(self._queue)
        self.now_ns = max(self.now_ns, at_ns)
        self.events += 1
        if self.events > self.events_max:
            raise AssertionError(f"{self.events_max} events, and no end: something asks itself in a circle")
        action()

    # --- links ----------------------------------------------------------------------

    def cut(self, source: str, target: str, *, both: bool = True) -> None:
        """Silently lose what is sent from source to target."""
        self._own_link(source, target).cut = True
        if both:
            self._own_link(target, source).cut = True

    def mend(self, source: str, target: str) -> None:
        """Repair both directions between two parties."""
        for pair in ((source, target), (target, source)):
            if pair in self.links:
                self.links[pair].cut = False

    def heal(self) -> None:
        """Repair all links."""
        for link in self.links.values():
            link.cut = False

    def _link(self, source: str, target: str) -> Link:
        return self.links.get((source, target), self.default_link)

    def _own_link(self, source: str, target: str) -> Link:
        return self.links.setdefault((source, target), Link(self._link(source, target).delay_ms))
