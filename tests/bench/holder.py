"""A client that holds a lock with its token, and knows how long it had to wait for a renewal.

Elsewhere: who harms the lock meanwhile (failover, tests.compare), who tries to take it (thief).
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from lockcore.client.clock import boot_ns
from lockcore.core.limits import NS_PER_S
from lockcore.core.operations import RETRYABLE, Granted, Refused
from lockcore.errors import ClusterUnavailable
from tests.bench.report import NotMeasured

if TYPE_CHECKING:
    from lockcore.aio import LockClient

TTL_S: Final = 7.0
RENEW_S: Final = TTL_S / 3


class Holder:
    """One lock, held with its token and renewed in the background.

    Attributes:
        lost: why it was lost, empty while it is not.
        waits_s: of each renewal that was answered, the seconds since what was waited for began, or since it was asked,
            or the first one before it that was not answered.
    """

    def __init__(self, client: LockClient, key: str) -> None:
        self.key = key
        self.lost = ""
        self.generation = 0
        self.waits_s: list[float] = []
        self._client = client
        self._token = ""
        self._held_until_ns = 0
        self._asking = asyncio.Lock()

    @property
    def is_held(self) -> bool:
        """Say whether the lease that was acknowledged last still runs, counted from before it was asked for."""
        return boot_ns() < self._held_until_ns

    async def acquire(self) -> None:
        """Take it.

        Raises:
            NotMeasured: it cannot be had.
            ClusterUnavailable: nobody answers.
        """
        sent_ns = boot_ns()
        result = await self._client.acquire(self.key, ttl=TTL_S, owner="holder")
        if not isinstance(result, Granted):
            raise NotMeasured(f"{self.key} was not granted: {result.text if isinstance(result, Refused) else result}")
        self.lost = ""
        self.generation = result.generation
        self._note(result, sent_ns)

    async def keep(self, every_s: float = RENEW_S) -> None:
        """Renew it until cancelled, or lost."""
        asked: float | None = None
        while not self.lost:
            await asyncio.sleep(every_s)
            async with self._asking:
                asked = asked or time.monotonic()
                if await self._renew():
                    self.waits_s.append(time.monotonic() - asked)
                    asked = None

    async def renewed_since(self, began: float) -> float | None:
        """Ask until a renewal is granted; return the seconds since `began`, None if it was lost."""
        async with self._asking:
            while not await self._renew() and not self.lost:
                pass
        if self.lost:
            return None
        self.waits_s.append(time.monotonic() - began)
        return self.waits_s[-1]

    async def release(self) -> None:
        """Unlock it, if it is held."""
        if self.is_held and not self.lost:
            await self._client.unlock(self.key, self._token)
        self._held_until_ns = 0

    async def _renew(self) -> bool:
        sent_ns = boot_ns()
        try:
            result = await self._client.renew(self.key, self._token, ttl=TTL_S, owner="holder")
        except ClusterUnavailable:
            if not self.is_held:
                self.lost = "its lease ended before a renewal was answered"
            return False
        if isinstance(result, Granted):
            self._note(result, sent_ns)
            if result.generation != self.generation:
                self.lost = "granted anew"
            return True
        if isinstance(result, Refused) and result.code not in RETRYABLE:
            self.lost = f"{result.code}: {result.text}"
        return False

    def _note(self, granted: Granted, sent_ns: int) -> None:
        self._token = granted.token
        self._held_until_ns = sent_ns + int(TTL_S * NS_PER_S)
