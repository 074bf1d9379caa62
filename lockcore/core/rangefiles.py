"""The byte ranges that one node knows, key by key, as primary or as copy.

A `RangeFile` is to ranges what a `Lease` is to a named lock: the unit that is
ordered, replicated, handed over and promoted. It may be large, so a peer that
has followed is sent what changed, not all.

Its `key` is not the user's (`name`) but one that no user can have: both kinds
of locks share the desk, the links and the index of sessions, and never meet.

Invariants
  Z1  A change is applied only on the state that it was made on; whoever has
      another one is told all.
  Z2  What is taken back leaves the file as it was before.
Elsewhere: the rules of ranges (ranges), serving them (ranging).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from lockcore.core.limits import (
    FILE_ANSWERS_KEPT,
    FILE_DELTAS_KEPT,
    FILE_ROWS_PER_BATCH,
    NS_PER_MS,
    TOMBSTONE_MARGIN_MS,
)
from lockcore.core.operations import SessionId
from lockcore.core.peering import FileAnswer, FileRecord, Outcome
from lockcore.core.rangerecords import Delta
from lockcore.core.ranges import RangeTable
from lockcore.core.ring import position_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lockcore.core.rangerecords import Owner, Step, Waiter
    from lockcore.core.sessions import SessionTable
    from lockcore.core.waitgraph import WaitGraph

FILE: Final = "\udcff"
"""No UTF-8 text contains it, so no key of a user does."""

LIGHT: Final = 64
"""Changes of so few rows need not be counted: all that are kept are few."""

Order = tuple[int, int]


def id_of(name: str) -> str:
    """Return under what a key's ranges are known inside."""
    return FILE + name


def is_file(key: str) -> bool:
    """Say whether a key of the inside is one of ranges."""
    return key.startswith(FILE)


def place_of(key: str) -> int:
    """Return the ring position of a key of the inside."""
    return position_of(key.removeprefix(FILE))


@dataclass(frozen=True, slots=True)
class _Change:
    """One step of a file's life, forwards and backwards."""

    before: Order
    after: Order
    delta: Delta
    undo: Delta
    answers: tuple[FileAnswer, ...]


@dataclass(slots=True, eq=False)
class RangeFile:
    """The ranges of one key at one node.

    `serving`, `tenure`: as of a Lease. `idle_ns`: since when it is empty.
    `seen_to`: the last view in which its primary looked after it.
    `tallies`: what sessions hold here as digests count it, at some order.
    """

    name: str
    position: int
    table: RangeTable
    generation: int
    seq: int
    serving: bool = False
    tenure: int = 0
    idle_ns: int = 0
    seen_to: int = 0
    tallies: dict[SessionId, tuple[Order, int, int]] = field(default_factory=dict)
    answers: deque[FileAnswer] = field(default_factory=lambda: deque(maxlen=FILE_ANSWERS_KEPT))
    _log: deque[_Change] = field(default_factory=lambda: deque(maxlen=FILE_DELTAS_KEPT))

    @property
    def key(self) -> str:
        """Its name inside."""
        return id_of(self.name)

    @property
    def order(self) -> Order:
        """Replicas are ordered by it."""
        return self.generation, self.seq

    @property
    def gone(self) -> bool:
        """Say whether nothing is held or waited for."""
        return not self.table

    def live(self, now_ns: int) -> bool:
        """Say whether somebody holds or waits."""
        del now_ns
        return not self.gone

    def answered(self, session: SessionId, op_id: int) -> FileAnswer | None:
        """Return what an operation was answered, if that is still known."""
        return next((a for a in self.answers if a.session == session and a.op_id == op_id), None)

    def commit(self, step: Step, answers: tuple[FileAnswer, ...], before: dict[int, Waiter], now_ns: int) -> None:
        """Number a step that was taken, and remember how to tell it and how to take it back.

        Args:
            step: its delta is already in the table.
            answers: what it answers, the pushed ones too.
            before: the waiters before the step, by ticket.
            now_ns: CLOCK_BOOTTIME.
        """
        was = self.order
        self.seq = max(self.seq + 1, self.tenure)
        self.answers.extend(answers)
        self._log.append(_Change(was, self.order, step.delta, _undo(step.delta, before, now_ns), answers))
        if _weight(step.delta) > LIGHT:
            while len(self._log) > 1 and sum(_weight(change.delta) for change in self._log) > FILE_ROWS_PER_BATCH:
                self._log.popleft()  # whoever is so far behind is told all
        self.idle_ns = 0 if self.table else now_ns

    def take_back(self, order: Order, now_ns: int) -> bool:
        """Be again as before the change that led to `order` (Z2); False where that is not known any more."""
        if all(change.after != order for change in self._log):
            return False
        while self._log:
            change = self._log.pop()
            self.table.apply(change.undo, now_ns=now_ns)
            for _ in change.answers:
                self.answers.pop()
            self.generation, self.seq = change.before
            if change.after == order:
                break
        return True

    # --- as it travels ------------------------------------------------------------------

    def record(self, now_ns: int, sessions: SessionTable, base: Order | None, *, transfer: bool) -> FileRecord:
        """Return what a peer that has `base` needs to be equal; all of it where that is not known."""
        changes = self._since(base)
        if changes is None:
            whole = self.table.to_record(now_ns)
            owners = {row.owner for row in whole.rows} | {waiter.owner for waiter in whole.waiters}
            return FileRecord(
                self.name,
                transfer,
                *self.order,
                whole=whole,
                sessions=_leases(owners, sessions, now_ns),
                answers=tuple(self.answers),
            )
        return FileRecord(
            self.name,
            transfer,
            *self.order,
            base=base,
            deltas=tuple(change.delta for change in changes),
            sessions=_leases(_owners(change.delta for change in changes), sessions, now_ns),
            answers=tuple(answer for change in changes for answer in change.answers),
        )

    def _since(self, base: Order | None) -> list[_Change] | None:
        if base == self.order:
            return []
        found = [i for i, change in enumerate(self._log) if change.before == base]
        return None if base is None or not found else list(self._log)[found[0] :]

    def rows(self) -> int:
        """Return about how much a record of all of it holds."""
        return len(self.table)


