"""Whether a program ever believed in a lock that it had lost, also after it had been stopped.

A belief is dated before `is_locked` was read: where that said yes, the lease
has to run at that moment, by the answers that the program had got, and nobody
else may have been told of a newer grant.

Elsewhere: who believes (holding), overlapping holds (lockcore.testing.history).
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING

from lockcore.core.limits import NS_PER_MS
from lockcore.testing.record import Did, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lockcore.testing.chaos.records import Belief
    from lockcore.testing.record import Call


def check_beliefs(beliefs: Iterable[Belief], calls: Iterable[Call]) -> list[Violation]:
    """I1 at the holder: `is_locked` is never true past the lease."""
    ends: dict[tuple[str, str, int], int] = {}
    grants: dict[str, list[Call]] = {}
    for call in calls:
        if call.ok and call.did in (Did.ACQUIRE, Did.RENEW):
            lock = call.client, call.key, call.generation
            ends[lock] = max(ends.get(lock, 0), call.invoked_ns + call.ttl_ms * NS_PER_MS)
        if call.ok and call.did is Did.ACQUIRE:
            grants.setdefault(call.key, []).append(call)
    newest = {key: _newest(found) for key, found in grants.items()}
    out = []
    for belief in beliefs:
        about = f"{belief.key}: {belief.client} believed in generation {belief.generation} at {belief.at_ns}"
        end_ns = ends.get((belief.client, belief.key, belief.generation), 0)
        if belief.at_ns >= end_ns:
            out.append(Violation("I1", f"{about}, and its lease had ended at {end_ns}"))
        told, tops = newest.get(belief.key, ([], []))
        before = bisect_left(told, belief.at_ns) - 1
        if before >= 0 and tops[before].generation > belief.generation:
            out.append(Violation("I1", f"{about}, when a newer one had been granted", (tops[before],)))
    return out


def _newest(grants: list[Call]) -> tuple[list[int], list[Call]]:
    """Return when grants were told, and the highest generation by then."""
    grants.sort(key=lambda call: call.returned_ns)
    return [call.returned_ns for call in grants], list(accumulate(grants, _higher))


def _higher(top: Call, call: Call) -> Call:
    return call if call.generation > top.generation else top
