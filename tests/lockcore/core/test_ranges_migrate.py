"""SETLK_MIGRATE: what an old session holds becomes the new one's, and nobody gets in between.

Elsewhere: who may ask for it (sessions), the same on a cluster (tests/acceptance).
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockcore.core.rangerecords import (
    OFFSET_MAX,
    Acquired,
    Errno,
    Locked,
    Lost,
    Migrate,
    Migrated,
    NothingHeld,
    Owner,
    Span,
    Waiting,
)
from lockcore.core.ranges import RangeTable
from tests.lockcore.core.rangesetup import READ, WRITE, A, B, C, D, error, lock, pieces, pushed, wait, waiting

NEW = Owner("A", 2, "x")
ALL = Migrate("A", 1, "A", 2)
MINE = replace(ALL, lock_owner="x")


def test_to_heal_by_setlk_before_the_clean_up_is_to_conflict_with_oneself() -> None:
    """The RFC's first problem: the old transport still holds what the new one asks for."""
    table = RangeTable()
    lock(table, A, WRITE, 0, 10)
    assert error(lock(table, NEW, WRITE, 0, 10)) is Errno.EAGAIN
    assert isinstance(table.migrate(replace(MINE, length=10), now_ns=0).result, Migrated)
    assert pieces(table, NEW) == [(0, 9, WRITE)]


def test_to_heal_by_setlk_after_the_clean_up_is_to_come_second() -> None:
    """The RFC's second problem: between clean-up and healing the lock belongs to whoever waits."""
    plain, moved = RangeTable(), RangeTable()
    for table in (plain, moved):
        lock(table, A, WRITE, 0, 10)
        wait(table, B, WRITE, 5, 1)
    assert pushed(plain.release_session("A", 1)) == [B]
    assert error(lock(plain, NEW, WRITE, 0, 10)) is Errno.EAGAIN

    step = moved.migrate(ALL, now_ns=0)
    assert isinstance(step.result, Migrated)
    assert step.pushes == ()
    assert not moved.release_session("A", 1).delta  # the late clean-up cannot touch what has moved
    assert pieces(moved, NEW) == [(0, 9, WRITE)]
    assert waiting(moved) == [B]


def test_pieces_move_with_kind_and_fence_and_what_lies_outside_stays() -> None:
    table = RangeTable()
    lock(table, A, READ, 0, 10)
    lock(table, A, WRITE, 10, 10)
    lock(table, A, READ, 30, 10)
    step = table.migrate(replace(MINE, start=5, length=30), now_ns=0)
    assert isinstance(step.result, Migrated)
    assert [(row.start, row.end, row.kind, row.fence) for row in step.result.moved] == [
        (5, 9, READ, 1),
        (10, 19, WRITE, 2),
        (30, 34, READ, 3),
    ]
    assert step.result.acquired == ()
    assert table.rows_of(NEW) == step.result.moved
    assert pieces(table, A) == [(0, 4, READ), (35, 39, READ)]
    assert [row.fence for row in table.rows_of(A)] == [1, 3]


def test_a_moved_piece_merges_with_what_the_new_session_holds_and_the_newer_fence_counts() -> None:
    table = RangeTable()
    lock(table, NEW, READ, 0, 5)
    lock(table, A, READ, 3, 7)
    lock(table, NEW, READ, 10, 5)
    table.migrate(MINE, now_ns=0)
    assert [(row.owner, row.start, row.end, row.fence) for row in table.rows()] == [(NEW, 0, 14, 3)]
    lock(table, A, READ, 2, 2)
    table.migrate(MINE, now_ns=0)
    assert [(row.owner, row.start, row.end, row.fence) for row in table.rows()] == [(NEW, 0, 14, 4)]


def test_a_kind_that_was_not_asked_for_is_refused_and_nothing_moves() -> None:
    table = RangeTable()
    lock(table, A, WRITE, 0, 10)
    lock(table, A, READ, 10, 10)
    before = table.to_record(0)
    step = table.migrate(replace(MINE, kind=WRITE), now_ns=0)
    assert error(step) is Errno.EINVAL
    assert not step.delta
    assert table.to_record(0) == before
    assert isinstance(table.migrate(replace(MINE, kind=WRITE, length=10), now_ns=0).result, Migrated)


