"""Byte ranges on small clusters in virtual time: replicated, handed over, waited for, migrated."""

from __future__ import annotations

import pytest

from lockcore.core.limits import AWAY_MS_MAX
from lockcore.core.messages import (
    ClearRange,
    Code,
    FindConflict,
    HeldRange,
    Holdings,
    How,
    ListHeld,
    Lock,
    MoveRanges,
    OpenSession,
    RangeConflict,
    RangeDenied,
    RangeFree,
    RangeLocked,
    Released,
    Result,
    SessionIs,
    SetRange,
    ViewUpdate,
)
from lockcore.core.rangerecords import Errno, Kind
from lockcore.core.region import EVERYWHERE
from lockcore.core.view import Grace, Member, View
from lockcore.testing.world import CLIENT
from tests.lockcore.core.bench import Bench
from tests.lockcore.core.sessionworld import Client, Cluster, refused, released, run_while

READ, WRITE = Kind.READ, Kind.WRITE


class Ranger(Client):
    """A client that locks ranges of one key."""

    def want(  # noqa: PLR0913 - what fcntl(2) takes
        self,
        key: str,
        kind: Kind,
        start: int = 0,
        length: int = 0,
        *,
        wait_ms: int | None = 0,
        op: int = 0,
        who: str = "t1",
    ) -> SetRange:
        """Return a request."""
        return SetRange(key, self.proof, op or next(self._ops), who, kind, start, length, wait_ms)

    def set(  # noqa: PLR0913 - what fcntl(2) takes
        self, key: str, kind: Kind, start: int = 0, length: int = 0, *, op: int = 0, who: str = "t1"
    ) -> Result:
        """F_SETLK."""
        operation = self.want(key, kind, start, length, op=op, who=who)
        return self.cluster.world.ask(self.cluster.primary(key), operation)

    def wait(  # noqa: PLR0913 - what fcntl(2) takes
        self, key: str, kind: Kind, start: int = 0, length: int = 0, *, op: int = 0, who: str = "t1"
    ) -> list[Result]:
        """F_SETLKW; answers appear in the list."""
        answers: list[Result] = []
        operation = self.want(key, kind, start, length, wait_ms=None, op=op, who=who)
        self.cluster.world.call(self.cluster.primary(key), operation, answers.append, 60_000)
        self.cluster.world.run_ms(20)
        return answers

    def clear(self, key: str, start: int = 0, length: int = 0, *, who: str = "t1", wanted: int = 0) -> Result:
        """F_UNLCK."""
        operation = ClearRange(key, self.proof, next(self._ops), who, start, length, wanted)
        return self.cluster.world.ask(self.cluster.primary(key), operation)

    def conflict(self, key: str, kind: Kind, start: int = 0, length: int = 0) -> Result:
        """F_GETLK."""
        operation = FindConflict(key, self.proof, "t1", kind, start, length)
        return self.cluster.world.ask(self.cluster.primary(key), operation)

    def take_over(self, key: str, old: Client, *, op: int = 0, **more: object) -> Result:
        """SETLK_MIGRATE."""
        operation = MoveRanges(key, self.proof, op or next(self._ops), old.proof, **more)  # type: ignore[arg-type]
        return self.cluster.world.ask(self.cluster.primary(key), operation)

    def held(self) -> list[tuple[str, Kind, int, int, int]]:
        """Return all pieces, asked at all nodes."""
        world, found = self.cluster.world, []
        for node in world.nodes.values():
            if node.alive:
                answer = world.ask(node.address, ListHeld(self.proof))
                assert isinstance(answer, Holdings), answer
                found += [(k, p.kind, p.start, p.length, p.fence) for k, p in answer.ranges]
        return sorted(found)


def locked(result: Result) -> RangeLocked:
    """Return a result that must be a lock."""
    assert isinstance(result, RangeLocked), result
    return result


def denied(result: Result) -> RangeDenied:
    """Return a result that must be a refusal of the rules."""
    assert isinstance(result, RangeDenied), result
    return result


def test_ranges_of_different_bytes_are_held_beside_each_other_and_conflicts_are_named() -> None:
    cluster = Cluster()
    key = cluster.key("b:2")
    ada, bob = Ranger(cluster, "ada"), Ranger(cluster, "bob")
    locked(ada.set(key, WRITE, 0, 100))
    locked(bob.set(key, WRITE, 100, 100))
    answer = denied(bob.set(key, READ, 50, 10))
    assert answer.error is Errno.EAGAIN
    assert answer.conflict is not None
    assert (answer.conflict.label, answer.conflict.start, answer.conflict.length) == ("ada", 0, 100)
    found = bob.conflict(key, READ)
    assert isinstance(found, RangeConflict)
    assert found.piece.label == "ada"
    assert isinstance(bob.conflict(key, WRITE, 200, 5), RangeFree)
    assert denied(bob.set(key, READ, -1, 5)).error is Errno.EINVAL


