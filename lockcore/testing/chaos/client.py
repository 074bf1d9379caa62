"""A process of clients: workers that contend for locks, or probes that measure.

A worker takes a lock, renews it at a third of its TTL, writes to the store,
and gives most of them back (the rest are left to expire, and written late). It believes in a lock until send
time + TTL, times `belief`, which is 1 unless the judge is to be tested. A
probe holds one lock for the whole run and renews it all the time, first at
the key's backup: that forwards while the primary lives and serves after.

    python -m lockcore.testing.chaos.client PLAN.json      (ends when stdin ends)

Elsewhere: retries within one call (lockcore.client.calls), the file (records), programs that are stopped (holding).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from lockcore.client.calls import call
from lockcore.client.clock import boot_ns
from lockcore.client.link import Link, LinkProblem
from lockcore.client.pool import Pool
from lockcore.client.route import Route, target_of
from lockcore.core.limits import NS_PER_MS
from lockcore.core.operations import RETRYABLE, Granted, Lock, Operation, Refused, Released, Unlock
from lockcore.testing.chaos.dying import die_with_parent
from lockcore.testing.chaos.records import Recorder, Sample, watch_stalls
from lockcore.testing.chaos.store import StoreClient
from lockcore.testing.history import Call, Did

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

TTLS_MS: Final = (3_000, 7_000, 20_000)
HOLD_MS_MAX: Final = 12_000
ACQUIRE_MS: Final = 3_000
UNLOCK_MS: Final = 2_000
LEFT_TO_EXPIRE: Final = 0.1
LATE_S: Final = 1.0
PROBE_TTL_MS: Final = 20_000
PROBE_ATTEMPT_MS: Final = 100
PROBE_PAUSE_S: Final = 0.09
PROBE_RETRY_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class Plan:
    """What one process of clients does.

    Attributes:
        name: begins the names of its clients.
        keys: how many locks workers contend for.
        belief: how many times its TTL a worker trusts a lock; above 1 is wrong, and does without renewals.
        prefix: begins the keys' names.
        ttls_ms: what workers ask for.
        hold_ms_max: how long a worker keeps a lock at most.
        store: where they write what they do under a lock.
        patch: what is taken out of programs that hold locks (unsafe).
        out: file for what they do and are told.
        routes: gRPC target of a node -> the proxy through which it is reached.
    """

    name: str
    workers: int
    probes: int
    keys: int
    seed: int
    belief: float = 1.0
    prefix: str = "chaos"
    ttls_ms: tuple[int, ...] = TTLS_MS
    hold_ms_max: int = HOLD_MS_MAX
    store: str = ""
    patch: str = ""
    out: str = ""
    routes: dict[str, str] = field(default_factory=dict)


class RoutedPool(Pool):
    """Conversations through proxies; addresses in views and redirects stay the nodes' own."""

    def __init__(self, routes: dict[str, str]) -> None:
        super().__init__(tuple(routes))
        self._routes = routes

    def _make(self, target: str) -> Link:
        """Return the conversation with a node, through its proxy."""
        return Link(self._routes.get(target, target), self._take_view)


