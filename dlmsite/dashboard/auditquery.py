"""Events that match a filter, page by page: through one index each time, and never more than a bounded part of it.

    filter -> clauses, each of which an index may serve -> the one that matches least leads -> chunks of its rows, in
    the order of ids -> the other clauses are compared in each chunk -> until the page is full, the index is exhausted,
    or the budget is used up: then the page says how far it looked, and the next one goes on from there

A time range is a range of ids (EventSpan), whatever leads.

Invariants
  Q1  Nothing is skipped and nothing comes twice: a page begins where the last one ended, by id, on either side.
  Q2  A request looks at ROWS_MAX rows at most, and begins no chunk after BUDGET_S.
  Q3  SQL holds names of ours only; what people send are parameters.
Elsewhere: what is looked for (auditfilter), as SQL (auditclauses), indexes (dlmsite.journal.models), spans
(dlmsite.journal.chain).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection

from dlmsite.dashboard.auditclauses import Clause, clauses, until_ns
from dlmsite.dashboard.auditfilter import Filter
from dlmsite.journal.chain import SPAN_ROWS
from dlmsite.journal.indexes import POSTGRESQL, head_of
from dlmsite.journal.models import EventSpan, LockEvent

ROWS_MAX: Final = 200_000
BUDGET_S: Final = 0.6
CHUNK_FIRST: Final = 1_000
CHUNK_MAX: Final = 4_000
"""Rows that nobody has read for long come one by one from the disk: so many take a quarter of a second there."""
PROBE_ROWS: Final = 2_000
"""Counted of each clause to see which matches least."""
PREFIX_ROWS_MAX: Final = 100_000
"""More keys' events than this are not sorted by id for each page: the rows themselves are read in their order."""
PREFIX_FETCHED_MAX: Final = 8_000
"""The same on PostgreSQL, which fetches the row of each entry of an index on an expression, and each from elsewhere."""
INTERVALS_MAX: Final = 32
TABLE: Final = '"journal_lockevent"'

Interval = tuple[int, int]
"""First and last id, both included."""


@dataclass(frozen=True, slots=True)
class Page:
    """What was found.

    Attributes:
        rows: newest first if it went back, oldest first if it went on.
        through: id up to which was looked, in the direction of the search; 0 if nothing is there to look at.
        more: there may be more beyond `through`.
        scanned: rows that were looked at.
        newest: the newest id there was when it began.
        cut: the budget was used up before the page was full.
    """

    rows: list[LockEvent]
    through: int
    more: bool
    scanned: int
    newest: int
    cut: bool = False


