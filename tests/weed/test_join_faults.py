"""Deaths, joins and departures on a ring of real filers and a Lockring node: who has which lock afterwards."""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
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
BUSY: Final = 20
RENEWAL_S: Final = 10.0
"""An answer that is given up takes its token along."""


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


def test_locks_that_are_renewed_all_the_time_outlive_the_nodes_goodbye() -> None:
    """Each renewal shows the token of the one before: a single answer from a member that does not have it ends it."""
    with WeedCluster(filers=2) as weed:
        node = weed.add_member()
        ring = weed.wait_ring(everybody(weed))
        held = {key: must_acquire(weed, node, key) for key in keys_of(ring, node, "busy", BUSY)}
        generations = {key: got.generation for key, got in held.items()}
        gone = threading.Event()
        with ThreadPoolExecutor(1) as beside:
            renewals = beside.submit(renew_until, gone, weed, node, held)
            try:
                node.send(signal.SIGTERM)
                assert node.wait_end(PATIENCE_S) == 0
                weed.wait_ring(weed.filers)
            finally:
                gone.set()
            assert renewals.result() > BUSY, "hardly anything was renewed while it said goodbye"
        assert {key: got.generation for key, got in held.items()} == generations
        assert renewable(weed, weed.filers, held) == BUSY


def renew_until(gone: threading.Event, weed: WeedCluster, node: WeedProcess, held: dict[str, Granted]) -> int:
    """Renew everything at the node until it does not answer, then at a filer; return how much the node renewed."""
    lives, renewals = node, 0
    while not gone.is_set():
        for key, got in held.items():
            try:
                answer = acquire(weed, lives, key, got.token, timeout_s=RENEWAL_S)
            except grpc.RpcError:
                lives = weed.filers[0]
                continue
            assert isinstance(answer, Granted), answer
            held[key] = answer
            renewals += lives is node
    return renewals


def test_a_backup_that_hangs_costs_no_lock_and_has_them_all_when_it_goes_on() -> None:
    """A stopped filer stays on the ring for long: grants go on without it, and it is told of them later."""
    with WeedCluster(filers=2, verbosity=4) as weed:
        node = weed.add_member()
        ring = weed.wait_ring(everybody(weed))
        backup = weed.filers[0]
        keys = keys_of(ring, node, "hung", BUSY, backup=backup)
        backup.stop()
        held = {key: must_acquire(weed, node, key) for key in keys}
        held |= {key: renewed_at(weed, node, key, got.token) for key, got in held.items()}
        backup.resume()
        told = [f"inserted backup lock {key} owner=ada generation={got.generation} seq=2" for key, got in held.items()]
        eventually(backup.log_text, lambda log: all(line in log for line in told))
        node.kill()
        weed.wait_ring(weed.filers)
        assert renewable(weed, weed.filers, held) == BUSY
        assert "did not reach another member" in node.log_text()


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
