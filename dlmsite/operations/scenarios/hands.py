"""The lock of a scenario, truly held: by a client of the site's own, in the name of who tries; and strangers who ask.

Invariants
  H1  Each change of what the holder's client believes is a fact, told by that client itself.
  H2  A stranger who is granted the lock gives it back at once: that it was granted is the fact.
  H3  `release` ends everything that was begun here, and never raises. Nothing asks any more when the lock is let go, so
      no stranger gets it then.
Elsewhere: who takes and releases (course), judging (verdicts), clients (lockcore.client).
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final, Protocol

from dlmsite.operations.scenarios.facts import GOT, GRANTED, LOST, RELEASED, RENEWED, SILENT, Answer, Belief
from dlmsite.operations.scenarios.verdicts import answers_merged
from dlmsite.operations.supervisor import OperationProblem
from lockcore.client.client import LockClient
from lockcore.client.clock import boot_ns
from lockcore.client.live import LiveLock
from lockcore.core.operations import Granted, Refused
from lockcore.errors import LockError

log = logging.getLogger(__name__)

STRANGER: Final = "a stranger"
STRANGER_TTL_S: Final = 2.0
ASK_EVERY_S: Final = 0.25
CHALLENGE_EVERY_S: Final = 0.1
TAKE_S: Final = 10.0
STRANGER_S: Final = 2.0
CHALLENGE_S: Final = 30.0
"""A frozen node answers when it wakes; the question waits in its socket until then."""
RELEASE_S: Final = 5.0
ANSWERS_MAX: Final = 200


class Hands(Protocol):
    """What a run does to its lock, and what it hears."""

    beliefs: list[Belief]
    answers: list[Answer]

    @property
    def is_locked(self) -> bool:
        """What the holder believes at this moment."""

    async def take(self, key: str, owner: str) -> int:
        """Take the lock; return its generation. Raises OperationProblem."""

    def challenge(self, label: str, address: str) -> None:
        """Begin to ask a node directly, as a stranger."""

    async def release(self) -> None:
        """Let go of everything."""


class ClientHands:
    """Hands that work by LockClients.

    Args:
        targets: gRPC addresses of nodes, joined by commas.
        ttl_s: the lease.
    """

    def __init__(self, targets: str, ttl_s: float) -> None:
        self.beliefs: list[Belief] = []
        self.answers: list[Answer] = []
        self._ttl_s = ttl_s
        self._holder = LockClient(targets, timeout=TAKE_S)
        self._stranger = LockClient(targets, timeout=STRANGER_S)
        self._challenger = LockClient(targets, timeout=CHALLENGE_S)
        self._lock: LiveLock | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._enough = asyncio.Event()

    @property
    def is_locked(self) -> bool:
        """What the holder believes at this moment."""
        return self._lock is not None and self._lock.is_locked

    async def take(self, key: str, owner: str) -> int:
        """Take the lock, and have a stranger ask for it from then on.

        Raises:
            OperationProblem: it is not to be had now.
        """
        try:
            self._lock = lock = self._holder.lock(key, ttl=self._ttl_s, owner=owner, wait=0, on_lost=self._note_loss)
            lock.on_hold = self._note_hold
            await lock.acquire()
        except LockError as error:
            raise OperationProblem(f"the lock {key} cannot be taken: {error}") from error
        self._begin(self._ask_on(self._stranger, key, ASK_EVERY_S))
        return lock.generation

    def challenge(self, label: str, address: str) -> None:
        """Begin to ask a node directly, as a stranger."""
        if self._lock is not None:
            ask = self._ask_on(self._challenger, self._lock.key, CHALLENGE_EVERY_S, label, address)
            self._begin(ask)

    async def release(self) -> None:
        """End the strangers, then release the lock and close everything (H3)."""
        self._enough.set()
        try:
            async with asyncio.timeout(RELEASE_S):
                await self._end_strangers()
                if self._lock is not None and self.beliefs and self.beliefs[-1].what not in {LOST, RELEASED}:
                    lock, held = self._lock, self.is_locked
                    await lock.release()
                    what = RELEASED if held else LOST
                    self.beliefs.append(Belief(time.time_ns(), what, lock.generation, why=lock.loss_reason))
                for client in (self._holder, self._stranger, self._challenger):
                    await client.close()
        except Exception as error:  # noqa: BLE001 - the lease ends by itself
            log.warning("the lock of a scenario was not released in order: %r", error)

    # --- the holder -------------------------------------------------------------------------------------------------

    def _note_hold(self, until_ns: int) -> None:
        """Keep what the client believes from now on (H1)."""
        if self._lock is None or until_ns == 0:
            return  # lost, which has a call of its own, or released
        now_ns = time.time_ns()
        to_wall_ns = now_ns - boot_ns()
        terms = self._lock.terms
        sent_ns = until_ns - terms.ttl_ns + terms.margin_ns + to_wall_ns
        what = RENEWED if self.beliefs else GOT
        self.beliefs.append(Belief(now_ns, what, self._lock.generation, sent_ns, until_ns + to_wall_ns))

    def _note_loss(self, lock: LiveLock) -> None:
        self.beliefs.append(Belief(time.time_ns(), LOST, lock.generation, why=lock.loss_reason))

    # --- strangers --------------------------------------------------------------------------------------------------

    def _begin(self, work: "asyncio._CoroutineLike[None]") -> None:
        self._tasks.append(asyncio.create_task(work))

    async def _end_strangers(self) -> None:
        """Wait for what was asked: its answer could be a grant. Who asks a node that is silent is not waited for."""
        asking, self._tasks = self._tasks, []
        if asking:
            _, late = await asyncio.wait(asking, timeout=STRANGER_S + ASK_EVERY_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    async def _ask_on(self, client: LockClient, key: str, every_s: float, label: str = "", address: str = "") -> None:
        while not self._enough.is_set():
            asked_ns = time.time_ns()
            says, text = await _ask(client, key, address)
            told_ns = time.time_ns()
            merged = answers_merged(self.answers, Answer(asked_ns, told_ns, told_ns, says, label, text))
            self.answers[:] = merged[:ANSWERS_MAX]
            await _pause(self._enough, every_s)


async def _ask(client: LockClient, key: str, address: str) -> tuple[str, str]:
    """Ask for a lock as a stranger; return what was said, and in which words (H2)."""
    try:
        result = await client.acquire(key, ttl=STRANGER_TTL_S, owner=STRANGER, node=address or None)
        if isinstance(result, Granted):
            await client.unlock(key, result.token, node=address or None)
            return GRANTED, ""
    except LockError as error:
        return SILENT, str(error)
    return (result.code.value, result.text) if isinstance(result, Refused) else (SILENT, "")


async def _pause(enough: asyncio.Event, seconds: float) -> None:
    """Wait, or until it is enough."""
    try:
        async with asyncio.timeout(seconds):
            await enough.wait()
    except TimeoutError:
        return


MakeHands = Callable[[str, float], Hands]
"""Takes targets and the lease in seconds."""
