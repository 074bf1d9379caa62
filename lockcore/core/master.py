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

from typing import TYPE_CHECKING, Any

from lockcore.core import messages as msg
from lockcore.core.config import MasterConfig
from lockcore.core.events import Event, EventKind
from lockcore.core.ledger import Ledger
from lockcore.core.limits import (
    GENERATION_HEADROOM,
    MASTER_STALL_MS,
    MEMBERS_MAX,
    NS_PER_MS,
    VIEW_REPEAT_MS,
)
from lockcore.core.roster import MemberStatus, Node, Roster
from lockcore.core.view import Member, MemberId, View

if TYPE_CHECKING:
    from collections.abc import Iterable


class MasterCore:
    """The ring master without sockets, clocks or files.

    Args:
        config: the delays.
        journal: what msg.Persist last held, or None where there is none.
        now: when this life begins.
    """

    def __init__(
        self,
        config: MasterConfig | None = None,
        journal: dict[str, Any] | None = None,
        now: msg.Instant | None = None,
        *,
        unknown_past: bool = False,
    ) -> None:
        """Remember what the journal knows."""
        self.config = config or MasterConfig()
        self._now = now or msg.Instant(0, 0)
        self._ran_ns = self._now.boot_ns
        self._ledger = Ledger.load(journal, self._now)
        self._roster = Roster()
        self._stabilise_ns: int | None = None
        self._unknown_past = unknown_past
        self._closing = False
        self._out: list[msg.MasterEffect] = []
        for member in self._ledger.view.up.values() if self._ledger.view else ():
            self._roster.nodes[member] = Node(member, heard_ns=self._now.boot_ns)

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

    def stabilising_ms(self, now: msg.Instant | None = None) -> int | None:
        """Return how long the stabilisation delay still runs from `now` (else the last step); None if it does not."""
        if self._stabilise_ns is None:
            return None
        return max(0, (self._stabilise_ns - (now or self._now).boot_ns) // NS_PER_MS)

    def members(self, now: msg.Instant | None = None) -> tuple[MemberStatus, ...]:
        """Return all incarnations that are members or want to be, with ages as of `now` (else the last step)."""
        view, now_ns = self._ledger.view, (now or self._now).boot_ns
        found = [n.status(view, now_ns) for n in self._roster]
        return tuple(sorted(found, key=lambda s: (s.address, s.incarnation)))

    def next_timer_ns(self) -> int | None:
        """Return the CLOCK_BOOTTIME at which a msg.Tick is wanted."""
        moments = [self._silent_at_ns(n) for n in self._roster if self._is_up(n.id)]
        if self._roster.nodes:
            # Often enough that a pause of this process cannot be mistaken
            # for one of its own waits (see _notice_stall).
            moments.append(self._ran_ns + MASTER_STALL_MS * NS_PER_MS // 2)
        if self._stabilise_ns is not None:
            # Where it waits for nodes to settle, their reports bring the step.
            moments.append(max(self._stabilise_ns, self._ran_ns + 50 * NS_PER_MS))
        return min(moments, default=None)

    # --- the step ----------------------------------------------------------------------

    def step(self, given: msg.MasterInput, now: msg.Instant) -> list[msg.MasterEffect]:
        """Take one input; return what to do, in order."""
        self._now = now
        self._out = []
        self._notice_stall()
        match given:
            case msg.FromNode(connection, message):
                self._take(connection, message)
            case msg.ConnectionLost(connection):
                self._lose(connection)
            case msg.DeathSeen(member):
                self._see_death(member)
            case msg.CloseCluster():
                self._close()
            case msg.Tick():
                pass
        self._judge_silence()
        self._publish_planned()
        self._check_closed()
        self._ran_ns = now.boot_ns
        return self._out

    def _take(self, connection: int, message: object) -> None:
        match message:
            case msg.Register():
                self._register(connection, message)
            case msg.Heartbeat():
                self._heartbeat(connection, message)
            case msg.Goodbye(member):
                self._goodbye(member)
            case msg.Farewell(member, longest_ms):
                node = self._roster.get(member)
                if node is not None:
                    node.farewell_ms = longest_ms
            case _:
                pass

    # --- joining ------------------------------------------------------------------------

    def _register(self, connection: int, message: msg.Register) -> None:
        member = message.member
        if len(self._roster.nodes) >= MEMBERS_MAX and self._roster.get(member) is None:
            self._refuse(connection, f"this ring has {MEMBERS_MAX} members, which is the most")
            return
        self._learn(message)
        node = self._roster.connect(member, connection, self._now.boot_ns)
        node.floor = max(node.floor, message.floor)
        self._tell_view(node)
        if self._is_up(member) or node.wants_in or self._closing:
            return
        rival = self._roster.rival(member, self._ledger.view)
        if rival is not None:
            node.claimed_ns = self._now.boot_ns  # one of the two is not alive
        else:
            self._want_in(node)

    def _learn(self, message: msg.Register) -> None:
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

    def _want_in(self, node: Node) -> None:
        if self._is_up(node.id) or node.leaving or node.dead:
            return
        if not node.wants_in:
            node.wants_in = True
            self._tell(EventKind.JOINED, node.id, "wants to be a member")
        self._restart_stabilisation(self.config.stabilisation_ms)

    def _refuse(self, connection: int, text: str) -> None:
        self._out.append(msg.SendNode(connection, msg.RegisterRefused(text)))
        self._out.append(msg.Disconnect(connection))

    # --- heartbeats ----------------------------------------------------------------------

    def _heartbeat(self, connection: int, message: msg.Heartbeat) -> None:
        node = self._roster.get(message.member)
        if node is None or node.connection != connection:
            return  # a connection that was replaced, or never registered
        node.heard_ns = self._now.boot_ns
        node.floor = max(node.floor, message.floor)
        node.gauges = message.gauges
        node.view = message.view
        view = self._ledger.view
        node.settled = message.settled and view is not None and message.view == view.number
        self._refuse_rivals(node)
        if not node.counts(self._ledger.view) and node.claimed_ns is None:
            self._want_in(node)  # it was marked down and is back
        self._note_settled()
        self._repeat_view(node)
        number = view.number if view else 0
        ack = msg.HeartbeatAck(message.number, number, self._ledger.settled_view)
        self._out.append(msg.SendNode(connection, ack))

    def _repeat_view(self, node: Node) -> None:
        """Tell the view again to who should have had it long ago."""
        view = self._ledger.view
        late_ns = self._now.boot_ns - node.told_ns
        if view is not None and node.view < view.number and late_ns >= VIEW_REPEAT_MS * NS_PER_MS:
            self._tell_view(node)

    def _tell_view(self, node: Node) -> None:
        view = self.view
        if view is not None and node.connection is not None:
            node.told_ns = self._now.boot_ns
            self._out.append(msg.SendNode(node.connection, msg.ViewUpdate(view)))

    def _refuse_rivals(self, node: Node) -> None:
        """A heartbeat proves the incumbent alive: who claims its address is mistaken."""
        for other in self._roster.disproved_by(node, self._ledger.view, self._now.boot_ns):
            text = (
                f"{node.id.address} is in use by a living node (incarnation "
                f"{node.id.incarnation}); start this node at another address"
            )
            if other.connection is not None:
                self._refuse(other.connection, text)
            self._tell(EventKind.REFUSED, other.id, text)
            self._roster.forget(other)

    def _note_settled(self) -> None:
        view = self._ledger.view
        if view is None or self.settled or not self._all_settled(view):
            return
        self._ledger.settle()
        self._out.append(msg.Persist(self._ledger.dump(self._now)))
        self._out.append(msg.Emit(self._ledger.fact(EventKind.SETTLED)))
        self._out.append(msg.Publish(view, settled=True))
        for member in view.up.values():
            self._send(member, msg.HeartbeatAck(0, view.number, view.number))

    def _all_settled(self, view: View) -> bool:
        nodes = [self._roster.get(m) for m in view.up.values()]
        return all(n is not None and n.settled and n.view == view.number for n in nodes)

    # --- leaving and dying ------------------------------------------------------------------

    def _goodbye(self, member: MemberId) -> None:
        node = self._roster.get(member)
        if node is None or node.leaving:
            return
        node.leaving = True
        node.wants_in = False
        self._tell(EventKind.LEFT, member, "said goodbye")

    def _lose(self, connection: int) -> None:
        node = self._roster.disconnect(connection)
        if node is not None and not self._is_up(node.id):
            self._roster.forget(node)

    def _see_death(self, member: MemberId) -> None:
        node = self._roster.get(member)
        if node is not None:
            node.dead = True  # what is still in its socket proves nothing
            node.wants_in = False
        self._bury([member], "its process was seen to end")

    def _judge_silence(self) -> None:
        now_ns = self._now.boot_ns
        silent = [n.id for n in self._roster if self._is_up(n.id) and now_ns >= self._silent_at_ns(n)]
        if silent:
            self._bury(silent, "no heartbeat within node lease and margin")
        for node in self._roster.admissible(self._ledger.view):
            if self._roster.rival(node.id, self._ledger.view) is None:  # also not the claimant before
                node.claimed_ns = None
                self._want_in(node)

    def _silent_at_ns(self, node: Node) -> int:
        lease_ms = self.config.node_lease_ms + self.config.margin_ms
        return node.heard_ns + lease_ms * NS_PER_MS

    def _bury(self, members: Iterable[MemberId], why: str) -> None:
        """Mark members down at once, in a view of the same version."""
        dead = [m for m in members if self._is_up(m)]
        if not dead:
            return
        for member in dead:
            self._tell(EventKind.DIED, member, why)
        self._mark_down(dead)
        self._restart_stabilisation(self.config.stabilisation_ms)

    def _mark_down(self, gone: list[MemberId], grace_ms: int | None = None) -> None:
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
        self._roster.forgive_sleep(self._ran_ns, self._now.boot_ns, self.config.node_lease_ms)

    # --- publishing --------------------------------------------------------------------------

    def _publish_planned(self) -> None:
        """msg.Publish joins, goodbyes and removals when their time has come."""
        if self._closing or not self._may_plan():
            return
        leaving = [n.id for n in self._roster if n.leaving and self._is_up(n.id)]
        if leaving:
            self._mark_down(leaving[:1])  # two at once could be both of a pair
            self._restart_stabilisation(self.config.stabilisation_ms)
            return
        if self._stabilise_ns is None or self._now.boot_ns < self._stabilise_ns:
            return
        self._stabilise_ns = None
        members = self._planned_members()
        if self._ledger.view is None or members != self._ledger.view.members or self._unknown_past:
            self._publish(members, None)

    def _may_plan(self) -> bool:
        view = self._ledger.view
        if view is None:
            return True
        nodes = [self._roster.get(m) for m in view.up.values()]
        back = all(n is not None and n.spoke for n in nodes)
        return back and (self.settled or not view.up or self._unknown_past)

    def _planned_members(self) -> tuple[Member, ...]:
        up = {n.id for n in self._roster if n.counts(self._ledger.view) and not n.leaving}
        return tuple(Member(m.address, m.incarnation) for m in sorted(up))

    def _publish(self, members: tuple[Member, ...], version: int | None, grace_ms: int | None = None) -> None:
        """msg.Publish a view; a version of None makes a new one."""
        floors = [n.floor for n in self._roster]
        number = self._ledger.next_number(self._now, floors, GENERATION_HEADROOM)
        view = self._ledger.publish(
            View(number, number if version is None else version, members),
            self._now,
            self.config.longest_lease_ms if grace_ms is None else grace_ms,
            unknown_past=self._unknown_past,
        )
        self._unknown_past = False
        for node in self._roster:
            node.settled = False
            node.wants_in = node.wants_in and not view.is_up(node.id)
        self._out.append(msg.Persist(self._ledger.dump(self._now)))
        self._out.append(msg.Emit(self._ledger.fact(EventKind.VIEW)))
        for node in self._roster:
            self._tell_view(node)
            if node.connection is None and not view.is_up(node.id):
                self._roster.forget(node)
        self._out.append(msg.Publish(view, settled=False))
        if not view.up:
            self._note_settled()

    def _restart_stabilisation(self, delay_ms: int) -> None:
        at_ns = self._now.boot_ns + delay_ms * NS_PER_MS
        self._stabilise_ns = max(self._stabilise_ns or 0, at_ns)

    def _close(self) -> None:
        self._closing = True
        for node in self._roster:
            self._send(node.id, msg.Close())

    def _check_closed(self) -> None:
        if not self._closing:
            return
        nodes = [n for n in self._roster if self._is_up(n.id)]
        if any(n.farewell_ms is None for n in nodes):
            return
        if nodes:
            # Everybody said how long its leases go on: no need to wait longer.
            longest_ms = max((n.farewell_ms or 0) for n in nodes)
            self._mark_down([n.id for n in nodes], longest_ms)
        self._out.append(msg.Closed())

    def _is_up(self, member: MemberId) -> bool:
        return self._ledger.view is not None and self._ledger.view.is_up(member)

    def _send(self, member: MemberId, message: msg.HeartbeatAck | msg.Close) -> None:
        node = self._roster.get(member)
        if node is not None and node.connection is not None:
            self._out.append(msg.SendNode(node.connection, message))

    def _tell(self, kind: EventKind, member: MemberId, detail: str) -> None:
        fact = self._ledger.fact(kind)
        text = f"{detail} (incarnation {member.incarnation})"
        self._out.append(msg.Emit(Event(kind, view=fact.view, version=fact.version, peer=member.address, detail=text)))
