"""What sessions hold under names, after their nodes have died: proven by digests, or given back in a grace."""

from __future__ import annotations

import pytest

from lockcore.core.messages import Code, Granted, KeepAlive, Lock, OpenSession, Released, SessionIs
from tests.lockcore.core.bench import Bench
from tests.lockcore.core.healworld import (
    READ,
    TTL_MS,
    WRITE,
    Holder,
    believed,
    four,
    lose,
    piece_of,
    together,
)
from tests.lockcore.core.sessionworld import granted, refused, released

# --- the digest -----------------------------------------------------------------------------


def test_after_a_failover_with_a_live_backup_the_digests_prove_that_nothing_is_missing() -> None:
    cluster = four()
    ada = Holder(cluster, "ada")
    locks = [(key, granted(ada.lock(key)).generation) for key in map(str, range(30))]
    pieces = [(key, piece_of(ada.set(key, READ, 0, 10))) for key in map(str, range(20, 40))]
    pieces += [("20", piece_of(ada.set("20", WRITE, 50, 0)))]
    assert together(ada.digests()) == believed(locks, pieces)
    cluster.world.kill("b:2")
    cluster.world.run_ms(4_000)
    assert together(ada.digests()) == believed(locks, pieces)
    cluster.world.start_node("e:5")
    cluster.world.settle()
    assert together(ada.digests()) == believed(locks, pieces)


def test_a_digest_follows_every_change() -> None:
    """It is kept, not counted anew: whatever forgets to say that something has changed would show here."""
    cluster = four()
    ada, bob = Holder(cluster, "ada"), Holder(cluster, "bob")
    ada.digests()
    first = granted(ada.lock("k", op_id=100)).generation
    assert together(ada.digests()) == believed([("k", first)], [])
    low = piece_of(ada.set("k", WRITE, 0, 10))
    high = piece_of(ada.set("k", WRITE, 20, 10))
    assert together(ada.digests()) == believed([("k", first)], [("k", low), ("k", high)])
    whole = piece_of(ada.set("k", WRITE, 10, 10))
    assert together(ada.digests()) == believed([("k", first)], [("k", whole)])
    assert together(bob.digests()) == believed([], [])
    granted(bob.move("k", ada))
    assert together(ada.digests()) == believed([], [("k", whole)])
    assert together(bob.digests()) == believed([("k", first)], [])
    released(ada.clear("k", 0, 0))
    released(bob.unlock("k"))
    assert together(ada.digests()) == together(bob.digests()) == believed([], [])


def test_a_digest_is_told_only_when_everybody_has_settled() -> None:
    """During a handover a part is elsewhere, and a difference would mean nothing."""
    bench = Bench(peers=("b:2", "c:3")).settle()
    opened = bench.ask(OpenSession("ada", TTL_MS))
    assert isinstance(opened, SessionIs)
    bench.view(down=("c:3",))
    answer = bench.ask(KeepAlive(opened.session, TTL_MS))
    assert isinstance(answer, SessionIs)
    assert answer.held is None


# --- named locks ------------------------------------------------------------------------------


@pytest.mark.parametrize("seen", [True, False])
def test_a_session_s_lock_comes_back_with_its_generation_and_nobody_gets_in_between(seen: bool) -> None:  # noqa: FBT001 - both ways to die
    cluster = four()
    ada, eve = Holder(cluster, "ada"), Holder(cluster, "eve")
    key = cluster.key("b:2", "c:3")
    got = granted(ada.lock(key))
    lose(cluster, key, seen=seen)
    assert refused(eve.lock(key)).code is Code.RECOVERING
    back = granted(ada.lock_again(key, got.token))
    assert back.generation == got.generation
    assert refused(eve.lock(key)).code is Code.HELD
    assert cluster.generation(key) == got.generation
    assert ada.listed()[0] == [(key, got.generation)]
    released(ada.unlock(key))
    assert refused(eve.lock(key)).code is Code.RECOVERING  # of an older grace is nothing known