def test_ranges_and_the_named_lock_of_the_same_key_are_different_things() -> None:
    cluster = Cluster()
    key = cluster.key("b:2")
    ada, bob = Ranger(cluster, "ada"), Ranger(cluster, "bob")
    locked(ada.set(key, WRITE))
    bob.lock(key)
    assert cluster.generation(key) > 0
    assert denied(bob.set(key, READ)).error is Errno.EAGAIN


@pytest.mark.parametrize("seen", [True, False])
def test_ranges_survive_the_death_of_their_primary_with_their_fences(seen: bool) -> None:  # noqa: FBT001 - both ways to die
    cluster = Cluster()
    key = cluster.key("b:2", "c:3")
    ada, bob = Ranger(cluster, "ada", ttl_ms=30_000, at="c:3"), Ranger(cluster, "bob", ttl_ms=30_000, at="c:3")
    fence = locked(ada.set(key, READ, 0, 10)).pieces[0].fence
    locked(ada.set(key, WRITE, 20, 10))
    cluster.world.kill("b:2", seen=seen)
    cluster.world.run_ms(5_000)
    assert cluster.primary(key) == "c:3"
    assert [p[1:4] for p in ada.held()] == [(READ, 0, 10), (WRITE, 20, 10)]
    assert ada.held()[0][4] == fence
    assert denied(bob.set(key, WRITE, 5, 1)).error is Errno.EAGAIN
    assert locked(bob.set(key, READ, 5, 1)).pieces[0].fence > fence


def test_ranges_move_when_a_node_joins_and_waiters_keep_their_places() -> None:
    cluster = Cluster("a:1", "b:2")
    ada, bob, eve = (Ranger(cluster, n, ttl_ms=60_000) for n in ("ada", "bob", "eve"))
    keys = [str(i) for i in range(40)]
    for key in keys:
        locked(ada.set(key, WRITE, 0, 10))
    waits = {key: (bob.wait(key, WRITE, 0, 5, op=1_000), eve.wait(key, WRITE, 0, 5, op=1_000)) for key in keys}
    cluster.world.start_node("d:4")
    cluster.world.settle()
    moved = [key for key in keys if cluster.primary(key) == "d:4"]
    assert moved
    for key in moved:
        assert refused(waits[key][0][0]).code is Code.MOVED
        second, first = eve.wait(key, WRITE, 0, 5, op=1_000), bob.wait(key, WRITE, 0, 5, op=1_000)
        released(ada.clear(key))
        cluster.world.run_ms(50)
        assert first, key
        locked(first[0])
        assert not second


def test_an_unlock_wakes_exactly_those_who_can_be_granted() -> None:
    cluster = Cluster()
    key = cluster.key("b:2")
    ada, bob, eve, joe = (Ranger(cluster, n) for n in ("ada", "bob", "eve", "joe"))
    locked(ada.set(key, WRITE, 0, 30))
    reads = bob.wait(key, READ, 0, 10), eve.wait(key, READ, 5, 10)
    writes = joe.wait(key, WRITE, 12, 10)
    released(ada.clear(key, 0, 12))
    cluster.world.run_ms(50)
    assert [len(r) for r in reads] == [1, 0]
    released(ada.clear(key))
    cluster.world.run_ms(50)
    assert len(reads[1]) == 1
    assert not writes


def test_a_circle_over_two_keys_of_one_primary_is_refused() -> None:
    cluster = Cluster()
    one = cluster.key("b:2")
    two = next(k for k in map(str, range(1_000)) if cluster.primary(k) == "b:2" and k != one)
    ada, bob = Ranger(cluster, "ada"), Ranger(cluster, "bob")
    locked(ada.set(one, WRITE))
    locked(bob.set(two, WRITE))
    waiting = ada.wait(two, WRITE)
    assert denied(bob.wait(one, WRITE)[0]).error is Errno.EDEADLK
    released(bob.clear(two))
    cluster.world.run_ms(50)
    locked(waiting[0])


def test_a_repeated_range_operation_is_answered_and_not_done_twice() -> None:
    cluster = Cluster()
    key = cluster.key("b:2", "c:3")
    ada = Ranger(cluster, "ada", ttl_ms=30_000, at="c:3")
    first = locked(ada.set(key, WRITE, 0, 10, op=5))
    released(ada.clear(key))
    again = locked(ada.set(key, WRITE, 0, 10, op=5))
    assert again.pieces == first.pieces
    assert ada.held() == []
    cluster.world.kill("b:2")
    cluster.world.run_ms(3_000)
    locked(ada.set(key, WRITE, 0, 10, op=5))
    assert ada.held() == []


