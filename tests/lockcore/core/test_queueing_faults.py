"""What went wrong with sessions under faults, each as small as it can be: found by the simulator."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockcore.core import queueing
from lockcore.core.limits import NS_PER_MS
from lockcore.core.messages import (
    ClearRange,
    Code,
    KeepAlive,
    Leave,
    Lock,
    OpenSession,
    Outcome,
    PeerBatch,
    RangeLocked,
    Refused,
    Released,
    SessionIs,
    SessionProof,
    SessionRecord,
    SetRange,
    Unlock,
    WaiterRecord,
)
from lockcore.core.rangerecords import Kind
from lockcore.core.region import Region
from lockcore.core.tokens import TokenClaims, TokenMint
from lockcore.core.view import Grace
from tests.lockcore.core.bench import BOTH_SEALS, SECRET, VIEW_1, Bench, granted, record, refused
from tests.lockcore.core.sessionworld import Client, Cluster

TTL_MS = 20_000
TTL_NS = TTL_MS * NS_PER_MS
EVERYWHERE = Region.of([(0, 1 << 32)])


def opened(bench: Bench, label: str = "ada") -> SessionProof:
    """Open a session that everybody accepts."""
    result = bench.ask(OpenSession(label, TTL_MS))
    assert isinstance(result, SessionIs), result
    return result.session


def waits(bench: Bench, proof: SessionProof, key: str, op_id: int, timeout_ms: int = 300) -> int:
    """Queue for a lock."""
    return bench.call(Lock(key, 5_000, "ada", "", proof, op_id, wait_ms=None), timeout_ms=timeout_ms)


def test_a_newcomer_says_of_no_session_that_it_is_over_before_it_was_told_of_all() -> None:
    """Its client would give up all that it holds, for a node that does not know yet."""
    proof = opened(Bench(peers=("b:2", "c:3")).settle())
    newcomer = Bench("d:4", ("b:2", "c:3"))
    newcomer.number = VIEW_1 + 1_000
    newcomer.view()
    newcomer.seal("b:2")
    assert refused(newcomer.ask(KeepAlive(proof, TTL_MS))).code is Code.HANDOFF
    newcomer.seal("c:3")
    assert refused(newcomer.ask(KeepAlive(proof, TTL_MS))).code is Code.SESSION_LOST


def test_who_is_behind_says_of_no_session_of_a_later_view_that_it_is_over() -> None:
    """It has a node lease still, and does not know yet that others go on without it."""
    later = Bench(peers=("b:2", "c:3"))
    later.number = VIEW_1 + 1_000_000
    proof = opened(later.settle())
    behind = Bench("b:2", ("a:1", "c:3")).settle()
    assert refused(behind.ask(KeepAlive(proof, TTL_MS))).code is Code.HANDOFF


def test_who_leaves_says_of_no_session_that_it_never_heard_of_that_it_is_over() -> None:
    """Found by simulation (seed 5012155): the others opened it in this view, and answered in the next one."""
    proof = opened(Bench(peers=("b:2", "c:3")).settle())
    leaver = Bench("b:2", ("a:1", "c:3"))
    leaver.number = VIEW_1 + 1_000
    leaver.settle()
    assert refused(leaver.ask(KeepAlive(proof, TTL_MS))).code is Code.SESSION_LOST
    leaver.step(Leave())
    assert refused(leaver.ask(KeepAlive(proof, TTL_MS))).code is Code.HANDOFF


def test_a_grant_that_was_never_confirmed_is_taken_back_though_somebody_queued_behind_it() -> None:
    """W18: the place in the queue changes the state of the lock, but not whose it is."""
    bench = Bench().settle()
    key, proof = bench.key("a:1"), opened(bench)
    call = bench.call(Lock(key, 5_000, "bob"), timeout_ms=300)
    waiting = waits(bench, proof, key, 1, timeout_ms=5_000)
    bench.wait(300)
    assert refused(bench.answers[call]).code is Code.TIMEOUT
    bench.take_in_all()
    assert granted(bench.answers.get(waiting)).owner == "ada"


def test_a_place_is_promised_only_when_the_backup_knows_of_it() -> None:
    """With a primary that dies alone with it, the place would be lost, and whoever asks later would be first."""
    bench = Bench().settle()
    key, proof = bench.key("a:1"), opened(bench)
    granted(bench.acquire(key, "bob", ttl_ms=TTL_MS))
    assert answer_to_a_wait(bench, proof, key).code is Code.TIMEOUT
    bench.take_in_all()
    assert answer_to_a_wait(bench, proof, key).code is Code.WAITING


def answer_to_a_wait(bench: Bench, proof: SessionProof, key: str) -> Refused:
    """Ask for a lock that is held, and run into the deadline."""
    call = waits(bench, proof, key, 7)
    bench.wait(300)
    return refused(bench.answers[call])


def test_who_is_marked_down_answers_for_no_session_that_others_lack() -> None:
    """X1: without links it would have nobody to wait for."""
    bench = Bench(peers=("b:2", "c:3")).settle()
    call = bench.call(OpenSession("ada", TTL_MS))
    bench.take_in("b:2")
    bench.view(down=["a:1"])
    assert refused(bench.answers[call]).code is Code.NOT_SERVING


def test_a_repeated_unlock_is_answered_when_the_backup_has_the_release() -> None:
    """Its first attempt may not have reached the backup yet: who is promoted then would hold the lock on."""
    bench = Bench().settle()
    key, proof = bench.key("a:1"), opened(bench)
    granted(bench.ask(Lock(key, 5_000, "ada", "", proof, 1)))
    bench.call(Unlock(key, "", proof, 1))
    again = bench.call(Unlock(key, "", proof, 1))
    assert again not in bench.answers
    bench.take_in_all()
    assert isinstance(bench.answers[again], Released)


def test_an_extension_at_a_node_that_learned_of_the_session_from_a_lock_lasts_as_long_as_it_was_opened_for() -> None:
    bench = Bench().settle()
    proof = opened(Bench(peers=("b:2", "c:3")).settle())
    bench.core._state.sessions.learn(proof.ref, NS_PER_MS, bench.now.boot_ns)
    assert isinstance(bench.ask(KeepAlive(proof, TTL_MS)), SessionIs)
    bench.live(TTL_MS - 1_000)
    assert isinstance(bench.ask(KeepAlive(proof, TTL_MS)), SessionIs)


def test_who_was_away_for_a_moment_forgets_nothing() -> None:
    """Others still know what they released; if it alone has the rest, nobody else would keep it."""
    bench = Bench(peers=("b:2", "c:3")).settle()
    key, proof = bench.key("a:1"), opened(bench)
    granted(bench.ask(Lock(key, 5_000, "ada", "", proof, 1)))
    bench.wait(2_500)
    bench.number += 1_000
    bench.view()
    assert bench.knows(key)


def test_a_new_primary_changes_no_lock_for_a_session_before_it_knows_all() -> None:
    """An old copy came first: whoever queues on it makes it newer than the lock that is held (two holders)."""
    old, new, third = (opened(Bench(peers=("b:2", "c:3")).settle(), label) for label in ("old", "new", "third"))
    old, new = replace(old, incarnation=VIEW_1 - 2), replace(new, incarnation=VIEW_1 - 1)
    heir = Bench("d:4", ("b:2", "c:3"))
    heir.number = VIEW_1 + 1_000
    heir.view()
    sessions = tuple(SessionRecord(p.ref, TTL_NS, TTL_MS, "") for p in (old, new, third))
    heir.deliver(PeerBatch(heir.peers["c:3"], heir.me, heir.number, 1_000, sessions=sessions))
    key = heir.key("d:4")
    copy = replace(record(key, VIEW_1 + 7, 3), session=old.ref, remaining_ns=TTL_NS)
    moved = replace(record(key, VIEW_1 + 7, 5), session=new.ref, remaining_ns=TTL_NS)
    heir.deliver(PeerBatch(heir.peers["c:3"], heir.me, heir.number, 1_001, transfers=(copy,)))
    call = waits(heir, third, key, 1, timeout_ms=5_000)
    answer = heir.send("b:2", transfers=(moved,))
    assert answer is not None
    assert answer.transfers == (Outcome.ACCEPTED,)
    heir.seal("b:2")
    heir.deliver(PeerBatch(heir.peers["c:3"], heir.me, heir.number, 1_002, seal=BOTH_SEALS))
    lease = heir.lease(key)
    assert lease.session is not None
    assert lease.session.ref == new.ref
    assert [waiter.owner for waiter in lease.waiters] == ["ada"]
    assert call not in heir.answers


def test_a_new_primary_serves_no_copy_of_another_before_it_knows_all() -> None:
    """S7: eve's token is good for an old copy too; renewed on it, her lock would outrank the queue behind it."""
    third = opened(Bench(peers=("b:2", "c:3")).settle(), "third")
    heir = Bench("d:4", ("b:2", "c:3"))
    heir.number = VIEW_1 + 1_000
    heir.view()
    heir.deliver(
        PeerBatch(
            heir.peers["c:3"], heir.me, heir.number, 1_000, sessions=(SessionRecord(third.ref, TTL_NS, TTL_MS, ""),)
        )
    )
    key = heir.key("d:4")
    token = TokenMint(SECRET).make(key, TokenClaims(VIEW_1 + 7, 3, 10**15, "eve"))
    copy = replace(record(key, VIEW_1 + 7, 3), token=token, served=False)
    place = WaiterRecord(third.ref, TTL_NS, 1, "third")
    whole = replace(record(key, VIEW_1 + 7, 4), token=token, waiters=(place,))
    heir.deliver(PeerBatch(heir.peers["c:3"], heir.me, heir.number, 1_001, transfers=(copy,)))
    call = heir.call(Lock(key, 5_000, "eve", token))
    assert call not in heir.answers
    answer = heir.send("b:2", transfers=(whole,))
    assert answer is not None
    assert answer.transfers == (Outcome.ACCEPTED,)
    heir.seal("b:2")
    heir.deliver(PeerBatch(heir.peers["c:3"], heir.me, heir.number, 1_002, seal=BOTH_SEALS))
    heir.take_in_all()
    assert granted(heir.answers.get(call)).seq > 4
    assert [waiter.owner for waiter in heir.lease(key).waiters] == ["third"]


