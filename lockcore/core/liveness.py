"""The node lease: how long a node may trust its own view.

The master acknowledges heartbeats. An acknowledgement lets the node serve
for NODE_LEASE after it *sent* that heartbeat; the master waits the same time
and a margin after it *received* it before it marks the node down. So a node
has always stopped before anybody takes its place.

Invariants
  F1  serving implies now < sent(acknowledged heartbeat) + node lease.
  F2  An acknowledgement counts only for who has the view it names.
Elsewhere: judging silence (master), what fencing means (node).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lockcore.core.limits import NS_PER_MS

if TYPE_CHECKING:
    from lockcore.core.messages import HeartbeatAck


@dataclass(slots=True)
class NodeLease:
    """Heartbeats sent, and what their acknowledgements allow.

    `acked` is the highest number that was acknowledged, whether it counted
    or not: that the master is heard.
    """

    lease_ms: int
    heartbeat_ms: int
    until_ns: int = 0
    next_heartbeat_ns: int = 0
    acked: int = 0
    _number: int = 0
    _sent_ns: dict[int, int] = field(default_factory=dict)

    def valid(self, now_ns: int) -> bool:
        """Say whether the node may serve now (F1)."""
        return now_ns < self.until_ns

    def send(self, now_ns: int) -> int:
        """Number a heartbeat that leaves now."""
        self._number += 1
        self._sent_ns[self._number] = now_ns
        self.next_heartbeat_ns = now_ns + self.heartbeat_ms * NS_PER_MS
        horizon_ns = now_ns - self.lease_ms * NS_PER_MS
        for number in [n for n, at in self._sent_ns.items() if at < horizon_ns]:
            del self._sent_ns[number]  # too old to be of use when acknowledged
        return self._number

    def acknowledge(self, ack: HeartbeatAck, view: int) -> bool:
        """Take an acknowledgement; say whether it counted (F2)."""
        self.acked = max(self.acked, ack.number)
        sent_ns = self._sent_ns.get(ack.number)
        if sent_ns is None or ack.view > view:
            return False
        self.until_ns = max(self.until_ns, sent_ns + self.lease_ms * NS_PER_MS)
        return True
