"""The rules of sessions and byte ranges against histories made by hand: each fault is found, each near miss is not."""

from __future__ import annotations

import pytest

from lockcore.core.limits import ANSWERS_KEPT
from lockcore.core.messages import (
    Code,
    EndSession,
    Granted,
    HeldRange,
    How,
    RangeDenied,
    RangeLocked,
    Refused,
    Released,
    Result,
    SessionProof,
)
from lockcore.core.rangerecords import Errno, Kind
from lockcore.core.region import EVERYWHERE
from lockcore.testing.history import History
from lockcore.testing.rangehistory import check_ranges
from lockcore.testing.record import Call, Did
from lockcore.testing.sessionhistory import check_sessions
from lockcore.testing.sessionrecord import NEVER_NS, Asked, Attempt, Deal, Life, SessionHistory

MS = 1_000_000
WAITING = Refused(Code.WAITING, "")


class Past:
    """A history that grows by what a test says."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.history = SessionHistory()
        self.tokens = History()
        self.ops = 0

    def life(self, name: str, until_ms: int = 10_000) -> Life:
        """Return a session that its client believes in until a time."""
        life = Life(name, SessionProof(name, 1, ""), 1_000, 0, until_ms * MS)
        self.history.lives.append(life)
        return life

    def deal(self, life: Life, did: Asked, at_ms: int, result: Result | None, took_ms: int = 1) -> Deal:
        """Return an operation that was asked and answered once."""
        self.ops += 1
        deal = Deal(life, self.ops, did, "k", EndSession(life.proof), at_ms * MS)
        done_ns = (at_ms + took_ms) * MS
        deal.attempts.append(Attempt(at_ms * MS, "a:1", done_ns if result else NEVER_NS, result))
        if result is not None:
            deal.result, deal.done_ns = result, done_ns
        self.history.deals.append(deal)
        return deal

    def lock(self, life: Life, at_ms: int, generation: int, took_ms: int = 1) -> Deal:
        """Acquire a named lock."""
        return self.deal(life, Asked.LOCK, at_ms, grant(generation), took_ms)

    def unlock(self, deal: Deal, at_ms: int, *, ok: bool = True) -> Deal:
        """Release what an acquisition got."""
        unlock = self.deal(deal.life, Asked.UNLOCK, at_ms, Released() if ok else None)
        unlock.wanted = deal.op_id
        return unlock

    def move(self, life: Life, old: Life, at_ms: int, result: Result) -> Deal:
        """Take a named lock over."""
        deal = self.deal(life, Asked.MOVE, at_ms, result)
        deal.old = old
        return deal

    def wait(self, life: Life, at_ms: int, told_ms: int, granted_ms: int = 0, generation: int = 0) -> Deal:
        """Queue, be told of the place, and perhaps be granted."""
        deal = self.deal(life, Asked.LOCK, at_ms, None)
        deal.wait_ms = None
        deal.attempts[0].returned_ns, deal.attempts[0].result = told_ms * MS, WAITING
        if granted_ms:
            deal.attempts.append(Attempt((told_ms + 1) * MS, "a:1", granted_ms * MS, grant(generation)))
            deal.result, deal.done_ns = grant(generation), granted_ms * MS
        return deal

    def span(  # noqa: PLR0913, PLR0917 - what a range is made of
        self, life: Life, did: Asked, at_ms: int, fence: int, kind: Kind = Kind.WRITE, last: int = 3
    ) -> Deal:
        """Lock or unlock bytes 0 to `last`; fence 0: no answer."""
        result = (
            RangeLocked("", (HeldRange("", "", "o", kind, 0, last + 1, fence),)) if did is Asked.SET else Released()
        )
        deal = self.deal(life, did, at_ms, result if fence else None)
        deal.lock_owner, deal.kind, deal.first, deal.last = "o", kind, 0, last
        return deal

    def rules(self) -> list[str]:
        """Return which rules are broken."""
        found = [*check_sessions(self.history, self.tokens), *check_ranges(self.history)]
        return sorted({v.rule for v in found})


def grant(generation: int, how: How = How.ACQUIRED) -> Granted:
    return Granted("", "", generation, 1, 1_000, how=how)


# --- named locks ----------------------------------------------------------------------------


def test_two_sessions_that_hold_at_once_are_found_and_one_after_the_other_is_not() -> None:
    past = Past()
    ada, bob = past.life("ada"), past.life("bob")
    first = past.lock(ada, 0, 1)
    past.unlock(first, 100, ok=False)
    past.lock(bob, 101, 2)
    assert past.rules() == []
    past.lock(ada, 200, 3)
    assert past.rules() == ["S1"]


def test_a_hold_ends_with_what_its_client_believes_of_its_session() -> None:
    for asked_ms, rules in ((499, []), (498, ["S1"])):
        past = Past()
        past.lock(past.life("ada", until_ms=500), 0, 1)
        past.lock(past.life("bob"), asked_ms, 2)
        assert past.rules() == rules


def test_a_session_and_a_token_that_hold_at_once_are_found() -> None:
    past = Past()
    past.lock(past.life("ada"), 0, 1)
    past.tokens.calls.append(Call("eve", Did.ACQUIRE, "k", 100 * MS, 1_000, 101 * MS, True, 2, 1, "t"))
    assert past.rules() == ["S1"]


def test_a_generation_that_falls_or_is_granted_twice_is_found() -> None:
    past = Past()
    ada, bob = past.life("ada"), past.life("bob")
    past.unlock(past.lock(ada, 0, 5), 10)
    past.unlock(past.lock(bob, 20, 4), 30)
    assert past.rules() == ["S2"]
    past = Past()
    ada, bob = past.life("ada"), past.life("bob")
    past.unlock(past.lock(ada, 0, 5), 10)
    past.unlock(past.lock(bob, 20, 5), 30)
    assert past.rules() == ["S2"]


def test_a_grant_past_a_place_that_was_told_of_before_is_found() -> None:
    past = Past()
    ada, bob = past.life("ada"), past.life("bob")
    past.wait(ada, 0, told_ms=100, granted_ms=500, generation=9)
    passing = past.lock(bob, 101, 8)
    past.unlock(passing, 110)
    assert past.rules() == ["S3"]
    passing.invoked_ns = 100 * MS  # nobody knows who of the two came first
    assert past.rules() == []


def test_who_left_the_queue_is_passed() -> None:
    past = Past()
    ada, bob = past.life("ada"), past.life("bob")
    place = past.wait(ada, 0, told_ms=100)
    past.unlock(place, 150)
    past.lock(bob, 151, 8)
    assert past.rules() == []


def test_a_place_that_moved_ends_when_its_client_is_told_so() -> None:
    """It keeps the deadline of the operation that took it (seed 7010264)."""
    past = Past()
    old, ada, bob = past.life("old"), past.life("ada"), past.life("bob")
    took = past.wait(old, 0, told_ms=1)
    took.life.end_asked_ns = 2 * MS
    place = past.wait(ada, 0, told_ms=100)
    place.wait_ms, place.result, place.done_ns = 500, Refused(Code.HELD, ""), 110 * MS
    passing = past.lock(bob, 120, 8)
    assert past.rules() == ["S3"]
    place.place = took
    assert past.rules() == []
    place.done_ns = 130 * MS
    assert passing.done_ns < place.done_ns
    assert past.rules() == ["S3"]
    took.wait_ms = 115  # the place was over, and nobody was there to be told
    assert past.rules() == []
    took.wait_ms = 1_000
    assert past.rules() == ["S3"]
    place.wait_ms = 115
    assert past.rules() == []


def test_what_is_held_must_migrate_and_keep_its_generation() -> None:
    for result, rules in (
        (grant(5, How.MIGRATED), []),
        (grant(6, How.MIGRATED), ["S4"]),
        (grant(6), ["S4"]),
        (Refused(Code.NOT_HELD, ""), ["S4"]),
    ):
        past = Past()
        old, new = past.life("old"), past.life("new")
        past.lock(old, 0, 5)
        past.move(new, old, 100, result)
        assert past.rules() == rules, result


def test_what_was_released_must_not_migrate() -> None:
    past = Past()
    old, new = past.life("old"), past.life("new")
    past.unlock(past.lock(old, 0, 5), 50)
    past.move(new, old, 100, grant(5, How.MIGRATED))
    assert past.rules() == ["S4"]


def test_an_operation_that_was_carried_out_twice_is_found() -> None:
    past = Past()
    deal = past.lock(past.life("ada"), 0, 5)
    again = Attempt(10 * MS, "b:2", 11 * MS, grant(5))
    deal.attempts.append(again)
    assert past.rules() == []
    again.result = grant(6)
    assert past.rules() == ["S5"]


@pytest.mark.parametrize("others", [ANSWERS_KEPT - 1, ANSWERS_KEPT])
def test_an_operation_that_comes_again_after_its_answer_was_forgotten_is_a_new_one(others: int) -> None:
    """Answers are kept in bounds, and replicated with the lock."""
    past = Past()
    ada, bob = past.life("ada"), past.life("bob")
    deal = past.lock(ada, 0, 5)
    past.unlock(deal, 2, ok=False)
    for i in range(others):
        past.unlock(past.lock(bob, 10 + 10 * i, 6 + i), 15 + 10 * i)
    deal.attempts.append(Attempt(500 * MS, "b:2", 501 * MS, grant(6 + others)))
    assert past.rules() == (["S5"] if others < ANSWERS_KEPT else [])


def test_a_grant_after_an_unlock_that_was_acknowledged_is_found() -> None:
    past = Past()
    deal = past.lock(past.life("ada"), 0, 5)
    past.unlock(deal, 20)
    deal.attempts.append(Attempt(22 * MS, "b:2", 23 * MS, grant(5)))
    assert past.rules() == ["S5"]


def test_a_session_that_is_over_gets_nothing() -> None:
    past = Past()
    ada = past.life("ada")
    ada.end_asked_ns, ada.end_told_ns = 50 * MS, 60 * MS
    past.lock(ada, 61, 5)
    assert past.rules() == ["S6"]


def test_a_session_that_is_said_to_be_over_gets_nothing_when_two_leases_have_passed() -> None:
    """Found by simulation (seeds 6019039, 7017874): nodes learn of an end, and of a lapse, one after the other."""
    past = Past()
    ada = past.life("ada", until_ms=40)
    ada.lost_ns = 50 * MS
    past.lock(ada, 2_050, 5)
    assert past.rules() == []
    past.deal(ada, Asked.SET, 2_051, Released())
    assert past.rules() == ["S6"]


def test_a_denial_is_no_success_for_a_session_that_is_over() -> None:
    past = Past()
    ada = past.life("ada")
    ada.end_told_ns = 50 * MS
    past.deal(ada, Asked.SET, 60, RangeDenied(Errno.EINTR, ""))
    assert past.rules() == []
    past.deal(ada, Asked.SET, 70, Released())
    assert past.rules() == ["S6"]


def test_a_session_that_was_extended_is_not_over_unless_state_has_died() -> None:
    past = Past()
    past.life("ada").lost_ns = 500 * MS
    assert past.rules() == ["S7"]
    past.history.losses.append((400 * MS, EVERYWHERE))
    assert past.rules() == []
    past.history.losses.clear()
    past.history.emptied_ns = 600 * MS
    assert past.rules() == ["S7"]
    past.history.emptied_ns = 400 * MS  # who holds nothing is not waited for when the last node leaves
    assert past.rules() == []


# --- byte ranges ------------------------------------------------------------------------------


def test_conflicting_bytes_at_once_are_found_and_shared_ones_are_not() -> None:
    past = Past()
    ada, bob = past.life("ada"), past.life("bob")
    past.span(ada, Asked.SET, 0, 1, Kind.READ)
    past.span(bob, Asked.SET, 10, 2, Kind.READ)
    assert past.rules() == []
    past.span(bob, Asked.SET, 20, 3, Kind.WRITE)
    assert past.rules() == ["R1"]


def test_a_byte_is_believed_in_no_longer_than_until_its_unlock_is_asked() -> None:
    past = Past()
    ada, bob = past.life("ada"), past.life("bob")
    past.span(ada, Asked.SET, 0, 1)
    past.span(ada, Asked.CLEAR, 10, 0)
    past.span(bob, Asked.SET, 10, 2)
    assert past.rules() == []


def test_a_fence_that_falls_among_conflicting_grants_is_found() -> None:
    past = Past()
    ada, bob = past.life("ada"), past.life("bob")
    past.span(ada, Asked.SET, 0, 5)
    past.span(ada, Asked.CLEAR, 10, 1)
    past.span(bob, Asked.SET, 20, 4)
    assert past.rules() == ["R2"]


def test_a_grant_past_a_fair_wait_is_found() -> None:
    past = Past()
    ada, bob = past.life("ada"), past.life("bob")
    past.span(bob, Asked.CLEAR, 0, 1, last=12)
    wait = past.span(ada, Asked.SET, 1, 9)
    wait.fair, wait.wait_ms = True, None
    wait.attempts.insert(0, Attempt(MS, "a:1", 100 * MS, WAITING))
    wait.attempts[1].returned_ns = wait.done_ns = 300 * MS
    passing = past.span(bob, Asked.SET, 101, 8)
    past.span(bob, Asked.CLEAR, 110, 1)
    assert past.rules() == ["R3"]
    wait.fair = False
    assert past.rules() == []
    passing.fair = True
    assert past.rules() == ["R3"]
    past.history.circles.append((102 * MS, "ada", "k"))
    assert past.rules() == []
    past.history.circles = [(102 * MS, "bob", "k"), (102 * MS, "ada", "another")]
    assert past.rules() == ["R3"]
    beside = past.span(bob, Asked.SET, 50, 0, last=12)
    assert past.rules() == []  # it may have been granted first, and the other is a part of it then
    beside.lock_owner = "another"
    assert past.rules() == ["R3"]


def test_a_range_operation_that_was_carried_out_twice_is_found() -> None:
    past = Past()
    deal = past.span(past.life("ada"), Asked.SET, 0, 5)
    other = RangeLocked("", (HeldRange("", "", "o", Kind.WRITE, 0, 4, 6),))
    deal.attempts.append(Attempt(10 * MS, "b:2", 11 * MS, other))
    assert past.rules() == ["R4"]


def test_a_migration_that_is_told_again_tells_of_what_is_held_then() -> None:
    """Its pieces may have been merged with others meanwhile; twice carried out, the second finds nothing."""
    past = Past()
    deal = past.span(past.life("new"), Asked.SET, 0, 5)
    deal.did, deal.old, deal.kind = Asked.MIGRATE, past.life("old"), None
    first, second = (
        RangeLocked("", (HeldRange("", "", "o", Kind.WRITE, 0, 4, fence),), How.MIGRATED) for fence in (5, 6)
    )
    deal.result = deal.attempts[0].result = first
    again = Attempt(10 * MS, "b:2", 11 * MS, second)
    deal.attempts.append(again)
    assert past.rules() == []
    again.result = RangeLocked("", second.pieces, How.ACQUIRED)
    assert past.rules() == ["R4"]


def test_a_range_that_is_held_must_migrate() -> None:
    past = Past()
    old, new = past.life("old"), past.life("new")
    past.span(old, Asked.SET, 0, 5)
    move = past.span(new, Asked.SET, 10, 5)
    move.did, move.old, move.kind = Asked.MIGRATE, old, None
    assert past.rules() == ["R5"]
    new.until_ns = 9 * MS  # who is over may be told so
    assert past.rules() == []
    new.until_ns = old.until_ns
    piece = HeldRange("", "", "o", Kind.WRITE, 0, 4, 5)
    move.result = move.attempts[0].result = RangeLocked("", (piece,), How.MIGRATED)
    assert past.rules() == []
