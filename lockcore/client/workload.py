"""Clients that take, hold and release locks at a given rate.

So that the picture of a cluster is alive, and as a load to break it under.

Invariants
  W1  Never more than `clients` locks are held by leases of their own, nor `rate` taken per second.
  W2  Switched off, it holds nothing and asks nothing.
Elsewhere: what its sessions do (workteam), `manage.py workload` and the switch on the page (dlmsite.operations).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lockcore.client import check
from lockcore.client.workteam import Member
from lockcore.errors import ClusterUnavailable, InvalidRequest, LockError, NotAcquired

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lockcore.client.client import LockClient

RATE_MAX: Final = 100_000.0
CLIENTS_MAX: Final = 10_000
KEYS_MAX: Final = 1_000_000
SESSIONS_MAX: Final = 1_000
PAUSE_AFTER_ERROR_S: Final = 1.0
LAST_ANSWERS_S: Final = 2.0
EXIT_USAGE: Final = 64
EXIT_UNAVAILABLE: Final = 69

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkloadPlan:
    """What to do.

    Attributes:
        rate: locks taken per second, all clients together.
        clients: how many there are; each holds one lock at a time.
        keys: how many locks they choose from.
        ttl: seconds.
        hold: seconds that a lock is held, on average.
        seconds: how long it runs; None: until it is stopped.
        prefix: begins every key and owner.
        sessions: how many more work in sessions, and wait for each other.
    """

    rate: float = 5.0
    clients: int = 10
    keys: int = 40
    ttl: float = 7.0
    hold: float = 3.0
    seconds: float | None = None
    prefix: str = "workload"
    sessions: int = 0

    def checked(self) -> WorkloadPlan:
        """Return this plan.

        Raises:
            InvalidRequest: a number out of bounds; the text names it.
        """
        for name, value, low, high in (
            ("rate", self.rate, 0.001, RATE_MAX),
            ("clients", self.clients, 1, CLIENTS_MAX),
            ("keys", self.keys, 1, KEYS_MAX),
            ("hold", self.hold, 0, 86_400),
            ("sessions", self.sessions, 0, SESSIONS_MAX),
            ("seconds", self.seconds if self.seconds is not None else 1, 0.001, 86_400 * 365),
        ):
            if not low <= value <= high:
                raise InvalidRequest(f"{name} must be from {low:g} to {high:g}, not {value:g}")
        check.ttl_ms_of(self.ttl)
        check.key_of(f"{self.prefix}/{self.keys}")
        check.owner_of(f"{self.prefix}-session-{self.clients}")
        return self


@dataclass(slots=True)
class Tally:
    """What happened."""

    taken: int = 0
    refused: int = 0
    lost: int = 0
    unanswered: int = 0
    turns: int = 0
    seconds: float = 0.0

    def line(self) -> str:
        """Return it in one line."""
        rate = self.taken / self.seconds if self.seconds else 0.0
        return (
            f"{self.taken:,} locks taken in {self.seconds:.1f} s ({rate:,.1f} per second), "
            f"{self.refused:,} held by another, {self.lost:,} lost, {self.unanswered:,} unanswered"
            + (f", {self.turns:,} turns of sessions" if self.turns else "")
        )


class Workload:
    """The clients of one plan, which share one connection per node.

    Args:
        client: open; stays open.
        plan: checked.
    """

    def __init__(self, client: LockClient, plan: WorkloadPlan) -> None:
        self.plan = plan.checked()
        self.tally = Tally()
        self._client = client
        self._on = asyncio.Event()
        self._off = asyncio.Event()
        self._idle = asyncio.Condition()
        self._busy = 0
        self._task: asyncio.Task[None] | None = None
        self.on()

    @property
    def is_on(self) -> bool:
        """Say whether it is to take locks."""
        return self._on.is_set()

    def on(self) -> None:
        """Take locks."""
        self._off.clear()
        self._on.set()

    async def off(self) -> None:
        """Take no more; return when every lock is released (W2)."""
        self._on.clear()
        self._off.set()
        async with self._idle:
            await self._idle.wait_for(lambda: self._busy == 0)

    def start(self) -> None:
        """Run in the background until `stop`."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self.run())

    async def stop(self) -> None:
        """Release everything and end."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def run(self) -> None:
        """Run for the plan's time, or until it is cancelled."""
        loop = asyncio.get_running_loop()
        clients = [loop.create_task(self._run_client(i)) for i in range(self.plan.clients)]
        clients += [loop.create_task(self._run_session(i)) for i in range(self.plan.sessions)]
        try:
            await self._until_over(clients)
            # Whoever is asking just now is answered first: a lock that nobody knows of lasts as long as its lease.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_ANSWERS_S):
                    await self.off()
        finally:
            for task in clients:
                task.cancel()
            results = await asyncio.gather(*clients, return_exceptions=True)
        for error in results:
            if isinstance(error, Exception):
                raise error

    async def _until_over(self, clients: list[asyncio.Task[None]]) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            await asyncio.wait(clients, timeout=self.plan.seconds, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            self.tally.seconds = loop.time() - began

    # --- one client -----------------------------------------------------------------

    async def _run_client(self, number: int) -> None:
        plan = self.plan
        chance = random.Random(number)  # noqa: S311 - chooses keys, guards nothing
        every_s = plan.clients / plan.rate
        await asyncio.sleep(number / plan.rate)
        loop = asyncio.get_running_loop()
        turn_s = loop.time()
        while True:
            await self._on.wait()
            async with self._working():
                await self._take_one(chance, f"{plan.prefix}-{number + 1}")
            turn_s = max(turn_s + every_s * chance.uniform(0.5, 1.5), loop.time())
            await asyncio.sleep(turn_s - loop.time())

    async def _run_session(self, number: int) -> None:
        plan, chance = self.plan, random.Random(f"session {number}")  # noqa: S311 - chooses, guards nothing
        name = f"{plan.prefix}-session-{number + 1}"
        while True:
            await self._on.wait()
            async with self._working():
                member = Member(
                    self._client, name, plan.prefix, plan.ttl, self._hold, plan.hold, lambda: self.is_on, chance
                )
                try:
                    await member.work()
                except LockError as error:
                    self.tally.unanswered += 1
                    log.info("workload: %s", error)
                    await self._hold(PAUSE_AFTER_ERROR_S)
                finally:
                    self.tally.turns += member.turns
                    self.tally.refused += member.refused

    @contextlib.asynccontextmanager
    async def _working(self) -> AsyncIterator[None]:
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
            async with self._idle:
                self._idle.notify_all()

    async def _take_one(self, chance: random.Random, owner: str) -> None:
        plan = self.plan
        key = f"{plan.prefix}/{chance.randrange(plan.keys)}"
        try:
            async with self._client.lock(key, ttl=plan.ttl, owner=owner, wait=0) as lock:
                self.tally.taken += 1
                await self._hold(plan.hold * chance.uniform(0.5, 1.5))
            self.tally.lost += lock.lost.is_set()
        except NotAcquired:
            self.tally.refused += 1
        except ClusterUnavailable as error:
            self.tally.unanswered += 1
            log.info("workload: %s", error)
            await self._hold(PAUSE_AFTER_ERROR_S)

    async def _hold(self, seconds: float) -> None:
        """Wait, but not beyond the switch."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._off.wait()


def run_workload(target: str, plan: WorkloadPlan) -> int:
    """Run a plan against a cluster until its time is over or Ctrl-C; print one line; return the exit code."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # refused connections are our lines, not gRPC's
    try:
        tally = asyncio.run(_run(target, plan.checked()))
    except LockError as error:
        sys.stderr.write(f"lockring: {error}\n")
        return EXIT_USAGE if isinstance(error, InvalidRequest) else EXIT_UNAVAILABLE
    sys.stdout.write(f"{tally.line()}\n")
    return 0


async def _run(target: str, plan: WorkloadPlan) -> Tally:
    from lockcore.client.client import LockClient  # noqa: PLC0415 - gRPC reads its environment when imported

    loop = asyncio.get_running_loop()
    async with LockClient(target) as client:
        workload = Workload(client, plan)
        running = loop.create_task(workload.run())
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, running.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await running
        return workload.tally