def test_a_holder_that_waited_is_served_on_a_copy_only_when_the_copy_has_become_the_lock() -> None:
    """W10: found by simulation (seed 2430727): renewed before, it got a seq that the primary that died had given."""
    heir = Bench("d:4", ("b:2", "c:3"))
    heir.number = VIEW_1 + 1_000
    heir.view()
    key = heir.key("d:4")
    token = TokenMint(SECRET).make(key, TokenClaims(VIEW_1 + 7, 3, 10**15, "eve"))
    call = heir.call(Lock(key, 5_000, "eve", token))
    heir.seal("b:2")
    copy = replace(record(key, VIEW_1 + 7, 3), token=token, served=False)
    heir.deliver(PeerBatch(heir.peers["c:3"], heir.me, heir.number, 1_001, (), (copy,), BOTH_SEALS))
    heir.take_in_all()
    assert granted(heir.answers.get(call)).seq >= heir.number


def test_an_acquisition_that_its_unlock_overtook_is_not_granted() -> None:
    """U5: forwarded over a slow stream, it comes when its client has given it up elsewhere: granted to nobody."""
    bench = Bench(peers=("b:2", "c:3")).settle()
    proof = opened(bench)
    key = bench.key("a:1")
    assert refused(bench.ask(Unlock(key, "", proof, 7))).code is Code.NOT_FOUND
    assert refused(bench.ask(Lock(key, 5_000, "ada", "", proof, 7))).code is Code.NOT_FOUND
    assert granted(bench.ask(Lock(key, 5_000, "ada", "", proof, 8)))


