"""Holding locks while a side is harmed, and counting what became of them.

Invariants
  T1  A lock is counted as given away only where its holder had an
      acknowledged lease, counted from before it was asked for, when the
      thief's grant arrived: the two overlap whatever the delays.
  T2  A lock is counted once, whatever happens to it.
Elsewhere: the faults (faults), the figures (toll).
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from itertools import count, islice
from typing import TYPE_CHECKING, Final

from lockcore import aio
from lockcore.core.operations import Granted
from lockcore.errors import ClusterUnavailable
from tests.bench.cluster import until
from tests.bench.holder import TTL_S, Holder
from tests.bench.report import NotMeasured
from tests.bench.thief import Thief
from tests.compare.toll import Generations

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterable

    from lockcore.aio import LockClient
    from lockcore.core.ring import HashRing
    from tests.compare.toll import Toll

HANDS: Final = 8
PATIENCE_S: Final = 4.0
WATCH_S: Final = 3.0
"""After a fault is healed. A thief tries each key several times a second."""
WARM_CYCLES: Final = 5
AGAIN_S: Final = 6 * TTL_S
"""Until then whatever is still held by somebody has run out, and so has the grace after a loss of all members."""
PAUSE_S: Final = 0.1

_numbers: Final = count(1)


class Trial:
    """One fault on one side.

    Args:
        target: of the side.
        locks: how many are held.
        toll: where it is counted.
    """

    def __init__(self, target: str, locks: int, toll: Toll) -> None:
        self.number = next(_numbers)
        self.locks = locks
        self._target = target
        self._toll = toll
        self._given: set[str] = set()
        self._lost: set[str] = set()
        self._generations = Generations()
        self._holders: dict[str, Holder] = {}
        self._keeping: dict[str, asyncio.Task[None]] = {}
        self._asked: list[asyncio.Task[float | None]] = []
        self._began = 0.0

    @asynccontextmanager
    async def holding(self, keys: list[str]) -> AsyncIterator[None]:
        """Hold these, with a thief after them; afterwards count, and look at the next generations."""
        async with aio.connect(self._target) as client:
            self._holders = {key: Holder(client, key) for key in keys}
            try:
                await together(map(self._take, self._holders.values()))
                await until(self._all_were_renewed, AGAIN_S, lambda: "the locks were not renewed before the fault")
                for holder in self._holders.values():
                    holder.waits_s.clear()
                async with self.thief():
                    yield
                    await asyncio.sleep(WATCH_S)
                await self.regain()
            finally:
                await self._let_go()
            await together(self._take_once_more(client, key) for key in keys)
        self._count()

    @asynccontextmanager
    async def having_held(self, keys: list[str]) -> AsyncIterator[None]:
        """Take and release each several times before, and once afterwards."""
        async with aio.connect(self._target) as client:
            for _ in range(WARM_CYCLES):
                await together(self._take_once_more(client, key) for key in keys)
            yield
            await together(self._take_once_more(client, key) for key in keys)
        self._toll.locks += len(keys)
        self._count()

    @asynccontextmanager
    async def thief(self, node: str | None = None) -> AsyncIterator[None]:
        """Have a thief try them, at one member or as the ring says."""
        keys = list(self._holders)
        found = self._note_theft
        async with Thief(self._target, keys, hands=HANDS, patience_s=PATIENCE_S, node=node, on_grant=found):
            yield

    def harmed(self) -> None:
        """Count the time from now, and ask for every renewal at once: what was done has been done."""
        self._began = time.monotonic()
        self._asked = [asyncio.create_task(holder.renewed_since(self._began)) for holder in self._holders.values()]

    async def regain(self) -> None:
        """Take again what is lost, to be held from now on."""
        await asyncio.gather(*self._asked)
        lost = [holder for holder in self._holders.values() if holder.lost]
        self._lost.update(holder.key for holder in lost)
        await together(map(self._take_back, lost))

    async def _take(self, holder: Holder) -> None:
        await self._acquire(holder)
        self._generations.note(holder.key, holder.generation)
        if (before := self._keeping.get(holder.key)) is not None:
            before.cancel()
        self._keeping[holder.key] = asyncio.create_task(holder.keep())

    async def _acquire(self, holder: Holder) -> None:
        """Take it, as soon as it can be had: a side that is still healing may say no for a while."""
        deadline = time.monotonic() + AGAIN_S
        while True:
            try:
                await holder.acquire()
            except (NotMeasured, ClusterUnavailable) as problem:
                if time.monotonic() > deadline:
                    raise NotMeasured(f"{holder.key} was not granted: {problem}") from None
            else:
                return
            await asyncio.sleep(PAUSE_S)

    def _all_were_renewed(self) -> bool:
        return all(holder.waits_s for holder in self._holders.values())

    async def _take_back(self, holder: Holder) -> None:
        await self._take(holder)
        self._toll.anew_s.append(time.monotonic() - self._began)

    def _note_theft(self, key: str, generation: int) -> None:
        self._generations.note(key, generation)
        if self._holders[key].is_held:
            self._given.add(key)

    async def _let_go(self) -> None:
        tasks: list[asyncio.Task[None] | asyncio.Task[float | None]] = [*self._keeping.values(), *self._asked]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(ClusterUnavailable):
            await asyncio.gather(*(holder.release() for holder in self._holders.values()))

    async def _take_once_more(self, client: LockClient, key: str) -> None:
        """Take it when it is free, note its generation, and release it."""
        deadline = time.monotonic() + AGAIN_S
        while time.monotonic() < deadline:
            with suppress(ClusterUnavailable):
                granted = await client.acquire(key, ttl=TTL_S, owner="next")
                if isinstance(granted, Granted):
                    self._generations.note(key, granted.generation)
                    await client.unlock(key, granted.token)
                    return
            await asyncio.sleep(PAUSE_S)
        raise NotMeasured(f"{key} could not be had again within {AGAIN_S:.0f} s")

    def _count(self) -> None:
        toll = self._toll
        toll.trials += 1
        toll.locks += len(self._holders)
        toll.given += len(self._given)
        toll.lost += len(self._lost)
        toll.fell += len(self._generations.fell)
        kept = [holder for key, holder in self._holders.items() if key not in self._lost]
        toll.renewable_s += [max(holder.waits_s) for holder in kept if holder.waits_s]


async def together(works: Iterable[Coroutine[object, object, None]]) -> None:
    """Do all at once; when one fails, none goes on, and its failure is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except* NotMeasured as problems:
        raise problems.exceptions[0] from None


def keys_of(ring: HashRing, primary: str, trial: Trial) -> list[str]:
    """Return fresh keys with that primary, as many as the trial holds."""
    names = (f"compare/{trial.number}/{i}" for i in count())
    return list(islice((key for key in names if ring.primary(key) == primary), trial.locks))
