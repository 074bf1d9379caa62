"""Entering a view: stale ones refused, copies promoted, surplus forgotten.

Elsewhere: completeness itself (test_handover), the records that move (test_inbox).
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockcore.core.config import NodeConfig
from lockcore.core.events import EventKind
from lockcore.core.messages import Code, HeartbeatAck, Lock, ViewUpdate
from lockcore.core.ring import HashRing
from lockcore.core.view import MemberId, View
from tests.lockcore.core.bench import Bench, granted, record, refused


def kinds(bench: Bench) -> list[EventKind]:
    return [f.kind for f in bench.facts()]


@pytest.mark.parametrize("offset", [-1, 0])
def test_a_view_that_is_not_newer_is_refused_and_changes_nothing(offset: int) -> None:
    """8860:stale-update. N3: a reordered message must not overwrite a newer ring."""
    bench = Bench().settle()
    before, table, complete = bench.core.view, bench.table(), bench.core.acquiring()
    bench.tell(ViewUpdate(View(bench.number + offset, 1, ())))
    assert (bench.core.view, bench.table(), bench.core.acquiring()) == (before, table, complete)


def test_a_refused_view_is_a_fact_that_people_can_see() -> None:
    bench = Bench().settle()
    bench.tell(ViewUpdate(View(bench.number - 1, 1, ())))
    assert bench.facts()[-1].kind is EventKind.REFUSED


def test_nobody_serves_on_version_zero() -> None:
    """8860:version-zero. W1: SeaweedFS's node bootstraps a ring of its own under version 0."""
    bench = Bench(peers=())
    bench.tell(ViewUpdate(View(0, 0, ())))
    assert bench.core.view is None
    assert refused(bench.acquire("k")).code is Code.NOT_SERVING


def test_the_floor_rises_to_the_view() -> None:
    """W2: the next grant is above everything that was granted in earlier views, whoever granted it."""
    bench = Bench().settle()
    view = bench.view()
    bench.seal()
    bench.take_in_all()
    assert granted(bench.acquire(bench.key("a:1"))).generation > view.number


def test_a_backup_becomes_the_primary_of_its_copies_when_the_primary_is_marked_down() -> None:
    """8860:promote. And the holder's token is good there."""
    bench = Bench(peers=("b:2", "c:3")).settle()
    key = bench.key("b:2", "a:1")
    bench.send("b:2", replicas=(record(key, 50),))
    bench.view(down=["b:2"])
    lease = bench.lease(key)
    assert (lease.serving, lease.tenure) == (True, bench.number)
    promoted = [f for f in bench.facts() if f.kind is EventKind.PROMOTED]
    assert [(f.key, f.peer, f.generation) for f in promoted] == [(key, "b:2", 50)]
    renewed = granted(bench.renew(key, record(key, 50).token))
    assert (renewed.generation, renewed.seq) == (50, bench.number)


def test_a_copy_in_a_range_that_is_not_complete_is_not_promoted() -> None:
    """P1: it may be older than what another member still has to hand over."""
    bench = Bench(peers=("b:2", "c:3")).settle()
    key = bench.key("b:2", "a:1")
    bench.send("b:2", replicas=(record(key, 50),))
    bench.view(down=["b:2"], skips=True)
    assert not bench.lease(key).serving
    bench.seal("c:3")
    assert bench.lease(key).serving


def test_a_promoted_lock_is_copied_to_the_new_backup() -> None:
    """8860:replicate-after-promotion."""
    bench = Bench(peers=("b:2", "c:3")).settle()
    key = bench.key("b:2", "a:1")
    bench.send("b:2", replicas=(record(key, 50),))
    bench.view(down=["b:2"])
    assert key in {r.key for r in bench.batches("c:3")[-1].replicas}


def test_a_mutation_that_waits_is_told_to_whoever_is_the_backup_now() -> None:
    """The request waits for the backup or for a view with another one; it is never silently weakened."""
    bench = Bench(peers=("b:2", "c:3")).settle()
    call = bench.call(Lock(bench.key("a:1", "b:2"), 5_000, "ada"))
    bench.view(down=["b:2"])
    assert call not in bench.answers
    bench.take_in("c:3")
    assert granted(bench.answers[call])