def test_a_session_that_goes_silent_loses_its_ranges_read_locks_too() -> None:
    """JuiceFS 5193: read locks were missing from the session's index."""
    cluster = Cluster()
    key = cluster.key("b:2")
    ada, bob = Ranger(cluster, "ada", ttl_ms=2_000), Ranger(cluster, "bob", ttl_ms=30_000)
    locked(ada.set(key, READ, 0, 10))
    waiting = bob.wait(key, WRITE, 0, 10)
    cluster.world.run_ms(2_500)
    assert not waiting
    cluster.world.run_ms(1_000)
    locked(waiting[0])


def test_migration_moves_pieces_with_kind_and_fence_and_wakes_nobody() -> None:
    cluster = Cluster()
    key = cluster.key("b:2")
    old, new, eve = (Ranger(cluster, n) for n in ("old", "new", "eve"))
    fence = locked(old.set(key, WRITE, 0, 100)).pieces[0].fence
    waiting = eve.wait(key, WRITE, 0, 10)
    assert denied(new.set(key, WRITE, 0, 100)).error is Errno.EAGAIN
    moved = locked(new.take_over(key, old, op=77))
    assert moved.how is How.MIGRATED
    assert [(p.start, p.length, p.fence) for p in moved.pieces] == [(0, 100, fence)]
    assert locked(new.take_over(key, old, op=77)).how is How.MIGRATED
    old.end()
    cluster.world.run_ms(100)
    assert not waiting
    assert [p[4] for p in new.held()] == [fence]
    released(new.clear(key))
    cluster.world.run_ms(50)
    locked(waiting[0])


def test_migration_of_nothing_says_acquired_or_takes_nothing() -> None:
    cluster = Cluster()
    key = cluster.key("b:2")
    old, new = Ranger(cluster, "old"), Ranger(cluster, "new")
    assert refused(new.take_over(key, old, require_held=True)).code is Code.NOT_HELD
    assert new.held() == []
    got = locked(new.take_over(key, old, lock_owner="t1", start=0, length=10, kind=WRITE))
    assert got.how is How.ACQUIRED


def test_a_migration_is_answered_again_by_the_promoted_backup() -> None:
    cluster = Cluster()
    key = cluster.key("b:2", "c:3")
    old, new = Ranger(cluster, "old", at="c:3"), Ranger(cluster, "new", at="c:3")
    locked(old.set(key, WRITE, 0, 10))
    locked(new.take_over(key, old, op=9))
    cluster.world.kill("b:2")
    cluster.world.run_ms(3_000)
    assert locked(new.take_over(key, old, op=9)).how is How.MIGRATED
    assert len(new.held()) == 1


def test_a_peer_that_lacks_what_changes_build_on_is_told_all() -> None:
    """Hundreds of changes while the backup is away, and one key with many pieces."""
    cluster = Cluster()
    key = cluster.key("b:2", "c:3")
    ada = Ranger(cluster, "ada", ttl_ms=60_000)
    for i in range(200):
        locked(ada.set(key, WRITE, 10 * i, 5))
    cluster.world.kill("c:3")
    cluster.world.run_ms(3_000)
    for i in range(200, 400):
        locked(ada.set(key, WRITE, 10 * i, 5))
    cluster.world.start_node("c:3")
    cluster.world.settle()
    cluster.world.kill("b:2")
    cluster.world.run_ms(3_000)
    assert len(ada.held()) == 400


def test_a_node_that_was_out_brings_nothing_of_sessions_back() -> None:
    """Its copies may have been released since; no lease of their own ends them."""
    world = (cluster := Cluster()).world
    key = cluster.key("b:2", "c:3")
    ada, eve = Ranger(cluster, "ada", ttl_ms=60_000), Ranger(cluster, "eve", ttl_ms=60_000)
    locked(ada.set(key, WRITE, 0, 10))
    ada.lock(key, op_id=900)
    for other in ("a:1", "b:2", "master", CLIENT):
        world.cut("c:3", other)
    world.run_ms(6_000)
    released(ada.clear(key))
    released(ada.unlock(key, op_id=900))
    run_while(cluster, 16_000, lambda: (ada.keep(), eve.keep()), every_ms=4_000)  # tombstones are gone
    world.heal()
    world.settle()
    run_while(cluster, 4_000, lambda: (ada.keep(), eve.keep()), every_ms=2_000)
    world.kill("b:2")
    world.run_ms(3_000)
    assert isinstance(ada.keep("c:3"), type(eve.keep("c:3")))
    locked(eve.set(key, WRITE, 0, 10))
    assert eve.lock(key).__class__.__name__ == "Granted"


