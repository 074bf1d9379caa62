"""Waiting for ranges: who is woken, in which order, who may pass, and which waits would never end.

Elsewhere: what is granted at once (test_ranges), migration (test_ranges_migrate), all at random (test_ranges_model).
"""

from __future__ import annotations

import pytest

from lockcore.core.rangerecords import Denied, Errno, Locked, Owner, Waiting, Want
from lockcore.core.ranges import RangeTable, WaitGraph
from tests.lockcore.core.rangesetup import READ, WRITE, A, B, C, D, error, lock, pieces, pushed, wait, waiting


def test_an_unlock_wakes_exactly_those_who_can_be_granted() -> None:
    table = RangeTable()
    lock(table, A, WRITE, 0, 30)
    wait(table, B, WRITE, 5, 1)
    wait(table, C, READ, 5, 20)
    wait(table, D, READ, 25, 5)
    assert pushed(table.unlck(A, 20, 10)) == [D]
    assert pushed(table.unlck(A, 0, 6)) == [B]
    assert waiting(table) == [C]
    assert pushed(table.unlck(B, 0, 0)) == []
    assert pushed(table.unlck(A, 0, 0)) == [C]
    assert not table.waiters()


def test_a_downgrade_wakes_readers_and_no_writer() -> None:
    table = RangeTable()
    lock(table, A, WRITE, 0, 10)
    wait(table, B, WRITE, 0, 10)
    wait(table, C, READ, 0, 10)
    assert pushed(lock(table, A, READ, 0, 10)) == [C]
    assert waiting(table) == [B]


def test_waiters_are_granted_in_the_order_in_which_they_came() -> None:
    table = RangeTable()
    lock(table, A, WRITE, 0, 10)
    for owner in (B, C, D):
        wait(table, owner, WRITE, 0, 10)
    assert pushed(table.release_owner(A)) == [B]
    assert pushed(table.unlck(B, 0, 10)) == [C]
    assert pushed(table.unlck(C, 0, 10)) == [D]


def test_what_a_grant_frees_is_given_on_at_once() -> None:
    """A waiter that already holds part of what it waits for, and more strongly, lets readers in when it is granted."""
    table = RangeTable()
    lock(table, A, WRITE, 0, 10)
    lock(table, B, WRITE, 10, 10)
    wait(table, C, READ, 0, 5)
    wait(table, A, READ, 0, 20)
    assert pushed(table.unlck(B, 10, 10)) == [A, C]


def test_a_new_compatible_request_may_pass_a_waiting_writer() -> None:
    """The kernel's order: a stream of readers can keep a writer waiting."""
    table = RangeTable()
    lock(table, A, READ, 0, 10)
    wait(table, B, WRITE, 0, 10)
    assert isinstance(lock(table, C, READ, 0, 10).result, Locked)
    assert waiting(table) == [B]


def test_a_fair_request_passes_nobody() -> None:
    table = RangeTable()
    lock(table, A, READ, 0, 10)
    wait(table, B, WRITE, 0, 10)
    assert error(lock(table, C, READ, 0, 10, fair=True)) is Errno.EAGAIN
    wait(table, C, READ, 0, 10, fair=True)
    assert waiting(table) == [B, C]
    assert pushed(table.unlck(A, 0, 10)) == [B]
    assert pushed(table.unlck(B, 0, 10)) == [C]


def test_nobody_passes_a_fair_waiter() -> None:
    table = RangeTable()
    lock(table, A, READ, 0, 10)
    wait(table, B, WRITE, 0, 10, fair=True)
    assert error(lock(table, C, READ, 0, 10)) is Errno.EAGAIN
    assert isinstance(lock(table, C, READ, 10, 10).result, Locked)
    assert isinstance(lock(table, A, READ, 2, 2).result, Locked)  # it holds that already and passes nobody by it


def test_a_fair_waiter_that_leaves_lets_others_through() -> None:
    table = RangeTable()
    lock(table, A, READ, 0, 10)
    writer = wait(table, B, WRITE, 0, 10, fair=True).result
    wait(table, C, READ, 0, 10)
    wait(table, D, READ, 0, 10)
    assert isinstance(writer, Waiting)
    step = table.withdraw(writer.ticket)
    assert [type(push.result) for push in step.pushes] == [Denied, Locked, Locked]
    assert pushed(step) == [C, D]


