"""The client on real filers: what it keeps, and what it says where something is wrong."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import lockcore
from lockcore import aio
from lockcore.client.clock import boot_ns
from lockcore.core.limits import NS_PER_S
from lockcore.core.operations import Granted
from lockcore.errors import ClusterUnavailable, InvalidRequest, NotAcquired, Unsupported
from tests.lockcore.service.cluster import until
from tests.weed.cluster import WeedCluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lockcore.aio import LiveLock, LockClient
    from tests.weed.cluster import WeedProcess

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
LOCKS = 100
TTL_S = 30.0
LONG_BEFORE_RENEWAL = 0.8
"""A lock is renewed when a third of its lease is over."""


@pytest.fixture(scope="module")
def filers() -> Iterator[WeedCluster]:
    """Three filers for tests that harm none of them."""
    with WeedCluster(filers=3) as running:
        yield running


def _at(weed: WeedCluster) -> str:
    return "seaweedfs://" + ",".join(filer.address for filer in weed.filers)


async def test_100_of_100_replicated_locks_outlive_their_primary(
    record_property: Callable[[str, object], None],
) -> None:
    """Same token, same generation, no loss told: a fail-over of SeaweedFS is none of the holder's concern."""
    with WeedCluster(filers=3, verbosity=4) as weed:
        ring, dying = weed.ring(), weed.filers[0]
        keys = [key for i in range(10_000) if ring.primary(key := f"kept/{i}") == dying.address][:LOCKS]
        async with aio.connect(_at(weed)) as client:
            locks = [client.lock(key, ttl=TTL_S, owner="ada") for key in keys]
            await asyncio.gather(*(lock.acquire() for lock in locks))
            await until(lambda: _at_rest(locks, dying, weed.filers[1:]), "all have a backup, and none is to be renewed")
            dying.kill()
            generations = [lock.generation for lock in locks]
            held_until = {lock.key: lock.held_until_ns for lock in locks}
            await until(
                lambda: all(_is_settled(lock, held_until[lock.key]) for lock in locks), "all were renewed, or lost"
            )
            kept = sum(lock.is_locked and not lock.lost.is_set() for lock in locks)
            assert [lock.generation for lock in locks] == generations
    record_property("replicated locks on real filers kept through kill -9 of their primary", f"{kept} of {LOCKS}")
    assert kept == LOCKS


def _is_settled(lock: LiveLock, since_ns: int) -> bool:
    return lock.held_until_ns > since_ns or lock.lost.is_set()


def _at_rest(locks: list[LiveLock], primary: WeedProcess, others: list[WeedProcess]) -> bool:
    """Say whether every token that the primary gave is at a backup, and no renewal is near: SeaweedFS answers first."""
    if any(lock.held_until_ns - boot_ns() < LONG_BEFORE_RENEWAL * TTL_S * NS_PER_S for lock in locks):
        return False
    given = Counter(re.findall(r"key (kept/\d+) (?:new|old) token", primary.log_text()))
    copied = re.findall(r"inserted backup lock (kept/\d+) .*seq=(\d+)", "".join(other.log_text() for other in others))
    return given.items() <= {(key, int(seq)) for key, seq in copied}


async def test_a_key_is_asked_at_its_primary_and_a_seed_is_enough(filers: WeedCluster) -> None:
    """Through a filer, or through the master; what is asked elsewhere is answered with where it lives."""
    ring = filers.ring()
    stranger = f"{filers.master.address},127.0.0.1:1,{filers.filers[0].address}"
    for seed in (filers.filers[0].address, f"127.0.0.1:{filers.filers[1].port}", filers.master.address, stranger):
        async with aio.connect(f"seaweedfs://{seed}") as client:
            assert client.view is not None
            assert set(client.view.ring.servers) == set(ring.servers)
            for i in range(6):
                granted = await client.acquire(f"at/{seed}/{i}")
                assert isinstance(granted, Granted)
                assert granted.moved_to == ""
                assert await client.primary_of(f"k{i}") == ring.primary(f"k{i}")
                assert await client.backup_of(f"k{i}") == ring.backup(f"k{i}")
            elsewhere = next(f"e{i}" for i in range(999) if ring.primary(f"e{i}") != filers.filers[0].address)
            moved = await client.acquire(elsewhere + seed, node=filers.filers[0].address)
            assert isinstance(moved, Granted)
            assert moved.moved_to in ("", ring.primary(elsewhere + seed))


