"""A client's session: one lease for everything that a program holds through it.

One keep-alive renews all locks and ranges of the session, however many, at
every node. The session's end is counted from before the last keep-alive that
was answered was sent, so its holder lets go before any node does.

    CONNECTED --a keep-alive is late--> SUSPENDED --the lease ends--> LOST
        ^-------- it is answered -----------'

Invariants
  S1  `state` is computed from the clock at each read: right also when this
      process was stopped, or its loop is busy.
  S2  LOST is for ever: nothing is held through the session any more, and
      each of its locks is told once.
  S3  Whoever holds something is told of SUSPENDED at once.
Elsewhere: locks (sessionlock), ranges (ranges), nodes' side (core.keeping).
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from enum import StrEnum
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Protocol

from lockcore.client.calls import call
from lockcore.client.clock import Alarm, boot_ns
from lockcore.client.live import unavailable
from lockcore.client.machine import MARGIN_MS, MARGIN_SHARE
from lockcore.client.ranges import Ranges
from lockcore.client.sessionlock import SessionLock
from lockcore.client.takeover import TakenOver, take_over
from lockcore.core.limits import NS_PER_MS, NS_PER_S, WAIT_MS_MAX
from lockcore.core.operations import (
    Code,
    EndSession,
    KeepAlive,
    OpenSession,
    Operation,
    Refused,
    SessionIs,
    SessionProof,
)
from lockcore.errors import LockError, SessionLost

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from lockcore.client.client import LockClient
    from lockcore.client.machine import Answer

KEEP_SHARE: Final = 3
"""A keep-alive when a third of the lease has gone: two more fit in."""
END_MS: Final = 2_000
WAIT_ATTEMPT_MS: Final = 30_000
"""A place in a queue is asked after again so often, should an answer have been lost."""

log = logging.getLogger(__name__)
_running: Final[set[asyncio.Task[Any]]] = set()


class SessionState(StrEnum):
    """What a program may rely on."""

    CONNECTED = "connected"
    SUSPENDED = "suspended"  # no answer for a while: what is held is held until `held_until_ns`, and perhaps not longer
    LOST = "lost"


class Held(Protocol):
    """What is told when the session is lost."""

    def session_lost(self, reason: str) -> None: ...  # noqa: D102


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
        self._on_state = on_state
        self._proof: SessionProof | None = None
        self._until_ns = 0
        self._asked_ns = 0
        self._over = ""
        self._told = SessionState.CONNECTED
        self._ops = count(1)
        self._held: dict[Held, None] = {}
        self._keeper: asyncio.Task[None] | None = None
        self._alarm: Alarm | None = None

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
        """Say what may be relied on at this very moment (S1)."""
        now_ns = boot_ns()
        if self._over or (self._proof is not None and now_ns >= self._until_ns):
            return SessionState.LOST
        late_ns = self._asked_ns + 2 * self._period_ns
        return SessionState.SUSPENDED if self._proof is not None and now_ns >= late_ns else SessionState.CONNECTED

    @property
    def held_until_ns(self) -> int:
        """Until when, on CLOCK_BOOTTIME, all is held unless a keep-alive is answered; 0 when lost."""
        return 0 if self._over else self._until_ns

    @property
    def is_alive(self) -> bool:
        """Say whether what is held through it is held at this very moment."""
        return self._proof is not None and self.state is not SessionState.LOST

    @property
    def _period_ns(self) -> int:
        return self.ttl_ms * NS_PER_MS // KEEP_SHARE

    # --- opening and closing --------------------------------------------------------------------

    async def open(self, again: SessionProof | None = None) -> Self:
        """Open it; `again`: a lost one whose id it is to have.

        Raises:
            ClusterUnavailable: no node settled it in time.
            SessionLost: the proof of the old one is wrong.
        """
        answer = await self.ask(OpenSession(self.label, self.ttl_ms, again), self.client.timeout_ms)
        if not isinstance(answer.result, SessionIs):
            raise self.error_of(answer)
        self._proof = answer.result.session
        self._extend(answer.sent_ns)
        self.client.adopt_session(self)
        self._keeper = asyncio.get_running_loop().create_task(self._keep())
        return self

    async def close(self) -> None:
        """End it: everything it holds is released at once, every place in a queue is left."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        if self._alarm is not None:
            self._alarm.cancel()
        if self._proof is not None and not self._over:
            self._over = "it was closed"
            await self.ask(EndSession(self._proof), END_MS)
        self.client.forget_session(self)
        for held in list(self._held):
            self.forget(held)

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

    def ranges(self, key: str) -> Ranges:
        """Return the byte ranges of a key; see `Ranges`."""
        return Ranges(self, key)

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
        """Return a number for an operation, unlike all others of this session."""
        return next(self._ops)

    async def ask(self, operation: Operation, timeout_ms: int | None, *, waits: bool = False) -> Answer:
        """Ask until it is settled or the time is up; None: as long as the session lives."""
        timeout_ns = (WAIT_MS_MAX if timeout_ms is None else timeout_ms) * NS_PER_MS
        route = self.client.route(operation.key or (self._proof.id if self._proof else self.label))
        attempt = {"attempt_ms": WAIT_ATTEMPT_MS} if waits else {}
        return await call(self.client.pool, route, operation, boot_ns() + timeout_ns, **attempt)

    def error_of(self, answer: Answer) -> LockError:
        """Return the error for an answer that is not what was hoped for; note a loss."""
        result = answer.result
        if isinstance(result, Refused) and result.code is Code.SESSION_LOST:
            self._lose(result.text)
            return SessionLost(f"the session {self.label!r} is over: {result.text}")
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

    # --- keeping it alive ----------------------------------------------------------------------------------

    async def _keep(self) -> None:
        while not self._over:
            due_ns = self._asked_ns + self._period_ns
            await asyncio.sleep(max(0.0, (due_ns - boot_ns()) / NS_PER_S))
            left_ms = max(1, (self._until_ns - boot_ns()) // NS_PER_MS)
            answer = await self.ask(KeepAlive(self.proof, self.ttl_ms, self.label), left_ms)
            if isinstance(answer.result, SessionIs) and answer.sent_ns < self._until_ns and not self._late():
                self._extend(answer.sent_ns)
            elif isinstance(answer.result, Refused) or self._late():
                text = answer.result.text if isinstance(answer.result, Refused) else answer.text
                self._lose(text or "its lease ended before a keep-alive was answered")

    def _late(self) -> bool:
        return boot_ns() >= self._until_ns

    def _extend(self, sent_ns: int) -> None:
        margin_ns = MARGIN_MS * NS_PER_MS + self.ttl_ms * NS_PER_MS // MARGIN_SHARE
        self._until_ns = max(self._until_ns, sent_ns + self.ttl_ms * NS_PER_MS - margin_ns)
        self._asked_ns = max(self._asked_ns, sent_ns)
        self._look()

    def _look(self) -> None:
        """Tell a change of state, and look again when the next one may come (S3)."""
        state = self.state
        if state is not self._told:
            self._told = state
            log.info("session %r is %s", self.label, state.value)
            self._call_back()
        if state is SessionState.LOST:
            self._lose("its lease ended before a keep-alive was answered")
            return
        if self._alarm is not None:
            self._alarm.cancel()
        suspends_ns = self._asked_ns + 2 * self._period_ns
        at_ns = self._until_ns if state is SessionState.SUSPENDED else min(suspends_ns, self._until_ns)
        self._alarm = self.client.timers.call_at(at_ns, self._look)

    def _lose(self, reason: str) -> None:
        if self._over:
            return
        self._over = reason
        if self._told is not SessionState.LOST:
            self._told = SessionState.LOST
            self._call_back()
        for held in list(self._held):
            self.forget(held)
            held.session_lost(reason)

    def _call_back(self) -> None:
        if self._on_state is not None:
            run_callback(self._on_state, self)


def run_callback(callback: Callable[[Any], object], argument: object) -> None:
    """Call a user's function; what it raises is logged and harms nothing."""
    try:
        outcome = callback(argument)
        if inspect.iscoroutine(outcome):
            task = asyncio.get_running_loop().create_task(_logged(outcome))
            _running.add(task)
            task.add_done_callback(_running.discard)
    except Exception:
        log.exception("a callback of a session failed")


async def _logged(outcome: Any) -> None:
    try:
        await outcome
    except Exception:
        log.exception("a callback of a session failed")