def test_among_a_hundred_fair_waiters_none_is_passed() -> None:
    table = RangeTable()
    lock(table, A, WRITE, 0, 10)
    owners = [Owner("many", 1, f"{number}") for number in range(100)]
    for owner in owners:
        wait(table, owner, WRITE, 0, 10, fair=True)
    holder, order = A, []
    for _ in owners:
        (holder,) = pushed(table.unlck(holder, 0, 10))
        order.append(holder)
    assert order == owners


def test_a_waiter_leaves_no_trace() -> None:
    table = RangeTable()
    lock(table, A, WRITE, 0, 10)
    gone = table.setlkw(Want(B, WRITE, 0, 10), operation="b", now_ns=0, deadline_ns=50).result
    wait(table, C, WRITE, 0, 10)
    assert isinstance(gone, Waiting)
    (push,) = table.withdraw(gone.ticket).pushes
    assert isinstance(push.result, Denied)
    assert push.result.error is Errno.EINTR
    assert table.waiter("B", 1, "b") is None
    assert table.next_deadline_ns() is None
    assert pushed(table.unlck(A, 0, 10)) == [C]


def test_a_wait_ends_at_its_deadline_and_not_before() -> None:
    table = RangeTable()
    lock(table, A, WRITE, 0, 10)
    table.setlkw(Want(B, READ, 0, 10), operation="b", now_ns=0, deadline_ns=50)
    table.setlkw(Want(C, READ, 0, 10), operation="c", now_ns=0, deadline_ns=40)
    wait(table, D, READ, 0, 10)
    assert table.next_deadline_ns() == 40
    assert table.expire(39).pushes == ()
    (late,) = table.expire(40).pushes
    assert isinstance(late.result, Denied)
    assert (late.waiter.owner, late.result.error) == (C, Errno.ETIMEDOUT)
    assert table.next_deadline_ns() == 50
    assert waiting(table) == [B, D]
    late_comer = table.setlkw(Want(C, READ, 0, 10), operation="c2", now_ns=60, deadline_ns=60)
    assert error(late_comer) is Errno.ETIMEDOUT


def test_an_operation_that_waits_already_gets_the_place_it_has() -> None:
    """The client asks again because an answer got lost, not because it wants two places."""
    table = RangeTable()
    lock(table, A, WRITE, 0, 10)
    want = Want(B, WRITE, 0, 10)
    first = table.setlkw(want, operation="same", now_ns=0)
    again = table.setlkw(want, operation="same", now_ns=5)
    assert again.result == first.result
    assert not again.delta
    assert len(table.waiters()) == 1


def test_the_queue_is_bounded() -> None:
    table = RangeTable(waiters_max=2)
    lock(table, A, WRITE, 0, 10)
    assert isinstance(wait(table, B, READ, 0, 1).result, Waiting)
    assert isinstance(wait(table, C, READ, 0, 1).result, Waiting)
    assert error(wait(table, D, READ, 0, 1)) is Errno.EBUSY


def test_a_waiter_for_whom_there_is_no_row_left_is_told_so() -> None:
    table = RangeTable(rows_max=2)
    lock(table, A, WRITE, 0, 10)
    lock(table, B, WRITE, 10, 10)
    wait(table, C, READ, 2, 2)
    (push,) = lock(table, A, READ, 0, 10).pushes
    assert isinstance(push.result, Denied)
    assert push.result.error is Errno.ENOLCK
    assert not table.waiters()


# --- waits that would never end ------------------------------------------------------------


def test_of_two_readers_who_both_want_to_write_the_second_is_told_at_once() -> None:
    table = RangeTable()
    lock(table, A, READ, 0, 10)
    lock(table, B, READ, 0, 10)
    assert isinstance(wait(table, A, WRITE, 0, 10).result, Waiting)
    assert error(wait(table, B, WRITE, 0, 10)) is Errno.EDEADLK
    assert pieces(table, B) == [(0, 9, READ)]
    assert pushed(table.unlck(B, 0, 10)) == [A]


@pytest.mark.parametrize("length", [2, 3, 11, 60])
def test_a_circle_through_many_keys_is_found_however_long(length: int) -> None:
    """The kernel gives up after ten."""
    graph = WaitGraph()
    tables = [RangeTable(graph) for _ in range(length)]
    owners = [Owner("s", 1, f"{number}") for number in range(length)]
    for owner, table in zip(owners, tables, strict=True):
        lock(table, owner, WRITE, 0, 10)
    for owner, table in zip(owners, tables[1:], strict=False):
        assert isinstance(wait(table, owner, WRITE, 0, 10).result, Waiting)
    assert error(wait(tables[0], owners[-1], READ, 9, 1)) is Errno.EDEADLK
    assert isinstance(wait(tables[0], Owner("s", 1, "another"), READ, 9, 1).result, Waiting)


