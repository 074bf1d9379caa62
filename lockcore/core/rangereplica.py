"""A key's byte-range locks at another node: changed as the original was, or taken over whole.

Invariants
  B9  A replica that applies the deltas in order equals the table.
Elsewhere: what a delta is made of (rangechange), who sends it (outbox).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockcore.core.rangechange import Change
from lockcore.core.rangerecords import RangeRecord
from lockcore.core.rangerows import HeldRows

if TYPE_CHECKING:
    from lockcore.core.rangechange import RangeState
    from lockcore.core.rangerecords import Delta


def apply(state: RangeState, delta: Delta, now_ns: int) -> None:
    """Do to a replica what was done to its original; see `RangeTable.apply`."""
    change = Change(state)
    change.replace(delta.removed, delta.added)
    for ticket in delta.dequeued:
        waiter = state.queue.get(ticket)
        if waiter is None:
            raise KeyError(ticket)
        change.dequeue(waiter)
    for record in delta.queued:
        known, waiter = state.queue.get(record.ticket), record.waiter(now_ns)
        if known is None:
            change.enqueue(waiter)
        else:
            change.hand_over(known, waiter)
    state.floor = max(state.floor, delta.floor)
    state.next_ticket = delta.next_ticket


def recorded(state: RangeState, now_ns: int) -> RangeRecord:
    """Return all of it as it travels."""
    waiters = tuple(waiter.record(now_ns) for waiter in state.queue)
    return RangeRecord(tuple(state.rows), waiters, state.floor, state.next_ticket)


def fill(state: RangeState, record: RangeRecord, now_ns: int) -> None:
    """Make an empty state as recorded."""
    state.rows = HeldRows(record.rows)
    for owner in state.rows.owners():
        state.graph.hold(owner)
    change = Change(state)
    for waiter in record.waiters:
        change.enqueue(waiter.waiter(now_ns))
    state.floor, state.next_ticket = record.floor, record.next_ticket
