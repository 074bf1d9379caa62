"""Deaths, joins and departures on a ring of real filers and a Lockring node: who has which lock afterwards."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Final

import grpc
import pytest

from lockcore.core.operations import Granted, Refused
from lockcore.core.ring import HashRing
from tests.weed.asking import PATIENCE_S, acquire, eventually, everybody, keys_of, must_acquire, renewable
from tests.weed.cluster import WeedCluster

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.weed.cluster import WeedProcess

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

LOCKS: Final = 100


def test_100_of_100_locks_replicated_from_a_killed_filer_are_renewable_at_the_node(
    record_property: Callable[[str, object], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promoted here, with the same token and generation."""
    monkeypatch.setenv("LOCKRING_LOG_LEVEL", "DEBUG")
    with WeedCluster(filers=2) as weed:
        node = weed.add_member()
        ring = weed.wait_ring(everybody(weed))
        dying, left = weed.filers
        keys = keys_of(ring, dying, "killed", LOCKS, backup=node)
        held = {key: must_acquire(weed, dying, key) for key in keys}
        eventually(lambda: node.log_text().count("has a copy of killed/"), lambda copies: copies == LOCKS)
        dying.kill()
        weed.wait_ring([left, node])
        kept = renewable(weed, [left, node], held)
        record_property(
            "locks replicated from a killed real filer, renewable at the Lockring node", f"{kept} of {LOCKS}"
        )
        assert kept == LOCKS


def test_100_of_100_locks_of_a_leaving_node_are_renewable_at_the_filers(
    record_property: Callable[[str, object], None],
) -> None:
    """Its goodbye ends with 0 when the filers have them all."""
    with WeedCluster(filers=2) as weed:
        node = weed.add_member()
        ring = weed.wait_ring(everybody(weed))
        held = {key: must_acquire(weed, node, key) for key in keys_of(ring, node, "left", LOCKS)}
        node.send(signal.SIGTERM)
        assert node.wait_end(PATIENCE_S) == 0
        weed.wait_ring(weed.filers)
        kept = renewable(weed, weed.filers, held)
        record_property("locks of a leaving Lockring node, renewable at the real filers", f"{kept} of {LOCKS}")
        assert kept == LOCKS


def test_a_killed_node_loses_no_lock_either(record_property: Callable[[str, object], None]) -> None:
    """A grant is answered when the filer that backs it up has it."""
    with WeedCluster(filers=2) as weed:
        node = weed.add_member()
        ring = weed.wait_ring(everybody(weed))
        held = {key: must_acquire(weed, node, key) for key in keys_of(ring, node, "dead", LOCKS)}
        node.kill()
        weed.wait_ring(weed.filers)
        kept = renewable(weed, weed.filers, held)
        record_property(
            "locks of a Lockring node after its kill -9, renewable at the real filers", f"{kept} of {LOCKS}"
        )
        assert kept == LOCKS


def test_a_node_that_joins_gives_no_held_lock_away_and_one_that_restarts_neither(
    record_property: Callable[[str, object], None],
) -> None:
    """SeaweedFS's own filers give away all of them in both cases (known-failures)."""
    with WeedCluster(filers=2) as weed:
        node = weed.make_member()
        coming = HashRing([each.address for each in everybody(weed)])
        keys = keys_of(coming, node, "join", LOCKS)
        held = {key: must_acquire(weed, weed.filers[0], key) for key in keys}
        node.start()
        stolen = steal(weed, node, keys)
        weed.wait_ring(everybody(weed))
        assert renewable(weed, everybody(weed), held) == LOCKS
        held = {key: must_acquire(weed, node, key) for key in keys_of(coming, node, "again", LOCKS)}
        node.kill()
        node.start()
        stolen += steal(weed, node, list(held))
        weed.wait_ring(everybody(weed))
        assert renewable(weed, everybody(weed), held) == LOCKS
        record_property("locks given away as a Lockring node joins, and restarts", f"{stolen} of {2 * LOCKS}")
        assert stolen == 0


def steal(weed: WeedCluster, node: WeedProcess, keys: list[str]) -> int:
    """Ask the node for held keys, from before it answers until it serves them; return how many it gave away."""
    stolen = 0
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        refused = 0
        for key in keys:
            try:
                answer = acquire(weed, node, key, owner="thief")
            except grpc.RpcError:
                continue
            stolen += isinstance(answer, Granted)
            refused += (
                isinstance(answer, Refused) and answer.text == "lock already owned by ada" and not answer.moved_to
            )
        if refused == len(keys) or stolen:
            return stolen
    raise AssertionError("the node never served its keys")


def test_a_node_outlives_a_restart_of_the_master_with_its_locks() -> None:
    """It is lost to the ring for a while, and back with what it had; nobody else has got any of it."""
    with WeedCluster(filers=2) as weed:
        node = weed.add_member()
        ring = weed.wait_ring(everybody(weed))
        held = {key: must_acquire(weed, node, key) for key in keys_of(ring, node, "kept", LOCKS)}
        weed.master.kill()
        held |= {key: renewed_at(weed, node, key, held[key].token) for key in list(held)[:5]}
        weed.master.start()
        weed.wait_ring(everybody(weed))
        assert renewable(weed, everybody(weed), held) == LOCKS


def renewed_at(weed: WeedCluster, at: WeedProcess, key: str, token: str) -> Granted:
    answer = acquire(weed, at, key, token)
    assert isinstance(answer, Granted), answer
    return answer
