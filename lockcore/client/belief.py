"""What a session believes to hold: a model without clock or socket, fed by operations and their answers.

Each node's keep-alive says what it holds of the session, as a digest; this
model says what that should be. Where they differ, the node is asked for its
list and `differences` says what to do: claim what is missing, let go of what
nobody believes in.

Invariants
  N1  What an unlock was begun for, or a downgrade, is believed no longer,
      unless it was refused.
  N2  Nothing follows from a difference in a key of which an operation is
      under way, or was since the list was asked for.
  N3  After an outcome that nobody knows the node's word counts for what it
      has: nothing of it is let go of. What was believed before is claimed.
Elsewhere: asking (healer), the nodes' side (lockcore.core.healing).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lockcore.core.digest import MODULUS, Digest, lock_mark, piece_mark
from lockcore.core.operations import (
    ClearRange,
    Granted,
    HeldRange,
    Lock,
    Move,
    MoveRanges,
    RangeDenied,
    RangeLocked,
    Refused,
    SetRange,
    Unlock,
)
from lockcore.core.rangerecords import OFFSET_MAX, Denied, Kind, Owner, Row, Span
from lockcore.core.rangerows import HeldRows
from lockcore.core.rangespan import span_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lockcore.core.operations import Holdings, Operation, Result
    from lockcore.core.view import View

NOTHING = (0, 0, 0)
Tally = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class BelievedLock:
    """A named lock: how it was got, and what proves it."""

    generation: int
    token: str
    op_id: int
    owner: str


@dataclass(slots=True)
class Differences:
    """What believing and a node's list do not share: extra locks by op_id, pieces as those bytes only."""

    missing_locks: list[tuple[str, BelievedLock]] = field(default_factory=list)
    extra_locks: list[tuple[str, int]] = field(default_factory=list)
    missing_pieces: list[tuple[str, Row]] = field(default_factory=list)
    extra_pieces: list[tuple[str, Row]] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Say whether there are any."""
        return bool(self.missing_locks or self.extra_locks or self.missing_pieces or self.extra_pieces)


class Belief:
    """One session's model."""

    def __init__(self) -> None:
        """Believe in nothing."""
        self.stamp = 0
        self._locks: dict[str, BelievedLock] = {}
        self._rows: dict[str, HeldRows] = {}
        self._busy: dict[str, int] = {}
        self._trusted: set[str] = set()
        self._touched: set[str] = set()
        self._tallies: dict[str, Tally] = {}
        self._view = 0
        self._home: dict[str, str] = {}
        self._at: dict[str, Tally] = {}

    # --- what operations do ---------------------------------------------------------------

    def begin(self, operation: Operation) -> Operation:
        """Note that an operation is under way; return it with what a node may need to carry it out."""
        if not _changes(operation):
            return operation
        self._busy[operation.key] = self._busy.get(operation.key, 0) + 1
        self._touch(operation.key)
        known = self._locks.get(operation.key)
        if isinstance(operation, Unlock) and known is not None and operation.op_id in {0, known.op_id}:
            del self._locks[operation.key]  # N1
            self._count(operation.key)
            return replace(operation, token=known.token)
        return operation

    def finish(self, operation: Operation, result: Result | None) -> None:
        """Take an answer; None: nobody knows what happened."""
        if not _changes(operation):
            return
        key = operation.key
        self._busy[key] -= 1
        if not self._busy[key]:
            del self._busy[key]
        self._touch(key)
        match operation, result:
            case ((Lock() | Move()), Granted()):
                self._locks[key] = BelievedLock(result.generation, result.token, operation.op_id, result.owner)
            case SetRange(), RangeLocked():
                self._absorb(key, map(_row, result.pieces))
            case MoveRanges(), RangeLocked():
                self._absorb(key, map(_row, result.pieces))
                if operation.gaps:
                    self._trusted.add(key)  # the gaps are not told
            case ClearRange(wanted=0), _ if not isinstance(result, Refused | RangeDenied):
                self._let_go(key, operation)
            case SetRange(), None:
                self._weaken(key, operation)
                self._trusted.add(key)
            case MoveRanges(), None:
                self._trusted.add(key)
        self._count(key)

    def keep_lock(self, key: str, lock: BelievedLock, token: str) -> None:
        """Take the token of a lock that came back."""
        if self._locks.get(key) == lock:
            self._locks[key] = replace(lock, token=token)

    def lose_lock(self, key: str, lock: BelievedLock) -> bool:
        """Believe in a named lock no more; False where it was let go of meanwhile."""
        if self._locks.get(key) != lock:
            return False
        del self._locks[key]
        self._count(key)
        return True

    def lose_piece(self, key: str, piece: Row) -> list[HeldRange]:
        """Believe in some bytes no more; return what was believed of them still."""
        rows = self._rows.get(key)
        found = [] if rows is None else rows.of(piece.owner, piece.start, piece.end)
        inside = [replace(r, start=max(r.start, piece.start), end=min(r.end, piece.end)) for r in found]
        lost = [row for row in inside if row.kind is piece.kind and row.fence == piece.fence]
        for row in lost:
            self._drop(key, row.owner, row.start, row.end)
        self._count(key)
        return [_piece(row) for row in lost]

    def pieces(self, key: str) -> list[HeldRange]:
        """Return the pieces of a key."""
        return [_piece(row) for row in self._rows.get(key, ())]

    def _absorb(self, key: str, pieces: Iterable[Row]) -> None:
        rows = self._rows.setdefault(key, HeldRows())
        for piece in pieces:
            plan = rows.absorb(piece)
            rows.replace(plan.removed, plan.added)

    def _weaken(self, key: str, operation: SetRange) -> None:
        """Believe no more in writing where reading alone was asked for: it may have been done (N1)."""
        span, rows = span_of(operation.start, operation.length), self._rows.get(key)
        if rows is None or isinstance(span, Denied) or operation.kind is Kind.WRITE:
            return
        for row in rows.of(_owner(operation.lock_owner), *span):
            if row.kind is Kind.WRITE:
                start, end = max(row.start, span.start), min(row.end, span.end)
                plan = rows.plan(row.owner, Kind.READ, start, end, row.fence)
                rows.replace(plan.removed, plan.added)

    def _let_go(self, key: str, operation: ClearRange) -> None:
        span = span_of(operation.start, operation.length)
        if not isinstance(span, Denied):
            self._drop(key, _owner(operation.lock_owner), span.start, span.end)

    def _drop(self, key: str, owner: Owner, start: int, end: int) -> None:
        rows = self._rows.get(key)
        if rows is not None:
            plan = rows.plan(owner, None, start, end, 0)
            rows.replace(plan.removed, plan.added)
            if not len(rows):
                del self._rows[key]

    def _touch(self, key: str) -> None:
        self.stamp += 1
        self._touched.add(key)

    # --- digests --------------------------------------------------------------------------

    def nodes(self, view: View) -> dict[str, Digest]:
        """Return, for each node that is primary of something believed, what its digest has to be."""
        if view.number != self._view:
            self._view, self._home, self._at = view.number, {}, {}
            for key, tally in self._tallies.items():
                home = self._home[key] = view.ring.primary(key) or ""
                self._add(home, tally, 1)
        for key in self._tallies.keys() - self._home.keys():
            home = self._home[key] = view.ring.primary(key) or ""
            self._add(home, self._tallies[key], 1)
        return {a: Digest(view.number, t[0], t[1], t[2] % MODULUS) for a, t in self._at.items() if a and (t[0] or t[1])}

    def _count(self, key: str) -> None:
        """Bring the sums up to date after a key has changed."""
        home = self._home.pop(key, None)
        if home is not None:
            self._add(home, self._tallies[key], -1)
        lock = self._locks.get(key)
        rows = self._rows.get(key, ())
        marks = [] if lock is None else [lock_mark(key, lock.generation)]
        marks += [piece_mark(key, r.owner.lock_owner, r.kind, r.start, r.length, r.fence) for r in rows]
        if marks:
            self._tallies[key] = (int(lock is not None), len(rows), sum(marks))
        else:
            self._tallies.pop(key, None)

    def _add(self, address: str, tally: Tally, sign: int) -> None:
        at = self._at.get(address, NOTHING)
        self._at[address] = (at[0] + sign * tally[0], at[1] + sign * tally[1], at[2] + sign * tally[2])

    # --- differences ------------------------------------------------------------------------

    def watch(self) -> None:
        """Note which keys are touched from now on; a list is being asked for."""
        self._touched.clear()

    def is_quiet(self, key: str) -> bool:
        """Say whether no operation on a key is under way, or was since `watch` (N2)."""
        return key not in self._touched and key not in self._busy

    def differences(self, view: View, address: str, held: Holdings) -> Differences:
        """Compare with a node's list that was asked for after `watch`."""
        found = Differences()
        locks = {key: (generation, op) for (key, generation), op in zip(held.locks, held.op_ids, strict=True)}
        rows: dict[str, list[Row]] = {}
        for key, piece in held.ranges:
            rows.setdefault(key, []).append(_row(piece))
        mine = {key for key in self._tallies if view.ring.primary(key) == address}
        for key in sorted(mine | locks.keys() | rows.keys()):
            if not self.is_quiet(key):
                continue
            if key in self._trusted:
                self._trust(key, rows.get(key, []))
            lock = self._locks.get(key)
            there = locks.get(key)
            if lock is not None and (there is None or there[0] != lock.generation):
                found.missing_locks.append((key, lock))
            elif lock is None and there is not None:
                found.extra_locks.append((key, there[1]))
            self._compare_rows(found, key, rows.get(key, []))
        return found

    def _trust(self, key: str, there: list[Row]) -> None:
        """Take the node's word for what it has (N3)."""
        self._trusted.discard(key)
        if there:
            self._absorb(key, there)
            self._count(key)

    def _compare_rows(self, found: Differences, key: str, there: list[Row]) -> None:
        here = list(self._rows.get(key, ()))
        missing = [gap for row in here for gap in _without(row, there, row.fence)]
        extra = [gap for row in there for gap in _without(row, here, 0)]
        found.missing_pieces += [(key, gap) for gap in missing]
        found.extra_pieces += [(key, gap) for gap in extra]
        if not missing and not extra and here:
            self._trust(key, there)  # its fences are newer


