"""One run: start everything, one fault after another until the time is up, judge, end everything.

Elsewhere: the command line (__main__).
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from lockcore.client.clock import boot_ns
from lockcore.testing.chaos.client import TTLS_MS, Plan
from lockcore.testing.chaos.cluster import HOLDERS, SPOOL_FOLDER, Cluster
from lockcore.testing.chaos.evidence import deeds_of
from lockcore.testing.chaos.facts import Journal, Tail
from lockcore.testing.chaos.faults import Faults
from lockcore.testing.chaos.kinds import OF_HOLDERS, Kind
from lockcore.testing.chaos.measure import Watched, cost_of
from lockcore.testing.chaos.records import Recorded, Recorder, read_all, take_row, watch_stalls
from lockcore.testing.chaos.report import Report, judge
from lockcore.testing.chaos.store import Store
from lockcore.testing.history import History

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lockcore.testing.chaos.kinds import Trial
    from lockcore.testing.chaos.progress import Voice
    from lockcore.testing.chaos.records import Belief

CLIENT_MARGIN: Final = 0.01
"""The share of a TTL that Lockring's own client gives up at its end (lockcore.client.machine); it is judged by that."""
WARM_UP_S: Final = 1.0
WARM_UP_S_MAX: Final = 60.0
RIDE_S: Final = 4.0
"""Before each fault of clients that comes in a double failure: they are to hold locks again."""
JUST_NOW_NS: Final = 200_000_000
PROCESSES: Final = 2
HARNESS: Final = "harness"
PROBE: Final = "probe"
BELIEFS_MAX: Final = 20_000
CHECK_S: Final = 0.5
RIVAL_MS: Final = 2_000
IN_SESSIONS: Final = "sessions"
PROGRAMS: Final = 8
HELD: Final = 12
"""Locks that programs hold which are stopped, or cut off."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What to run.

    Attributes:
        seconds: how long faults are begun; the last one is ended in order.
        trials: at most so many of each kind, in rounds; 0: as many as the time allows.
        seed: of the faults and the clients. Real processes keep their own time: it repeats what is done, not what
            comes of it.
        nodes: how many at the beginning.
        durability: of the nodes.
        belief: how many times its TTL a client trusts a lock; above 1 the judge has to object.
        only: kinds of faults to draw from; empty: all.
        patch: `module:function` that takes a rule out of nodes and holders: the judge has to object.
        workers: clients that contend, all together.
        keys: locks that they contend for.
        probes: locks that are renewed all the time, to measure.
    """

    seconds: float = 60.0
    trials: int = 0
    seed: int = 1
    nodes: int = 3
    durability: str = "backup"
    belief: float = 1.0
    only: tuple[Kind, ...] = ()
    patch: str = ""
    workers: int = 60
    keys: int = 200
    probes: int = 18

    def told(self) -> dict[str, Any]:
        """Return them for a report."""
        kinds = ",".join(kind.code for kind in self.only) or "all"
        return asdict(self) | {"only": kinds}


def rounds(draw: random.Random, only: tuple[Kind, ...]) -> Iterator[tuple[Kind, ...]]:
    """Yield kinds without end: all of them in a drawn order, then again, so that none is rare.

    A node that has joined leaves again next, so that clusters stay as large as they were meant. Faults of clients come
    together with the double failure, most of which is waiting; everything else comes alone.
    """
    wanted = list(only or Kind)
    riders = [kind for kind in wanted if kind in OF_HOLDERS and Kind.DOUBLE in wanted]
    while True:
        for kind in draw.sample(wanted, len(wanted)):
            if kind in riders or (kind is Kind.LEAVE and Kind.JOIN in wanted):
                continue
            yield (kind, *riders) if kind is Kind.DOUBLE else (kind,)
            if kind is Kind.JOIN:
                yield (Kind.LEAVE,)


