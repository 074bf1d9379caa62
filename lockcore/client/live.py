"""A lock in the hands of a program: the machine with a clock, calls and callbacks.

Invariants
  V1  `is_locked` is computed from the clock at each read: it is right also
      when this process was stopped, or its loop is busy.
  V2  `on_lost` runs once per loss, at the latest when the lease ends, also
      while a renewal hangs. `lost` is set before it runs.
  V3  What a callback raises is logged and harms no lock.
Elsewhere: the rules (machine), asking (calls).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from lockcore.client.callbacks import run_callback
from lockcore.client.calls import call
from lockcore.client.clock import Alarm, boot_ns
from lockcore.client.machine import (
    Answer,
    Ask,
    CancelAsk,
    Effect,
    GaveUp,
    Got,
    LockMachine,
    Lost,
    Over,
    OwnerChanged,
    Phase,
    Terms,
)
from lockcore.client.pool import HINT
from lockcore.errors import ClusterUnavailable, InvalidRequest, LockError, LockLost, NotAcquired

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from lockcore.client.client import LockClient

log = logging.getLogger(__name__)


class LiveLock:
    """One lock: `async with` it, or `acquire` and `release`.

    Made by `LockClient.lock` and its neighbours. `lost` is an event that is
    set when the lock was held and is not any more, unless it was released.
    `on_hold`, where set, is called with `held_until_ns` at each change of it;
    it must not raise.
    """

    def __init__(
        self,
        client: LockClient,
        machine: LockMachine,
        *,
        on_lost: Callable[[LiveLock], object] | None = None,
        on_owner_change: Callable[[str], object] | None = None,
        raise_if_lost: bool = False,
    ) -> None:
        self._client = client
        self._machine = machine
        self._route = client.route(machine.terms.key)
        self._on_lost = on_lost
        self._on_owner_change = on_owner_change
        self._raise_if_lost = raise_if_lost
        self._asking: asyncio.Task[Answer] | None = None
        self._alarm: Alarm | None = None
        self._decided = asyncio.Event()
        self._over = asyncio.Event()
        self._failure: LockError | None = None
        self._loss: Lost | None = None
        self._got = False
        self.lost = asyncio.Event()
        self.on_hold: Callable[[int], object] | None = None
        self._told_until_ns = 0

    def __repr__(self) -> str:
        return f"<LiveLock {self.key!r} {'held' if self.is_locked else self._machine.phase.value}>"

    # --- what it is ------------------------------------------------------------------------

    @property
    def terms(self) -> Terms:
        """What was asked for."""
        return self._machine.terms

    @property
    def key(self) -> str:
        """The name of the lock."""
        return self._machine.terms.key

    @property
    def owner(self) -> str:
        """Who holds the lock, as far as this program has seen."""
        return self._machine.owner

    @property
    def generation(self) -> int:
        """The fencing token: higher than that of every earlier holder. 0 before the first grant."""
        return self._machine.generation

    @property
    def is_locked(self) -> bool:
        """Say whether the lock is held at this very moment (V1)."""
        return self._machine.held(boot_ns())

    @property
    def held_until_ns(self) -> int:
        """Until when, on CLOCK_BOOTTIME, it is held unless it is renewed; 0 while it is not held."""
        return self._machine.held_until_ns if self._machine.phase is Phase.HELD else 0

    @property
    def loss_reason(self) -> str:
        """Why it was lost, for people; empty where it was not."""
        return self._loss.reason if self._loss else ""

    # --- what to do with it -----------------------------------------------------------------

    async def acquire(self) -> Self:
        """Wait until it is held.

        Raises:
            NotAcquired: another holds it, and the time to wait is over.
            ClusterUnavailable: no node settled the question in time.
            LockError: it was released meanwhile, or this object was used before.
        """
        self.begin()
        try:
            await self._decided.wait()
        except BaseException:
            await self.release()
            raise
        if self._failure is not None:
            await self._over.wait()
            raise self._failure
        if not self._got:
            raise LockError(f"the lock {self.key!r} was released while it was being acquired")
        return self

    def begin(self) -> None:
        """Begin to want the lock; return at once."""
        if self._machine.phase is not Phase.NEW:
            raise LockError(f"this object has had the lock {self.key!r} once; ask the client for a new one")
        self._client.adopt(self)
        self._carry_out(self._machine.start(boot_ns()))

    async def release(self) -> None:
        """End the renewal, wait for it, then unlock with the token there is. Never raises for a lock that is gone."""
        self._carry_out(self._machine.stop(boot_ns()))
        await self._over.wait()

    async def stop(self) -> None:
        """Release; the name that lock_client.go has for long-lived locks."""
        await self.release()

    def check(self) -> None:
        """Raise if the lock is not held now.

        Raises:
            LockLost: it was held and is not any more.
        """
        if not self.is_locked:
            raise self._lost_error()

    async def __aenter__(self) -> Self:
        return await self.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.release()  # notes a lease that ended while this process slept as the loss it is
        if self._raise_if_lost and kind is None and self._loss is not None:
            raise self._lost_error()

    def _lost_error(self) -> LockLost:
        why = f": {self.loss_reason}" if self.loss_reason else ""
        text = f"the lock {self.key!r} is not held{why}; undo or check what you did under it, then take it again"
        return LockLost(text, key=self.key, generation=self.generation)

    # --- carrying out effects ----------------------------------------------------------------

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Ask():
                    self._asking = asyncio.get_running_loop().create_task(self._ask(effect))
                    self._asking.add_done_callback(self._asked)
                case CancelAsk() if self._asking is not None:
                    self._asking.cancel()
                case OwnerChanged(owner):
                    run_callback(self._on_owner_change, owner)
                case Lost():
                    self._note_loss(effect)
                case Got() | GaveUp() | Over():
                    self._decide(effect)
        self._tell_hold()
        self._set_alarm()

    def _tell_hold(self) -> None:
        """Call `on_hold` when `held_until_ns` has changed."""
        until_ns = self.held_until_ns
        if self.on_hold is not None and until_ns != self._told_until_ns:
            self._told_until_ns = until_ns
            self.on_hold(until_ns)

    def _decide(self, effect: Got | GaveUp | Over) -> None:
        """Let `acquire` go on."""
        match effect:
            case Got():
                self._got, self._loss = True, None
                self.lost.clear()
            case GaveUp():
                self._failure = _failure(self.key, effect, self._client.pool.hint)
                log.debug("gave up the lock %r: %s", self.key, effect.text)
            case Over():
                self._client.forget(self)
                self._over.set()
        self._decided.set()

    async def _ask(self, ask: Ask) -> Answer:
        try:
            return await call(self._client.pool, self._route, ask.operation, ask.deadline_ns)
        except Exception:
            log.exception("asking about a lock failed")
            return Answer(None, 0, "an error in this program; see its log")

    def _asked(self, task: asyncio.Task[Answer]) -> None:
        """Take the answer; a task that was cancelled, even before it began, is one too."""
        self._asking = None
        answer = Answer(None, 0, "cancelled") if task.cancelled() else task.result()
        self._carry_out(self._machine.answered(answer, boot_ns()))

    def _set_alarm(self) -> None:
        at_ns = self._machine.next_timer_ns()
        if self._alarm is not None:
            if self._alarm.at_ns == at_ns and self._alarm.call is not None:
                return
            self._alarm.cancel()
            self._alarm = None
        if at_ns is not None:
            self._alarm = self._client.timers.call_at(at_ns, self._wake)

    def _wake(self) -> None:
        self._carry_out(self._machine.tick(boot_ns()))

    def _note_loss(self, loss: Lost) -> None:
        self._loss = loss
        self.lost.set()
        log.info("lost the lock %r (generation %d): %s", self.key, loss.generation, loss.reason)
        run_callback(self._on_lost, self)


def _failure(key: str, effect: GaveUp, hint: str) -> LockError:
    if effect.invalid:
        return InvalidRequest(effect.text)
    if not effect.held:
        return unavailable(effect.text, hint)
    holder = f"held by {effect.owner!r}" if effect.owner else f"not free ({effect.text})"
    text = f"the lock {key!r} is {holder}; wait longer, or try again later"
    return NotAcquired(text, key=key, owner=effect.owner)


def unavailable(why: str, hint: str = HINT) -> ClusterUnavailable:
    """Return the error for a cluster that gave no answer in time; `hint`: what to look at."""
    return ClusterUnavailable(f"the lock cluster gave no answer in time ({why}). {hint}")
