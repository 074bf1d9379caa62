"""Holding nodes: paused by SIGSTOP, or cut off by themselves, each for a time that is kept.

    row -> signal or RPC -> seen to be so (the row is shown) -> its time, or an operator -> undone -> seen -> no row

Invariants
  K1  A node is held once at a time, and what holds it can always be undone.
  K2  A paused node is resumed at its time, also by the site's next life: the row outlives the process that wrote it.
  K3  A site that ends leaves no stopped process behind.
  K4  Nothing is told as done that was not seen: in /proc, or in the node's own word.
Elsewhere: cutting (lockcore.service.isolation), rows (holdrows), who asks (helm).
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from signal import SIGCONT, SIGSTOP
from typing import Final

from django.db import DatabaseError

from dlmsite.operations import asking, holdrows
from dlmsite.operations.models import Hold
from dlmsite.operations.ports import RunInJournal
from dlmsite.operations.procs import WatchedProcess, is_stopped
from dlmsite.operations.supervisor import OperationProblem, Seat, Supervisor
from lockcore.service.channels import Gate
from lockcore.wire.rehearsal_codec import Isolation, Scope, Way

log = logging.getLogger(__name__)

SECONDS_MIN: Final = 1
SECONDS_MAX: Final = 60
SECONDS_DEFAULT: Final = 5
STATE_S: Final = 2.0
"""The kernel stops and continues a process in less."""
LOOK_S: Final = 0.01
AGAIN_S: Final = 1.0
"""Between two attempts to undo what could not be undone at its time."""

Tell = Callable[[str, str], None]
"""Takes the label of a node and what happened to it."""


@dataclass(slots=True)
class _Held:
    row: Hold
    seat: Seat
    process: WatchedProcess
    left_s: float | None
    minder: asyncio.Task[None] | None = None


class Holds:
    """What is held now.

    Args:
        supervisor: owns the processes.
        gate: proves to nodes that we belong to their cluster.
        run: runs a function in the journal's thread.
    """

    def __init__(self, supervisor: Supervisor, gate: Gate, run: RunInJournal) -> None:
        self.tell: Tell = lambda _label, _detail: None
        self._supervisor = supervisor
        self._gate = gate
        self._run = run
        self._held: dict[str, _Held] = {}

    # --- what operators ask for -------------------------------------------------------------------------------------

    async def pause(self, label: str, seconds: float | None, who: str) -> str:
        """Stop a process; return what to tell when it stands still. Raises OperationProblem."""
        held = await self._begin(label, Hold(kind=holdrows.PAUSED, who=who), seconds)
        held.process.send(SIGSTOP)
        await self._confirm(held, seen=await _comes(lambda: is_stopped(held.process.identity)))
        return f"process {held.process.pid} stands still{_for(seconds)}"

    async def isolate(self, label: str, scope: str, way: str, seconds: float | None, who: str) -> str:
        """Have a node cut itself off; return what to tell when it says so. Raises OperationProblem."""
        row = Hold(kind=holdrows.ISOLATED, scope=scope, way=way, who=who)
        held = await self._begin(label, row, seconds)
        wanted = Isolation(Scope(scope), Way(way), round((seconds or 0) * 1_000))
        found = await asking.isolate(held.seat.address, self._gate, wanted)
        await self._confirm(held, seen=found is not None and found.scope is wanted.scope)
        return f"it says that it is {holdrows.tell(row)}{_for(seconds)}"

    async def undo(self, label: str, kind: str) -> str:
        """Resume or heal a node now; return what to tell when it is so. Raises OperationProblem."""
        held = self._held.get(label)
        if held is None or held.row.kind != kind:
            raise OperationProblem(f"{label} is not {kind}")
        await self._undo(held)
        if held.minder is not None:
            held.minder.cancel()
        await self._forget(held)
        return f"process {held.process.pid} runs again" if kind == holdrows.PAUSED else "it says that nothing is cut"

    def refuse_paused(self, label: str) -> None:
        """Raise OperationProblem if a node stands still: it could not do as it is told."""
        held = self._held.get(label)
        if held is not None and held.row.kind == holdrows.PAUSED:
            raise OperationProblem(f"{label} is paused: resume it first")

    # --- across lives of the site -----------------------------------------------------------------------------------

    async def adopt(self) -> None:
        """Take over what an earlier site held, and resume what stands still without a reason (K2)."""
        rows = {row.label: row for row in await self._run(holdrows.everything)}
        for seat in list(self._supervisor.seats.values()):
            process, row = seat.process, rows.pop(seat.label, None)
            if process is None or not seat.alive:
                if row is not None:
                    rows[seat.label] = row
                continue
            if row is None or row.pid != process.pid or not await self._still(row, seat):
                process.send(SIGCONT)
                if row is not None:
                    await self._run(partial(holdrows.forget, seat.label))
        for label in rows:
            await self._run(partial(holdrows.forget, label))

    async def _still(self, row: Hold, seat: Seat) -> bool:
        """Take a hold over if it is one; say whether it was."""
        process = seat.process
        if process is None:
            return False
        left_s = holdrows.left_s(row, SECONDS_MAX)
        if row.kind == holdrows.PAUSED:
            if not is_stopped(process.identity):
                return False
        else:
            found = await asking.isolated(seat.address, self._gate)
            if found is not None and found.scope is Scope.NOTHING:
                return False
            if found is not None:
                left_s = found.heal_ms / 1_000 if found.heal_ms else None
        held = self._held[row.label] = _Held(row, seat, process, left_s)
        await self._confirm(held, seen=True)
        return True

    async def release_all(self) -> None:
        """Undo everything: the site ends (K3)."""
        for held in list(self._held.values()):
            if held.minder is not None:
                held.minder.cancel()
            with suppress(OperationProblem, DatabaseError):
                await self._undo(held)
                await self._forget(held)
        self.let_go()

    def let_go(self) -> None:
        """Let every node of ours run; those that do already do not notice (K3)."""
        for held in self._held.values():
            if held.minder is not None:
                held.minder.cancel()
        for seat in self._supervisor.seats.values():
            if seat.process is not None and seat.alive:
                seat.process.send(SIGCONT)

    # --- inside -----------------------------------------------------------------------------------------------------

    async def _begin(self, label: str, row: Hold, seconds: float | None) -> _Held:
        seat = self._supervisor.seats.get(label)
        if seat is None or seat.process is None or not seat.alive:
            raise OperationProblem(f"{label} is not running")
        if label in self._held:
            raise OperationProblem(f"{label} is {holdrows.tell(self._held[label].row)} already: end that first")
        row.label, row.pid = label, seat.process.pid
        held = self._held[label] = _Held(row, seat, seat.process, seconds)
        try:
            await self._run(partial(holdrows.begin, row))
        except BaseException:
            del self._held[label]
            raise
        return held

    async def _confirm(self, held: _Held, *, seen: bool) -> None:
        """Show a hold that was seen and mind its end; take back one that was not."""
        label, left_s = held.row.label, held.left_s
        if not seen:
            held.process.send(SIGCONT)
            if held.row.kind == holdrows.ISOLATED:
                await asking.isolate(held.seat.address, self._gate, Isolation())  # what was said may yet be heard
            await self._forget(held)
            raise OperationProblem(f"{label} was not seen to be {holdrows.tell(held.row)} within {STATE_S:.0f} s")
        held.minder = asyncio.create_task(self._mind(held), name=f"hold of {label}")
        await self._run(partial(holdrows.confirm, label, left_s))
        self._supervisor.on_change()

    async def _mind(self, held: _Held) -> None:
        """Wait for its time, or for the end of the process."""
        wait_s = held.left_s
        while True:
            try:
                async with asyncio.timeout(wait_s):
                    await held.process.exited.wait()
                break
            except TimeoutError:
                wait_s = AGAIN_S
            try:
                await self._undo(held)
            except OperationProblem as problem:
                log.warning("at its time: %s", problem)
            else:
                self.tell(held.row.label, f"{held.row.label} is no longer {holdrows.tell(held.row)}: its time was over")
                break
        held.minder = None
        while held.row.label in self._held:
            try:
                await self._forget(held)
            except DatabaseError as error:
                log.warning("the end of a hold could not be written down: %s", error)
                await asyncio.sleep(AGAIN_S)

    async def _undo(self, held: _Held) -> None:
        if held.row.kind == holdrows.PAUSED:
            held.process.send(SIGCONT)
            done = await _comes(lambda: not is_stopped(held.process.identity))
        else:
            found = await asking.isolate(held.seat.address, self._gate, Isolation())
            done = found is not None and found.scope is Scope.NOTHING
        if not done and not held.process.exited.is_set():
            raise OperationProblem(f"{held.row.label} is still {holdrows.tell(held.row)}: it does not answer")

    async def _forget(self, held: _Held) -> None:
        await self._run(partial(holdrows.forget, held.row.label))
        if self._held.get(held.row.label) is held:
            del self._held[held.row.label]
        self._supervisor.on_change()


async def _comes(condition: Callable[[], bool]) -> bool:
    """Say whether it became true in time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(STATE_S):
            while not condition():  # noqa: ASYNC110 - the kernel tells nobody
                await asyncio.sleep(LOOK_S)
            return True
    return False


def _for(seconds: float | None) -> str:
    return ", until it is told to go on" if seconds is None else f", for {seconds:g} s"
