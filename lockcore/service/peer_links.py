"""Streams to other nodes: what a node sends, and what it receives.

One outgoing stream per peer carries all that this node tells it, in order.
What is lost with a stream is sent again by the core, so nothing is kept: a
queue that is full drops its oldest message.

Invariants
  L1  Queues are bounded in messages and bytes.
  L2  Messages that wait together leave together, up to JOIN_BYTES_MAX.
Elsewhere: what is sent again, and when (lockcore.core.outbox).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import grpc

from lockcore.core.messages import FromPeer
from lockcore.service.addresses import grpc_target
from lockcore.service.channels import STREAM_BROKEN, Context, Gate, Stream, next_bytes, open_channel, open_stream
from lockcore.service.isolation import Line
from lockcore.wire.codec import CodecError
from lockcore.wire.methods import LINK
from lockcore.wire.peer_codec import decode_envelope, encode_peer_message, join_envelope

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lockcore.core.messages import PeerMessage
    from lockcore.service.isolation import Isolator
    from lockcore.service.shell import NodeShell

QUEUE_MESSAGES_MAX: Final = 10_000
QUEUE_BYTES_MAX: Final = 16 * 1024 * 1024
JOIN_BYTES_MAX: Final = 1024 * 1024
REOPEN_S: Final = 0.05
"""Between two attempts to reach a peer that has something waiting for it."""

_log = logging.getLogger(__name__)


class _Link:
    """The queue and the stream to one peer."""

    def __init__(self, address: str, gate: Gate, isolator: Isolator) -> None:
        self.address = address
        self.dropped = 0
        self._gate = gate
        self._isolator = isolator
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._waiting = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"link to {address}")

    def put(self, data: bytes) -> None:
        self._queue.append(data)
        self._bytes += len(data)
        while len(self._queue) > QUEUE_MESSAGES_MAX or (self._bytes > QUEUE_BYTES_MAX and len(self._queue) > 1):
            self._bytes -= len(self._queue.popleft())
            self.dropped += 1
        self._waiting.set()

    def _take(self) -> bytes:
        parts = [self._queue.popleft()]
        size = len(parts[0])
        while self._queue and size + len(self._queue[0]) <= JOIN_BYTES_MAX:
            parts.append(self._queue.popleft())
            size += len(parts[-1])
        self._bytes -= size
        return join_envelope(parts)

    async def _run(self) -> None:
        async with open_channel(grpc_target(self.address)) as channel:
            while True:
                await self._waiting.wait()
                if not self._queue:
                    self._waiting.clear()
                    continue
                stream = open_stream(channel, LINK, self._gate)
                # A stream that breaks while nothing is sent must be noticed before the next message is lost in it.
                broken = asyncio.get_running_loop().create_task(_until_broken(stream))
                broken.add_done_callback(lambda _: self._waiting.set())
                try:
                    await self._pump(stream, broken)
                finally:
                    broken.cancel()
                    stream.cancel()
                await asyncio.sleep(REOPEN_S)

    async def _pump(self, stream: Stream, broken: asyncio.Task[None]) -> None:
        opened = False
        while not broken.done():
            if not self._queue:
                self._waiting.clear()
                await self._waiting.wait()
                continue
            if self._isolator.active:
                await self._isolator.passing(Line.TO_PEERS)
            try:
                await stream.write(self._take())
            except STREAM_BROKEN:
                break
            if not opened:
                opened = True
                _log.info("stream to %s is open", self.address)
        if opened:
            _log.info("stream to %s has ended; it opens again when there is something to send", self.address)

    async def close(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


async def _until_broken(stream: Stream) -> None:
    """Return when the stream has ended, whatever the reason."""
    with contextlib.suppress(*STREAM_BROKEN, asyncio.CancelledError):
        await stream.read()


class PeerLinks:
    """All outgoing streams of one node."""

    def __init__(self, gate: Gate, isolator: Isolator) -> None:
        self._gate = gate
        self._isolator = isolator
        self._links: dict[str, _Link] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def send(self, address: str, message: PeerMessage) -> None:
        """Queue a message; opens a stream at first need."""
        link = self._links.get(address)
        if link is None:
            grpc_target(address)  # a bad one raises here, where the shell counts it
            link = self._links[address] = _Link(address, self._gate, self._isolator)
        link.put(encode_peer_message(message))

    def retain(self, addresses: Iterable[str]) -> None:
        """Close the streams to all others."""
        for address in self._links.keys() - set(addresses):
            task = asyncio.get_running_loop().create_task(self._links.pop(address).close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close all streams."""
        self.retain(())
        while self._closing:
            await asyncio.wait(self._closing)


class PeersService:
    """The receiving end: lockring.v1.Peers."""

    def __init__(self, shell: NodeShell, gate: Gate, isolator: Isolator) -> None:
        self._shell = shell
        self._gate = gate
        self._isolator = isolator

    @property
    def handlers(self) -> dict[str, Any]:
        """Return the handlers by method."""
        return {"Link": grpc.stream_stream_rpc_method_handler(self._link)}

    async def _link(self, _: object, context: Context) -> None:
        await self._gate.check(context)
        await context.send_initial_metadata(())
        while (data := await next_bytes(context)) is not None:
            if self._isolator.active:
                await self._isolator.passing(Line.FROM_PEERS)
            try:
                messages = decode_envelope(data)
            except CodecError as error:
                _log.warning("a peer's message was dropped: %s", error)
                continue
            self._shell.give(*map(FromPeer, messages))
