"""How long things took, as counts by duration: bounded, whatever happens, and added up by adding.

The bounds are the same everywhere, so that what nodes tell can be summed over nodes and subtracted over time.

Elsewhere: measuring (lockcore.service.meter), telling (mastering.Gauges), quantiles (whoever draws them).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

BUCKETS_US: Final = (
    100, 200, 500,
    1_000, 2_000, 5_000,
    10_000, 20_000, 50_000,
    100_000, 200_000, 500_000,
    1_000_000, 2_000_000, 5_000_000, 10_000_000,
)  # fmt: skip
"""Upper bounds. A request on one machine takes some 300 us, and waits for 10 s at most (REQUEST_TIMEOUT_MS)."""
COUNTS: Final = len(BUCKETS_US) + 1
"""One more than bounds: what took longer than all of them."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Since the start: how many took up to each bound and longer than the one before, and the sum of all.

    `counts` is empty where nobody measures, else COUNTS long.
    """

    counts: tuple[int, ...] = ()
    total_us: int = 0
