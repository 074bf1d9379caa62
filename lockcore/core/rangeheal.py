"""Giving a piece back to the holder whose nodes have lost it, with the fence that it had.

Whoever held it last has the highest fence: who had it before had let go.
So of two who claim the same bytes the higher fence keeps them, whichever came
first; at equal fences the first.

Invariants
  B12  A piece that comes back keeps its fence, and takes bytes only from
       claims with lower fences.
Elsewhere: when anybody may come back, and who proves what (healing).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockcore.core.rangechange import TOO_MANY_ROWS, Change
from lockcore.core.rangerecords import Delta, Denied, Errno, Locked, Span, Step

if TYPE_CHECKING:
    from lockcore.core.rangechange import RangeState
    from lockcore.core.rangerecords import Row

TAKEN_TEXT = "somebody with a newer fence holds these bytes: they were lost before"


def reassert(state: RangeState, piece: Row, now_ns: int) -> Step:
    """Hold a piece again; see `RangeTable.reassert`."""
    against = list(state.rows.conflicts(piece.owner, piece.kind, piece.start, piece.end))
    newer = next((row for row in against if row.fence >= piece.fence), None)
    if newer is not None:
        return _unchanged(state, Denied(Errno.EAGAIN, TAKEN_TEXT, newer))
    plan = state.rows.absorb(piece)
    room = state.rows_max - len(state.rows) - plan.growth - len(against)
    if plan.row is None or room < 0:
        return _unchanged(state, Denied(Errno.ENOLCK, TOO_MANY_ROWS))
    change = Change(state)
    for row in against:
        left = state.rows.plan(row.owner, None, max(row.start, piece.start), min(row.end, piece.end), 0)
        change.replace(left.removed, left.added)
    change.lock(plan)
    if against:
        change.freed(Span(piece.start, piece.end))
    return change.done(Locked(plan.row), now_ns)


def _unchanged(state: RangeState, denied: Denied) -> Step:
    return Step(denied, Delta(floor=state.floor, next_ticket=state.next_ticket))