def test_a_queue_goes_on_when_the_grace_ends() -> None:
    """What was let go of in a grace is granted after it; nobody asks again meanwhile."""
    bench = Bench().settle()
    first, second = opened(bench), opened(bench)
    bench.view(down=["b:2"], grace=Grace(EVERYWHERE, 5_000))
    key = bench.key("a:1")
    token = TokenMint(SECRET).make(key, TokenClaims(VIEW_1 - 3, 1, 0, "ada"))
    granted(bench.ask(Lock(key, 5_000, "ada", token, first, 1)))
    call = waits(bench, second, key, 1, timeout_ms=60_000)
    assert isinstance(bench.ask(Unlock(key, "", first, 1)), Released)
    assert call not in bench.answers
    bench.live(5_200)
    granted(bench.answers.get(call))


def test_a_lock_delay_outlasts_the_tombstone() -> None:
    """A tombstone is forgotten after some ten seconds, a lock-delay may be a minute."""
    cluster = Cluster()
    key = cluster.key("a:1")
    lost, other = Client(cluster, "lost", ttl_ms=2_000), Client(cluster, "other", ttl_ms=60_000)
    granted(lost.lock(key, delay_ms=30_000))
    cluster.world.run_ms(25_000)
    assert refused(other.lock(key)).code is Code.HELD
    cluster.world.run_ms(10_000)
    granted(other.lock(key))