class Worker:
    """Takes, holds and releases locks, one at a time."""

    def __init__(self, name: str, plan: Plan, pool: Pool, recorder: Recorder, store: StoreClient) -> None:
        self._store = store
        self._name = name
        self._plan = plan
        self._pool = pool
        self._recorder = recorder
        self._random = random.Random(f"{plan.seed}/{name}")  # noqa: S311 - a seed must give the same choices

    async def run(self) -> None:
        """Work until cancelled."""
        draw = self._random
        while True:
            key = f"{self._plan.prefix}/{int(draw.random() ** 2 * self._plan.keys)}"  # squared: some are wanted by many
            ttl_ms = draw.choice(self._plan.ttls_ms)
            route = Route(key, tuple(draw.sample(self._pool.seeds, len(self._pool.seeds))))
            taken = await self._ask(route, Did.ACQUIRE, Lock(key, ttl_ms, self._name), ACQUIRE_MS, 0)
            if taken.ok:
                base = await self._store.read(taken.key, taken.generation)
                await self._hold(route, taken, base)
            await asyncio.sleep(draw.uniform(0.02, 0.15))

    async def _hold(self, route: Route, taken: Call, base: int | None) -> None:
        draw = self._random
        ttl_ns = taken.ttl_ms * NS_PER_MS
        held = taken
        end_ns = taken.invoked_ns + int(ttl_ns * self._plan.belief)
        until_ns = boot_ns() + int(draw.uniform(0.05, 1) * self._plan.hold_ms_max) * NS_PER_MS
        if self._plan.belief > 1:
            until_ns = end_ns
        while (now_ns := boot_ns()) < min(end_ns, until_ns):
            renew_ns = held.invoked_ns + ttl_ns // 3
            if now_ns < renew_ns or self._plan.belief > 1:
                pause_ns = min(until_ns, end_ns, renew_ns if self._plan.belief <= 1 else end_ns) - now_ns
                await asyncio.sleep(max(pause_ns, NS_PER_MS) / 1e9)
                continue
            operation = Lock(held.key, held.ttl_ms, self._name, held.token)
            renewed = await self._ask(
                route, Did.RENEW, operation, max(1, (end_ns - now_ns) // NS_PER_MS), held.generation
            )
            if renewed.ok is False:
                break
            if renewed.ok and renewed.returned_ns < end_ns:
                held, end_ns = renewed, renewed.invoked_ns + ttl_ns
        gives_back = boot_ns() < end_ns and draw.random() >= LEFT_TO_EXPIRE
        if not gives_back:
            # Whoever is late writes all the same: that is what the guard is for.
            await asyncio.sleep(max(0, end_ns - boot_ns()) / 1e9 + draw.uniform(0, LATE_S))
        if base is not None:
            await self._store.write(self._name, held.key, held.generation, base)
        if gives_back:
            await self._ask(route, Did.UNLOCK, Unlock(held.key, held.token), UNLOCK_MS, held.generation)

    async def _ask(self, route: Route, did: Did, operation: Operation, limit_ms: int, generation: int) -> Call:
        """Ask until answered or out of time, and write it down whatever happens."""
        ttl_ms = operation.ttl_ms if isinstance(operation, Lock) else 0
        made = Call(self._name, did, operation.key, boot_ns(), ttl_ms, generation=generation)
        try:
            answer = await call(self._pool, route, operation, made.invoked_ns + limit_ms * NS_PER_MS)
            match answer.result:
                case Granted() as granted:
                    # The attempt that was answered is what the lease counts from.
                    made.invoked_ns, made.ok = answer.sent_ns, True
                    made.generation, made.seq, made.token = granted.generation, granted.seq, granted.token
                case Released():
                    made.ok = True
                case Refused(code):
                    made.ok, made.code = False, code.value
        finally:
            made.returned_ns = boot_ns()
            self._recorder.call(made)
        return made


class Probe:
    """Renews one lock all the time, to see when that was possible."""

    def __init__(self, number: int, pool: Pool, recorder: Recorder) -> None:
        self._key = f"probe/{number}"
        self._pool = pool
        self._recorder = recorder

    async def run(self) -> None:
        """Measure until cancelled."""
        token, turn = "", 0
        while True:
            targets = self._targets()
            target = targets[turn % len(targets)]
            asked_ns = boot_ns()
            operation = Lock(self._key, PROBE_TTL_MS, "probe", token)
            try:
                result = await self._pool.link(target).ask(operation, PROBE_ATTEMPT_MS)
            except LinkProblem:
                turn += 1
                await asyncio.sleep(PROBE_RETRY_S)
                continue
            if isinstance(result, Granted):
                turn = 0
                if token:
                    self._recorder.sample(Sample(self._key, asked_ns, boot_ns()))
                token = result.token
                await asyncio.sleep(PROBE_PAUSE_S)
                continue
            turn += 1
            if isinstance(result, Refused) and result.code not in RETRYABLE and token:
                token = ""  # lost, which the file shows as a gap
            await asyncio.sleep(PROBE_RETRY_S)

    def _targets(self) -> list[str]:
        view = self._pool.view
        if view is None:
            return list(self._pool.seeds)
        primary, backup = view.ring.owners(self._key)
        names = [target_of(address) for address in (backup, primary, *view.up) if address]
        return list(dict.fromkeys(name for name in names if name)) or list(self._pool.seeds)


async def until_stdin_ends(recorder: Recorder, clients: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run clients; cancel them when stdin ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tasks = [loop.create_task(watch_stalls(recorder)), *(loop.create_task(client) for client in clients)]
    await reader.read()
    for task in tasks:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, Exception):
            sys.stderr.write(f"a client ended early: {ended!r}\n")


async def run(plan: Plan) -> None:
    """Run the clients until stdin ends."""
    recorder = Recorder(Path(plan.out))
    pool = RoutedPool(plan.routes)
    store = StoreClient(plan.store)
    workers = [Worker(f"{plan.name}.{i}", plan, pool, recorder, store) for i in range(plan.workers)]
    probes = [Probe(i, pool, recorder) for i in range(plan.probes)]
    await until_stdin_ends(recorder, [*(worker.run() for worker in workers), *(probe.run() for probe in probes)])
    await pool.close()
    await store.close()
    recorder.close()


if __name__ == "__main__":
    die_with_parent()
    asyncio.run(run(Plan(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))
