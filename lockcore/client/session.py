"""A client's session: one lease for everything that a program holds through it.

One keep-alive renews all locks and ranges of the session, however many, at
every node. Where a keep-alive is late, or the last stream breaks, holders are
told at once (SUSPENDED); when the lease ends, for good (LOST).

Invariants
  S3  Whoever holds something is told of SUSPENDED when it begins, and of LOST
      once; what waits for an answer of a lost session ends then.
  S4  After `close` and after a loss nothing runs on, and the client forgets
      the session.
  S5  A process that was forked off holds nothing.
Elsewhere: until when it lasts (sessionlease), locks (sessionlock), ranges
(ranges), nodes' side (core.keeping).
"""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from itertools import count
from secrets import randbits
from typing import TYPE_CHECKING, Final, Protocol

from lockcore.client.callbacks import keep_running, run_callback
from lockcore.client.calls import WAIT_ATTEMPT_MS, call
from lockcore.client.clock import Alarm, boot_ns
from lockcore.client.healer import Healer
from lockcore.client.live import unavailable
from lockcore.client.ranges import Ranges
from lockcore.client.sessionlease import SessionLease, SessionState
from lockcore.client.sessionlock import SessionLock
from lockcore.client.takeover import TakenOver, Taking, take_over
from lockcore.core.limits import NS_PER_MS, WAIT_MS_MAX
from lockcore.core.operations import (
    Code,
    EndSession,
    OpenSession,
    Operation,
    Refused,
    SessionIs,
    SessionProof,
)
from lockcore.errors import LockError, SessionLost

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType
    from typing import Any, Self, TypeVar

    from lockcore.client.belief import Belief
    from lockcore.client.client import LockClient
    from lockcore.client.machine import Answer
    from lockcore.core.operations import HeldRange

    T = TypeVar("T")

__all__ = ["Session", "SessionState"]

END_MS: Final = 2_000
LAPSED_TEXT: Final = "its lease ended before a keep-alive was answered"

log = logging.getLogger(__name__)


class Held(Protocol):
    """What is told when the session is lost."""

    def session_lost(self, reason: str) -> None: ...


