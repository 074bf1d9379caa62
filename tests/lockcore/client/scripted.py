"""A lock node that answers as a test tells it, behind a real gRPC server.

Elsewhere: real nodes (tests.lockcore.service.cluster).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

import grpc

from lockcore.core.operations import (
    ClearRange,
    EndSession,
    Granted,
    HeldRange,
    KeepAlive,
    OpenSession,
    RangeLocked,
    Released,
    SessionEnded,
    SessionIs,
    SessionProof,
    SetRange,
    Unlock,
)
from lockcore.core.view import Member, View
from lockcore.wire.codec import ViewState, decode_client_batch, encode_server_batch
from lockcore.wire.methods import LOCKS

if TYPE_CHECKING:
    from collections.abc import Callable

    from lockcore.core.operations import Operation, Refused, Result
    from lockcore.wire.codec import Call

WAIT_S = 30.0
PROOF = SessionProof("s1", 1, "secret")


def generous(operation: Operation) -> Result | None:
    """Answer that every wish is granted."""
    match operation:
        case Unlock() | ClearRange():
            return Released()
        case OpenSession(ttl_ms=ttl_ms):
            return SessionIs(PROOF, ttl_ms)
        case KeepAlive(session=proof, ttl_ms=ttl_ms):
            return SessionIs(proof, ttl_ms)
        case EndSession():
            return SessionEnded()
        case SetRange():
            owner, kind, start, length = operation.lock_owner, operation.kind, operation.start, operation.length
            return RangeLocked(PROOF.id, (HeldRange(PROOF.id, "me", owner, kind, start, length, 7),))
    return Granted(f"token of {operation.key}", getattr(operation, "owner", ""), 7, 1, getattr(operation, "ttl_ms", 0))


def refuse_first(times: int, refusal: Refused) -> Callable[[Operation], Result | None]:
    """Return a script that refuses so many operations, then grants."""
    left = times

    def script(operation: Operation) -> Result | None:
        nonlocal left
        left -= 1
        return refusal if left >= 0 else generous(operation)

    return script


class ScriptedNode:
    """One node.

    `script` is asked for each answer; None means: keep silent, until `answer` is called.
    """

    def __init__(self, script: Callable[[Operation], Result | None] = generous) -> None:
        self.script = script
        self.view: View | None = None
        self.heard: list[Operation] = []
        self.batches: list[int] = []
        self.calls: list[Call] = []
        self.port = 0
        self._contexts: list[Any] = []
        self._writing = asyncio.Lock()  # gRPC takes one write at a time
        self._server: grpc.aio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Serve, at the same port as before if there was one."""
        self._server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        handlers: dict[str, Any] = {"Converse": grpc.stream_stream_rpc_method_handler(self._converse)}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(LOCKS, handlers),))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    async def stop(self) -> None:
        """Vanish as a killed process does."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    @property
    def target(self) -> str:
        """The gRPC address."""
        return f"127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        """The ring address."""
        return f"127.0.0.1:9.{self.port}"

    async def answer(self, number: int, result: Result) -> None:
        """Answer the call that was heard at `number`, late."""
        await self._write(self._contexts[-1], encode_server_batch([(self.calls[number].id, result)]))

    async def push(self, view: View) -> None:
        """Publish a view to whoever is connected."""
        self.view = view
        for context in self._contexts:
            await self._write(context, encode_server_batch((), ViewState(view)))

    async def heard_at_least(self, count: int) -> None:
        """Wait until so many operations have arrived."""
        async with asyncio.timeout(WAIT_S):
            while len(self.heard) < count:  # noqa: ASYNC110 - a test's condition
                await asyncio.sleep(0.005)

    async def _write(self, context: Any, data: bytes) -> None:
        async with self._writing:
            await context.write(data)

    async def _converse(self, _: object, context: Any) -> None:
        self._contexts.append(context)
        try:
            await self._write(context, encode_server_batch((), ViewState(self.view) if self.view else None))
            while isinstance(data := await context.read(), bytes):
                batch = decode_client_batch(data)
                self.batches.append(len(batch.calls))
                results = []
                for call in batch.calls:
                    self.heard.append(call.operation)
                    self.calls.append(call)
                    result = self.script(call.operation)
                    if result is not None:
                        results.append((call.id, result))
                if results:
                    await self._write(context, encode_server_batch(results))
        finally:
            self._contexts.remove(context)


def view_of(*nodes: ScriptedNode, number: int = 1, down: tuple[ScriptedNode, ...] = ()) -> View:
    """Return a view of these nodes."""
    return View(number, number, tuple(Member(n.address, 1, down=n in down) for n in nodes))


def key_at(view: View, node: ScriptedNode) -> str:
    """Return a key whose primary is that node."""
    return next(key for key in (f"key-{i}" for i in range(10_000)) if view.ring.primary(key) == node.address)
