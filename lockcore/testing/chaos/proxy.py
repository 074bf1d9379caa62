"""Directed links between processes that can silently stop passing bytes.

Each pair (who dials, who is dialled) has a listener of its own, so that one
of them can be cut without the other. A cut keeps the connection: bytes wait,
as they do in TCP when packets are lost, and pass when it heals. A closed
connection waits as well. (A socket that closes is a different, easier fault.)

Elsewhere: who is made to dial through it (node, client), when it cuts (faults).
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CHUNK: Final = 65_536
PROBLEMS: Final = (OSError, asyncio.IncompleteReadError)


class Links:
    """All links of one cluster, by the names of their ends."""

    def __init__(self) -> None:
        self._passing: dict[tuple[str, str], asyncio.Event] = {}
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, dialler: str | Callable[[int], str], dialled: str, target: str, port: int = 0) -> str:
        """Listen for `dialler`; return the address at which it reaches `dialled`, which listens on `target`.

        Where several must dial one address, `dialler` names each by the port that it dials from.
        """

        def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            name = dialler if isinstance(dialler, str) else dialler(writer.get_extra_info("peername")[1])
            task = asyncio.get_running_loop().create_task(self._carry(name, dialled, target, reader, writer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        server = await asyncio.start_server(take, "127.0.0.1", port)
        self._servers.append(server)
        return f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

    def cut(self, ways: Iterable[tuple[str, str]]) -> None:
        """Pass no bytes from the first to the second of each pair any more, whoever dialled."""
        for way in ways:
            self._gate(*way).clear()

    def heal(self, ways: Iterable[tuple[str, str]] | None = None) -> None:
        """Let everything pass, or what goes these ways."""
        for gate in self._passing.values() if ways is None else (self._gate(*way) for way in ways):
            gate.set()

    async def close(self) -> None:
        """End all connections and listeners."""
        for server in self._servers:
            server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _gate(self, sender: str, receiver: str) -> asyncio.Event:
        gate = self._passing.get((sender, receiver))
        if gate is None:
            gate = self._passing[sender, receiver] = asyncio.Event()
            gate.set()
        return gate

    async def _carry(
        self, dialler: str, dialled: str, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        there, back = self._gate(dialler, dialled), self._gate(dialled, dialler)
        writers = [writer]
        pumps: list[asyncio.Task[None]] = []
        try:
            await there.wait()  # the first packet is lost as well
            host, _, port = target.rpartition(":")
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
            writers.append(far_writer)
            loop = asyncio.get_running_loop()
            pumps = [loop.create_task(_pump(reader, far_writer, there))]
            pumps.append(loop.create_task(_pump(far_reader, writer, back)))
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            # The end of a connection must not be heard across a cut.
            await there.wait()
            await back.wait()
        except PROBLEMS:
            pass  # nobody listens there: the dialler sees its connection end
        finally:
            for pump in pumps:
                pump.cancel()
            for each in writers:
                with contextlib.suppress(*PROBLEMS):
                    each.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event) -> None:
    with contextlib.suppress(*PROBLEMS):
        while True:
            data = await reader.read(CHUNK)
            await gate.wait()
            if not data:
                return
            writer.write(data)
            await writer.drain()
