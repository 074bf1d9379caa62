"""What an operation on a key's byte ranges costs, at 10 to 100,000 held rows.

CPU time of the table alone, without network or replication: the quickest of
some rounds, for what else runs on the machine only ever adds. A cost that
grew with the rows would be 10,000 times as high in the last column.

Elsewhere: the table (lockcore.core.ranges), that it is right (tests/kernel).
"""

from __future__ import annotations

import asyncio
import time
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Final

from lockcore.core.rangerecords import Conflict, Kind, Migrate, Owner, RangeRecord, Waiting, Want
from lockcore.core.rangerecords import Row as Held
from lockcore.core.ranges import RangeTable, WaitGraph
from tests.bench.report import NotMeasured, Row

if TYPE_CHECKING:
    from collections.abc import Callable

TITLE: Final = "byte ranges: microseconds of CPU for one operation, by rows held on the key"
BOUND_S: Final = 300
SIZES: Final = (10, 100, 1_000, 10_000, 100_000)
ROUNDS: Final = 7
TURNS: Final = 100
GROWTH_MAX: Final = 10.0
"""10,000 times the rows; the logarithm is 5 times as high, and memory gets slower."""
STRIDE: Final = 10
SESSIONS: Final = 50
QUEUE: Final = 100
HOT: Final = 6
"""Two bytes between the first two rows."""
ME: Final = Owner("me", 1, "x")
NS_PER_US: Final = 1_000


async def measure() -> list[Row]:
    """Return the rows, one for each operation."""
    tables = {
        size: (pieces(size), readers(size), queued(pieces(size), fair=False), queued(pieces(size), fair=True))
        for size in SIZES
    }
    rows = []
    for what, which, turn in OPERATIONS:
        costs = []
        for size in SIZES:
            costs.append(quickest(turn, tables[size][which], size))
            await asyncio.sleep(0)
        text = " / ".join(f"{cost:.1f}" for cost in costs)
        grown = costs[-1] / costs[0]
        target = f"last <= {GROWTH_MAX:g} times first"
        rows.append(Row(what, f"{text} µs, grown {grown:.1f} times", target, grown <= GROWTH_MAX))
    return [Row("rows held", " / ".join(f"{size:,}" for size in SIZES)), *rows]


def quickest(turn: Callable[[RangeTable, int], None], table: RangeTable, at: int) -> float:
    """Return the microseconds of one turn, in the quickest round."""
    before, random, found = len(table), Random(1), []  # noqa: S311 - reproducible, not secret
    for _ in range(ROUNDS):
        places = [random.randrange(at) * STRIDE for _ in range(TURNS)]
        began_ns = time.process_time_ns()
        for place in places:
            turn(table, place)
        found.append((time.process_time_ns() - began_ns) / TURNS / NS_PER_US)
    if len(table) != before:
        raise NotMeasured("the table was not left as it was found")
    return min(found)


def pieces(size: int) -> RangeTable:
    """Return a table of short rows with room in between, two of three read."""
    owners = [Owner(f"session-{number % SESSIONS}", 1, f"{number}") for number in range(4 * SESSIONS)]
    rows = tuple(
        Held(owners[number % len(owners)], Kind.READ if number % 3 else Kind.WRITE, start, start + 4, number + 1)
        for number, start in enumerate(range(0, size * STRIDE, STRIDE))
    )
    return _roomy(RangeTable.from_record(RangeRecord(rows, floor=size), now_ns=0, graph=WaitGraph()))


def readers(size: int) -> RangeTable:
    """Return a table of one reader for each row, all of whom overlap."""
    rows = tuple(
        Held(Owner("readers", 1, f"{number}"), Kind.READ, number, 2 * STRIDE * size, number + 1)
        for number in range(size)
    )
    return _roomy(RangeTable.from_record(RangeRecord(rows, floor=size), now_ns=0, graph=WaitGraph()))


def _roomy(table: RangeTable) -> RangeTable:
    """Lift the bound of a node: what grows is the cost, not what a node lets grow."""
    table._state.rows_max = 10**6
    return table


