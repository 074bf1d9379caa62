"""For each invariant of the core: a change that breaks it, made from outside.

Elsewhere: which test has to fail (test_mutations); random faults (tests/simulation).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from lockcore.core import inbox, node, serving, views
from lockcore.core.handover import Handover
from lockcore.core.leases import LeaseTable
from lockcore.core.ledger import Ledger
from lockcore.core.liveness import NodeLease
from lockcore.core.messages import BatchStatus, Seal
from lockcore.core.outbox import PeerLink
from lockcore.core.region import Region
from lockcore.core.requests import Desk, Request
from lockcore.core.ring import HashRing
from lockcore.core.state import NodeState
from lockcore.core.tokens import TokenMint
from lockcore.core.view import View

if TYPE_CHECKING:
    from typing import Any

    import pytest

    from lockcore.core.leases import Lease
    from lockcore.core.messages import HeartbeatAck, Instant, LeaseRecord, Outcome, PeerAck, PeerBatch
    from lockcore.core.outbox import Delivered, Told
    from lockcore.core.tokens import TokenClaims
    from lockcore.core.view import MemberId

# --- regions, ring, views, tokens ---------------------------------------------------------


def leave_neighbours_apart(patch: pytest.MonkeyPatch) -> None:
    """R1: intervals are sorted, but neither joined nor made disjoint."""

    def of(_: type[Region], intervals: Any) -> Region:
        return Region(tuple(sorted(i for i in intervals if i[0] < i[1])))

    patch.setattr(Region, "of", classmethod(of))


def place_by_modulo(patch: pytest.MonkeyPatch) -> None:
    """H1: what SeaweedFS did before #8860."""

    def owners_at(self: HashRing, position: int) -> tuple[str | None, str | None]:
        up = [s for s in self.servers if s not in self.down]
        return (up[position % len(up)] if up else None, up[(position + 1) % len(up)] if len(up) > 1 else None)

    patch.setattr(HashRing, "owners_at", owners_at)


def compare_rings_by_identity(patch: pytest.MonkeyPatch) -> None:
    """H2."""
    patch.setattr(HashRing, "__eq__", object.__eq__)


def first_server_keeps_a_collision(patch: pytest.MonkeyPatch) -> None:
    """H3."""
    place = HashRing._place

    def reversed_place(self: HashRing) -> Any:
        kept, self.servers = self.servers, self.servers[::-1]
        placed = place(self)
        self.servers = kept
        return placed

    patch.setattr(HashRing, "_place", reversed_place)


def promise_continuity_always(patch: pytest.MonkeyPatch) -> None:
    """V1: a master without a memory names the view that it found as the one before."""
    publish = Ledger.publish

    def promising(self: Ledger, view: View, now: Instant, grace_ms: int, *, unknown_past: bool) -> View:
        return replace(publish(self, view, now, grace_ms, unknown_past=unknown_past), previous=view.number - 1)

    patch.setattr(Ledger, "publish", promising)


def know_members_by_address(patch: pytest.MonkeyPatch) -> None:
    """V2."""

    def is_up(self: View, member: MemberId) -> bool:
        return member.address in self.up

    patch.setattr(View, "is_up", is_up)


def leave_the_key_out_of_the_token(patch: pytest.MonkeyPatch) -> None:
    """T1."""
    mac = TokenMint._mac

    def keyless(self: TokenMint, _key: str, payload: bytes) -> bytes:
        return mac(self, "", payload)

    patch.setattr(TokenMint, "_mac", keyless)


def salt_tokens(patch: pytest.MonkeyPatch) -> None:
    """T2."""
    make, salt = TokenMint.make, count()

    def salted(self: TokenMint, key: str, claims: TokenClaims) -> str:
        return make(self, key, claims) + str(next(salt))

    patch.setattr(TokenMint, "make", salted)


# --- leases -----------------------------------------------------------------------------------


