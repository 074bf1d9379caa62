"""What a client is answered: the table of DESIGN 4, and where it is asked.

Elsewhere: the lease rules (test_leases), what peers send (test_inbox).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lockcore.core.events import EventKind
from lockcore.core.messages import (
    BatchStatus,
    Code,
    FindOwner,
    Forward,
    ForwardReply,
    Granted,
    Lock,
    Outcome,
    OwnerIs,
    PeerAck,
    Released,
    Result,
    SendPeer,
    Unlock,
)
from tests.lockcore.core.bench import Bench, granted, refused

if TYPE_CHECKING:
    from collections.abc import Callable


# --- the table --------------------------------------------------------------------------


def never_held(_bench: Bench, _key: str) -> str:
    """Return a token that says the right key and was never granted here."""
    elsewhere = Bench(peers=()).settle()
    return granted(elsewhere.acquire(_key)).token


def held(bench: Bench, key: str) -> str:
    return granted(bench.acquire(key)).token


def expired(bench: Bench, key: str) -> str:
    token = held(bench, key)
    bench.live(5_000)
    return token


def released(bench: Bench, key: str) -> str:
    token = held(bench, key)
    assert bench.unlock(key, token) == Released()
    return token


TABLE: list[tuple[Callable[[Bench, str], str], str, Code | type[Granted]]] = [
    (never_held, "no", Granted),
    (never_held, "matching", Code.TOKEN_ON_NEW),
    (never_held, "other", Code.TOKEN_ON_NEW),
    (expired, "no", Granted),
    (expired, "matching", Code.TOKEN_ON_EXPIRED),
    (expired, "other", Code.TOKEN_ON_EXPIRED),
    (released, "no", Granted),
    (released, "matching", Code.TOKEN_ON_EXPIRED),
    (released, "other", Code.TOKEN_ON_EXPIRED),
    (held, "no", Code.HELD),
    (held, "matching", Granted),
    (held, "other", Code.TOKEN_MISMATCH),
]


@pytest.mark.parametrize(("state", "token", "expected"), TABLE)
def test_a_lock_request_is_answered_as_the_table_says(
    state: Callable[[Bench, str], str], token: str, expected: Code | type[Granted]
) -> None:
    """DESIGN 4. A refusal leaves the state as it was."""
    bench = Bench().settle()
    key = bench.key("a:1")
    matching = state(bench, key)
    before = bench.table()
    result = bench.ask(Lock(key, 5_000, "bob", {"no": "", "matching": matching, "other": "lr1.other"}[token]))
    if expected is Granted:
        lease = granted(result)
        assert [le.generation for le in before if le.key == key] <= [lease.generation]
        assert (lease.generation, lease.seq, lease.token) == (*bench.lease(key).order, bench.lease(key).token)
    else:
        assert refused(result).code is expected
        assert bench.table() == before


UNLOCKS: list[tuple[Callable[[Bench, str], str], str, Code | type[Released]]] = [
    (never_held, "matching", Code.NOT_FOUND),
    (expired, "matching", Code.NOT_FOUND),
    (released, "matching", Code.NOT_FOUND),
    (held, "other", Code.TOKEN_MISMATCH),
    (held, "no", Code.INVALID),
    (held, "matching", Released),
]


@pytest.mark.parametrize(("state", "token", "expected"), UNLOCKS)
def test_an_unlock_needs_the_token_of_a_held_lock(
    state: Callable[[Bench, str], str], token: str, expected: Code | type[Released]
) -> None:
    """DESIGN 4. Unlocking an unheld lock is a clear error."""
    bench = Bench().settle()
    key = bench.key("a:1")
    matching = state(bench, key)
    before = bench.table()
    result = bench.ask(Unlock(key, {"no": "", "matching": matching, "other": "lr1.other"}[token]))
    if expected is Released:
        assert result == Released()
        assert bench.lease(key).gone
    else:
        assert refused(result).code is expected
        assert bench.table() == before


def test_a_fresh_grant_has_a_greater_generation_and_a_renewal_the_same() -> None:
    """8860:generation-rises, 8860:generation-stays."""
    bench = Bench().settle()
    key = bench.key("a:1")
    first = granted(bench.acquire(key))
    renewed = granted(bench.renew(key, first.token))
    assert (renewed.generation, renewed.token != first.token) == (first.generation, True)
    assert renewed.seq > first.seq
    bench.unlock(key, renewed.token)
    assert granted(bench.acquire(key, "bob")).generation > first.generation


def test_the_refusal_says_who_holds_it_in_the_words_of_seaweedfs() -> None:
    """Its clients look for "lock already owned"."""
    bench = Bench().settle()
    key = bench.key("a:1")
    held(bench, key)
    answer = refused(bench.acquire(key, "bob"))
    assert (answer.text, answer.owner) == ("lock already owned by ada", "ada")


def test_who_asks_for_the_owner_learns_owner_and_generation_and_never_the_token() -> None:
    bench = Bench().settle()
    key = bench.key("a:1")
    lease = granted(bench.acquire(key))
    found = bench.ask(FindOwner(key))
    assert isinstance(found, OwnerIs)
    assert (found.owner, found.generation) == ("ada", lease.generation)
    assert lease.token not in repr(found)


def test_who_holds_a_lock_is_said_when_the_backup_knows_the_same() -> None:
    """S6: found by simulation (seed 2029738): who had left, and was not told yet, named one who had released it."""
    bench = Bench().settle()
    key = bench.key("a:1", "b:2")
    held(bench, key)
    call = bench.call(FindOwner(key), timeout_ms=1_000)
    assert call not in bench.answers
    asked = bench.batches("b:2")[-1]
    bench.hear(PeerAck(bench.peers["b:2"], bench.me, bench.number + 1, asked.lsn, BatchStatus.WRONG_VIEW))
    bench.live(1_200)
    assert refused(bench.answers.get(call)).code is Code.TIMEOUT
    again = bench.call(FindOwner(key))
    bench.take_in("b:2")
    assert isinstance(bench.answers.get(again), OwnerIs)


def test_an_expired_owner_counts_as_missing() -> None:
    """8860:expired-is-missing."""
    bench = Bench().settle()
    key = bench.key("a:1")
    expired(bench, key)
    assert refused(bench.ask(FindOwner(key))).code is Code.NOT_FOUND


@pytest.mark.parametrize("operation", [Lock("", 5_000, "ada"), Lock("k", 5_000_000, "ada"), Unlock("k", "")])
def test_bad_input_is_refused_at_once_and_changes_nothing(operation: Lock | Unlock) -> None:
    bench = Bench().settle()
    before = bench.table()
    assert refused(bench.ask(operation)).code is Code.INVALID
    assert bench.table() == before


def test_no_fact_ever_carries_a_renew_token() -> None:
    bench = Bench().settle()
    key = bench.key("a:1")
    token = held(bench, key)
    bench.renew(key, "lr1.other")
    granted(bench.renew(key, token))
    bench.unlock(key, bench.lease(key).token)
    assert {EventKind.GRANTED, EventKind.REFUSED, EventKind.RELEASED} <= {f.kind for f in bench.facts()}
    assert "lr1." not in repr(bench.facts())


# --- the pair rule ---------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["grant", "renewal", "unlock"])
def test_a_mutation_is_answered_only_when_the_backup_has_it(what: str) -> None:
    """8860:replicate-after-success. N2. Answered earlier, a crash of this node would give the lock away."""
    bench = Bench().settle()
    key = bench.key("a:1")
    token = "" if what == "grant" else held(bench, key)
    call = bench.call(Unlock(key, token) if what == "unlock" else Lock(key, 5_000, "ada", token))
    assert call not in bench.answers
    bench.take_in("b:2")
    assert isinstance(bench.answers[call], Released if what == "unlock" else Granted)


def test_a_fact_is_emitted_directly_before_the_reply_it_belongs_to() -> None:
    """E1: who has been told has been recorded, and what is recorded was acknowledged."""
    bench = Bench().settle()
    key = bench.key("a:1")
    call = bench.call(Lock(key, 5_000, "ada"))
    assert EventKind.GRANTED not in {f.kind for f in bench.facts()}
    start = len(bench.out)
    bench.take_in("b:2")
    kinds = [type(e).__name__ for e in bench.out[start:]]
    assert kinds.index("Emit") == kinds.index("Reply") - 1
    assert granted(bench.answers[call])


def test_a_fact_names_the_node_that_had_it_too_when_it_was_acknowledged() -> None:
    """Without it nobody could draw afterwards where the copy was; who asks is told no sooner for it."""
    bench = Bench().settle()
    key = bench.key("a:1")
    token = held(bench, key)
    bench.unlock(key, token)
    assert [(f.kind, f.peer) for f in bench.facts() if f.key == key] == [
        (EventKind.GRANTED, "b:2"),
        (EventKind.RELEASED, "b:2"),
    ]


def test_a_fact_of_a_node_that_is_alone_names_nobody() -> None:
    bench = Bench(peers=()).settle()
    granted(bench.acquire("k"))
    assert [f.peer for f in bench.facts() if f.kind is EventKind.GRANTED] == [""]


def test_a_grant_that_its_backup_never_confirmed_is_taken_back() -> None:
    """The client was told that nothing is promised: the key must not stay locked for its TTL.

    8860:failure-is-visible.
    """
    bench = Bench().settle()
    key = bench.key("a:1")
    call = bench.call(Lock(key, 5_000, "ada"), timeout_ms=300)
    bench.wait(300)
    assert refused(bench.answers[call]).code is Code.TIMEOUT
    assert bench.lease(key).gone
    bench.take_in_all()
    assert EventKind.GRANTED not in {f.kind for f in bench.facts()}
    assert granted(bench.acquire(key, "bob")).owner == "bob"


def test_a_grant_that_ended_before_anybody_was_told_is_no_fact_when_the_backup_answers() -> None:
    """Found by simulation: observers were told of grants, one after the other, whose callers had long been refused."""
    bench = Bench(peers=("b:2", "c:3")).settle()
    key = bench.key("a:1", "b:2")
    bench.call(Lock(key, 300, "ada"), timeout_ms=500)
    bench.wait(400)
    second = bench.call(Lock(key, 5_000, "bob"), timeout_ms=5_000)
    bench.wait(200)
    bench.live(600)
    bench.take_in("b:2")
    assert granted(bench.answers.get(second)).owner == "bob"
    assert [f.owner for f in bench.facts() if f.kind is EventKind.GRANTED] == ["bob"]


def test_a_renewal_that_its_backup_never_confirmed_is_not_taken_back() -> None:
    """The holder still has the lock: extending it harms nobody, taking it away would."""
    bench = Bench().settle()
    key = bench.key("a:1")
    token = held(bench, key)
    call = bench.call(Lock(key, 5_000, "ada", token), timeout_ms=300)
    bench.wait(300)
    assert refused(bench.answers[call]).code is Code.TIMEOUT
    assert bench.lease(key).live(bench.now.boot_ns)
    assert granted(bench.renew(key, token)).owner == "ada"


def test_a_request_is_answered_once() -> None:
    """Q1: after its deadline, a late acknowledgement has nobody to tell."""
    bench = Bench().settle()
    key = bench.key("a:1")
    call = bench.call(Lock(key, 5_000, "ada"), timeout_ms=300)
    bench.wait(300)
    bench.take_in_all()
    bench.live(1_000)
    assert bench.answered[call] == 1


def test_a_stale_backup_answer_does_not_grant() -> None:
    bench = Bench().settle()
    key = bench.key("a:1")
    call = bench.call(Lock(key, 5_000, "ada"))
    bench.take_in("b:2", Outcome.STALE)
    assert refused(bench.answers[call]).code is Code.TIMEOUT


def test_with_one_node_there_is_nobody_to_wait_for() -> None:
    """8860:single-skips."""
    bench = Bench(peers=()).settle()
    assert granted(bench.acquire("k"))


# --- where it is asked ------------------------------------------------------------------------


def test_a_node_without_a_view_serves_nothing() -> None:
    """N1, W1: SeaweedFS's nodes grant on the ring they invent for themselves at start."""
    bench = Bench()
    assert refused(bench.acquire("k")).code is Code.NOT_SERVING


