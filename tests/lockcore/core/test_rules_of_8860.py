"""Rules of SeaweedFS #8860 that no other test of the core shows.

Elsewhere: all of them (tests/acceptance/scenarios/rules_8860), the failure scenarios (beside that table).
"""

from __future__ import annotations

from itertools import count

import lockcore
from lockcore.core.leases import LeaseTable
from lockcore.core.limits import STABILISATION_MS
from lockcore.core.messages import FromNode, HeartbeatAck, Instant, Register, Tick
from lockcore.core.ring import HashRing
from lockcore.core.tokens import TokenMint
from lockcore.core.view import MemberId
from tests.lockcore.core.bench import Bench, granted, record
from tests.lockcore.core.desk import Desk


def test_any_service_can_ask_the_ring_who_owns_what_is_no_lock() -> None:
    """8860:ring-for-others. SeaweedFS shares out the cleaning of empty folders by it: each has one owner."""
    servers = ["10.0.0.1:8888", "10.0.0.2:8888", "10.0.0.3:8888"]
    folders = [f"/buckets/photos/{i}" for i in range(300)]
    shares = {me: {f for f in folders if lockcore.HashRing(servers).primary(f) == me} for me in servers}
    assert set().union(*shares.values()) == set(folders)
    assert sum(map(len, shares.values())) == len(folders)
    assert all(shares.values())


def test_a_lock_whose_old_primary_is_the_new_backup_stays_there_as_a_copy() -> None:
    """8860:demote, 8860:lock-is-backup. It is not served, and not forgotten either."""
    bench = Bench(peers=("b:2", "c:3"))
    bench.view(without=["c:3"])
    bench.seal("b:2")
    bench.take_in_all()
    after = HashRing(["a:1", "b:2", "c:3"])
    key = next(k for k in (bench.key("a:1", nth=i) for i in count()) if after.owners(k) == ("c:3", "a:1"))
    token = granted(bench.acquire(key)).token
    bench.view()
    bench.seal()
    bench.take_in_all()
    bench.tell(HeartbeatAck(0, bench.number, bench.number))
    lease = bench.lease(key)
    assert (lease.serving, lease.live(bench.now.boot_ns), lease.token) == (False, True, token)
    bench.view(down=["c:3"])
    assert bench.lease(key).serving


def test_locks_can_be_listed_looked_up_inserted_and_removed() -> None:
    """8860:lock-table."""
    table = LeaseTable(TokenMint(b"secret"))
    assert table.get("a") is None
    table.grant("a", "ada", 1_000, Instant(0, 0), 0)
    table.merge(record("b", 50), 0)
    assert {lease.key: lease.serving for lease in table} == {"a": True, "b": False}
    table.drop("a")
    assert [lease.key for lease in table] == ["b"]
    assert len(table) == 1


def test_locks_may_be_removed_while_they_are_listed() -> None:
    """8860:select-is-a-write. In Go this was a data race; here a listing is a snapshot, and a step runs alone."""
    table = LeaseTable(TokenMint(b"secret"))
    for i in range(10):
        table.grant(f"k{i}", "ada", 1_000, Instant(0, 0), 0)
    for lease in table:
        table.drop(lease.key)
    assert len(table) == 0


def test_a_node_changes_its_ring_only_on_the_masters_word() -> None:
    """8860:master-owns-ring. Neither a peer's silence nor its messages change who owns what."""
    bench = Bench(peers=("b:2", "c:3")).settle()
    before = bench.core.view
    bench.peers["d:4"] = MemberId("d:4", 1)
    bench.send("d:4", replicas=(record("k", 50),))
    bench.live(10_000)  # b:2 and c:3 say nothing all the while
    assert bench.core.view == before


def test_a_change_that_comes_as_the_delay_ends_is_not_lost() -> None:
    """8860:latest-state. In Go the timer could have fired already."""
    for early_ms in (1, 0):
        desk = Desk()
        desk.join("a:1")
        desk.now_ms += STABILISATION_MS - early_ms
        desk.join("b:2")
        desk.step(Tick())
        desk.live(STABILISATION_MS + 300)
        assert desk.up() == {"a:1", "b:2"}


def test_nothing_is_published_when_nothing_has_changed() -> None:
    """8860:nothing-pending. A second copy of an update would start a second handover."""
    desk = Desk()
    nodes = desk.start("a:1", "b:2")
    published = len(desk.views())
    for node in nodes:
        desk.step(FromNode(node.connection, Register(node.id, 0, desk.view)))
    desk.live(10_000)
    assert len(desk.views()) == published


def test_a_drop_and_a_join_bring_all_nodes_to_the_same_ring_in_one_step() -> None:
    """8860:convergence. Without the master's delay every node would see two rings, and move locks twice."""
    desk = Desk()
    nodes = desk.start("a:1", "b:2", "c:3")
    desk.die(nodes[1])
    new = desk.join("d:4")
    seen: dict[str, list[frozenset[str]]] = {}
    until_ms = desk.now_ms + 3_000
    while desk.now_ms < until_ms:
        desk.live(50)
        for node in (nodes[0], nodes[2], new):
            rings = seen.setdefault(node.id.address, [])
            if node.view is not None and (not rings or rings[-1] != frozenset(node.view.up)):
                rings.append(frozenset(node.view.up))
    marked, final = frozenset({"a:1", "c:3"}), frozenset({"a:1", "c:3", "d:4"})
    assert set(map(tuple, seen.values())) == {(marked, final)}
