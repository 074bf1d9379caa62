"""A named lock held through a session: a place in a fair queue, then the lock.

First come, first served: the grant is pushed to the first that waits. A
reply that got lost costs nothing, for the operation is asked again by its
number and answered, not done twice.

Invariants
  K1  What nobody wants any more (released, given up, cancelled) is asked to be
      let go of until a node has said so, or the session is over.
Elsewhere: the session's lease (session), single leases (live).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from lockcore.client import check
from lockcore.client.callbacks import run_callback
from lockcore.client.clock import boot_ns
from lockcore.core.operations import Code, Granted, Lock, Refused, Unlock
from lockcore.errors import LockError, LockLost, NotAcquired

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from lockcore.client.machine import Answer
    from lockcore.client.session import Session

RELEASE_S: Final = 2.0
"""So long a release waits for its answer; asking goes on in the background."""
log = logging.getLogger(__name__)


class SessionLock:
    """Made by `Session.lock`. `async with` it, or `acquire` and `release`.

    Args:
        session: an open session.
        key: 1 to 4,096 bytes of UTF-8.
        wait: seconds to queue; None: as long as the session lives; 0: not at all.
        owner: what others see; the session's label by default.
        lock_delay: seconds for which nobody gets the lock after this session was lost while holding it.
        on_lost: called with the lock when it was held and is not any more, unless it was released.
    """

    def __init__(  # noqa: PLR0913 - one key and named choices
        self,
        session: Session,
        key: str,
        *,
        wait: float | None = None,
        owner: str | None = None,
        lock_delay: float = 0.0,
        on_lost: Callable[[SessionLock], object] | None = None,
    ) -> None:
        self.session = session
        self.key = check.key_of(key)
        self.owner = check.owner_of(session.label if owner is None else owner)
        self.generation = 0
        self.lost = asyncio.Event()
        self.loss_reason = ""
        self._wait_ms = check.session_wait_ms_of(wait)
        self._delay_ms = check.lock_delay_ms_of(lock_delay)
        self.on_lost = on_lost
        self._op_id = 0
        self._holds = False

    def __repr__(self) -> str:
        return f"<SessionLock {self.key!r} {'held' if self.is_locked else 'not held'}>"

    @property
    def is_locked(self) -> bool:
        """Say whether the lock is held at this very moment."""
        return self._holds and self.session.is_alive

    async def acquire(self) -> Self:
        """Wait for its turn.

        Raises:
            NotAcquired: another holds it, and the time to wait is over.
            SessionLost: the session is over.
            ClusterUnavailable: no node settled the question in time.
        """
        if self._op_id:
            raise LockError(f"this object has had the lock {self.key!r} once; ask the session for a new one")
        proof = self.session.proof
        self._op_id = self.session.next_op()
        wait_ms, patience_ms = self._wait_ms, self.session.client.timeout_ms
        operation = Lock(self.key, self.session.ttl_ms, self.owner, "", proof, self._op_id, wait_ms, self._delay_ms)
        try:
            timeout_ms = None if wait_ms is None else wait_ms + patience_ms
            answer = await self.session.ask(operation, timeout_ms, waits=wait_ms != 0)
        except asyncio.CancelledError:
            self._give_up()
            raise
        if isinstance(answer.result, Granted):
            self.session.refuse_if_over()
            return self.adopt_grant(answer.result.generation, self._op_id)
        self._give_up()
        raise self._refusal(answer)

    def _refusal(self, answer: Answer) -> LockError:
        result = answer.result
        if not isinstance(result, Refused) or result.code not in {Code.HELD, Code.RECOVERING}:
            return self.session.error_of(answer)
        holder = f"held by {result.owner!r}" if result.owner else f"not free ({result.text})"
        text = f"the lock {self.key!r} is {holder}; wait longer, or try again later"
        return NotAcquired(text, key=self.key, owner=result.owner)

    def adopt_grant(self, generation: int, op_id: int) -> Self:
        """Be the lock that a migration brought."""
        self.generation, self._op_id, self._holds = generation, op_id, True
        self.session.adopt(self)
        return self

    async def release(self) -> None:
        """Unlock, and wait for it a while. Never raises for a lock that is gone."""
        held, self._holds = self._holds, False
        self.session.forget(self)
        if not held or not self.session.is_alive:
            return
        try:
            answer = await self.session.ask(self._unlock(), round(RELEASE_S * 1_000))
        except LockError:
            return  # the session is over, and with it the lock
        except asyncio.CancelledError:
            self._give_up()
            raise
        if answer.result is None:
            self._give_up()

    def _unlock(self) -> Unlock:
        return Unlock(self.key, "", self.session.proof, self._op_id)

    def _give_up(self) -> asyncio.Task[None] | None:
        """Let go of what this acquisition got, held or waiting (K1)."""
        if not self.session.is_alive:
            return None
        return self.session.undo(self._unlock())

    def check(self) -> None:
        """Raise if the lock is not held now.

        Raises:
            LockLost: it was held and is not any more.
        """
        if not self.is_locked:
            why = f": {self.loss_reason}" if self.loss_reason else ""
            text = f"the lock {self.key!r} is not held{why}; undo or check what you did under it, then take it again"
            raise LockLost(text, key=self.key, generation=self.generation)

    def session_lost(self, reason: str) -> None:
        """Note that it is lost with its session."""
        self._holds = False
        self.loss_reason = reason
        self.lost.set()
        log.info("lost the lock %r (generation %d) with its session: %s", self.key, self.generation, reason)
        run_callback(self.on_lost, self)

    async def __aenter__(self) -> Self:
        return await self.acquire()

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.release()

    @property
    def held_for_ns(self) -> int:
        """How long it is held still unless the session is extended."""
        return max(0, self.session.held_until_ns - boot_ns()) if self.is_locked else 0
