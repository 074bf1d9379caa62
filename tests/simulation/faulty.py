"""Faults of the core that only show when many things happen: taken in from outside, like its mutations.

Elsewhere: the mutations that unit tests find too (tests/lockcore/core/mutations), the table (mutants).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lockcore.core import inbox, serving, silence, views
from lockcore.core.handover import Handover
from lockcore.core.leases import LeaseTable
from lockcore.core.master import MasterCore
from lockcore.core.messages import BatchStatus, Code, Granted, Outcome, Released, Unlock
from lockcore.core.outbox import PeerLink
from lockcore.core.requests import Desk
from lockcore.core.state import NodeState

if TYPE_CHECKING:
    from typing import Any

    import pytest

    from lockcore.core.leases import Lease
    from lockcore.core.messages import LeaseRecord, PeerAck, PeerBatch
    from lockcore.core.outbox import Delivered, Told, _UnderWay
    from lockcore.core.requests import Request
    from lockcore.core.tokens import TokenClaims
    from lockcore.core.view import View


def forget_tombstones(patch: pytest.MonkeyPatch) -> None:
    """W9: a released lock leaves nothing behind that orders late messages."""
    merge = LeaseTable.merge

    def forgetful(self: LeaseTable, record: LeaseRecord, now_ns: int) -> Outcome:
        if record.gone:
            self.drop(record.key)
            return Outcome.ACCEPTED
        return merge(self, record, now_ns)

    patch.setattr(LeaseTable, "merge", forgetful)


def refuse_silently(patch: pytest.MonkeyPatch) -> None:
    """W5: who refuses a transfer says that it took it."""
    take = inbox._take_transfer

    def polite(state: NodeState, batch: PeerBatch, record: LeaseRecord) -> Outcome:
        take(state, batch, record)
        return Outcome.ACCEPTED

    patch.setattr(inbox, "_take_transfer", polite)


def lose_what_is_handed_over(patch: pytest.MonkeyPatch) -> None:
    """W5: a transfer is acknowledged and thrown away."""

    def take(_state: NodeState, _batch: PeerBatch, _record: LeaseRecord) -> Outcome:
        return Outcome.ACCEPTED

    patch.setattr(inbox, "_take_transfer", take)


def never_send_again(patch: pytest.MonkeyPatch) -> None:
    """W6: what a lost message carried is not sent again."""

    def give_up(self: PeerLink, _under_way: _UnderWay) -> None:
        self._under_way = None

    patch.setattr(PeerLink, "_give_up", give_up)


def count_seqs_alone(patch: pytest.MonkeyPatch) -> None:
    """W10: a promoted copy goes on counting where its primary did."""
    patch.setattr(LeaseTable, "_next_seq", lambda _self, lease: lease.seq + 1)


def answer_without_a_token(patch: pytest.MonkeyPatch) -> None:
    """W15: the wrong node answers a forwarded request with neither a token nor an error."""
    handle = serving.handle

    def vague(state: NodeState, request: Request) -> None:
        here = state.view is not None and state.view.ring.primary(request.key) == state.me.address
        if request.forwarded and state.serving() and not here:
            state.answer(request, Granted("", "", 0, 0, 0))
        else:
            handle(state, request)

    for module in (serving, inbox, views):
        patch.setattr(module, "handle", vague)


def take_batches_of_older_views(patch: pytest.MonkeyPatch) -> None:
    """W3, W11: who is in a newer view goes on taking what a primary of an older one sends."""
    standing = inbox._standing

    def lenient(state: NodeState, batch: PeerBatch) -> BatchStatus:
        if state.view is None or batch.view > state.view.number:
            return standing(state, batch)
        return BatchStatus.OK if state.serving() else BatchStatus.NOT_SERVING

    patch.setattr(inbox, "_standing", lenient)


def take_refusals_for_answers(patch: pytest.MonkeyPatch) -> None:
    """W5, O1: whatever the answer to a batch says, its records count as delivered."""
    acknowledge = PeerLink.acknowledge

    def trusting(self: PeerLink, ack: PeerAck, now_ns: int) -> list[Delivered | Told]:
        under_way = self._under_way
        taken = tuple(Outcome.ACCEPTED for _ in under_way.records) if under_way else ()
        said = replace(ack, status=BatchStatus.OK, view=self.view, replicas=taken, transfers=taken)
        return acknowledge(self, said, now_ns)

    patch.setattr(PeerLink, "acknowledge", trusting)


def expire_by_the_wall_clock(patch: pytest.MonkeyPatch) -> None:
    """W16: a copy lives until the date in its token, by its own wall clock."""
    for name in ("_take_replica", "_take_transfer"):
        take = getattr(inbox, name)

        def dated(state: NodeState, batch: PeerBatch, record: LeaseRecord, take: Any = take) -> Outcome:
            claims = state.table.mint.read(record.key, record.token)
            left_ns = claims.expires_wall_ms * 1_000_000 - state.now.wall_ns if claims else 0
            outcome: Outcome = take(state, batch, replace(record, remaining_ns=max(0, left_ns)))
            return outcome

        patch.setattr(inbox, name, dated)


def take_back_nothing(patch: pytest.MonkeyPatch) -> None:
    """W18: a grant whose caller was told that nothing is promised stays."""

    def overdue(state: NodeState, request: Request) -> None:
        pending = state.desk.forget(request)
        if pending is not None:
            pending.event = None
        state.refuse(request, Code.TIMEOUT, "no answer in time")

    patch.setattr("lockcore.core.node.overdue", overdue)


def carry_out_what_is_overdue(patch: pytest.MonkeyPatch) -> None:
    """W18: what waited too long is carried out all the same."""
    patch.setattr(Desk, "overdue", lambda _self, _now_ns: [])
    patch.setattr(Desk, "next_deadline_ns", lambda _self: None)


def grant_what_is_held(patch: pytest.MonkeyPatch) -> None:
    """DESIGN 4: who holds a lock is not asked."""
    acquire = serving._acquire

    def careless(state: NodeState, request: Request, _lease: Lease | None) -> None:
        acquire(state, request, None)

    patch.setattr(serving, "_acquire", careless)


def release_what_is_not_held(patch: pytest.MonkeyPatch) -> None:
    """DESIGN 4: an unlock of what is not held is answered as if it had been."""
    refuse = serving._refuse_token

    def agreeable(state: NodeState, request: Request, lease: Lease | None) -> None:
        if isinstance(request.operation, Unlock) and (lease is None or not lease.live(state.now.boot_ns)):
            state.answer(request, Released())
        else:
            refuse(state, request, lease)

    patch.setattr(serving, "_refuse_token", agreeable)


def overlook_deaths(patch: pytest.MonkeyPatch) -> None:
    """DESIGN 4: a death that was seen waits until the dead are silent for long enough."""
    patch.setattr(MasterCore, "_see_death", lambda _self, _member: None)


def drop_copies_at_once(patch: pytest.MonkeyPatch) -> None:
    """DESIGN 6: copies that are not needed in a view are dropped before everybody has settled in it."""
    rehome = views._rehome

    def hasty(state: NodeState, lease: Lease, *rest: Any) -> None:
        if state.me.address not in state.owners_at(lease.position):
            state.table.drop(lease.key)
        else:
            rehome(state, lease, *rest)

    patch.setattr(views, "_rehome", hasty)


def replicate_nothing_received(patch: pytest.MonkeyPatch) -> None:
    """DESIGN 6: a new primary keeps what it was handed to itself."""
    take = inbox._take_transfer

    def selfish(state: NodeState, batch: PeerBatch, record: LeaseRecord) -> Outcome:
        links, state.links = state.links, {}
        outcome = take(state, batch, record)
        state.links = links
        return outcome

    patch.setattr(inbox, "_take_transfer", selfish)


def take_batches_in_any_order(patch: pytest.MonkeyPatch) -> None:
    """Decision 7: a batch that was overtaken is applied all the same."""
    take = inbox._take_batch

    def forgetful(state: NodeState, batch: PeerBatch) -> None:
        state.last_lsn.pop(batch.sender, None)
        take(state, batch)

    patch.setattr(inbox, "_take_batch", forgetful)


def acknowledge_in_the_window(patch: pytest.MonkeyPatch) -> None:
    """DESIGN 6: a renewal at the old primary is acknowledged before the new one has it."""
    spread = NodeState.spread

    def hasty(self: NodeState, lease: Lease, *, urgent: bool = False) -> None:
        spread(self, lease, urgent=urgent)
        if self.owners_at(lease.position)[0] != self.me.address:
            self.commit(lease.key, lease.order)

    patch.setattr(NodeState, "spread", hasty)


def plan_while_unsettled(patch: pytest.MonkeyPatch) -> None:
    """DESIGN 5: a change of membership is published while nodes still hand over."""
    patch.setattr(MasterCore, "settled", property(lambda _self: True))


def judge_within_the_node_lease(patch: pytest.MonkeyPatch) -> None:
    """DESIGN 4: the master marks a node down soon after a heartbeat is late."""
    patch.setattr(silence, "silent_at_ns", lambda _state, node: node.acked_ns + 420_000_000)


def forgive_superseded_tokens(patch: pytest.MonkeyPatch) -> None:
    """DESIGN 4: any token of a key is as good as the current one."""

    def accepts(self: LeaseTable, lease: Lease, token: str) -> int | None:
        return lease.seq if self.mint.read(lease.key, token) else None

    patch.setattr(LeaseTable, "accepts", accepts)


def readmit_without_a_grace(patch: pytest.MonkeyPatch) -> None:
    """DESIGN 4: a token that this node knows nothing of is honoured at any time."""

    def readmissible(state: NodeState, request: Request, lease: Lease | None, token: str) -> TokenClaims | None:
        claims = state.table.mint.read(request.key, token)
        return claims if lease is None or not lease.live(state.now.boot_ns) else None

    patch.setattr(serving, "_readmissible", readmissible)


def shorten_leases(patch: pytest.MonkeyPatch) -> None:
    """DESIGN 4: a node counts a lease from before it received the request."""
    grant = LeaseTable.grant

    def short(self: LeaseTable, key: str, *rest: Any) -> Lease:
        lease = grant(self, key, *rest)
        lease.expires_ns -= lease.ttl_ms * 500_000
        self._watch(lease)
        return lease

    patch.setattr(LeaseTable, "grant", short)


def keep_the_grace_short(patch: pytest.MonkeyPatch) -> None:
    """DESIGN 4: after a double failure nobody waits for more than half the longest lease."""
    adopt = Handover.adopt

    def hasty(self: Handover, view: Any, now_ns: int) -> None:
        graces = tuple(replace(g, remaining_ms=g.remaining_ms // 2) for g in view.graces)
        adopt(self, replace(view, graces=graces), now_ns)

    patch.setattr(Handover, "adopt", hasty)


def promise_what_it_forgot(patch: pytest.MonkeyPatch) -> None:
    """V1: a master without memory tells each node that its first view follows the one that node has."""
    adopt = Handover.adopt

    def trusting(self: Handover, view: View, now_ns: int) -> None:
        forgot = view.previous == 0 and self.view is not None
        adopt(self, replace(view, previous=self.view.number) if forgot and self.view else view, now_ns)

    patch.setattr(Handover, "adopt", trusting)


def keep_all_copies(patch: pytest.MonkeyPatch) -> None:
    """DESIGN 6: copies that nobody needs are never dropped."""

    def told(state: NodeState, settled_view: int) -> None:
        state.handover.settled_view = max(settled_view, state.handover.settled_view)

    patch.setattr("lockcore.core.node.drop_surplus_copies", told)
