"""Who waits on one key: by ticket, by operation, by owner, by range, and by deadline.

A ticket is a place: lower ones came first. A waiter that changes its owner
(migration) keeps its ticket.

Invariants
  B4  Whoever leaves is found by no search any more.
Elsewhere: who may pass whom (ranges), who waits for whom (waitgraph).
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, TypeVar

from lockcore.core.rangerecords import Kind
from lockcore.core.spantree import insert, overlapping, remove

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lockcore.core.rangerecords import Owner, Span, Waiter
    from lockcore.core.spantree import Tree

K = TypeVar("K")


class WaitQueue:
    """The waiters of one key."""

    def __init__(self) -> None:
        """Start empty."""
        self._waiters: dict[int, Waiter] = {}
        self._trees: dict[Kind, Tree[Waiter]] = {Kind.READ: None, Kind.WRITE: None}
        self._of_owner: dict[Owner, dict[int, None]] = {}
        self._of_session: dict[tuple[str, int], dict[int, None]] = {}
        self._deadlines: list[tuple[int, int]] = []
        self._fair = 0

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiters)

    def __iter__(self) -> Iterator[Waiter]:
        """Iterate by ticket, over a snapshot."""
        return iter([self._waiters[ticket] for ticket in sorted(self._waiters)])

    def get(self, ticket: int) -> Waiter | None:
        """Return who waits with a ticket."""
        return self._waiters.get(ticket)

    @property
    def has_fair(self) -> bool:
        """Whether one of them is not to be passed."""
        return self._fair > 0

    def of_owner(self, owner: Owner) -> list[Waiter]:
        """Return an owner's waiters by ticket."""
        return [self._waiters[ticket] for ticket in sorted(self._of_owner.get(owner, ()))]

    def of_session(self, session: str, incarnation: int) -> list[Waiter]:
        """Return a session's waiters by ticket."""
        return [self._waiters[ticket] for ticket in sorted(self._of_session.get((session, incarnation), ()))]

    def find(self, session: str, incarnation: int, operation: str) -> Waiter | None:
        """Return the waiter of an operation."""
        waiters = (self._waiters[ticket] for ticket in self._of_session.get((session, incarnation), ()))
        return next((waiter for waiter in waiters if waiter.operation == operation), None)

    def near(self, start: int, end: int) -> list[Waiter]:
        """Return who wants a byte of [start, end], in no order that means anything."""
        return [waiter for tree in self._trees.values() for waiter in overlapping(tree, start, end)]

    def ahead(self, owner: Owner, kind: Kind, spans: Sequence[Span], before: int, *, fair: bool) -> Iterator[Waiter]:
        """Iterate over earlier waiters of others that a request for these bytes must not pass.

        A fair request passes nobody, and nobody passes a fair one.
        """
        if not fair and not self._fair:
            return
        for tree in (self._trees[Kind.WRITE], self._trees[Kind.READ] if kind is Kind.WRITE else None):
            for start, end in spans:
                for other in overlapping(tree, start, end):
                    if other.ticket < before and (fair or other.fair) and other.owner != owner:
                        yield other

    def put(self, waiter: Waiter) -> None:
        """Add a waiter, or give a ticket's waiter a new owner."""
        if waiter.ticket in self._waiters:
            self.pop(waiter.ticket)
        self._waiters[waiter.ticket] = waiter
        self._trees[waiter.kind] = insert(self._trees[waiter.kind], (waiter.start, waiter.ticket), waiter)
        self._of_owner.setdefault(waiter.owner, {})[waiter.ticket] = None
        self._of_session.setdefault(waiter.owner[:2], {})[waiter.ticket] = None
        self._fair += waiter.fair
        if waiter.deadline_ns is not None:
            heappush(self._deadlines, (waiter.deadline_ns, waiter.ticket))

    def pop(self, ticket: int) -> Waiter:
        """Take a waiter out.

        Raises:
            KeyError: nobody has that ticket.
        """
        waiter = self._waiters.pop(ticket)
        self._trees[waiter.kind] = remove(self._trees[waiter.kind], (waiter.start, ticket))
        _discard(self._of_owner, waiter.owner, ticket)
        _discard(self._of_session, waiter.owner[:2], ticket)
        self._fair -= waiter.fair
        if len(self._deadlines) > 2 * len(self._waiters) + 16:
            # Whoever is granted leaves a deadline behind: keep those that still mean something.
            self._deadlines = [deadline for deadline in self._deadlines if self._means(deadline)]
            heapify(self._deadlines)
        return waiter

    def next_deadline_ns(self) -> int | None:
        """Return when the first waiter's time is over."""
        while self._deadlines and not self._means(self._deadlines[0]):
            heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def overdue(self, now_ns: int) -> list[Waiter]:
        """Return whose time is over, by ticket."""
        late = {ticket for deadline_ns, ticket in self._deadlines if deadline_ns <= now_ns}
        waiters = [self._waiters[ticket] for ticket in sorted(late & self._waiters.keys())]
        return [waiter for waiter in waiters if waiter.deadline_ns is not None and waiter.deadline_ns <= now_ns]

    def _means(self, deadline: tuple[int, int]) -> bool:
        waiter = self._waiters.get(deadline[1])
        return waiter is not None and waiter.deadline_ns == deadline[0]


def _discard(index: dict[K, dict[int, None]], name: K, ticket: int) -> None:
    del index[name][ticket]
    if not index[name]:
        del index[name]
