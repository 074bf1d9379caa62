"""One change to a key's byte-range locks, from the decision to what is replicated and pushed.

`RangeState` is what a key's table consists of, and answers who is in whose
way. A `Change` is made by one operation: it alters the state, keeps the net
of it, and wakes whom it freed.

Invariants
  B5  After every change nobody waits who could be granted, and nobody was
      granted whom something stood against. While grants are paused nobody
      who waits is granted; all are tried when they go on.
  B6  Waiters are tried by ticket; what a grant frees is tried at once, again
      from the lowest ticket.
  B7  A fair request passes no earlier waiter, and none passes a fair one, on
      bytes that it does not hold already.
  B13  Nobody is granted whose session has lapsed (Gluster 3182). It keeps its
      place until it is cleaned up after: a migration may still come.
Elsewhere: which operation changes what (ranges, rangemigrate).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from lockcore.core.rangequeue import WaitQueue
from lockcore.core.rangerecords import Delta, Denied, Errno, Kind, Locked, Push, Span, Step
from lockcore.core.rangerows import HeldRows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lockcore.core.rangerecords import Owner, Result, Row, Waiter
    from lockcore.core.rangerows import Plan
    from lockcore.core.waitgraph import WaitGraph


@dataclass(slots=True, eq=False)
class RangeState:
    """What one key's table consists of, and the questions that need more than one part of it."""

    graph: WaitGraph
    rows_max: int
    rows: HeldRows = field(default_factory=HeldRows)
    queue: WaitQueue = field(default_factory=WaitQueue)
    floor: int = 0
    next_ticket: int = 1
    paused: bool = False

    def __len__(self) -> int:
        """Return how many rows are held."""
        return len(self.rows)

    def __bool__(self) -> bool:
        """An empty table is a table."""
        return True

    @property
    def has_fair(self) -> bool:
        """Whether some waiters must not be passed, or must not pass."""
        return self.queue.has_fair

    def has_room(self, plan: Plan) -> bool:
        """Say whether a plan keeps within the rows a key may have."""
        return plan.growth <= 0 or len(self.rows) + plan.growth <= self.rows_max

    def ahead(self, waiter: Waiter) -> Iterator[Waiter]:
        """Iterate over the earlier waiters that a request must not pass (B7)."""
        if not waiter.fair and not self.queue.has_fair:
            return iter(())
        spans = self.rows.gained(waiter.owner, waiter.kind, waiter.start, waiter.end)
        return self.queue.ahead(waiter.owner, waiter.kind, spans, waiter.ticket, fair=waiter.fair)

    def blocked(self, waiter: Waiter) -> bool:
        """Say whether something stands against a request, in the queue or not yet."""
        if self.rows.conflict(waiter.owner, waiter.kind, waiter.start, waiter.end) is not None:
            return True
        return next(self.ahead(waiter), None) is not None

    # --- for the wait graph -----------------------------------------------------------

    def is_in_the_way(self, owner: Owner, waiter: Waiter) -> bool:
        """Say whether this owner keeps a waiter waiting."""
        if owner == waiter.owner:
            return False
        if self.rows.stands_against(owner, waiter.kind, waiter.start, waiter.end):
            return True
        return (waiter.fair or self.has_fair) and self._stands_before(owner, waiter)

    def _stands_before(self, owner: Owner, waiter: Waiter) -> bool:
        """Say whether a waiter of this owner must not be passed; asks its own waiters only, of whom there are few."""
        before = [
            other
            for other in self.queue.of_owner(owner)
            if other.ticket < waiter.ticket and (other.fair or waiter.fair) and _collide(other, waiter)
        ]
        if not before:
            return False
        gained = self.rows.gained(waiter.owner, waiter.kind, waiter.start, waiter.end)
        return any(other.start <= span.end and span.start <= other.end for other in before for span in gained)

    def gains_all(self, waiter: Waiter) -> bool:
        """Say whether a request is for nothing that its owner holds already."""
        return self.rows.gained(waiter.owner, waiter.kind, waiter.start, waiter.end) == [Span(waiter.start, waiter.end)]

    def in_the_way(self, waiter: Waiter) -> Iterator[Owner]:
        """Iterate over all who keep a waiter waiting."""
        for row in self.rows.conflicts(waiter.owner, waiter.kind, waiter.start, waiter.end):
            yield row.owner
        for other in self.ahead(waiter):
            yield other.owner