def test_a_lock_comes_back_twice_as_once() -> None:
    """The first answer may have been lost."""
    cluster = four()
    ada = Holder(cluster, "ada")
    key = cluster.key("b:2", "c:3")
    got = granted(ada.lock(key))
    lose(cluster, key)
    granted(ada.lock_again(key, got.token, op=50))
    assert granted(ada.lock_again(key, got.token, op=50)).generation == got.generation
    cluster.world.kill(cluster.primary(key))
    cluster.world.run_ms(4_000)
    assert granted(ada.lock_again(key, got.token, op=51)).generation == got.generation


def test_after_the_grace_nothing_comes_back() -> None:
    """In between it may have been somebody else's, and free again."""
    cluster = four()
    ada = Holder(cluster, "ada")
    key = cluster.key("b:2", "c:3")
    got = granted(ada.lock(key))
    lose(cluster, key)
    for _ in range(4):
        cluster.world.run_ms(20_000)
        ada.keep(cluster.primary(key))
    assert refused(ada.lock_again(key, got.token)).code is Code.NOT_HELD
    assert cluster.generation(key) == 0
    granted(ada.lock(key))


def test_without_a_loss_a_token_proves_nothing_that_is_not_so() -> None:
    cluster = four()
    ada, bob = Holder(cluster, "ada"), Holder(cluster, "bob")
    got = granted(ada.lock("k"))
    assert granted(ada.lock_again("k", got.token)).generation == got.generation
    assert refused(bob.lock_again("k", got.token)).code is Code.NOT_HELD
    released(ada.unlock("k"))
    assert refused(ada.lock_again("k", got.token)).code is Code.NOT_HELD
    assert cluster.generation("k") == 0


@pytest.mark.parametrize("first", ["older", "newer"])
def test_of_two_claims_the_later_grant_wins_whichever_comes_first(first: str) -> None:
    cluster = four()
    ada, bob = Holder(cluster, "ada"), Holder(cluster, "bob")
    key = cluster.key("b:2", "c:3")
    older = granted(ada.lock(key))
    released(ada.unlock(key))
    newer = granted(bob.lock(key))
    lose(cluster, key)
    if first == "older":
        granted(ada.lock_again(key, older.token))  # it did not hear that its unlock arrived
        assert granted(bob.lock_again(key, newer.token)).generation == newer.generation
    else:
        granted(bob.lock_again(key, newer.token))
    assert refused(ada.lock_again(key, older.token)).code is Code.NOT_HELD
    assert ada.listed()[0] == []
    assert bob.listed()[0] == [(key, newer.generation)]


@pytest.mark.parametrize("first", ["old", "new"])
def test_a_lock_that_has_moved_comes_back_to_whom_it_moved(first: str) -> None:
    cluster = four()
    old, new = Holder(cluster, "old"), Holder(cluster, "new")
    key = cluster.key("b:2", "c:3")
    before = granted(old.lock(key))
    after = granted(new.move(key, old))
    assert after.token != before.token
    lose(cluster, key)
    if first == "old":
        granted(old.lock_again(key, before.token))
        assert granted(new.lock_again(key, after.token)).generation == before.generation
    else:
        granted(new.lock_again(key, after.token))
    assert refused(old.lock_again(key, before.token)).code is Code.NOT_HELD
    assert new.listed()[0] == [(key, before.generation)]


def test_an_unlock_that_has_arrived_is_not_undone() -> None:
    """The re-assertion was sent first and arrives last."""
    cluster = four()
    ada = Holder(cluster, "ada")
    key = cluster.key("b:2", "c:3")
    got = granted(ada.lock(key, op_id=5))
    lose(cluster, key)
    assert isinstance(ada.unlock_by_token(key, got.token, op=5), Released)
    assert refused(ada.lock_again(key, got.token, op=5)).code is Code.NOT_HELD
    assert ada.listed()[0] == []


def test_only_its_own_session_brings_a_lock_back() -> None:
    cluster = four()
    ada = Holder(cluster, "ada")
    key = cluster.key("b:2", "c:3")
    got = granted(ada.lock(key))
    lose(cluster, key)
    plain = cluster.world.ask(cluster.primary(key), Lock(key, 5_000, "ada", got.token))
    assert not isinstance(plain, Granted)
    ended = Holder(cluster, "eve", at=cluster.primary(key))
    ended.end(cluster.primary(key))
    assert refused(ended.lock_again(key, got.token)).code is Code.SESSION_LOST
    granted(ada.lock_again(key, got.token))
