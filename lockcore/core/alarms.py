"""Moments at which a key wants to be looked at again.

Early or needless looks are harmless, so nothing is ever taken out before its
time; setting the same alarm twice costs nothing.

Elsewhere: what is looked at (queueing).
"""

from __future__ import annotations

from heapq import heappop, heappush


class Alarms:
    """Keys by the CLOCK_BOOTTIME at which their time comes."""

    def __init__(self) -> None:
        """Start with none."""
        self._heap: list[tuple[int, str]] = []
        self._set: set[tuple[int, str]] = set()

    def set(self, at_ns: int, key: str) -> None:
        """Have `due` return the key at that time."""
        if (at_ns, key) not in self._set:
            self._set.add((at_ns, key))
            heappush(self._heap, (at_ns, key))

    def next_ns(self) -> int | None:
        """Return when `due` has something to return."""
        return self._heap[0][0] if self._heap else None

    def due(self, now_ns: int) -> list[str]:
        """Take out the keys whose time has come, each once, in their order."""
        found: dict[str, None] = {}
        while self._heap and self._heap[0][0] <= now_ns:
            alarm = heappop(self._heap)
            self._set.discard(alarm)
            found[alarm[1]] = None
        return list(found)
