"""Both clocks, read together.

Leases count CLOCK_BOOTTIME, which goes on while the machine sleeps and which
nobody can set; the wall clock is for people (known-failures W16).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from lockcore.core.messages import Instant

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def boot_ns() -> int:
    """Return CLOCK_BOOTTIME in nanoseconds."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """Return which boot CLOCK_BOOTTIME counts from; where nobody says so, no boot is like another."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return f"unknown {time.time_ns()}"


def now() -> Instant:
    """Return this moment on both clocks."""
    return Instant(boot_ns(), time.time_ns())
