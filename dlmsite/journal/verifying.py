"""Looks for breaks in the chain: which row was changed, removed or inserted.

Reads the rows in the order of ids, a chunk at a time, beside a recorder that goes on writing: what is recorded after it
began is left to the next look.

What a break means is found by looking at the rows behind it:

    next place, wrong seal                        changed
    ... and a later row goes on from before it    inserted, as are all up to that row
    a place that is too high                      removed: those between
    no place, or a place that was had already     inserted
    the last place is below the head              removed: the last ones

Invariants
  V1  Memory is bounded: CHUNK_ROWS rows, and FINDINGS_MAX findings; further ones are counted.
  V2  What cannot be checked is counted: rows older than the chain, and a row behind removed ones, whose seal depends on
      what is gone.
Elsewhere: sealing (chain), the command (management/commands/audit.py).
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from dlmsite.journal.chain import EVENT_COLUMNS, NO_SEAL, seal_of
from dlmsite.journal.models import Chain, LockEvent

CHUNK_ROWS: Final = 5_000
FINDINGS_MAX: Final = 100
LOOK_AHEAD_ROWS: Final = 1_000
"""Behind a break, the row that goes on is looked for among so many; a longer run of inserted rows is told otherwise."""
_KIND: Final = EVENT_COLUMNS.index("kind")
_KEY: Final = EVENT_COLUMNS.index("key")


@dataclass(frozen=True, slots=True)
class Finding:
    """One break.

    Attributes:
        what: "changed", "removed", "inserted", or "chain" where the chain's own row is at fault.
        row_id: of the row; of removed rows, of the first one that is left behind them (0: none is).
        key: of the row; of what was removed nobody knows it.
        kind: same.
    """

    what: str
    row_id: int
    text: str
    key: str = ""
    kind: str = ""


@dataclass(slots=True)
class Report:
    """What came of a look.

    Attributes:
        checked: rows whose seal was computed again.
        older: rows from before the chain began: nothing is known of them.
        unchecked: rows behind removed ones.
        pruned: rows that retention has removed, from the beginning.
        head: place and seal (hexadecimal) of the newest row when it began.
        found: the first FINDINGS_MAX of `breaks`.
    """

    checked: int = 0
    older: int = 0
    unchecked: int = 0
    pruned: int = 0
    head: tuple[int, str] = (0, "")
    breaks: int = 0
    found: list[Finding] = field(default_factory=list)

    def note(self, finding: Finding) -> None:
        """Add a finding."""
        self.breaks += 1
        if len(self.found) < FINDINGS_MAX:
            self.found.append(finding)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A row as it is checked."""

    row_id: int
    place: int | None
    seal: bytes
    values: tuple[Any, ...]

    @property
    def key(self) -> str:
        """The key of the lock."""
        return str(self.values[_KEY])

    @property
    def kind(self) -> str:
        """The kind of the event."""
        return str(self.values[_KIND])

    def follows(self, place: int, seals: Sequence[bytes]) -> bool:
        """Say whether it is the row behind the one with this place and one of these seals."""
        return self.place == place + 1 and any(seal_of(seal, place + 1, self.values) == self.seal for seal in seals)


def verify(expected: tuple[int, str] | None = None) -> Report:
    """Check every row that is sealed now.

    Args:
        expected: place and seal (hexadecimal) that were noted earlier, to be found again.
    """
    chain = Chain.objects.filter(pk=1).first()
    if chain is None:
        return _without_chain()
    report = Report(pruned=chain.anchor_place, head=(chain.head_place, bytes(chain.head_seal).hex()))
    walk = _Walk(chain, report, expected)
    walk.all()
    return report


def verify_span(first_id: int, last_id: int, rows_max: int) -> Report:
    """Check the rows from one id to another against the row before them; in short, without telling what a break means.

    Args:
        first_id: of the first row.
        last_id: of the last row; `unchecked` says how many places lie between it and the row where the look ended.
        rows_max: rows that are looked at.
    """
    report = Report()
    chain = Chain.objects.filter(pk=1).first()
    if chain is None:
        return report
    report.head = (chain.head_place, bytes(chain.head_seal).hex())
    before = LockEvent.objects.filter(id__lt=first_id, place__isnull=False).order_by("-id").first()
    place, seal = (
        (before.place or 0, bytes(before.seal or NO_SEAL))
        if before is not None
        else (chain.anchor_place, bytes(chain.anchor_seal))
    )
    for row in islice(_rows(last_id, first_id - 1), rows_max):
        if row.place is None and row.row_id <= chain.unsealed_through_id:
            report.older += 1
            continue
        if not row.follows(place, [seal]):
            text = f"row {row.row_id} ({row.kind} {row.key!r}) is not what the row before it was followed by"
            report.note(Finding("changed", row.row_id, text, row.key, row.kind))
        report.checked += 1
        place, seal = row.place or place + 1, row.seal
    last = LockEvent.objects.filter(id__lte=last_id, place__isnull=False).order_by("-id").first()
    report.unchecked = max(0, (last.place or 0) - place) if last is not None else 0
    return report


