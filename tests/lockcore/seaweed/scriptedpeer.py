"""A member of a ring beside another one that answers as a test tells it, behind a real gRPC server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc

from lockcore.wire.methods import SEAWEED_FILER
from lockcore.wire.seaweed import encode_find_response
from lockcore.wire.seaweed_peer import decode_moved, decode_replica
from tests.lockcore.client.scriptedweed import Scripted

if TYPE_CHECKING:
    from lockcore.core.weedlocks import LockState


class ScriptedPeer(Scripted):
    """Takes in what it is told.

    Attributes:
        taken: what came: ("copy" or "transfer", state).
        fails: whether it refuses everything; `hangs`: whether it never answers.
        owners: of the locks that it still has.
        moved_to: where it says that they live, empty while it serves them itself.
        on_taken: called for each state before it is answered.
    """

    service = SEAWEED_FILER

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[tuple[str, LockState]] = []
        self.fails = False
        self.hangs = False
        self.owners: dict[str, str] = {}
        self.moved_to = ""
        self.on_taken: Any = lambda _: None

    def handlers(self) -> dict[str, Any]:
        """Return what members ask of each other."""
        methods = {
            "TransferLocks": self._transfer,
            "ReplicateLock": self._replicate,
            "FindLockOwner": self._find,
            "DistributedUnlock": self._unlock,
        }
        return {name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()}

    async def _transfer(self, data: bytes, context: Any) -> bytes:
        for state in decode_moved(data, 0):
            await self._take("transfer", state, context)
        return b""

    async def _replicate(self, data: bytes, context: Any) -> bytes:
        await self._take("copy", decode_replica(data, 0), context)
        return b""

    async def _take(self, how: str, state: LockState, context: Any) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.fails:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "as told")
        self.taken.append((how, state))
        self.on_taken(state)

    async def _find(self, data: bytes, context: Any) -> bytes:
        name = data[2 : 2 + data[1]].decode()
        if name not in self.owners:
            await context.abort(grpc.StatusCode.NOT_FOUND, "not found")
        return encode_find_response(self.owners[name])

    async def _unlock(self, _: bytes, __: Any) -> bytes:
        moved_to = self.moved_to.encode()
        return b"\x12" + bytes([len(moved_to)]) + moved_to if moved_to else b""
