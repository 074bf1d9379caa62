"""A client that tries to take locks that others hold, all the time.

Elsewhere: what must not happen to them (failover, join).
"""

from __future__ import annotations

import asyncio
import itertools
import random
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from lockcore import aio
from lockcore.core.operations import Granted
from lockcore.errors import ClusterUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

HANDS: Final = 16
PAUSE_S: Final = 0.04
"""16 hands x 25 tries a second: 400 tries a second, where they are answered at once."""
TTL_S: Final = 5.0
PATIENCE_S: Final = 1.0


class Thief:
    """Tries every key in turn, from a client of its own, for the length of an `async with` block.

    Args:
        target: see `lockcore.aio.connect`.
        keys: what others hold.
        hands: how many tries are under way at most, each of them 25 times a second.
        patience_s: how long one try may take.
        node: the only one that is asked; None: whom the ring names.
        on_grant: told key and generation of what it is granted, at once.
    """

    def __init__(  # noqa: PLR0913 - one cluster, what is tried there, and named choices
        self,
        target: str,
        keys: Sequence[str],
        *,
        hands: int = HANDS,
        patience_s: float = PATIENCE_S,
        node: str | None = None,
        on_grant: Callable[[str, int], None] = lambda _key, _generation: None,
    ) -> None:
        self.tries = 0
        self.unanswered = 0
        self.stolen: list[tuple[str, int]] = []
        self._client = aio.connect(target, timeout=patience_s)
        self._count = hands
        self._node = node
        self._on_grant = on_grant
        self._keys = itertools.cycle(random.sample(keys, len(keys)))
        self._hands: list[asyncio.Task[None]] = []

    @property
    def note(self) -> str:
        """How often it tried, to stand beside how often it got something."""
        return f" of {self.tries:,} tries ({self.unanswered:,} unanswered)"

    async def __aenter__(self) -> Self:
        await self._client.open()
        self._hands = [asyncio.create_task(self._try()) for _ in range(self._count)]
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for hand in self._hands:
            hand.cancel()
        await asyncio.gather(*self._hands, return_exceptions=True)
        await self._client.close()

    async def _try(self) -> None:
        while True:
            await asyncio.sleep(PAUSE_S * random.uniform(0.5, 1.5))  # noqa: S311 - spreads tries, guards nothing
            key = next(self._keys)
            self.tries += 1
            try:
                result = await self._client.acquire(key, ttl=TTL_S, owner="thief", node=self._node)
            except ClusterUnavailable:
                self.unanswered += 1
                continue
            if isinstance(result, Granted):
                self.stolen.append((key, result.generation))
                self._on_grant(key, result.generation)
                with suppress(ClusterUnavailable):
                    await self._client.unlock(key, result.token, node=self._node)
