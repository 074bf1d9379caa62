"""What becomes of a mutation that waits for the backup when the view changes.

Elsewhere: the records that move (test_inbox), what waits (test_requests).
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockcore.core.events import EventKind
from lockcore.core.limits import GENERATION_HEADROOM
from lockcore.core.messages import BatchStatus, Code, Lock, Outcome, PeerAck, Released, Unlock, ViewUpdate
from lockcore.core.region import EVERYWHERE
from lockcore.core.ring import HashRing
from lockcore.core.view import Grace, MemberId, View
from tests.lockcore.core.bench import Bench, granted, record, refused


def waiting() -> tuple[Bench, str, int]:
    """Return a node with a fresh grant that its backup has not accepted."""
    bench = Bench(peers=("b:2", "c:3")).settle()
    key = bench.key("a:1", "b:2")
    return bench, key, bench.call(Lock(key, 5_000, "ada"))


def test_a_fresh_grant_of_a_view_that_was_missed_is_taken_back() -> None:
    """P3: somebody else may have been primary meanwhile, and may have granted the lock."""
    bench, key, call = waiting()
    bench.view(skips=True)
    assert refused(bench.answers.get(call)).code is Code.HANDOFF
    assert not bench.knows(key)


def test_a_fresh_grant_is_never_acknowledged_in_a_grace() -> None:
    """P3: found by simulation: alone after a double failure, a laggard acknowledged what it had decided long before."""
    bench, key, call = waiting()
    bench.view(skips=True, without=["b:2", "c:3"], grace=Grace(EVERYWHERE, 60_000))
    bench.acknowledge_heartbeats()
    assert refused(bench.answers.get(call)).code is Code.HANDOFF
    assert refused(bench.acquire(key)).code is Code.RECOVERING


def test_a_fresh_grant_is_not_handed_to_a_new_primary() -> None:
    """P3: a promoted backup may have granted the lock already, to somebody else and at a lower generation."""
    bench, key, call = waiting()
    heir = joins(bench, key)
    bench.view()
    assert refused(bench.answers.get(call)).moved_to == heir.address
    assert all(r.key != key for batch in bench.batches(heir.address) for r in batch.transfers)


def after_a_release(*, told: bool) -> tuple[Bench, str, int, int]:
    """Return a node that granted, released (the backup has it or not), and granted again (the backup has not)."""
    bench = Bench(peers=("b:2", "c:3")).settle()
    key = bench.key("a:1", "b:2")
    first = bench.call(Lock(key, 5_000, "ada"))
    bench.take_in("b:2")
    unlock = bench.call(Unlock(key, granted(bench.answers.get(first)).token))
    if told:
        bench.take_in("b:2")
    return bench, key, unlock, bench.call(Lock(key, 5_000, "bob"))


@pytest.mark.parametrize("skips", [False, True], ids=["carried", "missed a view"])
def test_what_was_released_before_a_grant_that_is_taken_back_stays_released(skips: bool) -> None:  # noqa: FBT001 - a parameter
    """P3: found by simulation: the backup in the next view, it vouched for nothing, and an older copy came back."""
    bench, key, _, call = after_a_release(told=True)
    heir = joins(bench, key)
    bench.view(skips=skips)
    assert refused(bench.answers.get(call)).code is Code.HANDOFF
    ack = bench.send(heir.address, replicas=(record(key, bench.lease(key).generation, remaining_ms=30_000),))
    assert ack is not None
    assert ack.replicas == (Outcome.STALE,)
    assert bench.lease(key).gone


def test_an_unlock_before_a_grant_that_is_taken_back_goes_to_the_new_primary() -> None:
    """It is of a lock that was acknowledged: the heir, who may have a copy of it, is told that it was released."""
    bench, key, unlock, call = after_a_release(told=False)
    heir = joins(bench, key)
    bench.view()
    assert refused(bench.answers.get(call)).code is Code.HANDOFF
    assert unlock not in bench.answers
    handed = [r for batch in bench.batches(heir.address) for r in batch.transfers if r.key == key]
    assert [r.gone for r in handed] == [True]
    bench.take_in(heir.address)
    assert unlock not in bench.answers  # the heir's backup has to know as well
    bench.answer_forward(heir.address, Released())
    assert bench.answers[unlock] == Released(moved_to=heir.address)


def joins(bench: Bench, key: str) -> MemberId:
    """Have a node that will be primary of a key be in the next view."""
    heir = MemberId(next(a for a in (f"j:{i}" for i in range(500)) if _takes(a, key)), 1)
    bench.peers[heir.address] = heir
    return heir


def _takes(address: str, key: str) -> bool:
    return HashRing(["a:1", "b:2", "c:3", address]).primary(key) == address


def test_a_fresh_grant_waits_on_where_its_node_stays_primary() -> None:
    """The request waits for a view with another backup (the pair rule); nobody else can have granted it."""
    bench, _, call = waiting()
    bench.view(down=["b:2"])
    bench.take_in("c:3")
    bench.take_in_all()
    assert granted(bench.answers.get(call)).generation > 0


def test_a_peer_in_another_view_does_not_lift_generations() -> None:
    """Else what a laggard grants would stand above what its successor has granted in the newer view."""
    bench, key, _ = waiting()
    batch = bench.batches("b:2")[-1]
    far = bench.number + GENERATION_HEADROOM
    bench.hear(PeerAck(bench.peers["b:2"], bench.me, far, batch.lsn, BatchStatus.WRONG_VIEW, (), (), far))
    other = bench.key("a:1", "c:3")
    call = bench.call(Lock(other, 5_000, "ada"))
    bench.take_in("c:3")
    assert granted(bench.answers.get(call)).generation < far
    assert bench.knows(key)


def test_a_fenced_node_promotes_its_copies_only_when_it_may_serve_again() -> None:
    """P1, N1: found by simulation: after a pause it promoted what had been released in a view still on its way."""
    bench = Bench(peers=("b:2", "c:3")).settle()
    key = bench.key("b:2", "a:1")
    bench.send("b:2", replicas=(record(key, 50, remaining_ms=30_000),))
    bench.wait(5_000)
    bench.tell(ViewUpdate(following(bench, down="b:2")))
    assert not promotions(bench)
    bench.wait(500)
    bench.acknowledge_heartbeats()
    assert promotions(bench) == [key]


def following(bench: Bench, down: str) -> View:
    """Return the next view, which nobody has acknowledged a heartbeat in yet."""
    known = bench.core.view
    assert known is not None
    bench.number = known.number + 1_000
    members = tuple(replace(m, down=m.address == down) for m in known.members)
    return View(bench.number, known.version, members, known.number)


def promotions(bench: Bench) -> list[str]:
    return [fact.key for fact in bench.facts() if fact.kind is EventKind.PROMOTED]