class Session:
    """Made by `LockClient.session`. `async with` it, or `open` and `close` it.

    Args:
        client: the client whose streams it uses.
        label: what people see, in the page and in refusals.
        ttl_ms: how long everything stays held when this program is gone.
        on_state: called with the session at each change of `state`; may be a coroutine function.
    """

    def __init__(
        self, client: LockClient, label: str, ttl_ms: int, on_state: Callable[[Session], object] | None = None
    ) -> None:
        self.client = client
        self.label = label
        self.ttl_ms = ttl_ms
        self.undoing: dict[asyncio.Task[None], tuple[str, str]] = {}
        self.taking: dict[SessionProof, Taking] = {}
        self._on_state = on_state
        self._proof: SessionProof | None = None
        self._lease = SessionLease(ttl_ms)
        self._told = SessionState.CONNECTED
        self._ops = count(1 + randbits(48))
        self._healer = Healer(self)
        self._background: set[asyncio.Task[Any]] = set()
        self._held: dict[Held, None] = {}
        self._asking: set[asyncio.Timeout] = set()
        self._opening = False
        self._keeper: asyncio.Task[None] | None = None
        self._nudge = asyncio.Event()
        self._alarm: Alarm | None = None
        self._pid = os.getpid()

    def __repr__(self) -> str:
        return f"<Session {self.label!r} {self.state.value if self._proof else 'new'}>"

    # --- what it is -------------------------------------------------------------------------

    @property
    def proof(self) -> SessionProof:
        """What proves to be this session, for a successor (`take_over`). Keep it secret.

        Raises:
            LockError: it was not opened yet.
        """
        if self._proof is None:
            raise LockError("this session was not opened yet; `async with` it, or await `open()`")
        return self._proof

    @property
    def id(self) -> str:
        """The session's name, for people."""
        return self.proof.id

    @property
    def state(self) -> SessionState:
        """Say what may be relied on at this very moment."""
        return SessionState.LOST if os.getpid() != self._pid else self._lease.state(boot_ns())

    @property
    def held_until_ns(self) -> int:
        """Until when, on CLOCK_BOOTTIME, all is held unless a keep-alive is answered; 0 when lost."""
        return 0 if self.state is SessionState.LOST else self._lease.until_ns

    @property
    def is_alive(self) -> bool:
        """Say whether what is held through it is held at this very moment."""
        return self._proof is not None and self.state is not SessionState.LOST

    @property
    def loss_reason(self) -> str:
        """Why it is over, for people; empty while it is not."""
        return self._lease.over

    # --- opening and closing --------------------------------------------------------------------

    async def open(self, again: SessionProof | None = None) -> Self:
        """Open it; `again`: a lost one whose id it is to have.

        Raises:
            ClusterUnavailable: no node settled it in time.
            SessionLost: the proof of the old one is wrong.
            LockError: it was opened before, or its client is closed.
        """
        self.client.refuse_if_closed()
        if self._opening:
            raise LockError("this session was opened before; ask the client for a new one")
        self._opening = True
        answer = await self.call(OpenSession(self.label, self.ttl_ms, again), self.client.timeout_ms)
        if not isinstance(answer.result, SessionIs):
            self._opening = False
            raise self.error_of(answer)
        self.client.adopt_session(self)
        self._proof = answer.result.session
        self.client.pool.on_silence.add(self._fall_silent)
        self.client.pool.on_settled.add(self._healer.note_settled)
        self.extend(answer.sent_ns)
        self._keeper = keep_running(self._keep())
        return self

    async def close(self) -> None:
        """End it: everything it holds is released at once, every place in a queue is left."""
        proof, alive = self._proof, self.is_alive
        self._told = SessionState.LOST  # it is no loss: nobody is told
        self._held.clear()
        self._finish("it was closed")
        if self._keeper is not None:
            await asyncio.gather(self._keeper, return_exceptions=True)
        if alive and proof is not None:
            await self.call(EndSession(proof), END_MS)
        await asyncio.gather(*self.undoing, return_exceptions=True)

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    # --- what it is for ----------------------------------------------------------------------------

    def lock(
        self,
        key: str,
        *,
        wait: float | None = None,
        owner: str | None = None,
        lock_delay: float = 0.0,
        on_lost: Callable[[SessionLock], object] | None = None,
    ) -> SessionLock:
        """Return a named lock to be entered; see `SessionLock`."""
        return SessionLock(self, key, wait=wait, owner=owner, lock_delay=lock_delay, on_lost=on_lost)

    def ranges(self, key: str, *, on_lost: Callable[[HeldRange], object] | None = None) -> Ranges:
        """Return the byte ranges of a key; see `Ranges`.

        Args:
            key: 1 to 4,096 bytes of UTF-8.
            on_lost: called with each piece that was held and is not any more, unless it was unlocked.
        """
        return Ranges(self, key, on_lost)

    async def take_over(self, old: SessionProof) -> TakenOver:
        """Take over, key by key and each at once, all that another session holds (SETLK_MIGRATE).

        Returns:
            What was held without a break, and what was lost before.
        Raises:
            ClusterUnavailable: some node did not answer in time; call again, what was moved is not moved twice.
            SessionLost: this session is over, or the proof is wrong.
        """
        return await take_over(self, old)

    def next_op(self) -> int:
        """Return a number unlike others, also of other sessions: a take-over gives their places to this one."""
        return next(self._ops)

    async def ask(self, operation: Operation, timeout_ms: int | None, *, waits: bool = False) -> Answer:
        """Ask until it is settled or the time is up; None: as long as the session lives.

        Raises:
            SessionLost: the session was over before, or ended meanwhile.
            LockError: the client is closed, or it was another process that opened the session.
        """
        if os.getpid() != self._pid:
            raise LockError("this session belongs to the process that forked this one; open another here")
        self.refuse_if_over()
        self.client.refuse_if_closed()
        operation, answer = self.belief.begin(operation), None
        try:
            async with asyncio.timeout(None) as until_the_end:
                self._asking.add(until_the_end)
                try:
                    answer = await self.call(operation, timeout_ms, waits=waits)
                    return answer
                finally:
                    self._asking.discard(until_the_end)
                    self.belief.finish(operation, answer.result if answer is not None else None)
        except TimeoutError:
            raise self._lost_error() from None

    async def call(self, operation: Operation, timeout_ms: int | None, *, waits: bool = False) -> Answer:
        """Ask, whatever has become of the session."""
        timeout_ns = (WAIT_MS_MAX if timeout_ms is None else timeout_ms) * NS_PER_MS
        route = self.client.route(operation.key or (self._proof.id if self._proof else self.label))
        attempt = {"attempt_ms": WAIT_ATTEMPT_MS} if waits else {}
        return await call(self.client.pool, route, operation, boot_ns() + timeout_ns, **attempt)

    def undo(self, operation: Operation, lock_owner: str = "") -> asyncio.Task[None]:
        """Ask in the background until it is settled or the session is over: nobody is to hold what nobody wants."""
        task = keep_running(self._undo(operation))
        self.undoing[task] = (operation.key, lock_owner)
        task.add_done_callback(self.undoing.pop)
        return task

    async def _undo(self, operation: Operation) -> None:
        with suppress(LockError):
            await self.ask(operation, None)

    def refuse_if_over(self) -> None:
        """Raise SessionLost where nothing is held through it any more."""
        if self.state is SessionState.LOST:
            self._look()
            raise self._lost_error()

    def _lost_error(self) -> SessionLost:
        return SessionLost(f"the session {self.label!r} is over: {self._lease.over}; open another")

    def error_of(self, answer: Answer) -> LockError:
        """Return the error for an answer that is not what was hoped for; note a loss."""
        result = answer.result
        if isinstance(result, Refused) and result.code is Code.SESSION_LOST:
            if self._proof is None:
                return SessionLost(result.text)
            self._lose(result.text)
            return self._lost_error()
        if isinstance(result, Refused):
            return LockError(result.text)
        return unavailable(answer.text)

    # --- what it holds ---------------------------------------------------------------------------------

    def adopt(self, held: Held) -> None:
        """Tell this one when the session is lost."""
        self._held[held] = None

    def forget(self, held: Held) -> None:
        """Tell it no more."""
        self._held.pop(held, None)

    @property
    def belief(self) -> Belief:
        """What it believes to hold."""
        return self._healer.belief

    def holders(self) -> list[Held]:
        """Return whom to tell of a loss."""
        return list(self._held)

    def background(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run something until it is done or the session is over."""
        task = keep_running(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    # --- keeping it alive ----------------------------------------------------------------------------------

    async def _keep(self) -> None:
        while not self._lease.over:
            alarm = self.client.timers.call_at(self._lease.due_ns, self._nudge.set)
            await self._nudge.wait()
            alarm.cancel()
            self._nudge.clear()
            if boot_ns() < self._lease.due_ns:
                continue
            left_ms = max(1, (self._lease.until_ns - boot_ns()) // NS_PER_MS)
            self.take_keep_alive(await self._healer.keep_alive(left_ms))

    def take_keep_alive(self, answer: Answer) -> None:
        """Take the answer to a keep-alive."""
        if isinstance(answer.result, SessionIs):
            self.extend(answer.sent_ns)
        elif isinstance(answer.result, Refused):
            self._lose(answer.result.text)
        else:
            self._look()

    def extend(self, sent_ns: int) -> None:
        """Hold on for another lease, counted from when this keep-alive was sent."""
        self._lease.extend(sent_ns, boot_ns())
        self._look()

    def _fall_silent(self) -> None:
        """Ask at once whether anybody is there: the last stream has broken."""
        self._lease.fall_silent(boot_ns())
        self._nudge.set()
        self._look()

    def _look(self) -> None:
        """Tell a change of state, and look again when the next one may come (S3)."""
        now_ns = boot_ns()
        state = self._lease.state(now_ns)
        if state is SessionState.LOST:
            self._lose(LAPSED_TEXT)
            return
        if state is not self._told:
            self._told = state
            log.info("session %r is %s", self.label, state.value)
            run_callback(self._on_state, self)
        if self._alarm is not None:
            self._alarm.cancel()
        if not self._lease.over:  # a callback may have closed it
            self._alarm = self.client.timers.call_at(self._lease.changes_ns(now_ns), self._look)

    def _lose(self, reason: str) -> None:
        """Tell everybody, once; end what waits."""
        if self._lease.over:
            return
        held = list(self._held)
        self._held.clear()
        self._finish(reason)
        log.info("session %r is lost: %s", self.label, reason)
        if self._told is not SessionState.LOST:
            self._told = SessionState.LOST
            run_callback(self._on_state, self)
        for one in held:
            one.session_lost(reason)

    def _finish(self, reason: str) -> None:
        """Be over: nothing runs on (S4)."""
        self._lease.over = self._lease.over or reason
        if self._alarm is not None:
            self._alarm.cancel()
        if self._keeper is not None and self._keeper is not asyncio.current_task():
            self._keeper.cancel()
        for asked in list(self._asking):
            asked.reschedule(0.0)
        self.client.pool.on_silence.discard(self._fall_silent)
        self.client.pool.on_settled.discard(self._healer.note_settled)
        for task in self._background - {asyncio.current_task()}:
            task.cancel()
        self.client.forget_session(self)