def keep_the_lease_before(patch: pytest.MonkeyPatch) -> None:
    """L1."""
    grant = LeaseTable.grant

    def hoard(self: LeaseTable, key: str, *rest: Any) -> Lease:
        before = self.get(key)
        lease = grant(self, key, *rest)
        if before is not None:
            self._leases[key + " before"] = before
        return lease

    patch.setattr(LeaseTable, "grant", hoard)


def count_generations_alone(patch: pytest.MonkeyPatch) -> None:
    """L2."""
    patch.setattr(LeaseTable, "raise_floor", lambda _self, _generation: None)


def take_any_order(patch: pytest.MonkeyPatch) -> None:
    """L3."""
    merge = LeaseTable.merge

    def careless(self: LeaseTable, record: LeaseRecord, now_ns: int) -> Outcome:
        self.drop(record.key)
        return merge(self, record, now_ns)

    patch.setattr(LeaseTable, "merge", careless)


def honour_the_newest_token_only(patch: pytest.MonkeyPatch) -> None:
    """L4: a reply that gets lost costs the lock (W17)."""

    def accepts(_self: LeaseTable, lease: Lease, token: str) -> int | None:
        return lease.seq if token == lease.token else None

    patch.setattr(LeaseTable, "accepts", accepts)


# --- handover and the node lease ------------------------------------------------------------------


def never_fence(patch: pytest.MonkeyPatch) -> None:
    """F1, N1: what SeaweedFS's node does when it has lost the master."""
    patch.setattr(NodeLease, "valid", lambda _self, _now_ns: True)


def take_any_acknowledgement(patch: pytest.MonkeyPatch) -> None:
    """F2."""
    acknowledge = NodeLease.acknowledge

    def trusting(self: NodeLease, ack: HeartbeatAck, _view: int) -> bool:
        return acknowledge(self, ack, ack.view)

    patch.setattr(NodeLease, "acknowledge", trusting)


def carry_everything_over(patch: pytest.MonkeyPatch) -> None:
    """A1."""
    adopt = Handover.adopt

    def greedy(self: Handover, view: View, now_ns: int) -> None:
        before = self.complete
        adopt(self, view, now_ns)
        self.complete |= before

    patch.setattr(Handover, "adopt", greedy)


def believe_in_continuity(patch: pytest.MonkeyPatch) -> None:
    """A2."""
    adopt = Handover.adopt

    def believing(self: Handover, view: View, now_ns: int) -> None:
        adopt(self, replace(view, previous=self.view.number) if self.view else view, now_ns)

    patch.setattr(Handover, "adopt", believing)


def owe_no_grace(patch: pytest.MonkeyPatch) -> None:
    """A3."""
    patch.setattr(Handover, "in_grace", lambda _self, _position, _now_ns: False)


def serve_without_state(patch: pytest.MonkeyPatch) -> None:
    """S1, P1: what SeaweedFS's node does when it joins (W1)."""
    patch.setattr(Handover, "ready", lambda _self, _position: True)


# --- peers ------------------------------------------------------------------------------------------


def take_batches_of_any_view(patch: pytest.MonkeyPatch) -> None:
    """I1."""
    patch.setattr(inbox, "_standing", lambda _state, _batch: BatchStatus.OK)


def take_records_of_any_role(patch: pytest.MonkeyPatch) -> None:
    """I2."""

    def take(state: NodeState, _batch: PeerBatch, record: LeaseRecord) -> Outcome:
        return state.table.merge(record, state.now.boot_ns)

    patch.setattr(inbox, "_take_replica", take)


def give_up_what_has_changed(patch: pytest.MonkeyPatch) -> None:
    """I3: SeaweedFS deletes the renewed lock after it has sent the older one (W4)."""
    delivered = inbox._transfer_delivered

    def hasty(state: NodeState, item: Delivered, peer: str) -> None:
        lease = state.table.get(item.key)
        delivered(state, replace(item, order=lease.order) if lease else item, peer)

    patch.setattr(inbox, "_transfer_delivered", hasty)


def name_whom_it_remembers(patch: pytest.MonkeyPatch) -> None:
    """S6: a read without the pair."""
    patch.setattr(serving, "_confirm", lambda state, request, _lease, result: state.answer(request, result))


