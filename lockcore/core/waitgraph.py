"""Who waits for whom, over all keys that one node serves: finds the waits that would never end.

An owner waits for another if one of its waiters meets a row of the other's,
or stands behind a waiter of the other's that it must not pass. Nothing of
that is stored: rows change too often. A search asks the tables, and visits
each waiting owner and each stretch of a table once.

The kernel follows one chain of first conflicts, at most ten long, and so
finds some circles late or never; here the whole graph is searched at once.
What is not seen: waits at other nodes. A circle through keys of two
primaries ends by deadline only, so give one there.

Invariants
  D1  A wait that would close a circle of owners, of any length and through
      any keys of the node, is refused; no other is.
Elsewhere: the tables (ranges).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from lockcore.core.rangerecords import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lockcore.core.rangerecords import Owner, Waiter


class Table(Protocol):
    """What the graph asks of a table."""

    def __len__(self) -> int:
        """Return how many rows it has."""

    @property
    def has_fair(self) -> bool:
        """Whether some of its waiters are kept by other waiters and not by rows alone."""

    def gains_all(self, waiter: Waiter) -> bool:
        """Say whether a waiter's owner holds nothing of what it waits for."""

    def is_in_the_way(self, owner: Owner, waiter: Waiter) -> bool:
        """Say whether this owner keeps a waiter waiting."""

    def in_the_way(self, waiter: Waiter) -> Iterable[Owner]:
        """Iterate over all who keep a waiter waiting; repeats are allowed."""


class WaitGraph:
    """The owners that wait or hold, of all tables that share it."""

    def __init__(self) -> None:
        """Start empty. Set `lapsed` where owners belong to sessions: who has lapsed is granted nothing (B13)."""
        self.lapsed: Callable[[Owner], bool] = lambda _owner: False
        self._waits: dict[Owner, dict[tuple[Table, int], Waiter]] = {}
        self._holds: dict[Owner, int] = {}

    def hold(self, owner: Owner) -> None:
        """Note that an owner holds something on one more key."""
        self._holds[owner] = self._holds.get(owner, 0) + 1

    def let_go(self, owner: Owner) -> None:
        """Note that an owner holds something on one key less."""
        left = self._holds.pop(owner) - 1
        if left:
            self._holds[owner] = left

    def wait(self, table: Table, waiter: Waiter) -> None:
        """Note that somebody waits."""
        self._waits.setdefault(waiter.owner, {})[table, waiter.ticket] = waiter

    def wait_no_more(self, table: Table, waiter: Waiter) -> None:
        """Note that somebody waits no more."""
        mine = self._waits[waiter.owner]
        del mine[table, waiter.ticket]
        if not mine:
            del self._waits[waiter.owner]

    def waits_of(self, owner: Owner) -> list[tuple[Table, Waiter]]:
        """Return what an owner waits for."""
        return [(table, waiter) for (table, _), waiter in self._waits.get(owner, {}).items()]

    def would_never_end(self, table: Table, waiter: Waiter) -> bool:
        """Say whether this wait, in the queue already or not yet, closes a circle (D1)."""
        me = waiter.owner
        if me not in self._holds and me not in self._waits:
            return False  # nobody can wait for it
        search = _Search(self._waits)
        search.visit(table, waiter)
        while search.todo:
            table, waiter = search.todo.pop()
            if table.is_in_the_way(me, waiter):
                return True
            search.visit(table, waiter)
        return False

    def stuck(self, owner: Owner) -> list[tuple[Table, Waiter]]:
        """Return an owner's waits that would never end.

        To be asked when an owner that waits has been granted something else
        meanwhile (several operations under way, or a migration): that is the
        one way in which a circle closes without anybody beginning to wait.
        """
        return [each for each in self.waits_of(owner) if self.would_never_end(*each)]


class _Search:
    """What one search has seen."""

    def __init__(self, waits: dict[Owner, dict[tuple[Table, int], Waiter]]) -> None:
        self.waits = waits
        self.unseen = dict.fromkeys(waits)
        self.todo: list[tuple[Table, Waiter]] = []
        self._searched: dict[tuple[Table, bool], list[Waiter]] = {}

    def visit(self, table: Table, waiter: Waiter) -> None:
        """Add all waiters that this one waits for, and that nobody else has waited for so far."""
        self.unseen.pop(waiter.owner, None)
        if not self.unseen or self._known(table, waiter):
            return
        if len(self.unseen) <= len(table):
            found = [owner for owner in self.unseen if table.is_in_the_way(owner, waiter)]
        else:
            found = [owner for owner in dict.fromkeys(table.in_the_way(waiter)) if owner in self.unseen]
        for owner in found:
            del self.unseen[owner]
            self.todo += [(table, waiter) for (table, _), waiter in self.waits[owner].items()]

    def _known(self, table: Table, waiter: Waiter) -> bool:
        """Say whether all in the way of a waiter were found in the way of another; note it otherwise.

        Where waiters stand in each other's way, the other must have come
        later, and not be less strict.
        """
        fair = waiter.fair or table.has_fair
        seen = self._searched.setdefault((table, waiter.kind is Kind.WRITE), [])
        for other in seen:
            stricter = not fair or (other.ticket >= waiter.ticket and other.fair >= waiter.fair)
            if stricter and other.start <= waiter.start and waiter.end <= other.end:
                return True
        if not fair or table.gains_all(waiter):
            seen.append(waiter)
        return False
