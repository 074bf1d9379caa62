"""POSIX byte-range locks of one key: setlk, setlkw, getlk, unlck, as Linux's fcntl(2) has them.

How to use it (all of it is pure; `now_ns` is the caller's clock, any origin):

    graph = WaitGraph()                        # one for all tables that a node serves as primary
    table = RangeTable(graph)                  # one per key
    want = Want(Owner("s1", 1, "thread-1"), Kind.WRITE, start=0, length=100)
    step = table.setlkw(want, operation="op-7", now_ns=now)
    step.result                                # Locked | Waiting | Denied: answer the caller
    step.delta                                 # replicate it where it is true; replica.apply(step.delta, now_ns=...)
    step.pushes                                # waits that this ended, in order: Push(waiter, Locked | Denied)

    setlk(want)                                            Locked | Denied(EAGAIN, ENOLCK, EINVAL, EOVERFLOW)
    setlkw(want, operation=, now_ns=, deadline_ns=None)    Locked | Waiting | Denied(EDEADLK, EBUSY, ENOLCK, ..)
    getlk(want)                                            Conflict | Free | Denied: no step, nothing changes
    unlck(owner, start, length)                            Unlocked | Denied(ENOLCK, EINVAL, EOVERFLOW)
    withdraw(ticket) / refuse(ticket, error, text)         Unlocked; the wait ends with Denied(EINTR / error)
    expire(now_ns), next_deadline_ns()                     waits past their deadline end with Denied(ETIMEDOUT)
    release_owner(owner), release_session(id, incarnation) Unlocked; rows and waits of it are gone
    pause(), resume()                                      nobody who waits is granted in between
    migrate(Migrate(...), now_ns=)                         Migrated | Acquired | Lost | NothingHeld | Denied
    to_record(now_ns), from_record(record, now_ns), apply(delta, now_ns=), raise_floor(generation), floor
    close()                                                before dropping a table that has a shared graph

An operation that is denied changes nothing: its delta is false, no push.
Offsets count from the file's start (SEEK_SET). `length` 0 is to the end of
the file, a negative one the bytes before `start`.

Fences. A grant that gives its owner something new (bytes, or writing) gets
floor + 1; a row that merges has the newest fence of its parts; a downgrade, a
repetition and a migration keep it. Keep `floor` at or above the node's own by
`raise_floor` before a request, and take it over afterwards.

Order. By default the kernel's: after each change the queue is gone through by
ticket and all that is compatible is granted, and a new compatible request may
pass a waiting writer. A `fair` request passes no earlier conflicting waiter
and is passed by none. getlk tells of held rows only: a setlk may still be
refused on account of a fair waiter.

One case is for the caller: an owner with several operations under way may be
granted one while it waits with another, and so close a circle. After a step
that granted something to an owner that waits, ask `graph.stuck(owner)`, and
`refuse` those waits (EDEADLK).

Invariants
  B8  A request that is refused leaves the table as it was.
Elsewhere: words and results (rangerecords), rows (rangerows), waiters
(rangequeue), who is woken (rangechange), deadlocks (waitgraph), migration
(rangemigrate), replicas (rangereplica).
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from lockcore.core.limits import RANGE_ROWS_MAX, RANGE_WAITERS_MAX
from lockcore.core.rangechange import TOO_MANY_ROWS, Change, RangeState
from lockcore.core.rangeheal import reassert
from lockcore.core.rangemigrate import migrate
from lockcore.core.rangerecords import (
    OFFSET_MAX,
    Conflict,
    Delta,
    Denied,
    Errno,
    Free,
    Locked,
    RangeRecord,
    Row,
    Span,
    Step,
    Unlocked,
    Waiter,
    Waiting,
)
from lockcore.core.rangereplica import apply, fill, recorded
from lockcore.core.rangespan import span_of
from lockcore.core.waitgraph import WaitGraph

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lockcore.core.rangerecords import Migrate, Owner, Result, Want


class RangeTable:
    """The byte-range locks of one key, held and waited for."""

    def __init__(
        self,
        graph: WaitGraph | None = None,
        *,
        rows_max: int = RANGE_ROWS_MAX,
        waiters_max: int = RANGE_WAITERS_MAX,
    ) -> None:
        """Start empty.

        Args:
            graph: shared by all tables among which deadlocks are to be found; a replica needs none.
            rows_max: more rows than this on the key: ENOLCK.
            waiters_max: more waiters than this: EBUSY.
        """
        self._state = RangeState(graph if graph is not None else WaitGraph(), rows_max)
        self._waiters_max = waiters_max

    # --- what callers ask --------------------------------------------------------------

    def setlk(self, want: Want) -> Step:
        """Lock a range now, or not at all (F_SETLK).

        Returns:
            `Locked`; or `Denied` with EAGAIN (then `row` is in the way, or
            None if it is a fair waiter), ENOLCK, EINVAL or EOVERFLOW.
        Source: fcntl(2); invariants B2, B7, B8.
        """
        request = self._request(want)
        if isinstance(request, Denied):
            return self._denied(request)
        return self._try(request) or self._denied(self._again(request))

    def setlkw(self, want: Want, *, operation: str, now_ns: int, deadline_ns: int | None = None) -> Step:
        """Lock a range, waiting for it if need be (F_SETLKW). What the owner holds it keeps meanwhile.

        Args:
            want: what to lock.
            operation: the client's name of this request. If the session waits with it already, that wait is the answer.
            now_ns: this node's clock.
            deadline_ns: when to give up, on the same clock; None waits for ever.
        Returns:
            `Locked`; `Waiting`; or `Denied`: EDEADLK, EBUSY (queue full),
            ENOLCK, ETIMEDOUT (the deadline has passed), EINVAL, EOVERFLOW.
        Source: fcntl(2); invariants B7, B8, D1.
        """
        request = self._request(want, operation, deadline_ns)
        if isinstance(request, Denied):
            return self._denied(request)
        known = self._state.queue.find(want.owner.session, want.owner.incarnation, operation)
        if known is not None:
            return self._step(Waiting(known.ticket))
        step = self._try(request)
        if step is not None:
            return step
        problem = self._why_not_wait(request, now_ns)
        if problem is not None:
            return self._denied(problem)
        change = Change(self._state)
        change.enqueue(request)
        return change.done(Waiting(request.ticket), now_ns)

    def getlk(self, want: Want) -> Conflict | Free | Denied:
        """Say what stands in the way of a lock: of all such rows the one with the lowest start (F_GETLK).

        Returns:
            `Conflict`, `Free`, or `Denied` with EINVAL or EOVERFLOW.
        Source: fcntl(2), which answers any of them.
        """
        span = span_of(want.start, want.length)
        if isinstance(span, Denied):
            return span
        row = self._state.rows.conflict(want.owner, want.kind, *span)
        return Free() if row is None else Conflict(row)

    def unlck(self, owner: Owner, start: int, length: int) -> Step:
        """Let go of a range, held or not (F_UNLCK).

        Returns:
            `Unlocked`; or `Denied`: ENOLCK (a row would be split into more
            rows than the key may have), EINVAL, EOVERFLOW.
        """
        span = span_of(start, length)
        if isinstance(span, Denied):
            return self._denied(span)
        plan = self._state.rows.plan(owner, None, *span, 0)
        if not self._state.has_room(plan):
            return self._denied(Denied(Errno.ENOLCK, TOO_MANY_ROWS))
        change = Change(self._state)
        change.lock(plan)
        return change.done(Unlocked(), 0)

    def migrate(self, request: Migrate, *, now_ns: int) -> Step:
        """Move locks and waits from one session to another, in one step (SETLK_MIGRATE).

        The rules are in `rangemigrate`. The caller has proven its right to it.

        Returns:
            `Migrated`, `Acquired`, `Lost` or `NothingHeld`; or `Denied`:
            EINVAL (another kind is held; gaps without kind or lock-owner; a
            session to itself), EAGAIN (a gap is taken), ENOLCK, EOVERFLOW.
        """
        return migrate(self._state, request, now_ns)

    def reassert(self, want: Want, fence: int, *, now_ns: int) -> Step:
        """Hold again, with its fence, what was held and then lost by its nodes (`rangeheal`).

        Returns:
            `Locked`; or `Denied`: EAGAIN (`row` has a fence as high, or higher), ENOLCK, EINVAL, EOVERFLOW.
        """
        span = span_of(want.start, want.length)
        if isinstance(span, Denied):
            return self._denied(span)
        return reassert(self._state, Row(want.owner, want.kind, span.start, span.end, fence), now_ns)

    # --- waits that end otherwise --------------------------------------------------------

    def withdraw(self, ticket: int) -> Step:
        """Let a waiter leave. A ticket that nobody has changes nothing."""
        return self.refuse(ticket, Errno.EINTR, "the wait was given up")

    def refuse(self, ticket: int, error: Errno, text: str) -> Step:
        """End a wait with an error. A ticket that nobody has changes nothing."""
        waiter = self._state.queue.get(ticket)
        return self._give_up([] if waiter is None else [waiter], error, text)

    def expire(self, now_ns: int) -> Step:
        """End the waits whose deadline has come."""
        return self._give_up(self._state.queue.overdue(now_ns), Errno.ETIMEDOUT, "the deadline of the wait has passed")

    def next_deadline_ns(self) -> int | None:
        """Return when `expire` has something to do."""
        return self._state.queue.next_deadline_ns()

    def release_owner(self, owner: Owner) -> Step:
        """Drop all that one owner holds, and its waits."""
        return self._release([owner], self._state.queue.of_owner(owner))

    def release_session(self, session: str, incarnation: int) -> Step:
        """Drop all that a session holds, and its waits. Another incarnation's are not touched."""
        owners = self._state.rows.owners_of(session, incarnation)
        return self._release(owners, self._state.queue.of_session(session, incarnation))

    def pause(self) -> None:
        """Grant nothing to who waits until `resume`; waits still end otherwise, and locks are still let go."""
        self._state.paused = True

    def resume(self) -> Step:
        """Grant to who waits again, and at once what was freed meanwhile (B5)."""
        self._state.paused = False
        change = Change(self._state)
        change.candidates(self._state.queue)
        return change.done(Unlocked(), 0)

    # --- replication -----------------------------------------------------------------------

    @property
    def paused(self) -> bool:
        """Whether nobody who waits is granted."""
        return self._state.paused

    @property
    def floor(self) -> int:
        """The highest fence ever given here, or heard of."""
        return self._state.floor

    def raise_floor(self, generation: int) -> None:
        """Give no fence up to this one."""
        self._state.floor = max(self._state.floor, generation)

    def apply(self, delta: Delta, *, now_ns: int) -> None:
        """Do to a replica what was done to its original (B9).

        Raises:
            KeyError: they were not equal before. The replica is of no use any more.
        """
        apply(self._state, delta, now_ns)

    def to_record(self, now_ns: int) -> RangeRecord:
        """Return the whole table as it travels."""
        return recorded(self._state, now_ns)

    @classmethod
    def from_record(cls, record: RangeRecord, *, now_ns: int, graph: WaitGraph | None = None) -> RangeTable:
        """Return a table that is as recorded."""
        table = cls(graph)
        fill(table._state, record, now_ns)
        return table

    def join(self, graph: WaitGraph) -> None:
        """Find deadlocks with the tables of this graph from now on; costs owners and waiters, not rows."""
        state, old, self._state.graph = self._state, self._state.graph, graph
        for owner in state.rows.owners():
            old.let_go(owner)
            graph.hold(owner)
        for waiter in state.queue:
            old.wait_no_more(state, waiter)
            graph.wait(state, waiter)

    def close(self) -> None:
        """Take the table out of the shared wait graph."""
        self.join(WaitGraph())

    # --- views -----------------------------------------------------------------------------

    def __len__(self) -> int:
        """Return how many rows are held."""
        return len(self._state.rows)

    def __bool__(self) -> bool:
        """Say whether anything is held or waited for: a table without may be dropped."""
        return bool(len(self._state.rows) or len(self._state.queue))

    def rows(self) -> tuple[Row, ...]:
        """Return all rows by (start, owner)."""
        return tuple(self._state.rows)

    def first_rows(self, limit: int) -> tuple[Row, ...]:
        """Return at most `limit` rows, the first by (start, owner)."""
        return tuple(islice(self._state.rows, limit))

    def rows_of(self, owner: Owner) -> tuple[Row, ...]:
        """Return an owner's rows by start."""
        return tuple(self._state.rows.of(owner))

    def owners(self) -> tuple[Owner, ...]:
        """Return who holds something; they may be far fewer than rows."""
        return tuple(self._state.rows.owners())

    def owners_of(self, session: str, incarnation: int) -> tuple[Owner, ...]:
        """Return which owners of a session hold something."""
        return tuple(self._state.rows.owners_of(session, incarnation))

    def waiters(self) -> tuple[Waiter, ...]:
        """Return all waiters by ticket."""
        return tuple(self._state.queue)

    def waiter(self, session: str, incarnation: int, operation: str) -> Waiter | None:
        """Return the waiter of a session's operation: a client that comes back finds its place."""
        return self._state.queue.find(session, incarnation, operation)

    def ticket(self, ticket: int) -> Waiter | None:
        """Return the waiter with a ticket."""
        return self._state.queue.get(ticket)

    # --- inside ----------------------------------------------------------------------------

    def _request(self, want: Want, operation: str = "", deadline_ns: int | None = None) -> Waiter | Denied:
        """Return a request as it would wait."""
        span = span_of(want.start, want.length)
        if isinstance(span, Denied):
            return span
        ticket = self._state.next_ticket
        return Waiter(ticket, operation, want.owner, want.kind, span.start, span.end, want.fair, deadline_ns)

    def _try(self, request: Waiter) -> Step | None:
        """Grant a request, or deny it for good; None: something stands against it."""
        state = self._state
        if state.blocked(request):
            return None
        plan = state.rows.plan(request.owner, request.kind, request.start, request.end, state.floor + 1)
        if plan.row is None or not state.has_room(plan):
            return self._denied(Denied(Errno.ENOLCK, TOO_MANY_ROWS))
        change = Change(state)
        change.lock(plan)
        return change.done(Locked(plan.row), 0)

    def _again(self, request: Waiter) -> Denied:
        row = self._state.rows.conflict(request.owner, request.kind, request.start, request.end)
        if row is None:
            return Denied(Errno.EAGAIN, "others have waited longer for these bytes: wait (setlkw), or try again later")
        return Denied(Errno.EAGAIN, "another owner has locked these bytes: wait (setlkw), or try again later", row)

    def _why_not_wait(self, request: Waiter, now_ns: int) -> Denied | None:
        if request.deadline_ns is not None and request.deadline_ns <= now_ns:
            return Denied(Errno.ETIMEDOUT, "the deadline of the wait has passed")
        if self._state.graph.would_never_end(self._state, request):
            return Denied(Errno.EDEADLK, "this wait would never end: whoever is in its way waits for this owner")
        if len(self._state.queue) >= self._waiters_max:
            return Denied(Errno.EBUSY, "too many requests wait for this key: try again later")
        return None

    def _give_up(self, waiters: Iterable[Waiter], error: Errno, text: str) -> Step:
        change = Change(self._state)
        for waiter in waiters:
            change.give_up(waiter, error, text)
        return change.done(Unlocked(), 0)

    def _release(self, owners: Iterable[Owner], waiters: Iterable[Waiter]) -> Step:
        change = Change(self._state)
        for waiter in waiters:
            change.give_up(waiter, Errno.EINTR, "its owner or session has gone")
        rows = [row for owner in owners for row in self._state.rows.of(owner)]
        change.replace(rows, ())
        if rows:
            change.freed(Span(min(row.start for row in rows), max(row.end for row in rows)))
        return change.done(Unlocked(), 0)

    def _step(self, result: Result) -> Step:
        return Step(result, Delta(floor=self._state.floor, next_ticket=self._state.next_ticket))

    def _denied(self, denied: Denied) -> Step:
        return self._step(denied)


__all__ = ["OFFSET_MAX", "RangeTable", "WaitGraph", "span_of"]
