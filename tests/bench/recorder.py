"""Whether the recorder keeps up with 5,000 events a second on SQLite for a minute: runs `manage.py bench_recorder`.

Elsewhere: the measurement itself (dlmsite/journal/management/commands/bench_recorder.py).
"""

from __future__ import annotations

import re
from typing import Final

from tests.bench.apart import said_by
from tests.bench.report import NotMeasured, Row, at_most, exactly

TITLE: Final = "the recorder under 5,000 events a second for a minute, SQLite"
BOUND_S: Final = 150
SECONDS: Final = 60
RATE: Final = 5_000
BEHIND_MS_MAX: Final = 2_000
"""A recorder that keeps up is done soon after the last event was sent."""
LOST: Final = re.compile(r"lost ([\d,]+)")
BEHIND: Final = re.compile(r"all recorded ([\d,]+) ms after")
SENT_RATE: Final = re.compile(r"\(([\d,]+)/s\)")


async def measure() -> list[Row]:
    """Return the rows."""
    text = await said_by("manage.py", "bench_recorder", "--seconds", str(SECONDS), "--rate", str(RATE))
    return _rows(text)


def _rows(text: str) -> list[Row]:
    lost, behind_ms, rate = (_number(pattern, text) for pattern in (LOST, BEHIND, SENT_RATE))
    return [
        Row("events sent a second", f"{rate:,}", f">= {RATE * 0.99:,.0f}", rate >= RATE * 0.99),
        exactly("events lost", lost, 0),
        at_most("all recorded after the last was sent", behind_ms, BEHIND_MS_MAX, "ms", 0),
        *(Row("it says", line) for line in text.strip().splitlines()),
    ]


def _number(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.search(text)
    if found is None:
        raise NotMeasured(f"manage.py bench_recorder says nothing that fits {pattern.pattern!r}: {text.strip()[-300:]}")
    return int(found.group(1).replace(",", ""))
