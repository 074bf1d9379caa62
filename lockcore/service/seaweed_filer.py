"""filer_pb.SeaweedFiler: clients and nodes that speak SeaweedFS's protocol.

Refusals travel as text in `error` with status OK; "lock already owned by"
makes SeaweedFS's clients try again. Lock state is taken from members of the
cluster only, in the node's own view, with a rising number, and answered lock
by lock.

Invariants
  F1  While a range is being handed over, a fresh acquisition is asked again
      for HANDOFF_WAIT_MS, then told "lock already owned by ring-handoff" (W1).
  F2  A request whose caller has gone is not carried out later than its
      deadline (W18).
Elsewhere: the texts (lockcore.core.serving), the messages (lockcore.wire.seaweed).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import grpc

from lockcore.core.limits import REQUEST_TIMEOUT_MS, REQUEST_TIMEOUT_MS_MAX
from lockcore.core.messages import (
    BatchStatus,
    Code,
    FromPeer,
    Lock,
    NodeEffect,
    OwnerIs,
    PeerAck,
    PeerBatch,
    Refused,
    SendPeer,
)
from lockcore.service.channels import abort, read
from lockcore.service.isolation import Line
from lockcore.wire import seaweed

if TYPE_CHECKING:
    from lockcore.core.messages import Outcome, Result
    from lockcore.service.channels import Context, Gate
    from lockcore.service.isolation import Isolator
    from lockcore.service.shell import NodeShell
    from lockcore.wire.seaweed import FilerCall, MovedLocks

HANDOFF_WAIT_MS: Final = 2_000
"""A handover takes milliseconds; a SeaweedFS client asks again only after seconds."""
HANDOFF_STEP_S: Final = 0.05

_FIND_STATUS: Final = {
    Code.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Code.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Code.TIMEOUT: grpc.StatusCode.DEADLINE_EXCEEDED,
    Code.OVERLOADED: grpc.StatusCode.RESOURCE_EXHAUSTED,
}


class FilerService:
    """Serves SeaweedFS's lock protocol on one node."""

    def __init__(self, shell: NodeShell, gate: Gate, isolator: Isolator) -> None:
        self._shell = shell
        self._gate = gate
        self._isolator = isolator

    @property
    def handlers(self) -> dict[str, Any]:
        """Return the handlers by method."""
        methods = {
            "DistributedLock": self._lock,
            "DistributedUnlock": self._unlock,
            "FindLockOwner": self._find,
            "TransferLocks": self._transfer,
            "ReplicateLock": self._replicate,
        }
        return {name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()}

    # --- clients ------------------------------------------------------------------------

    async def _lock(self, data: bytes, context: Context) -> bytes:
        call = await read(seaweed.decode_lock, data, context)
        return seaweed.encode_lock_response(await self._ask(call, context))

    async def _unlock(self, data: bytes, context: Context) -> bytes:
        call = await read(seaweed.decode_unlock, data, context)
        return seaweed.encode_unlock_response(await self._ask(call, context))

    async def _find(self, data: bytes, context: Context) -> bytes:
        call = await read(seaweed.decode_find, data, context)
        result = await self._ask(call, context)
        if isinstance(result, OwnerIs):
            return seaweed.encode_find_response(result.owner)
        code = result.code if isinstance(result, Refused) else Code.TIMEOUT
        text = seaweed.error_text(result) if isinstance(result, Refused) else "no answer"
        return await abort(context, _FIND_STATUS.get(code, grpc.StatusCode.UNAVAILABLE), text)

    async def _ask(self, call: FilerCall, context: Context) -> Result:
        """Ask the core; a fresh acquisition waits for a handover here, not in the core (F1)."""
        if self._isolator.active:
            await self._isolator.passing(Line.FROM_CLIENTS)
        result = await self._ask_until_moved(call, context)
        if self._isolator.active:
            await self._isolator.passing(Line.TO_CLIENTS)
        return result

    async def _ask_until_moved(self, call: FilerCall, context: Context) -> Result:
        loop = asyncio.get_running_loop()
        started = loop.time()
        left_ms = total_ms = _timeout_ms(context)
        fresh = isinstance(call.operation, Lock) and not call.operation.token
        while True:
            result = await self._ask_once(call, left_ms, may_park=not fresh)
            if not isinstance(result, Refused) or result.code is not Code.HANDOFF:
                return result
            spent_ms = int((loop.time() - started) * 1_000)
            left_ms = total_ms - spent_ms
            if spent_ms >= HANDOFF_WAIT_MS or left_ms <= 2 * HANDOFF_STEP_S * 1_000:
                return result
            await asyncio.sleep(HANDOFF_STEP_S)

    async def _ask_once(self, call: FilerCall, timeout_ms: int, *, may_park: bool) -> Result:
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

        def answer(result: Result) -> None:
            if not future.done():  # the caller may have gone
                future.set_result(result)

        self._shell.give(
            self._shell.call(call.operation, answer, timeout_ms=timeout_ms, may_park=may_park, forwarded=call.moved)
        )
        return await future

    # --- nodes ----------------------------------------------------------------------------

    async def _transfer(self, data: bytes, context: Context) -> bytes:
        await self._gate.check(context)
        locks = await read(lambda raw: seaweed.decode_transfer(raw, self._shell.core.member), data, context)
        return seaweed.encode_transfer_response(await self._take(locks, context))

    async def _replicate(self, data: bytes, context: Context) -> bytes:
        await self._gate.check(context)
        locks = await read(lambda raw: seaweed.decode_replicate(raw, self._shell.core.member), data, context)
        return seaweed.encode_replicate_response(await self._take(locks, context))

    async def _take(self, locks: MovedLocks, context: Context) -> list[Outcome]:
        """Give lock state to the core like any peer's; its answer is ours."""
        if self._isolator.active:
            await self._isolator.passing(Line.FROM_PEERS)
        batch = locks.batch
        view = self._shell.core.view
        mine = 0 if view is None else view.number
        if batch.view != mine:
            text = f"this node is in view {mine}, the request is of view {batch.view}: look at the ring again"
            await abort(context, grpc.StatusCode.FAILED_PRECONDITION, text)
        effect = self._shell.give_captured(FromPeer(batch), lambda e: _answers(e, batch))
        ack = effect.message if isinstance(effect, SendPeer) else None
        if not isinstance(ack, PeerAck):
            text = f"number {batch.lsn} (field 103) is not above the last one of this sender: it is stale"
            await abort(context, grpc.StatusCode.FAILED_PRECONDITION, text)
        if ack.status is not BatchStatus.OK:
            why = f"the sender is no member of view {mine}, or this node is fenced"
            text = f"nothing was taken ({ack.status.value}): {why}"
            await abort(context, grpc.StatusCode.FAILED_PRECONDITION, text)
        if self._isolator.active:
            await self._isolator.passing(Line.TO_PEERS)
        return locks.in_order(ack.replicas, ack.transfers)


def _answers(effect: NodeEffect, batch: PeerBatch) -> bool:
    if not isinstance(effect, SendPeer) or not isinstance(effect.message, PeerAck):
        return False
    return effect.message.receiver == batch.sender and effect.message.lsn == batch.lsn


def _timeout_ms(context: Context) -> int:
    """Return how long the caller waits, or the default."""
    remaining_s: Any = context.time_remaining()  # its stub denies the None
    if remaining_s is None:
        return REQUEST_TIMEOUT_MS
    return max(1, min(int(remaining_s * 1_000), REQUEST_TIMEOUT_MS_MAX))
