"""A streamed answer goes no faster than its reader takes it.

Daphne hands each piece to Twisted's transport and returns at once, so for a slow reader a long file would pile up in
memory. Twisted tells a registered producer when its buffer is full and when it has drained; here the sender waits for
that between two pieces.

    piece -> transport's buffer; full -> pauseProducing -> the next send waits -> drained -> resumeProducing

Invariants
  P1  After a piece that has more behind it, `send` returns when the transport's buffer has room, or nobody reads.
  P2  A reader who takes nothing for STALLED_S is given up: the connection is ended.
Elsewhere: who streams (dlmsite.dashboard.auditexport), the server that uses it (the command `up`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

STALLED_S: Final = 300.0

Message = Mapping[str, Any]
Reply = Callable[[Any, Message], Awaitable[None]]


class Pace:
    """Twisted's view of who writes: told to pause and to go on (IPushProducer)."""

    def __init__(self) -> None:
        self._room = asyncio.Event()
        self._room.set()

    async def wait(self) -> None:
        """Return when there is room.

        Raises:
            TimeoutError: nothing was taken for STALLED_S.
        """
        async with asyncio.timeout(STALLED_S):
            await self._room.wait()

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's name
        """The buffer is full."""
        self._room.clear()

    def resumeProducing(self) -> None:  # noqa: N802 - same
        """It has drained."""
        self._room.set()

    def stopProducing(self) -> None:  # noqa: N802 - same
        """The reader has gone: whoever waits finds out."""
        self._room.set()


async def send_paced(reply: Reply, request: Any, message: Message, paces: dict[Any, Pace]) -> None:
    """Send a message as `reply` does, and wait for room after a piece that has more behind it.

    Args:
        reply: Daphne's own way.
        request: what is answered: Twisted's Request.
        message: an ASGI message.
        paces: of the answers that are under way; kept between calls.
    """
    if message.get("type") != "http.response.body" or not (message.get("more_body") or request in paces):
        await reply(request, message)
        return
    if not message.get("more_body"):
        paces.pop(request)
        if request.channel is not None:  # else the reader has gone, and Twisted has forgotten the producer
            request.unregisterProducer()
        await reply(request, message)
        return
    if request not in paces and request.channel is not None:
        paces[request] = Pace()
        request.registerProducer(paces[request], True)
        request.notifyFinish().addErrback(lambda _: paces.pop(request, None))
    await reply(request, message)
    pace = paces.get(request)
    if pace is not None:
        try:
            await pace.wait()
        except TimeoutError:
            paces.pop(request, None)
            if request.channel is not None:
                request.channel.abortConnection()
            raise
