"""Linearizability of a short lock history by trying everything: slow, and too simple to be wrong in the same way.

The lock is a register with a clock. Each call that was answered with ok takes effect at one moment between its
invocation and its answer; one without an answer at any moment after its invocation, or never. Time counts in whole
nanoseconds, so a history whose times are small integers has few moments to try.

Elsewhere: the checker it is compared with (lockcore.testing.history).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lockcore.testing.record import Call, Did

if TYPE_CHECKING:
    from collections.abc import Sequence

NS_PER_MS = 1_000_000


@dataclass(frozen=True)
class Lock:
    """The lock by itself: the newest generation, whether it was released, and until when it lasts."""

    generation: int = 0
    released: bool = True
    until_ns: int = 0

    def after(self, call: Call, at_ns: int) -> Lock | None:
        """Return the lock after a call took effect; None where it must not have been answered with ok."""
        end_ns = at_ns + call.ttl_ms * NS_PER_MS
        if call.did is Did.ACQUIRE:
            free = self.released or at_ns >= self.until_ns
            return Lock(call.generation, False, end_ns) if free and call.generation > self.generation else None
        if call.generation != self.generation or self.released:
            return None
        if call.did is Did.UNLOCK:
            return Lock(self.generation, True, self.until_ns)
        return Lock(self.generation, False, max(self.until_ns, end_ns))


def linearizable(calls: Sequence[Call]) -> bool:
    """Say whether some order of moments explains every answer. Refused calls explain themselves."""
    told = [c for c in calls if c.ok or (c.ok is None and c.did is not Did.ACQUIRE)]
    return _explains(Lock(), told, 0)


def _explains(lock: Lock, left: list[Call], now_ns: int) -> bool:
    if not any(c.ok for c in left):
        return True
    last_ns = min(c.returned_ns for c in left if c.ok)  # nobody may take effect later than this one must
    for i, call in enumerate(left):
        moments = {max(now_ns, call.invoked_ns), max(now_ns, call.invoked_ns, lock.until_ns)}
        for at_ns in sorted(m for m in moments if m <= last_ns and (not call.ok or m <= call.returned_ns)):
            then = lock.after(call, at_ns)
            if then is not None and _explains(then, left[:i] + left[i + 1 :], at_ns):
                return True
    return False
