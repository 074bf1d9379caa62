"""Everyone who has spoken to the master, by incarnation.

Invariants
  M4  A member is an (address, incarnation): a late-closing stream of an old
      incarnation says nothing about a new one (W14).
Elsewhere: who is a member, and when that is published (master).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from lockcore.core.limits import CLAIM_DOUBT_MS, HEARING_MS, NS_PER_MS
from lockcore.core.messages import Gauges

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcore.core.messages import Heartbeat
    from lockcore.core.view import MemberId, View

UNPROVEN_MAX: Final = 16
"""Acknowledgements whose arrival is waited for: far more than it takes to call a node deaf."""


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """What the master knows of one node, for people.

    `state` is up, down, joining or leaving; `heartbeat_age_ms` None where
    no heartbeat was ever received.
    """

    address: str
    incarnation: int
    state: str
    view: int
    settled: bool
    heartbeat_age_ms: int | None
    gauges: Gauges


@dataclass(slots=True)
class Node:
    """One incarnation that has spoken to this master, or that it remembers.

    `heard_ns`: when it last proved to be alive; `steady_ns`: since when it
    has done so without a gap. `acked_ns`: when it was last acknowledged.
    `unproven`: acknowledgements (number, time) of which nothing says yet that
    they arrived; `proved_ns`: when the newest that did arrive was sent.
    `unreached`: which members do not answer it, and since when. `told_ns`:
    when it was last sent a view. `dead`: seen to end, so that what is still
    in its socket proves nothing. `claimed_ns`: since when it waits for
    another incarnation at its address to be alive or dead. `closing_ns`: when
    it was last asked to close, being the last member.
    """

    id: MemberId
    connection: int | None = None
    heard_ns: int = 0
    steady_ns: int = 0
    acked_ns: int = 0
    proved_ns: int = 0
    unproven: list[tuple[int, int]] = field(default_factory=list)
    unreached: dict[MemberId, int] = field(default_factory=dict)
    told_ns: int = 0
    spoke: bool = False
    view: int = 0
    settled: bool = False
    floor: int = 0
    leaving: bool = False
    wants_in: bool = False
    dead: bool = False
    claimed_ns: int | None = None
    farewell_ms: int | None = None
    closing_ns: int | None = None
    gauges: Gauges = field(default_factory=Gauges)

    def speak(self, now_ns: int) -> None:
        """Note that it is alive now."""
        if now_ns - self.heard_ns > HEARING_MS * NS_PER_MS:
            self.steady_ns = now_ns
        self.heard_ns = now_ns
        self.spoke = True

    def take(self, beat: Heartbeat, now_ns: int) -> None:
        """Note what a heartbeat says of the node and of its ways to others."""
        self.speak(now_ns)
        self.floor = max(self.floor, beat.floor)
        self.gauges = beat.gauges
        self.view = beat.view
        self.unreached = {u.member: now_ns - u.silent_ms * NS_PER_MS for u in beat.unreached}
        self.prove(beat)

    def prove(self, beat: Heartbeat) -> None:
        """Note which acknowledgements have reached it: true whichever connection tells, and however late."""
        arrived = [at_ns for number, at_ns in self.unproven if number <= beat.acked]
        if arrived:
            self.proved_ns = arrived[-1]
            self.unproven = self.unproven[len(arrived) :]

    def acknowledge(self, number: int, now_ns: int) -> None:
        """Note that a heartbeat is acknowledged now."""
        self.acked_ns = now_ns
        self.unproven = [*self.unproven[-UNPROVEN_MAX:], (number, now_ns)]

    def counts(self, view: View | None) -> bool:
        """Say whether it is a member, or about to be one."""
        return self.wants_in or (view is not None and view.is_up(self.id))

    def status(self, view: View | None, now_ns: int) -> MemberStatus:
        """Return what people may see of it."""
        up = view is not None and view.is_up(self.id)
        state = "up" if up else "joining" if self.wants_in else "down"
        if self.leaving and up:
            state = "leaving"
        age_ms = (now_ns - self.heard_ns) // NS_PER_MS if self.spoke else None
        return MemberStatus(self.id.address, self.id.incarnation, state, self.view, self.settled, age_ms, self.gauges)


@dataclass(slots=True)
class Roster:
    """All incarnations, and which connection is whose."""

    nodes: dict[MemberId, Node] = field(default_factory=dict)
    connections: dict[int, MemberId] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Node]:
        """Iterate over a snapshot: the caller may forget nodes."""
        return iter(list(self.nodes.values()))

    def get(self, member: MemberId) -> Node | None:
        """Return what is known of an incarnation."""
        return self.nodes.get(member)

    def connection_of(self, member: MemberId) -> int | None:
        """Return on which connection an incarnation speaks."""
        node = self.nodes.get(member)
        return node.connection if node else None

    def connect(self, member: MemberId, connection: int, now_ns: int) -> Node:
        """Note that an incarnation speaks on a connection."""
        node = self.nodes.setdefault(member, Node(member))
        if node.connection is not None:
            self.connections.pop(node.connection, None)
        node.connection = connection
        node.speak(now_ns)
        node.acked_ns = node.proved_ns = now_ns
        node.unproven = []
        self.connections[connection] = member
        return node

    def disconnect(self, connection: int) -> Node | None:
        """Return who is without a connection now; None for a replaced one (M4)."""
        member = self.connections.pop(connection, None)
        node = self.nodes.get(member) if member else None
        if node is None or node.connection != connection:
            return None
        node.connection = None
        return node

    def forget(self, node: Node) -> None:
        """Remove an incarnation."""
        self.nodes.pop(node.id, None)
        if node.connection is not None:
            self.connections.pop(node.connection, None)

    def at_address(self, member: MemberId) -> list[Node]:
        """Return the other incarnations at an incarnation's address."""
        return [n for n in self if n.id.address == member.address and n.id != member]

    def rival(self, member: MemberId, view: View | None) -> Node | None:
        """Return another incarnation at the address that counts."""
        return next((n for n in self.at_address(member) if n.counts(view)), None)

    def disproved_by(self, node: Node, view: View | None, now_ns: int) -> list[Node]:
        """Return who claims the address of a node that was just heard.

        A heartbeat soon after the claim may have been on its way when its
        sender died, and proves nothing.
        """
        if not node.counts(view):
            return []
        long_ago_ns = now_ns - CLAIM_DOUBT_MS * NS_PER_MS
        rivals = self.at_address(node.id)
        return [n for n in rivals if n.claimed_ns is not None and n.claimed_ns <= long_ago_ns]

    def admissible(self, view: View | None) -> list[Node]:
        """Return the claimants whose incumbent is gone."""
        return [n for n in self if n.claimed_ns is not None and self.rival(n.id, view) is None]

    def forgive_sleep(self, since_ns: int, now_ns: int, lease_ms: int) -> None:
        """Count the time in which the master itself did not run as heard, and forget what was said before it."""
        for node in self:
            if node.acked_ns > since_ns - lease_ms * NS_PER_MS:
                node.acked_ns = min(now_ns, node.acked_ns + now_ns - since_ns)
            node.steady_ns = now_ns
            node.unproven = []
