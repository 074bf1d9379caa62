"""SETLK_MIGRATE: what an old session holds on a key becomes a new session's, and nobody gets in between.

The transport of the Gluster RFC is a session here. Each lock-owner of the
old session becomes the lock-owner of the same name of the new one.

The rules: held pieces move with their kind and their fence; what lies outside
the range stays. If a kind is asked for and a piece has another, nothing
moves. Gaps are acquired only if asked for, and then all of them or nothing
moves. The old session's waits inside the range move with their place,
whatever their kind; other waits stay where they are, and the move itself
wakes none but the two sessions' own. Where the old session holds nothing, it
is a setlk of the new one's, and says so.

Invariants
  B10  What is held stays held at every byte, by one session or the other,
       with its kind, its fence (or that of the piece it merges with, if that
       is newer), and nobody else holds there what conflicts.
  B11  `Migrated` is answered only where the old session held something.
Elsewhere: who may migrate (sessions), retries (the node's records).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lockcore.core.rangechange import TOO_MANY_ROWS, Change
from lockcore.core.rangerecords import (
    Acquired,
    Delta,
    Denied,
    Errno,
    Kind,
    Lost,
    Migrated,
    NothingHeld,
    Owner,
    Row,
    Span,
    Step,
)
from lockcore.core.rangespan import span_of

if TYPE_CHECKING:
    from lockcore.core.rangechange import RangeState
    from lockcore.core.rangerecords import Migrate
    from lockcore.core.rangerows import Plan


def migrate(state: RangeState, request: Migrate, now_ns: int) -> Step:
    """Do it; see `RangeTable.migrate`."""
    span = _span_of(request)
    if isinstance(span, Denied):
        return _unchanged(state, span)
    held = _held(state, request, span)
    if not held and request.require_held:
        return _unchanged(state, Lost())
    wrong = next((row for row in held if request.kind not in (None, row.kind)), None)
    if wrong is not None:
        text = f"the old session holds a {wrong.kind} lock here: ask for that kind, or for any"
        return _unchanged(state, Denied(Errno.EINVAL, text, wrong))
    mover = _Mover(state, request, span)
    return mover.move(held, now_ns) if held else mover.acquire(now_ns)


def _span_of(request: Migrate) -> Span | Denied:
    if (request.source, request.source_incarnation) == (request.target, request.target_incarnation):
        return Denied(Errno.EINVAL, "the old session is the new one: name another")
    if request.acquire_gaps and (request.kind is None or request.lock_owner is None):
        return Denied(Errno.EINVAL, "to acquire the gaps, say for which lock-owner and for reading or writing")
    return span_of(request.start, request.length)


def _held(state: RangeState, request: Migrate, span: Span) -> list[Row]:
    owners = state.rows.owners_of(request.source, request.source_incarnation)
    wanted = [owner for owner in owners if request.lock_owner in (None, owner.lock_owner)]
    return [_inside(row, span) for owner in wanted for row in state.rows.of(owner, *span)]


def _inside(row: Row, span: Span) -> Row:
    return replace(row, start=max(row.start, span.start), end=min(row.end, span.end))


def _unchanged(state: RangeState, result: Denied | Lost) -> Step:
    return Step(result, Delta(floor=state.floor, next_ticket=state.next_ticket))


class _Mover:
    """One migration that nothing in the request itself forbids."""

    def __init__(self, state: RangeState, request: Migrate, span: Span) -> None:
        self.state = state
        self.request = request
        self.span = span

    def move(self, held: list[Row], now_ns: int) -> Step:
        """Move the pieces, and take the gaps if that was asked."""
        gaps = self._gaps(held) if self.request.acquire_gaps else []
        denied = self._against(gaps) or self._too_many(held, gaps)
        if denied is not None:
            return _unchanged(self.state, denied)
        change, fence = Change(self.state), self.state.floor + 1
        for piece in held:
            left = self.state.rows.plan(piece.owner, None, piece.start, piece.end, 0)
            change.replace(left.removed, left.added)
        moved = tuple(replace(piece, owner=self._heir_of(piece.owner)) for piece in held)
        for piece in moved:
            taken = self.state.rows.absorb(piece)
            change.replace(taken.removed, taken.added)
        for gap in gaps:
            change.lock(self._plan(gap, fence))
        waiters = self._move_waiters(change)
        return change.done(Migrated(moved, tuple(gaps), waiters), now_ns)

    def acquire(self, now_ns: int) -> Step:
        """Do a setlk for the new session, for the old one holds nothing here."""
        if self.request.kind is None or self.request.lock_owner is None:
            change = Change(self.state)
            return change.done(NothingHeld(self._move_waiters(change)), now_ns)
        plan = self._plan(self.span, self.state.floor + 1)
        denied = self._against([self.span])
        if denied is None and (plan.row is None or not self.state.has_room(plan)):
            denied = Denied(Errno.ENOLCK, TOO_MANY_ROWS)
        if denied is not None or plan.row is None:
            return _unchanged(self.state, denied or Lost())
        change = Change(self.state)
        change.lock(plan)
        return change.done(Acquired(plan.row, self._move_waiters(change)), now_ns)

    def _heir_of(self, owner: Owner) -> Owner:
        return Owner(self.request.target, self.request.target_incarnation, owner.lock_owner)

    def _pair(self) -> tuple[Owner, Owner]:
        """Return the one old owner and its heir."""
        request = self.request
        old = Owner(request.source, request.source_incarnation, request.lock_owner or "")
        return old, self._heir_of(old)

    def _plan(self, span: Span, fence: int) -> Plan:
        return self.state.rows.plan(self._pair()[1], self.request.kind, *span, fence)

    def _gaps(self, held: list[Row]) -> list[Span]:
        """Return the bytes of the range that neither the old owner nor its heir holds as strongly as asked."""
        heir, kind = self._pair()[1], self.request.kind or Kind.READ
        gaps, at = [], self.span.start
        for piece in held:
            gaps += self.state.rows.gained(heir, kind, at, piece.start - 1)
            at = piece.end + 1
        return gaps + self.state.rows.gained(heir, kind, at, self.span.end)

    def _against(self, gaps: list[Span]) -> Denied | None:
        """Return what forbids to take these bytes: a third party's row, or its place in the queue."""
        (old, heir), kind, state = self._pair(), self.request.kind or Kind.READ, self.state
        for gap in gaps:
            row = state.rows.conflict(heir, kind, *gap)
            if row is not None:
                return Denied(Errno.EAGAIN, "another owner has locked bytes that the old session did not hold", row)
        ahead = state.queue.ahead(heir, kind, gaps, state.next_ticket, fair=self.request.fair)
        if any(waiter.owner != old for waiter in ahead):
            return Denied(Errno.EAGAIN, "others have waited longer for bytes that the old session did not hold")
        return None

    def _too_many(self, held: list[Row], gaps: list[Span]) -> Denied | None:
        """Refuse what might leave more rows than a key may have: each end and each gap may split one."""
        ends = sum(
            (row.start < self.span.start) + (row.end > self.span.end)
            for owner in {piece.owner for piece in held}
            for row in self.state.rows.of(owner, *self.span)
        )
        growth = ends + 2 * len(gaps)
        if growth and len(self.state) + growth > self.state.rows_max:
            return Denied(Errno.ENOLCK, TOO_MANY_ROWS)
        return None

    def _move_waiters(self, change: Change) -> int:
        """Move the old session's waits within the range; try them, and those of the new session (B5)."""
        request, queue = self.request, self.state.queue
        moving = [
            waiter
            for waiter in queue.of_session(request.source, request.source_incarnation)
            if request.lock_owner in (None, waiter.owner.lock_owner)
            and self.span.start <= waiter.start
            and waiter.end <= self.span.end
        ]
        for waiter in moving:
            change.hand_over(waiter, replace(waiter, owner=self._heir_of(waiter.owner)))
        change.candidates(queue.of_session(request.target, request.target_incarnation))
        return len(moving)