def _weight(delta: Delta) -> int:
    return len(delta.added) + len(delta.removed)


def _undo(delta: Delta, before: dict[int, Waiter], now_ns: int) -> Delta:
    changed = [record.ticket for record in delta.queued]
    back = [t for t in (*delta.dequeued, *changed) if t in before]
    return Delta(
        removed=delta.added,
        added=delta.removed,
        queued=tuple(before[t].record(now_ns) for t in back),
        dequeued=tuple(t for t in changed if t not in before),
        floor=delta.floor,
        next_ticket=delta.next_ticket,
    )


def _owners(deltas: Iterable[Delta]) -> set[Owner]:
    found: set[Owner] = set()
    for delta in deltas:
        found.update(row.owner for row in delta.added)
        found.update(waiter.owner for waiter in delta.queued)
    return found


def _leases(owners: set[Owner], sessions: SessionTable, now_ns: int) -> tuple[tuple[SessionId, int], ...]:
    refs = {SessionId(owner.session, owner.incarnation) for owner in owners}
    known = ((ref, sessions.get(ref)) for ref in sorted(refs))
    return tuple((ref, max(0, s.expires_ns - now_ns) if s is not None else 0) for ref, s in known)


class FileTable:
    """All files one node knows."""

    def __init__(self, sessions: SessionTable) -> None:
        """Start empty."""
        self._sessions = sessions
        self._files: dict[str, RangeFile] = {}

    def __len__(self) -> int:
        """Return how many are known."""
        return len(self._files)

    def __iter__(self) -> Iterator[RangeFile]:
        """Iterate over a snapshot."""
        return iter(list(self._files.values()))

    def get(self, key: str) -> RangeFile | None:
        """Return a file by its name inside."""
        return self._files.get(key)

    def create(self, name: str, generation: int, tenure: int, graph: WaitGraph) -> RangeFile:
        """Begin a file as its primary."""
        file = RangeFile(name, position_of(name), RangeTable(graph), generation, 1, serving=True, tenure=tenure)
        self._files[file.key] = file
        return file

    def drop(self, key: str) -> None:
        """Forget a file."""
        file = self._files.pop(key, None)
        if file is not None:
            file.table.close()

    @staticmethod
    def serve(file: RangeFile, graph: WaitGraph) -> None:
        """Put a copy's waits into the node's wait graph."""
        file.table.join(graph)

    @staticmethod
    def demote(file: RangeFile) -> None:
        """Take a file's waits out of the node's wait graph: another node decides now."""
        file.serving = False
        file.table.close()

    def merge(self, record: FileRecord, now_ns: int) -> Outcome:
        """Take over a state that is newer than ours, refuse an older one, or ask for all (Z1)."""
        order = (record.generation, record.seq)
        file = self._files.get(id_of(record.key))
        if file is not None and file.order >= order:
            return Outcome.ACCEPTED if file.order == order else Outcome.STALE
        if record.whole is not None:
            if file is not None:
                self.drop(file.key)
            table = RangeTable.from_record(record.whole, now_ns=now_ns)
            file = RangeFile(record.key, position_of(record.key), table, *order)
            self._files[file.key] = file
            touched = {row.owner for row in record.whole.rows} | {w.owner for w in record.whole.waiters}
        elif file is None or file.order != record.base:
            return Outcome.BEHIND
        else:
            if file.serving:
                self.demote(file)
            for delta in record.deltas:
                file.table.apply(delta, now_ns=now_ns)
            file._log.clear()  # noqa: SLF001 - of the same module
            file.generation, file.seq = order
            touched = _owners(record.deltas)
        file.answers.extend(record.answers)
        file.idle_ns = 0 if file.table else now_ns
        for ref, remaining_ns in record.sessions:
            self._sessions.learn(ref, remaining_ns, now_ns)
        self.index(file, touched)
        return Outcome.ACCEPTED

    def take_back(self, file: RangeFile, order: Order, now_ns: int) -> bool:
        """Let a file be as before a change, or forget it; its sessions have to be cleaned up after again."""
        if not file.take_back(order, now_ns):
            self.drop(file.key)
            return False
        self.index(file, {*file.table.owners(), *(w.owner for w in file.table.waiters())})
        return True

    def index(self, file: RangeFile, owners: Iterable[Owner]) -> None:
        """Have the sessions of these owners know the file."""
        for owner in owners:
            session = self._sessions.get(SessionId(owner.session, owner.incarnation))
            if session is not None:
                session.keys.add(file.key)

    def concerns(self, file: RangeFile, ref: SessionId) -> bool:
        """Say whether a session holds or waits for anything here."""
        mine = (ref.id, ref.incarnation)
        waits = any((w.owner.session, w.owner.incarnation) == mine for w in file.table.waiters())
        return waits or bool(file.table.owners_of(*mine))

    def forget_idle(self, now_ns: int) -> None:
        """Forget files that have been empty for so long that no message about them is on its way."""
        for file in self:
            if file.idle_ns and now_ns >= file.idle_ns + TOMBSTONE_MARGIN_MS * NS_PER_MS:
                self.drop(file.key)
