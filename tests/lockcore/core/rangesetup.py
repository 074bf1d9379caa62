"""Short ways to say what tests of byte ranges say often.

Elsewhere: the tests (test_ranges, test_ranges_waits, test_ranges_migrate).
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from lockcore.core.rangerecords import Denied, Kind, Owner, Want

if TYPE_CHECKING:
    from lockcore.core.rangerecords import Errno, Step
    from lockcore.core.ranges import RangeTable

READ, WRITE = Kind.READ, Kind.WRITE
A, B, C, D = (Owner(name, 1, "x") for name in "ABCD")

_operations = count(1)


def lock(table: RangeTable, owner: Owner, kind: Kind, *at: int, fair: bool = False) -> Step:
    """Lock bytes: `at` is (start, length)."""
    start, length = at
    return table.setlk(Want(owner, kind, start, length, fair))


def wait(table: RangeTable, owner: Owner, kind: Kind, *at: int, fair: bool = False) -> Step:
    """Wait for bytes: `at` is (start, length)."""
    start, length = at
    return table.setlkw(Want(owner, kind, start, length, fair), operation=f"op-{next(_operations)}", now_ns=0)


def error(step: Step) -> Errno | None:
    return step.result.error if isinstance(step.result, Denied) else None


def pieces(table: RangeTable, owner: Owner) -> list[tuple[int, int, Kind]]:
    """An owner's rows as (first byte, last byte, kind)."""
    return [(row.start, row.end, row.kind) for row in table.rows_of(owner)]


def waiting(table: RangeTable) -> list[Owner]:
    return [waiter.owner for waiter in table.waiters()]


def pushed(step: Step) -> list[Owner]:
    """Who was granted, in order."""
    return [push.waiter.owner for push in step.pushes if not isinstance(push.result, Denied)]
