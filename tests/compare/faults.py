"""The drivers: one fault, done to a side while locks are held on it and a thief tries them all the time.

Each holds locks that the fault concerns, with leases of TTL_S that are renewed
all the time, does its harm, heals it, goes on watching for a moment, and then
takes every key once more to see its generation. Everything is asked through
SeaweedFS's protocol, by the same client on both sides.

Elsewhere: holding and counting (trial), the sides (side).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from lockcore.core.ring import HashRing
from tests.bench.holder import TTL_S
from tests.compare.trial import WATCH_S, keys_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.compare.side import Side
    from tests.compare.trial import Trial

    Driver = Callable[[Side, Trial], Awaitable[None]]


async def restart(side: Side, trial: Trial) -> None:
    """Kill a primary, and start it again at once."""
    victim, keys = await _victim(side, trial)
    async with trial.holding(keys):
        await side.kill(victim)
        trial.harmed()
        await side.start_again(victim)
        await side.settled()
        await trial.regain()


async def rejoin(side: Side, trial: Trial) -> None:
    """Kill a primary, let the others settle without it, then start it again."""
    victim, keys = await _victim(side, trial)
    async with trial.holding(keys):
        await side.kill(victim)
        trial.harmed()
        await side.settled()
        await side.start_again(victim)
        await side.settled()
        await trial.regain()


async def join(side: Side, trial: Trial) -> None:
    """Start one more; the locks are those that become its own."""
    ring = await side.ring()
    after = HashRing((*ring.servers, side.spare))
    try:
        async with trial.holding(keys_of(after, side.spare, trial)):
            await side.start_again(side.spare)
            trial.harmed()
            await side.settled()
            await trial.regain()
        await side.leave(side.spare)
    finally:
        await side.kill(side.spare)  # what has left is gone already


async def stop(side: Side, trial: Trial) -> None:
    """SIGSTOP a primary until the ring is without it, and wake it: it has missed everything since."""
    victim, keys = await _victim(side, trial)
    async with trial.holding(keys):
        side.stop(victim)
        trial.harmed()
        try:
            await side.settled(without=victim)
            await trial.regain()
            async with trial.thief(node=victim):
                side.resume(victim)
                await side.settled()
                await asyncio.sleep(WATCH_S)
        finally:
            side.resume(victim)


async def cut(side: Side, trial: Trial) -> None:
    """Cut a primary off from the master only, until the ring is without it; somebody goes on asking it."""
    victim, keys = await _victim(side, trial)
    async with trial.holding(keys):
        side.cut(victim)
        trial.harmed()
        try:
            await side.settled(without=victim)
            await trial.regain()
            async with trial.thief(node=victim):
                await asyncio.sleep(TTL_S + WATCH_S)  # what it knew of renewals has run out by then
        finally:
            side.heal(victim)
        await side.settled()


async def generation(side: Side, trial: Trial) -> None:
    """Kill every member at once, and start them again: nobody is left to say which generations there were."""
    _, keys = await _victim(side, trial)
    members = (await side.ring()).servers
    async with trial.having_held(keys):
        for member in members:
            await side.kill(member)
        for member in members:
            await side.start_again(member)
        await side.settled()


FAULTS: Final[dict[str, tuple[str, Driver]]] = {
    "restart": ("kill -9 and instant restart", restart),
    "rejoin": ("kill -9, fail-over, then rejoin", rejoin),
    "join": ("clean join, with a thief", join),
    "stop": ("SIGSTOP, then SIGCONT", stop),
    "cut": ("cut from the master only", cut),
    "generation": ("generation after a restart of all", generation),
}


async def _victim(side: Side, trial: Trial) -> tuple[str, list[str]]:
    """Return a member, another one in each trial, and fresh keys whose primary it is."""
    ring = await side.ring()
    victim = ring.servers[trial.number % len(ring.servers)]
    return victim, keys_of(ring, victim, trial)