def test_a_circle_is_found_behind_any_of_those_in_the_way() -> None:
    """The kernel looks at the first one only, and finds this circle when that one is gone."""
    one, two = tables = [RangeTable(graph := WaitGraph()), RangeTable(graph)]
    lock(one, B, READ, 0, 10)
    lock(one, C, READ, 0, 10)
    lock(one, D, READ, 0, 10)
    lock(two, A, WRITE, 0, 10)
    wait(two, C, WRITE, 0, 10)
    assert error(wait(one, A, WRITE, 0, 10)) is Errno.EDEADLK
    assert [len(table.waiters()) for table in tables] == [0, 1]


def test_tables_that_share_no_graph_see_no_circle() -> None:
    """Two nodes: that is why a wait there has a deadline."""
    one, two = RangeTable(), RangeTable()
    lock(one, A, WRITE, 0, 10)
    lock(two, B, WRITE, 0, 10)
    wait(two, A, WRITE, 0, 10)
    assert isinstance(wait(one, B, WRITE, 0, 10).result, Waiting)


def test_an_owner_that_was_granted_something_while_it_waited_may_be_stuck_and_can_be_told() -> None:
    graph = WaitGraph()
    one, two = RangeTable(graph), RangeTable(graph)
    lock(one, B, WRITE, 0, 10)
    lock(two, C, READ, 0, 10)
    wait(one, A, WRITE, 0, 10)
    wait(two, B, WRITE, 0, 10)
    assert graph.stuck(A) == []
    assert isinstance(lock(two, A, READ, 0, 10).result, Locked)
    assert [waiter.owner for _, waiter in graph.stuck(A)] == [A]


def test_a_closed_table_is_in_no_ones_way() -> None:
    graph = WaitGraph()
    one, two = RangeTable(graph), RangeTable(graph)
    lock(one, A, WRITE, 0, 10)
    wait(one, B, WRITE, 0, 10)
    lock(two, B, WRITE, 0, 10)
    one.close()
    assert graph.waits_of(B) == []
    assert isinstance(wait(two, A, WRITE, 0, 10).result, Waiting)


def test_behind_a_fair_waiter_one_waits_for_it_too() -> None:
    """A holds what B waits for; C must not pass B; so A, which waits for C, must not wait behind B for C's bytes."""
    graph = WaitGraph()
    one, two = RangeTable(graph), RangeTable(graph)
    lock(one, A, READ, 0, 10)
    wait(one, B, WRITE, 0, 10, fair=True)
    assert error(wait(one, A, WRITE, 0, 10)) is Errno.EDEADLK
    lock(two, C, WRITE, 0, 10)
    assert isinstance(wait(one, C, READ, 0, 10).result, Waiting)
    assert error(wait(two, A, READ, 0, 1)) is Errno.EDEADLK


def test_a_fair_request_does_not_wait_behind_a_wait_for_itself_though_that_one_is_not_fair() -> None:
    table = RangeTable()
    lock(table, A, READ, 0, 10)
    lock(table, D, READ, 7, 2)
    wait(table, C, WRITE, 1, 2)
    assert error(wait(table, A, WRITE, 1, 3, fair=True)) is Errno.EDEADLK
    assert isinstance(lock(table, A, WRITE, 1, 3).result, Locked)


def test_a_circle_behind_fair_waiters_of_other_ranges_is_found() -> None:
    """What was found in the way of one waiter is not what is in the way of a later or a stricter one."""
    graph = WaitGraph()
    one, two = RangeTable(graph), RangeTable(graph)
    lock(one, A, WRITE, 0, 10)
    lock(two, D, WRITE, 0, 10)
    wait(one, B, READ, 0, 5, fair=True)
    wait(one, C, WRITE, 4, 6, fair=True)
    assert isinstance(wait(two, A, WRITE, 0, 5).result, Waiting)
    assert error(wait(one, D, READ, 9, 1)) is Errno.EDEADLK


def test_a_replica_that_hears_of_each_change_is_equal() -> None:
    table, replica = RangeTable(), RangeTable()
    for step in (
        lock(table, A, WRITE, 0, 10),
        wait(table, B, READ, 0, 5),
        wait(table, C, WRITE, 0, 5),
        table.unlck(A, 0, 5),
        table.release_owner(C),
    ):
        replica.apply(step.delta, now_ns=0)
        assert step.delta
    assert replica.to_record(0) == table.to_record(0)
    assert waiting(replica) == []
    with pytest.raises(KeyError):
        replica.apply(step.delta, now_ns=0)