def _without_chain() -> Report:
    sealed = LockEvent.objects.filter(place__isnull=False).exists()
    report = Report(older=0 if sealed else LockEvent.objects.count())
    if sealed:
        report.note(Finding("chain", 0, "the row that says where the chain begins and ends was removed"))
    return report


class _Walk:
    """One look at all rows."""

    def __init__(self, chain: Chain, report: Report, expected: tuple[int, str] | None) -> None:
        self._chain = chain
        self._report = report
        self._expected = expected
        self._place = chain.anchor_place
        self._seals: list[bytes] = [bytes(chain.anchor_seal)]
        self._rows = _rows(chain.head_id)
        self._ahead: deque[Sealed] = deque()

    def all(self) -> None:
        while (row := self._next()) is not None:
            self._one(row)
        self._end()

    def _next(self) -> Sealed | None:
        return self._ahead.popleft() if self._ahead else next(self._rows, None)

    def _one(self, row: Sealed) -> None:
        if row.place is None and row.row_id <= self._chain.unsealed_through_id:
            self._report.older += 1
        elif row.follows(self._place, self._seals):
            self._go_on(row)
        elif self._continued_behind() or row.place is None or row.place <= self._place:
            self._tell("inserted", row, "does not belong to the chain")
        elif row.place == self._place + 1:
            self._tell("changed", row, "is not what was recorded")
            # Whether its values were changed or its seal, the next row tells: either may be what it is sealed upon.
            self._go_on(row, seal_of(self._seals[0], row.place, row.values))
        else:
            self._hole(row, row.place)

    def _go_on(self, row: Sealed, other_seal: bytes | None = None) -> None:
        self._report.checked += 1
        self._place += 1
        self._seals = [row.seal] if other_seal is None else [row.seal, other_seal]
        if self._expected is not None and self._expected[0] == self._place and self._expected[1] != row.seal.hex():
            self._tell("chain", row, "has another seal than the one that was noted: the chain was made anew")

    def _continued_behind(self) -> bool:
        """Say whether a later row goes on from before this break."""
        missing = LOOK_AHEAD_ROWS - len(self._ahead)
        self._ahead.extend(islice(self._rows, max(0, missing)))
        return any(later.follows(self._place, self._seals) for later in islice(self._ahead, LOOK_AHEAD_ROWS))

    def _hole(self, row: Sealed, place: int) -> None:
        fresh = Chain.objects.filter(pk=1).values_list("anchor_place", "anchor_seal").first()
        if fresh is not None and fresh[0] >= place - 1 > self._chain.anchor_place:  # retention was here meanwhile
            self._place, self._seals = fresh[0], [bytes(fresh[1])]
            self._report.pruned = fresh[0]
            if row.follows(self._place, self._seals):
                self._go_on(row)
            return
        count = place - self._place - 1
        which, was = (f"{count:,} rows", "were") if count > 1 else ("a row", "was")
        text = f"{which} before row {row.row_id} ({row.kind} {row.key!r}) {was} removed: place {self._place + 1}"
        self._report.note(
            Finding("removed", row.row_id, text + (f" to {place - 1}" if count > 1 else ""), row.key, row.kind)
        )
        self._report.unchecked += 1
        self._place, self._seals = place, [row.seal]

    def _end(self) -> None:
        chain = self._chain
        if self._place < chain.head_place:
            count = chain.head_place - self._place
            text = f"the last {count:,} rows were removed: place {self._place + 1} to {chain.head_place}"
            self._report.note(Finding("removed", 0, text))
        elif bytes(chain.head_seal) not in self._seals:
            self._report.note(Finding("chain", 0, "the head of the chain was changed"))
        if self._expected is not None and not chain.anchor_place < self._expected[0] <= self._place:
            text = f"place {self._expected[0]}, that was noted, is not among the rows that are left"
            self._report.note(Finding("chain", 0, text))

    def _tell(self, what: str, row: Sealed, text: str) -> None:
        found = Finding(what, row.row_id, f"row {row.row_id} ({row.kind} {row.key!r}) {text}", row.key, row.kind)
        self._report.note(found)


def _rows(through_id: int, after_id: int = 0) -> Iterator[Sealed]:
    """Yield rows in the order of ids, each chunk in a query of its own, so that no transaction lasts."""
    last = after_id
    query = LockEvent.objects.order_by("id").values_list("id", "place", "seal", *EVENT_COLUMNS)
    while chunk := list(query.filter(id__gt=last, id__lte=through_id)[:CHUNK_ROWS]):
        for pk, place, seal, *values in chunk:
            yield Sealed(pk, place, bytes(seal or NO_SEAL), tuple(values))
        last = chunk[-1][0]
