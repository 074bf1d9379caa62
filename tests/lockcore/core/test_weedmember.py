"""A member of a SeaweedFS ring: whose turn it is, who has to be asked, and who has to be told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lockcore.core.limits import NS_PER_S
from lockcore.core.operations import Code, FindOwner, Granted, Lock, OwnerIs, Refused, Released, Unlock
from lockcore.core.ring import HashRing
from lockcore.core.weedlocks import LockState
from lockcore.core.weedmember import FENCE_NS, HANDOVER_NS, Ask, Errand, Forward, WeedMember

if TYPE_CHECKING:
    from collections.abc import Iterable

ME, A, B, C = "127.0.0.1:1.11", "127.0.0.1:2.12", "127.0.0.1:3.13", "127.0.0.1:4.14"
T = 1_000 * NS_PER_S
LATER = T + HANDOVER_NS
LEASE = 60 * NS_PER_S


def key_of(
    servers: Iterable[str], primary: str, backup: str = "", *, before: Iterable[tuple[Iterable[str], str]] = ()
) -> str:
    """Return a key with these owners, and (`before`) another primary on other rings."""
    ring = HashRing(servers)
    earlier = [(HashRing(each), owner) for each, owner in before]
    return next(
        key
        for key in (f"key/{i}" for i in range(100_000))
        if ring.primary(key) == primary
        and (not backup or ring.backup(key) == backup)
        and all(each.primary(key) == owner for each, owner in earlier)
    )


def member(*others: str, now_ns: int = T - HANDOVER_NS) -> WeedMember:
    """Return a member of a ring with these others, for long enough that nobody has to be asked."""
    one = WeedMember(ME)
    one.see(others)
    one.adopt((ME, *others), 1, now_ns)
    return one


def lock(key: str, token: str = "", ttl_ms: int = 60_000) -> Lock:
    return Lock(key, ttl_ms, "ada", token)


def granted(one: WeedMember, key: str, now_ns: int = T) -> Granted:
    answer = one.decide(lock(key), now_ns, new_token="t1")
    assert isinstance(answer, Granted)
    return answer


def copy(key: str, generation: int = 5) -> LockState:
    return LockState(key, "theirs", "bob", generation, 2, LEASE)


def code(answer: object) -> Code:
    assert isinstance(answer, Refused)
    return answer.code


# --- requests ------------------------------------------------------------------------------


def test_a_member_serves_its_arc_by_seaweedfs_rules() -> None:
    one, key = member(A), key_of((ME, A), ME)
    first = granted(one, key)
    assert (first.token, first.generation, first.seq) == ("t1", 1, 1)
    refused = one.decide(lock(key), T)
    assert isinstance(refused, Refused)
    assert (refused.text, refused.owner) == ("lock already owned by ada", "ada")
    assert code(one.decide(lock(key, "else"), T)) is Code.TOKEN_MISMATCH
    renewed = one.decide(lock(key, "t1"), T + 1, new_token="t2")
    assert isinstance(renewed, Granted)
    assert (renewed.token, renewed.generation, renewed.seq) == ("t2", 1, 2)
    assert one.decide(FindOwner(key), T + 1) == OwnerIs("ada", 1, 60_000)
    assert code(one.decide(Unlock(key, "else"), T + 1)) is Code.TOKEN_MISMATCH
    assert one.decide(Unlock(key, "t2"), T + 1) == Released()
    assert code(one.decide(Unlock(key, "t2"), T + 1)) is Code.NOT_FOUND
    assert code(one.decide(FindOwner(key), T + 1)) is Code.NOT_FOUND
    assert code(one.decide(lock(key, "t2"), T + 1)) is Code.TOKEN_ON_NEW
    assert granted(one, key).generation == 2


def test_an_expired_owner_counts_as_missing() -> None:
    one, key = member(A), key_of((ME, A), ME)
    granted(one, key)
    over = T + LEASE
    assert code(one.decide(FindOwner(key), over)) is Code.NOT_FOUND
    assert code(one.decide(lock(key, "t1"), over)) is Code.TOKEN_ON_EXPIRED
    assert granted(one, key, over).generation == 2


@pytest.mark.parametrize(
    "request_",
    [
        Lock("", 1_000, "ada"),
        Lock("k", 0, "ada"),
        Lock("k", 86_401_000, "ada"),
        Lock("k" * 5_000, 1_000, "ada"),
        Lock("k", 1_000, "a" * 2_000),
        Unlock("k", "t" * 3_000),
    ],
)
def test_a_request_that_is_wrong_is_told_so(request_: Lock | Unlock) -> None:
    assert code(member().decide(request_, T)) is Code.INVALID


def test_what_another_serves_is_sent_there_once() -> None:
    """Two filers that each think the other is the primary must not send a request to and fro (W15)."""
    one, key = member(A), key_of((ME, A), A)
    for request in (lock(key), Unlock(key, "t"), FindOwner(key)):
        assert one.decide(request, T) == Forward(A)
        answer = one.decide(request, T, moved=True)
        assert isinstance(answer, Refused)
        assert (answer.code, answer.moved_to) == (Code.NOT_SERVING, A)


def test_before_the_ring_has_us_nothing_is_served() -> None:
    one = WeedMember(ME)
    assert code(one.decide(lock("k"), T)) is Code.NOT_SERVING
    one.see((A,))
    one.adopt((A,), 1, T)
    assert code(one.decide(lock("k"), T)) is Code.NOT_SERVING


# --- a key that somebody else served ----------------------------------------------------------


def test_who_served_a_key_before_us_is_asked_before_it_is_granted() -> None:
    """A ring changes before the locks do: what we know nothing of may be held (W1)."""
    one = member(A, now_ns=T)
    key = key_of((ME, A), ME, before=(((A,), A),))
    for request in (lock(key), lock(key, "theirs"), Unlock(key, "theirs"), FindOwner(key)):
        assert one.decide(request, T) == Ask((A,))
    assert isinstance(one.decide(lock(key), T, new_token="t", cleared=True), Granted)
    assert code(one.decide(lock(key), T)) is Code.HELD


def test_nobody_is_asked_for_ever_nor_who_is_gone() -> None:
    one = member(A, B, now_ns=T)
    key = key_of((ME, A, B), ME, before=(((A, B), A),))
    assert one.decide(lock(key), LATER - 1) == Ask((A,))
    assert isinstance(one.decide(lock(key), LATER, new_token="t"), Granted)
    two = member(A, B, now_ns=T)
    two.adopt((ME, B), 2, T)
    assert isinstance(two.decide(lock(key), T, new_token="t"), Granted)


def test_what_was_handed_over_is_served_at_once_with_its_token() -> None:
    one = member(A, now_ns=T)
    key = key_of((ME, A), ME, before=(((A,), A),))
    assert one.take_over(copy(key), T)
    assert code(one.decide(lock(key), T)) is Code.HELD
    renewed = one.decide(lock(key, "theirs"), T, new_token="t2")
    assert isinstance(renewed, Granted)
    assert (renewed.generation, renewed.seq) == (5, 3)


def test_rings_are_adopted_in_their_order() -> None:
    """After a change of masters an older one may be told last."""
    one = member(A)
    assert one.adopt((ME, B), 7, T)
    assert not one.adopt((ME, C), 6, T)
    assert one.ring.servers == tuple(sorted((ME, B)))
    assert not one.adopt((ME, B), 7, T)


# --- copies ------------------------------------------------------------------------------------


def test_a_copy_is_served_when_its_primary_is_gone() -> None:
    """Same token, same generation: a fail-over is none of the holder's concern."""
    one, key = member(A, B), key_of((ME, A, B), A, ME)
    assert one.take_copy(copy(key), T)
    assert one.decide(lock(key, "theirs"), T) == Forward(A)
    one.adopt((ME, B), 2, T)
    renewed = one.decide(lock(key, "theirs"), T, new_token="t2")
    assert isinstance(renewed, Granted)
    assert renewed.generation == 5
    assert renewed.seq > 3


