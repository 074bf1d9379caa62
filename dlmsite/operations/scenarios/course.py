"""One run of a scenario: its steps, one after the other, and putting everything back, however it ends.

    take -> act -> wait -> ... -> put back -> release -> the history is read until it is whole -> verdicts

Invariants
  C1  Nodes are acted on by OperatorActions alone (acting); the lock is truly held (hands).
  C2  A step that waits in vain fails nothing: what was expected of it is judged by the facts.
  C3  `put_back` may be called at any time, also twice: it looks at what is not as it was.
Elsewhere: one at a time, and cancelling (runner), facts (recorded, hands), the descriptions (catalog).
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Final

from dlmsite.operations import asking, holdrows
from dlmsite.operations.ports import Master, RunInJournal
from dlmsite.operations.scenarios import catalog, recorded
from dlmsite.operations.scenarios.acting import Acting, Wanted
from dlmsite.operations.scenarios.catalog import (
    Act,
    Challenge,
    Each,
    PutBack,
    Release,
    Scenario,
    Step,
    Take,
    Until,
    Wait,
)
from dlmsite.operations.scenarios.facts import LOST, NS_PER_MS, RENEWED, Record, Seen, in_order
from dlmsite.operations.scenarios.hands import Hands, MakeHands
from dlmsite.operations.supervisor import OperationProblem, Supervisor
from dlmsite.operations.waiting import comes_true
from lockcore.core.operations import Code
from lockcore.core.ring import position_of
from lockcore.core.view import View
from lockcore.wire.addresses import grpc_target

LOOK_S: Final = 0.05
GRACE_S: Final = 70.0
"""A little longer than a grace."""
BACK_S: Final = 60.0
"""Each restart has 30 s of its own to be settled."""
WHOLE_S: Final = 8.0
"""For the history to have the last of it: a node that was cut off tells when it is back."""
ASKED_MAX: Final = 3
"""A node that is busy is asked again."""
KEYS_TRIED: Final = 500
UNDO: Final = {holdrows.PAUSED: "resume", holdrows.ISOLATED: "heal"}


@dataclass(frozen=True, slots=True)
class World:
    """What a run works with.

    `run` runs a function in the journal's thread; `hands` makes what holds the lock.
    """

    supervisor: Supervisor
    master: Master
    run: RunInJournal
    hands: MakeHands


class Course:
    """One run.

    Args:
        scenario: what is tried.
        world: on what.
        run_id: its row.
        who: in whose name.
        changed: called when there is something new to tell.
    """

    def __init__(
        self, scenario: Scenario, world: World, run_id: int, who: str, changed: Callable[[], None] = lambda: None
    ) -> None:
        self.steps: list[dict[str, Any]] = [
            {"id": step.id, "state": "waiting", "detail": "", "began_ms": None, "ended_ms": None}
            for step in scenario.steps
        ]
        self.cast: dict[str, str] = {}
        self.key = ""
        self.generation = 0
        self.before: tuple[str, ...] = ()
        self.hands: Hands | None = None
        self._scenario = scenario
        self._world = world
        self._who = who
        self._run_id = run_id
        self._changed = changed
        self._acting = Acting(world.run, run_id, who)
        self._scope: recorded.Scope | None = None
        self._after: tuple[str, ...] | None = None
        self._seen: tuple[Seen, ...] = ()

    async def play(self) -> None:
        """Go through the steps.

        Raises:
            OperationProblem: one cannot be done.
        """
        view = self._world.master.view
        labels = self._labels()
        self.before = in_order(labels[a] for a in view.up if a in labels) if view else ()
        self._scope = await self._world.run(partial(recorded.begin, time.time_ns()))
        for step, told in zip(self._scenario.steps, self.steps, strict=True):
            told |= {"state": "running", "began_ms": _now_ms()}
            self._changed()
            try:
                told["state"] = await self._do(step)
            except BaseException:
                told["state"] = "failed"
                raise
            finally:
                told["ended_ms"] = _now_ms()
                self._changed()

    async def put_back(self) -> None:
        """Let go what is held, start what was ended, wait until all is settled (C3).

        Raises:
            OperationProblem: something is not as it was.
        """
        await self._acting.idle()
        held = await self._world.run(holdrows.everything)
        undone: list[Wanted] = [(UNDO[hold.kind], hold.label, {}) for hold in held if hold.label in self.cast.values()]
        if undone:
            await self._acting.do(undone)
        seats = self._world.supervisor.seats
        ended: list[Wanted] = [("restart", label, {}) for label in self.before if not seats[label].alive]
        if ended:
            await self._acting.do(ended)
        if not await comes_true(lambda: self._settled, BACK_S):
            raise OperationProblem(f"the cluster has not settled within {BACK_S:.0f} s of putting everything back")

    async def let_go(self) -> None:
        """Release the lock, and end whoever asks for it. Never raises."""
        if self.hands is not None:
            await self.hands.release()

    async def look(self) -> None:
        """See who serves in the end, and wait until the history has it all."""
        view, labels = self._world.master.view, self._labels()
        self._after = in_order(labels.get(a, a) for a in view.up) if view else ()
        deadline = time.monotonic() + (WHOLE_S if self.generation else 0)
        while (await self.record()).gap and time.monotonic() < deadline:  # noqa: ASYNC110 - rows tell nobody
            await asyncio.sleep(2 * LOOK_S)

    async def record(self) -> Record:
        """Return all that is known by now."""
        known = Record(
            primary=self.cast.get(catalog.PRIMARY, ""),
            backup=self.cast.get(catalog.BACKUP, ""),
            generation=self.generation,
            beliefs=tuple(self.hands.beliefs) if self.hands else (),
            answers=tuple(self.hands.answers) if self.hands else (),
            seen=self._seen,
            before=self.before,
            after=self._after,
        )
        if self._scope is None:
            return known
        self._scope = replace(self._scope, key=self.key, actions=tuple(self._acting.actions))
        return await self._world.run(partial(recorded.add_recorded, known, self._scope))

    def own_facts(self) -> dict[str, Any]:
        """Return as JSON what only this run has heard."""
        if self.hands is None:
            return {}
        return {
            "beliefs": [asdict(belief) for belief in self.hands.beliefs],
            "answers": [asdict(answer) for answer in self.hands.answers],
            "seen": [asdict(seen) for seen in self._seen],
        }

    # --- steps ------------------------------------------------------------------------------------------------------

    async def _do(self, step: Step) -> str:
        """Do a step; return its state."""
        match step.doing:
            case Take():
                await self._take()
            case Act(deeds, options):
                await self._acting.do([(what, self.cast[role], options) for what, role in deeds])
            case Each(what):
                for label in self.before:
                    await self._acting.do([(what, label, {})])
            case Wait(until, within_s):
                return "done" if await self._wait(until, within_s) else "late"
            case Challenge():
                label = self.cast[catalog.PRIMARY]
                if self.hands is not None:
                    self.hands.challenge(label, self._world.supervisor.seats[label].address)
            case PutBack():
                await self.put_back()
            case Release():
                await self._ask_everybody()
                await self.let_go()
        return "done"

    async def _take(self) -> None:
        view, labels = self._world.master.view, self._labels()
        if view is None:
            raise OperationProblem("there is no ring to take a lock on")
        self.key = await self._place(f"try/{self._scenario.id}/{self._run_id}")
        view, labels = self._world.master.view or view, self._labels()
        primary, backup = view.ring.owners(self.key)
        self.cast = {
            role: labels[address]
            for role, address in zip((catalog.PRIMARY, catalog.BACKUP), (primary, backup), strict=True)
            if address
        }
        living = [seat.address for seat in self._world.supervisor.seats.values() if seat.alive]
        self.hands = self._world.hands(",".join(map(grpc_target, living)), catalog.TTL_S)
        self.generation = await self.hands.take(self.key, self._who)

    async def _place(self, stem: str) -> str:
        """Return the name of a lock that can be had, once there is one: a grace comes to its end by itself."""
        deadline = time.monotonic() + GRACE_S
        while True:
            view = self._world.master.view
            if view is not None:
                try:
                    return choose_key(view, stem, set(self._labels()))
                except OperationProblem as problem:
                    if not view.graces or time.monotonic() >= deadline:
                        raise
                    self.steps[0]["detail"] = str(problem)
            await asyncio.sleep(10 * LOOK_S)

    async def _wait(self, until: Until, within_s: float) -> bool:
        since_ns = time.time_ns()
        return await comes_true(lambda: self._has_come(until, since_ns), within_s)

    def _has_come(self, until: Until, since_ns: int) -> bool:
        if self.hands is None:
            return False
        match until:
            case Until.RENEWED:
                return any(b.what == LOST or (b.what == RENEWED and b.sent_ns >= since_ns) for b in self.hands.beliefs)
            case Until.SERVED:
                return any(not a.node and a.says == Code.HELD and a.until_ns >= since_ns for a in self.hands.answers)
            case Until.OUT:
                view, seat = self._world.master.view, self._world.supervisor.seats[self.cast[catalog.PRIMARY]]
                return view is not None and seat.address not in view.up
            case Until.SETTLED:
                return self._settled

    async def _ask_everybody(self) -> None:
        """Ask each node what it knows of the lock, while it is held."""
        address_of = {label: self._world.supervisor.seats[label].address for label in self.before}
        known: dict[str, int | None] = dict.fromkeys(self.before)
        for _ in range(ASKED_MAX):
            silent = [address_of[label] for label, generation in known.items() if generation is None]
            told = await asking.ask_keys(silent, self.key) if silent else {}
            heard = {address: seen.order[0] for address, seen in told.items() if seen is not None}
            known = {label: heard.get(address_of[label], known[label]) for label in known}
        self._seen = tuple(Seen(label, generation) for label, generation in known.items())

    # --- how things are -----------------------------------------------------------------------------------------------

    @property
    def _settled(self) -> bool:
        """Whether everybody of before serves, with all locks."""
        view, seats = self._world.master.view, self._world.supervisor.seats
        back = all(
            seats[label].alive and view is not None and (member := self._world.supervisor.member_of(seats[label]))
            and view.is_up(member)
            for label in self.before
        )  # fmt: skip
        return back and self._world.master.settled

    def _labels(self) -> dict[str, str]:
        """Return address -> label of the nodes whose processes are ours."""
        return {seat.address: seat.label for seat in self._world.supervisor.seats.values() if seat.alive}


def choose_key(view: View, stem: str, ours: set[str]) -> str:
    """Return the name of a lock whose nodes are ours, where nothing waits out a grace.

    Raises:
        OperationProblem: there is no such place on the ring.
    """
    for number in range(KEYS_TRIED):
        key = f"{stem}-{number}" if number else stem
        owners = [address for address in view.ring.owners(key) if address]
        in_grace = any(position_of(key) in grace.region for grace in view.graces)
        if owners and ours.issuperset(owners) and not in_grace:
            return key
    wait_s = max((grace.remaining_ms for grace in view.graces), default=0) / 1_000
    raise OperationProblem(
        f"no lock can be taken for another {wait_s:.0f} s: nodes that held some have died, and their holders may come "
        "back until then"
        if wait_s
        else "no lock can be taken on nodes that were started here"
    )


def _now_ms() -> float:
    return time.time_ns() / NS_PER_MS
