"""The helm: claims what operators asked for, has it done, and says how it ended.

An action is done when the master shows its result, not when a signal was sent or a process was started.

Invariants
  H1  Every claimed action ends, done or failed, within its deadline.
  H2  At most one action at a time on one target.
Elsewhere: processes (supervisor), rows (requests), whose turn it is in a plan (turns), what came of one
(concluding), the workload's process (workload), nodes that are held (holds), rehearsals (rehearsal),
things to try (scenarios).
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from itertools import count
from signal import SIGKILL, SIGTERM
from typing import Final, Protocol

from django.db import DatabaseError

from dlmsite.operations import holdrows, planrows, requests
from dlmsite.operations.concluding import conclude
from dlmsite.operations.holds import Holds
from dlmsite.operations.locks import Locks
from dlmsite.operations.models import OperatorAction
from dlmsite.operations.ports import EventSink, Master, RunInJournal
from dlmsite.operations.rehearsal import RehearsalRunner
from dlmsite.operations.scenarios.runner import ScenarioRunner
from dlmsite.operations.scenarios.situation import TRY
from dlmsite.operations.seats import NODES_MAX, next_label
from dlmsite.operations.supervisor import OperationProblem, Seat, Supervisor, describe_end
from dlmsite.operations.turns import Turns
from dlmsite.operations.waiting import comes_true
from lockcore.core.events import Event, EventBatch, EventKind, NumberedEvent
from lockcore.core.operations import ForceRelease
from lockcore.core.view import MemberId

log = logging.getLogger(__name__)

POLL_S: Final = 0.2
KILL_S: Final = 10.0
LEAVE_S: Final = 20.0
"""A node gives itself ten seconds to hand over; its successor needs a moment as well."""
JOIN_S: Final = 30.0


class Workload(Protocol):
    """The clients that keep the picture alive."""

    async def switch(self, *, on: bool) -> str:
        """Start or stop them; return what to tell. Raises OperationProblem."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What the helm acts with, beside processes."""

    workload: Workload
    holds: Holds
    rehearsal: RehearsalRunner
    locks: Locks
    scenarios: ScenarioRunner


