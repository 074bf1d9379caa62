"""filer_pb.SeaweedFiler, as far as a member without files serves it.

A filer that meets a new peer asks for its configuration, then for everything
that it stores, then for whatever changes, and asks again every 1.7 seconds
what it was refused, with four lines in its log. The honest answers are
quiet: nothing is stored (an empty stream), and nothing changes (a stream that
stays open, with the heartbeats that filers send each other when idle, so that
nobody waits for a change of ours). Everything else is UNIMPLEMENTED, with a
text that says why.

Invariants
  G1  A grant, a renewal and an unlock are answered when the backup has them;
      without it after CONFIRM_S, as SeaweedFS does at once. Where no master is
      heard the backup may be the primary by now: then it must have them.
  G2  Who asks for a key that another member may still have waits CLEAR_S for
      it, then is told to try again.
Elsewhere: the rules (lockcore.core.weedmember), the texts (lockcore.wire.seaweed).
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import TYPE_CHECKING, Any, Final

import grpc

from lockcore.core.operations import Code, FindOwner, Granted, Lock, OwnerIs, Refused, Released, Unlock
from lockcore.core.weedmember import HANDOFF_TEXT, Ask, Forward
from lockcore.seaweed.peers import PeerProblem
from lockcore.service.channels import abort, read
from lockcore.wire import seaweed, seaweed_peer
from lockcore.wire.methods import SEAWEED_FILER

if TYPE_CHECKING:
    from collections.abc import Callable

    from lockcore.core.steps import Instant
    from lockcore.core.weedmember import Answer, Request, WeedMember
    from lockcore.seaweed.courier import Courier
    from lockcore.seaweed.peers import Peers
    from lockcore.wire.seaweed import FilerCall

    Context = grpc.aio.ServicerContext[bytes, bytes]

CONFIRM_S: Final = 1.0
CLEAR_S: Final = 2.0
CLEAR_STEP_S: Final = 0.05
REQUEST_S: Final = 5.0
REQUEST_S_MAX: Final = 120.0
HEARTBEAT_S: Final = 5.0
NO_FILES: Final = (
    "this member of the lock ring is a Lockring node: it holds locks and stores no files; ask a SeaweedFS filer"
)

_log = logging.getLogger(__name__)


class MemberService:
    """Serves one member.

    Args:
        masters: as they are named to who asks.
        clock: this moment on both clocks.
    """

    def __init__(  # noqa: PLR0913 - the parts of a member
        self,
        member: WeedMember,
        courier: Courier,
        peers: Peers,
        clock: Callable[[], Instant],
        *,
        masters: tuple[str, ...],
        group: str,
    ) -> None:
        self._member = member
        self._courier = courier
        self._peers = peers
        self._clock = clock
        self._is = seaweed_peer.encode_filer_is(member.address, masters, group)

    @property
    def handlers(self) -> dict[str, Any]:
        """Return the handlers by method."""
        unary = {
            "DistributedLock": self._lock,
            "DistributedUnlock": self._unlock,
            "FindLockOwner": self._find,
            "TransferLocks": self._transfer,
            "ReplicateLock": self._replicate,
            "GetFilerConfiguration": self._configuration,
            "Ping": self._ping,
        }
        streams = {"TraverseBfsMetadata": self._traverse, "SubscribeLocalMetadata": self._subscribe}
        return {name: grpc.unary_unary_rpc_method_handler(method) for name, method in unary.items()} | {
            name: grpc.unary_stream_rpc_method_handler(method) for name, method in streams.items()
        }

    # --- who holds locks ---------------------------------------------------------------------

    async def _lock(self, data: bytes, context: Context) -> bytes:
        call = await read(seaweed.decode_lock, data, context)
        return seaweed.encode_lock_response(await self._answer(call, context))

    async def _unlock(self, data: bytes, context: Context) -> bytes:
        call = await read(seaweed.decode_unlock, data, context)
        return seaweed.encode_unlock_response(await self._answer(call, context))

    async def _find(self, data: bytes, context: Context) -> bytes:
        call = await read(seaweed.decode_find, data, context)
        answer = await self._answer(call, context)
        if isinstance(answer, OwnerIs):
            return seaweed.encode_find_response(answer.owner)
        invalid = isinstance(answer, Refused) and answer.code is Code.INVALID
        code = grpc.StatusCode.INVALID_ARGUMENT if invalid else grpc.StatusCode.NOT_FOUND
        return await abort(context, code, answer.text if isinstance(answer, Refused) else "no answer")

    async def _answer(self, call: FilerCall, context: Context) -> Answer:
        request = call.operation
        if not isinstance(request, Lock | Unlock | FindOwner):
            return Refused(Code.INVALID, f"a filer knows no {type(request).__name__}")
        timeout_s = _timeout_s(context)
        decided = self._decide(request, moved=call.moved)
        if isinstance(decided, Ask):
            decided = await self._when_clear(request, min(CLEAR_S, timeout_s), moved=call.moved)
        if isinstance(decided, Forward):
            return await self._forward(decided.target, request, timeout_s)
        return await self._confirmed(request, decided, timeout_s)

    def _decide(self, request: Request, *, moved: bool, cleared: bool = False) -> Answer | Forward | Ask:
        token = str(uuid.uuid4()) if isinstance(request, Lock) else ""
        return self._member.decide(request, self._clock().boot_ns, new_token=token, moved=moved, cleared=cleared)

    async def _forward(self, target: str, request: Request, timeout_s: float) -> Answer:
        try:
            answer = await self._peers.forward(target, request, timeout_s)
        except PeerProblem as problem:
            return Refused(Code.NOT_SERVING, str(problem), moved_to=target)
        if isinstance(answer, Granted):
            self._member.locks.raise_floor(answer.generation)
        return answer

    async def _confirmed(self, request: Request, answer: Answer, timeout_s: float) -> Answer:
        """Give an answer out when whoever has to know of it does (G1)."""
        if not isinstance(answer, Granted | Released):
            return answer
        held = self._member.locks.get(request.key)
        if held is None:
            return answer
        self._courier.mark([request.key])
        insist = self._member.lost
        told = await self._courier.told(request.key, held.order, min(CONFIRM_S, timeout_s), insist=insist)
        if not told and insist:
            text = "no master is heard, and the backup does not answer: nobody can say who serves this lock"
            return Refused(Code.NOT_SERVING, text)
        return answer

    # --- keys that another member may still have (G2) ------------------------------------------

    async def _when_clear(self, request: Request, wait_s: float, *, moved: bool) -> Answer | Forward:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_s
        while isinstance(decided := self._decide(request, moved=moved), Ask):
            over = loop.time() >= deadline
            if isinstance(request, FindOwner) or not request.token or over:
                found = await self._ask(request, decided.members, moved=moved)
                if found is not None:
                    return found
            if over:
                return Refused(Code.HANDOFF, HANDOFF_TEXT, "ring-handoff")
            await asyncio.sleep(CLEAR_STEP_S)
        return decided

    async def _ask(self, request: Request, members: tuple[str, ...], *, moved: bool) -> Answer | Forward | None:
        """Ask former primaries, and decide if they all answer; who still has the lock serves its holder."""
        try:
            for member in members:
                known = await self._peers.knows(member, request.key)
                if known.owner:
                    return await self._of_another(member, request, known.owner)
                if not known.adopted:
                    return None
        except PeerProblem:
            return None
        decided = self._decide(request, moved=moved, cleared=True)
        return None if isinstance(decided, Ask) else decided

    async def _of_another(self, member: str, request: Request, owner: str) -> Answer | None:
        """Answer for a lock that a former primary still has."""
        match request:
            case FindOwner():
                return OwnerIs(owner, 0, 0)
            case Lock(token=""):
                return Refused(Code.HELD, f"lock already owned by {owner}", owner)
        return await self._peers.forward(member, request, REQUEST_S)

    # --- other members -----------------------------------------------------------------------

    async def _transfer(self, data: bytes, context: Context) -> bytes:
        now = self._clock()
        states = await read(lambda raw: seaweed_peer.decode_moved(raw, now.wall_ns), data, context)
        for state in states:
            what = "takes over" if self._member.take_over(state, now.boot_ns) else "does not take"
            _log.debug("%s %s, owner %s, generation %d, seq %d", what, state.key, state.owner, *state.order)
        self._courier.mark(state.key for state in states)
        return b""

    async def _replicate(self, data: bytes, context: Context) -> bytes:
        now = self._clock()
        state = await read(lambda raw: seaweed_peer.decode_replica(raw, now.wall_ns), data, context)
        taken = self._member.take_copy(state, now.boot_ns)
        what = "does not take" if not taken else "lets go of" if state.gone else "has a copy of"
        _log.debug("%s %s, owner %s, generation %d, seq %d", what, state.key, state.owner, *state.order)
        self._courier.mark([state.key])
        return b""

    async def _configuration(self, _: bytes, __: Context) -> bytes:
        return self._is

    async def _ping(self, data: bytes, context: Context) -> bytes:
        if await read(seaweed_peer.decode_ping, data, context):
            await abort(context, grpc.StatusCode.UNIMPLEMENTED, NO_FILES)
        return seaweed_peer.encode_pong(self._clock().wall_ns)

    async def _traverse(self, _: bytes, __: Context) -> None:
        """Tell everything that is stored here: nothing."""

    async def _subscribe(self, data: bytes, context: Context) -> None:
        """Tell every change from now on: there are none, as long as the caller listens."""
        beats = await read(seaweed_peer.wants_heartbeats, data, context)
        while True:
            if beats:
                await context.write(seaweed_peer.encode_heartbeat(self._clock().wall_ns))
            await asyncio.sleep(HEARTBEAT_S)


class LocksOnly(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # only its stub is generic
    """Refuses what a filer does with files, in a way that whoever asked understands."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return a handler for every other method of the service, None for other services."""
        if not handler_call_details.method.startswith(f"/{SEAWEED_FILER}/"):
            return None
        return grpc.stream_stream_rpc_method_handler(self._refuse)

    async def _refuse(self, _: object, context: Context) -> None:
        await abort(context, grpc.StatusCode.UNIMPLEMENTED, NO_FILES)


def _timeout_s(context: Context) -> float:
    """Return how long the caller waits, or the default."""
    remaining_s: Any = context.time_remaining()  # its stub denies the None
    return REQUEST_S if remaining_s is None else max(0.001, min(remaining_s, REQUEST_S_MAX))
