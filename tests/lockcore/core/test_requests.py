"""Requests wait in bounded places and are answered once.

Elsewhere: what they are answered (test_serving).
"""

from __future__ import annotations

from typing import NoReturn

import pytest

from lockcore.core import requests
from lockcore.core.limits import KEY_BYTES_MAX, LEASE_MS_MAX, LEASE_MS_MIN, OWNER_BYTES_MAX, TOKEN_BYTES_MAX
from lockcore.core.messages import Code, FindOwner, Lock, Operation, Released, Unlock
from lockcore.core.requests import Desk, Pending, Request, fault_of, invalid
from lockcore.core.view import MemberId


def ask(key: str = "k", deadline_ns: int = 100) -> Request:
    return Request(Lock(key, 5_000, "ada"), deadline_ns, may_park=True)


@pytest.mark.parametrize(
    "operation",
    [
        Lock("k", LEASE_MS_MIN, ""),
        Lock("k" * KEY_BYTES_MAX, LEASE_MS_MAX, "o" * OWNER_BYTES_MAX, "t" * TOKEN_BYTES_MAX),
        Unlock("\u00e9" * (KEY_BYTES_MAX // 2), "t"),
        FindOwner("k"),
    ],
)
def test_what_is_within_the_bounds_has_no_fault(operation: Operation) -> None:
    assert fault_of(operation) is None


@pytest.mark.parametrize(
    ("operation", "advice"),
    [
        (Lock("", 5_000, "ada"), "1 to 4096 bytes"),
        (FindOwner(""), "1 to 4096 bytes"),
        (Lock("k" * (KEY_BYTES_MAX + 1), 5_000, "ada"), "1 to 4096 bytes"),
        (Unlock("\u00e9" * (KEY_BYTES_MAX // 2 + 1), "t"), "1 to 4096 bytes"),
        (Lock("\ud800", 5_000, "ada"), "valid UTF-8"),
        (Lock("k", 5_000, "\udfff"), "valid UTF-8"),
        (Lock("k", 5_000, "o" * (OWNER_BYTES_MAX + 1)), "at most 1024 bytes"),
        (Lock("k", LEASE_MS_MIN - 1, "ada"), "ask for less and renew"),
        (Lock("k", LEASE_MS_MAX + 1, "ada"), "ask for less and renew"),
        (Lock("k", -1, "ada"), "100 to 60000 ms"),
        (Lock("k", 5_000, "ada", "t" * (TOKEN_BYTES_MAX + 1)), "too long"),
        (Unlock("k", "t" * (TOKEN_BYTES_MAX + 1)), "too long"),
        (Unlock("k", ""), "needs the renew token"),
    ],
)
def test_bad_input_is_told_what_is_wrong_and_what_to_do(operation: Operation, advice: str) -> None:
    """A lease above the longest is refused, not shortened: SeaweedFS's answer has no field to say so (W17)."""
    text = fault_of(operation)
    assert text is not None
    assert advice in text
    assert invalid(text).code is Code.INVALID


def test_parked_requests_come_back_first_come_first() -> None:
    desk = Desk()
    first, second, answered = ask(), ask(), ask()
    for request in (first, answered, second):
        desk.park(request)
    answered.done = True
    assert desk.parked_count == 3
    assert desk.unpark("k") == [first, second]
    assert desk.unpark("k") == []
    assert desk.parked_count == 0


def test_settling_takes_out_what_the_pair_has_and_no_more() -> None:
    """Acknowledging seq 2 also acknowledges seq 1: one lock's states are in order."""
    desk = Desk()
    for order in ((5, 1), (5, 2), (6, 1)):
        desk.expect("k", Pending(order, None, Released(), None))
    assert [p.order for p in desk.settle("k", (5, 2))] == [(5, 1), (5, 2)]
    assert desk.settle("k", (5, 9)) == []
    assert desk.pending_count == 1
    assert [p.order for p in desk.settle("k", (6, 1))] == [(6, 1)]
    assert (desk.pending, desk.pending_count) == ({}, 0)


def test_overdue_requests_come_in_order_of_their_deadlines_and_once() -> None:
    desk = Desk()
    late, later, done = ask(deadline_ns=10), ask(deadline_ns=20), ask(deadline_ns=5)
    for request in (later, done, late):
        desk.watch(request)
    done.done = True
    assert desk.next_deadline_ns() == 10
    assert desk.overdue(9) == []
    assert desk.overdue(20) == [late, later]
    assert desk.overdue(99) == []
    assert desk.next_deadline_ns() is None


def test_a_forgotten_request_waits_nowhere_and_its_mutation_stays() -> None:
    """Q1: the mutation may still reach the backup, but its answer has been given."""
    desk = Desk()
    parked, forwarded, pending = ask(), ask(), ask()
    desk.park(parked)
    forward_id = desk.forward(forwarded, "b:2")
    desk.expect("k", Pending((5, 1), pending, Released(), None))
    assert desk.forwards[forward_id].target == "b:2"
    assert desk.forget(parked) is None
    assert desk.forget(forwarded) is None
    kept = desk.forget(pending)
    assert kept is not None
    assert kept.request is None
    assert (desk.parked, desk.parked_count, desk.forwards, desk.pending_count) == ({}, 0, {}, 1)


class Untouchable(dict[int, Request]):
    """A dictionary that nobody may walk through."""

    def items(self) -> NoReturn:
        """Refuse."""
        raise AssertionError("all forwards were looked at")

    __iter__ = values = keys = items


def test_forgetting_one_request_does_not_look_at_all_the_others() -> None:
    """They come due together when a node hangs: quadratic work would cost this node its own lease."""
    desk = Desk()
    request = ask()
    forward_id = desk.forward(request, "b:2")
    desk.forwards = Untouchable(desk.forwards)
    desk.forget(request)
    assert forward_id not in desk.forwards


def test_forgetting_who_watches_does_not_look_at_the_others() -> None:
    """A key that thousands watch: together they come due, and the node would lose its own lease."""
    desk = Desk()
    watchers = [ask() for _ in range(3)]
    for request in watchers:
        desk.look(request)
    desk.watching["k"] = OneByOne(desk.watching["k"])
    desk.forget(watchers[1])
    assert desk.watching_count == 2
    desk.watching["k"] = dict(desk.watching["k"])
    assert desk.looking("k") == [watchers[0], watchers[2]]
    assert not desk.watching_count


class OneByOne(dict[Request, None]):
    """A dict that nobody may go through."""

    def __iter__(self) -> NoReturn:
        raise AssertionError("all of it was gone through")


def test_deadlines_are_not_tidied_up_for_each_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for those that wait elsewhere than here, such as keep-alives while a node is silent."""
    tidied = 0

    def count(_: object) -> None:
        nonlocal tidied
        tidied += 1

    monkeypatch.setattr(requests, "heapify", count)
    desk = Desk()
    for i in range(5_000):
        desk.watch(ask(deadline_ns=i))
    assert tidied < 5


def test_a_request_knows_whether_it_had_its_one_hop() -> None:
    assert not ask().forwarded
    assert Request(FindOwner("k"), 1, may_park=True, one_hop=True).forwarded
    assert Request(FindOwner("k"), 1, may_park=True, peer=MemberId("b:2", 1)).forwarded
