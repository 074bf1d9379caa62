"""The range table and a naive model, given the same operations, say and hold the same.

Elsewhere: the rules one by one (test_ranges), migration (test_ranges_migrate), the kernel (tests/kernel).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from lockcore.core.rangerecords import OFFSET_MAX, Denied, Kind, Owner, Want
from lockcore.core.ranges import RangeTable, WaitGraph
from tests.lockcore.core.rangemodel import BYTES, READ, WRITE, Model, Wait

if TYPE_CHECKING:
    from lockcore.core.rangerecords import Step

OWNERS = ("a", "b", "c", "d")
FILES = 2


class Op(NamedTuple):
    what: str
    file: int
    owner: str
    kind: str
    first: int
    last: int
    fair: bool


ops = st.builds(
    lambda what, file, owner, kind, ends, fair: Op(what, file, owner, kind, min(ends), max(ends), fair),
    st.sampled_from(["setlk", "setlk", "setlkw", "setlkw", "setlkw", "unlck", "unlck", "leave", "release"]),
    st.integers(0, FILES - 1),
    st.sampled_from(OWNERS),
    st.sampled_from([READ, WRITE]),
    st.tuples(st.integers(0, BYTES - 1), st.integers(0, BYTES - 1)),
    st.booleans(),
)


def owner_of(name: str) -> Owner:
    return Owner("s", 1, name)


class Both:
    """The tables, their replicas, and the model."""

    def __init__(self, *, fair: bool) -> None:
        self.fair = fair
        self.graph = WaitGraph()
        self.tables = [RangeTable(self.graph) for _ in range(FILES)]
        self.replicas = [RangeTable() for _ in range(FILES)]
        self.model = Model(FILES)
        self.operations = 0

    def do(self, op: Op) -> None:
        step, expected = self._lock(op) if op.what in ("setlk", "setlkw") else self._other(op)
        table, replica = self.tables[op.file], self.replicas[op.file]
        granted = [push.waiter.ticket for push in step.pushes if not isinstance(push.result, Denied)]
        assert self._word(step) == expected
        assert granted == self.model.wake(op.file)
        self._compare(op.file)
        if isinstance(step.result, Denied):
            assert not step.delta
        replica.apply(step.delta, now_ns=0)
        assert replica.to_record(0) == table.to_record(0)

    def _lock(self, op: Op) -> tuple[Step, str]:
        self.operations += 1
        table, waits = self.tables[op.file], op.what == "setlkw"
        ticket = table.to_record(0).next_ticket
        length = 0 if op.last == BYTES - 1 else op.last - op.first + 1
        want = Want(owner_of(op.owner), Kind(op.kind), op.first, length, fair=op.fair and self.fair)
        asked = Wait(ticket, op.owner, op.kind, range(op.first, op.last + 1), want.fair)
        expected = self.model.lock(op.file, asked, wait=waits)
        if waits:
            return table.setlkw(want, operation=f"{self.operations}", now_ns=0), expected
        return table.setlk(want), expected

    def _other(self, op: Op) -> tuple[Step, str]:
        table, file = self.tables[op.file], self.model.files[op.file]
        if op.what == "unlck":
            file.unlock(op.owner, range(op.first, op.last + 1))
            length = 0 if op.last == BYTES - 1 else op.last - op.first + 1
            return table.unlck(owner_of(op.owner), op.first, length), "unlocked"
        mine = [wait for wait in file.waits if wait.owner == op.owner]
        leaving = mine if op.what == "release" else mine[:1]
        file.waits = [wait for wait in file.waits if wait not in leaving]
        if op.what == "release":
            file.held.pop(op.owner, None)
            return table.release_owner(owner_of(op.owner)), "unlocked"
        return table.withdraw(leaving[0].ticket if leaving else 0), "unlocked"

    @staticmethod
    def _word(step: Step) -> str:
        return str(step.result.error) if isinstance(step.result, Denied) else type(step.result).__name__.lower()

    def _compare(self, at: int) -> None:
        table, file = self.tables[at], self.model.files[at]
        ends = [BYTES - 1 if row.end == OFFSET_MAX else row.end for row in table.rows()]
        rows = [
            (row.start, row.owner.lock_owner, end, str(row.kind)) for row, end in zip(table.rows(), ends, strict=True)
        ]
        assert rows == file.rows()
        assert [waiter.ticket for waiter in table.waiters()] == [wait.ticket for wait in file.waits]


@settings(max_examples=250, deadline=None)
@given(st.lists(ops, min_size=15, max_size=40))
def test_the_table_does_what_a_map_of_bytes_would_do(operations: list[Op]) -> None:
    both = Both(fair=False)
    for op in operations:
        both.do(op)


@settings(max_examples=250, deadline=None)
@given(st.lists(ops, min_size=15, max_size=40))
def test_the_table_does_what_a_map_of_bytes_would_do_where_some_are_fair(operations: list[Op]) -> None:
    both = Both(fair=True)
    for op in operations:
        both.do(op)
