"""What waits while locks move or after they were lost: acquiring, the transfer window, the grace.

Elsewhere: the table of requests (test_serving), completeness (test_handover).
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockcore.core import serving
from lockcore.core.events import Event, EventKind
from lockcore.core.limits import NS_PER_MS
from lockcore.core.messages import (
    Code,
    Emit,
    FindOwner,
    Forward,
    ForwardReply,
    Granted,
    Lock,
    Outcome,
    Released,
    SendPeer,
    Unlock,
)
from lockcore.core.region import EVERYWHERE
from lockcore.core.ring import HashRing
from lockcore.core.tokens import TokenClaims, TokenMint
from lockcore.core.view import Grace, MemberId
from tests.lockcore.core.bench import SECRET, VIEW_1, Bench, granted, record, refused

C = MemberId("c:3", 1)


# --- acquiring -------------------------------------------------------------------------------


def test_a_fresh_acquisition_waits_until_the_range_is_handed_over() -> None:
    """S1: whoever served this range before may hold a lock there that this node has not heard of."""
    bench = Bench()
    bench.view()
    call = bench.call(Lock(bench.key("a:1"), 5_000, "ada"))
    assert call not in bench.answers
    bench.seal()
    bench.take_in_all()
    assert granted(bench.answers[call])


def test_a_parked_acquisition_meets_the_lock_that_was_handed_over_meanwhile() -> None:
    """S1: this is the grant that SeaweedFS gives away at each join (300 of 300)."""
    bench = Bench()
    bench.view()
    key = bench.key("a:1")
    call = bench.call(Lock(key, 5_000, "ada"))
    bench.send("b:2", transfers=(record(key, 50),))
    bench.seal()
    bench.take_in_all()
    assert refused(bench.answers[call]).owner == "eve"


def test_who_may_not_park_is_told_to_come_again_in_words_its_client_retries_on() -> None:
    bench = Bench()
    bench.view()
    answer = refused(bench.ask(Lock(bench.key("a:1"), 5_000, "ada"), may_park=False))
    assert (answer.code, answer.text) == (Code.HANDOFF, "lock already owned by ring-handoff")


def test_parking_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Q2: a handover that takes long must not eat the memory."""
    monkeypatch.setattr(serving, "PARKED_MAX", 2)
    bench = Bench()
    bench.view()
    calls = [bench.call(Lock(bench.key("a:1", nth=i), 5_000, "ada")) for i in range(3)]
    assert [c in bench.answers for c in calls] == [False, False, True]
    assert refused(bench.answers[calls[2]]).code is Code.OVERLOADED


