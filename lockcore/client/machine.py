"""The life of one lock at its holder: a state machine without clock or socket.

    WAITING --grant--> HELD --lapse or refusal--> WAITING (long-lived) or STOPPING
       |                 |
       +- stop, give up -+--> STOPPING --nothing left to unlock--> OVER

Time comes in as CLOCK_BOOTTIME nanoseconds, effects go out in order. At most
one `Ask` is under way; whoever carries it out answers it exactly once, also
when it failed or was cancelled.

Invariants
  K1  Held implies now < (time before the granting request was sent) + TTL -
      margin. The node counts from when it received it, so the holder always
      lets go first (known-failures W16, W17).
  K2  Within one holding, held never comes back once the clock has ended it:
      every input passes time first, so a late renewal is not taken.
  K3  One `Got` per holding, one `Lost` per loss, never a `Lost` after `stop`.
  K4  A failed request costs no token (W17). A token is forgotten when a node
      that knows says it is good no longer, or after it was unlocked.
  K5  A token that is left after a lapse is unlocked before anything else is
      asked: the hung renewal may have been carried out after all.
Elsewhere: retries and redirects within one Ask (calls, route); callbacks
(live). Source: SeaweedFS lock_client.go, DESIGN section 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from lockcore.core.limits import NS_PER_MS
from lockcore.core.operations import Code, Granted, Lock, Operation, Refused, Result, Unlock

if TYPE_CHECKING:
    from collections.abc import Callable

MARGIN_MS: Final = 10
MARGIN_SHARE: Final = 100
"""The margin is 10 ms (a scheduler's delay) and a hundredth of the TTL: two
clocks that drift by 1 % against each other are broken hardware."""
RENEW_SHARE: Final = 3
"""Renewed when a third of the lease has gone; lock_client.go leaves a half."""
RENEW_RETRY_SHARE: Final = 50
RETRY_MS_FIRST: Final = 100
RETRY_MS_MAX: Final = 1_000
UNLOCK_MS: Final = 2_000
"""How long an unlock is tried; the lease ends by itself anyway."""

GONE: Final = frozenset({Code.TOKEN_MISMATCH, Code.TOKEN_ON_NEW, Code.TOKEN_ON_EXPIRED, Code.NOT_FOUND, Code.INVALID})
"""Refusals of a renewal that say: this lock is yours no longer."""
TAKEN: Final = frozenset({Code.HELD, Code.RECOVERING})
"""Refusals of an acquisition that say: not now, somebody has it or may have it."""


class Phase(Enum):
    """Where a lock is in its life."""

    NEW = "new"
    WAITING = "waiting"
    HELD = "held"
    STOPPING = "stopping"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked for.

    Attributes:
        call_ms: how long one acquisition may be under way.
        wait_ms: how long to wait for another holder; None: for ever, 0: not at all.
        renews: whether it is kept beyond its TTL.
        long_lived: whether a loss is followed by another try.
        retry_ms: pause between tries while another holds it; None: growing from 0.1 s to 1 s.
    """

    key: str
    owner: str
    ttl_ms: int
    call_ms: int = 10_000
    wait_ms: int | None = None
    renews: bool = True
    long_lived: bool = False
    retry_ms: int | None = None

    @property
    def margin_ns(self) -> int:
        """How much earlier than the node the holder lets go."""
        return MARGIN_MS * NS_PER_MS + self.ttl_ms * NS_PER_MS // MARGIN_SHARE

    @property
    def ttl_ns(self) -> int:
        """The TTL in nanoseconds."""
        return self.ttl_ms * NS_PER_MS


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of an Ask. `result` None: nothing that settles it; `text` says why.

    `sent_ns`: before the request that was answered left this process.
    """

    result: Result | None
    sent_ns: int = 0
    text: str = ""


# --- effects -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the cluster, retry until `deadline_ns`, then call `answered`."""

    operation: Operation
    deadline_ns: int


@dataclass(frozen=True, slots=True)
class CancelAsk:
    """The Ask under way is needed no more; `answered` is still to be called."""


@dataclass(frozen=True, slots=True)
class Got:
    """The lock is held, under this fencing token."""

    generation: int


@dataclass(frozen=True, slots=True)
class Lost:
    """The lock that was held is not; `reason` is for people."""

    generation: int
    reason: str


@dataclass(frozen=True, slots=True)
class OwnerChanged:
    """Another owner than last seen holds the lock."""

    owner: str


@dataclass(frozen=True, slots=True)
class GaveUp:
    """It was not acquired, and is not tried again.

    `held`: somebody else has it (`owner`); otherwise no answer settled it, or `invalid`.
    """

    owner: str
    text: str
    held: bool
    invalid: bool = False


@dataclass(frozen=True, slots=True)
class Over:
    """Nothing follows."""


Effect = Ask | CancelAsk | Got | Lost | OwnerChanged | GaveUp | Over


class LockMachine:
    """One lock's life.

    Args:
        terms: what is asked for; checked by the caller.
        jitter: returns a factor for pauses, around 1.
    """

    def __init__(self, terms: Terms, jitter: Callable[[], float] = lambda: 1.0) -> None:
        self.terms = terms
        self.phase = Phase.NEW
        self.generation = 0
        self.owner = ""
        self.held_until_ns = 0
        self._jitter = jitter
        self._token = ""
        self._asking: Operation | None = None
        self._next_ns = 0
        self._give_up_ns: int | None = None
        self._pause_ms = RETRY_MS_FIRST
        self._out: list[Effect] = []

    # --- for the shell ----------------------------------------------------------------

    def held(self, now_ns: int) -> bool:
        """Say whether the lock is held at this moment (K1)."""
        return self.phase is Phase.HELD and now_ns < self.held_until_ns

    def next_timer_ns(self) -> int | None:
        """Return when `tick` is wanted, None while only an answer can matter."""
        if self.phase is Phase.HELD:
            return self.held_until_ns if self._asking else min(self._next_ns, self.held_until_ns)
        if self.phase is Phase.WAITING and self._asking is None:
            return self._next_ns
        return None

    # --- inputs -------------------------------------------------------------------------

    def start(self, now_ns: int) -> list[Effect]:
        """Begin to want the lock."""
        self._out = []
        if self.phase is Phase.NEW:
            self.phase = Phase.WAITING
            wait_ms = self.terms.wait_ms
            self._give_up_ns = None if wait_ms is None else now_ns + wait_ms * NS_PER_MS
            self._next_ns = now_ns
        return self._go_on(now_ns)

    def tick(self, now_ns: int) -> list[Effect]:
        """Let time pass."""
        self._out = []
        if self._lapse(now_ns) and self._asking is not None:
            self._out.append(CancelAsk())
        return self._go_on(now_ns)

    def answered(self, answer: Answer, now_ns: int) -> list[Effect]:
        """Take what came of the Ask under way."""
        self._out = []
        asked, self._asking = self._asking, None
        self._lapse(now_ns)  # first: what comes too late is not taken (K2)
        if isinstance(asked, Unlock):
            self._token = ""  # released, or no longer ours: either way done with
        elif asked is not None and self.phase is Phase.HELD:
            self._renewed(answer, now_ns)
        elif isinstance(asked, Lock) and not asked.token and self.phase is Phase.WAITING:
            self._acquired(answer, now_ns)
        elif asked is not None:
            self._note_token(answer.result)
        return self._go_on(now_ns)

    def stop(self, now_ns: int) -> list[Effect]:
        """Want it no more: cancel what is under way, then unlock."""
        self._out = []
        self._lapse(now_ns)
        if self.phase is not Phase.OVER:
            self.phase = Phase.STOPPING
        if isinstance(self._asking, Lock):
            self._out.append(CancelAsk())
        return self._go_on(now_ns)

    # --- time ------------------------------------------------------------------------------

    def _lapse(self, now_ns: int) -> bool:
        """End a holding whose time is up (K1)."""
        if self.phase is not Phase.HELD or now_ns < self.held_until_ns:
            return False
        self._lose("its lease ended before a renewal was answered", now_ns)
        return True

    def _go_on(self, now_ns: int) -> list[Effect]:
        """Ask the next thing if nothing is under way and its time has come."""
        if self._asking is None:
            if self.phase in (Phase.WAITING, Phase.HELD) and now_ns >= self._next_ns:
                self._ask_next(now_ns)
            elif self.phase is Phase.STOPPING:
                self._finish(now_ns)
        return self._out

    def _ask_next(self, now_ns: int) -> None:
        terms = self.terms
        if self.phase is Phase.HELD:
            self._ask(Lock(terms.key, terms.ttl_ms, terms.owner, self._token), self.held_until_ns)
        elif self._token:
            self._ask(Unlock(terms.key, self._token), now_ns + UNLOCK_MS * NS_PER_MS)  # K5
        else:
            self._ask(Lock(terms.key, terms.ttl_ms, terms.owner), now_ns + terms.call_ms * NS_PER_MS)

    def _finish(self, now_ns: int) -> None:
        if self._token:
            self._ask(Unlock(self.terms.key, self._token), now_ns + UNLOCK_MS * NS_PER_MS)
        else:
            self.phase = Phase.OVER
            self._out.append(Over())

    def _ask(self, operation: Operation, deadline_ns: int) -> None:
        self._asking = operation
        self._out.append(Ask(operation, deadline_ns))

    # --- answers ---------------------------------------------------------------------------

    def _acquired(self, answer: Answer, now_ns: int) -> None:
        result = answer.result
        if isinstance(result, Granted):
            self._note_token(result)
            self._hold(result, answer.sent_ns, now_ns)
        elif isinstance(result, Refused) and result.code is Code.INVALID:
            self._give_up(result.text, invalid=True)
        elif isinstance(result, Refused) and result.code in TAKEN:
            self._see_owner(result.owner)
            self._wait(now_ns, self.terms.retry_ms, result.text)
        elif self.terms.long_lived:
            self._next_ns = now_ns + self._pause_ns(RETRY_MS_MAX)
        else:
            self._give_up(answer.text)

    def _hold(self, granted: Granted, sent_ns: int, now_ns: int) -> None:
        until_ns = sent_ns + self.terms.ttl_ns - self.terms.margin_ns
        if now_ns >= until_ns:
            self._wait(now_ns, 0, "the answer came after the lease had ended; ask for a longer ttl")
            return
        self.phase = Phase.HELD
        self.generation = granted.generation
        self.held_until_ns = until_ns
        self._pause_ms = RETRY_MS_FIRST
        self._plan_renewal(sent_ns)
        self._see_owner(self.terms.owner)
        self._out.append(Got(granted.generation))

    def _renewed(self, answer: Answer, now_ns: int) -> None:
        result = answer.result
        self._note_token(result)
        if isinstance(result, Granted) and result.generation == self.generation:
            until_ns = answer.sent_ns + self.terms.ttl_ns - self.terms.margin_ns
            self.held_until_ns = max(self.held_until_ns, until_ns)
            self._plan_renewal(answer.sent_ns)
        elif isinstance(result, Granted):
            self._lose("the cluster granted it anew, so it was free in between", now_ns)
        elif isinstance(result, Refused) and result.code in GONE:
            held_by = f"; {result.owner} holds it now" if result.owner else ""
            self._lose(f"the cluster says that it is no longer ours ({result.text}{held_by})", now_ns)
        else:
            pause_ns = max(NS_PER_MS, self.terms.ttl_ns // RENEW_RETRY_SHARE)
            self._next_ns = now_ns + int(pause_ns * self._jitter())

    # --- moves -----------------------------------------------------------------------------

    def _lose(self, reason: str, now_ns: int) -> None:
        self._out.append(Lost(self.generation, reason))
        self.phase = Phase.WAITING if self.terms.long_lived else Phase.STOPPING
        self._next_ns = now_ns + self._pause_ns(RETRY_MS_FIRST)

    def _wait(self, now_ns: int, retry_ms: int | None, text: str) -> None:
        """Pause before the next try, or give up."""
        pause_ms = self._pause_ms if retry_ms is None else retry_ms
        if retry_ms is None:
            self._pause_ms = min(self._pause_ms * 3 // 2, RETRY_MS_MAX)
        self._next_ns = now_ns + self._pause_ns(pause_ms)
        if self._give_up_ns is None or self.terms.long_lived:
            return
        if now_ns >= self._give_up_ns:
            self._give_up(text, held=True)
        else:
            self._next_ns = min(self._next_ns, self._give_up_ns)  # one last try when the time is up

    def _give_up(self, text: str, *, held: bool = False, invalid: bool = False) -> None:
        self._out.append(GaveUp(self.owner if held else "", text, held, invalid))
        self.phase = Phase.STOPPING

    # --- small things -----------------------------------------------------------------------

    def _note_token(self, result: Result | None) -> None:
        """Keep the newest token (one Ask at a time brings them in order); drop it where it is good no longer (K4)."""
        if isinstance(result, Granted):
            self._token = result.token
        elif isinstance(result, Refused) and result.code in GONE:
            self._token = ""

    def _plan_renewal(self, sent_ns: int) -> None:
        share_ns = self.terms.ttl_ns // RENEW_SHARE
        self._next_ns = sent_ns + share_ns if self.terms.renews else self.held_until_ns

    def _see_owner(self, owner: str) -> None:
        if owner and owner != self.owner:
            self.owner = owner
            self._out.append(OwnerChanged(owner))

    def _pause_ns(self, pause_ms: int) -> int:
        return int(pause_ms * NS_PER_MS * self._jitter())


LONG_TTL_S: Final = 7.0
SHORT_TTL_S: Final = 5.0
SHORT_RETRY_MS: Final = 1_000
"""lock_client.go: a short-lived lock is tried each second."""


def long_retry_ms(ttl_ms: int) -> int:
    """How often a long-lived lock is tried while another holds it (lock_client.go: 5 x TTL/2)."""
    return 5 * ttl_ms // 2
