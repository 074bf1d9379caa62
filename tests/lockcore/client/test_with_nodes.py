"""The asyncio client and real node processes: what a holder sees when they are killed, stopped or cut off."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from lockcore import aio
from lockcore.core.operations import Code, Granted, Refused
from lockcore.errors import NotAcquired
from lockcore.wire.addresses import grpc_target
from tests.lockcore.client.conftest import target_of
from tests.lockcore.service.cluster import PROJECT, SPREAD, until

if TYPE_CHECKING:
    from tests.lockcore.service.cluster import Cluster

pytestmark = pytest.mark.acceptance


async def renewed(lock: aio.LiveLock) -> None:
    """Wait for the next renewal."""
    before_ns = lock.held_until_ns
    await until(lambda: lock.held_until_ns > before_ns, "a renewal")


async def test_a_lock_excludes_and_generations_rise(three: Cluster) -> None:
    async with aio.connect(target_of(three)) as client:
        async with client.lock("k", owner="ada") as first:
            assert await client.owner_of("k") == "ada"
            with pytest.raises(NotAcquired, match="ada"):
                await client.lock("k", owner="bob", wait=0).acquire()
        async with client.lock("k", owner="bob", wait=0) as second:
            assert second.generation > first.generation
        assert await client.owner_of("k") is None


async def test_a_killed_primary_costs_no_lock_and_no_generation(three: Cluster) -> None:
    losses: list[aio.LiveLock] = []
    async with aio.connect(target_of(three)) as client:
        locks = [client.lock(f"k{i * SPREAD}", ttl=2.0, owner="me", on_lost=losses.append) for i in range(60)]
        await asyncio.gather(*(lock.acquire() for lock in locks))
        generations = [lock.generation for lock in locks]
        await three.kill("n1")
        await asyncio.gather(*(renewed(lock) for lock in locks))
        assert losses == []
        assert [lock.generation for lock in locks] == generations
        assert all(lock.is_locked for lock in locks)
        results = await asyncio.gather(*(client.acquire(lock.key, owner="thief") for lock in locks))
        assert {getattr(result, "code", None) for result in results} == {Code.HELD}


async def test_a_stopped_primary_costs_no_lock(three: Cluster) -> None:
    """SIGSTOP breaks no socket: only the view says that it is gone."""
    key = three.key_of("n2")
    async with aio.connect(target_of(three)) as client, client.lock(key, ttl=7.0, owner="me") as lock:
        three.nodes["n2"].send_signal(signal.SIGSTOP)
        try:
            await renewed(lock)
            assert lock.is_locked
            assert not lock.lost.is_set()
        finally:
            three.nodes["n2"].send_signal(signal.SIGCONT)


async def test_a_joining_node_takes_no_lock_away(three: Cluster) -> None:
    losses: list[aio.LiveLock] = []
    async with aio.connect(target_of(three)) as client:
        locks = [client.lock(f"k{i * SPREAD}", ttl=2.0, owner="me", on_lost=losses.append) for i in range(60)]
        await asyncio.gather(*(lock.acquire() for lock in locks))
        await three.start_node("n4")
        await three.settled(4)
        await asyncio.gather(*(renewed(lock) for lock in locks))
        assert losses == []
        await until(lambda: client.view is not None and len(client.view.up) == 4, "the view with the new node")
        moved = [lock for lock in locks if three.primary(lock.key) == "n4"]
        assert moved
        assert all([await client.owner_of(lock.key) == "me" for lock in moved])


async def test_any_one_address_is_enough_even_when_its_node_dies_later(three: Cluster) -> None:
    async with aio.connect(grpc_target(three.address("n1"))) as client:
        async with client.lock("k", ttl=2.0) as lock:
            await three.kill("n1")
            await renewed(lock)
            assert lock.is_locked
        assert isinstance(await client.acquire("another"), Granted)


async def test_without_any_node_the_loss_is_told_when_the_lease_ends(three: Cluster) -> None:
    async with aio.connect(target_of(three)) as client, client.lock("k", ttl=1.0) as lock:
        for process in three.nodes.values():
            process.kill()
        await asyncio.wait_for(lock.lost.wait(), 20)
        assert not lock.is_locked


async def test_a_renewal_whose_answer_was_lost_costs_nothing(three: Cluster) -> None:
    """The node honours the token before the last: presenting it again recovers the lock."""
    async with aio.connect(target_of(three)) as client:
        first = await client.acquire("k", owner="me")
        assert isinstance(first, Granted)
        unheard = await client.renew("k", first.token)
        assert isinstance(unheard, Granted)
        again = await client.renew("k", first.token)
        assert isinstance(again, Granted)
        assert again.generation == first.generation
        shown = await client.renew("k", again.token)
        assert isinstance(shown, Granted)
        stale = await client.renew("k", first.token)
        assert isinstance(stale, Refused)
        assert stale.code is Code.TOKEN_MISMATCH


HOLDER = """
import asyncio, sys
from lockcore import aio

async def main():
    async with aio.connect(sys.argv[1]) as client:
        lock = await client.lock("k", ttl=1.0, owner="holder").acquire()
        print(lock.is_locked, flush=True)
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            print(lock.is_locked, flush=True)

asyncio.run(main())
"""


async def test_a_holder_that_was_stopped_knows_at_its_first_look(three: Cluster) -> None:
    """The answer comes from the clock, before any of its own timers has run."""
    pipe = asyncio.subprocess.PIPE
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, target_of(three), cwd=PROJECT, stdin=pipe, stdout=pipe
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        assert await holder.stdout.readline() == b"True\n"
        holder.send_signal(signal.SIGSTOP)
        async with aio.connect(target_of(three)) as client, client.lock("k", owner="next", wait=30):
            holder.stdin.write(b"\n")
            holder.send_signal(signal.SIGCONT)
            assert await holder.stdout.readline() == b"False\n"
    finally:
        holder.kill()
        await holder.communicate()
