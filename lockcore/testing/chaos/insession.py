"""A process of programs that work in sessions: queues, byte ranges, and taking over from one session by the next.

Each writes down what it believed to hold, from the answer until it let go, or
until it was told, or saw by its clock, that it has it no more. Whatever it
lost without having let go of it is written down as well: no single fault may
cost anything, and two at once neither, for sessions heal.

    python -m lockcore.testing.chaos.insession PLAN.json      (ends when stdin ends)

Elsewhere: the rule (holds), programs without sessions (client, holding).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from lockcore.client.client import LockClient
from lockcore.client.clock import boot_ns
from lockcore.core.operations import How
from lockcore.core.rangerecords import OFFSET_MAX, Kind
from lockcore.errors import LockError
from lockcore.testing.chaos.client import Plan, RoutedPool, until_stdin_ends
from lockcore.testing.chaos.dying import die_with_parent
from lockcore.testing.chaos.records import Hold, Recorder
from lockcore.testing.chaos.unsafe import take_out

if TYPE_CHECKING:
    from lockcore.client.session import Session

TTL_S: Final = 20.0
WAIT_S: Final = 5.0
HELD_S: Final = (0.05, 2.0)
BETWEEN_S: Final = (0.02, 0.2)
LOOK_S: Final = 0.02
FILE: Final = 40
"""Bytes that programs contend for."""
MOVES: Final = 0.1
"""So often a program goes on in another session, as a new process would."""


class Program:
    """One session after the other; one lock and one range at a time."""

    def __init__(self, name: str, plan: Plan, client: LockClient, recorder: Recorder) -> None:
        self._name = name
        self._plan = plan
        self._client = client
        self._recorder = recorder
        self._random = random.Random(f"{plan.seed}/{name}")  # noqa: S311 - a seed must give the same choices
        self._session: Session | None = None
        self._moving = False

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            session = self._session
            try:
                if session is None:
                    session = self._session = await self._client.session(self._name, ttl=TTL_S).open()
                await self._work(session)
            except LockError:
                pass  # somebody else has it, or nobody answered
            if self._session is session and session is not None and not session.is_alive:
                self._recorder.lost(self._name, f"its session: {session.loss_reason}", boot_ns())
                self._session = None
            await asyncio.sleep(self._random.uniform(*BETWEEN_S))

    async def _work(self, session: Session) -> None:
        """Hold a lock and some bytes for a while; go on in another session with some of them."""
        draw = self._random
        number = int(draw.random() ** 2 * self._plan.keys)
        kind, start = draw.choice([Kind.READ, Kind.WRITE]), draw.randrange(FILE)
        key, file = f"{self._plan.prefix}/{number}", session.ranges(f"file/{number}", on_lost=self._note_loss)
        lock = await session.lock(key, wait=WAIT_S, on_lost=self._note_loss).acquire()
        held = [Hold(self._name, f"lock {key}", Kind.WRITE, 0, OFFSET_MAX, lock.generation, boot_ns())]
        try:
            piece = await file.setlkw(kind, start, draw.randint(1, 8), wait=WAIT_S)
            end = piece.start + piece.length - 1
            held.append(Hold(self._name, file.key, piece.kind, piece.start, end, piece.fence, boot_ns()))
            held = await self._keep(session, held, draw.uniform(*HELD_S))
            if draw.random() < MOVES:
                moved, held = held, []
                await self._move(session, moved)
        finally:
            self._write(held, session)
            if session.is_alive:
                await asyncio.gather(file.unlck(), lock.release(), return_exceptions=True)

    async def _keep(self, session: Session, held: list[Hold], for_s: float) -> list[Hold]:
        """Believe for a while, as long as the session says that it may."""
        until_ns = boot_ns() + int(for_s * 1e9)
        while boot_ns() < until_ns:
            asked_ns = boot_ns()
            if not session.is_alive:
                return held
            held = [replace(hold, to_ns=asked_ns) for hold in held]
            await asyncio.sleep(LOOK_S)
        return held

    async def _move(self, old: Session, held: list[Hold]) -> None:
        """Go on with what the old session held, without a break."""
        self._moving, self._session = True, None
        new = self._client.session(self._name, ttl=TTL_S)
        try:
            taken = await (await new.open()).take_over(old.proof)
            for key in taken.lost:
                self._recorder.lost(self._name, f"{key} in a migration", boot_ns())
            if any(locked.how is not How.MIGRATED for locked in taken.ranges.values()):
                self._recorder.lost(self._name, "a range that was not migrated, but newly got", boot_ns())
            held = await self._keep(new, held, self._random.uniform(*HELD_S))
        except LockError:
            self._write(held, old)
            await new.close()
            raise
        else:
            self._write(held, new)
            await asyncio.gather(*(lock.release() for lock in taken.locks.values()))
            await asyncio.gather(*(new.ranges(key).unlck() for key in taken.ranges), return_exceptions=True)
            self._session = new
        finally:
            await old.close()
            self._moving = False

    def _write(self, held: list[Hold], session: Session) -> None:
        now_ns = boot_ns()
        for hold in held:
            self._recorder.hold(replace(hold, to_ns=now_ns) if session.is_alive else hold)

    def _note_loss(self, what: object) -> None:
        if not self._moving:
            self._recorder.lost(self._name, f"{what!r}", boot_ns())


async def run(plan: Plan) -> None:
    """Work until stdin ends."""
    take_out(plan.patch)
    recorder = Recorder(Path(plan.out))
    client = LockClient(",".join(plan.routes))
    client.pool = RoutedPool(plan.routes)
    programs = [Program(f"{plan.name}.{i}", plan, client, recorder) for i in range(plan.workers)]
    await until_stdin_ends(recorder, (program.run() for program in programs))
    await client.pool.close()
    recorder.close()


if __name__ == "__main__":
    die_with_parent()
    asyncio.run(run(Plan(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))
