"""Moments at which a key wants to be looked at again.

Each key has one alarm at most, the earliest that was set: who looks at it
sets the next. So there are no more of them than keys, however many wait.
Early or needless looks are harmless, so none is taken out before its time.

Elsewhere: what is looked at (queueing, ranging).
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush


class Alarms:
    """Keys by the CLOCK_BOOTTIME at which their time comes."""

    def __init__(self) -> None:
        """Start with none."""
        self._heap: list[tuple[int, str]] = []
        self._at_ns: dict[str, int] = {}

    def __len__(self) -> int:
        """Return how many moments are kept, those that count no more too."""
        return len(self._heap)

    def set(self, at_ns: int, key: str) -> None:
        """Have `due` return the key at that time, if not before."""
        if self._at_ns.get(key, at_ns + 1) <= at_ns:
            return
        self._at_ns[key] = at_ns
        heappush(self._heap, (at_ns, key))
        if len(self._heap) > 2 * len(self._at_ns) + 1_000:
            # An earlier alarm leaves the later one behind.
            self._heap = [(at, key) for key, at in self._at_ns.items()]
            heapify(self._heap)

    def next_ns(self) -> int | None:
        """Return when `due` has something to return."""
        return self._heap[0][0] if self._heap else None

    def due(self, now_ns: int) -> list[str]:
        """Take out the keys whose time has come, each once, in their order."""
        found: list[str] = []
        while self._heap and self._heap[0][0] <= now_ns:
            at_ns, key = heappop(self._heap)
            if self._at_ns.get(key) == at_ns:
                del self._at_ns[key]
                found.append(key)
        return found
