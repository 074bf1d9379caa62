"""What it costs to keep 10,000 locks of one session held over three nodes.

Messages are counted where the client writes them to its streams, and
operations in them; keep-alives of a session are all that leaves while it only
holds. SeaweedFS's client renews each lock by itself: 10,000 messages.

Elsewhere: when a keep-alive leaves (lockcore.client.sessionlease).
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

from lockcore import aio
from lockcore.client.sessionlease import KEEP_SHARE
from lockcore.wire.codec import encode_client_batch
from tests.bench.cluster import Cluster, until
from tests.bench.procfs import cpu_s
from tests.bench.report import Row, exactly

if TYPE_CHECKING:
    from collections.abc import Iterator

TITLE: Final = "renewal of 10,000 locks held by one client over three nodes"
BOUND_S: Final = 240
LOCKS: Final = 10_000
TOGETHER: Final = 64
TTL_S: Final = 15.0
INTERVALS: Final = 4
REST_S: Final = 1.0
MESSAGES_MAX: Final = 3


class Counter:
    """Counts what a client writes."""

    def __init__(self) -> None:
        self.messages = 0
        self.operations = 0
        self._encode = encode_client_batch

    def __call__(self, batch: Any) -> bytes:
        """Encode as ever."""
        self.messages += 1
        self.operations += len(batch)
        return self._encode(batch)


async def measure() -> list[Row]:
    """Return the rows."""
    counter = Counter()
    with patch("lockcore.client.link.encode_client_batch", counter):
        async with (
            Cluster(nodes=3) as cluster,
            aio.connect(cluster.target, timeout=60) as client,
            client.session("bench", ttl=TTL_S) as session,
        ):
            locks = [session.lock(f"renewal/{i}") for i in range(LOCKS)]
            began = time.monotonic()
            left = iter(locks)
            await asyncio.gather(*(_acquire(left) for _ in range(TOGETHER)))
            took_s = time.monotonic() - began
            await _one_keep_alive(session)
            messages, operations = counter.messages, counter.operations
            cpu = sum(cpu_s(node.pid) for node in cluster.nodes)
            await asyncio.sleep(INTERVALS * TTL_S / KEEP_SHARE)
            cpu = sum(cpu_s(node.pid) for node in cluster.nodes) - cpu
            messages, operations = counter.messages - messages, counter.operations - operations
            held = sum(lock.is_locked for lock in locks)
            primaries = {await client.primary_of(lock.key) for lock in locks[:1_000]}
            held_by = {await client.owner_of(lock.key) for lock in locks[::100]}
    each = messages / INTERVALS
    return [
        exactly("locks held after it", held, LOCKS),
        exactly("nodes that are primary of some", len(primaries), 3),
        exactly("of 100 of them the cluster says otherwise", len(held_by - {"bench"}), 0),
        Row(
            f"messages of the client in a keep-alive interval ({TTL_S / KEEP_SHARE:g} s)",
            f"{each:g} ({operations / INTERVALS:g} operations)",
            f"<= {MESSAGES_MAX}",
            each <= MESSAGES_MAX,
        ),
        Row("CPU time of the three nodes in an interval", f"{1_000 * cpu / INTERVALS:.0f} ms"),
        Row(f"before: acquiring them, {TOGETHER} in flight", f"{took_s:.1f} s, {LOCKS / took_s:,.0f} a second"),
    ]


async def _acquire(locks: Iterator[aio.SessionLock]) -> None:
    for lock in locks:
        await lock.acquire()


async def _one_keep_alive(session: aio.Session) -> None:
    """Wait until one was answered, and whatever leaves with it has left."""
    before_ns = session.held_until_ns
    await until(lambda: session.held_until_ns > before_ns, TTL_S, lambda: "no keep-alive was answered")
    await asyncio.sleep(REST_S)