class Helm:
    """Carries out operators' actions.

    Args:
        supervisor: owns the processes.
        master: shows results.
        tools: the workload that is switched, and what holds nodes and rehearses.
        sink: takes the events that tell of actions.
        run: runs a function in the journal's thread.
    """

    def __init__(
        self, supervisor: Supervisor, master: Master, tools: Tools, sink: EventSink, run: RunInJournal
    ) -> None:
        self._supervisor = supervisor
        self._master = master
        self._workload = tools.workload
        self._holds = tools.holds
        self._holds.tell = self._tell_of_node
        self._rehearsal = tools.rehearsal
        self._locks = tools.locks
        self._turns = Turns(master, run)
        self._sink = sink
        self._run = run
        self._incarnation = time.time_ns()
        self._numbers = count(1)
        self._targets: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._under_way: set[asyncio.Task[None]] = set()
        self._deeds: dict[str, Callable[[OperatorAction], Awaitable[str]]] = {
            "kill": self._kill,
            "stop": self._stop,
            "restart": self._restart,
            "add": self._add,
            "workload": self._switch_workload,
            "pause": self._pause,
            "resume": lambda action: self._holds.undo(action.target, holdrows.PAUSED),
            "isolate": self._isolate,
            "heal": lambda action: self._holds.undo(action.target, holdrows.ISOLATED),
            "rehearse": self._rehearse,
            "release": self._release,
            "stop rehearsal": lambda _: self._rehearsal.stop(),
            TRY: lambda action: tools.scenarios.play(action.target, action.who, action.pk),
            "stop trying": lambda _: tools.scenarios.cancel(),
        }

    async def run(self) -> None:
        """Claim and carry out, until cancelled."""
        try:
            await self._run(requests.abandon)
            for plan_id in await self._run(planrows.unconcluded):  # its site ended meanwhile
                self._begin(conclude(plan_id, self._master, self._run))
            while True:
                try:
                    for action in await self._run(requests.claim):
                        self._begin(self._carry_out(action))
                except DatabaseError as error:
                    log.warning("actions cannot be read: %s", error)
                await asyncio.sleep(POLL_S)
        finally:
            # Nothing may start a node any more when the nodes are being ended; the next supervisor fails these rows.
            for task in self._under_way:
                task.cancel()

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _carry_out(self, action: OperatorAction) -> None:
        label = f"{action.what} {action.target}".strip()
        of = f" in plan {action.plan_id}" if action.plan_id is not None else ""
        self._tell(action, f"{action.who}: {label} requested{of}")
        done = False
        try:
            await self._turns.wait(action)
            action.view_from = self._view_number()
            # A second request for the same thing to try is refused: it must not wait for the first, and then be done.
            place = f"{action.what} {action.pk}" if action.what == TRY else action.target or action.what
            async with self._targets[place]:
                detail = await self._deeds[action.what](action)
            done = True
        except OperationProblem as problem:
            detail = str(problem)
        except KeyError:
            detail = f"{action.what!r} is nothing that can be done"
        except Exception:
            log.exception("action %d (%s) failed unexpectedly", action.pk, label)
            detail = "failed unexpectedly: see the site's log"
        await self._insist_on_end(action, done=done, detail=detail)
        self._turns.ended()
        await self._conclude_plan(action)
        label = f"{action.what} {action.target}".strip()
        self._tell(action, f"{action.who}: {label} {'done' if done else 'failed'}: {detail}")

    async def _conclude_plan(self, action: OperatorAction) -> None:
        """After the last action of a plan, see to it that what came of it is written down."""
        plan_id = action.plan_id
        if plan_id is not None and await self._run(lambda: requests.plan_ended(plan_id)):
            self._begin(conclude(plan_id, self._master, self._run))

    async def _insist_on_end(self, action: OperatorAction, *, done: bool, detail: str) -> None:
        seat = self._supervisor.seats.get(action.target)
        reach = requests.Reach(seat.address if seat else "", action.view_from, self._view_number())
        while True:
            try:
                await self._run(
                    lambda: requests.finish(action.pk, done=done, detail=detail, target=action.target, reach=reach)
                )
            except DatabaseError:  # the recorder says what is wrong with it
                await asyncio.sleep(1)
            else:
                return

    def _tell(self, action: OperatorAction, detail: str) -> None:
        self._tell_of_node(action.target, detail, action.who, action.pk)

    def _tell_of_node(self, label: str, detail: str, who: str = "", action: int = 0) -> None:
        """Tell what is done to a node; `seq` of such an event is the number of the action."""
        seat, view = self._supervisor.seats.get(label), self._master.view
        event = Event(EventKind.OPERATOR, owner=who, peer=seat.address if seat else "", seq=action, detail=detail)
        if view is not None:
            event = replace(event, view=view.number, version=view.version)
        told = NumberedEvent(next(self._numbers), time.time_ns(), event)
        self._begin(self._record(EventBatch("site", self._incarnation, (told,))))

    async def _record(self, batch: EventBatch) -> None:
        try:
            await self._sink(batch)
        except Exception as error:  # noqa: BLE001 - the action itself is a row all the same
            log.warning("an operator's action was not told as an event: %r", error)

    def _view_number(self) -> int | None:
        return self._master.view.number if self._master.view else None

    # --- deeds ------------------------------------------------------------------------------------------------------

    async def _kill(self, action: OperatorAction) -> str:
        seat = self._supervisor.send(action.target, SIGKILL)
        pid = await self._ended(seat, KILL_S, "SIGKILL")
        view = await self._left_the_view(seat)
        return f"process {pid} was killed{view}"

    async def _stop(self, action: OperatorAction) -> str:
        self._holds.refuse_paused(action.target)
        seat = self._supervisor.send(action.target, SIGTERM)
        pid = await self._ended(seat, LEAVE_S, "a goodbye")
        view = await self._left_the_view(seat)
        return f"process {pid} has left: {describe_end(seat)}{view}"

    async def _restart(self, action: OperatorAction) -> str:
        seat = self._supervisor.seats.get(action.target)
        if seat is None:
            raise OperationProblem(f"there is no node {action.target}")
        self._holds.refuse_paused(action.target)
        if seat.alive:
            self._supervisor.send(action.target, SIGTERM)
            await self._ended(seat, LEAVE_S, "a goodbye")
        return await self._joined(self._supervisor.start(action.target))

    async def _add(self, action: OperatorAction) -> str:
        label = action.target or next_label(self._supervisor.seats)
        if label is None:
            raise OperationProblem(f"all {NODES_MAX} labels are in use: restart a node that was stopped")
        if label in self._supervisor.seats:
            raise OperationProblem(f"{label} has been added by somebody else meanwhile")
        action.target = label
        return await self._joined(self._supervisor.start(label))

    async def _switch_workload(self, action: OperatorAction) -> str:
        return await self._workload.switch(on=action.target == "on")

    async def _pause(self, action: OperatorAction) -> str:
        return await self._holds.pause(action.target, action.options["seconds"], action.who)

    async def _isolate(self, action: OperatorAction) -> str:
        asked = action.options
        return await self._holds.isolate(action.target, asked["scope"], asked["way"], asked["seconds"], action.who)

    async def _rehearse(self, action: OperatorAction) -> str:
        asked = action.options
        return await self._rehearsal.rehearse(asked["seconds"], asked["nodes"], asked["seed"], action.who)

    async def _release(self, action: OperatorAction) -> str:
        asked = action.options
        reason = f"{action.who}: {asked['reason']}"
        told = await self._locks.release(ForceRelease(asked["key"], int(asked["generation"]), reason))
        return f"{action.detail}; {told}" if action.detail else told

    # --- results ----------------------------------------------------------------------------------------------------

    async def _ended(self, seat: Seat, within_s: float, by: str) -> int:
        process = seat.process
        if process is None:
            raise OperationProblem(f"{seat.label} is not running")
        self._supervisor.member_of(seat)  # while the master still knows it
        try:
            async with asyncio.timeout(within_s):
                await process.exited.wait()
        except TimeoutError:
            raise OperationProblem(f"process {process.pid} has not ended within {within_s:.0f} s of {by}") from None
        return process.pid

    async def _left_the_view(self, seat: Seat) -> str:
        member = self._supervisor.member_of(seat)
        if member is None:
            return "; it had never joined the ring"
        if not await comes_true(lambda: not self._is_up(member), KILL_S):
            raise OperationProblem(f"{seat.label} has ended, but the master has not taken it out of the ring")
        view = self._master.view
        return f"; out of the ring in view {view.number}" if view else ""

    async def _joined(self, seat: Seat) -> str:
        process = seat.process
        if process is None:
            raise OperationProblem(f"{seat.label} was not started")
        await comes_true(lambda: not seat.alive or self._has_settled(seat), JOIN_S)
        if not seat.alive:
            last = self._supervisor.logs.last_line(seat.label)
            raise OperationProblem(f"{seat.label} ended at once ({describe_end(seat)}): {last or 'it printed nothing'}")
        view = self._master.view
        if view is None or not self._has_settled(seat):
            raise OperationProblem(
                f"{seat.label} runs (process {process.pid}) but has not joined the ring within {JOIN_S:.0f} s"
            )
        return f"process {process.pid} has joined in view {view.number}"

    def _is_up(self, member: MemberId) -> bool:
        view = self._master.view
        return view is not None and view.is_up(member)

    def _has_settled(self, seat: Seat) -> bool:
        member = self._supervisor.member_of(seat)
        return member is not None and self._is_up(member) and self._master.settled