def test_places_are_bounded_over_all_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session may wait a thousand times for each of its keys: that alone is no bound."""
    bench = Bench().settle()
    first, second = opened(bench), opened(bench)
    keys = [bench.key("a:1", nth=n) for n in range(3)]
    for number, key in enumerate(keys, 1):
        granted(bench.ask(Lock(key, 5_000, "ada", "", first, number)))
    monkeypatch.setattr(queueing, "PLACES_MAX", 5)
    kept = [waits(bench, second, keys[0], number) for number in (1, 2)]
    refusal = waits(bench, second, keys[1], 3)
    assert refused(bench.answers[refusal]).code is Code.OVERLOADED
    bench.take_in_all()
    assert isinstance(bench.ask(Unlock(keys[0], "", second, 1)), Released)
    waits(bench, second, keys[1], 4)
    assert set(bench.answers).isdisjoint(kept[1:])
    assert [len(bench.lease(key).waiters) for key in keys] == [1, 1, 0]


@pytest.mark.parametrize("kept", [False, True])
def test_what_a_session_released_is_remembered_until_all_have_settled(kept: bool) -> None:  # noqa: FBT001 - a case
    """A copy of its lock never runs out by itself: who is to drop it, and has not yet, would bring it back."""
    bench = Bench(peers=("b:2", "c:3")).settle()
    key, proof = bench.key("a:1", "b:2"), opened(bench)
    bench.view()
    bench.seal()
    bench.take_in_all()
    granted(bench.ask(Lock(key, 5_000, "ada", "", proof, 1)))
    assert isinstance(bench.ask(Unlock(key, "", proof, 1)), Released)
    assert isinstance(bench.ask(SetRange(key, proof, 2, "t", Kind.WRITE, 0, 10)), RangeLocked)
    assert isinstance(bench.ask(ClearRange(key, proof, 3, "t", 0, 10)), Released)
    if not kept:
        bench.acknowledge_heartbeats(settled=bench.number)
    for _ in range(40):
        bench.live(1_000)
        bench.ask(KeepAlive(proof, TTL_MS))
    assert bench.knows(key) is kept
    batches = len(bench.batches("b:2"))
    bench.view(down=("c:3",))
    bench.seal("b:2")
    bench.take_in_all()
    told = [record for batch in bench.batches("b:2")[batches:] for record in (*batch.replicas, *batch.files)]
    assert len(told) == (2 if kept else 0)


def test_who_may_have_been_left_behind_does_not_say_that_a_lapsed_session_is_over() -> None:
    """Others may extend it in a view that this node has not heard of; the next heartbeat tells."""
    bench = Bench(peers=("b:2", "c:3")).settle()
    result = bench.ask(OpenSession("ada", 1_000))
    assert isinstance(result, SessionIs)
    bench.wait(1_100)
    assert refused(bench.ask(KeepAlive(result.session, 1_000))).code is Code.HANDOFF
    bench.acknowledge_heartbeats()
    assert refused(bench.ask(KeepAlive(result.session, 1_000))).code is Code.SESSION_LOST
