"""What the master is made of, and the few moves that every part of it shares.

`MasterState` owns the parts (ledger, roster) and the effects of the running
step. The rules that use them live in modules of one idea each: admission
(who may be a member), silence (who is marked down unasked), master (the step,
planned changes, closing).

Invariants
  M1  View numbers and versions strictly increase, also across restarts:
      each is above the clock, the journal and all that nodes report (W12).
  M3  The journal is written before a view leaves (Persist precedes SendNode).
Elsewhere: what is lost when both of a pair die (ledger), streams (service).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lockcore.core import messages as msg
from lockcore.core.events import Event, EventKind
from lockcore.core.limits import GENERATION_HEADROOM, NS_PER_MS
from lockcore.core.roster import Node, Roster
from lockcore.core.view import Member, MemberId, View

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lockcore.core.config import MasterConfig
    from lockcore.core.ledger import Ledger


@dataclass(slots=True)
class MasterState:
    """The master's whole state. `ran_ns`: when it took its last step."""

    config: MasterConfig
    ledger: Ledger
    now: msg.Instant
    ran_ns: int
    unknown_past: bool = False
    closing: bool = False
    stabilise_ns: int | None = None
    roster: Roster = field(default_factory=Roster)
    out: list[msg.MasterEffect] = field(default_factory=list)

    @property
    def view(self) -> View | None:
        """The newest view, as it was published."""
        return self.ledger.view

    @property
    def silence_ns(self) -> int:
        """How long nothing must be heard before a node surely serves no longer."""
        return (self.config.node_lease_ms + self.config.margin_ms) * NS_PER_MS

    @property
    def settled(self) -> bool:
        """Say whether every living member has all it needs in the view."""
        return self.view is not None and self.ledger.settled_view == self.view.number

    def is_up(self, member: MemberId) -> bool:
        """Say whether this incarnation serves in the view."""
        return self.view is not None and self.view.is_up(member)

    def restart_stabilisation(self, delay_ms: int) -> None:
        """Have planned changes wait for so long from now."""
        at_ns = self.now.boot_ns + delay_ms * NS_PER_MS
        self.stabilise_ns = max(self.stabilise_ns or 0, at_ns)

    # --- what is said -----------------------------------------------------------------

    def send(self, member: MemberId, message: msg.MasterMessage) -> None:
        """Tell a node something, if it is connected."""
        node = self.roster.get(member)
        if node is not None and node.connection is not None:
            self.out.append(msg.SendNode(node.connection, message))

    def tell_view(self, node: Node) -> None:
        """Tell a node the current view, with its graces as they are by now."""
        view = self.ledger.current_view(self.now)
        if view is not None and node.connection is not None:
            node.told_ns = self.now.boot_ns
            self.out.append(msg.SendNode(node.connection, msg.ViewUpdate(view)))

    def tell(self, kind: EventKind, member: MemberId, detail: str) -> None:
        """Emit a fact about a node."""
        fact = self.ledger.fact(kind)
        text = f"{detail} (incarnation {member.incarnation})"
        self.out.append(msg.Emit(Event(kind, view=fact.view, version=fact.version, peer=member.address, detail=text)))

    # --- publishing -------------------------------------------------------------------

    def publish(self, members: tuple[Member, ...], version: int | None, grace_ms: int | None = None) -> None:
        """Publish a view; a version of None makes a new one (M1, M3)."""
        floors = [n.floor for n in self.roster]
        number = self.ledger.next_number(self.now, floors, GENERATION_HEADROOM)
        view = self.ledger.publish(
            View(number, number if version is None else version, members),
            self.now,
            self.config.longest_lease_ms if grace_ms is None else grace_ms,
            unknown_past=self.unknown_past,
        )
        self.unknown_past = False
        for node in self.roster:
            node.settled = False
            node.wants_in = node.wants_in and not view.is_up(node.id)
        self.out.append(msg.Persist(self.ledger.dump(self.now)))
        self.out.append(msg.Emit(self.ledger.fact(EventKind.VIEW)))
        for node in self.roster:
            self.tell_view(node)
            if node.connection is None and not view.is_up(node.id):
                self.roster.forget(node)
        self.out.append(msg.Publish(view, settled=False))
        if not view.up:
            self.note_settled()

    def note_settled(self) -> None:
        """Say so, once, when every member that is up misses nothing."""
        view = self.view
        if view is None or self.settled or not self._all_settled(view):
            return
        self.ledger.settle()
        self.out.append(msg.Persist(self.ledger.dump(self.now)))
        self.out.append(msg.Emit(self.ledger.fact(EventKind.SETTLED)))
        self.out.append(msg.Publish(view, settled=True))
        for member in view.up.values():
            self.send(member, msg.HeartbeatAck(0, view.number, view.number))

    def _all_settled(self, view: View) -> bool:
        nodes = [self.roster.get(m) for m in view.up.values()]
        return all(n is not None and n.settled and n.view == view.number for n in nodes)

    def bury(self, members: Iterable[MemberId], why: str) -> None:
        """Mark members down at once, in a view of the same version."""
        dead = [m for m in members if self.is_up(m)]
        if not dead:
            return
        for member in dead:
            self.tell(EventKind.DIED, member, why)
        self.mark_down(dead)
        self.restart_stabilisation(self.config.stabilisation_ms)

    def mark_down(self, gone: list[MemberId], grace_ms: int | None = None) -> None:
        """Publish the same members with another "down" mark."""
        view = self.view
        if view is None:
            return
        members = tuple(Member(m.address, m.incarnation, down=m.down or m.id in gone) for m in view.members)
        self.ledger.lose(gone)
        self.publish(members, view.version, grace_ms)