def queued(table: RangeTable, *, fair: bool) -> RangeTable:
    """Return a table with one writer of a free place and a queue of others."""
    for number in range(QUEUE + 1):
        _queue_up(table, Owner("queue", 1, f"{number}"), fair=fair)
    return table


def _queue_up(table: RangeTable, owner: Owner, *, fair: bool) -> None:
    table.setlkw(Want(owner, Kind.WRITE, HOT, 2, fair), operation=owner.lock_owner, now_ns=0)


def _lock_and_unlock(table: RangeTable, at: int) -> None:
    table.setlk(Want(ME, Kind.WRITE, at + 6, 2))
    table.unlck(ME, at + 6, 2)


def _read_and_unlock(table: RangeTable, at: int) -> None:
    table.setlk(Want(ME, Kind.READ, at, STRIDE))
    table.unlck(ME, at, STRIDE)


def _is_refused(table: RangeTable, at: int) -> None:
    table.setlk(Want(ME, Kind.WRITE, at, STRIDE))


def _is_refused_everything(table: RangeTable, _at: int) -> None:
    table.setlk(Want(ME, Kind.WRITE, 0, 0))


def _look(table: RangeTable, at: int) -> None:
    table.getlk(Want(ME, Kind.WRITE, at + 2, STRIDE))


def _split_and_merge(table: RangeTable, at: int) -> None:
    """Of an owner with a share of all rows."""
    owner = Owner("session-0", 1, "0")
    table.setlk(Want(owner, Kind.WRITE, at + 5, 5))
    table.setlk(Want(owner, Kind.READ, at + 7, 1))
    table.unlck(owner, at + 5, 5)


_names = count()


def _wait_and_leave(table: RangeTable, at: int) -> None:
    """Of an owner that holds something: the wait graph is searched."""
    table.setlk(Want(ME, Kind.READ, STRIDE - 2, 1))
    step = table.setlkw(Want(ME, Kind.WRITE, at, STRIDE), operation=f"{next(_names)}", now_ns=0)
    if isinstance(step.result, Waiting):
        table.withdraw(step.result.ticket)
    table.unlck(ME, STRIDE - 2, 1)


def _hand_over(table: RangeTable, at: int) -> None:
    table.setlk(Want(ME, Kind.WRITE, at + 6, 2))
    table.setlkw(Want(Owner("next", 1, "x"), Kind.WRITE, at + 6, 2), operation="wait", now_ns=0)
    table.unlck(ME, 0, 0)
    table.release_session("next", 1)


def _next_of_many(table: RangeTable, _at: int) -> None:
    """Whoever has had its turn queues up again."""
    found = table.getlk(Want(ME, Kind.WRITE, HOT, 1))
    if isinstance(found, Conflict):
        fair = table.waiters()[0].fair
        table.unlck(found.row.owner, HOT, 2)
        _queue_up(table, found.row.owner, fair=fair)


def _migrate(table: RangeTable, at: int) -> None:
    table.setlk(Want(ME, Kind.WRITE, at + 6, 2))
    table.migrate(Migrate("me", 1, "me", 2, start=at + 6, length=2), now_ns=0)
    table.release_session("me", 2)


OPERATIONS: Final[tuple[tuple[str, int, Callable[[RangeTable, int], None]], ...]] = (
    ("lock a free piece to write, unlock it", 0, _lock_and_unlock),
    ("be refused a piece (EAGAIN)", 0, _is_refused),
    ("be refused the whole file", 0, _is_refused_everything),
    ("getlk", 0, _look),
    ("split, change and merge one's own rows", 0, _split_and_merge),
    ("wait with something held (deadlock search), leave", 0, _wait_and_leave),
    ("lock, one waits, unlock: it is granted; release its session", 0, _hand_over),
    (f"unlock, the next of {QUEUE} is granted, queue up again", 2, _next_of_many),
    ("the same, all of them fair", 3, _next_of_many),
    ("lock, migrate to a new session, release it", 0, _migrate),
    ("among readers who all overlap: read too, unlock", 1, _read_and_unlock),
    ("among readers who all overlap: be refused to write", 1, _is_refused),
)
"""What is printed, in which table, and one turn of it, which leaves the table as it was."""
