"""A node's connection to its master: registration first, then both directions.

Invariants
  M1  The first message on each connection is the core's registration.
  M2  What cannot be sent is dropped: heartbeats and goodbyes are repeated by
      the core, and an old one must not arrive after a new registration.
Elsewhere: what the messages mean (lockcore.core.node), facts (report_link).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import TYPE_CHECKING, Final

import grpc.aio

from lockcore.core.messages import FromMaster
from lockcore.service import clock
from lockcore.service.channels import STREAM_BROKEN, Gate, Stream, next_bytes, open_channel, open_stream
from lockcore.service.isolation import Line
from lockcore.wire.codec import CodecError
from lockcore.wire.master_codec import decode_master_message, encode_node_message
from lockcore.wire.methods import ATTEND

if TYPE_CHECKING:
    from lockcore.core.messages import NodeMessage
    from lockcore.service.isolation import Isolator
    from lockcore.service.shell import NodeShell

QUEUE_MAX: Final = 64
"""Far more than heartbeats between two wakes of the loop."""
RETRY_S_MIN: Final = 0.05
RETRY_S_MAX: Final = 0.5

_log = logging.getLogger(__name__)


class MasterLink:
    """Keeps a node connected to the master at `target`."""

    def __init__(self, target: str, gate: Gate, isolator: Isolator) -> None:
        self.target = target
        self.connected = False
        self.heard_ns = clock.boot_ns()
        self._gate = gate
        self._isolator = isolator
        self._queue: deque[bytes] = deque(maxlen=QUEUE_MAX)
        self._waiting = asyncio.Event()

    def send(self, message: NodeMessage) -> None:
        """Send, or drop where there is no connection (M2)."""
        if self.connected:
            self._queue.append(encode_node_message(message))
            self._waiting.set()

    async def flush(self, timeout_s: float) -> None:
        """Wait until what was queued has been handed to the connection."""
        deadline_ns = clock.boot_ns() + int(timeout_s * 1e9)
        while self._queue and self.connected and clock.boot_ns() < deadline_ns:  # noqa: ASYNC110 - once, at the end
            await asyncio.sleep(0.01)

    async def run(self, shell: NodeShell) -> None:
        """Connect, and connect again, until cancelled."""
        retry_s = RETRY_S_MIN
        async with open_channel(self.target) as channel:
            while True:
                before_ns = self.heard_ns
                try:
                    await self._attend(channel, shell)
                except STREAM_BROKEN as error:
                    self._tell_lost(error)
                finally:
                    self.connected = False
                    self._queue.clear()
                retry_s = RETRY_S_MIN if self.heard_ns != before_ns else min(retry_s * 2, RETRY_S_MAX)
                await asyncio.sleep(retry_s)

    async def _attend(self, channel: grpc.aio.Channel, shell: NodeShell) -> None:
        if self._isolator.active:
            await self._isolator.passing(Line.TO_MASTER)
        stream = open_stream(channel, ATTEND, self._gate)
        writer: asyncio.Task[None] | None = None
        try:
            await stream.write(encode_node_message(shell.core.registration()))
            self.connected = True  # nothing is sent before the registration (M1)
            writer = asyncio.get_running_loop().create_task(self._write(stream))
            first = True
            while (data := await next_bytes(stream)) is not None:
                if self._isolator.active:
                    await self._isolator.passing(Line.FROM_MASTER)
                self.heard_ns = clock.boot_ns()
                if first:
                    first = False
                    _log.info("connected to the master at %s", self.target)
                self._take(data, shell)
            _log.info("the master at %s has ended the connection", self.target)
        finally:
            self.connected = False
            if writer is not None:
                writer.cancel()
            stream.cancel()

    async def _write(self, stream: Stream) -> None:
        with contextlib.suppress(*STREAM_BROKEN):  # the reader sees it too
            while True:
                await self._waiting.wait()
                self._waiting.clear()
                while self._queue:
                    if self._isolator.active:
                        await self._isolator.passing(Line.TO_MASTER)
                    await stream.write(self._queue.popleft())

    def _take(self, data: bytes, shell: NodeShell) -> None:
        try:
            message = decode_master_message(data)
        except CodecError as error:
            _log.warning("a message of the master was dropped: %s", error)
            return
        shell.give(FromMaster(message))

    def _tell_lost(self, error: BaseException) -> None:
        """Log a lost connection once, not at each new attempt."""
        if self.connected:
            _log.warning("lost the master at %s (%s); trying again", self.target, status_of(error))
        elif isinstance(error, grpc.aio.AioRpcError) and error.code() is grpc.StatusCode.UNAUTHENTICATED:
            _log.error("the master at %s refuses this node: %s", self.target, error.details())


def status_of(error: BaseException) -> str:
    """Return a short name for what ended a stream."""
    return error.code().name if isinstance(error, grpc.aio.AioRpcError) else type(error).__name__
