"""Byte ranges whose nodes have died: given back with their fences, arbitrated, and the grace ended early."""

from __future__ import annotations

import pytest

from lockcore.core.messages import Code, How, RangeDenied, RangeLocked, Released
from tests.lockcore.core.healworld import READ, WRITE, Holder, believed, four, lose, piece_of, together
from tests.lockcore.core.sessionworld import Cluster, granted, refused, released


def lost_key(cluster: Cluster) -> str:
    """Return a key whose nodes are to die."""
    return cluster.key("b:2", "c:3")


def still_lost(result: object) -> bool:
    """Say whether a plain request was told to wait for the grace."""
    return getattr(result, "code", None) is Code.RECOVERING


@pytest.mark.parametrize("kind", [READ, WRITE])
def test_a_piece_comes_back_with_its_fence_and_nobody_gets_in_between(kind: object) -> None:
    """A read lock counts as much as a write lock."""
    cluster = four()
    ada, eve = Holder(cluster, "ada"), Holder(cluster, "eve")
    key = lost_key(cluster)
    piece = piece_of(ada.set(key, kind, 0, 10))  # type: ignore[arg-type]
    tail = piece_of(ada.set(key, READ, 100, 0))
    lose(cluster, key)
    assert still_lost(eve.set(key, WRITE, 0, 10))
    back = piece_of(ada.set(key, kind, 0, 10, fence=piece.fence))  # type: ignore[arg-type]
    assert back == piece
    assert piece_of(ada.set(key, READ, 100, 0, fence=tail.fence)) == tail
    assert still_lost(eve.set(key, WRITE, 0, 10))
    assert together(ada.digests()) == believed([], [(key, piece), (key, tail)])
    assert piece_of(ada.set(key, kind, 0, 10, fence=piece.fence)) == piece  # type: ignore[arg-type]


def test_what_came_back_survives_the_next_death() -> None:
    cluster = four()
    ada = Holder(cluster, "ada")
    key = lost_key(cluster)
    piece = piece_of(ada.set(key, WRITE, 0, 10))
    lose(cluster, key)
    piece_of(ada.set(key, WRITE, 0, 10, fence=piece.fence))
    cluster.world.kill(cluster.primary(key))
    cluster.world.run_ms(4_000)
    assert ada.listed()[1] == [(key, piece)]


@pytest.mark.parametrize("first", ["older", "newer"])
@pytest.mark.parametrize("kinds", [(WRITE, WRITE), (READ, WRITE), (WRITE, READ)])
def test_of_two_claims_to_the_same_bytes_the_higher_fence_wins_whichever_comes_first(
    first: str, kinds: tuple[object, object]
) -> None:
    cluster = four()
    ada, bob = Holder(cluster, "ada"), Holder(cluster, "bob")
    key = lost_key(cluster)
    old, new = kinds
    older = piece_of(ada.set(key, old, 0, 20))  # type: ignore[arg-type]
    released(ada.clear(key, 5, 10))
    newer = piece_of(bob.set(key, new, 5, 10))  # type: ignore[arg-type]
    lose(cluster, key)
    if first == "older":
        piece_of(ada.set(key, old, 0, 20, fence=older.fence))  # type: ignore[arg-type] # it did not hear of its unlock
        assert piece_of(bob.set(key, new, 5, 10, fence=newer.fence)) == newer  # type: ignore[arg-type]
        assert [(p.start, p.length, p.fence) for _, p in ada.listed()[1]] == [
            (0, 5, older.fence),
            (15, 5, older.fence),
        ]
    else:
        piece_of(bob.set(key, new, 5, 10, fence=newer.fence))  # type: ignore[arg-type]
        denied = ada.set(key, old, 0, 20, fence=older.fence)  # type: ignore[arg-type]
        assert isinstance(denied, RangeDenied)
        assert denied.conflict == newer
        assert ada.listed()[1] == []
    assert bob.listed()[1] == [(key, newer)]


def test_readers_come_back_beside_each_other() -> None:
    cluster = four()
    holders = [Holder(cluster, name) for name in ("ada", "bob", "eve")]
    key = lost_key(cluster)
    pieces = [piece_of(holder.set(key, READ, 0, 10)) for holder in holders]
    lose(cluster, key)
    for holder, piece in zip(reversed(holders), reversed(pieces), strict=True):
        assert piece_of(holder.set(key, READ, 0, 10, fence=piece.fence)) == piece


def test_an_unlock_that_was_sent_later_and_arrives_first_is_not_undone() -> None:
    cluster = four()
    ada = Holder(cluster, "ada")
    key = lost_key(cluster)
    piece = piece_of(ada.set(key, WRITE, 0, 100, op=1))
    lose(cluster, key)
    assert isinstance(ada.clear(key, 40, 20, op=9), Released)
    assert isinstance(ada.set(key, WRITE, 0, 100, fence=piece.fence, op=8), Released)
    assert ada.listed()[1] == []
    low = piece_of(ada.set(key, WRITE, 0, 40, fence=piece.fence, op=10))  # after it has looked again
    assert (low.start, low.length, low.fence) == (0, 40, piece.fence)
    assert isinstance(ada.clear(key, 0, 0, op=11), Released)
    assert ada.listed()[1] == []


def test_after_the_grace_a_piece_does_not_come_back() -> None:
    cluster = four()
    ada = Holder(cluster, "ada")
    key = lost_key(cluster)
    piece = piece_of(ada.set(key, WRITE, 0, 10))
    lose(cluster, key)
    for _ in range(4):
        cluster.world.run_ms(20_000)
        ada.keep(cluster.primary(key))
    assert refused(ada.set(key, WRITE, 0, 10, fence=piece.fence)).code is Code.NOT_HELD
    assert piece_of(ada.set(key, WRITE, 0, 10)).fence > piece.fence