def test_gaps_are_not_acquired_unless_asked() -> None:
    table = RangeTable()
    lock(table, A, WRITE, 5, 5)
    table.migrate(replace(MINE, kind=WRITE, length=20), now_ns=0)
    assert pieces(table, NEW) == [(5, 9, WRITE)]


def test_gaps_are_acquired_all_or_nothing_moves() -> None:
    table = RangeTable()
    asked = replace(MINE, kind=WRITE, length=20, acquire_gaps=True)
    lock(table, A, WRITE, 5, 5)
    lock(table, B, READ, 15, 1)
    before = table.to_record(0)
    step = table.migrate(asked, now_ns=0)
    assert error(step) is Errno.EAGAIN
    assert table.to_record(0) == before
    table.unlck(B, 0, 0)
    result = table.migrate(asked, now_ns=0).result
    assert isinstance(result, Migrated)
    assert result.acquired == (Span(0, 4), Span(10, 19))
    assert pieces(table, NEW) == [(0, 19, WRITE)]


def test_a_gap_is_not_taken_from_a_fair_waiter() -> None:
    table = RangeTable()
    lock(table, A, WRITE, 0, 5)
    lock(table, B, READ, 8, 10)
    wait(table, C, WRITE, 5, 10, fair=True)
    asked = replace(MINE, kind=WRITE, length=6, acquire_gaps=True)
    assert error(table.migrate(asked, now_ns=0)) is Errno.EAGAIN
    assert isinstance(table.migrate(replace(asked, length=5), now_ns=0).result, Migrated)


@pytest.mark.parametrize(
    "wrong",
    [
        replace(ALL, target_incarnation=1),
        replace(MINE, acquire_gaps=True),
        replace(ALL, acquire_gaps=True, kind=READ),
        replace(ALL, start=-1),
    ],
)
def test_a_migration_that_cannot_be_meant_is_refused(wrong: Migrate) -> None:
    table = RangeTable()
    lock(table, A, READ, 0, 5)
    step = table.migrate(wrong, now_ns=0)
    assert error(step) is Errno.EINVAL
    assert pieces(table, A) == [(0, 4, READ)]


def test_where_nothing_is_held_it_is_a_setlk_and_says_so() -> None:
    table = RangeTable()
    asked = replace(MINE, kind=WRITE, length=10)
    assert table.migrate(replace(asked, require_held=True), now_ns=0).result == Lost()
    assert not table
    result = table.migrate(asked, now_ns=0).result
    assert isinstance(result, Acquired)
    assert (result.row.owner, result.row.start, result.row.end, result.row.fence) == (NEW, 0, 9, 1)
    lock(table, B, WRITE, 20, 5)
    assert error(table.migrate(replace(asked, start=20), now_ns=0)) is Errno.EAGAIN
    assert table.migrate(replace(ALL, start=50), now_ns=0).result == NothingHeld(0)


def test_a_whole_session_moves_with_all_its_lock_owners_and_no_others() -> None:
    table = RangeTable()
    other = A._replace(lock_owner="y")
    lock(table, A, READ, 0, 10)
    lock(table, other, READ, 5, 0)
    lock(table, B, READ, 0, 10)
    lock(table, A._replace(incarnation=3), READ, 0, 1)
    table.migrate(ALL, now_ns=0)
    assert pieces(table, NEW) == [(0, 9, READ)]
    assert pieces(table, NEW._replace(lock_owner="y")) == [(5, OFFSET_MAX, READ)]
    assert table.owners_of("A", 1) == ()
    assert len(table.rows()) == 4