def test_a_copy_that_arrives_where_it_is_served_is_the_lock() -> None:
    """Its sender does not know yet that it is not the primary any more."""
    one, key = member(A), key_of((ME, A), ME)
    one.take_copy(copy(key), T)
    assert code(one.decide(lock(key), T)) is Code.HELD
    assert isinstance(one.decide(lock(key, "theirs"), T, new_token="t"), Granted)


def test_a_copy_goes_to_the_new_primary_when_the_old_one_is_gone() -> None:
    """A filer that joins while another dies serves keys of which only the backup knows who holds them."""
    before, after = (ME, A, B), (ME, B, C)
    ring, new = HashRing(before), HashRing(after)
    key = next(
        k for k in (f"key/{i}" for i in range(100_000)) if ring.owners(k) == (A, ME) and new.owners(k) == (C, ME)
    )
    one = member(A, B)
    one.take_copy(copy(key), T)
    assert one.errand(key, T) is None
    one.adopt(after, 2, T)
    errand = one.errand(key, T)
    assert errand == Errand(C, copy(key), transfer=True)
    one.done(errand)
    assert one.errand(key, T) is None
    held = one.locks.get(key)
    assert held is not None
    assert not held.serving


# --- who has to be told ------------------------------------------------------------------------


def test_each_change_is_for_the_backup_in_its_newest_state() -> None:
    one, key = member(A, B), key_of((ME, A, B), ME, A)
    granted(one, key)
    errand = one.errand(key, T)
    assert errand is not None
    assert (errand.target, errand.transfer, errand.state.order) == (A, False, (1, 1))
    one.decide(lock(key, "t1"), T, new_token="t2")
    one.done(errand)
    newer = one.errand(key, T)
    assert newer is not None
    assert (newer.state.order, newer.state.token) == ((1, 2), "t2")
    one.done(newer)
    assert one.errand(key, T) is None
    one.decide(Unlock(key, "t2"), T)
    gone = one.errand(key, T)
    assert gone is not None
    assert (gone.target, gone.state.gone, gone.state.order) == (A, True, (1, 3))
    one.adopt((ME, B), 2, T)
    other = one.errand(key, T)
    assert other is not None
    assert other.target == B