@pytest.mark.parametrize("bound", ["LOCKS_MAX", "PENDING_MAX", "FORWARDS_MAX"])
def test_every_other_waiting_place_is_bounded_too(bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Q2."""
    monkeypatch.setattr(serving, bound, 1)
    bench = Bench().settle()
    owner = "b:2" if bound == "FORWARDS_MAX" else "a:1"
    calls = [bench.call(Lock(bench.key(owner, nth=i), 5_000, "ada")) for i in range(2)]
    assert calls[0] not in bench.answers
    assert refused(bench.answers[calls[1]]).code is Code.OVERLOADED


# --- the transfer window -----------------------------------------------------------------------


def window(backup: str | None = None) -> tuple[Bench, str, str]:
    """Return a bench that holds a lock whose primary has just become somebody else."""
    bench = Bench().settle()
    bench.peers["c:3"] = C
    after = HashRing(["a:1", "b:2", "c:3"])
    moving = (k for k in (bench.key("a:1", nth=i) for i in range(200)) if after.primary(k) == "c:3")
    key = next(k for k in moving if backup in (None, after.backup(k)))
    token = granted(bench.acquire(key)).token
    bench.view()
    return bench, key, token


def test_the_old_primary_serves_the_holder_until_the_new_one_has_the_lock() -> None:
    """8860:transfer-window. S2: the client would be redirected to a node that does not have the lock yet.

    The renewal is handed over with the lock, and the new primary has its backup accept it before anybody is told.
    """
    bench, key, token = window()
    seq = bench.lease(key).seq
    call = bench.call(Lock(key, 5_000, "ada", token))
    assert bench.lease(key).seq > seq  # served here; what is handed over is the renewed lock
    bench.take_in_all()
    assert call not in bench.answers
    bench.answer_forward("c:3", Granted("lr1.new", "ada", 5, 9, 5_000))
    answer = granted(bench.answers.get(call))
    assert answer.moved_to == "c:3"
    assert not bench.lease(key).serving


def test_the_old_primary_serves_nobody_else_in_the_window() -> None:
    """8860:transfer-window-others. S2: a fresh acquisition is for the new primary to decide; here it is passed on."""
    bench, key, _ = window()
    for token in ("", "lr1.other"):
        bench.call(Lock(key, 5_000, "bob", token))
    sent = [e.message for e in bench.out if isinstance(e, SendPeer) and isinstance(e.message, Forward)]
    assert [f.operation.key for f in sent] == [key, key]


def test_an_unlock_in_the_window_reaches_the_new_primary_as_a_tombstone() -> None:
    """8860:transfer-window-unlock. S5: and is told of once that node and its backup know of it."""
    bench, key, token = window()
    call = bench.call(Unlock(key, token))
    bench.live(20)
    bench.take_in_all()
    transfers = [r for b in bench.batches("c:3") for r in b.transfers if r.key == key]
    assert transfers[-1].gone
    assert call not in bench.answers
    assert not told(bench, EventKind.RELEASED)
    bench.answer_forward("c:3", Released())
    assert bench.answers[call] == Released(moved_to="c:3")
    assert len(told(bench, EventKind.RELEASED)) == 1


def test_an_unlock_that_the_new_primary_is_asked_for_is_told_of_when_it_answers_however_late() -> None:
    """S5: found by simulation (seed 2011309): its caller's time was up, and it was told of as if it were confirmed."""
    bench, key, token = window()
    call = bench.call(Unlock(key, token), timeout_ms=200)
    bench.take_in_all()
    bench.live(300)
    assert refused(bench.answers.get(call)).code is Code.TIMEOUT
    assert not told(bench, EventKind.RELEASED)
    bench.answer_forward("c:3", Released())
    assert len(told(bench, EventKind.RELEASED)) == 1
    assert 0 not in bench.answers


@pytest.mark.parametrize("again", [False, True], ids=["released there too", "granted again there"])
def test_an_unlock_that_the_new_primary_went_on_without_is_asked_for_there(again: bool) -> None:  # noqa: FBT001
    """Found by simulation (seeds 2108165, 2449368): it may be released there by another request, told of already."""
    bench, key, token = window(backup="a:1")
    call = bench.call(Unlock(key, token))
    generation = bench.lease(key).generation + (VIEW_1 + 50 if again else 0)
    newer = record(key, generation, bench.lease(key).seq + 100, gone=not again)
    answer = bench.send("c:3", replicas=(newer,))
    assert answer is not None
    assert answer.replicas == (Outcome.ACCEPTED,)
    refusal = refused(bench.answers.get(call))
    assert (refusal.code, refusal.moved_to) == (Code.MOVED, "c:3")
    assert not told(bench, EventKind.RELEASED)


def test_who_asks_again_for_the_release_of_a_lock_that_has_another_holder_since_is_told_that_it_is_released() -> None:
    """S5: the unlock was carried out before; it must not fail, nor touch the new holder's lock."""
    bench = Bench().settle()
    key = bench.key("a:1", "b:2")
    token = granted(bench.acquire(key)).token
    assert bench.ask(Unlock(key, token)) == Released()
    new = granted(bench.acquire(key, "bob"))
    bench.hear(Forward(bench.peers["b:2"], 1, Unlock(key, token), 5_000, may_park=True, again=True))
    bench.take_in_all()
    assert replies(bench) == [ForwardReply(bench.me, 1, Released())]
    assert bench.lease(key).generation == new.generation
    assert not bench.lease(key).gone


def test_who_becomes_primary_again_before_it_handed_over_outranks_what_the_other_did_meanwhile() -> None:
    """W10: found by simulation (seed 2501051): a lock came back that was released here, renewed at its heir before."""
    bench, key, token = window()
    del bench.peers["c:3"]
    bench.view()
    assert bench.lease(key).serving
    bench.call(Unlock(key, token))
    assert bench.lease(key).seq >= bench.number
    renewed = replace(record(key, bench.lease(key).generation, bench.number - 500), token=token)
    assert bench.send("b:2", transfers=(renewed,)) is not None
    assert bench.lease(key).gone


def test_what_was_decided_before_its_node_is_primary_again_outranks_what_the_other_did_meanwhile() -> None:
    """P5: found by simulation (seed 5001250 with sessions): the release was told, and the lock came back."""
    bench, key, token = window()
    unlocked = bench.call(Unlock(key, token))
    del bench.peers["c:3"]
    bench.view()
    bench.take_in_all()
    assert bench.answers.get(unlocked) == Released()
    queued = replace(record(key, bench.lease(key).generation, bench.number - 500), token=token)
    bench.send("b:2", transfers=(queued,))
    assert bench.lease(key).gone


def test_who_was_not_the_last_primary_hands_over_a_copy_however_long_it_has_served() -> None:
    """S7: found by simulation (seed 2600477): the primary between had released the lock, and granted it again."""
    bench, key, _ = window()

    def served(address: str) -> list[bool]:
        return [r.served for batch in bench.batches(address) for r in batch.transfers if r.key == key]

    assert set(served("c:3")) == {True}
    heir = MemberId(next(a for a in (f"j:{i}" for i in range(500)) if _takes(a, key)), 1)
    bench.peers[heir.address] = heir
    bench.view()
    assert bench.lease(key).serving
    assert set(served(heir.address)) == {False}


def _takes(address: str, key: str) -> bool:
    return HashRing(["a:1", "b:2", "c:3", address]).primary(key) == address


def told(bench: Bench, kind: EventKind) -> list[Event]:
    """Return the facts of a kind that were told of."""
    return [e.event for e in bench.out if isinstance(e, Emit) and e.event.kind is kind]


def test_the_new_primary_confirms_an_unlock_once_its_backup_knows() -> None:
    """S5: asked again by who handed the tombstone over; anybody else hears that there is no such lock."""
    bench = Bench().settle()
    key = bench.key("a:1", "b:2")
    token = granted(bench.acquire(key)).token
    assert bench.ask(Unlock(key, token)) == Released()
    asked = Forward(bench.peers["b:2"], 1, Unlock(key, token), 5_000, may_park=True)
    bench.hear(asked)
    (answer,) = replies(bench)
    assert refused(answer.result).code is Code.NOT_FOUND
    bench.hear(replace(asked, forward_id=2, again=True))
    assert len(replies(bench)) == 1
    bench.take_in_all()
    assert replies(bench)[1:] == [ForwardReply(bench.me, 2, Released())]


def replies(bench: Bench) -> list[ForwardReply]:
    """Return the answers to peers."""
    return [e.message for e in bench.out if isinstance(e, SendPeer) and isinstance(e.message, ForwardReply)]


def test_an_unlock_whose_caller_has_gone_is_confirmed_all_the_same_before_it_is_told_of() -> None:
    """S5: found by simulation: a released lock was promoted. Nobody waits for the answer, but facts must be true."""
    bench, key, token = window()
    call = bench.call(Unlock(key, token), timeout_ms=50)
    bench.live(100)
    assert refused(bench.answers.get(call)).code is Code.TIMEOUT
    bench.take_in_all()
    assert not told(bench, EventKind.RELEASED)
    bench.answer_forward("c:3", Released())
    assert len(told(bench, EventKind.RELEASED)) == 1
    assert 0 not in bench.answers


# --- after a double failure ---------------------------------------------------------------------


def in_grace() -> tuple[Bench, str]:
    """Return a bench whose whole range was lost with both its owners."""
    bench = Bench(peers=())
    bench.view(grace=Grace(EVERYWHERE, 30_000))
    return bench, "k"


def dead_mans_token(key: str, *, expires_in_ms: int = 20_000, seq: int = 3) -> str:
    """Return what this cluster gave to the holder of a lock that no living node knows."""
    bench = Bench()
    wall_ms = bench.now.wall_ns // NS_PER_MS + expires_in_ms
    return TokenMint(SECRET).make(key, TokenClaims(90, seq, wall_ms, "ada"))


def test_in_a_grace_nobody_gets_a_fresh_lock() -> None:
    """A3: an unexpired holder may exist whom nobody living knows."""
    bench, key = in_grace()
    assert refused(bench.acquire(key)).code is Code.RECOVERING
    assert refused(bench.ask(FindOwner(key))).code is Code.RECOVERING


def test_in_a_grace_a_holder_comes_back_by_its_token_with_its_generation() -> None:
    bench, key = in_grace()
    answer = granted(bench.renew(key, dead_mans_token(key)))
    assert (answer.generation, answer.owner) == (90, "ada")
    assert EventKind.READMITTED in {f.kind for f in bench.facts()}
    assert refused(bench.acquire(key, "bob")).owner == "ada"


def test_in_a_grace_a_holder_may_also_release() -> None:
    bench, key = in_grace()
    assert bench.unlock(key, dead_mans_token(key)) == Released()
    assert refused(bench.renew(key, dead_mans_token(key))).code is Code.TOKEN_ON_EXPIRED


@pytest.mark.parametrize(
    "token", ["lr1.forged", dead_mans_token("k", expires_in_ms=-1), dead_mans_token("another key")]
)
def test_in_a_grace_no_other_token_is_good(token: str) -> None:
    bench, key = in_grace()
    assert refused(bench.renew(key, token)).code is Code.TOKEN_ON_NEW


def test_after_the_grace_the_range_is_open_and_old_tokens_are_not() -> None:
    bench, key = in_grace()
    bench.live(30_000)
    assert refused(bench.renew(key, dead_mans_token(key, expires_in_ms=60_000))).code is Code.TOKEN_ON_NEW
    assert granted(bench.acquire(key, "bob")).owner == "bob"
