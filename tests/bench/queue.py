"""A contended named lock: from its release to the next waiter's grant, and whether anybody starves.

Two clients take turns under a load of 500 operations a second that another
process makes. The clock runs from before the holder says `release` until the
waiter's `acquire` has returned, both in this process. SeaweedFS's clients
poll once a second. Then 100 waiters, each a session, want one lock again and
again; nobody may be passed by more than wait before it.

Elsewhere: the queue (lockcore.core.queueing).
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from lockcore import aio
from tests.bench.cluster import Cluster
from tests.bench.load import load
from tests.bench.report import Row, at_most, share

TITLE: Final = "hand-over of a contended lock, and 100 waiters in a queue"
BOUND_S: Final = 240
RATE: Final = 500
TURNS: Final = 400
MEDIAN_MS_MAX: Final = 5.0
WAITERS: Final = 100
CLIENTS: Final = 4
ROUNDS: Final = 5


async def measure() -> list[Row]:
    """Return the rows."""
    async with Cluster(nodes=3) as cluster:
        calm = await _turns(cluster)
        async with load(cluster.target, RATE) as done:
            began = time.monotonic()
            loaded = await _turns(cluster)
            passed, grants = await _crowd(cluster)
            took_s = time.monotonic() - began
    return [
        at_most(f"release to grant under load, median of {TURNS}", share(loaded, 0.5), MEDIAN_MS_MAX, "ms", 2),
        Row("the same, 95 % within", f"{share(loaded, 0.95):.2f} ms (longest {max(loaded):.1f} ms)"),
        Row("without load", f"median {share(calm, 0.5):.2f} ms, 95 % within {share(calm, 0.95):.2f} ms"),
        Row("load meanwhile", f"{sum(done) / took_s:.0f} operations a second ({RATE} asked for)"),
        Row(
            f"{WAITERS} waiters, {len(passed):,} grants: grants to others while one waited, at most",
            f"{max(passed)}",
            f"<= {WAITERS}",
            max(passed) <= WAITERS,
        ),
        Row("grants to each", f"{min(grants)} to {max(grants)}", f"{ROUNDS}", set(grants) == {ROUNDS}),
    ]


async def _turns(cluster: Cluster) -> list[float]:
    """Two clients take turns; return the hand-overs, ms."""
    took: list[float] = []
    async with (
        aio.connect(cluster.target, timeout=60) as one,
        aio.connect(cluster.target, timeout=60) as two,
        one.session("one", ttl=30.0) as first,
        two.session("two", ttl=30.0) as second,
    ):
        holder = await first.lock("contended").acquire()
        for turn in range(TURNS):
            waits = (second, first)[turn % 2].lock("contended")
            granted = asyncio.create_task(_acquire(waits))
            await asyncio.sleep(0.02)  # it stands in the queue by then
            began = time.perf_counter()
            releasing = asyncio.create_task(holder.release())
            took.append(1_000 * (await granted - began))
            await releasing
            holder = waits
        await holder.release()
    return took


async def _acquire(lock: aio.SessionLock) -> float:
    await lock.acquire()
    return time.perf_counter()


async def _crowd(cluster: Cluster) -> tuple[list[int], list[int]]:
    """Have all waiters take their turns; return how many went before each wait was over, and the grants of each."""
    passed: list[int] = []
    grants = [0] * WAITERS
    clients = [await aio.connect(cluster.target, timeout=60) for _ in range(CLIENTS)]
    total = 0

    async def work(number: int) -> None:
        nonlocal total
        async with clients[number % CLIENTS].session(f"waiter {number}", ttl=60.0) as session:
            for _ in range(ROUNDS):
                before = total
                async with session.lock("crowd"):
                    passed.append(total - before)
                    total += 1
                    grants[number] += 1

    try:
        await asyncio.gather(*(work(number) for number in range(WAITERS)))
    finally:
        await asyncio.gather(*(client.close() for client in clients))
    return passed, grants
