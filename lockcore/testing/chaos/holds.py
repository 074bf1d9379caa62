"""What programs in sessions believed to hold, from when until when: never two that exclude each other at once.

A hold that was migrated counts from when the old session got it: nobody else
may have had it in between. A named lock is a write lock of the whole key.

Elsewhere: who writes them down (insession).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockcore.core.rangerecords import Kind
from lockcore.testing.record import Violation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lockcore.testing.chaos.records import Hold


def check_holds(holds: Iterable[Hold]) -> list[Violation]:
    """I1 for sessions: two conflicting holds of two programs never overlap in time."""
    by_key: dict[str, list[Hold]] = {}
    for hold in holds:
        by_key.setdefault(hold.key, []).append(hold)
    out = []
    for found in by_key.values():
        running: list[Hold] = []
        for hold in sorted(found, key=lambda one: one.from_ns):
            running = [one for one in running if one.to_ns > hold.from_ns]
            out += [Violation("I1", _text(one, hold)) for one in running if _excludes(one, hold)]
            running.append(hold)
    return out


def _excludes(one: Hold, other: Hold) -> bool:
    if one.program == other.program or Kind.WRITE not in {one.kind, other.kind}:
        return False
    return one.start <= other.end and other.start <= one.end


def _text(one: Hold, other: Hold) -> str:
    both_ms = (min(one.to_ns, other.to_ns) - other.from_ns) / 1e6
    return f"{one.key}: {_bytes(one)} and {_bytes(other)} at once, for {both_ms:.1f} ms from {other.from_ns}"


def _bytes(hold: Hold) -> str:
    return f"{hold.program} held {hold.kind} {hold.start} to {hold.end} (fence {hold.fence})"
