"""Acquire and release, again and again: what the pair rule costs beside SeaweedFS's way.

Two clusters of three nodes run at once, one with durability "backup" and one
with "async". The native client loads them in turn, in short windows, so that
both meet the same machine. CPU time per cycle is less moved by what else
runs there than cycles per second are.

Elsewhere: what the two mean (DESIGN section 4, lockcore.core.config).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from lockcore import aio
from lockcore.core.operations import Granted, Released
from tests.bench.cluster import Cluster
from tests.bench.procfs import cpu_s
from tests.bench.report import NotMeasured, Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lockcore.aio import LockClient

TITLE: Final = "acquire + release, acknowledged by the backup and not, side by side"
BOUND_S: Final = 180
IN_FLIGHT: Final = (1, 16, 64)
ROUNDS: Final = 5
WINDOW_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Window:
    """What was done in one window, and at what cost to the nodes."""

    cycles: int
    took_s: float
    cpu_s: float


async def measure() -> list[Row]:
    """Return the rows."""
    async with (
        Cluster(nodes=3, durability="backup") as safe,
        Cluster(nodes=3, durability="async") as quick,
        aio.connect(safe.target) as safe_client,
        aio.connect(quick.target) as quick_client,
    ):
        sides = ((safe, safe_client), (quick, quick_client))
        for cluster, client in sides:
            await _window(cluster, client, max(IN_FLIGHT), "warm")
        rows = []
        for in_flight in IN_FLIGHT:
            rows += await _compare(sides, in_flight)
        return rows


async def _compare(sides: Sequence[tuple[Cluster, LockClient]], in_flight: int) -> list[Row]:
    found: tuple[list[Window], list[Window]] = ([], [])
    for number in range(ROUNDS):
        for (cluster, client), windows in zip(sides, found, strict=True):
            windows.append(await _window(cluster, client, in_flight, f"{in_flight}/{number}"))
    backup, at_once = (median(w.cycles / w.took_s for w in windows) for windows in found)
    costs = [1_000 * sum(w.cpu_s for w in windows) / sum(w.cycles for w in windows) for windows in found]
    return [
        Row(
            f"{in_flight} in flight, medians of {ROUNDS} windows of {WINDOW_S:.0f} s",
            f"backup {backup:,.0f} cycles/s, async {at_once:,.0f} cycles/s, ratio {backup / at_once:.2f}",
        ),
        Row("    CPU time of the three nodes", f"backup {costs[0]:.2f} ms a cycle, async {costs[1]:.2f} ms a cycle"),
    ]


async def _window(cluster: Cluster, client: LockClient, in_flight: int, name: str) -> Window:
    """Load for a while."""
    cpu = sum(cpu_s(node.pid) for node in cluster.nodes)
    began = time.monotonic()
    counts = await asyncio.gather(*(_cycles(client, f"{name}/{i}", began + WINDOW_S) for i in range(in_flight)))
    took_s = time.monotonic() - began
    return Window(sum(counts), took_s, sum(cpu_s(node.pid) for node in cluster.nodes) - cpu)


async def _cycles(client: LockClient, name: str, until: float) -> int:
    count = 0
    while time.monotonic() < until:
        key = f"throughput/{name}/{count}"
        granted = await client.acquire(key, owner="bench")
        if not isinstance(granted, Granted):
            raise NotMeasured(f"{key} was not granted: {granted}")
        released = await client.unlock(key, granted.token)
        if not isinstance(released, Released):
            raise NotMeasured(f"{key} was not released: {released}")
        count += 1
    return count
