"""How often one user or token may ask: a token bucket each, in this process.

It protects the site from a program that loops, not from a crowd: several site processes have a bucket each.

Invariants
  P1  At most BURST requests at once and PER_S a second in the long run, for each name.
  P2  At most NAMES_MAX buckets; the one that was not used for longest goes first. It was full again long before.
Elsewhere: who asks (door), tries to log in (throttle).
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Final

PER_S: Final = 50.0
"""The page asks some five times a second at most, and 10 of them may belong to one user."""
BURST: Final = 300.0
"""Fifty pages of one user that come back at once, with all that they ask for."""
NAMES_MAX: Final = 2_000


class Buckets:
    """A bucket per name."""

    def __init__(
        self, per_s: float = PER_S, burst: float = BURST, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_s = per_s
        self._burst = burst
        self._clock_s = clock_s
        self._lock = Lock()
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()  # name -> (level, at_s)

    def take(self, name: str) -> float:
        """Take one request out; return 0, or in how many seconds there will be one."""
        with self._lock:
            now_s = self._clock_s()
            level, at_s = self._levels.pop(name, (self._burst, now_s))
            level = min(self._burst, level + (now_s - at_s) * self._per_s)
            wait_s = 0.0 if level >= 1 else (1 - level) / self._per_s
            self._levels[name] = (level if wait_s else level - 1, now_s)
            while len(self._levels) > NAMES_MAX:
                self._levels.popitem(last=False)
            return wait_s

    def __len__(self) -> int:
        return len(self._levels)


_buckets = Buckets()


def take(name: str) -> float:
    """Take one request out of a name's bucket in this process; return 0, or in how many seconds there will be one."""
    return _buckets.take(name)