def test_a_lock_that_changes_under_way_is_sent_again_before_it_is_given_up() -> None:
    """SeaweedFS sends what it has read before, then deletes what the holder has meanwhile renewed (W4)."""
    one, key = member(A), key_of((ME, A, B), B, ME, before=(((ME, A), ME),))
    granted(one, key)
    one.adopt((ME, A, B), 2, T)
    errand = one.errand(key, T)
    assert errand is not None
    assert (errand.target, errand.transfer) == (B, True)
    renewed = one.decide(lock(key, "t1"), T, new_token="t2")
    assert isinstance(renewed, Granted)
    one.done(errand)
    again = one.errand(key, T)
    assert again is not None
    assert (again.state.token, again.state.seq) == ("t2", 2)
    one.done(again)
    assert one.errand(key, T) is None
    assert one.decide(lock(key, "t2"), T) == Forward(B)


def test_the_holder_is_served_until_the_new_primary_has_its_lock_and_nobody_else_is() -> None:
    one, key = member(A), key_of((ME, A, B), B, before=(((ME, A), ME),))
    granted(one, key)
    one.adopt((ME, A, B), 2, T)
    assert one.decide(lock(key), T) == Forward(B)
    assert one.decide(FindOwner(key), T, moved=True) == OwnerIs("ada", 1, 60_000)
    assert one.decide(Unlock(key, "t1"), T, moved=True) == Released()
    errand = one.errand(key, T)
    assert errand is not None
    assert (errand.target, errand.transfer, errand.state.gone) == (B, False, True)
    one.done(errand)
    assert one.errand(key, T) is None


def test_what_came_by_a_ring_that_is_not_known_yet_is_not_sent_back() -> None:
    """Whoever sent it has a newer ring, and has given it up: sent back it would be nobody's."""
    one = WeedMember(ME)
    one.see((A, B))
    one.adopt((A, B), 1, T)
    key = key_of((ME, A, B), ME, before=(((A, B), A),))
    one.take_over(copy(key), T)
    assert one.errand(key, T) is None
    one.adopt((ME, A, B), 2, T)
    errand = one.errand(key, T)
    assert errand is not None
    assert not errand.transfer
    two = WeedMember(ME)
    two.adopt((A, B), 1, T)
    two.take_over(copy(key), T)
    assert key in two.tick(LATER)
    late = two.errand(key, LATER)
    assert late is not None
    assert (late.target, late.transfer) == (A, True)


def test_who_leaves_hands_everything_over_and_serves_holders_until_it_is_gone() -> None:
    one, key = member(A, B), key_of((ME, A, B), ME, A)
    granted(one, key)
    one.leave()
    errand = one.errand(key, T)
    assert errand is not None
    assert (errand.target, errand.transfer) == (HashRing((A, B)).primary(key), True)
    one.done(errand)
    assert one.errand(key, T) is None
    assert isinstance(one.decide(lock(key, "t1"), T, new_token="t2"), Granted)
    again = one.errand(key, T)
    assert again is not None
    assert again.state.token == "t2"
    assert code(one.decide(lock(key_of((ME, A, B), ME, B)), T)) is Code.HANDOFF
    theirs = key_of((ME, A, B), A, ME)
    one.take_copy(copy(theirs), T)
    assert one.errand(theirs, T) is None