async def test_one_holds_and_the_others_are_told_who(filers: WeedCluster) -> None:
    async with aio.connect(_at(filers)) as client:
        async with client.lock("one", owner="ada") as lock:
            assert lock.is_locked
            assert lock.generation > 0
            assert await client.owner_of("one") == "ada"
            with pytest.raises(NotAcquired, match="ada"):
                await client.lock("one", owner="bob", wait=0).acquire()
        assert await client.owner_of("one") is None
        async with client.lock("one", owner="bob") as again:
            assert again.generation > lock.generation


async def test_a_holder_is_told_of_its_loss(filers: WeedCluster) -> None:
    """Somebody unlocks with the token that a renewal will bring: to the holder it is as if the lock was lost."""
    told: list[LiveLock] = []
    async with aio.connect(_at(filers)) as client:
        lock = client.lock("mine", ttl=1.0, on_lost=told.append)
        await lock.acquire()
        await client.unlock("mine", lock._machine._token)
        await until(lambda: bool(told), "the callback runs")
        assert not lock.is_locked
        await lock.release()


def test_programs_without_an_event_loop_use_them_too(filers: WeedCluster) -> None:
    with lockcore.connect(_at(filers)) as client, client.lock("blocking") as lock:
        assert lock.is_locked
        for refused in (client.session, lambda: client.ranges("x"), lambda: next(client.watch("x"))):
            with pytest.raises(Unsupported, match="SeaweedFS filers do not offer"):
                refused()


def test_a_command_runs_under_a_lock_of_a_real_filer(filers: WeedCluster) -> None:
    address = filers.filers[2].address
    inner = f"import lockcore; print(lockcore.connect('seaweedfs://{address}').owner_of('shell'))"
    outer = [sys.executable, "manage.py", "lock", "--seaweedfs", address, "--owner", "me", "shell"]
    ran = subprocess.run(
        [*outer, "--", sys.executable, "-c", inner], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "me\n", "")


async def _failure(target: str) -> str:
    with pytest.raises(ClusterUnavailable) as failed:
        await aio.connect(f"seaweedfs://{target}", timeout=2)
    return str(failed.value)


async def test_what_cannot_be_locked_at_says_why(filers: WeedCluster) -> None:
    """Wrong ports are what everybody writes at first."""
    filer, master = filers.filers[0], filers.master
    assert "connection refused" in await _failure(f"127.0.0.1:{filer.port + 10_000}")  # its gRPC port, as HTTP port
    assert "a port of HTTP, not of gRPC" in await _failure(f"127.0.0.1:{filer.port}.{filer.port}")
    assert "a port of HTTP, not of gRPC" in await _failure(f"127.0.0.1:{master.port}.{master.port}")
    for wrong in ("seaweedfs://", "seaweedfs://nowhere", "seaweedfs://127.0.0.1:70000", f"https://{filer.address}"):
        with pytest.raises(InvalidRequest, match=r"write|seaweedfs://"):
            aio.connect(wrong)


async def test_a_stopped_filer_a_ring_of_none_and_a_ring_of_one() -> None:
    """Each is met in practice, and none may look like a program that hangs."""
    with WeedCluster(filers=0) as weed:
        assert "its lock ring is empty; start a filer" in await _failure(weed.master.address)
        alone = weed.add_filer()
        await asyncio.to_thread(weed.wait_ring, [alone])
        async with aio.connect(f"seaweedfs://{weed.master.address}") as client:
            assert isinstance(await client.acquire("alone"), Granted)
            assert await client.backup_of("alone") is None
            await _without_a_master(weed, alone)
            alone.stop()
            assert "it hangs, is stopped" in await _failure(alone.address)
            alone.resume()


async def _without_a_master(weed: WeedCluster, filer: WeedProcess) -> None:
    """Locks are to be had while a filer lives that knows itself to be one."""
    weed.master.kill()
    client: LockClient
    async with aio.connect(f"seaweedfs://{filer.address}") as client:
        assert isinstance(await client.acquire("no master"), Granted)
        assert await client.primary_of("no master") is None