def page(
    asked: Filter,
    limit: int,
    *,
    before: int | None = None,
    after: int | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Page:
    """Return the newest matching events below the id `before`, or the oldest above the id `after`.

    Args:
        asked: what they have to be.
        limit: how many at most.
        before: an id; None: from the newest on.
        after: an id; goes in the order of ids, if it is not None.
        clock: for the budget, in seconds.
    """
    down = after is None
    # Looked up first, so that "through" is never beyond what was there to be seen.
    newest = LockEvent.objects.order_by("-id").values_list("id", flat=True).first() or 0
    low = 1 if after is None else after + 1
    high = newest if before is None else min(before - 1, newest)
    wanted = clauses(asked)
    intervals = _intervals(asked, *_narrowed(wanted, low, high))
    search = _Search(wanted, limit, down=down, deadline=clock() + BUDGET_S, clock=clock)
    for first, last in reversed(intervals) if down else intervals:
        if not search.look(first, last):
            break
    return search.result(low if down else max(high, low - 1), newest)


def ends() -> tuple[LockEvent, LockEvent] | None:
    """Return the oldest and the newest event that is kept."""
    rows = LockEvent.objects.order_by("id")
    first, last = rows.first(), rows.last()
    return (first, last) if first and last else None


def _narrowed(wanted: Sequence[Clause], low: int, high: int) -> Interval:
    """Return the part of a range of ids in which each index has something: a view or a session was at one time only."""
    leads = [clause for clause in wanted if clause.leads]
    if len(leads) > 1:  # of a single one, its index is read anyway
        for clause in leads:
            if clause.ordered:
                ends = [end for branch in clause.branches or (clause,) for end in _ends(branch, low, high)]
                low, high = min(ends, default=1), max(ends, default=0)
    return low, high


def _ends(clause: Clause, low: int, high: int) -> list[int]:
    """Return the first and the last id that an index has in a range; nothing where it has none."""
    which = f"SELECT id FROM {TABLE} WHERE {clause.sql} AND id BETWEEN %s AND %s"  # noqa: S608 - Q3
    ends = [_run(f"{which} ORDER BY id {order} LIMIT 1", [*clause.values, low, high]) for order in ("ASC", "DESC")]
    return [number for rows in ends for (number,) in rows]


def _intervals(asked: Filter, low: int, high: int) -> list[Interval]:
    """Return ranges of ids, ascending, outside of which no event has a time that is asked for."""
    if asked.from_ns is None and asked.to_ns is None:
        return [(low, high)] if low <= high else []
    spans = EventSpan.objects.filter(max_ns__gte=asked.from_ns or 0, min_ns__lte=until_ns(asked))
    blocks = spans.filter(block__gte=low // SPAN_ROWS, block__lte=high // SPAN_ROWS).order_by("block")
    whole = [(block * SPAN_ROWS, (block + 1) * SPAN_ROWS - 1) for block in blocks.values_list("block", flat=True)]
    gap = 1
    while len(merged := list(_merge(whole, gap))) > INTERVALS_MAX:
        gap *= 2
    return [(max(first, low), min(last, high)) for first, last in merged]


def _merge(intervals: Sequence[Interval], gap_blocks: int) -> Iterator[Interval]:
    current: Interval | None = None
    for first, last in intervals:
        if current is None:
            current = (first, last)
        elif first - current[1] <= gap_blocks * SPAN_ROWS - SPAN_ROWS + 1:
            current = (current[0], last)
        else:
            yield current
            current = (first, last)
    if current is not None:
        yield current


class _Search:
    """One page in the making."""

    def __init__(
        self, wanted: list[Clause], limit: int, *, down: bool, deadline: float, clock: Callable[[], float]
    ) -> None:
        self._wanted = wanted
        self._limit = limit
        self._down = down
        self._deadline = deadline
        self._clock = clock
        self._lead: Clause | None = None
        self._rows: list[LockEvent] = []
        self._scanned = 0
        self._through = 0
        self._more = False
        self._cut = False

    def look(self, first: int, last: int) -> bool:
        """Look through a range of ids; say whether there is reason to look further."""
        self._lead = self._choose(first, last)
        chunk = CHUNK_FIRST if self._rest() else self._limit + 1
        while first <= last:
            if self._scanned and (self._clock() > self._deadline or self._scanned >= ROWS_MAX):
                self._cut = self._more = True
                return False
            end, scanned, exhausted = self._measure(first, last, chunk)
            if not scanned:
                return True
            low, high = (end, last) if self._down else (first, end)
            self._rows += self._fetch(low, high, chunk)
            self._scanned += scanned
            if len(self._rows) > self._limit:
                self._full()
                return False
            self._through = end
            if exhausted:
                return True
            first, last = (first, end - 1) if self._down else (end + 1, last)
            chunk = min(chunk * 2, CHUNK_MAX)
        return True

    def result(self, end: int, newest: int) -> Page:
        """Return the page; `end` is where the search would have ended."""
        through = self._through if self._more else end
        return Page(self._rows, through, self._more, self._scanned, newest, self._cut)

    def _full(self) -> None:
        del self._rows[self._limit :]
        self._through = self._rows[-1].pk
        self._more = True

    def _choose(self, first: int, last: int) -> Clause | None:
        """Return the clause whose index has least to look at; None: the rows themselves, in their order."""
        leads = [clause for clause in self._wanted if clause.leads]
        ordered = [clause for clause in leads if clause.ordered]
        if not leads or (len(leads) == 1 and ordered):
            return leads[0] if leads else None
        counts = [(_probe(clause, first, last, PROBE_ROWS), at) for at, clause in enumerate(ordered)]
        best = min(counts, default=(PROBE_ROWS, 0))
        if best[0] < PROBE_ROWS:
            return ordered[best[1]]
        most = min(PREFIX_ROWS_MAX, PREFIX_FETCHED_MAX) if connection.vendor == POSTGRESQL else PREFIX_ROWS_MAX
        for clause in leads:
            if not clause.ordered and _probe(clause, first, last, most) < most:
                return clause
        return ordered[0] if ordered else None

    def _measure(self, first: int, last: int, chunk: int) -> tuple[int, int, bool]:
        """Return the id up to which the next rows of the leading index reach, how many they are, and if that is all."""
        found = []
        for branch in self._branches():
            sql, values = self._ids_of(branch, first, last, chunk)
            end = "MIN" if self._down else "MAX"
            ((count, edge),) = _run(f"SELECT COUNT(*), {end}(id) FROM ({sql}) AS chunk", values)  # noqa: S608 - Q3
            found.append((count, edge))
        scanned = sum(count for count, _ in found)
        cut_short = [edge for count, edge in found if count == chunk]
        if cut_short:
            return (max(cut_short) if self._down else min(cut_short)), scanned, False
        return (first if self._down else last), scanned, True

    def _fetch(self, low: int, high: int, chunk: int) -> list[LockEvent]:
        """Return what matches in a range, in which each branch has `chunk` rows at most."""
        order = "DESC" if self._down else "ASC"
        # The inner LIMIT is a fence: no planner looks through it for an index that serves the rest.
        parts, values = [], []
        for at, branch in enumerate(self._branches()):
            if branch.ordered:
                which, its = f"{branch.sql} AND id BETWEEN %s AND %s", [*branch.values, low, high]
            else:
                ids, its = self._ids_of(branch, low, high, chunk)
                which = f"id IN ({ids})"
            inner = f"SELECT * FROM {TABLE} WHERE {which} ORDER BY id {order} LIMIT {chunk}"  # noqa: S608 - Q3
            parts.append(f"SELECT * FROM ({inner}) AS part{at}")  # noqa: S608 - Q3
            values += its
        rest = self._rest()
        where = " AND ".join(["TRUE", *(clause.sql for clause in rest)])
        values += [value for clause in rest for value in clause.values]
        room = self._limit + 1 - len(self._rows)
        union = " UNION ALL ".join(parts)
        sql = f"SELECT * FROM ({union}) AS chunk WHERE {where} ORDER BY id {order} LIMIT {room}"  # noqa: S608 - Q3
        return list(LockEvent.objects.raw(sql, values))

    def _rest(self) -> list[Clause]:
        """Return what is compared row by row."""
        return [clause.compared() for clause in self._wanted if clause is not self._lead or not clause.exact]

    def _branches(self) -> tuple[Clause, ...]:
        lead = self._lead
        if lead is None:
            return (Clause("TRUE"),)
        return lead.branches or (lead,)

    def _ids_of(self, branch: Clause, first: int, last: int, chunk: int) -> tuple[str, list[Any]]:
        order = "DESC" if self._down else "ASC"
        where = f"FROM {TABLE} WHERE {branch.sql} AND id BETWEEN %s AND %s"
        values = [*branch.values, first, last]
        if branch.ordered:
            return f"SELECT id {where} ORDER BY id {order} LIMIT {chunk}", values
        # Fenced off, or the planner would rather read rows in the order of ids until enough match.
        all_of = f"WITH chosen AS MATERIALIZED (SELECT id {where})"
        return f"SELECT id FROM ({all_of} SELECT id FROM chosen ORDER BY id {order} LIMIT {chunk}) AS picked", values  # noqa: S608 - Q3


def _probe(clause: Clause, first: int, last: int, most: int) -> int:
    """Return how many rows the clause's index has in a range of ids, at most `most`."""
    total = 0
    # In the order of the index, or PostgreSQL collects all that it has before it counts a few of them.
    order = "id" if clause.ordered else head_of("key")
    for branch in clause.branches or (clause,):
        which = f"FROM {TABLE} WHERE {branch.sql} AND id BETWEEN %s AND %s"
        inner = f"SELECT 1 {which} ORDER BY {order} LIMIT {most}"
        ((count,),) = _run(f"SELECT COUNT(*) FROM ({inner}) AS picked", [*branch.values, first, last])  # noqa: S608 - Q3
        total += count
        if total >= most:
            break
    return min(total, most)


def _run(sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, list(values))
        return list(cursor.fetchall())
