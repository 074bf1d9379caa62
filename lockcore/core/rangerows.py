"""What is held on one key: rows by owner, and by kind for the search for what is in the way.

`plan` says what a request would do to its owner's rows, `replace` does it:
nothing changes before everything has been decided.

Invariants
  B2  Rows of one owner never overlap; those of one kind never touch: as the
      kernel splits and merges them.
  B3  A row's fence is above those of all conflicting rows ever granted
      before, and what is only kept or weakened keeps its fence.
Elsewhere: who may have what (ranges), the trees (spantree).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lockcore.core.rangerecords import OFFSET_MAX, Kind, Owner, Row, Span
from lockcore.core.spantree import build, first_of_others, insert, items, overlapping, remove, size_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lockcore.core.spantree import Key, Tree


@dataclass(frozen=True, slots=True)
class Plan:
    """What a request does to its owner's rows. `row`: what then covers it; `freed`: bytes on which others gain."""

    removed: tuple[Row, ...]
    added: tuple[Row, ...]
    row: Row | None
    freed: Span | None

    @property
    def growth(self) -> int:
        """How many rows there are more afterwards."""
        return len(self.added) - len(self.removed)


class HeldRows:
    """The rows of one key."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        """Build from rows in any order."""
        ordered = sorted(rows, key=_by_start)
        self._reads: Tree[Row] = build([(_by_start(r), r) for r in ordered if r.kind is Kind.READ])
        self._writes: Tree[Row] = build([(_by_start(r), r) for r in ordered if r.kind is Kind.WRITE])
        self._owned: dict[Owner, Tree[Row]] = {}
        self._names: dict[tuple[str, int], dict[str, None]] = {}
        own: dict[Owner, list[tuple[Key, Row]]] = {}
        for row in ordered:
            own.setdefault(row.owner, []).append(((row.start, 0), row))
        for owner, rows_of_one in own.items():
            self._own(owner, build(rows_of_one))

    def __len__(self) -> int:
        """Return how many rows are held."""
        return size_of(self._reads) + size_of(self._writes)

    def __iter__(self) -> Iterator[Row]:
        """Iterate by (start, owner)."""
        return iter(sorted([*items(self._reads), *items(self._writes)], key=_by_start))

    # --- questions -----------------------------------------------------------------------

    def owners(self) -> Iterable[Owner]:
        """Return who holds something."""
        return self._owned.keys()

    def owners_of(self, session: str, incarnation: int) -> list[Owner]:
        """Return which owners of a session hold something."""
        return [Owner(session, incarnation, name) for name in self._names.get((session, incarnation), ())]

    def holds(self, owner: Owner) -> bool:
        """Say whether an owner holds anything."""
        return owner in self._owned

    def of(self, owner: Owner, start: int = 0, end: int = OFFSET_MAX) -> list[Row]:
        """Return an owner's rows with a byte in [start, end], in order."""
        return overlapping(self._owned.get(owner), start, end)

    def conflict(self, owner: Owner, kind: Kind, start: int, end: int) -> Row | None:
        """Return the row in an owner's way with the lowest start (then the lowest owner)."""
        write = first_of_others(self._writes, start, end, owner)
        if kind is Kind.READ:
            return write
        read = first_of_others(self._reads, start, end, owner)
        if read is None or write is None:
            return read or write
        return min(read, write, key=_by_start)

    def conflicts(self, owner: Owner, kind: Kind, start: int, end: int) -> Iterator[Row]:
        """Iterate over all rows in an owner's way."""
        trees = (self._writes,) if kind is Kind.READ else (self._writes, self._reads)
        return (row for tree in trees for row in overlapping(tree, start, end) if row.owner != owner)

    def stands_against(self, owner: Owner, kind: Kind, start: int, end: int) -> bool:
        """Say whether this owner's rows are in the way of another's request."""
        return any(row.kind is Kind.WRITE or kind is Kind.WRITE for row in self.of(owner, start, end))

    def gained(self, owner: Owner, kind: Kind, start: int, end: int) -> list[Span]:
        """Return the bytes of [start, end] that an owner does not hold, or not as strongly."""
        gaps, at = [], start
        for row in self.of(owner, start, end):
            if kind is Kind.WRITE and row.kind is Kind.READ:
                continue
            if row.start > at:
                gaps.append(Span(at, row.start - 1))
            at = row.end + 1
        if at <= end:
            gaps.append(Span(at, end))
        return gaps

    def plan(self, owner: Owner, kind: Kind | None, start: int, end: int, fence: int) -> Plan:
        """Say what holding [start, end] as `kind` does; None lets go of it.

        Args:
            owner: whose rows they are.
            kind: None unlocks.
            start: first byte.
            end: last byte.
            fence: what a row gets if its owner gains anything by it.
        Source: posix_lock_inode() in Linux's fs/locks.c; invariants B2, B3.
        """
        near = self._near(owner, start, end)
        removed: list[Row] = []
        added: list[Row] = []
        freed: list[Span] = []
        low, high, kept = start, end, 0
        for row in near:
            if row.kind is kind:
                low, high = min(low, row.start), max(high, row.end)
                removed.append(row)
            elif row.start <= end and row.end >= start:
                removed.append(row)
                added += _outside(row, start, end)
                if row.kind is Kind.WRITE or kind is None:
                    freed.append(Span(max(row.start, start), min(row.end, end)))
            else:
                continue
            kept = max(kept, row.fence)
        hull = Span(freed[0].start, freed[-1].end) if freed else None
        if kind is None:
            return Plan(tuple(removed), tuple(added), None, hull)
        whole = Row(owner, kind, low, high, max(fence, kept) if self.gained(owner, kind, start, end) else kept)
        if removed == [whole]:
            return Plan((), (), whole, None)
        return Plan(tuple(removed), (*added, whole), whole, hull)

    def absorb(self, piece: Row) -> Plan:
        """Say what taking over a piece does, which its owner's rows do not contradict. Its fence is kept."""
        plan = self.plan(piece.owner, piece.kind, piece.start, piece.end, piece.fence)
        if plan.row is None or plan.row.fence >= piece.fence:
            return plan
        newer = replace(plan.row, fence=piece.fence)
        return replace(plan, removed=plan.removed or (plan.row,), added=(*plan.added[:-1], newer), row=newer)

    # --- changes ---------------------------------------------------------------------------

    def replace(self, removed: Iterable[Row], added: Iterable[Row]) -> None:
        """Take rows out and put others in.

        Raises:
            KeyError: one to be taken out is not there.
        """
        new = {(row.owner, row.start): row for row in added}
        for row in removed:
            heir = new.get((row.owner, row.start))
            if heir is None:
                self._disown(row)
            if heir is None or heir.kind is not row.kind:  # otherwise the insertion below replaces it
                if row.kind is Kind.READ:
                    self._reads = remove(self._reads, _by_start(row))
                else:
                    self._writes = remove(self._writes, _by_start(row))
        for row in new.values():
            self._own(row.owner, insert(self._owned.get(row.owner), (row.start, 0), row))
            if row.kind is Kind.READ:
                self._reads = insert(self._reads, _by_start(row), row)
            else:
                self._writes = insert(self._writes, _by_start(row), row)

    def _near(self, owner: Owner, start: int, end: int) -> list[Row]:
        """Return an owner's rows that overlap a range or touch it."""
        return self.of(owner, max(start - 1, 0), min(end + 1, OFFSET_MAX))

    def _own(self, owner: Owner, tree: Tree[Row]) -> None:
        if owner not in self._owned:
            self._names.setdefault((owner.session, owner.incarnation), {})[owner.lock_owner] = None
        self._owned[owner] = tree

    def _disown(self, row: Row) -> None:
        owner = row.owner
        tree = remove(self._owned[owner], (row.start, 0))
        if tree is not None:
            self._owned[owner] = tree
            return
        del self._owned[owner]
        session = (owner.session, owner.incarnation)
        del self._names[session][owner.lock_owner]
        if not self._names[session]:
            del self._names[session]


def _by_start(row: Row) -> Key:
    return row.start, row.owner


def _outside(row: Row, start: int, end: int) -> Iterator[Row]:
    """Yield what is left of a row without [start, end]."""
    if row.start < start:
        yield replace(row, end=start - 1)
    if row.end > end:
        yield replace(row, start=end + 1)
