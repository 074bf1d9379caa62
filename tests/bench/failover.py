"""From SIGKILL of a primary until its locks are renewable at the backup.

Three nodes, 200 held locks, 20 kills in turn. At each kill every lock is
renewed at once, and again until the answer is yes: measured from before the
signal until after the first yes to a renewal that was asked after it. Retries
and pauses of the client are part of the time. A thief tries every lock all
the time. Then the node is started again, and the next kill waits until the
cluster has settled.

Elsewhere: the same as a test, without speed (tests/acceptance).
"""

from __future__ import annotations

import asyncio
import signal
import time
from statistics import median
from typing import Final

from lockcore import aio
from tests.bench.cluster import Cluster
from tests.bench.holder import Holder
from tests.bench.report import NotMeasured, Row, at_most, exactly
from tests.bench.thief import Thief

TITLE: Final = "from SIGKILL of a primary to its locks renewable at the backup"
BOUND_S: Final = 400
KILLS: Final = 20
LOCKS: Final = 200
TARGET_S: Final = 0.3


async def measure() -> list[Row]:
    """Return the rows."""
    async with Cluster(nodes=3) as cluster, aio.connect(cluster.target) as client:
        holders = [Holder(client, f"failover/{i}") for i in range(LOCKS)]
        await asyncio.gather(*(holder.acquire() for holder in holders))
        keeping = [asyncio.create_task(holder.keep()) for holder in holders]
        try:
            async with Thief(cluster.target, [holder.key for holder in holders]) as thief:
                kills = [await _kill(cluster, number, holders) for number in range(KILLS)]
        finally:
            for task in keeping:
                task.cancel()
            await asyncio.gather(*keeping, return_exceptions=True)
    return _rows(kills, holders, thief)


async def _kill(cluster: Cluster, number: int, holders: list[Holder]) -> tuple[list[float], list[float]]:
    """Kill one node; return the times of the locks it was primary of, and of those it was backup of."""
    node = cluster.nodes[number % len(cluster.nodes)]
    ring = cluster.view.ring
    served = [holder for holder in holders if ring.primary(holder.key) == node.address]
    copied = [holder for holder in holders if ring.backup(holder.key) == node.address]
    began = time.monotonic()
    node.send(signal.SIGKILL)
    times = await asyncio.gather(*(holder.renewed_since(began) for holder in (*served, *copied)))
    await node.ended.wait()
    node.start()
    await cluster.settled()
    return (
        [took for took in times[: len(served)] if took is not None],
        [took for took in times[len(served) :] if took is not None],
    )


def _rows(kills: list[tuple[list[float], list[float]]], holders: list[Holder], thief: Thief) -> list[Row]:
    of_primary = [times for times, _ in kills if times]
    of_backup = [times for _, times in kills if times]
    if not of_primary:
        raise NotMeasured("no node that was killed was primary of a lock")
    last, first = [max(times) for times in of_primary], [min(times) for times in of_primary]
    kept = sum(not holder.lost for holder in holders)
    return [
        at_most(
            f"median over {len(last)} kills until all locks of the primary were renewed", median(last), TARGET_S, "s"
        ),
        Row("longest over the kills", f"{max(last):.3f} s"),
        Row(
            "until the first lock of the primary was renewed",
            f"median {median(first):.3f} s, longest {max(first):.3f} s",
        ),
        Row(
            "until all locks whose backup was killed were renewed",
            f"median {median(max(t) for t in of_backup):.3f} s, longest {max(max(t) for t in of_backup):.3f} s",
        ),
        Row("locks that changed their primary", f"{sum(map(len, of_primary)):,} of {LOCKS} x {len(kills)}"),
        exactly("acknowledged locks kept, same generation", kept, LOCKS, *_reasons(holders)),
        exactly(
            "granted to the thief", len(thief.stolen), 0, f" of {thief.tries:,} tries ({thief.unanswered:,} unanswered)"
        ),
    ]


def _reasons(holders: list[Holder]) -> list[str]:
    lost = [f"{holder.key}: {holder.lost}" for holder in holders if holder.lost]
    return [f" (lost: {'; '.join(lost[:5])})"] if lost else []
