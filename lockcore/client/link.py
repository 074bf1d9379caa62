"""One stream to one node: many operations in one message, answers by number.

Operations handed in during one turn of the loop, or while a write is under
way, leave as one ClientBatch. The stream opens at the first need, and after
it broke not before a short pause.

Invariants
  L1  Every question gets an answer or a LinkProblem, at the latest when its
      time is up or the stream breaks.
  L2  A lock that is granted to nobody (whoever asked has gone) is unlocked.
  L3  Waiting questions are bounded; what is more is refused at once.
Elsewhere: which node to ask (route), what to do with a problem (calls).
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio

from lockcore.client.clock import boot_ns
from lockcore.core.limits import NS_PER_MS, REQUEST_TIMEOUT_MS
from lockcore.core.operations import Granted, Lock, Operation, Result, Unlock
from lockcore.wire.codec import (
    MESSAGE_BYTES_MAX,
    OPS_PER_BATCH_MAX,
    Call,
    CodecError,
    ViewState,
    decode_server_batch,
    encode_client_batch,
)
from lockcore.wire.methods import CONVERSE

if TYPE_CHECKING:
    from collections.abc import Callable

PENDING_MAX: Final = 20_000
BATCH_BYTES_MAX: Final = 1 << 20
"""Far below MESSAGE_BYTES_MAX: a message this long already costs nothing per operation."""
ANSWER_SLACK_MS: Final = 100
"""A node answers by itself when the time it was given is up; so much later we stop listening."""
PAUSE_MS_FIRST: Final = 50
PAUSE_MS_MAX: Final = 1_000
RECONNECT_MS: Final = 50
CROWD: Final = 8
BUSY_S: Final = 0.02
GATHER_SHARE: Final = 4
GATHER_S_MAX: Final = 0.005
"""Where CROWD others wait and one was answered within BUSY_S, operations are gathered into one message for a quarter of
what an answer took lately, at most so long: a message costs some ten times what an operation in it does."""
BRISK_MS: Final = 1_000
"""What may take longer stands in a queue: the time it takes says nothing about the node."""
OPTIONS: Final = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.initial_reconnect_backoff_ms", RECONNECT_MS),
    ("grpc.min_reconnect_backoff_ms", RECONNECT_MS),
    ("grpc.max_reconnect_backoff_ms", PAUSE_MS_MAX),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
)

log = logging.getLogger(__name__)


class LinkProblem(Exception):  # noqa: N818 - never reaches a user
    """A node gave no answer; the text says why. The outcome is unknown."""


@dataclass(slots=True)
class _Question:
    operation: Operation
    answer: asyncio.Future[Result]
    asked_s: float = 0.0
    brisk: bool = False
    timer: asyncio.TimerHandle | None = None
    late: bool = False


class Link:
    """The conversation with one node.

    Args:
        target: gRPC address.
        on_view: told each view that the node sends.
        on_break: called when the conversation has ended.
    """

    def __init__(
        self, target: str, on_view: Callable[[ViewState], None], on_break: Callable[[], None] = lambda: None
    ) -> None:
        self.target = target
        self.problem = ""
        self.talking = False
        self._on_view = on_view
        self._on_break = on_break
        self._questions: dict[int, _Question] = {}
        self._queue: list[Call] = []
        self._last_id = 0
        self._wanted = asyncio.Event()
        self._heard_at_s = 0.0
        self._took_s = 0.0
        self._task: asyncio.Task[None] | None = None
        self._channel: grpc.aio.Channel | None = None
        self._pause_ms = PAUSE_MS_FIRST
        self._broken_until_ns = 0

    @property
    def usable(self) -> bool:
        """Say whether it is worth asking this node now."""
        return self._task is not None or boot_ns() >= self._broken_until_ns

    # --- asking --------------------------------------------------------------------------

    async def ask(self, operation: Operation, timeout_ms: int) -> Result:
        """Ask, and wait for the answer.

        Args:
            operation: checked by the caller.
            timeout_ms: how long the node may take.
        Raises:
            LinkProblem: no answer.
        """
        if len(self._questions) >= PENDING_MAX:
            raise LinkProblem(f"{PENDING_MAX} operations wait for {self.target} already")
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._submit(operation, timeout_ms, answer)
        return await answer

    def open(self) -> None:
        """Open the stream, for the views that it brings."""
        if self._task is None:
            self._task = asyncio.create_task(self._converse())

    def abandon(self, why: str) -> None:
        """Fail what waits for an answer: the node has left the ring."""
        for question in list(self._questions.values()):
            self._fail(question, why)

    async def close(self) -> None:
        """End the stream. What waits fails."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._channel is not None:
            await self._channel.close(None)
            self._channel = None

    def _submit(self, operation: Operation, timeout_ms: int, answer: asyncio.Future[Result]) -> None:
        self._last_id += 1
        number = self._last_id
        question = _Question(operation, answer, asyncio.get_running_loop().time(), timeout_ms <= BRISK_MS)
        limit_s = (timeout_ms + ANSWER_SLACK_MS) / 1_000
        question.timer = asyncio.get_running_loop().call_later(limit_s, self._expire, number)
        self._questions[number] = question
        self._queue.append(Call(number, operation, timeout_ms))
        self._wanted.set()
        self.open()

    def _expire(self, number: int) -> None:
        """Stop waiting, but know the question still: a late grant must be undone (L2)."""
        question = self._questions.get(number)
        if question is None:
            return
        if question.late:
            del self._questions[number]
            return
        self._fail(question, f"{self.target} gave no answer in time")
        question.late = True
        limit_s = REQUEST_TIMEOUT_MS / 1_000
        question.timer = asyncio.get_running_loop().call_later(limit_s, self._expire, number)

    @staticmethod
    def _fail(question: _Question, why: str) -> None:
        if not question.answer.done():
            question.answer.set_exception(LinkProblem(why))

    # --- the stream ------------------------------------------------------------------------

    async def _converse(self) -> None:
        """Open the stream, speak and listen until it breaks."""
        problem = "the conversation was ended here"
        try:
            problem = await self._speak_and_listen()
        except (grpc.RpcError, grpc.aio.UsageError, asyncio.InvalidStateError, CodecError) as error:
            problem = describe(error)
        finally:
            self._break(problem)

    async def _speak_and_listen(self) -> str:
        if self._channel is None:
            self._channel = grpc.aio.insecure_channel(self.target, options=OPTIONS)
        opener: Any = self._channel.stream_stream  # its stubs want serializers and an iterator that it does not need
        stream = opener(CONVERSE)()
        speaker = asyncio.create_task(self._speak(stream))
        speaker.add_done_callback(lambda _: stream.cancel())
        try:
            while isinstance(data := await stream.read(), bytes):
                self._hear(data)
            # The stream ended in order, or says why it did not.
            return f"{self.target} ended the conversation ({(await stream.code()).name.lower()})"
        finally:
            speaker.cancel()
            stream.cancel()
            await asyncio.gather(speaker, return_exceptions=True)

    async def _speak(self, stream: Any) -> None:
        while True:
            await self._wanted.wait()  # goes on in the next turn: everybody of this one has come along
            self._wanted.clear()
            await self._gather()
            while batch := self._take_batch():
                try:
                    await stream.write(encode_client_batch(batch))
                except CodecError as error:
                    log.warning("operations could not be sent to %s: %s", self.target, error)
                    for call in batch:
                        self._fail(self._questions[call.id], str(error))

    async def _gather(self) -> None:
        """Where answers come thick and fast, let more operations come along."""
        quiet_s = asyncio.get_running_loop().time() - self._heard_at_s
        if len(self._questions) - len(self._queue) >= CROWD and quiet_s < BUSY_S:
            await asyncio.sleep(min(self._took_s / GATHER_SHARE, GATHER_S_MAX))

    def _take_batch(self) -> list[Call]:
        """Take what fits into one message, without what nobody waits for."""
        batch: list[Call] = []
        room = BATCH_BYTES_MAX
        taken = 0
        for call in self._queue:
            if room <= 0 or len(batch) >= OPS_PER_BATCH_MAX:
                break
            taken += 1
            question = self._questions.get(call.id)
            if question is None or question.answer.done():
                self._forget(call.id)  # never sent: nothing to undo
                continue
            batch.append(call)
            room -= _size_of(call.operation)
        del self._queue[:taken]
        return batch

    def _hear(self, data: bytes) -> None:
        message = decode_server_batch(data)
        self.talking = True
        self._heard_at_s = asyncio.get_running_loop().time()
        self._pause_ms = PAUSE_MS_FIRST
        if message.view is not None:
            self._on_view(message.view)
        for number, result in message.results:
            question = self._forget(number)
            if question is None:
                continue
            if question.brisk:
                self._took_s += (self._heard_at_s - question.asked_s - self._took_s) / 8
            if not question.answer.done():
                question.answer.set_result(result)
            else:
                self._undo(question.operation, result)

    def _forget(self, number: int) -> _Question | None:
        question = self._questions.pop(number, None)
        if question is not None and question.timer is not None:
            question.timer.cancel()
        return question

    def _undo(self, operation: Operation, result: Result) -> None:
        """Give back a lock that came when nobody waited for it any more (L2).

        What was asked in a session is asked again by its op_id, or given up by it: that is for the session to say.
        """
        if not isinstance(operation, Lock) or operation.session is not None:
            return
        if not operation.token and isinstance(result, Granted):
            answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
            answer.add_done_callback(_look_at)
            self._submit(Unlock(operation.key, result.token), REQUEST_TIMEOUT_MS, answer)

    def _break(self, problem: str) -> None:
        """Answer everybody, and pause before the next stream (L1)."""
        self.problem = problem
        self.talking = False
        self._task = None
        self._queue.clear()
        questions, self._questions = self._questions, {}
        for question in questions.values():
            if question.timer is not None:
                question.timer.cancel()
            self._fail(question, problem)
        self._broken_until_ns = boot_ns() + self._pause_ms * NS_PER_MS
        self._pause_ms = min(self._pause_ms * 2, PAUSE_MS_MAX)
        self._on_break()


def describe(error: BaseException) -> str:
    """Return what a broken stream means to a person."""
    if isinstance(error, grpc.aio.AioRpcError):
        code, details = error.code(), (error.details() or "").split("\n")[0]
        if code is grpc.StatusCode.UNIMPLEMENTED:
            return "there is no lock node at this address (a master or another service answered)"
        if code is grpc.StatusCode.UNAVAILABLE and "refused" in details.lower():
            return "connection refused"
        return f"{code.name.lower()}: {details[:200]}"
    return str(error)[:200] or type(error).__name__


def _look_at(future: asyncio.Future[Result]) -> None:
    """Whether the undoing worked matters to nobody: the lease ends by itself."""
    if not future.cancelled():
        future.exception()


def _size_of(operation: Operation) -> int:
    """Return an upper bound of the bytes an operation takes in a message."""
    texts = [getattr(operation, name, None) or "" for name in ("key", "token", "owner", "label", "lock_owner")]
    proofs = sum(getattr(operation, name, None) is not None for name in ("session", "old", "again"))
    return 64 + 256 * proofs + sum(len(text) if text.isascii() else 4 * len(text) for text in texts)
