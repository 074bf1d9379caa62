"""Runs the things to try: one at a time, told while it runs, judged when it is over, and put back whatever happens.

Invariants
  N1  One at a time.
  N2  However a run ends (done, failed, cancelled, the site is stopped), the lock is released and what was held or ended
      is put back; where the site is stopped, the cluster's own end does the rest. After a crash the next site does it.
  N3  A run is over only when its row says how it ended.
Elsewhere: the steps (course), judging (verdicts), who asks (dlmsite.operations.helm).
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from django.db import DatabaseError

from dlmsite.operations import requests
from dlmsite.operations.models import ScenarioState
from dlmsite.operations.scenarios import needs, rows, situation
from dlmsite.operations.scenarios.catalog import SCENARIOS, Scenario, tell
from dlmsite.operations.scenarios.course import Course, World
from dlmsite.operations.scenarios.facts import NS_PER_MS, RENEWED, Record
from dlmsite.operations.scenarios.verdicts import Result, Verdict
from dlmsite.operations.supervisor import OperationProblem

log = logging.getLogger(__name__)

TELL_S: Final = 0.5
GIVE_UP_S: Final = 10.0
"""For a site that ends; the leases end by themselves."""
LEFT_OVER: Final = "put back after a scenario that the end of the site cut short"


class ScenarioRunner:
    """Runs one scenario at a time.

    Args:
        world: the cluster.
        changed: called when a row has been written.
    """

    def __init__(self, world: World, changed: Callable[[], None]) -> None:
        self._world = world
        self._changed = changed
        self._playing: asyncio.Task[None] | None = None
        self._busy = False
        self._unwanted = False
        self._site_ends = False
        self._due = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    async def play(self, name: str, who: str, action: int = 0) -> str:
        """Run one to its end; return what to tell.

        Args:
            name: which.
            who: in whose name.
            action: by which it was asked for.
        Raises:
            OperationProblem: it cannot be run now, or has failed.
        """
        scenario = SCENARIOS.get(name)
        if scenario is None:
            raise OperationProblem(f"there is no scenario {name!r}; there are {', '.join(SCENARIOS)}")
        if self._busy or self._site_ends:
            raise OperationProblem("one at a time: another one is under way" if self._busy else "the site is stopped")
        self._busy, self._unwanted = True, False
        self._idle.clear()
        try:
            lack = needs.lack_of(scenario, await self._world.run(partial(situation.read, but=action)))
            if lack is not None:
                raise OperationProblem(lack.text)
            return await self._play(scenario, who)
        finally:
            self._busy = False
            self._idle.set()

    async def cancel(self) -> str:
        """End the one that runs; return what to tell when everything is put back."""
        if not self._busy:
            return "nothing was being tried"
        self._give_up()
        await self._idle.wait()
        return "cancelled; everything is put back"

    async def stop(self) -> None:
        """The site ends: let go of the lock. The nodes end as well, so nothing is started again."""
        self._site_ends = True
        self._give_up()
        with suppress(TimeoutError):
            async with asyncio.timeout(GIVE_UP_S):
                await self._idle.wait()

    async def put_back_leftovers(self) -> None:
        """At the start: start again what a run had ended whose site has crashed (N2)."""
        for who, labels in await self._world.run(rows.abandon):
            for label in labels:
                seat = self._world.supervisor.seats.get(label)
                if seat is not None and not seat.alive:
                    await self._world.run(partial(requests.ask, who, "restart", label, detail=LEFT_OVER))

    # --- inside -----------------------------------------------------------------------------------------------------

    async def _play(self, scenario: Scenario, who: str) -> str:
        run_id = await self._world.run(partial(rows.begin, who, scenario.id))
        course = Course(scenario, self._world, run_id, who, self._due.set)
        telling = asyncio.create_task(self._tell_on(scenario, course, run_id))
        playing = self._playing = asyncio.create_task(course.play())
        if self._unwanted:
            playing.cancel()
        try:
            await asyncio.wait({playing})
            state, detail = _outcome(playing)
            await self._insist(partial(rows.write, run_id, state=ScenarioState.ENDING))
            state, detail = await self._clean_up(course, state, detail)
        except asyncio.CancelledError:  # the helm was ended without a word to us: the next site does the rest
            playing.cancel()
            await course.let_go()
            raise
        finally:
            self._playing = None
            telling.cancel()
        return await self._finish(scenario, course, run_id, state, detail)

    async def _clean_up(
        self, course: Course, state: ScenarioState | None, detail: str
    ) -> tuple[ScenarioState | None, str]:
        """Put everything back; return how the run has ended, by now."""
        try:
            if not self._site_ends:
                await course.put_back()
        except OperationProblem as problem:
            state, detail = ScenarioState.FAILED, f"{detail}; {problem}" if detail else str(problem)
        finally:
            await course.let_go()
        if self._site_ends:
            return ScenarioState.CANCELLED, "the site was stopped; the lock was released, and the cluster ended with it"
        await course.look()
        return state, detail

    async def _finish(
        self, scenario: Scenario, course: Course, run_id: int, state: ScenarioState | None, detail: str
    ) -> str:
        record = await course.record()
        verdicts = [expected.judge(record) for expected in scenario.expects]
        ended, text = (state, detail) if state is not None else _sum_up(verdicts)
        told = _told(scenario, course, record, verdicts)
        until_ns = self._grace_until_ns()
        await self._insist(
            partial(rows.finish, run_id, ended, text, **told, ended_by_it=[], grace_until_ns=until_ns)
        )  # fmt: skip
        self._changed()
        if ended is ScenarioState.FAILED:
            raise OperationProblem(text)
        return text

    def _give_up(self) -> None:
        self._unwanted = True
        if self._playing is not None:
            self._playing.cancel()

    async def _tell_on(self, scenario: Scenario, course: Course, run_id: int) -> None:
        """Write down how it goes, until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(TELL_S):
                    await self._due.wait()
            self._due.clear()
            try:
                record = await course.record()
                verdicts = [expected.judge(record) for expected in scenario.expects]
                await self._world.run(partial(rows.write, run_id, **_told(scenario, course, record, verdicts)))
            except DatabaseError as error:
                log.debug("a scenario could not be told: %s", error)
            self._changed()

    async def _insist(self, step: Callable[[], None]) -> None:
        """Write until it is written (N3); the recorder says what is wrong with the database."""
        while True:
            try:
                return await self._world.run(step)
            except DatabaseError:
                await asyncio.sleep(1)

    def _grace_until_ns(self) -> int | None:
        view = self._world.master.view
        left_ms = max((grace.remaining_ms for grace in view.graces), default=0) if view else 0
        return time.time_ns() + left_ms * NS_PER_MS if left_ms > 0 else None


