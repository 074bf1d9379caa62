"""A process that holds locks with Lockring's own client, and believes what it is told by it.

It is what is stopped with SIGSTOP, and cut from answers. Before each act it
asks `is_locked`, and writes down the belief and when it asked; then it acts:
a write to the store. It renews and loses as any program does.

    python -m lockcore.testing.chaos.holding PLAN.json      (ends when stdin ends)

Elsewhere: the client (lockcore.client), the rule over beliefs (beliefs).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
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
from lockcore.testing.history import Call, Did

if TYPE_CHECKING:
    from lockcore.client.machine import Answer
    from lockcore.client.pool import Pool
    from lockcore.client.route import Route
    from lockcore.core.operations import Operation

TTL_S: Final = 3.0
HELD_S: Final = (2.0, 8.0)
BETWEEN_S: Final = (0.02, 0.3)
LOOK_S: Final = 0.03


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
        made.invoked_ns = answer.sent_ns
        made.ok = isinstance(answer.result, Granted | Released)
        if isinstance(answer.result, Granted):
            granted = answer.result
            made.generation, made.seq, made.token = granted.generation, granted.seq, granted.token
            self._generations[granted.token] = granted.generation
        elif not made.ok:
            made.code = getattr(answer.result, "code", "")


def client_of(name: str, key: str) -> str:
    """Return the name under which a process holds a key."""
    return f"{name}.{key}"


async def hold_on(name: str, key: str, client: LockClient, recorder: Recorder, store: StoreClient) -> None:
    """Take one lock, act under it, give it back, again and again."""
    me = client_of(name, key)
    while True:
        try:
            async with client.lock(key, ttl=TTL_S, owner=name) as lock:
                generation = lock.generation
                base = await store.read(key, generation)
                until_ns = boot_ns() + int(random.uniform(*HELD_S) * 1e9)  # noqa: S311 - guards nothing
                while base is not None and boot_ns() < until_ns:
                    asked_ns = boot_ns()
                    if not lock.is_locked:
                        break
                    recorder.belief(Belief(me, key, generation, asked_ns))
                    base = await store.write(me, key, generation, base) or None
                    await asyncio.sleep(LOOK_S)
        except LockError:
            pass  # nobody answered, or another holds it: try again
        await asyncio.sleep(random.uniform(*BETWEEN_S))  # noqa: S311


async def run(plan: Plan) -> None:
    """Hold locks until stdin ends."""
    recorder = Recorder(Path(plan.out), notes_stalls=False)
    vars(live)["call"] = Asking(plan.name, recorder).call
    client = LockClient(",".join(plan.routes))
    client.pool = RoutedPool(plan.routes)
    store = StoreClient(plan.store)
    keys = [f"{plan.prefix}/{i}" for i in range(plan.keys)]
    await until_stdin_ends(recorder, [hold_on(plan.name, key, client, recorder, store) for key in keys])
    await client.pool.close()
    await store.close()
    recorder.close()


if __name__ == "__main__":
    die_with_parent()
    asyncio.run(run(Plan(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))
