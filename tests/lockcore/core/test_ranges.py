"""What fcntl(2) says of ranges that are locked at once or not at all, rule by rule.

Elsewhere: waiting (test_ranges_waits), migration (test_ranges_migrate), at random (test_ranges_model, tests/kernel).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lockcore.core.rangerecords import (
    OFFSET_MAX,
    Conflict,
    Denied,
    Errno,
    Free,
    Kind,
    Locked,
    RangeRecord,
    Row,
    Span,
    Unlocked,
    Want,
)
from lockcore.core.ranges import RangeTable, span_of
from tests.lockcore.core.rangesetup import READ, WRITE, A, B, C, error, lock, pieces, wait

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("start", "length", "expected"),
    [
        (0, 0, (0, OFFSET_MAX)),
        (0, 1, (0, 0)),
        (7, 0, (7, OFFSET_MAX)),
        (10, -10, (0, 9)),
        (10, -1, (9, 9)),
        (OFFSET_MAX, 0, (OFFSET_MAX, OFFSET_MAX)),
        (OFFSET_MAX, 1, (OFFSET_MAX, OFFSET_MAX)),
        (OFFSET_MAX, -OFFSET_MAX, (0, OFFSET_MAX - 1)),
        (0, OFFSET_MAX, (0, OFFSET_MAX - 1)),
        (1, OFFSET_MAX, (1, OFFSET_MAX)),
        (2, OFFSET_MAX, Errno.EOVERFLOW),
        (OFFSET_MAX, 2, Errno.EOVERFLOW),
        (OFFSET_MAX + 1, 0, Errno.EOVERFLOW),
        (OFFSET_MAX + 1, -5, Errno.EOVERFLOW),
        (2**70, 2**70, Errno.EOVERFLOW),
        (0, 2**63 + 1, Errno.EOVERFLOW),
        (-1, 1, Errno.EINVAL),
        (-1, 0, Errno.EINVAL),
        (-(2**70), 2**71, Errno.EINVAL),
        (0, -1, Errno.EINVAL),
        (10, -11, Errno.EINVAL),
        (OFFSET_MAX, -OFFSET_MAX - 1, Errno.EINVAL),
    ],
)
def test_start_and_length_mean_what_they_mean_to_the_kernel(
    start: int, length: int, expected: tuple[int, int] | Errno
) -> None:
    """Each line was tried on Linux 6.18, but for those that no struct flock can hold."""
    span = span_of(start, length)
    assert (span.error if isinstance(span, Denied) else span) == expected


@pytest.mark.parametrize(("span", "length"), [(Span(3, 3), 1), (Span(0, OFFSET_MAX), 0), (Span(5, OFFSET_MAX), 0)])
def test_a_range_to_the_last_byte_has_length_0(span: Span, length: int) -> None:
    assert span.length == length
    assert Row(A, READ, *span, 1).length == length


@pytest.mark.parametrize("what", ["setlk", "setlkw", "getlk", "unlck"])
def test_a_range_that_is_none_is_refused_everywhere(what: str) -> None:
    table = RangeTable()
    want = Want(A, READ, -1, 5)
    answers: dict[str, Callable[[], object]] = {
        "setlk": lambda: table.setlk(want).result,
        "setlkw": lambda: table.setlkw(want, operation="op", now_ns=0).result,
        "getlk": lambda: table.getlk(want),
        "unlck": lambda: table.unlck(A, -1, 5).result,
    }
    denied = answers[what]()
    assert isinstance(denied, Denied)
    assert denied.error is Errno.EINVAL
    assert "give a start" in denied.text
    assert table.to_record(0) == RangeRecord()


def test_touching_and_overlapping_rows_of_one_owner_and_kind_are_one_row() -> None:
    table = RangeTable()
    for start, length in ((0, 10), (20, 10), (40, 10)):
        lock(table, A, READ, start, length)
    lock(table, A, READ, 10, 10)
    assert pieces(table, A) == [(0, 29, READ), (40, 49, READ)]
    lock(table, A, READ, 25, 100)
    assert pieces(table, A) == [(0, 124, READ)]


def test_rows_of_two_owners_are_never_one() -> None:
    table = RangeTable()
    lock(table, A, READ, 0, 10)
    lock(table, B, READ, 10, 10)
    lock(table, B, READ, 0, 5)
    assert [(row.start, row.end, row.owner) for row in table.rows()] == [(0, 9, A), (0, 4, B), (10, 19, B)]


def test_another_kind_in_the_middle_splits_a_row_and_the_same_again_joins_it() -> None:
    table = RangeTable()
    lock(table, A, READ, 0, 0)
    lock(table, A, WRITE, 10, 10)
    assert pieces(table, A) == [(0, 9, READ), (10, 19, WRITE), (20, OFFSET_MAX, READ)]
    lock(table, A, READ, 5, 100)
    assert pieces(table, A) == [(0, OFFSET_MAX, READ)]


def test_a_write_next_to_a_write_takes_the_end_of_a_read_away() -> None:
    table = RangeTable()
    lock(table, A, READ, 0, 10)
    lock(table, A, WRITE, 10, 10)
    lock(table, A, WRITE, 5, 5)
    assert pieces(table, A) == [(0, 4, READ), (5, 19, WRITE)]


def test_unlocking_splits_and_the_last_byte_of_each_part_is_right() -> None:
    table = RangeTable()
    lock(table, A, WRITE, 0, 30)
    assert table.unlck(A, 10, 10).result == Unlocked()
    assert pieces(table, A) == [(0, 9, WRITE), (20, 29, WRITE)]
    assert isinstance(lock(table, B, WRITE, 10, 10).result, Locked)
    assert error(lock(table, C, READ, 9, 1)) is Errno.EAGAIN
    assert error(lock(table, C, READ, 20, 1)) is Errno.EAGAIN


def test_unlocking_what_is_not_held_is_fine_and_changes_nothing() -> None:
    table = RangeTable()
    lock(table, A, WRITE, 0, 10)
    before = table.to_record(0)
    step = table.unlck(B, 0, 0)
    assert step.result == Unlocked()
    assert not step.delta
    assert table.to_record(0) == before


def test_a_refused_upgrade_keeps_the_read_lock() -> None:
    """POSIX: a request that fails leaves the owner's locks as they were."""
    table = RangeTable()
    lock(table, A, READ, 0, 10)
    lock(table, B, READ, 5, 10)
    before = table.to_record(0)
    step = lock(table, A, WRITE, 0, 10)
    assert error(step) is Errno.EAGAIN
    assert not step.delta
    assert table.to_record(0) == before
    wait(table, A, WRITE, 0, 10)
    assert pieces(table, A) == [(0, 9, READ)]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [((WRITE, 0, 0), (2, 3, B)), ((WRITE, 4, 0), (5, 9, A)), ((WRITE, 10, 5), None), ((READ, 0, 0), (5, 9, A))],
)
def test_getlk_tells_of_the_row_in_the_way_that_starts_first(
    asked: tuple[Kind, int, int], expected: tuple[object, ...] | None
) -> None:
    table = RangeTable()
    lock(table, A, WRITE, 5, 5)
    lock(table, B, READ, 2, 2)
    lock(table, C, READ, 0, 2)
    found = table.getlk(Want(C, *asked))
    assert found == Free() if expected is None else isinstance(found, Conflict)
    if isinstance(found, Conflict):
        assert (found.row.start, found.row.end, found.row.owner) == expected