def test_third_parties_keep_their_places_and_none_is_woken_while_the_old_sessions_waits_move_with_theirs() -> None:
    table = RangeTable()
    lock(table, A, WRITE, 0, 10)
    lock(table, D, WRITE, 10, 10)
    wait(table, B, WRITE, 0, 20)
    moving = wait(table, A, WRITE, 10, 2).result
    wait(table, C, READ, 0, 20)
    staying = wait(table, A, READ, 12, 10).result
    step = table.migrate(replace(ALL, length=15), now_ns=0)
    assert step.result == Migrated(table.rows_of(NEW), (), waiters=1)
    assert step.pushes == ()
    assert waiting(table) == [B, NEW, C, A]
    assert isinstance(moving, Waiting)
    assert isinstance(staying, Waiting)
    assert table.ticket(moving.ticket) == table.waiter("A", 2, table.waiters()[1].operation)
    assert [record.ticket for record in step.delta.queued] == [moving.ticket]
    assert pushed(table.release_owner(D)) == [NEW, A]


def test_a_wait_of_the_new_session_for_what_the_old_one_held_is_over() -> None:
    """It had begun to heal by setlkw, before it knew better."""
    table = RangeTable()
    lock(table, A, WRITE, 0, 10)
    wait(table, B, READ, 0, 10)
    wait(table, NEW, WRITE, 0, 10)
    step = table.migrate(ALL, now_ns=0)
    assert pushed(step) == [NEW]
    assert isinstance(step.pushes[0].result, Locked)
    assert step.pushes[0].result.row.fence == 1
    assert waiting(table) == [B]


def test_a_move_at_the_limit_of_rows_is_done_if_it_makes_no_more_of_them() -> None:
    table = RangeTable(rows_max=2)
    lock(table, A, READ, 0, 10)
    lock(table, A, READ, 20, 10)
    assert error(table.migrate(replace(ALL, start=25), now_ns=0)) is Errno.ENOLCK
    assert isinstance(table.migrate(ALL, now_ns=0).result, Migrated)


spans = st.tuples(st.integers(0, 9), st.integers(0, 4))
locks = st.lists(
    st.tuples(st.sampled_from([A, A, NEW, B]), st.sampled_from([READ, WRITE]), spans, st.booleans()), max_size=25
)


def held_by(table: RangeTable, *owners: Owner) -> dict[int, str]:
    """Which bytes (up to 20) these owners hold, and how."""
    return {
        byte: str(row.kind)
        for owner in owners
        for row in table.rows_of(owner)
        for byte in range(row.start, min(row.end, 20) + 1)
    }


@settings(max_examples=300, deadline=None)
@given(locks, spans, st.sampled_from([None, READ, WRITE]), st.booleans(), st.booleans())
def test_whatever_moves_is_held_at_every_moment_and_a_replica_follows(
    before: list[tuple[Owner, str, tuple[int, int], bool]],
    where: tuple[int, int],
    kind: object,
    gaps: bool,  # noqa: FBT001 - drawn
    required: bool,  # noqa: FBT001 - drawn
) -> None:
    table = RangeTable()
    for owner, how, at, waits in before:
        (wait if waits else lock)(table, owner, READ if how == READ else WRITE, *at)
    replica = RangeTable.from_record(table.to_record(0), now_ns=0)
    pair, others, record = held_by(table, A, NEW), held_by(table, B), table.to_record(0)
    kind_asked = READ if kind == READ else WRITE if kind == WRITE else None
    asked = replace(
        MINE,
        start=where[0],
        length=where[1],
        kind=kind_asked,
        acquire_gaps=gaps and kind_asked is not None,
        require_held=required,
    )
    step = table.migrate(asked, now_ns=0)
    replica.apply(step.delta, now_ns=0)
    assert replica.to_record(0) == table.to_record(0)
    if not step.delta:
        assert table.to_record(0) == record
    if isinstance(step.result, Migrated) and step.pushes:
        assert step.pushes[0].waiter.owner in (A, NEW)  # whom its grant frees is another matter
    elif isinstance(step.result, Migrated):
        after = held_by(table, A, NEW)
        assert after.keys() >= pair.keys() if asked.acquire_gaps else after == pair
        assert others == held_by(table, B)
        assert not any(row.start in range(*_asked_bytes(where)) for row in table.rows_of(A))


def _asked_bytes(where: tuple[int, int]) -> tuple[int, int]:
    start, length = where
    return start, start + length if length else OFFSET_MAX
