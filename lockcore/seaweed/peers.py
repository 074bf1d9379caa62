"""Calls to the other members of a SeaweedFS lock ring, real filers as a rule.

Invariants
  P1  Each call ends in time, with an answer or a PeerProblem.
  P2  What is sent on says that it had its one hop (is_moved).
Elsewhere: what is to be said (lockcore.core.weedmember), in which order
(courier), the messages (lockcore.wire.seaweed_peer).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio

from lockcore.client.weedwords import CHANNEL_OPTIONS, describe
from lockcore.core.operations import Code, FindOwner, Lock, OwnerIs, Refused, Unlock
from lockcore.wire.addresses import grpc_target
from lockcore.wire.errors import CodecError
from lockcore.wire.methods import SEAWEED_FILER, path
from lockcore.wire.seaweed_client import (
    decode_find_answer,
    decode_lock_answer,
    decode_unlock_answer,
    encode_find,
    encode_lock,
    encode_unlock,
)
from lockcore.wire.seaweed_peer import decode_moved_to, encode_moved, encode_replica

if TYPE_CHECKING:
    from lockcore.core.weedmember import Answer, Errand, Request

DELIVER_S: Final = 3.0
ASK_S: Final = 1.0


class PeerProblem(Exception):  # noqa: N818 - what came of a call, for whoever called
    """No answer, or none that can be read; the text is for people."""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What a former primary says of a key.

    `adopted`: it has the ring by which it is not the primary any more. `owner`: of the lock that it still holds.
    """

    adopted: bool
    owner: str


class Peers:
    """A connection to each member that was called."""

    def __init__(self) -> None:
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def deliver(self, errand: Errand, wall_ns: int) -> None:
        """Have a member take a state.

        Raises:
            PeerProblem: it did not say that it has.
        """
        if errand.transfer:
            await self._call(errand.target, "TransferLocks", encode_moved([errand.state], wall_ns), DELIVER_S)
        else:
            await self._call(errand.target, "ReplicateLock", encode_replica(errand.state, wall_ns), DELIVER_S)

    async def forward(self, target: str, request: Request, timeout_s: float) -> Answer:
        """Have another member answer (P2); the answer says that it did.

        Raises:
            PeerProblem: no answer.
        """
        try:
            answer = await self._forward(target, request, timeout_s)
        except CodecError as error:
            raise PeerProblem(str(error)) from None
        return replace(answer, moved_to=target)

    async def _forward(self, target: str, request: Request, timeout_s: float) -> Answer:
        match request:
            case Lock():
                data = await self._call(target, "DistributedLock", encode_lock(request, moved=True), timeout_s)
                return decode_lock_answer(data, request)
            case Unlock():
                data = await self._call(target, "DistributedUnlock", encode_unlock(request, moved=True), timeout_s)
                return decode_unlock_answer(data)
            case FindOwner():
                owner = await self._owner(target, request.key, timeout_s)
                return OwnerIs(owner, 0, 0) if owner else Refused(Code.NOT_FOUND, f"lock {request.key} not found")

    async def knows(self, target: str, key: str) -> Knowledge:
        """Ask a former primary for a key.

        A filer names the new primary when it is to unlock what is not its own any more; no lock opens with no token.

        Raises:
            PeerProblem: no answer.
        """
        try:
            data = await self._call(target, "DistributedUnlock", encode_unlock(Unlock(key, ""), moved=True), ASK_S)
            return Knowledge(bool(decode_moved_to(data)), await self._owner(target, key, ASK_S))
        except CodecError as error:
            raise PeerProblem(str(error)) from None

    async def _owner(self, target: str, key: str, timeout_s: float) -> str:
        """Return who holds a key there, empty for nobody."""
        try:
            data = await self._call(target, "FindLockOwner", encode_find(FindOwner(key), moved=True), timeout_s)
        except PeerProblem as problem:
            cause = problem.__cause__
            if isinstance(cause, grpc.aio.AioRpcError) and cause.code() is grpc.StatusCode.NOT_FOUND:
                return ""
            raise
        return decode_find_answer(data)

    async def _call(self, address: str, method: str, data: bytes, timeout_s: float) -> bytes:
        try:
            opener: Any = self._channel(address).unary_unary  # bytes to bytes; its stub wants codecs
            answer: bytes = await opener(path(SEAWEED_FILER, method))(data, timeout=timeout_s)
        except (grpc.RpcError, grpc.aio.UsageError, ValueError) as error:
            raise PeerProblem(f"{address}: {describe(error)}") from error
        return answer

    def _channel(self, address: str) -> grpc.aio.Channel:
        """Return the connection to a ring address.

        Raises:
            ValueError: it is none.
        """
        if address not in self._channels:
            self._channels[address] = grpc.aio.insecure_channel(grpc_target(address), options=CHANNEL_OPTIONS)
        return self._channels[address]

    async def keep_only(self, addresses: frozenset[str]) -> None:
        """Hang up on whoever is not among these."""
        for address in self._channels.keys() - addresses:
            await self._channels.pop(address).close(DELIVER_S)

    async def close(self) -> None:
        """Hang up on everybody."""
        await self.keep_only(frozenset())