def test_a_mutation_that_waits_goes_on_alone_when_nobody_else_is_left() -> None:
    bench = Bench().settle()
    call = bench.call(Lock(bench.key("a:1"), 5_000, "ada"))
    bench.view(down=["b:2"])
    assert granted(bench.answers[call])


def test_a_node_that_is_marked_down_serves_nothing_and_gives_its_locks_up() -> None:
    bench = Bench().settle()
    key = bench.key("a:1")
    granted(bench.acquire(key))
    bench.view(down=["a:1"])
    assert not bench.lease(key).serving
    assert refused(bench.acquire(key, "bob")).code is Code.NOT_SERVING
    assert kinds(bench)[-1] in {EventKind.FENCED, EventKind.REFUSED}


def test_copies_that_nobody_needs_are_forgotten_once_everybody_has_settled() -> None:
    """Not earlier: until then this copy may be the only one."""
    bench = Bench(peers=("b:2", "c:3", "d:4"))
    bench.view(without=["c:3", "d:4"])
    bench.seal("b:2")
    keys = [bench.key("b:2", nth=i) for i in range(20)]
    bench.send("b:2", replicas=tuple(record(k, 50) for k in keys))
    bench.view()
    surplus = [k for k in keys if "a:1" not in (bench.core.view or View(0, 0, ())).ring.owners(k)]
    assert surplus
    bench.take_in_all()
    assert all(bench.knows(k) for k in surplus)
    bench.tell(HeartbeatAck(0, bench.number, bench.number - 1))
    assert all(bench.knows(k) for k in surplus)
    bench.tell(HeartbeatAck(0, bench.number, bench.number))
    assert not any(bench.knows(k) for k in surplus)
    assert sorted(k for k in keys if bench.knows(k)) == sorted(set(keys) - set(surplus))


def test_a_copy_that_was_handed_over_is_forgotten_also_when_its_answer_comes_last() -> None:
    """Found by simulation (seed 5031934): the master's word that all have settled was faster, and the copy stayed."""
    bench = Bench().settle()
    after = HashRing(["a:1", "b:2", "c:3", "d:4"])
    keys = (bench.key("a:1", nth=i) for i in range(500))
    key = next(k for k in keys if "a:1" not in after.owners(k))
    granted(bench.acquire(key))
    bench.peers |= {"c:3": MemberId("c:3", 1), "d:4": MemberId("d:4", 1)}
    bench.view()
    bench.seal()
    bench.tell(HeartbeatAck(0, bench.number, bench.number))
    assert bench.lease(key).serving
    bench.take_in_all()
    assert not bench.knows(key)


def test_a_node_tells_that_it_has_settled_once_per_view() -> None:
    bench = Bench()
    bench.view()
    assert EventKind.SETTLED not in kinds(bench)
    bench.seal()
    bench.seal()
    assert kinds(bench).count(EventKind.SETTLED) == 1


def test_asynchronous_durability_copies_everything_at_each_change() -> None:
    """A grant may have been acknowledged before any copy existed."""
    bench = Bench(peers=("b:2", "c:3"), config=NodeConfig(durability="async"))
    bench.settle()
    key = bench.key("a:1", "b:2")
    call = bench.call(Lock(key, 5_000, "ada"))
    assert granted(bench.answers[call])
    bench.take_in_all()
    bench.view()
    assert key in {r.key for r in bench.batches("b:2")[-1].replicas}


def test_a_view_is_complete_and_needs_no_earlier_one() -> None:
    """8860:snapshot, 8860:snapshot-is-atomic. The ring arrives as a complete snapshot."""
    bench = Bench(peers=("b:2", "c:3", "d:4"))
    late = bench.view()
    fresh = Bench()
    fresh.tell(ViewUpdate(replace(late, previous=12_345)))
    assert fresh.core.view is not None
    assert fresh.core.view.ring == late.ring
