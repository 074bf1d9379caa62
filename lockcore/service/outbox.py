"""The server's side of a stream: a bounded list of messages and who writes them.

Invariants
  X1  A reader that falls OUTBOX_MAX messages behind is disconnected: it
      connects again and is told everything current first.
Elsewhere: what is sent (master_services, keep_connected).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING, Final

from lockcore.service.channels import STREAM_BROKEN, Context, next_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

OUTBOX_MAX: Final = 1_024


class Outbox:
    """Messages for one stream."""

    def __init__(self) -> None:
        self._messages: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._closing = False

    def send(self, data: bytes) -> None:
        """Queue a message; ends the stream where too many wait (X1)."""
        if self._closing:
            return
        if len(self._messages) >= OUTBOX_MAX:
            self._messages.clear()
            self._closing = True
        else:
            self._messages.append(data)
        self._wake.set()

    def close(self) -> None:
        """End the stream after what was queued."""
        self._closing = True
        self._wake.set()

    async def write_to(self, context: Context) -> None:
        """Write until closed or broken."""
        with contextlib.suppress(*STREAM_BROKEN):
            while True:
                while self._messages:
                    await context.write(self._messages.popleft())
                if self._closing:
                    return
                self._wake.clear()
                await self._wake.wait()

    async def serve(self, context: Context, take: Callable[[bytes], None]) -> None:
        """Write and read until either side ends; `take` gets each message."""
        loop = asyncio.get_running_loop()
        tasks = {loop.create_task(self.write_to(context)), loop.create_task(_read(context, take))}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()  # a CodecError is the caller's to answer


async def _read(context: Context, take: Callable[[bytes], None]) -> None:
    with contextlib.suppress(*STREAM_BROKEN):
        while (data := await next_bytes(context)) is not None:
            take(data)
