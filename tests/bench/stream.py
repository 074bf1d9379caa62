"""Acquire + release through a session's stream against unary calls, side by side, with the same durability.

One cluster of three nodes, durability "backup". The unary side is SeaweedFS's
door (DistributedLock, DistributedUnlock), spoken as simply as can be: one
channel for each node, the primary asked at once, no retries, no lock objects.
The other side is `session.lock(key)` with all that belongs to it. Both are
loaded in turn, in short windows, from this process.

Elsewhere: why operations are coalesced (DESIGN section 8), what the pair rule costs (throughput).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import grpc.aio

from lockcore import aio
from lockcore.wire.addresses import grpc_target
from lockcore.wire.gen import filer_pb2
from lockcore.wire.methods import SEAWEED_FILER, path
from tests.bench.cluster import Cluster
from tests.bench.procfs import cpu_s
from tests.bench.report import NotMeasured, Row

if TYPE_CHECKING:
    from lockcore.core.ring import HashRing

TITLE: Final = "acquire + release through a session's stream, and by unary calls"
BOUND_S: Final = 240
IN_FLIGHT: Final = (1, 16, 64, 256)
ROUNDS: Final = 5
WINDOW_S: Final = 2.0
HELD_TO: Final = 64
FACTOR: Final = 2.0


@dataclass(frozen=True, slots=True)
class Window:
    """What was done in one window, and at what cost to the nodes and to this process."""

    cycles: int
    took_s: float
    nodes_s: float
    own_s: float


class Unary:
    """SeaweedFS's calls, one channel for each node."""

    def __init__(self, cluster: Cluster) -> None:
        self._ring: HashRing = cluster.view.ring
        self._channels = {node.address: grpc.aio.insecure_channel(grpc_target(node.address)) for node in cluster.nodes}
        self._lock = {address: self._method(channel, "DistributedLock") for address, channel in self._channels.items()}
        self._unlock = {
            address: self._method(channel, "DistributedUnlock") for address, channel in self._channels.items()
        }

    @staticmethod
    def _method(channel: Any, name: str) -> Any:
        return channel.unary_unary(path(SEAWEED_FILER, name))

    async def cycle(self, key: str) -> None:
        """Acquire and release."""
        primary = str(self._ring.primary(key))
        wish = filer_pb2.LockRequest(name=key, seconds_to_lock=7, owner="bench")
        granted = filer_pb2.LockResponse.FromString(await self._lock[primary](wish.SerializeToString()))
        if granted.error:
            raise NotMeasured(f"{key} was not granted: {granted.error}")
        back = filer_pb2.UnlockRequest(name=key, renew_token=granted.renew_token)
        released = filer_pb2.UnlockResponse.FromString(await self._unlock[primary](back.SerializeToString()))
        if released.error:
            raise NotMeasured(f"{key} was not released: {released.error}")

    async def close(self) -> None:
        """End the channels."""
        for channel in self._channels.values():
            await channel.close(None)


async def measure() -> list[Row]:
    """Return the rows."""
    async with (
        Cluster(nodes=3) as cluster,
        aio.connect(cluster.target, timeout=60) as client,
        client.session("bench", ttl=30.0) as session,
    ):
        unary = Unary(cluster)

        async def through_session(key: str) -> None:
            async with session.lock(key):
                pass

        try:
            sides = (through_session, unary.cycle)
            for cycle in sides:
                await _window(cluster, cycle, HELD_TO, "warm")
            return [row for in_flight in IN_FLIGHT for row in await _compare(cluster, sides, in_flight)]
        finally:
            await unary.close()


async def _compare(cluster: Cluster, sides: tuple[Any, Any], in_flight: int) -> list[Row]:
    found: tuple[list[Window], list[Window]] = ([], [])
    for number in range(ROUNDS):
        for cycle, windows in zip(sides, found, strict=True):
            windows.append(await _window(cluster, cycle, in_flight, f"{in_flight}/{number}"))
    stream, unary = (median(w.cycles / w.took_s for w in windows) for windows in found)
    factor = stream / unary
    counts = [sum(w.cycles for w in windows) for windows in found]
    nodes = [1_000 * sum(w.nodes_s for w in windows) / n for windows, n in zip(found, counts, strict=True)]
    own = [1_000 * sum(w.own_s for w in windows) / n for windows, n in zip(found, counts, strict=True)]
    aimed = in_flight == HELD_TO
    return [
        Row(
            f"{in_flight} in flight, medians of {ROUNDS} windows of {WINDOW_S:.0f} s",
            f"stream {stream:,.0f} cycles/s, unary {unary:,.0f} cycles/s, factor {factor:.2f}",
            f">= {FACTOR:g}" if aimed else "",
            factor >= FACTOR if aimed else None,
        ),
        Row(
            "    CPU time a cycle, nodes and client",
            f"stream {nodes[0]:.2f} + {own[0]:.2f} ms, unary {nodes[1]:.2f} + {own[1]:.2f} ms",
        ),
    ]


async def _window(cluster: Cluster, cycle: Any, in_flight: int, name: str) -> Window:
    """Load for a while."""
    nodes_s, own_s = sum(cpu_s(node.pid) for node in cluster.nodes), time.process_time()
    began = time.monotonic()
    name = f"stream/{cycle.__name__}/{name}"
    counts = await asyncio.gather(*(_cycles(cycle, f"{name}/{i}", began + WINDOW_S) for i in range(in_flight)))
    took_s = time.monotonic() - began
    used_s = sum(cpu_s(node.pid) for node in cluster.nodes) - nodes_s
    return Window(sum(counts), took_s, used_s, time.process_time() - own_s)


async def _cycles(cycle: Any, name: str, until: float) -> int:
    count = 0
    while time.monotonic() < until:
        await cycle(f"{name}/{count}")
        count += 1
    return count
