"""The ring master: `step(input, now)` returns effects, in order.

It owns the membership and publishes it in views. Deaths are published at
once, as a "down" mark in a view of the same version. Joins, goodbyes and the
removal of the dead are *planned*: they wait for the stabilisation delay,
which each change starts anew, and for every living member to be settled in
the current view. A goodbye does not wait for the delay.

Invariants
  M1  View numbers and versions strictly increase, also across restarts:
      each is above the clock, the journal and all that nodes report (W12).
  M2  A silent member is marked down only after its node lease and a margin
      have passed since the master last acknowledged it.
  M3  The journal is written before a view leaves (Persist precedes SendNode).
  M4  A member is an (address, incarnation): a late-closing stream of an old
      incarnation says nothing about a new one (W14).
  M5  After a restart nothing planned is published until each member that
      was up is back or has been marked down (W13).
Elsewhere: what is lost when both of a pair die (ledger), streams (service).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lockcore.core.events import Event, EventKind
from lockcore.core.ledger import Ledger
from lockcore.core.limits import (
    CLAIM_DOUBT_MS,
    GENERATION_HEADROOM,
    LEASE_MS_MAX,
    MASTER_STALL_MS,
    MEMBERS_MAX,
    NODE_LEASE_MARGIN_MS,
    NODE_LEASE_MS,
    NS_PER_MS,
    STABILISATION_MS,
)
from lockcore.core.messages import (
    Close,
    CloseCluster,
    Closed,
    ConnectionLost,
    DeathSeen,
    Disconnect,
    Emit,
    Farewell,
    FromNode,
    Gauges,
    Goodbye,
    Heartbeat,
    HeartbeatAck,
    Instant,
    MasterEffect,
    MasterInput,
    Persist,
    Publish,
    Register,
    RegisterRefused,
    SendNode,
    Tick,
    ViewUpdate,
)
from lockcore.core.view import Member, MemberId, View

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class MasterConfig:
    """The master's delays."""

    stabilisation_ms: int = STABILISATION_MS
    node_lease_ms: int = NODE_LEASE_MS
    margin_ms: int = NODE_LEASE_MARGIN_MS


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
class _Node:
    """One incarnation that has spoken to this master, or that it remembers."""

    id: MemberId
    connection: int | None = None
    heard_ns: int = 0
    spoke: bool = False
    view: int = 0
    settled: bool = False
    floor: int = 0
    leaving: bool = False
    wants_in: bool = False
    dead: bool = False
    claimed_ns: int | None = None
    farewell_ms: int | None = None
    gauges: Gauges = field(default_factory=Gauges)


