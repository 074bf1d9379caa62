"""Faults of the session core that only show when many things happen: taken in from outside.

Elsewhere: the mutations that unit tests find too (tests/lockcore/core/mutations_sessions), the table (mutants).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lockcore.core import cleaning, keeping, queueing, views
from lockcore.core.handover import Handover
from lockcore.core.leases import Lease
from lockcore.core.messages import Released
from lockcore.core.outbox import PeerLink
from lockcore.core.sessions import SessionTable
from lockcore.core.state import NodeState

if TYPE_CHECKING:
    import pytest

    from lockcore.core.messages import LeaseRecord, Outcome, PeerBatch, SessionRecord
    from lockcore.core.requests import Request


def serve_the_last_first(patch: pytest.MonkeyPatch) -> None:
    """U1: whoever came last is granted first."""
    advance = queueing.advance

    def unfair(state: NodeState, key: str) -> None:
        lease = state.table.get(key)
        if lease is not None:
            lease.waiters.sort(key=lambda waiter: waiter.id, reverse=True)
        advance(state, key)

    patch.setattr(queueing, "advance", unfair)


def drop_the_queue_on_the_way(patch: pytest.MonkeyPatch) -> None:
    """Places stay where the lock was."""
    record = Lease.record

    def bare(self: Lease, now_ns: int) -> LeaseRecord:
        return replace(record(self, now_ns), waiters=())

    patch.setattr(Lease, "record", bare)


def drop_answers_on_the_way(patch: pytest.MonkeyPatch) -> None:
    """Who takes over knows what is held, and not what was answered."""
    record = Lease.record

    def bare(self: Lease, now_ns: int) -> LeaseRecord:
        return replace(record(self, now_ns), answers=())

    patch.setattr(Lease, "record", bare)


def promise_places_at_once(patch: pytest.MonkeyPatch) -> None:
    """A place counts before the backup knows of it."""
    patch.setattr(NodeState, "with_backup", lambda *_: True)


def take_nothing_back(patch: pytest.MonkeyPatch) -> None:
    """P3: what was granted and never told stays, whatever the view."""
    patch.setattr(views, "_take_back", lambda *_: True)


def never_take_a_session_back(patch: pytest.MonkeyPatch) -> None:
    """After a double failure sessions are lost, though their clients are there."""
    patch.setattr(keeping, "_take_back", lambda *_: None)


def answer_repeated_unlocks_at_once(patch: pytest.MonkeyPatch) -> None:
    """U3, N2: what was released before is answered whoever knows of it."""
    mutate = NodeState.mutate

    def hasty(self: NodeState, lease: Lease, request: Request | None, result: Any, event: Any, **how: Any) -> None:
        if isinstance(result, Released) and event is None and request is not None and lease.gone:
            self.answer(request, result)
        else:
            mutate(self, lease, request, result, event, **how)

    patch.setattr(NodeState, "mutate", hasty)


def take_any_length(patch: pytest.MonkeyPatch) -> None:
    """Who only learned of a session from a lock tells the others that its lease has no length."""
    merge = SessionTable.merge

    def trusting(self: SessionTable, record: SessionRecord, now_ns: int) -> Outcome:
        outcome = merge(self, record, now_ns)
        known = self.get(record.ref)
        if known is not None:
            known.ttl_ms = record.ttl_ms
        return outcome

    patch.setattr(SessionTable, "merge", trusting)


def seal_before_sessions(patch: pytest.MonkeyPatch) -> None:
    """O2: keys are complete before the sessions that hold them are known."""
    build = PeerLink._build

    def forgetful(self: PeerLink, *rest: Any) -> PeerBatch:
        self._sessions.clear()
        return build(self, *rest)

    patch.setattr(PeerLink, "_build", forgetful)


def answer_when_down(patch: pytest.MonkeyPatch) -> None:
    """X1: who is marked down has nobody to wait for."""
    spread_all = keeping.spread_all

    def lonely(state: NodeState) -> None:
        if not state.is_up:
            waiting, state.keeping = state.keeping, {}
            for ref, ones in waiting.items():
                session = state.sessions.get(ref)
                for one in ones:
                    if session is not None:
                        keeping._answer(state, session, one.request)
        spread_all(state)

    patch.setattr(keeping, "spread_all", lonely)


def forget_at_once(patch: pytest.MonkeyPatch) -> None:
    """P4: whoever was fenced for a moment and missed a view forgets what it alone has."""
    patch.setattr(views, "AWAY_MS_MAX", -1)


def judge_lapses_from_before(patch: pytest.MonkeyPatch) -> None:
    """J1: who was away ends sessions that others have extended."""
    patch.setattr(SessionTable, "doubt", lambda _self: None)


def clean_up_never(patch: pytest.MonkeyPatch) -> None:
    """L5, J2: what a dead session held stays."""
    patch.setattr(cleaning, "clean", lambda *_: None)
    patch.setattr(queueing, "_let_go", lambda *_: None)


def grant_in_a_grace(patch: pytest.MonkeyPatch) -> None:
    """A3: a queue goes on though an unknown lock may be held."""
    patch.setattr(Handover, "in_grace", lambda *_: False)