def test_a_fence_that_nobody_can_have_been_given_takes_nothing() -> None:
    """It would beat every honest claim, and lift all fences for ever."""
    cluster = four()
    ada, eve = Holder(cluster, "ada"), Holder(cluster, "eve")
    key = lost_key(cluster)
    piece = piece_of(ada.set(key, WRITE, 0, 10))
    lose(cluster, key)
    piece_of(ada.set(key, WRITE, 0, 10, fence=piece.fence))
    assert refused(eve.set(key, WRITE, 0, 10, fence=2**62)).code is Code.NOT_HELD
    assert ada.listed()[1] == [(key, piece)]


def test_without_a_loss_only_what_is_held_is_held() -> None:
    cluster = four()
    ada = Holder(cluster, "ada")
    piece = piece_of(ada.set("k", WRITE, 0, 10))
    assert piece_of(ada.set("k", WRITE, 2, 3, fence=piece.fence)) == piece
    assert refused(ada.set("k", WRITE, 20, 3, fence=piece.fence)).code is Code.NOT_HELD
    assert refused(ada.set("k", READ, 0, 3, fence=piece.fence)).code is Code.NOT_HELD
    assert refused(ada.set("k", WRITE, 0, 3, fence=piece.fence + 1)).code is Code.NOT_HELD
    assert refused(ada.set("k", WRITE, -5, 3, fence=1)).code is Code.INVALID
    assert ada.listed()[1] == [("k", piece)]


# --- the early end ----------------------------------------------------------------------------


def test_ranges_wait_no_longer_when_everybody_has_reported_and_named_locks_do() -> None:
    cluster = four()
    ada, bob, eve = (Holder(cluster, name) for name in ("ada", "bob", "eve"))
    key = lost_key(cluster)
    piece = piece_of(ada.set(key, WRITE, 0, 10))
    lose(cluster, key)
    piece_of(ada.set(key, WRITE, 0, 10, fence=piece.fence))
    left = cluster.world.views[-1].up
    for holder in (ada, bob):
        holder.report(next(iter(left)))
        assert still_lost(eve.set(key, WRITE, 50, 10))
    eve.report(next(iter(left)))
    fresh = eve.set(key, WRITE, 50, 10)
    assert isinstance(fresh, RangeLocked)
    assert fresh.how is How.ACQUIRED
    assert fresh.pieces[0].fence > piece.fence
    assert isinstance(eve.set(key, WRITE, 5, 10), RangeDenied)
    assert still_lost(eve.lock(key))
    assert refused(bob.set(key, READ, 200, 5, fence=piece.fence)).code is Code.NOT_HELD


def test_a_report_of_another_view_counts_nothing() -> None:
    cluster = four()
    ada = Holder(cluster, "ada")
    key = lost_key(cluster)
    ada.report()
    lose(cluster, key)
    assert still_lost(ada.set(key, WRITE, 0, 10))
    ada.report(cluster.primary(key))
    assert isinstance(ada.set(key, WRITE, 0, 10), RangeLocked)


def test_who_is_silent_is_waited_for_until_it_is_gone() -> None:
    cluster = four()
    ada, mute = Holder(cluster, "ada"), Holder(cluster, "mute", ttl_ms=12_000)
    key = lost_key(cluster)
    piece_of(mute.set(key, WRITE, 0, 10))
    lose(cluster, key)
    ada.report(cluster.primary(key))
    assert still_lost(ada.set(key, WRITE, 0, 10))
    cluster.world.run_ms(6_000)
    assert still_lost(ada.set(key, WRITE, 0, 10))
    cluster.world.run_ms(4_000)
    assert isinstance(ada.set(key, WRITE, 0, 10), RangeLocked)


def test_a_session_opened_in_a_grace_need_not_report() -> None:
    cluster = four()
    key = lost_key(cluster)
    lose(cluster, key)
    assert isinstance(Holder(cluster, "new", at=cluster.primary(key)).set(key, WRITE, 0, 10), RangeLocked)


def test_where_nobody_knows_all_sessions_the_whole_grace_is_waited_for() -> None:
    """All nodes died: a session that nobody knows may still come back."""
    cluster = Cluster("a:1", "b:2")
    ada = Holder(cluster, "ada")
    granted(ada.lock("n"))
    piece = piece_of(ada.set("k", WRITE, 0, 10))
    for address in ("a:1", "b:2"):
        cluster.world.kill(address)
    for address in ("c:3", "d:4"):
        cluster.world.start_node(address)
    cluster.world.settle()
    eve = Holder(cluster, "eve", at="c:3")
    eve.report("c:3")
    assert still_lost(eve.set("k", WRITE, 0, 10))
    ada.keep("c:3")
    assert piece_of(ada.set("k", WRITE, 0, 10, fence=piece.fence)) == piece
    ada.report("c:3")
    assert still_lost(eve.set("k", WRITE, 20, 10))


def test_who_joins_in_a_grace_learns_who_has_reported_and_whether_all_are_known() -> None:
    cluster = four()
    ada = Holder(cluster, "ada")
    key = lost_key(cluster)
    lose(cluster, key)
    cluster.world.start_node("e:5")
    cluster.world.settle()
    mine = cluster.key("e:5")
    ada.report("a:1")
    assert isinstance(ada.set(mine, WRITE, 0, 10), RangeLocked)
