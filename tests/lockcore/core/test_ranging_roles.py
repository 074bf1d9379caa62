"""Byte ranges whose primary changes, or whose sessions end: who looks after them, and whom nobody may grant anything.

Elsewhere: what a primary does otherwise (test_ranging).
"""

from __future__ import annotations

from lockcore.core.messages import FindConflict, RangeConflict, Result
from lockcore.core.rangefiles import id_of
from lockcore.core.rangerecords import Errno, Kind
from lockcore.core.ring import HashRing
from tests.lockcore.core.sessionworld import Cluster, released
from tests.lockcore.core.test_ranging import Ranger, denied, locked

WRITE = Kind.WRITE


def test_nobody_is_granted_a_range_whose_session_has_lapsed() -> None:
    """B13, Gluster 3182: the dead would be in everybody's way until they are cleaned up after."""
    cluster = Cluster()
    key = cluster.key("b:2")
    ada, dying, bob = Ranger(cluster, "ada", 30_000), Ranger(cluster, "dying", 1_000), Ranger(cluster, "bob", 30_000)
    locked(ada.set(key, WRITE))
    lost = dying.wait(key, WRITE)
    cluster.world.run_ms(1_300)  # its lease is over, and it is not cleaned up after yet
    released(ada.clear(key))
    cluster.world.run_ms(100)
    assert lost == []
    locked(bob.set(key, WRITE))


def test_a_place_of_a_lapsed_session_may_still_be_migrated_and_its_heir_is_granted_it() -> None:
    """B13: that is why it keeps it."""
    cluster = Cluster()
    key = cluster.key("b:2")
    ada, dying = Ranger(cluster, "ada", 30_000), Ranger(cluster, "dying", 1_000)
    heir = Ranger(cluster, "heir", 30_000)
    locked(ada.set(key, WRITE))
    dying.wait(key, WRITE)
    cluster.world.run_ms(1_300)
    released(ada.clear(key))
    heir.take_over(key, dying)
    cluster.world.run_ms(100)
    assert [kind for _, kind, *_ in heir.held()] == [WRITE]


def test_waits_that_a_failover_brings_together_in_a_circle_are_refused() -> None:
    """Y3: two primaries could not see it; the one that has both keys now does."""
    cluster = Cluster()
    one, two = cluster.key("b:2", "c:3"), cluster.key("c:3")
    ada, bob = Ranger(cluster, "ada", 30_000), Ranger(cluster, "bob", 30_000)
    locked(ada.set(one, WRITE))
    locked(bob.set(two, WRITE))
    adas = ada.wait(two, WRITE)
    assert bob.wait(one, WRITE, op=9) == []
    assert (places(cluster, one), places(cluster, two)) == (1, 1)
    cluster.world.kill("b:2")
    cluster.world.run_until(lambda: cluster.primary(one) == "c:3")
    cluster.world.run_until(lambda: places(cluster, one) == 0)
    assert denied(bob.wait(one, WRITE, op=9)[0]).error is Errno.EDEADLK
    released(bob.clear(two))
    cluster.world.run_ms(50)
    locked(adas[0])


def test_the_deadline_of_a_wait_is_kept_by_a_new_primary_too() -> None:
    """Y3: the file comes before the node is complete, and nobody looks at it when it is unless somebody asks."""
    cluster = Cluster()
    ring = HashRing([*cluster.world.nodes, "d:4"])
    key = next(k for k in map(str, range(10_000)) if ring.primary(k) == "d:4")
    ada, bob = Ranger(cluster, "ada", 60_000), Ranger(cluster, "bob", 60_000)
    locked(ada.set(key, WRITE))
    wish = bob.want(key, WRITE, wait_ms=8_000)
    cluster.world.call(cluster.primary(key), wish, lambda _: None, 60_000)
    cluster.world.start_node("d:4")
    cluster.world.run_until(lambda: cluster.primary(key) == "d:4" and places(cluster, key) == 1)
    cluster.world.run_ms(9_000)
    assert places(cluster, key) == 0


def test_what_stands_in_the_way_is_said_when_the_backup_knows_the_same() -> None:
    """S6: getlk would name a lock that was let go of at a primary that the one asked has not heard of."""
    cluster = Cluster()
    key = cluster.key("b:2", "c:3")
    ada, bob = Ranger(cluster, "ada", 30_000), Ranger(cluster, "bob", 30_000)
    locked(ada.set(key, WRITE))
    cluster.world.cut("b:2", "c:3")
    answers: list[Result] = []
    cluster.world.call("b:2", FindConflict(key, bob.proof, "t1", WRITE, 0, 0), answers.append, 60_000)
    cluster.world.run_ms(500)
    assert answers == []
    cluster.world.mend("b:2", "c:3")
    cluster.world.run_until(lambda: bool(answers))
    assert isinstance(answers[0], RangeConflict)


def places(cluster: Cluster, key: str) -> int:
    """Return how many wait for ranges of a key at its primary."""
    file = cluster.world.nodes[cluster.primary(key)].core._state.files.get(id_of(key))
    return len(file.table.waiters()) if file is not None else 0
