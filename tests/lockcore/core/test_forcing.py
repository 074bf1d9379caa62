"""An operator takes a lock away from its holder."""

from __future__ import annotations

import pytest

from lockcore.core.events import EventKind
from lockcore.core.messages import Code, Emit, FindOwner, ForceRelease, KeepAlive, Lock, Released, SessionIs
from tests.lockcore.core.bench import Bench, granted, refused
from tests.lockcore.core.sessionworld import Client, Cluster

REASON = "its owner left on Friday"


def test_a_lock_that_an_operator_releases_is_free_when_the_pair_knows_and_its_reason_is_kept() -> None:
    bench = Bench().settle()
    key = bench.key("a:1", "b:2")
    held = granted(bench.acquire(key))
    call = bench.call(ForceRelease(key, held.generation, REASON))
    assert call not in bench.answers
    bench.take_in_all()
    assert bench.answers[call] == Released()
    (fact,) = [e.event for e in bench.out if isinstance(e, Emit) and e.event.kind is EventKind.RELEASED]
    assert (fact.key, fact.generation, fact.detail) == (key, held.generation, f"by an operator: {REASON}")
    assert refused(bench.ask(FindOwner(key))).code is Code.NOT_FOUND
    assert refused(bench.ask(Lock(key, 5_000, "ada", held.token))).code is Code.TOKEN_ON_EXPIRED
    assert granted(bench.acquire(key, "bob")).generation > held.generation


def test_a_lock_that_has_changed_hands_since_is_not_touched() -> None:
    """The operator decided about another holder."""
    bench = Bench().settle()
    key = bench.key("a:1")
    held = granted(bench.acquire(key))
    answer = refused(bench.ask(ForceRelease(key, held.generation - 1, REASON)))
    assert answer.code is Code.NOT_HELD
    assert "ada holds it" in answer.text
    assert not bench.lease(key).gone


@pytest.mark.parametrize(
    ("generation", "reason", "says"), [(0, REASON, "generation"), (5, " ", "why"), (5, "x" * 501, "at most 500 bytes")]
)
def test_what_is_missing_is_said(generation: int, reason: str, says: str) -> None:
    bench = Bench().settle()
    answer = refused(bench.ask(ForceRelease(bench.key("a:1"), generation, reason)))
    assert answer.code is Code.INVALID
    assert says in answer.text


def test_only_the_primary_does_it_and_only_when_it_decides() -> None:
    """Nobody passes it on: it is about what one node was seen to hold."""
    bench = Bench().settle()
    elsewhere = refused(bench.ask(ForceRelease(bench.key("b:2"), 5, REASON)))
    assert (elsewhere.code, elsewhere.moved_to) == (Code.NOT_PRIMARY, "b:2")
    assert refused(bench.ask(ForceRelease(bench.key("a:1"), 5, REASON))).code is Code.NOT_FOUND


def test_a_lock_of_a_session_goes_to_the_next_in_its_queue_and_its_holder_is_told_by_the_digest() -> None:
    cluster = Cluster()
    key = cluster.key("b:2")
    ada, bob = Client(cluster, "ada", 30_000), Client(cluster, "bob", 30_000)
    held = granted(ada.lock(key))
    waiting = bob.wait_for(key)
    answer = cluster.world.ask("b:2", ForceRelease(key, held.generation, REASON))
    assert isinstance(answer, Released)
    assert granted(waiting.answer()).generation > held.generation
    kept = cluster.world.ask("b:2", KeepAlive(ada.proof, 30_000, "ada"))
    assert isinstance(kept, SessionIs)
    assert kept.held is not None
    assert kept.held.locks == 0