def test_getlk_finds_the_others_row_among_many_of_ones_own() -> None:
    table = RangeTable()
    for start in range(0, 400, 4):
        lock(table, A, READ, start, 2)
    lock(table, B, READ, 202, 1)
    found = table.getlk(Want(A, WRITE, 0, 0))
    assert isinstance(found, Conflict)
    assert (found.row.owner, found.row.start) == (B, 202)


def test_a_fence_is_above_all_conflicting_ones_before_it_and_kept_while_the_piece_is_held() -> None:
    """Whoever is fenced by it must never be overtaken by an earlier holder; whoever holds on needs no new one."""
    table = RangeTable()
    table.raise_floor(100)
    lock(table, A, READ, 0, 10)
    lock(table, B, READ, 0, 10)
    table.unlck(B, 0, 10)
    lock(table, A, WRITE, 0, 10)
    assert [row.fence for row in table.rows()] == [103]  # writing is new: above the other reader's 102
    lock(table, A, WRITE, 0, 10)
    lock(table, A, READ, 0, 4)
    assert [row.fence for row in table.rows()] == [103, 103]
    lock(table, A, READ, 20, 5)
    lock(table, A, READ, 25, 5)
    assert [(row.start, row.fence) for row in table.rows()] == [(0, 103), (4, 103), (20, 105)]
    assert table.floor == 105


def test_a_key_has_so_many_rows_and_no_more() -> None:
    table = RangeTable(rows_max=3)
    for start in (0, 10, 20):
        assert error(lock(table, A, READ, start, 5)) is None
    before = table.to_record(0)
    for step in (lock(table, B, READ, 0, 5), lock(table, A, READ, 30, 5), table.unlck(A, 2, 1)):
        assert error(step) is Errno.ENOLCK
        assert not step.delta
    assert table.to_record(0) == before
    assert isinstance(lock(table, A, READ, 0, 30).result, Locked)
    assert len(table) == 1


def test_a_session_that_ends_leaves_nothing_and_another_life_of_it_everything() -> None:
    """Its clean-up may come late: what a newer incarnation holds is not its own."""
    table = RangeTable()
    newer = A._replace(incarnation=2)
    lock(table, A, READ, 0, 10)
    lock(table, A._replace(lock_owner="y"), READ, 0, 10)
    lock(table, newer, READ, 0, 10)
    lock(table, B, READ, 0, 10)
    wait(table, newer, WRITE, 50, 1)
    table.release_session("A", 1)
    assert {row.owner for row in table.rows()} == {newer, B}
    table.release_owner(newer)
    assert {row.owner for row in table.rows()} == {B}
    table.release_session("B", 1)
    assert not table


def test_a_table_comes_back_from_its_record_as_it_was() -> None:
    table = RangeTable()
    for start in range(0, 100, 10):
        lock(table, A, READ, start, 5)
        lock(table, B, READ, start, 7)
    wait(table, C, WRITE, 3, 50)
    table.setlkw(Want(C, READ, 3, 50), operation="late", now_ns=10, deadline_ns=500)
    wait(table, B, WRITE, 0, 10, fair=True)
    record = table.to_record(100)
    again = RangeTable.from_record(record, now_ns=7_100)
    assert again.to_record(7_100) == record
    assert lock(again, B, WRITE, 0, 1) == lock(table, B, WRITE, 0, 1)
    assert again.release_owner(A).pushes == table.release_owner(A).pushes
