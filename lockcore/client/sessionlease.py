"""Until when a session's holder may rely on it: arithmetic without clock or socket.

    CONNECTED --a keep-alive is late, or no stream stands--> SUSPENDED --the lease ends--> LOST
        ^---------------------- one is answered -------------------'

The lease is counted from before the last keep-alive that was answered was
sent, less a margin: the holder lets go before any node does.

Invariants
  S1  `state` depends on the moment alone: right also when this process was
      stopped, or its loop is busy.
  S2  LOST is for ever: no answer that comes later extends what has ended.
Elsewhere: asking and telling (session), single leases (machine).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from lockcore.client.machine import MARGIN_MS, MARGIN_SHARE
from lockcore.core.limits import NS_PER_MS

KEEP_SHARE: Final = 3
"""A keep-alive when a third of the lease has gone: two more fit in."""
LATE_SHARE: Final = 6
"""One that has no answer after a sixth of the lease is late: at half of the lease its holder knows."""


class SessionState(StrEnum):
    """What a program may rely on."""

    CONNECTED = "connected"
    SUSPENDED = "suspended"  # no answer for a while: what is held is held until `held_until_ns`, and perhaps not longer
    LOST = "lost"


@dataclass(slots=True)
class SessionLease:
    """The lease of one session. Times are CLOCK_BOOTTIME.

    Attributes:
        until_ns: when it ends unless it is extended; 0 before it began.
        asked_ns: when the last keep-alive that was answered was sent.
        silent_ns: since when no stream to any node stands; 0: one does.
        over: why it has ended for good; empty while it has not.
    """

    ttl_ms: int
    until_ns: int = 0
    asked_ns: int = 0
    silent_ns: int = 0
    over: str = ""

    @property
    def begun(self) -> bool:
        """Say whether the session was opened."""
        return self.until_ns > 0

    @property
    def ttl_ns(self) -> int:
        """The whole lease."""
        return self.ttl_ms * NS_PER_MS

    @property
    def due_ns(self) -> int:
        """When the next keep-alive is to leave: at once where no stream stands, for it opens one."""
        return self.silent_ns or self.asked_ns + self.ttl_ns // KEEP_SHARE

    @property
    def _late_ns(self) -> int:
        return self.silent_ns or self.asked_ns + self.ttl_ns // KEEP_SHARE + self.ttl_ns // LATE_SHARE

    def state(self, now_ns: int) -> SessionState:
        """Say what may be relied on now (S1)."""
        if self.over or (self.begun and now_ns >= self.until_ns):
            return SessionState.LOST
        return SessionState.SUSPENDED if self.begun and now_ns >= self._late_ns else SessionState.CONNECTED

    def extend(self, sent_ns: int, now_ns: int) -> bool:
        """Take the answer to what was sent at `sent_ns`; False where it comes too late (S2)."""
        if self.state(now_ns) is SessionState.LOST:
            return False
        margin_ns = MARGIN_MS * NS_PER_MS + self.ttl_ns // MARGIN_SHARE
        self.until_ns = max(self.until_ns, sent_ns + self.ttl_ns - margin_ns)
        self.asked_ns = max(self.asked_ns, sent_ns)
        if sent_ns >= self.silent_ns:
            self.silent_ns = 0
        return self.state(now_ns) is not SessionState.LOST

    def fall_silent(self, now_ns: int) -> None:
        """Note that the last stream to a node has broken."""
        self.silent_ns = self.silent_ns or now_ns

    def changes_ns(self, now_ns: int) -> int:
        """Return when `state` may be another one by itself."""
        return self.until_ns if now_ns >= self._late_ns else min(self._late_ns, self.until_ns)