def never_ask_the_heir(patch: pytest.MonkeyPatch) -> None:
    """S5: what SeaweedFS's design and ours once did: the new primary alone knows."""
    patch.setattr(inbox, "_ask_heir", lambda *_: None)


def take_any_answer(patch: pytest.MonkeyPatch) -> None:
    """O1."""
    acknowledge = PeerLink.acknowledge

    def trusting(self: PeerLink, ack: PeerAck, *rest: Any) -> list[Delivered | Told]:
        under_way = self._under_way
        lsn = under_way.lsn if under_way else 0
        return acknowledge(self, replace(ack, lsn=lsn, view=self.view, status=BatchStatus.OK), *rest)

    patch.setattr(PeerLink, "acknowledge", trusting)


def seal_at_once(patch: pytest.MonkeyPatch) -> None:
    """O2."""
    build = PeerLink._build

    def early(self: PeerLink, *rest: Any) -> PeerBatch:
        return replace(build(self, *rest), seal=Seal(handover=True, backup=True, floor=0))

    patch.setattr(PeerLink, "_build", early)


# --- requests ------------------------------------------------------------------------------------------


def redirect_in_the_window(patch: pytest.MonkeyPatch) -> None:
    """S2: what SeaweedFS did before #8860."""
    patch.setattr(serving, "_in_transfer_window", lambda _state, _request: False)


def forward_for_ever(patch: pytest.MonkeyPatch) -> None:
    """S3."""
    patch.setattr(Request, "forwarded", property(lambda _self: False))


def answer_twice(patch: pytest.MonkeyPatch) -> None:
    """Q1: the deadline leaves the request where it waits, and nobody looks whether it was answered."""
    answer = NodeState.answer

    def again(self: NodeState, request: Request, result: Any) -> None:
        request.done = False
        answer(self, request, result)

    patch.setattr(NodeState, "answer", again)
    patch.setattr(Desk, "forget", lambda _self, _request: None)


def park_without_bound(patch: pytest.MonkeyPatch) -> None:
    """Q2."""
    patch.setattr(serving, "_park", lambda state, request: state.desk.park(request))


def tell_facts_after_replies(patch: pytest.MonkeyPatch) -> None:
    """E1: a node that is killed in between has granted what nobody recorded."""
    commit = NodeState.commit

    def late(self: NodeState, *rest: Any, **named: Any) -> None:
        start = len(self.out)
        commit(self, *rest, **named)
        self.out[start:] = self.out[start:][::-1]

    patch.setattr(NodeState, "commit", late)


def acknowledge_alone(patch: pytest.MonkeyPatch) -> None:
    """N2: SeaweedFS's replication is fire and forget (W8)."""
    mutate = NodeState.mutate

    def hasty(self: NodeState, lease: Lease, *rest: Any, **named: Any) -> None:
        mutate(self, lease, *rest, **named)
        self.commit(lease.key, lease.order)

    patch.setattr(NodeState, "mutate", hasty)


# --- views --------------------------------------------------------------------------------------------


def enter_any_view(patch: pytest.MonkeyPatch) -> None:
    """N3."""

    def careless(state: NodeState, view: View) -> None:
        state.handover.view = None
        views.adopt(state, view)

    patch.setattr(node, "adopt", careless)


def rehome_everything(patch: pytest.MonkeyPatch) -> None:
    """P3."""
    patch.setattr(views, "_reconsider_pending", lambda _state, _key: None)


def stop_serving_at_once(patch: pytest.MonkeyPatch) -> None:
    """P2: the old primary forgets its role before anybody else has taken it."""
    rehome = views._rehome

    def hasty(state: NodeState, lease: Lease, undelivered: bool) -> None:  # noqa: FBT001 - as what it replaces
        rehome(state, lease, undelivered)
        if state.owners_at(lease.position)[0] != state.me.address:
            state.table.serve(lease, serving=False)

    patch.setattr(views, "_rehome", hasty)