class MasterCore:
    """The ring master without sockets, clocks or files.

    Args:
        config: the delays.
        journal: what Persist last held, or None where there is none.
        now: when this life begins.
    """

    def __init__(
        self,
        config: MasterConfig | None = None,
        journal: dict[str, Any] | None = None,
        now: Instant | None = None,
    ) -> None:
        """Remember what the journal knows."""
        self.config = config or MasterConfig()
        self._now = now or Instant(0, 0)
        self._started_ns = self._now.boot_ns
        self._ran_ns = self._now.boot_ns
        self._ledger = Ledger.load(journal, self._now)
        self._nodes: dict[MemberId, _Node] = {}
        self._connections: dict[int, MemberId] = {}
        self._stabilise_ns: int | None = None
        self._unknown_past = False
        self._closing = False
        self._out: list[MasterEffect] = []
        for member in self._ledger.view.up.values() if self._ledger.view else ():
            self._nodes[member] = _Node(member, heard_ns=self._started_ns)

    # --- for the shell --------------------------------------------------------------

    @property
    def view(self) -> View | None:
        """The newest view published, with the graces as they are by now."""
        return self._ledger.current_view(self._now)

    @property
    def settled(self) -> bool:
        """Say whether every living member has all it needs in the view."""
        view = self._ledger.view
        return view is not None and self._ledger.settled_view == view.number

    def stabilising_ms(self) -> int | None:
        """Return how long the stabilisation delay still runs, None if it does not."""
        if self._stabilise_ns is None:
            return None
        return max(0, (self._stabilise_ns - self._now.boot_ns) // NS_PER_MS)

    def members(self) -> tuple[MemberStatus, ...]:
        """Return all incarnations that are members or want to be."""
        found = [self._status(n) for n in self._nodes.values()]
        return tuple(sorted(found, key=lambda s: (s.address, s.incarnation)))

    def _status(self, node: _Node) -> MemberStatus:
        state = "up" if self._is_up(node.id) else "joining" if node.wants_in else "down"
        if node.leaving and state == "up":
            state = "leaving"
        age_ms = (self._now.boot_ns - node.heard_ns) // NS_PER_MS if node.spoke else None
        return MemberStatus(
            node.id.address,
            node.id.incarnation,
            state,
            node.view,
            node.settled,
            age_ms,
            node.gauges,
        )

    def next_timer_ns(self) -> int | None:
        """Return the CLOCK_BOOTTIME at which a Tick is wanted."""
        moments = [self._silent_at_ns(n) for n in self._nodes.values() if self._is_up(n.id)]
        if self._nodes:
            # Often enough that a pause of this process cannot be mistaken
            # for one of its own waits (see _notice_stall).
            moments.append(self._ran_ns + MASTER_STALL_MS * NS_PER_MS // 2)
        if self._stabilise_ns is not None:
            # Where it waits for nodes to settle, their reports bring the step.
            moments.append(max(self._stabilise_ns, self._ran_ns + 50 * NS_PER_MS))
        return min(moments, default=None)

    # --- the step ----------------------------------------------------------------------

    def step(self, given: MasterInput, now: Instant) -> list[MasterEffect]:
        """Take one input; return what to do, in order."""
        self._now = now
        self._out = []
        self._notice_stall()
        match given:
            case FromNode(connection, message):
                self._take(connection, message)
            case ConnectionLost(connection):
                self._lose(connection)
            case DeathSeen(member):
                self._see_death(member)
            case CloseCluster():
                self._close()
            case Tick():
                pass
        self._judge_silence()
        self._publish_planned()
        self._check_closed()
        self._ran_ns = now.boot_ns
        return self._out

    def _take(self, connection: int, message: object) -> None:
        match message:
            case Register():
                self._register(connection, message)
            case Heartbeat():
                self._heartbeat(connection, message)
            case Goodbye(member):
                self._goodbye(member)
            case Farewell(member, longest_ms):
                if member in self._nodes:
                    self._nodes[member].farewell_ms = longest_ms
            case _:
                pass

    # --- joining ------------------------------------------------------------------------

    def _register(self, connection: int, message: Register) -> None:
        member = message.member
        if len(self._nodes) >= MEMBERS_MAX and member not in self._nodes:
            self._refuse(connection, f"this ring has {MEMBERS_MAX} members, which is the most")
            return
        self._learn(message)
        node = self._nodes.setdefault(member, _Node(member))
        node.connection = connection
        node.heard_ns = self._now.boot_ns
        node.spoke = True
        node.floor = max(node.floor, message.floor)
        self._connections[connection] = member
        view = self.view
        if view is not None:
            self._out.append(SendNode(connection, ViewUpdate(view)))
        if self._is_up(member) or node.wants_in or self._closing:
            return
        rival = self._rival(member)
        if rival is not None:
            node.claimed_ns = self._now.boot_ns  # one of the two is not alive
        else:
            self._want_in(node)

    def _learn(self, message: Register) -> None:
        """Take what a node knows that this master does not (M1, W13)."""
        view = message.view
        self._ledger.raise_numbers(message.floor)
        if view is None:
            return
        self._ledger.raise_numbers(max(view.number, view.version))
        known = self._ledger.view
        if known is None or view.number > known.number:
            self._unknown_past = True
            self._restart_stabilisation(self.config.node_lease_ms + self.config.margin_ms)

    def _want_in(self, node: _Node) -> None:
        if self._is_up(node.id) or node.leaving or node.dead:
            return
        if not node.wants_in:
            node.wants_in = True
            self._tell(EventKind.JOINED, node.id, "wants to be a member")
        self._restart_stabilisation(self.config.stabilisation_ms)

    def _rival(self, member: MemberId) -> _Node | None:
        """Return another incarnation at the address that counts as alive."""
        for node in self._nodes.values():
            if node.id.address == member.address and node.id != member and self._counts(node):
                return node
        return None

    def _counts(self, node: _Node) -> bool:
        return self._is_up(node.id) or node.wants_in

    def _refuse(self, connection: int, text: str) -> None:
        self._out.append(SendNode(connection, RegisterRefused(text)))
        self._out.append(Disconnect(connection))

    # --- heartbeats ----------------------------------------------------------------------

    def _heartbeat(self, connection: int, message: Heartbeat) -> None:
        node = self._nodes.get(message.member)
        if node is None or node.connection != connection:
            return  # a connection that was replaced, or never registered
        node.heard_ns = self._now.boot_ns
        node.floor = max(node.floor, message.floor)
        node.gauges = message.gauges
        node.view = message.view
        view = self._ledger.view
        node.settled = message.settled and view is not None and message.view == view.number
        self._refuse_claims_against(node)
        if not self._counts(node) and node.claimed_ns is None:
            self._want_in(node)  # it was marked down and is back
        self._note_settled()
        number = view.number if view else 0
        ack = HeartbeatAck(message.number, number, self._ledger.settled_view)
        self._out.append(SendNode(connection, ack))

    def _refuse_claims_against(self, node: _Node) -> None:
        """A heartbeat proves the incumbent alive: the claimant is mistaken."""
        if not self._counts(node):
            return
        for other in list(self._nodes.values()):
            if other.claimed_ns is None or other.id.address != node.id.address or other is node:
                continue
            if self._now.boot_ns - other.claimed_ns < CLAIM_DOUBT_MS * NS_PER_MS:
                continue  # it may have been on its way when its sender died
            text = (
                f"{node.id.address} is in use by a living node (incarnation "
                f"{node.id.incarnation}); start this node at another address"
            )
            if other.connection is not None:
                self._refuse(other.connection, text)
            self._tell(EventKind.REFUSED, other.id, text)
            self._forget(other)

    def _note_settled(self) -> None:
        view = self._ledger.view
        if view is None or self.settled or not self._all_settled(view):
            return
        self._ledger.settle()
        self._out.append(Persist(self._ledger.dump(self._now)))
        self._out.append(Emit(self._ledger.fact(EventKind.SETTLED)))
        self._out.append(Publish(view, settled=True))
        for member in view.up.values():
            self._send(member, HeartbeatAck(0, view.number, view.number))

    def _all_settled(self, view: View) -> bool:
        nodes = [self._nodes.get(m) for m in view.up.values()]
        return all(n is not None and n.settled and n.view == view.number for n in nodes)

    # --- leaving and dying ------------------------------------------------------------------

    def _goodbye(self, member: MemberId) -> None:
        node = self._nodes.get(member)
        if node is None or node.leaving:
            return
        node.leaving = True
        node.wants_in = False
        self._tell(EventKind.LEFT, member, "said goodbye")

    def _lose(self, connection: int) -> None:
        member = self._connections.pop(connection, None)
        node = self._nodes.get(member) if member else None
        if node is None or node.connection != connection:
            return
        node.connection = None
        if not self._is_up(node.id):
            self._forget(node)

    def _see_death(self, member: MemberId) -> None:
        node = self._nodes.get(member)
        if node is not None:
            node.dead = True  # what is still in its socket proves nothing
            node.wants_in = False
        self._bury([member], "its process was seen to end")

    def _judge_silence(self) -> None:
        now_ns = self._now.boot_ns
        silent = [n.id for n in self._nodes.values() if self._is_up(n.id) and now_ns >= self._silent_at_ns(n)]
        if silent:
            self._bury(silent, "no heartbeat within node lease and margin")
        self._admit_claims()

    def _silent_at_ns(self, node: _Node) -> int:
        lease_ms = self.config.node_lease_ms + self.config.margin_ms
        return node.heard_ns + lease_ms * NS_PER_MS

    def _admit_claims(self) -> None:
        for node in list(self._nodes.values()):
            if node.claimed_ns is not None and self._rival(node.id) is None:
                node.claimed_ns = None
                self._want_in(node)

    def _bury(self, members: Iterable[MemberId], why: str) -> None:
        """Mark members down at once, in a view of the same version."""
        dead = [m for m in members if self._is_up(m)]
        if not dead:
            return
        for member in dead:
            self._tell(EventKind.DIED, member, why)
        self._mark_down(dead)
        self._restart_stabilisation(self.config.stabilisation_ms)

    def _mark_down(self, gone: list[MemberId], grace_ms: int = LEASE_MS_MAX) -> None:
        view = self._ledger.view
        if view is None:
            return
        members = tuple(Member(m.address, m.incarnation, down=m.down or m.id in gone) for m in view.members)
        self._ledger.lose(gone)
        self._publish(members, view.version, grace_ms)

    def _notice_stall(self) -> None:
        """A master that slept has not listened: nobody is silent yet (M2)."""
        if self._now.boot_ns - self._ran_ns < MASTER_STALL_MS * NS_PER_MS:
            return
        asleep_ns = self._now.boot_ns - self._ran_ns
        for node in self._nodes.values():
            if node.heard_ns > self._ran_ns - self.config.node_lease_ms * NS_PER_MS:
                node.heard_ns = min(self._now.boot_ns, node.heard_ns + asleep_ns)

    def _forget(self, node: _Node) -> None:
        self._nodes.pop(node.id, None)
        if node.connection is not None:
            self._connections.pop(node.connection, None)

    # --- publishing --------------------------------------------------------------------------

    def _publish_planned(self) -> None:
        """Publish joins, goodbyes and removals when their time has come."""
        if self._closing or not self._may_plan():
            return
        leaving = [n.id for n in self._nodes.values() if n.leaving and self._is_up(n.id)]
        if leaving:
            self._mark_down(leaving)
            self._restart_stabilisation(self.config.stabilisation_ms)
            return
        if self._stabilise_ns is None or self._now.boot_ns < self._stabilise_ns:
            return
        self._stabilise_ns = None
        members = self._planned_members()
        if self._ledger.view is None or members != self._ledger.view.members or self._unknown_past:
            self._publish(members, None, LEASE_MS_MAX)

    def _may_plan(self) -> bool:
        view = self._ledger.view
        if view is None:
            return True
        nodes = [self._nodes.get(m) for m in view.up.values()]
        back = all(n is not None and n.spoke for n in nodes)
        return back and (self.settled or not view.up or self._unknown_past)

    def _planned_members(self) -> tuple[Member, ...]:
        up = {n.id for n in self._nodes.values() if self._counts(n) and not n.leaving}
        return tuple(Member(m.address, m.incarnation) for m in sorted(up))

    def _publish(self, members: tuple[Member, ...], version: int | None, grace_ms: int) -> None:
        """Publish a view; a version of None makes a new one."""
        floors = [n.floor for n in self._nodes.values()]
        number = self._ledger.next_number(self._now, floors, GENERATION_HEADROOM)
        view = self._ledger.publish(
            View(number, number if version is None else version, members),
            self._now,
            grace_ms,
            unknown_past=self._unknown_past,
        )
        self._unknown_past = False
        for node in self._nodes.values():
            node.settled = False
            node.wants_in = node.wants_in and not view.is_up(node.id)
        self._out.append(Persist(self._ledger.dump(self._now)))
        self._out.append(Emit(self._ledger.fact(EventKind.VIEW)))
        for node in list(self._nodes.values()):
            self._send(node.id, ViewUpdate(view))
            if node.connection is None and not view.is_up(node.id):
                self._forget(node)
        self._out.append(Publish(view, settled=False))
        if not view.up:
            self._note_settled()

    def _restart_stabilisation(self, delay_ms: int) -> None:
        at_ns = self._now.boot_ns + delay_ms * NS_PER_MS
        self._stabilise_ns = max(self._stabilise_ns or 0, at_ns)

    # --- closing --------------------------------------------------------------------------------

    def _close(self) -> None:
        self._closing = True
        for node in self._nodes.values():
            self._send(node.id, Close())

    def _check_closed(self) -> None:
        if not self._closing:
            return
        nodes = [n for n in self._nodes.values() if self._is_up(n.id)]
        if any(n.farewell_ms is None for n in nodes):
            return
        if nodes:
            # Everybody said how long its leases go on: no need to wait longer.
            longest_ms = max((n.farewell_ms or 0) for n in nodes)
            self._mark_down([n.id for n in nodes], longest_ms)
        self._out.append(Closed())

    # --- small things -----------------------------------------------------------------------------

    def _is_up(self, member: MemberId) -> bool:
        return self._ledger.view is not None and self._ledger.view.is_up(member)

    def _send(self, member: MemberId, message: ViewUpdate | HeartbeatAck | Close) -> None:
        node = self._nodes.get(member)
        if node is not None and node.connection is not None:
            self._out.append(SendNode(node.connection, message))

    def _tell(self, kind: EventKind, member: MemberId, detail: str) -> None:
        fact = self._ledger.fact(kind)
        text = f"{detail} (incarnation {member.incarnation})"
        self._out.append(Emit(Event(kind, view=fact.view, version=fact.version, peer=member.address, detail=text)))