def test_giving_up_a_wait_frees_the_place() -> None:
    cluster = Cluster()
    key = cluster.key("b:2")
    ada, bob, eve = (Ranger(cluster, n) for n in ("ada", "bob", "eve"))
    locked(ada.set(key, READ, 0, 10))
    left = bob.wait(key, WRITE, 0, 10, op=50)
    released(bob.clear(key, wanted=50))
    cluster.world.run_ms(20)
    assert denied(left[0]).error is Errno.EINTR
    assert isinstance(eve.set(key, READ, 0, 10), RangeLocked)
    assert isinstance(ada.clear(key), Released)


def test_a_range_is_answered_when_the_backup_has_it() -> None:
    bench = Bench(peers=("b:2",)).settle()
    opened = bench.ask(OpenSession("ada", 10_000))
    assert isinstance(opened, SessionIs)
    key = bench.key("a:1")
    call = bench.call(SetRange(key, opened.session, 1, "t", WRITE, 0, 10))
    assert call not in bench.answers
    bench.take_in("b:2")
    locked(bench.answers[call])


def test_a_grant_that_nobody_was_told_of_is_taken_back_with_a_new_view() -> None:
    """Another primary may have granted the same bytes meanwhile."""
    bench = Bench(peers=("b:2", "c:3")).settle()
    opened = bench.ask(OpenSession("ada", 30_000))
    assert isinstance(opened, SessionIs)
    key = bench.key("a:1", "b:2")
    locked(bench.ask(SetRange(key, opened.session, 1, "t", WRITE, 0, 10)) or RangeFree())
    call = bench.call(SetRange(key, opened.session, 2, "t", WRITE, 50, 10))
    bench.view(down=("b:2",), skips=True)
    assert refused(bench.answers[call]).code is Code.HANDOFF
    bench.seal("c:3")
    bench.take_in_all()
    assert [(p.start, p.length) for _, p in holdings(bench, opened)] == [(0, 10)]


def test_who_may_have_been_out_forgets_what_sessions_held() -> None:
    bench = Bench(peers=("b:2", "c:3")).settle()
    opened = bench.ask(OpenSession("ada", 60_000))
    assert isinstance(opened, SessionIs)
    key, own = bench.key("a:1"), bench.key("a:1", nth=1)
    locked(bench.ask(SetRange(key, opened.session, 1, "t", WRITE, 0, 10)) or RangeFree())
    bench.ask(Lock(key, 5_000, "ada", session=opened.session, op_id=2))
    bench.acquire(own, ttl_ms=60_000)
    bench.wait(2_500 + AWAY_MS_MAX)  # fenced for long: others may have gone on, and forgotten what was released
    bench.number += 1_000  # a view that it never saw
    bench.view()
    assert not bench.knows(key)
    assert bench.knows(own)  # its own lease ends it
    assert refused(bench.ask(ListHeld(opened.session)) or RangeFree()).code is Code.HANDOFF  # others have to tell


def test_nobody_forgets_what_sessions_held_for_a_master_that_lost_its_memory() -> None:
    """All were fenced while it was away; if all forgot, nobody would know."""
    bench = Bench(peers=("b:2", "c:3")).settle()
    opened = bench.ask(OpenSession("ada", 60_000))
    assert isinstance(opened, SessionIs)
    key = bench.key("a:1")
    bench.ask(Lock(key, 5_000, "ada", session=opened.session, op_id=2))
    bench.wait(2_500)
    bench.number += 1_000
    members = tuple(Member(m.address, m.incarnation) for m in sorted((bench.me, *bench.peers.values())))
    bench.tell(ViewUpdate(View(bench.number, bench.number, members, 0, (Grace(EVERYWHERE, 60_000),))))
    assert bench.knows(key)


def test_who_was_there_all_along_forgets_nothing() -> None:
    bench = Bench(peers=("b:2", "c:3")).settle()
    opened = bench.ask(OpenSession("ada", 60_000))
    assert isinstance(opened, SessionIs)
    key = bench.key("a:1")
    bench.ask(Lock(key, 5_000, "ada", session=opened.session, op_id=2))
    bench.number += 1_000  # it missed one, and served all the time
    bench.view()
    assert bench.knows(key)


def holdings(bench: Bench, opened: SessionIs) -> tuple[tuple[str, HeldRange], ...]:
    """Return what the node says a session holds."""
    answer = bench.ask(ListHeld(opened.session))
    assert isinstance(answer, Holdings), answer
    return answer.ranges