def _changes(operation: Operation) -> bool:
    """Say whether it may change what is held; claims of the healer only say again what is."""
    match operation:
        case Lock(token=token):
            return not token
        case SetRange(held_fence=fence):
            return not fence
        case Unlock() | Move() | ClearRange() | MoveRanges():
            return True
    return False


def _without(row: Row, others: list[Row], fence: int) -> Iterator[Row]:
    """Yield what of a row none of the others, of its owner and kind and at least that fence, covers."""
    at = row.start
    for other in sorted(others, key=lambda o: o.start):
        if (other.owner, other.kind) != (row.owner, row.kind) or other.fence < fence:
            continue
        if other.end < at or other.start > row.end:
            continue
        if other.start > at:
            yield replace(row, start=at, end=other.start - 1)
        at = other.end + 1
    if at <= row.end:
        yield replace(row, start=at)


def _owner(lock_owner: str) -> Owner:
    return Owner("", 0, lock_owner)


def _row(piece: HeldRange) -> Row:
    end = piece.start + piece.length - 1 if piece.length else OFFSET_MAX
    return Row(_owner(piece.lock_owner), Kind(piece.kind), piece.start, end, piece.fence)


def _piece(row: Row) -> HeldRange:
    return HeldRange("", "", row.owner.lock_owner, row.kind, row.start, Span(row.start, row.end).length, row.fence)
