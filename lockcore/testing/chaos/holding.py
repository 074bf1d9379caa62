"""A process that holds locks with Lockring's own client, and believes what it is told by it.

It is what is stopped with SIGSTOP, and cut from answers. A thread of its own,
as programs without a loop have, asks `is_locked` all the time and writes down
each belief with the time before it asked: after a stop it may be the first
that runs again. What holds the locks asks as well before each act, which is a
write to the store, and renews and loses as any program does.

    python -m lockcore.testing.chaos.holding PLAN.json      (ends when stdin ends)

Elsewhere: the client (lockcore.client), the rule over beliefs (beliefs).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Final

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from lockcore.client import live
from lockcore.client.calls import call
from lockcore.client.client import LockClient
from lockcore.client.clock import boot_ns
from lockcore.core.operations import Granted, Lock, Released, Unlock
from lockcore.errors import LockError
from lockcore.testing.chaos.client import Plan, RoutedPool, until_stdin_ends
from lockcore.testing.chaos.dying import die_with_parent
from lockcore.testing.chaos.records import Belief, Recorder
from lockcore.testing.chaos.store import StoreClient
from lockcore.testing.chaos.unsafe import take_out
from lockcore.testing.history import Call, Did

if TYPE_CHECKING:
    from lockcore.client.live import LiveLock
    from lockcore.client.machine import Answer
    from lockcore.client.pool import Pool
    from lockcore.client.route import Route
    from lockcore.core.operations import Operation

TTL_S: Final = 3.0
HELD_S: Final = (2.0, 8.0)
BETWEEN_S: Final = (0.02, 0.3)
ACT_S: Final = 0.1
LOOK_S: Final = 0.05
BELIEVE_S: Final = 0.02


class Asking:
    """Stands before the client's way of asking, and writes down what was asked and answered."""

    def __init__(self, name: str, recorder: Recorder) -> None:
        self._name = name
        self._recorder = recorder
        self._generations: dict[str, int] = {}  # by token

    async def call(self, pool: Pool, route: Route, operation: Operation, deadline_ns: int) -> Answer:
        """Ask as `calls.call` does."""
        made = Call(client_of(self._name, operation.key), Did.UNLOCK, operation.key, boot_ns())
        if isinstance(operation, Lock):
            made.did = Did.RENEW if operation.token else Did.ACQUIRE
            made.ttl_ms = operation.ttl_ms
        if isinstance(operation, Lock | Unlock):
            made.generation = self._generations.get(operation.token, 0)
        try:
            answer = await call(pool, route, operation, deadline_ns)
            self._note(made, answer)
        finally:
            made.returned_ns = boot_ns()
            self._recorder.call(made)
        return answer

    def _note(self, made: Call, answer: Answer) -> None:
        if answer.result is None:
            return
        made.ok = isinstance(answer.result, Granted | Released)
        if isinstance(answer.result, Granted):
            granted = answer.result
            made.invoked_ns = (
                answer.sent_ns
            )  # a lease counts from the attempt that was answered, an unlock from the first
            made.generation, made.seq, made.token = granted.generation, granted.seq, granted.token
            self._generations[granted.token] = granted.generation
        elif not made.ok:
            made.code = getattr(answer.result, "code", "")


def client_of(name: str, key: str) -> str:
    """Return the name under which a process holds a key."""
    return f"{name}.{key}"


class Believer:
    """Asks in a thread, all the time, which locks are held."""

    def __init__(self, name: str, recorder: Recorder) -> None:
        self._name = name
        self._recorder = recorder
        self._found: deque[Belief] = deque()
        self.locks: dict[str, LiveLock] = {}
        threading.Thread(target=self._believe, daemon=True).start()

    def _believe(self) -> None:
        while True:
            for key, lock in list(self.locks.items()):
                asked_ns = boot_ns()
                if lock.is_locked:
                    self._found.append(Belief(client_of(self._name, key), key, lock.generation, asked_ns))
            time.sleep(BELIEVE_S)

    async def write_down(self) -> None:
        """Write down beliefs until cancelled, and what is left then."""
        try:
            while True:
                self._write()
                await asyncio.sleep(LOOK_S)
        finally:
            self._write()

    def _write(self) -> None:
        while self._found:
            self._recorder.belief(self._found.popleft())


async def hold_on(name: str, key: str, client: LockClient, believer: Believer, store: StoreClient) -> None:
    """Take one lock, act under it, give it back, again and again."""
    me = client_of(name, key)
    while True:
        try:
            async with client.lock(key, ttl=TTL_S, owner=name) as lock:
                believer.locks[key] = lock
                base = await store.read(key, lock.generation)
                until_ns = boot_ns() + int(random.uniform(*HELD_S) * 1e9)  # noqa: S311 - guards nothing
                while base is not None and lock.is_locked and boot_ns() < until_ns:
                    base = await store.write(me, key, lock.generation, base) or None
                    await asyncio.sleep(ACT_S)
        except LockError:
            pass  # nobody answered, or another holds it: try again
        await asyncio.sleep(random.uniform(*BETWEEN_S))  # noqa: S311


async def run(plan: Plan) -> None:
    """Hold locks until stdin ends."""
    take_out(plan.patch)
    recorder = Recorder(Path(plan.out), notes_stalls=False)
    vars(live)["call"] = Asking(plan.name, recorder).call
    client = LockClient(",".join(plan.routes))
    client.pool = RoutedPool(plan.routes)
    store = StoreClient(plan.store)
    believer = Believer(plan.name, recorder)
    keys = [f"{plan.prefix}/{i}" for i in range(plan.keys)]
    holders = [hold_on(plan.name, key, client, believer, store) for key in keys]
    await until_stdin_ends(recorder, [*holders, believer.write_down()])
    await client.pool.close()
    await store.close()
    recorder.close()


if __name__ == "__main__":
    die_with_parent()
    asyncio.run(run(Plan(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))
