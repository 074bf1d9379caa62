"""Sessions and byte ranges against real node processes."""

from __future__ import annotations

import asyncio
import errno
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from lockcore import aio
from lockcore.client.session import Session, SessionState
from lockcore.core.operations import How
from lockcore.errors import InvalidRequest, LockError, LockLost, NotAcquired, RangeRefused, SessionLost
from tests.lockcore.client.conftest import target_of
from tests.lockcore.service.cluster import PROJECT, until

if TYPE_CHECKING:
    from lockcore.client.sessionlock import SessionLock
    from tests.lockcore.service.cluster import Cluster

pytestmark = pytest.mark.acceptance


async def kept(session: Session) -> None:
    """Wait for the next keep-alive that was answered."""
    before_ns = session.held_until_ns
    await until(lambda: session.held_until_ns > before_ns, "a keep-alive")


async def test_one_session_holds_many_locks_through_the_death_of_a_primary(three: Cluster) -> None:
    async with aio.connect(target_of(three)) as client, client.session("me", ttl=6.0) as session:
        locks = [session.lock(f"k{i}") for i in range(100)]
        await asyncio.gather(*(lock.acquire() for lock in locks))
        await three.kill("n1")
        await kept(session)
        await kept(session)
        async with client.session("thief") as thief:
            tries = await asyncio.gather(
                *(thief.lock(lock.key, wait=0).acquire() for lock in locks), return_exceptions=True
            )
            assert {type(found) for found in tries} == {NotAcquired}
        assert all(lock.is_locked for lock in locks)
        assert session.state is SessionState.CONNECTED


async def test_waiters_are_served_in_their_order_by_push(three: Cluster) -> None:
    order: list[int] = []
    async with aio.connect(target_of(three)) as client:
        sessions = [await client.session(f"s{i}", ttl=30.0).open() for i in range(6)]
        first = await sessions[0].lock("k").acquire()
        started: list[asyncio.Task[None]] = []

        async def work(number: int) -> None:
            async with sessions[number].lock("k", wait=60):
                order.append(number)

        for number in range(1, 6):
            started.append(asyncio.create_task(work(number)))
            await until(lambda n=number: _queue_length(three, "k") == n, f"place {number}")  # type: ignore[misc]
        await first.release()
        await asyncio.gather(*started)
    assert order == [1, 2, 3, 4, 5]


def _queue_length(cluster: Cluster, key: str) -> int:
    """Return how many wait, as the facts tell it."""
    facts = [fact.event for label in cluster.nodes for fact in cluster.facts_of(label)]
    kinds = [event.kind.value for event in facts if event.key == key]
    return kinds.count("queued") - kinds.count("unqueued")


async def test_a_waiter_survives_the_death_of_the_primary(three: Cluster) -> None:
    key = three.key_of("n2")
    async with aio.connect(target_of(three)) as client:
        ada, bob = await client.session("ada", ttl=20.0).open(), await client.session("bob", ttl=20.0).open()
        held = await ada.lock(key).acquire()
        waiting = asyncio.create_task(bob.lock(key, wait=60).acquire())
        await until(lambda: _queue_length(three, key) == 1, "the place in the queue")
        await three.kill("n2")
        await held.release()
        got = await waiting
        assert got.generation > held.generation


async def test_a_wait_that_is_given_up_leaves_nothing_behind(three: Cluster) -> None:
    async with aio.connect(target_of(three)) as client:
        ada, bob, eve = [await client.session(n, ttl=20.0).open() for n in ("ada", "bob", "eve")]
        held = await ada.lock("k").acquire()
        waiting = asyncio.create_task(bob.lock("k", wait=60).acquire())
        await until(lambda: _queue_length(three, "k") == 1, "the place in the queue")
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await held.release()
        async with eve.lock("k", wait=30):
            pass
        with pytest.raises(NotAcquired):
            async with ada.lock("k"):
                await bob.lock("k", wait=0.2).acquire()


async def test_a_session_without_nodes_is_suspended_then_lost_and_says_so(three: Cluster) -> None:
    told: list[SessionState] = []
    lost: list[SessionLock] = []
    async with aio.connect(target_of(three)) as client:
        session = await client.session("me", ttl=3.0, on_state=lambda s: told.append(s.state)).open()
        lock = await session.lock("k", on_lost=lost.append).acquire()
        for process in three.nodes.values():
            process.kill()
        await until(lambda: bool(lost), "the loss")
        assert told == [SessionState.SUSPENDED, SessionState.LOST]
        assert not lock.is_locked
        assert lock.lost.is_set()
        with pytest.raises(LockLost):
            lock.check()


