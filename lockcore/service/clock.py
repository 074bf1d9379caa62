"""Both clocks, read together.

Leases count CLOCK_BOOTTIME, which goes on while the machine sleeps and which
nobody can set; the wall clock is for people (known-failures W16).
"""

from __future__ import annotations

import time

from lockcore.core.messages import Instant


def boot_ns() -> int:
    """Return CLOCK_BOOTTIME in nanoseconds."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def now() -> Instant:
    """Return this moment on both clocks."""
    return Instant(boot_ns(), time.time_ns())
