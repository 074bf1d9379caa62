"""One run: start everything, one fault after another until the time is up, judge, end everything.

Elsewhere: the command line (__main__).
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from lockcore.client.clock import boot_ns
from lockcore.testing.chaos.client import Plan
from lockcore.testing.chaos.cluster import Cluster
from lockcore.testing.chaos.faults import Faults, Kind
from lockcore.testing.chaos.records import Recorder, read_all, watch_stalls
from lockcore.testing.chaos.report import Report, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lockcore.testing.chaos.faults import Trial

CLIENT_MARGIN: Final = 0.01
"""The share of a TTL that Lockring's own client gives up at its end (lockcore.client.machine); it is judged by that."""
WARM_UP_S: Final = 2.0
PROCESSES: Final = 2
HARNESS: Final = "harness"


@dataclass(frozen=True, slots=True)
class Settings:
    """What to run.

    Attributes:
        seconds: how long faults are begun; the last one is ended in order.
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
    seed: int = 1
    nodes: int = 3
    durability: str = "backup"
    belief: float = 1.0
    only: tuple[Kind, ...] = ()
    workers: int = 60
    keys: int = 200
    probes: int = 18


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


async def run(settings: Settings, folder: Path, tell: Callable[[str], None]) -> Report:
    """Run it; leave records and logs in `folder`, and no process.

    Raises:
        NotReached: the cluster did not start.
    """
    cluster = Cluster(folder, settings.nodes, settings.durability)
    own = Recorder(folder / f"{HARNESS}.ndjson")
    watch = asyncio.get_running_loop().create_task(watch_stalls(own))
    try:
        await cluster.start()
        tell(f"{settings.nodes} nodes are settled")
        names = await _start_clients(cluster, settings)
        await asyncio.sleep(WARM_UP_S)
        trials = await _break(cluster, settings, tell)
        died = cluster.died()
        await cluster.stop_clients()
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        own.close()
        await cluster.close()
    recorded = read_all([folder / f"{name}.ndjson" for name in (*names, HARNESS)])
    margin = CLIENT_MARGIN if settings.belief <= 1 else 1 - settings.belief
    told = asdict(settings) | {"only": ",".join(kind.name.lower() for kind in settings.only) or "all"}
    report = judge(told, trials, recorded, margin)
    report.died += died
    return report


async def _start_clients(cluster: Cluster, settings: Settings) -> list[str]:
    plans = [
        Plan(f"worker{i}", settings.workers // PROCESSES, 0, settings.keys, settings.seed, settings.belief)
        for i in range(PROCESSES)
    ]
    plans.append(Plan("probe", 0, settings.probes, settings.keys, settings.seed))
    for plan in plans:
        await cluster.start_clients(plan)
    return [plan.name for plan in plans]


async def _break(cluster: Cluster, settings: Settings, tell: Callable[[str], None]) -> list[Trial]:
    draw = random.Random(settings.seed)  # noqa: S311 - a seed must give the same faults
    faults = Faults(cluster, draw)
    order = kinds(draw, settings.only)
    begun_ns = boot_ns()
    trials: list[Trial] = []
    while (boot_ns() - begun_ns) / 1e9 < settings.seconds:
        trial = await faults.carry_out(next(order))
        trials.append(trial)
        lasted_s = (trial.settled_ns - trial.begun_ns) / 1e9
        what = trial.problem or f"settled {(trial.settled_ns - trial.healed_ns) / 1e9:.2f} s after its end"
        tell("; ".join([f"{trial.kind.value} of {trial.target}: {lasted_s:.2f} s, {what}", *trial.notes]))
        if trial.problem:
            break  # what follows would be a second fault
    return trials