# --- without a master ----------------------------------------------------------------------------


def test_without_a_master_nothing_fresh_is_granted() -> None:
    """The ring may have gone on without us; a holder is served, as long as the backup agrees (the shell sees to it)."""
    one, held = member(A), key_of((ME, A), ME)
    granted(one, held)
    one.lose(T)
    one.lose(T + FENCE_NS)
    assert one.lost
    other = next(k for k in (f"free/{i}" for i in range(99)) if one.ring.primary(k) == ME)
    assert isinstance(one.decide(lock(other), T + FENCE_NS - 1, new_token="t"), Granted)
    free = next(k for k in (f"more/{i}" for i in range(99)) if one.ring.primary(k) == ME)
    assert code(one.decide(lock(free), T + FENCE_NS)) is Code.HANDOFF
    assert isinstance(one.decide(lock(held, "t1"), T + FENCE_NS, new_token="t2"), Granted)
    assert not one.adopt((ME, A), 1, T + FENCE_NS)
    assert isinstance(one.decide(lock(free), T + FENCE_NS, new_token="t"), Granted)


def test_who_was_away_while_the_ring_changed_serves_nothing_from_before_until_it_is_confirmed() -> None:
    """Its heir may have released the lock, and granted it to somebody else (W3)."""
    one, key = member(A), key_of((ME, A), ME)
    granted(one, key)
    state = one.locks.get(key)
    assert state is not None
    ours = state.state(T)
    one.lose(T)
    one.adopt((ME, A), 9, T)
    for request in (lock(key), lock(key, "t1"), Unlock(key, "t1")):
        assert one.decide(request, T) == Ask((A,))
    assert one.errand(key, T) is None
    assert not one.take_over(ours, T)
    assert isinstance(one.decide(lock(key, "t1"), T, new_token="t2"), Granted)


def test_what_the_heir_has_changed_takes_the_place_of_what_we_had() -> None:
    one, key = member(A), key_of((ME, A), ME)
    granted(one, key)
    one.lose(T)
    one.adopt((ME, A), 9, T)
    assert one.take_over(replace(copy(key, generation=2), token="new"), T)
    assert code(one.decide(lock(key, "t1"), T)) is Code.TOKEN_MISMATCH
    assert isinstance(one.decide(lock(key, "new"), T, new_token="t2"), Granted)


def test_what_nobody_has_claimed_after_an_absence_is_served_again() -> None:
    """Better a lock that is kept for too long than one that is given to another."""
    one, key = member(A), key_of((ME, A), ME)
    granted(one, key)
    one.lose(T)
    one.adopt((ME, A), 9, T)
    assert key in one.tick(LATER)
    assert code(one.decide(lock(key), LATER)) is Code.HELD
    errand = one.errand(key, LATER)
    assert errand is not None
    assert errand.target == A


def test_a_full_table_refuses_and_forgets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    one, key = member(A), key_of((ME, A), ME)
    granted(one, key)
    monkeypatch.setattr("lockcore.core.weedlocks.LOCKS_MAX", 1)
    other = next(k for k in (f"more/{i}" for i in range(99)) if one.ring.primary(k) == ME)
    assert code(one.decide(lock(other), T)) is Code.OVERLOADED
    assert not one.take_copy(copy("yet another"), T)
    assert one.take_copy(replace(copy(key), generation=2), T)


def test_a_copy_of_which_we_are_not_the_backup_any_more_is_dropped_when_its_primary_has_it() -> None:
    """The new backup is told by the primary."""
    before, after = HashRing((ME, A)), HashRing((ME, A, B))
    keys = (f"key/{i}" for i in range(100_000))
    key = next(k for k in keys if before.owners(k) == (A, ME) and after.owners(k) == (A, B))
    one = member(A)
    one.take_copy(copy(key), T)
    one.adopt((ME, A, B), 2, T)
    errand = one.errand(key, T)
    assert errand == Errand(A, copy(key), transfer=True)
    one.done(errand)
    assert one.locks.get(key) is None
