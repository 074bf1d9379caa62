"""A SeaweedFS filer and a master that answer as a test tells them, behind a real gRPC server.

Elsewhere: the real ones (tests/weed).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

import grpc
import grpc.aio

from lockcore.core.operations import FindOwner, Granted, Released
from lockcore.wire.methods import SEAWEED_FILER, SEAWEED_MASTER
from lockcore.wire.seaweed import (
    decode_find,
    decode_keep_connected,
    decode_lock,
    decode_unlock,
    encode_find_response,
    encode_lock_response,
    encode_unlock_response,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lockcore.core.operations import Operation, Result
    from lockcore.wire.seaweed import KeepConnected

    Script = Callable[[Operation], Awaitable[Result]]


class Scripted:
    """A server of one service."""

    service = ""

    def __init__(self) -> None:
        self.port = 0
        self._server: grpc.aio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(self.service, self.handlers()),))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            await self._server.stop(None)

    @property
    def target(self) -> str:
        """The gRPC address."""
        return f"127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        """As SeaweedFS writes it."""
        return f"127.0.0.1:9.{self.port}"

    def handlers(self) -> dict[str, Any]:
        """Return the handlers by method."""
        raise NotImplementedError


class ScriptedFiler(Scripted):
    """One filer; `script` is awaited for each answer."""

    service = SEAWEED_FILER

    def __init__(self, script: Script) -> None:
        super().__init__()
        self.script = script
        self.heard: list[Operation] = []

    def handlers(self) -> dict[str, Any]:
        """Locks, and nothing else."""
        methods = {"DistributedLock": self._lock, "DistributedUnlock": self._unlock, "FindLockOwner": self._find}
        return {name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()}

    async def _lock(self, data: bytes, _: Any) -> bytes:
        return encode_lock_response(await self._answer(decode_lock(data).operation))

    async def _unlock(self, data: bytes, _: Any) -> bytes:
        return encode_unlock_response(await self._answer(decode_unlock(data).operation))

    async def _find(self, data: bytes, context: Any) -> bytes:
        result = await self._answer(decode_find(data).operation)
        if isinstance(result, Released):
            await context.abort(grpc.StatusCode.NOT_FOUND, "lock not found")
        return encode_find_response(getattr(result, "owner", ""))

    async def _answer(self, operation: Operation) -> Result:
        self.heard.append(operation)
        return await self.script(operation)


class ScriptedMaster(Scripted):
    """One master: tells everybody what it was given to tell, then waits or (`ends`) ends the stream.

    `pings`: how many it answers before it hangs; without that it does not know what a ping is.
    """

    service = SEAWEED_MASTER

    def __init__(self, *tells: bytes, ends: bool = False, pings: int | None = None) -> None:
        super().__init__()
        self.tells = list(tells)
        self.ends = ends
        self.pings = pings
        self.pinged = 0
        self.heard: list[KeepConnected] = []

    def handlers(self) -> dict[str, Any]:
        """The one stream, and perhaps the ping."""
        methods = {"KeepConnected": grpc.stream_stream_rpc_method_handler(self._keep_connected)}
        if self.pings is not None:
            methods["Ping"] = grpc.unary_unary_rpc_method_handler(self._ping)
        return methods

    async def _ping(self, _: bytes, __: Any) -> bytes:
        self.pinged += 1
        if self.pinged > (self.pings or 0):
            await asyncio.Event().wait()
        return b""

    async def _keep_connected(self, _: object, context: Any) -> None:
        self.heard.append(decode_keep_connected(await context.read()))
        for told in self.tells:
            await context.write(told)
        if not self.ends:
            await asyncio.Event().wait()


async def obliging(operation: Operation) -> Result:
    """Grant every wish."""
    if isinstance(operation, FindOwner):
        return Released()
    if hasattr(operation, "ttl_ms"):
        return Granted(f"after {operation.token!r}", operation.owner, 7, 0, operation.ttl_ms)  # type: ignore[union-attr]
    return Released()