class Change:
    """One operation's change to a state."""

    def __init__(self, state: RangeState) -> None:
        """Begin with nothing changed."""
        self.state = state
        self._first_new = state.next_ticket
        self._removed: dict[Row, None] = {}
        self._added: dict[Row, None] = {}
        self._queued: dict[int, Waiter] = {}
        self._dequeued: list[int] = []
        self._pushes: list[Push] = []
        self._try: list[int] = []

    def replace(self, removed: Iterable[Row], added: Iterable[Row]) -> None:
        """Take rows out and put others in."""
        removed, added = tuple(removed), tuple(added)
        state = self.state
        owners = {row.owner: state.rows.holds(row.owner) for row in (*removed, *added)}
        state.rows.replace(removed, added)
        for owner, held in owners.items():
            if held != state.rows.holds(owner):
                (state.graph.let_go if held else state.graph.hold)(owner)
        for gone, come, rows in ((self._added, self._removed, removed), (self._removed, self._added, added)):
            for row in rows:
                if row in gone:
                    del gone[row]
                else:
                    come[row] = None

    def lock(self, plan: Plan) -> None:
        """Do what was planned for somebody whom nothing stands against."""
        if plan.row is not None:
            self.state.floor = max(self.state.floor, plan.row.fence)
        self.replace(plan.removed, plan.added)
        self.freed(plan.freed)
        if plan.row is not None and self.state.has_fair:
            # Who holds more passes less: its own waiters may have nobody before them any more.
            self.candidates(self.state.queue.of_owner(plan.row.owner))

    def enqueue(self, waiter: Waiter) -> None:
        """Give somebody a place."""
        self.state.next_ticket = max(self.state.next_ticket, waiter.ticket + 1)
        self.state.queue.put(waiter)
        self.state.graph.wait(self.state, waiter)
        self._queued[waiter.ticket] = waiter

    def dequeue(self, waiter: Waiter) -> None:
        """Free somebody's place."""
        self.state.queue.pop(waiter.ticket)
        self.state.graph.wait_no_more(self.state, waiter)
        self._queued.pop(waiter.ticket, None)
        if waiter.ticket < self._first_new:
            self._dequeued.append(waiter.ticket)

    def hand_over(self, waiter: Waiter, heir: Waiter) -> None:
        """Give somebody's place to another owner."""
        self.state.graph.wait_no_more(self.state, waiter)
        self.state.queue.put(heir)
        self.state.graph.wait(self.state, heir)
        self._queued[heir.ticket] = heir

    def give_up(self, waiter: Waiter, error: Errno, text: str) -> None:
        """End a wait without a grant. Whom it kept behind it (a grant's row goes on doing so) is tried again."""
        had_fair = self.state.has_fair
        self.dequeue(waiter)
        if had_fair:
            self.candidates(self.state.queue.near(waiter.start, waiter.end))
        self._pushes.append(Push(waiter, Denied(error, text)))

    def freed(self, span: Span | None) -> None:
        """Note bytes on which others may gain."""
        if span is not None:
            self.candidates(self.state.queue.near(*span))

    def candidates(self, waiters: Iterable[Waiter]) -> None:
        """Note who is to be tried."""
        for waiter in waiters:
            heappush(self._try, waiter.ticket)

    def wake(self) -> None:
        """Grant whom nothing stands against any more (B5, B6)."""
        state, last, newest = self.state, 0, None
        while self._try and not state.paused:
            ticket = heappop(self._try)
            waiter = state.queue.get(ticket)
            if waiter is None or ticket == last or state.graph.lapsed(waiter.owner):
                continue
            last = ticket
            # The newest grant stands in the way of most: asking it first spares the search.
            if (newest is not None and _collide(newest, waiter)) or state.blocked(waiter):
                continue
            plan = state.rows.plan(waiter.owner, waiter.kind, waiter.start, waiter.end, state.floor + 1)
            last = 0
            if plan.row is None or not state.has_room(plan):
                self.give_up(waiter, Errno.ENOLCK, TOO_MANY_ROWS)
                continue
            self.dequeue(waiter)
            self.lock(plan)
            self._pushes.append(Push(waiter, Locked(plan.row)))
            newest = waiter

    def done(self, result: Result, now_ns: int) -> Step:
        """Wake whom it freed, and say what was done."""
        self.wake()
        delta = Delta(
            removed=tuple(self._removed),
            added=tuple(self._added),
            queued=tuple(waiter.record(now_ns) for waiter in self._queued.values()),
            dequeued=tuple(self._dequeued),
            floor=self.state.floor,
            next_ticket=self.state.next_ticket,
        )
        return Step(result, delta, tuple(self._pushes))


TOO_MANY_ROWS = "this key has as many locked ranges as it may have: unlock some, or lock longer ranges"


def _collide(one: Waiter, other: Waiter) -> bool:
    if one.end < other.start or other.end < one.start or one.owner == other.owner:
        return False
    return one.kind is Kind.WRITE or other.kind is Kind.WRITE
