"""The unlocks of a grace, kept while it lasts: what was sent before one and arrives later has no effect.

Elsewhere: who asks (healing).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lockcore.core.operations import SessionId


@dataclass(frozen=True, slots=True)
class Wipe:
    """One unlock of bytes `start` to `end`, both included; `op_id` says what was sent before it."""

    session: SessionId
    lock_owner: str
    op_id: int
    start: int
    end: int


@dataclass(slots=True)
class Wipes:
    """All of them, by key; the asker keeps `count` within bounds."""

    of: dict[str, list[Wipe]] = field(default_factory=dict)
    count: int = 0

    def put(self, key: str, wipe: Wipe) -> None:
        """Keep one."""
        self.of.setdefault(key, []).append(wipe)
        self.count += 1

    def clear(self) -> None:
        """Forget them: no grace is running."""
        self.of.clear()
        self.count = 0
