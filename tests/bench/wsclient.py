"""A browser's side of the live socket without a browser: connects, keeps what comes with the time it came, pings.

It reads frames and nothing more: fifty real browsers would take the processors from what is measured. As the page does,
it asks for what came after the last event it has seen when it connects again.

Elsewhere: who uses it (crowd), the page's own (static/js/socket.js).
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import time
from contextlib import suppress
from typing import Final

from tests.bench.report import NotMeasured

PING_EVERY_S: Final = 10.0
TEXT, CLOSE = 0x1, 0x8
LAST: Final = re.compile(rb'"last_event_id":\s*"(\d+)"')


class LiveSocket:
    """One connection after another to /ws/live/.

    Args:
        port: the site's.
        cookie: a session that may see.
    """

    def __init__(self, port: int, cookie: str) -> None:
        self.port = port
        self.cookie = cookie
        self.arrivals: list[tuple[float, bytes]] = []
        """milliseconds of the wall clock, and the message as it came"""
        self.last = b"0"
        self.ended = ""
        self._task: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        """Connect, and go on reading.

        Raises:
            NotMeasured: the site refused.
        """
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24)
        after = b"" if self.last == b"0" else b"?after=" + self.last
        key = base64.b64encode(os.urandom(16))
        writer.write(
            b"GET /ws/live/%b HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nOrigin: http://127.0.0.1:%d\r\nCookie: %b\r\n"
            b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n"
            % (after, self.port, self.port, self.cookie.encode(), key)
        )
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise NotMeasured(f"the live socket was refused: {head[:60]!r}")
        self._writer = writer
        self._task = asyncio.create_task(self._read(reader))

    async def close(self) -> None:
        """Go without a word, as a closed laptop does."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()
            with suppress(OSError):
                await self._writer.wait_closed()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        pinged = time.monotonic()
        try:
            while True:
                first, size = await reader.readexactly(2)
                if size > 125:
                    size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
                payload = await reader.readexactly(size)
                if first & 0x0F == CLOSE:
                    self.ended = repr(payload)
                    return
                if first & 0x0F == TEXT:
                    self.arrivals.append((time.time() * 1_000, payload))
                    if found := LAST.search(payload):
                        self.last = found.group(1)
                if time.monotonic() - pinged > PING_EVERY_S:
                    pinged = time.monotonic()
                    self._ping()
        except (OSError, asyncio.IncompleteReadError) as error:
            self.ended = repr(error)

    def _ping(self) -> None:
        """Send what the page sends now and then, masked with zeros."""
        text = b'{"type":"ping"}'
        if self._writer is not None:
            self._writer.write(bytes([0x80 | TEXT, 0x80 | len(text)]) + bytes(4) + text)
