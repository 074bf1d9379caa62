"""What the rules of byte ranges answer, as clients are told it.

A migration may move thousands of pieces. Its answer is kept for a repetition
without them: they are told again as they are held then.

Elsewhere: the rules (ranges), who is answered when (ranging).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from lockcore.core import rangerecords as rr
from lockcore.core.messages import (
    Code,
    HeldRange,
    How,
    MoveRanges,
    RangeDenied,
    RangeLocked,
    Refused,
    Released,
    Result,
    SessionId,
    SetRange,
)

if TYPE_CHECKING:
    from lockcore.core.messages import RangeOperation
    from lockcore.core.rangefiles import RangeFile
    from lockcore.core.sessions import Session
    from lockcore.core.state import NodeState

LOST_BEFORE_TEXT: Final = "the old session holds nothing here any more: it was lost, and nothing was taken"


def result_of(state: NodeState, result: rr.Result) -> Result:
    """Return what a step of the table answers."""
    match result:
        case rr.Locked(row):
            return RangeLocked(row.owner.session, (piece(state, row),))
        case rr.Acquired(row, _):
            return RangeLocked(row.owner.session, (piece(state, row),))
        case rr.Migrated(moved, _, _):
            session = moved[0].owner.session if moved else ""
            return RangeLocked(session, tuple(piece(state, row) for row in moved), How.MIGRATED)
        case rr.Denied():
            return denied(state, result)
        case rr.Lost():
            return Refused(Code.NOT_HELD, LOST_BEFORE_TEXT)
        case _:
            return Released()


def denied(state: NodeState, refusal: rr.Denied) -> RangeDenied:
    """Return a refusal of the rules, with who is in the way."""
    return RangeDenied(refusal.error, refusal.text, None if refusal.row is None else piece(state, refusal.row))


def piece(state: NodeState, row: rr.Row) -> HeldRange:
    """Return a row with the label of its session."""
    session = state.sessions.get(SessionId(row.owner.session, row.owner.incarnation))
    label = session.label if session is not None else ""
    return HeldRange(row.owner.session, label, row.owner.lock_owner, row.kind, row.start, row.length, row.fence)


def to_keep(result: RangeLocked | Released) -> RangeLocked | Released:
    """Return an answer as it is kept and replicated."""
    migrated = isinstance(result, RangeLocked) and result.how is How.MIGRATED
    return replace(result, pieces=()) if isinstance(result, RangeLocked) and migrated else result


def told_again(state: NodeState, file: RangeFile, session: Session, kept: RangeLocked | Released) -> Result:
    """Return a kept answer for its repetition."""
    if not isinstance(kept, RangeLocked) or kept.how is not How.MIGRATED:
        return kept
    owners = file.table.owners_of(session.ref.id, session.ref.incarnation)
    rows = [row for owner in owners for row in file.table.rows_of(owner)]
    return replace(kept, pieces=tuple(piece(state, row) for row in rows))


def facts_text(operation: RangeOperation, result: rr.Result) -> str:
    """Return what an operation did, for people."""
    match result:
        case rr.Locked(row) | rr.Acquired(row, _):
            return f"{row.kind.value} {span_text(rr.Span(row.start, row.end))} by {row.owner.lock_owner}"
        case rr.Migrated(moved, _, waiters) if isinstance(operation, MoveRanges):
            return f"{len(moved)} pieces and {waiters} places from session {operation.old.id}"
        case _:
            owner = getattr(operation, "lock_owner", None) or "all owners"
            kind = f"{operation.kind.value} " if isinstance(operation, SetRange) else ""
            return f"{kind}{getattr(operation, 'start', 0)} length {getattr(operation, 'length', 0)} by {owner}"


def span_text(span: rr.Span) -> str:
    """Return a span for people."""
    return f"{span.start} to the end" if span.end == rr.OFFSET_MAX else f"{span.start} to {span.end}"