class Run:
    """One run over one folder."""

    def __init__(self, settings: Settings, folder: Path, voice: Voice) -> None:
        self._settings = settings
        self._folder = folder
        self._voice = voice
        self._cluster = Cluster(folder, settings.nodes, settings.durability, settings.patch)
        self._journal = Journal(folder)
        self._store = Store()
        self._watched = Watched()
        self._beliefs: deque[Belief] = deque(maxlen=BELIEFS_MAX)
        self._tails = [Tail(folder / f"{name}.ndjson") for name in (HARNESS, PROBE, HOLDERS)]

    async def carry_out(self) -> Report:
        """Run it; leave records and logs in the folder, and no process, whatever ends it.

        Raises:
            NotReached: the cluster did not start.
        """
        cluster, settings = self._cluster, self._settings
        own = Recorder(self._folder / f"{HARNESS}.ndjson")
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(watch_stalls(own))]
        try:
            await self._store.start()
            await cluster.start()
            names = await self._start_clients()
            self._voice.started(settings.told(), self._wanted())
            tasks.append(loop.create_task(self._check_on()))
            await self._warm_up()
            trials = await self._break(own)
            died = cluster.died()
            await cluster.stop_clients()
            await cluster.stop_nodes()
            self._read_leftovers()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            own.close()
            await cluster.close()
            await self._store.close()
        recorded = await asyncio.to_thread(read_all, [self._folder / f"{name}.ndjson" for name in (*names, HARNESS)])
        margin = CLIENT_MARGIN if settings.belief <= 1 else 1 - settings.belief
        deeds = await asyncio.to_thread(deeds_of, self._folder, cluster.published)
        history = History(margin=margin, calls=recorded.calls, deeds=deeds, writes=self._store.registers.writes)
        report = await asyncio.to_thread(judge, settings.told(), trials, recorded, self._journal, history)
        report.died += died
        return report

    # --- clients ---------------------------------------------------------------------------

    async def _start_clients(self) -> list[str]:
        settings, cluster, store = self._settings, self._cluster, self._store.target
        share = settings.workers // PROCESSES
        every = Plan("", 0, 0, settings.keys, settings.seed, settings.belief, store=store, patch=settings.patch)
        plans = [replace(every, name=f"worker{i}", workers=share) for i in range(PROCESSES)]
        plans.append(replace(every, name=PROBE, probes=settings.probes))
        # Others want what the holders hold, or nothing could be lost to them; they do not keep it for long.
        rivals = replace(every, name="rivals", workers=HELD // 3, keys=HELD, prefix=HOLDERS)
        plans.append(replace(rivals, ttls_ms=TTLS_MS[:1], hold_ms_max=RIVAL_MS))
        for plan in plans:
            await cluster.start_clients(plan)
        sessions = replace(every, name=IN_SESSIONS, workers=PROGRAMS, keys=HELD, prefix=IN_SESSIONS)
        await cluster.start_clients(sessions, "insession")
        holders = replace(every, name=HOLDERS, keys=HELD, prefix=HOLDERS)
        await cluster.start_clients(holders, "holding", HOLDERS)
        return [plan.name for plan in (*plans, sessions, holders)]

    async def _warm_up(self) -> None:
        """Wait until all probes hold their locks, and a moment longer: others work by then as well.

        Raises:
            NotReached: they do not.
        """

        def all_probe() -> bool:
            self._look()
            return len(self._watched.probes) == self._settings.probes and bool(self._beliefs)

        await self._cluster.wait(all_probe, WARM_UP_S_MAX, "a lock for each probe")
        await asyncio.sleep(WARM_UP_S)

    # --- faults ----------------------------------------------------------------------------

    def _wanted(self) -> int | None:
        settings = self._settings
        return settings.trials * len(settings.only or Kind) if settings.trials else None

    async def _break(self, recorder: Recorder) -> list[Trial]:
        settings = self._settings
        draw = random.Random(settings.seed)  # noqa: S311 - a seed must give the same faults
        faults = Faults(self._cluster, draw, recorder)
        begun_ns = boot_ns()
        trials: list[Trial] = []
        for together in rounds(draw, settings.only):
            late = (boot_ns() - begun_ns) / 1e9 >= settings.seconds
            if late or len(trials) == self._wanted() or any(trial.hopeless for trial in trials):
                break
            first, *riders = together
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._try([first], faults, trials))
                    group.create_task(self._try(riders, faults, trials, RIDE_S))
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from None
        return sorted(trials, key=lambda trial: trial.begun_ns)

    async def _try(self, kinds: list[Kind], faults: Faults, trials: list[Trial], after_s: float = 0) -> None:
        for kind in kinds:
            await asyncio.sleep(after_s)
            trial = await faults.carry_out(kind, self._voice.begun)
            trials.append(trial)
            self._look()
            if kind in OF_HOLDERS:
                since_ns = trial.begun_ns - JUST_NOW_NS
                trial.held = len({b.key for b in self._beliefs if since_ns <= b.at_ns <= trial.begun_ns})
                trial.notes.append(f"{trial.held} locks held at its beginning")
            self._voice.over(trial, cost_of(trial, self._watched))

    # --- what is seen meanwhile --------------------------------------------------------------

    def _look(self) -> None:
        """Read on in what probes and the harness write down."""
        fresh = Recorded()
        for tail in self._tails:
            for row in tail.rows():
                take_row(fresh, row)
        self._watched.add(fresh)
        self._beliefs.extend(fresh.beliefs)

    async def _check_on(self) -> None:
        """Check facts as they come."""
        while True:
            await asyncio.sleep(CHECK_S)
            self._journal.read_on()
            self._voice.checked(self._journal.checked, self._journal.violations)

    def _read_leftovers(self) -> None:
        """Take the facts that the dead had not reported."""
        self._journal.read_on()
        for path in sorted((self._folder / SPOOL_FOLDER).glob("*.ndjson")):
            self._journal.read_leftover(path)
        self._voice.checked(self._journal.checked, self._journal.violations)
