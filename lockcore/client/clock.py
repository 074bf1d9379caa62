"""CLOCK_BOOTTIME, and timers that keep to it.

An event loop counts CLOCK_MONOTONIC, which stands still while the machine
sleeps. A lease does not. So the timers here look at the clock at least once
a second, and one that came due during a sleep fires soon after it.

Invariants
  B1  A callback runs once, never before its time, and not after `cancel`.
Elsewhere: what the leases do with it (machine).
"""

from __future__ import annotations

import asyncio
import time
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Final

from lockcore.core.limits import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_S: Final = 1.0


def boot_ns() -> int:
    """Return CLOCK_BOOTTIME in nanoseconds."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Alarm:
    """One callback that was asked for."""

    __slots__ = ("at_ns", "call")

    def __init__(self, at_ns: int, call: Callable[[], None]) -> None:
        self.at_ns = at_ns
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Never run it."""
        self.call = None


class BootTimers:
    """Callbacks at CLOCK_BOOTTIMEs, in the running loop."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Alarm]] = []
        self._order = count()
        self._handle: asyncio.TimerHandle | None = None

    def call_at(self, at_ns: int, call: Callable[[], None]) -> Alarm:
        """Run `call` at `at_ns`, or in the next turn of the loop if that is past."""
        alarm = Alarm(at_ns, call)
        heappush(self._heap, (at_ns, next(self._order), alarm))
        if self._heap[0][2] is alarm:
            self._arm()
        return alarm

    def close(self) -> None:
        """Run nothing any more."""
        self._heap.clear()
        if self._handle:
            self._handle.cancel()

    def _arm(self) -> None:
        if self._handle:
            self._handle.cancel()
            self._handle = None
        while self._heap and self._heap[0][2].call is None:
            heappop(self._heap)
        if self._heap:
            wait_s = (self._heap[0][0] - boot_ns()) / NS_PER_S
            self._handle = asyncio.get_running_loop().call_later(min(max(wait_s, 0.0), LOOK_S), self._fire)

    def _fire(self) -> None:
        self._handle = None
        now_ns = boot_ns()
        while self._heap and self._heap[0][0] <= now_ns:
            alarm = heappop(self._heap)[2]
            call, alarm.call = alarm.call, None
            if call is not None:
                call()
        self._arm()
