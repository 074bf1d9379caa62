"""A node joins under 1,000 held locks: nobody may lose one.

Two nodes join after one another. The locks are the client's own `LiveLock`s,
renewed in the background; a thief tries each of them all the time. After each
join it is waited until every lock was renewed since.

Elsewhere: why it works (docs/decisions/0001, 0003).
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from lockcore import aio
from lockcore.core.limits import NS_PER_MS
from lockcore.core.operations import OwnerIs
from tests.bench.cluster import Cluster, until
from tests.bench.report import NotMeasured, Row, exactly
from tests.bench.thief import Thief

if TYPE_CHECKING:
    from lockcore.aio import LiveLock, LockClient

TITLE: Final = "a node joins under 1,000 held locks"
BOUND_S: Final = 180
LOCKS: Final = 1_000
TTL_S: Final = 7.0
JOINS: Final = 2
SPREAD_S: Final = TTL_S / 3
"""Acquired over one renewal period, so that renewals are spread over it, too."""
SETTLE_S: Final = 3.0
"""So long the locks are renewed before the first node joins."""


async def measure() -> list[Row]:
    """Return the rows."""
    async with Cluster(nodes=3) as cluster, aio.connect(cluster.target) as client:
        losses: list[str] = []
        locks = [_lock(client, i, losses) for i in range(LOCKS)]
        await asyncio.gather(*(_acquire(lock, SPREAD_S * i / LOCKS) for i, lock in enumerate(locks)))
        generations = {lock.key: lock.generation for lock in locks}
        async with Thief(cluster.target, list(generations)) as thief:
            await asyncio.sleep(SETTLE_S)
            joins = [await _join(cluster, locks) for _ in range(JOINS)]
        rows = [_row(*join) for join in joins]
        changed = sum(lock.generation != generations[lock.key] for lock in locks)
        foreign = sum([await _is_foreign(client, lock) for lock in locks])
        hands = len({text.partition(" ")[0] for text in losses} | {key for key, _ in thief.stolen})
    why = f" ({'; '.join(losses[:3])})" if losses else ""
    return [
        *rows,
        exactly(f"of {LOCKS:,} held locks changed hands", max(hands, changed, foreign), 0, why),
        exactly("renewals failed for good", len(losses), 0),
        exactly("granted to the thief", len(thief.stolen), 0, thief.note),
    ]


def _lock(client: LockClient, number: int, losses: list[str]) -> LiveLock:
    def lost(lock: LiveLock) -> None:
        losses.append(f"{lock.key} was lost: {lock.loss_reason}")

    return client.lock(f"join/{number}", ttl=TTL_S, owner="holder", on_lost=lost)


async def _acquire(lock: LiveLock, after_s: float) -> None:
    await asyncio.sleep(after_s)
    await lock.acquire()


async def _join(cluster: Cluster, locks: list[LiveLock]) -> tuple[int, float, float]:
    """Let a node join; return how many locks it is primary of, and after how long it was settled and all renewed."""
    before = cluster.view.ring
    began = time.monotonic()
    node = cluster.add()
    await cluster.settled()
    settled_s = time.monotonic() - began
    after = cluster.view.ring
    moved = sum(before.primary(lock.key) != after.primary(lock.key) == node.address for lock in locks)
    settled_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    await until(
        lambda: all(_was_renewed_since(lock, settled_ns) or lock.lost.is_set() for lock in locks),
        TTL_S * 2,
        lambda: (
            f"{sum(not _was_renewed_since(lock, settled_ns) for lock in locks)} locks were not renewed since the join"
        ),
    )
    if not moved:
        raise NotMeasured("the node that joined became primary of no lock")
    return moved, settled_s, time.monotonic() - began - settled_s


def _was_renewed_since(lock: LiveLock, since_ns: int) -> bool:
    """Say whether the newest renewal was sent after `since_ns` (held until: sent + ttl - margin)."""
    terms = lock.terms
    return lock.held_until_ns - terms.ttl_ms * NS_PER_MS + terms.margin_ns >= since_ns


async def _is_foreign(client: LockClient, lock: LiveLock) -> bool:
    """Say whether the cluster names another holder, generation, or none."""
    found = await client.find(lock.key)
    return not (isinstance(found, OwnerIs) and found.owner == "holder" and found.generation == lock.generation)


def _row(moved: int, settled_s: float, renewed_s: float) -> Row:
    text = f"primary of {moved} locks, settled {settled_s:.1f} s after its start, all renewed {renewed_s:.1f} s later"
    return Row("the node that joined", text)
