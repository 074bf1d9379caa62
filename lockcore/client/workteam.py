"""A few sessions that share what there is: they queue, lock ranges, and hand on to successors.

So that a newcomer sees waiting, byte ranges and migrations on the page.

Invariants
  M1  A member holds one named lock and two ranges at most, and all of it goes with its session.
Elsewhere: clients with leases of their own, the switch (workload).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lockcore.errors import NotAcquired, RangeRefused

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from lockcore.client.client import LockClient
    from lockcore.client.session import Session

TTL_MIN_S: Final = 2.0
TURNS_OF_A_SESSION: Final = 5
FILE_BYTES: Final = 1_000
"""What members lock of the file they share lies below this, and one reads from here to the end."""


@dataclass(slots=True)
class Member:
    """One of them.

    Attributes:
        client: open; stays open.
        name: of the member; its sessions have it as their label.
        prefix: begins every key.
        ttl: of its sessions, seconds.
        hold: waits so many seconds, or less when the workload is switched off.
        hold_s: how long it holds something, on average.
        is_on: says whether it is to go on.
        chance: chooses.
    """

    client: LockClient
    name: str
    prefix: str
    ttl: float
    hold: Callable[[float], Awaitable[None]]
    hold_s: float
    is_on: Callable[[], bool]
    chance: random.Random
    turns: int = 0
    refused: int = 0

    async def work(self) -> None:
        """Take turns until it is switched off; then hold nothing.

        Raises:
            LockError: the cluster did not answer, or the session was lost. Nothing is held.
        """
        session = await self._open()
        try:
            while self.is_on():
                for _ in range(TURNS_OF_A_SESSION):
                    await self._turn(session)
                if self.is_on():
                    session = await self._hand_on(session)
        finally:
            await session.close()

    async def _open(self) -> Session:
        return await self.client.session(self.name, ttl=max(self.ttl, TTL_MIN_S)).open()

    async def _turn(self, session: Session) -> None:
        if not self.is_on():
            return
        try:
            await self._share(session) if self.chance.random() < 1 / 2 else await self._lock_a_range(session)
            self.turns += 1
        except (NotAcquired, RangeRefused):
            self.refused += 1

    async def _share(self, session: Session) -> None:
        """Queue for the one lock that all of them want."""
        async with session.lock(f"{self.prefix}/shared", wait=self._patience_s()):
            await self._hold()

    async def _lock_a_range(self, session: Session) -> None:
        kind = self.chance.choice(("read", "read", "write"))
        start, length = self.chance.randrange(0, FILE_BYTES, 50), self.chance.randrange(50, 400, 50)
        if self.chance.random() < 1 / 5:
            kind, start, length = "read", FILE_BYTES, 0
        async with session.ranges(f"{self.prefix}/file").held(kind, start, length, wait=self._patience_s()):
            await self._hold()

    async def _hand_on(self, old: Session) -> Session:
        """Take over from the old session in a new one, as a program does that is replaced while it works."""
        await old.lock(f"{self.prefix}/{self.name}").acquire()
        await old.ranges(f"{self.prefix}/{self.name}").setlk("write", 0, FILE_BYTES)
        new = await self._open()
        try:
            taken = await new.take_over(old.proof)
            await self._hold()
            for lock in taken.locks.values():
                await lock.release()
            await new.ranges(f"{self.prefix}/{self.name}").unlck()
        except BaseException:
            await new.close()
            raise
        await old.close()
        self.turns += 1
        return new

    async def _hold(self) -> None:
        await self.hold(self.hold_s * self.chance.uniform(0.5, 1.5))

    def _patience_s(self) -> float:
        return 10 * max(self.hold_s, 1.0)
