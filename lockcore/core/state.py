"""What a node is made of, and the few moves that every part of it shares.

`NodeState` owns the parts (table, handover, node lease, desk, links) and the
effects of the running step. `changed` collects the keys that changed hands
in it, `opened` counts sessions, `doubtful_ns` is since when others may go on
without this node (0: they do not). The rules that use them live in modules of one
idea each: serving (client operations), inbox (what peers send), views.

Invariants
  N1  `serving()` is asked before anything is decided for a client.
  N2  `answer` for a mutation is called by `commit` only, or where there is
      nobody to wait for.
Elsewhere: the step itself (node).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lockcore.core.alarms import Alarms
from lockcore.core.events import Event, EventKind, witnessed
from lockcore.core.handover import Handover
from lockcore.core.leases import Lease, LeaseTable
from lockcore.core.limits import ALARM_MS_MAX, NS_PER_MS, NS_PER_S
from lockcore.core.liveness import NodeLease
from lockcore.core.messages import (
    Code,
    Emit,
    ForwardReply,
    Granted,
    Instant,
    NodeEffect,
    OwnerIs,
    Refused,
    Released,
    Reply,
    Result,
    SendPeer,
    SessionId,
)
from lockcore.core.outbox import Part, PeerLink
from lockcore.core.rangefiles import FileTable, RangeFile, is_file, place_of
from lockcore.core.reach import Reach
from lockcore.core.requests import Desk, Pending, Request
from lockcore.core.sessions import SessionMint, SessionTable
from lockcore.core.tokens import TokenMint
from lockcore.core.waitgraph import WaitGraph
from lockcore.core.wipes import Wipes

if TYPE_CHECKING:
    from lockcore.core.config import NodeConfig
    from lockcore.core.messages import LeaseRecord
    from lockcore.core.rangerecords import Owner
    from lockcore.core.sessions import Session
    from lockcore.core.view import MemberId, View

REFUSALS_LISTED_PER_S = 20
"""Refusals are facts worth a row, but a client in a loop must not fill the journal."""
_OF_RANGES = {
    EventKind.PROMOTED: EventKind.RANGE_PROMOTED,
    EventKind.DEMOTED: EventKind.RANGE_DEMOTED,
    EventKind.TRANSFERRED: EventKind.RANGE_RECEIVED,
}
"""A key may be a lock and have ranges; what is told of one says nothing of the other."""


@dataclass(slots=True)
class Keeping:
    """The answer to a change of a session, until every living member has it."""

    stamp: int
    request: Request
    missing: set[str]


@dataclass(slots=True)
class NodeState:
    """One node's whole state."""

    me: MemberId
    config: NodeConfig
    table: LeaseTable
    handover: Handover
    lease: NodeLease
    mint: SessionMint
    files: FileTable
    graph: WaitGraph = field(default_factory=WaitGraph)
    doubtful_ns: int = 0
    keeping: dict[SessionId, list[Keeping]] = field(default_factory=dict)
    alarms: Alarms = field(default_factory=Alarms)
    opened: int = 0
    cleaning: list[tuple[Session, list[str]]] = field(default_factory=list)
    wipes: Wipes = field(default_factory=Wipes)
    healed_view: int = 0
    changed: set[str] = field(default_factory=set)
    desk: Desk = field(default_factory=Desk)
    links: dict[str, PeerLink] = field(default_factory=dict)
    reach: Reach = field(default_factory=Reach)
    last_lsn: dict[MemberId, int] = field(default_factory=dict)
    now: Instant = field(default_factory=lambda: Instant(0, 0))
    out: list[NodeEffect] = field(default_factory=list)
    operations: int = 0
    renewals: int = 0
    leaving: bool = False
    closed: bool = False
    was_serving: bool = False
    settled_told: int = 0
    _refusals_until_ns: int = 0
    _refusals_left: int = 0
    _refusals_unlisted: int = 0

    @classmethod
    def new(cls, me: MemberId, secret: bytes, config: NodeConfig) -> NodeState:
        """Return a node that knows nothing."""
        table = LeaseTable(TokenMint(secret))
        state = cls(
            me=me,
            config=config,
            table=table,
            files=FileTable(table.sessions),
            handover=Handover(me),
            lease=NodeLease(config.node_lease_ms, config.heartbeat_ms),
            mint=SessionMint(secret),
        )
        state.graph.lapsed = state.lapsed
        return state

    @property
    def sessions(self) -> SessionTable:
        """All sessions known here."""
        return self.table.sessions

    @property
    def view(self) -> View | None:
        """The newest view adopted."""
        return self.handover.view

    @property
    def view_number(self) -> int:
        """The number of that view, 0 before the first."""
        return self.view.number if self.view else 0

    @property
    def informed(self) -> bool:
        """Say whether this node knows every session that lives."""
        return self.handover.informed

    @property
    def settled_view(self) -> int:
        """The number of the view if everybody has settled in it, else 0."""
        return self.view_number if self.handover.settled_view >= self.view_number else 0

    def item(self, key: str) -> Lease | RangeFile | None:
        """Return what is known under a key of the inside."""
        return self.files.get(key) if is_file(key) else self.table.get(key)

    def items(self) -> list[Lease | RangeFile]:
        """Return all that is known, what is gone last: nobody waits for that."""
        return sorted([*self.table, *self.files], key=lambda item: item.gone)

    def drop(self, key: str) -> None:
        """Forget what is known under a key of the inside."""
        if is_file(key):
            self.files.drop(key)
        else:
            self.table.drop(key)

    def lapsed(self, owner: Owner) -> bool:
        """Say whether an owner's session may not act any more."""
        session = self.sessions.get(SessionId(owner.session, owner.incarnation))
        return session is None or not session.alive(self.now.boot_ns)

    def begin_serving(self, item: Lease | RangeFile) -> None:
        """Act as an item's primary from this view on."""
        item.tenure = self.view_number
        if isinstance(item, RangeFile):
            item.serving = True
            self.files.serve(item, self.graph)
        else:
            self.table.serve(item, serving=True)

    def outrank(self, item: Lease | RangeFile) -> None:
        """Number what is known here above the view (W10).

        All that was acknowledged is known here, but who was primary in between
        may have given seqs that nobody else has heard of.
        """
        item.tenure = self.view_number
        if isinstance(item, RangeFile):
            item.commit(item.table.withdraw(0), (), {}, self.now.boot_ns)
        else:
            self.table.touch(item)

    def vouches(self, lease: Lease) -> bool:
        """Say whether what is known here is all there is (S7): it serves the lock, as its primary until this view."""
        here = self.owners_at(lease.position)[0] == self.me.address
        return lease.serving and (here or self.handover.was_primary(lease.position))

    def stop_serving(self, item: Lease | RangeFile) -> None:
        """Be no longer its primary."""
        if not isinstance(item, RangeFile):
            self.table.serve(item, serving=False)
        elif item.serving:
            self.files.demote(item)

    @property
    def is_up(self) -> bool:
        """Say whether this incarnation is to serve in its view."""
        return self.view is not None and self.view.is_up(self.me)

    def set_alarm(self, key: str, at_ns: int) -> None:
        """Have a key looked at again at that time, or before."""
        self.alarms.set(min(at_ns, self.now.boot_ns + ALARM_MS_MAX * NS_PER_MS), key)

    def serving(self) -> bool:
        """Say whether the node may decide anything now (N1)."""
        return self.is_up and not self.closed and self.lease.valid(self.now.boot_ns)

    def in_doubt(self, file: RangeFile) -> bool:
        """Say whether whoever waits here must wait on: in a grace, somebody unknown may hold what looks free."""
        grace = self.handover.in_grace(file.position, self.now.boot_ns) and self.healed_view != self.view_number
        return grace and bool(file.table.waiters())

    def owners_at(self, position: int) -> tuple[str | None, str | None]:
        """Return (primary, backup) in the current view."""
        return self.view.ring.owners_at(position) if self.view else (None, None)

    def decides(self, position: int) -> bool:
        """Say whether this node may decide now what becomes of a position: its primary, complete and not fenced."""
        here = self.owners_at(position)[0] == self.me.address
        return here and self.serving() and self.handover.ready(position)

    # --- facts and answers ---------------------------------------------------

    def fact(self, kind: EventKind, lease: Lease | RangeFile | None = None, peer: str = "", detail: str = "") -> Event:
        """Build a fact of this view about a lock, or about the node."""
        number, version = (self.view.number, self.view.version) if self.view else (0, 0)
        if lease is None:
            return Event(kind, view=number, version=version, peer=peer, detail=detail)
        if isinstance(lease, RangeFile):
            told = _OF_RANGES.get(kind, kind)
            found = Event(
                told, key=lease.name, generation=lease.generation, seq=lease.seq, view=number, version=version
            )
            return replace(found, peer=peer, detail=detail or f"{len(lease.table)} ranges")
        return Event(
            kind,
            key=lease.key,
            owner=lease.owner,
            generation=lease.generation,
            seq=lease.seq,
            view=number,
            version=version,
            peer=peer,
            detail=detail,
            ttl_ms=lease.ttl_ms,
            renewals=lease.renewals,
            session=lease.session.ref.id if lease.session else "",
        )

    def emit(self, kind: EventKind, lease: Lease | RangeFile | None = None, peer: str = "", detail: str = "") -> None:
        """Tell observers a fact."""
        self.out.append(Emit(self.fact(kind, lease, peer, detail)))

    def emit_for(self, kind: EventKind, lease: Lease, owner: str, session: Session, detail: str) -> None:
        """Tell a fact about somebody who does not hold the lock."""
        event = self.fact(kind, lease, detail=detail)
        self.out.append(Emit(replace(event, owner=owner, session=session.ref.id, ttl_ms=0, renewals=0)))

    def emit_refusal(self, key: str, owner: str, detail: str) -> None:
        """Tell a refusal, unless there have been many within the second."""
        if self.now.boot_ns >= self._refusals_until_ns:
            self._refusals_until_ns = self.now.boot_ns + NS_PER_S
            self._refusals_left = REFUSALS_LISTED_PER_S
        if self._refusals_left == 0:
            self._refusals_unlisted += 1
            return
        self._refusals_left -= 1
        if self._refusals_unlisted:
            detail += f" (and {self._refusals_unlisted} more before, not listed)"
            self._refusals_unlisted = 0
        event = self.fact(EventKind.REFUSED, detail=detail)
        self.out.append(Emit(replace(event, key=key, owner=owner)))

    def answer(self, request: Request, result: Result) -> None:
        """Answer a request, once."""
        if request.done:
            return
        request.done = True
        if request.fact is not None and _stands(result):
            self.out.append(Emit(request.fact))
            self.changed.add(request.fact.key)
        if request.peer is None and request.call_id:
            self.out.append(Reply(request.call_id, result))
        elif request.peer is not None:
            reply = ForwardReply(self.me, request.forward_id, result)
            self.out.append(SendPeer(request.peer.address, reply))

    def refuse(self, request: Request, code: Code, text: str, *, owner: str = "", moved_to: str = "") -> None:
        """Answer that nothing was done."""
        self.answer(request, Refused(code, text, owner, moved_to))

    # --- mutations -------------------------------------------------------------

    def mutate(  # noqa: PLR0913 - what an acknowledgement is made of
        self,
        lease: Lease,
        request: Request | None,
        result: Result,
        event: Event | None,
        *,
        fresh: bool = False,
        before: LeaseRecord | None = None,
    ) -> None:
        """Keep the answer to a mutation just applied until the pair has it."""
        pending = Pending(lease.order, request, result, event, fresh, before)
        self.desk.expect(lease.key, pending)
        self.replicate(lease)

    def replicate(self, item: Lease | RangeFile) -> None:
        """Have the pair know an item's newest state; what waits for that is answered then, if asynchronous at once."""
        self.spread(item, urgent=True)
        if self.config.durability == "async":
            self.commit(item.key, item.order)

    def spread(self, lease: Lease | RangeFile, *, urgent: bool = False) -> None:
        """Queue a lease for whoever else must have it in this view."""
        urgent = urgent or lease.key in self.desk.pending
        primary, backup = self.owners_at(lease.position)
        if primary == self.me.address and self.is_up:
            link = self.links.get(backup) if backup else None
            if link:
                link.put(lease.key, Part.REPLICA, urgent=urgent)
            elif backup is None:
                self.commit(lease.key, lease.order)  # alone: nobody to wait for
        elif primary is not None and primary in self.links:
            self.links[primary].put(lease.key, Part.TRANSFER, urgent=urgent)

    def with_backup(self, key: str) -> bool:
        """Say whether the backup has the newest state of a key, or none is to have it."""
        _, backup = self.owners_at(place_of(key))
        link = self.links.get(backup) if backup else None
        alone = backup is None or self.config.durability == "async"
        return alone or (link is not None and not link.queued(key, Part.REPLICA))

    def commit(self, key: str, order: tuple[int, int], moved_to: str = "", witness: str = "") -> None:
        """Acknowledge what the pair now has, oldest first (N2, E1); `witness` is the other of the pair."""
        for pending in self.desk.settle(key, order):
            if pending.event is not None:
                forwarder = pending.request.peer if pending.request is not None else None
                self.out.append(Emit(witnessed(pending.event, witness, forwarder.address if forwarder else "")))
                self.changed.add(key)
            if pending.request is not None:
                self.answer(pending.request, with_moved_to(pending.result, moved_to))

    def fail(self, key: str, order: tuple[int, int], code: Code, text: str, moved_to: str = "") -> None:
        """Answer that mutations up to `order` came too late."""
        for pending in self.desk.settle(key, order):
            if pending.request is not None:
                self.refuse(pending.request, code, text, moved_to=moved_to)


def _stands(result: Result) -> bool:
    """Say whether an unlock that was handed over is a fact; else whoever is asked next tells of it."""
    return isinstance(result, Released) or (isinstance(result, Refused) and result.code is Code.OVERLOADED)


def with_moved_to(result: Result, moved_to: str) -> Result:
    """Return the result with where the lock lives now."""
    if not moved_to:
        return result
    match result:
        case Granted() | Released() | OwnerIs() | Refused():
            return replace(result, moved_to=moved_to)
        case _:
            return result  # a session lives nowhere in particular
