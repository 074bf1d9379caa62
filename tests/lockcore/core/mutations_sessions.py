"""For each invariant of sessions and their queues: a change that breaks it, made from outside.

Elsewhere: which test has to fail (test_mutations), the other invariants (mutations).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lockcore.core import cleaning, inbox, keeping, queueing, ranging, serving, sessions, views
from lockcore.core.events import EventKind
from lockcore.core.leases import LeaseTable
from lockcore.core.messages import Code, Outcome
from lockcore.core.rangefiles import FileTable, RangeFile, id_of
from lockcore.core.sessions import Session, SessionMint, SessionTable
from lockcore.core.state import NodeState

if TYPE_CHECKING:
    import pytest

    from lockcore.core.leases import Lease
    from lockcore.core.messages import FileRecord, SessionProof, SessionRecord
    from lockcore.core.requests import Request


def wake_the_dead(patch: pytest.MonkeyPatch) -> None:
    """J1: a late extension counts, whatever happened."""

    def merge(self: SessionTable, record: SessionRecord, now_ns: int) -> Outcome:
        known = self.get(record.ref)
        if known is not None:
            known.ended, known.cleaned = record.ended, False
            known.expires_ns = now_ns + record.remaining_ns
        return Outcome.ACCEPTED

    patch.setattr(SessionTable, "merge", merge)


def free_at_once(patch: pytest.MonkeyPatch) -> None:
    """J2: with the lease, everything is gone."""
    patch.setattr(sessions, "SESSION_LINGER_MS", 0)


def believe_any_secret(patch: pytest.MonkeyPatch) -> None:
    """J3."""
    patch.setattr(SessionMint, "good", lambda *_: True)


def forget_who_waits(patch: pytest.MonkeyPatch) -> None:
    """L5: only what is held is found again (JuiceFS 5193, with queues)."""
    put = LeaseTable._put

    def keep_waiters_out(self: LeaseTable, lease: Lease) -> None:
        put(self, lease)
        for waiter in lease.waiters:
            if waiter.session is not lease.session:
                waiter.session.keys.discard(lease.key)

    patch.setattr(LeaseTable, "_put", keep_waiters_out)


def answer_extensions_alone(patch: pytest.MonkeyPatch) -> None:
    """X1."""

    def spread(state: NodeState, session: Session, request: Request | None = None) -> None:
        for link in state.links.values():
            link.put_session(session.ref)
        if request is not None:
            keeping._answer(state, session, request)

    patch.setattr(keeping, "_spread", spread)


def hear_no_objection(patch: pytest.MonkeyPatch) -> None:
    """X2: that a peer knows better is not looked at."""
    told = keeping.told

    def deaf(state: NodeState, item: Any, peer: str) -> None:
        told(state, type(item)(item.ref, item.stamp, Outcome.ACCEPTED), peer)

    patch.setattr(keeping, "told", deaf)


def say_over_too_soon(patch: pytest.MonkeyPatch) -> None:
    """X3: whom a node does not know, there is not."""

    def refuse(state: NodeState, request: Request, _proof: SessionProof | None) -> None:
        state.refuse(request, Code.SESSION_LOST, keeping.LOST_TEXT)

    for module in (keeping, queueing, ranging):
        patch.setattr(module, "refuse_lost", refuse)


def grant_past_the_queue(patch: pytest.MonkeyPatch) -> None:
    """U1."""

    def free(state: NodeState, lease: Lease | None) -> bool:
        return lease is None or not lease.live(state.now.boot_ns)

    patch.setattr(queueing, "free", free)


def clean_up_at_once(patch: pytest.MonkeyPatch) -> None:
    """X4: all in one step."""
    go_on = cleaning._go_on

    def all_at_once(state: NodeState) -> None:
        while state.cleaning:
            go_on(state)

    patch.setattr(cleaning, "_go_on", all_at_once)


def forget_who_gave_up(patch: pytest.MonkeyPatch) -> None:
    """U5, Y2: what comes late is carried out, for nobody."""
    patch.setattr(Session, "gave_up", lambda *_: False)


def serve_any_copy(patch: pytest.MonkeyPatch) -> None:
    """S7."""
    patch.setattr(inbox, "_whole", lambda _state, _record: True)


def go_on_as_before(patch: pytest.MonkeyPatch) -> None:
    """P5."""
    patch.setattr(NodeState, "outrank", lambda _self, _item: None)


def change_old_copies(patch: pytest.MonkeyPatch) -> None:
    """S4."""

    def knows_enough(state: NodeState, position: int, lease: Lease | None) -> bool:
        return state.handover.ready(position) or (lease is not None and lease.serving)

    patch.setattr(serving, "_knows_enough", knows_enough)


def serve_the_dead(patch: pytest.MonkeyPatch) -> None:
    """U2."""

    def known(state: NodeState, proof: SessionProof) -> Session | None:
        return state.sessions.get(proof.ref)

    patch.setattr(queueing, "known", known)


def do_it_again(patch: pytest.MonkeyPatch) -> None:
    """U3: a repetition is a new request."""
    patch.setattr(queueing, "_repeated", lambda *_: False)


def unlock_and_lock(patch: pytest.MonkeyPatch) -> None:
    """U4: a migration as two steps, as healing did it."""
    move = queueing._move

    def in_two_steps(  # noqa: PLR0913, PLR0917 - as the original
        state: NodeState, request: Request, operation: Any, session: Session, old: Session | None, lease: Lease | None
    ) -> None:
        if lease is not None and old is not None and queueing.holds(lease, old, state):
            queueing._release(state, lease, None, EventKind.RELEASED)
            queueing.advance(state, lease.key)
        move(state, request, operation, session, old, state.table.get(operation.key))

    patch.setattr(queueing, "_move", in_two_steps)


# --- byte ranges in nodes ---------------------------------------------------------------------


def apply_changes_anywhere(patch: pytest.MonkeyPatch) -> None:
    """Z1: whatever the copy is."""
    merge = FileTable.merge

    def careless(self: FileTable, record: FileRecord, now_ns: int) -> Outcome:
        file = self.get(id_of(record.key))
        if record.whole is None and file is not None:
            record = replace(record, base=file.order)
        return merge(self, record, now_ns)

    patch.setattr(FileTable, "merge", careless)


def take_back_the_number_only(patch: pytest.MonkeyPatch) -> None:
    """Z2."""

    def take_back(self: RangeFile, order: tuple[int, int], _now_ns: int) -> bool:
        found = next(c for c in self._log if c.after == order)
        self.generation, self.seq = found.before
        return True

    patch.setattr(RangeFile, "take_back", take_back)


def answer_ranges_at_once(patch: pytest.MonkeyPatch) -> None:
    """Y1."""
    carry = ranging.carry

    def hasty(state: NodeState, file: RangeFile, *rest: Any) -> None:
        carry(state, file, *rest)
        state.commit(file.key, file.order)

    patch.setattr(ranging, "carry", hasty)


def do_ranges_again(patch: pytest.MonkeyPatch) -> None:
    """Y2."""
    patch.setattr(ranging, "_repeated", lambda *_: False)


def bring_everything_back(patch: pytest.MonkeyPatch) -> None:
    """P4: a node that was out hands over what it had, as if nothing had happened meanwhile."""
    patch.setattr(views, "_forget_sessions", lambda _state: None)