def _outcome(playing: asyncio.Task[None]) -> tuple[ScenarioState | None, str]:
    """Return how the steps have ended; None: in order."""
    if playing.cancelled():
        return ScenarioState.CANCELLED, "cancelled; everything is put back"
    error = playing.exception()
    if error is None:
        return None, ""
    if not isinstance(error, OperationProblem):
        log.error("a scenario failed unexpectedly", exc_info=error)
        return ScenarioState.FAILED, "failed unexpectedly: see the site's log"
    return ScenarioState.FAILED, str(error)


def _sum_up(verdicts: list[Verdict]) -> tuple[ScenarioState, str]:
    """Return how a run has ended that went through all its steps."""
    count = {result: sum(verdict.result is result for verdict in verdicts) for result in Result}
    state = (
        ScenarioState.BROKEN if count[Result.BROKEN]
        else ScenarioState.UNKNOWN if count[Result.UNKNOWN]
        else ScenarioState.KEPT
    )  # fmt: skip
    told = [f"{count[Result.KEPT]} of {len(verdicts)} as expected"]
    told += [f"{count[Result.BROKEN]} not as expected"] if count[Result.BROKEN] else []
    told += [f"{count[Result.UNKNOWN]} not known"] if count[Result.UNKNOWN] else []
    return state, ", ".join(told)


def _told(scenario: Scenario, course: Course, record: Record, verdicts: list[Verdict]) -> dict[str, Any]:
    """Return what of a run goes into its row."""
    texts = {step.id: tell(step.says, course.cast) for step in scenario.steps}
    last = record.beliefs[-1] if record.beliefs else None
    return {
        "key": course.key,
        "generation": course.generation,
        "cast": course.cast,
        "before": list(course.before),
        "steps": [{**step, "says": texts[step["id"]]} for step in course.steps],
        "expects": [
            {
                "id": expected.id,
                "expected": tell(expected.says, course.cast),
                "result": verdict.result.value,
                "measured": verdict.measured,
                "at_ns": str(verdict.at_ns or ""),
                "event": str(verdict.event or ""),
            }
            for expected, verdict in zip(scenario.expects, verdicts, strict=True)
        ],
        "belief": {
            "is_locked": course.hands is not None and course.hands.is_locked,
            "what": last.what if last else "",
            "until_ms": last.until_ns / NS_PER_MS if last and last.until_ns else None,
            "renewals": sum(belief.what == RENEWED for belief in record.beliefs),
            "seen_ms": time.time_ns() / NS_PER_MS,
        },
        "facts": course.own_facts(),
        "others": [deed.detail for deed in record.others],
    }
