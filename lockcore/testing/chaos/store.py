"""A store that clients of a run write to, guarded by generations: what fencing tokens are for.

One process (the harness) keeps the registers, so that writes have one order.
Clients reach it directly: no fault keeps a late write from arriving.

    ["read", key, generation]                  -> version, or null: overtaken
    ["write", client, key, generation, base]   -> version, or 0: overtaken

Elsewhere: the registers and their rule (lockcore.testing.register).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any, Final

from lockcore.client.clock import boot_ns
from lockcore.testing.register import Registers

LINE_BYTES_MAX: Final = 16_384


class Store:
    """Serves the registers on loopback."""

    def __init__(self) -> None:
        self.registers = Registers()
        self.target = ""
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=LINE_BYTES_MAX)
        self.target = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """End it."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(OSError, ValueError):
            while line := await reader.readline():
                writer.write(json.dumps(self._do(json.loads(line))).encode() + b"\n")
                await writer.drain()
        self._writers.discard(writer)
        writer.close()

    def _do(self, asked: list[Any]) -> int | None:
        match asked:
            case ["read", str(key), int(generation)]:
                return self.registers.read(key, generation)
            case ["write", str(client), str(key), int(generation), int(base)]:
                self.registers.write(boot_ns(), client, key, generation, base)
                return self.registers.writes[-1].version
        raise ValueError(f"no request to a store: {asked!r:.100}")


class StoreClient:
    """One connection to the store, for all clients of a process."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._turn = asyncio.Lock()
        self._ends: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def read(self, key: str, generation: int) -> int | None:
        """Return the version, or None for a generation that was overtaken."""
        return await self._ask(["read", key, generation])

    async def write(self, client: str, key: str, generation: int, base: int) -> int:
        """Return the version that was made on top of `base`, 0 for a generation that was overtaken."""
        return await self._ask(["write", client, key, generation, base]) or 0

    async def close(self) -> None:
        """End the connection."""
        if self._ends is not None:
            self._ends[1].close()
            self._ends = None

    async def _ask(self, asked: list[Any]) -> int | None:
        async with self._turn:
            if self._ends is None:
                host, _, port = self._target.rpartition(":")
                self._ends = await asyncio.open_connection(host, int(port))
            reader, writer = self._ends
            writer.write(json.dumps(asked).encode() + b"\n")
            answer = json.loads(await reader.readline() or b"null")
        return None if answer is None else int(answer)
