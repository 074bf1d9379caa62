"""Following a SeaweedFS master: its lock ring and its members, as it tells them, through whichever master leads.

A connection of type `s3` is told the current ring at once, without becoming a
member of it; one of type `filer` makes the address that it names a member for
as long as it lasts. One master at a time is listened to. A follower names the leader
and ends the stream: the leader is next. What breaks is tried again after a
pause that grows.

Invariants
  F1  Each connection that only listens has a name of its own: a master ends the stream of
      whoever came before under the same one.
  F2  What is told comes in the order in which one master told it; after a
      change of master its first message is that master's newest.
  F3  A master that hangs is left when it does not answer a ping: its connection
      would stand for as long as the kernel takes bytes. Not by a member, which
      would leave the ring with it.
Elsewhere: the messages (lockcore.wire.seaweed_client), a client's use of them
(filerpool).
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio

from lockcore.client.route import target_of
from lockcore.client.weedwords import CHANNEL_OPTIONS, describe, meaning_of
from lockcore.wire.errors import CodecError
from lockcore.wire.methods import KEEP_CONNECTED, MASTER_PING
from lockcore.wire.seaweed_client import decode_master_told, encode_keep_connected

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lockcore.wire.seaweed_client import MasterTold

FIRST_S: Final = 2.0
"""A master that leads says so within milliseconds."""
PING_EVERY_S: Final = 5.0
PING_S: Final = 5.0
"""A busy machine is no reason to look for another master."""
PAUSE_MS_FIRST: Final = 50
PAUSE_MS_MAX: Final = 2_000
REDIRECTS_AT_ONCE: Final = 3
GRPC_FAILURES: Final = (grpc.aio.UsageError, grpc.aio.InternalError)
OBSERVER: Final = "s3"
MEMBER: Final = "filer"

_numbers: Final = count(1)


class RingFeed:
    """What the leading master says.

    Args:
        masters: gRPC targets, at least one; those that followers name are learned.
        group: the filer group.
        member: the ring address of whom this connection makes a member, empty for nobody.
        on_told: called with the master's target and each message of it; must not raise.
        on_away: called with a target and why there is nothing to be heard from it; must not raise.
    """

    def __init__(
        self,
        masters: Sequence[str],
        group: str = "",
        *,
        member: str = "",
        on_told: Callable[[str, MasterTold], None],
        on_away: Callable[[str, str], None],
    ) -> None:
        self._masters = list(dict.fromkeys(masters))
        self._group = group
        self._member = member
        self._on_told = on_told
        self._on_away = on_away
        self._leader: str | None = None
        self._heard = False

    async def follow(self) -> None:
        """Listen until cancelled."""
        pause_ms, redirects, turn = PAUSE_MS_FIRST, 0, count()
        while True:
            heard = await self._listen(self._leader or self._masters[next(turn) % len(self._masters)])
            if self._leader is not None and redirects < REDIRECTS_AT_ONCE:
                redirects += 1
                continue
            redirects = 0
            pause_ms = PAUSE_MS_FIRST if heard else min(pause_ms * 2, PAUSE_MS_MAX)
            await asyncio.sleep(pause_ms / 1_000 * random.uniform(0.5, 1.0))  # noqa: S311 - spreads clients

    async def _listen(self, master: str) -> bool:
        """Listen to one until it has no more to say; say whether it said anything."""
        self._leader, self._heard = None, False
        try:
            async with grpc.aio.insecure_channel(master, options=CHANNEL_OPTIONS) as channel:
                opener: Any = channel.stream_stream  # its stubs want serializers and an iterator that it does not need
                loop = asyncio.get_running_loop()
                testing = loop.create_future() if self._member else asyncio.ensure_future(_hangs(channel))
                try:
                    why = await self._hear(master, opener(KEEP_CONNECTED)(), testing)
                finally:
                    testing.cancel()
        except TimeoutError:
            why = f"no answer within {PING_S if self._heard else FIRST_S:g} s: it hangs, or is stopped"
        except (grpc.RpcError, *GRPC_FAILURES, asyncio.InvalidStateError, CodecError) as error:
            why = describe(error)
        if self._leader is None:
            self._on_away(master, why)
        return self._heard

    async def _hear(self, master: str, stream: Any, testing: asyncio.Future[None]) -> str:
        try:
            async with asyncio.timeout(FIRST_S):
                await stream.write(self._introduction())
                data = await stream.read()
            while isinstance(data, bytes):
                told = decode_master_told(data)
                leader = target_of(told.leader) if told.leader else None
                # A leader names itself too, and perhaps by another name than ours; whoever tells a ring is no follower.
                self._leader = leader if leader != master and told.ring is None else None
                self._heard = True
                self._on_told(master, told)
                data = await _next(stream, testing)
            code = await stream.code()
            return (
                "it ended the conversation" if code is grpc.StatusCode.OK else meaning_of(code, await stream.details())
            )
        finally:
            stream.cancel()

    def _introduction(self) -> bytes:
        if self._member:
            return encode_keep_connected(MEMBER, self._member, self._group)
        return encode_keep_connected(OBSERVER, _name(), self._group)


async def _next(stream: Any, testing: asyncio.Future[None]) -> object:
    """Return what is told next.

    Raises:
        TimeoutError: nothing is, and whoever should tell it hangs.
    """
    reading = asyncio.ensure_future(stream.read())
    try:
        await asyncio.wait({reading, testing}, return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            testing.result()  # what else than silence ended it
            raise TimeoutError
        return reading.result()
    finally:
        reading.cancel()


async def _hangs(channel: grpc.aio.Channel) -> None:
    """Return when a ping is not answered (F3); that a master does not know what a ping is is an answer."""
    opener: Any = channel.unary_unary
    ping = opener(MASTER_PING)
    while True:
        await asyncio.sleep(PING_EVERY_S)
        try:
            await ping(b"", timeout=PING_S)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                return


def _name() -> str:
    """Return a name for one connection, of the form that SeaweedFS gives its own (F1)."""
    return f"{socket.gethostname()}-lockring-{os.getpid()}-{next(_numbers)}:0"
