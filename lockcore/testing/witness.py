"""Who watches the nodes of a world from outside, and writes down what they do.

It sees what goes into a core and what comes out of it, and stands before the
five moves of its lease table. It counts the node lease by itself, from the
heartbeats that it saw leave and the acknowledgements that it saw arrive. The
core does not know of it.

Elsewhere: what is wrong with what was seen (deeds; at once: custody, membership).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lockcore.core.events import EventKind
from lockcore.core.limits import NS_PER_MS
from lockcore.core.messages import (
    Emit,
    ForwardReply,
    FromMaster,
    Granted,
    Heartbeat,
    HeartbeatAck,
    NodeEffect,
    NodeInput,
    Outcome,
    PeerAck,
    Reply,
    SendMaster,
    SendPeer,
    ViewUpdate,
)
from lockcore.core.ring import position_of
from lockcore.testing.custody import Custody
from lockcore.testing.membership import Membership
from lockcore.testing.record import Act, Deed, Violation

if TYPE_CHECKING:
    from lockcore.core.events import Event
    from lockcore.core.leases import Lease, LeaseTable
    from lockcore.core.messages import LeaseRecord
    from lockcore.core.tokens import TokenClaims
    from lockcore.core.view import View
    from lockcore.testing.stage import SimNode, Stage

SEEN = {
    EventKind.PROMOTED: Act.PROMOTED,
    EventKind.TRANSFERRED: Act.TRANSFERRED,
    EventKind.RELEASED: Act.FREED,
}


@dataclass(slots=True)
class _Life:
    """What the witness knows of one incarnation."""

    node: SimNode
    until_ns: int = 0
    view: int = 0
    sent_ns: dict[int, int] = field(default_factory=dict)


class Witness:
    """Writes `deeds`, in the order of true time."""

    def __init__(self, stage: Stage) -> None:
        """Look at nothing yet."""
        self.stage = stage
        self.deeds: list[Deed] = []
        self.custody = Custody(stage)
        self.membership = Membership(stage.node_config.node_lease_ms, stage)
        self._disagreed: list[Violation] = []
        self._lives: dict[int, _Life] = {}
        self._granted: dict[str, Deed] = {}
        self._told: set[tuple[str, int]] = set()
        self._taken = 0

    def meet(self, node: SimNode) -> None:
        """Watch an incarnation from its start."""
        life = self._lives[node.core.member.incarnation] = _Life(node)
        newest = max((v.number for v in self.stage.views), default=0)
        self._write(life, Act.STARTED, view=newest)
        self._stand_before(life, node.core._state.table)  # noqa: SLF001 - a witness, no part of the rules

    @property
    def found(self) -> list[Violation]:
        """What was wrong at once."""
        return [*self.membership.found, *self.custody.found, *self._disagreed]

    def hear(self, node: SimNode, given: NodeInput) -> None:
        """Look at an input before the node takes it."""
        life = self._lives[node.core.member.incarnation]
        self._taken = 0
        self.custody.hear(node, given, life.until_ns - node.clock.boot(self.stage.now_ns))
        match given:
            case FromMaster(HeartbeatAck() as ack):
                sent_ns = life.sent_ns.pop(ack.number, None)
                if sent_ns is not None and ack.view <= life.view:
                    lease_ns = self.stage.node_config.node_lease_ms * NS_PER_MS
                    life.until_ns = max(life.until_ns, sent_ns + lease_ns)

    def see(self, node: SimNode, given: NodeInput, effects: list[NodeEffect]) -> None:
        """Look at what came of an input."""
        life = self._lives[node.core.member.incarnation]
        if isinstance(given, FromMaster) and isinstance(given.message, ViewUpdate):
            view = node.core.view
            if view is not None and view.number != life.view:
                if view.previous != life.view:
                    self.custody.missed_a_view(node)
                life.view = view.number
                self._write(life, Act.ADOPTED)
        self.custody.see(node, effects)
        for effect in effects:
            match effect:
                case SendMaster(Heartbeat() as beat):
                    life.sent_ns[beat.number] = node.clock.boot(self.stage.now_ns)
                case Reply(_, Granted() as result) | SendPeer(_, ForwardReply(_, _, Granted() as result)):
                    self._acknowledge(life, result)
                case SendPeer(address, PeerAck() as ack):
                    if (*ack.replicas, *ack.transfers).count(Outcome.ACCEPTED) > self._taken:
                        seen = self._write(life, Act.SEEN)
                        text = f"{node.address} told {address} that it took what it did not take (batch {ack.lsn})"
                        self._disagreed.append(Violation("I12", text, (seen,)))
                case Emit(event) if event.kind in SEEN:
                    self._fact(life, event)

    def publish(self, view: View) -> None:
        """Look at a view that the master publishes."""
        self.deeds.append(Deed(self.stage.now_ns, "master", 0, Act.PUBLISHED, view=view.number))
        self.membership.publish(view)

    def look_round(self, view: View) -> None:
        """I8: when all have settled, both of a pair know every acknowledged state of a lock, its release as well."""
        for node in self.stage.nodes.values():
            now_ns = node.clock.boot(self.stage.now_ns)
            here = node.alive and view.is_up(node.core.member)
            for lease in [le for le in node.core.leases() if le.serving and now_ns < le.expires_ns] if here else []:
                deed = self.custody.newest.get(lease.key)
                primary, backup = view.ring.owners_at(lease.position)
                other = self.stage.nodes.get(backup or "")
                if primary != node.address or other is None or not other.alive:
                    continue
                if deed is None or not self.custody.may_be_held(lease):
                    continue
                if not view.is_up(other.core.member):
                    continue  # a new life, of which the master does not know yet
                copy = other.core._state.table.get(lease.key)  # noqa: SLF001 - a witness, no part of the rules
                if deed.generation == lease.generation and (copy is None or copy.order < deed.order):
                    text = f"all have settled in view {view.number}, and {backup} does not know {deed.order}"
                    life = self._lives[node.core.member.incarnation]
                    seen = self._write(life, Act.SEEN, (lease.key, *lease.order), view.number)
                    self._disagreed.append(Violation("I8", f"{lease.key}: {text}", (deed, seen)))

    # --- inside ---------------------------------------------------------------------

    def _fact(self, life: _Life, event: Event) -> None:
        about = (event.key, event.generation, event.seq)
        what = SEEN[event.kind]
        if what is Act.FREED:
            self._tell(life, what, about)
            return
        self.custody.keeps(life.node, event.key, event.generation)
        if event.kind is EventKind.PROMOTED:
            self.custody.takes_over(life.node, event.key, about[1:])
        if self._owes_grace(life.node, event.key):
            what = Act.RECOVERED
            self.custody.newest.pop(event.key, None)
        self._write(life, what, about)

    def _owes_grace(self, node: SimNode, key: str) -> bool:
        view = node.core.view
        return view is not None and any(position_of(key) in grace.region for grace in view.graces)

    def _acknowledge(self, life: _Life, result: Granted) -> None:
        deed = self._granted.pop(result.token, None)
        if deed is not None:
            self.custody.tells(life.node, deed)
            self._told.add((deed.key, deed.generation))
            self._tell(life, Act.ACKNOWLEDGED, (deed.key, *deed.order), deed)

    def _tell(self, life: _Life, what: Act, about: tuple[str, int, int], decided: Deed | None = None) -> None:
        """Write down that a client is told."""
        view = life.node.core.view
        if view is not None and len(view.up) == 1:
            self._write(life, Act.ALONE, about)
        deed = self._write(life, what, about)
        newest = self.custody.newest.get(deed.key)
        if newest is None or deed.order > newest.order:
            self.custody.newest[deed.key] = decided or deed

    def _write(self, life: _Life, what: Act, about: tuple[str, int, int] = ("", 0, 0), view: int | None = None) -> Deed:
        member, now_ns = life.node.core.member, self.stage.now_ns
        left_ns = life.until_ns - life.node.clock.boot(now_ns)
        view = life.view if view is None else view
        deed = Deed(now_ns, member.address, member.incarnation, what, *about, view, left_ns)
        self.deeds.append(deed)
        return deed

    def _stand_before(self, life: _Life, table: LeaseTable) -> None:
        grant, renew, release, readmit, merge = table.grant, table.renew, table.release, table.readmit, table.merge

        def mutated(what: Act, lease: Lease) -> None:
            view = life.node.core.view
            number = view.number if view else 0
            deed = self._write(life, what, (lease.key, *lease.order), number)
            if what in (Act.GRANTED, Act.RENEWED, Act.READMITTED):
                self._granted[lease.token] = deed
                self.custody.keeps(life.node, lease.key, lease.generation)
            else:
                self.custody.lets_go(lease.key)

        def granting(*rest: Any) -> Lease:
            self.custody.takes_over(life.node, rest[0], known.order if (known := table.get(rest[0])) else (0, 0))
            lease = grant(*rest)
            mutated(Act.GRANTED, lease)
            self.custody.grants(life.node, lease)
            return lease

        def renewing(lease: Lease, *rest: Any) -> None:
            renew(lease, *rest)
            mutated(Act.RENEWED, lease)

        def releasing(lease: Lease) -> None:
            told = (lease.key, lease.generation) in self._told  # its seq says nothing: a queue changes it too
            release(lease)
            mutated(Act.RELEASED if told else Act.TOOK_BACK, lease)

        def readmitting(key: str, claims: TokenClaims, *rest: Any) -> Lease:
            self.custody.takes_over(life.node, key, (claims.generation, claims.seq))
            self.custody.newest.pop(key, None)
            lease = readmit(key, claims, *rest)
            mutated(Act.READMITTED, lease)
            return lease

        def merging(record: LeaseRecord, now_ns: int) -> Outcome:
            outcome = merge(record, now_ns)
            if outcome is Outcome.ACCEPTED:
                self._taken += 1
                self._write(life, Act.ACCEPTED, (record.key, record.generation, record.seq))
            return outcome

        table.__dict__.update(grant=granting, renew=renewing, release=releasing, readmit=readmitting, merge=merging)