def test_a_request_at_the_wrong_node_goes_one_hop_and_says_where_the_lock_lives() -> None:
    """8860:routed-by-ring."""
    bench = Bench().settle()
    key = bench.key("b:2")
    call = bench.call(Lock(key, 5_000, "ada"))
    sent = [e.message for e in bench.out if isinstance(e, SendPeer) and isinstance(e.message, Forward)]
    answer = Granted("t", "ada", 5, 1, 5_000)
    bench.hear(ForwardReply(bench.peers["b:2"], sent[-1].forward_id, answer))
    assert granted(bench.answers[call]).moved_to == "b:2"


@pytest.mark.parametrize("how", ["by a peer", "by a client that was redirected"])
def test_a_request_that_had_its_one_hop_is_never_forwarded_again(how: str) -> None:
    """S3, W15: two nodes that disagree about the ring would play ping-pong, or answer with no token and no error."""
    bench = Bench().settle()
    key = bench.key("b:2")
    if how == "by a peer":
        bench.hear(Forward(bench.peers["b:2"], 7, Lock(key, 5_000, "ada"), 5_000, may_park=True))
        replies = [e.message for e in bench.out if isinstance(e, SendPeer) and isinstance(e.message, ForwardReply)]
        assert len(replies) == 1
        result: Result | None = replies[0].result
    else:
        result = bench.ask(Lock(key, 5_000, "ada"), forwarded=True)
    assert (refused(result).code, refused(result).moved_to) == (Code.NOT_PRIMARY, "b:2")
    assert not [e for e in bench.out if isinstance(e, SendPeer) and isinstance(e.message, Forward)]


def test_a_reply_to_a_forward_from_somebody_else_counts_nothing() -> None:
    bench = Bench(peers=("b:2", "c:3")).settle()
    call = bench.call(Lock(bench.key("b:2"), 5_000, "ada"))
    sent = [e.message for e in bench.out if isinstance(e, SendPeer) and isinstance(e.message, Forward)]
    bench.hear(ForwardReply(bench.peers["c:3"], sent[-1].forward_id, Granted("t", "ada", 5, 1, 5_000)))
    assert call not in bench.answers