async def test_ranges_have_the_kernel_s_rules_and_survive_a_failover(three: Cluster) -> None:
    key = three.key_of("n2")
    async with aio.connect(target_of(three)) as client, client.session("ada", ttl=20.0) as ada:
        mine = ada.ranges(key)
        await mine.setlk("write", 0, 100)
        await mine.unlck(40, 20)
        other = await client.ranges(key)
        await other.setlk("read", 45, 10)
        with pytest.raises(RangeRefused) as refusal:
            await other.setlk("write", 0, 0)
        assert refusal.value.errno == errno.EAGAIN
        assert refusal.value.held_by == ("ada", "write", 0, 40)
        with pytest.raises(RangeRefused) as invalid:
            await other.setlk("read", -5, 2)
        assert invalid.value.errno == errno.EINVAL
        await three.kill("n2")
        found = await other.getlk("write", 60, 10)
        assert found is not None
        assert (found.label, found.start, found.length) == ("ada", 60, 40)
        waiting = asyncio.create_task(other.setlkw("write", 0, 10, wait=30))
        await mine.unlck(0, 40)
        assert (await waiting).start == 0
        async with mine.held("write", 500, 1, wait=5):
            assert await other.getlk("read", 500, 1)
        assert await other.getlk("read", 500, 1) is None


async def test_what_cannot_be_asked_is_refused_here(three: Cluster) -> None:
    async with aio.connect(target_of(three)) as client, client.session("ada") as ada:
        with pytest.raises(InvalidRequest, match="read"):
            await ada.ranges("k").setlk("exclusive")
        with pytest.raises(InvalidRequest, match="2\\^63"):
            await ada.ranges("k").setlk("read", 2**63)
        with pytest.raises(InvalidRequest, match="ttl"):
            client.session(ttl=0.5)
        with pytest.raises(LockError, match="not opened"):
            _ = client.session().proof


OLD = """
import asyncio, sys
from lockcore import aio

async def main():
    async with aio.connect(sys.argv[1]) as client:
        session = await client.session("old", ttl=4.0).open()
        await asyncio.gather(*(session.lock(f"k{i}").acquire() for i in range(20)))
        await session.ranges("file").setlk("write", 0, 100)
        proof = session.proof
        print(proof.id, proof.incarnation, proof.secret, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_a_new_process_takes_over_without_a_break_and_the_old_one_is_told(three: Cluster) -> None:
    """The graph switch of the Gluster RFC, with a third party that waits all the time."""
    pipe = asyncio.subprocess.PIPE
    old = await asyncio.create_subprocess_exec(sys.executable, "-c", OLD, target_of(three), cwd=PROJECT, stdout=pipe)
    assert old.stdout is not None
    try:
        identity, incarnation, secret = (await old.stdout.readline()).decode().split()
        proof = aio.SessionProof(identity, int(incarnation), secret)
        async with aio.connect(target_of(three)) as client, client.session("new", ttl=20.0) as new:
            thief = await client.session("thief", ttl=30.0).open()
            slips_in = asyncio.create_task(thief.lock("k3", wait=60).acquire())
            await until(lambda: _queue_length(three, "k3") == 1, "the third party waits")
            old.send_signal(signal.SIGKILL)
            taken = await new.take_over(proof)
            assert sorted(taken.locks) == sorted(f"k{i}" for i in range(20))
            assert taken.ranges["file"].how is How.MIGRATED
            assert taken.lost == []
            assert not slips_in.done()
            again = await new.take_over(proof)
            assert not again.locks
            assert all(lock.is_locked for lock in taken.locks.values())
            await kept(new)
            await kept(new)
            assert not slips_in.done()
            await taken.locks["k3"].release()
            assert (await slips_in).generation > taken.locks["k3"].generation
    finally:
        if old.returncode is None:
            old.kill()
        await old.communicate()


async def test_a_forged_proof_takes_nothing(three: Cluster) -> None:
    async with aio.connect(target_of(three)) as client, client.session("ada", ttl=20.0) as ada:
        lock = await ada.lock("k").acquire()
        forged = aio.SessionProof(ada.proof.id, ada.proof.incarnation, "0" * 64)
        async with client.session("eve") as eve:
            with pytest.raises(LockError, match="secret"):
                await eve.take_over(forged)
            with pytest.raises(SessionLost):
                await client.session("eve again").open(forged)
        assert lock.is_locked
