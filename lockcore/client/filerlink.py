"""Asking one SeaweedFS filer: each operation a call of its own.

A filer changes the token at each renewal and honours no earlier one. So a
call is never cancelled: when its caller has stopped waiting it goes on, and
what it brings is not lost.

Invariants
  L1  Every question gets an answer or a LinkProblem, at the latest when its
      time is up.
  L2  A lock that is granted to nobody (whoever asked has gone) is unlocked.
  L3  A renewal that was answered when nobody waited leaves an heir: whoever
      shows the old token from then on shows the new one. While it is under
      way, "token mismatch" is no answer: it may be the renewal's own doing.
  L4  Calls under way are bounded; what is more is refused at once.
Elsewhere: Lockring's own nodes (link), all filers (filerpool).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio

from lockcore.client.clock import boot_ns
from lockcore.client.link import LinkProblem
from lockcore.client.weedwords import CHANNEL_OPTIONS, describe
from lockcore.core.limits import NS_PER_MS
from lockcore.core.operations import Code, FindOwner, Granted, Lock, OwnerIs, Refused, Unlock
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

if TYPE_CHECKING:
    from lockcore.core.operations import Operation, Result

CALL_S: Final = 5.0
"""How long a call that nobody waits for any more may go on: an attempt lasts a second at most."""
PENDING_MAX: Final = 20_000
HEIRS_MAX: Final = 10_000
PAUSE_MS_FIRST: Final = 50
PAUSE_MS_MAX: Final = 1_000

LOCK: Final = path(SEAWEED_FILER, "DistributedLock")
UNLOCK: Final = path(SEAWEED_FILER, "DistributedUnlock")
FIND: Final = path(SEAWEED_FILER, "FindLockOwner")


class Heirs:
    """Tokens that came when nobody waited for them, whichever filer gave them (L3)."""

    def __init__(self) -> None:
        self._heirs: dict[tuple[str, str], str] = {}
        self._under_way: Counter[tuple[str, str]] = Counter()

    def newest(self, key: str, token: str) -> str:
        """Return the token that took the place of one, or itself."""
        while (heir := self._heirs.get((key, token))) is not None:
            token = heir
        return token

    def begin(self, operation: Lock) -> None:
        """Note a renewal that is under way."""
        self._under_way[operation.key, operation.token] += 1

    def end(self, operation: Lock, heir: str) -> None:
        """Note that it is over; `heir`: the token that it brought, empty where it brought none."""
        name = operation.key, operation.token
        self._under_way[name] -= 1
        if not self._under_way[name]:
            del self._under_way[name]
        if heir:
            self._heirs[name] = heir
            if len(self._heirs) > HEIRS_MAX:
                del self._heirs[next(iter(self._heirs))]

    def may_come(self, operation: Lock | Unlock) -> bool:
        """Say whether a renewal with the same token is under way."""
        return self._under_way[operation.key, operation.token] > 0


class FilerLink:
    """The calls to one filer.

    Args:
        target: gRPC address.
        heirs: shared by all filers of a client.
    """

    def __init__(self, target: str, heirs: Heirs) -> None:
        self.target = target
        self.problem = ""
        self.talking = False
        self._heirs = heirs
        self._channel: grpc.aio.Channel | None = None
        self._calls: set[asyncio.Task[Result]] = set()
        self._waiting: set[asyncio.Future[Result]] = set()
        self._pause_ms = PAUSE_MS_FIRST
        self._broken_until_ns = 0

    @property
    def usable(self) -> bool:
        """Say whether it is worth asking this filer now."""
        return self.talking or boot_ns() >= self._broken_until_ns

    def open(self) -> None:
        """Nothing is kept open: there is nothing that a filer tells unasked."""

    # --- asking --------------------------------------------------------------------------

    async def ask(self, operation: Operation, timeout_ms: int) -> Result:
        """Ask, and wait for the answer.

        Args:
            operation: Lock, Unlock or FindOwner, without a session; checked by the caller.
            timeout_ms: how long the filer may take.
        Raises:
            LinkProblem: no answer.
        """
        if not isinstance(operation, Lock | Unlock | FindOwner):
            raise LinkProblem(f"a SeaweedFS filer knows no {type(operation).__name__}")
        if len(self._calls) >= PENDING_MAX:
            raise LinkProblem(f"{PENDING_MAX} operations wait for {self.target} already")
        if not isinstance(operation, FindOwner):
            operation = replace(operation, token=self._heirs.newest(operation.key, operation.token))
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.add(answer)
        self._begin(operation, answer)
        try:
            async with asyncio.timeout(timeout_ms / 1_000):
                return await answer
        except TimeoutError:
            self._note("no answer in time: it hangs, is stopped, or waits for a filer that is")
            raise LinkProblem(f"{self.target} gave no answer in time") from None
        finally:
            self._waiting.discard(answer)

    def abandon(self, why: str) -> None:
        """Fail what waits for an answer: the filer has left the ring."""
        for answer in self._waiting:
            if not answer.done():
                answer.set_exception(LinkProblem(why))

    async def close(self) -> None:
        """End the calls. What waits fails."""
        self.abandon("this client was closed")
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        if self._channel is not None:
            await self._channel.close(None)
            self._channel = None

    # --- calls ---------------------------------------------------------------------------

    def _begin(self, operation: Lock | Unlock | FindOwner, answer: asyncio.Future[Result]) -> None:
        """Call, and bring the answer to whoever waits; to nobody, see that it does no harm (L2, L3)."""
        renewal = operation if isinstance(operation, Lock) and operation.token else None
        if renewal is not None:
            self._heirs.begin(renewal)
        call = asyncio.get_running_loop().create_task(self._call(operation))
        self._calls.add(call)

        def done(_: asyncio.Task[Result]) -> None:
            self._calls.discard(call)
            error = None if call.cancelled() else call.exception()
            result = None if call.cancelled() or error else call.result()
            waited_for = not answer.done()
            if renewal is not None:
                late = isinstance(result, Granted) and not waited_for
                self._heirs.end(renewal, result.token if late and isinstance(result, Granted) else "")
            if not waited_for:
                self._undo(operation, result)
            elif result is None:
                answer.set_exception(LinkProblem(f"{self.target}: {error or 'the call was ended here'}"))
            elif self._settles_nothing(operation, result):
                answer.set_exception(LinkProblem("a renewal before this one has no answer yet"))
            else:
                answer.set_result(result)

        call.add_done_callback(done)

    def _settles_nothing(self, operation: Lock | Unlock | FindOwner, result: Result) -> bool:
        """Say whether it is a refusal of a token that another call under way may have replaced (L3)."""
        mismatch = isinstance(result, Refused) and result.code is Code.TOKEN_MISMATCH
        return mismatch and not isinstance(operation, FindOwner) and self._heirs.may_come(operation)

    def _undo(self, operation: Lock | Unlock | FindOwner, result: Result | None) -> None:
        """Give back a lock that came when nobody waited for it any more (L2)."""
        if isinstance(operation, Lock) and not operation.token and isinstance(result, Granted) and self._channel:
            nobody: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
            nobody.cancel()
            self._begin(Unlock(operation.key, result.token), nobody)

    async def _call(self, operation: Lock | Unlock | FindOwner) -> Result:
        """Call once.

        Raises:
            LinkProblem: no answer that can be read.
        """
        try:
            result = await self._answer_to(operation)
        except (grpc.RpcError, CodecError) as error:
            self._note(describe(error))
            raise LinkProblem(self.problem) from None
        self.talking, self.problem = True, ""
        self._pause_ms, self._broken_until_ns = PAUSE_MS_FIRST, 0
        return result

    async def _answer_to(self, operation: Lock | Unlock | FindOwner) -> Result:
        if isinstance(operation, Lock):
            return decode_lock_answer(await self._unary(LOCK, encode_lock(operation)), operation)
        if isinstance(operation, Unlock):
            return decode_unlock_answer(await self._unary(UNLOCK, encode_unlock(operation)))
        try:
            owner = decode_find_answer(await self._unary(FIND, encode_find(operation)))
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            return Refused(Code.NOT_FOUND, f"nobody holds the lock {operation.key!r}")
        return OwnerIs(owner, generation=0, remaining_ms=0)

    async def _unary(self, method: str, data: bytes) -> bytes:
        if self._channel is None:
            self._channel = grpc.aio.insecure_channel(self.target, options=CHANNEL_OPTIONS)
        opener: Any = self._channel.unary_unary  # bytes to bytes; its stub wants codecs
        answer: bytes = await opener(method)(data, timeout=CALL_S)
        return answer

    def _note(self, problem: str) -> None:
        """Remember why it is silent, and for how long it is left alone."""
        self.talking, self.problem = False, problem
        self._broken_until_ns = boot_ns() + self._pause_ms * NS_PER_MS
        self._pause_ms = min(self._pause_ms * 2, PAUSE_MS_MAX)
