"""One run: start everything, one fault after another until the time is up, judge, end everything.

Elsewhere: the command line (__main__).
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from lockcore.client.clock import boot_ns
from lockcore.testing.chaos.client import Plan
from lockcore.testing.chaos.cluster import SPOOL_FOLDER, Cluster
from lockcore.testing.chaos.facts import Journal, Tail
from lockcore.testing.chaos.faults import Faults
from lockcore.testing.chaos.kinds import Kind
from lockcore.testing.chaos.measure import Watched, cost_of
from lockcore.testing.chaos.records import Recorded, Recorder, read_all, take_row, watch_stalls
from lockcore.testing.chaos.report import Report, judge
from lockcore.testing.history import History

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lockcore.testing.chaos.kinds import Trial
    from lockcore.testing.chaos.progress import Voice

CLIENT_MARGIN: Final = 0.01
"""The share of a TTL that Lockring's own client gives up at its end (lockcore.client.machine); it is judged by that."""
WARM_UP_S: Final = 2.0
PROCESSES: Final = 2
HARNESS: Final = "harness"
PROBE: Final = "probe"
CHECK_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Settings:
    """What to run.

    Attributes:
        seconds: how long faults are begun; the last one is ended in order.
        trials: so many of each kind instead, in rounds; 0: as many as the time allows.
        seed: of the faults and the clients. Real processes keep their own time: it repeats what is done, not what
            comes of it.
        nodes: how many at the beginning.
        durability: of the nodes.
        belief: how many times its TTL a client trusts a lock; above 1 the judge has to object.
        only: kinds of faults to draw from; empty: all.
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
    workers: int = 60
    keys: int = 200
    probes: int = 18

    def told(self) -> dict[str, Any]:
        """Return them for a report."""
        kinds = ",".join(kind.code for kind in self.only) or "all"
        return asdict(self) | {"seconds": None if self.trials else self.seconds, "only": kinds}


def kinds(draw: random.Random, only: tuple[Kind, ...]) -> Iterator[Kind]:
    """Yield kinds without end: all of them in a drawn order, then again, so that none is rare.

    A node that has joined leaves again next, so that clusters stay as large as they were meant.
    """
    wanted = list(only or Kind)
    while True:
        for kind in draw.sample(wanted, len(wanted)):
            if kind is Kind.LEAVE and Kind.JOIN in wanted:
                continue
            yield kind
            if kind is Kind.JOIN:
                yield Kind.LEAVE


class Run:
    """One run over one folder."""

    def __init__(self, settings: Settings, folder: Path, voice: Voice) -> None:
        self._settings = settings
        self._folder = folder
        self._voice = voice
        self._cluster = Cluster(folder, settings.nodes, settings.durability)
        self._journal = Journal(folder)
        self._watched = Watched()
        self._tails = [Tail(folder / f"{name}.ndjson") for name in (HARNESS, PROBE)]

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
            await cluster.start()
            names = await self._start_clients()
            self._voice.started(settings.told(), self._wanted())
            tasks.append(loop.create_task(self._check_on()))
            await asyncio.sleep(WARM_UP_S)
            trials = await self._break()
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
        recorded = await asyncio.to_thread(read_all, [self._folder / f"{name}.ndjson" for name in (*names, HARNESS)])
        margin = CLIENT_MARGIN if settings.belief <= 1 else 1 - settings.belief
        history = History(margin=margin, calls=recorded.calls)
        report = await asyncio.to_thread(judge, settings.told(), trials, recorded, self._journal, history)
        report.died += died
        return report

    # --- clients ---------------------------------------------------------------------------

    async def _start_clients(self) -> list[str]:
        settings = self._settings
        share = settings.workers // PROCESSES
        plans = [Plan(f"worker{i}", share, 0, settings.keys, settings.seed, settings.belief) for i in range(PROCESSES)]
        plans.append(Plan(PROBE, 0, settings.probes, settings.keys, settings.seed))
        for plan in plans:
            await self._cluster.start_clients(plan)
        return [plan.name for plan in plans]

    # --- faults ----------------------------------------------------------------------------

    def _wanted(self) -> int | None:
        settings = self._settings
        return settings.trials * len(settings.only or Kind) if settings.trials else None

    async def _break(self) -> list[Trial]:
        settings = self._settings
        draw = random.Random(settings.seed)  # noqa: S311 - a seed must give the same faults
        faults = Faults(self._cluster, draw)
        begun_ns = boot_ns()
        trials: list[Trial] = []
        for kind in islice(kinds(draw, settings.only), self._wanted()):
            if not settings.trials and (boot_ns() - begun_ns) / 1e9 >= settings.seconds:
                break
            trial = await faults.carry_out(kind, self._voice.begun)
            trials.append(trial)
            self._look()
            self._voice.over(trial, cost_of(trial, self._watched))
            if trial.problem:
                break  # what follows would be a second fault
        return trials

    # --- what is seen meanwhile --------------------------------------------------------------

    def _look(self) -> None:
        """Read on in what probes and the harness write down."""
        fresh = Recorded()
        for tail in self._tails:
            for row in tail.rows():
                take_row(fresh, row)
        self._watched.add(fresh)

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
