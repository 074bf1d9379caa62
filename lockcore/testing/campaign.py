"""`python -m lockcore.testing.campaign`: many seeds, one verdict.

    --seeds 1000 --first 0        these seeds
    --seconds 60                  as many as there is time for, from `--first` on
    --jobs 2                      on so many processes
    --report FILE                 one line for each batch; started again with it, a campaign goes on where it stopped
    --single                      one fault for each seed, and holders that must keep all
    --sessions                    programs in sessions, with queues, byte ranges and migrations

Elsewhere: one seed (simulate), one fault (single), files of batches (batches),
all short runs (exhaust).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from lockcore.testing.batches import Batch, OtherCode, Plan, commit, run_all, told
from lockcore.testing.sessioned import simulate_sessions
from lockcore.testing.simulate import Verdict, simulate
from lockcore.testing.single import simulate_single

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["LEAST_PER_SEED", "LEAST_PER_SESSION_SEED", "LEAST_PER_SINGLE", "campaign", "commit", "told", "vacuous"]

LEAST_PER_SEED = {
    "events": 1_200.0,
    "granted": 8.0,
    "contested": 8.0,
    "promoted": 0.4,
    "transferred": 0.4,
    "fenced": 0.4,
    "readmitted": 0.01,
    "unknown": 5.0,
    "writes fenced": 0.1,
    "granted in trouble": 5.0,
}
"""Below these averages a batch proved nothing: too little happened in it."""
LEAST_PER_SINGLE = {"granted": 5.0, "contested": 5.0, "promoted": 0.3, "transferred": 0.3, "locks kept": 5.0}
LEAST_PER_SESSION_SEED = {
    "sessions": 4.0,
    "session grants": 6.0,
    "session waits": 3.0,
    "granted by push": 0.5,
    "migrated": 0.2,
    "ranges": 10.0,
    "range waits": 2.0,
    "ranges migrated": 0.3,
    "answered again": 3.0,
    "promoted": 0.2,
    "transferred": 0.2,
}
LEAST_SEEDS = 100
"""Averages need at least so many seeds."""
TOLD_EVERY_S = 10.0


def vacuous(counts: Counter[str], seeds: int, least: dict[str, float] | None = None) -> list[str]:
    """Return what happened too rarely for a batch to mean anything."""
    return [
        f"{name}: {counts[name] / seeds:.2f} a seed, {needed} needed"
        for name, needed in (least or LEAST_PER_SEED).items()
        if counts[name] < needed * seeds
    ]


def campaign(seeds: Iterable[int], run: Callable[[int], Verdict] = simulate) -> tuple[list[Verdict], Counter[str]]:
    """Run seeds; return the verdicts with violations, and what happened."""
    counts: Counter[str] = Counter()
    bad: list[Verdict] = []
    for seed in seeds:
        verdict = run(seed)
        counts.update(verdict.counts)
        if verdict.violations:
            bad.append(verdict)
    return bad, counts


class Progress:
    """Adds batches up, and says now and then how far it is."""

    def __init__(self, out: TextIO, least: dict[str, float], goal: int) -> None:
        """Begin with nothing. `goal`: how many seeds are wanted, 0 where time decides."""
        self.out = out
        self.least = least
        self.goal = goal
        self.counts: Counter[str] = Counter()
        self.seeds = self.bad = self.before = 0
        self._began_s = self._told_s = time.monotonic()

    def add(self, batch: Batch, *, before: bool = False) -> None:
        """Count a batch. `before`: it was run by an earlier campaign of the same report."""
        self.seeds += batch.seeds
        self.before += batch.seeds if before else 0
        self.bad += len(batch.bad)
        self.counts.update(batch.counts)
        self.out.writelines(batch.bad.values())
        if time.monotonic() - self._told_s >= TOLD_EVERY_S:
            self._told_s = time.monotonic()
            self.tell()

    def tell(self) -> None:
        """Print a line."""
        now_s = time.monotonic()
        rate = (self.seeds - self.before) * 60 / max(0.001, now_s - self._began_s)
        goal = f" of {self.goal}" if self.goal else ""
        gates = ", ".join(f"{n} {self.counts[n] / max(1, self.seeds):.2f}" for n in self.least)
        self.out.write(f"{self.seeds}{goal} seeds, {self.bad} with violations, {rate:.0f} a minute; a seed: {gates}\n")
        self.out.flush()

    def verdict(self) -> int:
        """Print what came of all; return the exit code."""
        self.tell()
        self.out.writelines(f"  {name:28} {n}\n" for name, n in sorted(self.counts.items()))
        too_quiet = vacuous(self.counts, self.seeds, self.least) if self.seeds >= LEAST_SEEDS else []
        self.out.writelines(f"vacuous: {line}\n" for line in too_quiet)
        return 1 if self.bad or too_quiet or not self.seeds else 0


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description="Simulate clusters under random faults.")
    parser.add_argument(
        "--seeds", type=int, default=0, help="how many (default 200, without end where --seconds is given)"
    )
    parser.add_argument("--first", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--seconds", type=float, default=0.0, help="stop after so long")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default 1)")
    parser.add_argument("--report", type=Path, help="write batches to this file, or go on with it")
    parser.add_argument("--single", action="store_true", help="one fault for each seed, and holders that must keep all")
    parser.add_argument("--sessions", action="store_true", help="programs in sessions: queues, ranges, migrations")
    asked = parser.parse_args(arguments)
    seeds = asked.seeds or (0 if asked.seconds else 200)
    kind, run, least = "seeds", simulate, LEAST_PER_SEED
    if asked.single:
        kind, run, least = "seeds with one fault", simulate_single, LEAST_PER_SINGLE
    elif asked.sessions:
        kind, run, least = "seeds with sessions", simulate_sessions, LEAST_PER_SESSION_SEED
    plan = Plan(run, asked.first, seeds, asked.jobs, asked.seconds)
    progress = Progress(sys.stdout, least, seeds)
    sys.stdout.write(f"{kind} from {asked.first} at commit {commit()}\n")
    try:
        run_all(plan, progress.add, asked.report)
    except OtherCode as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        progress.verdict()
        sys.stdout.write("stopped; the same command with --report goes on from here\n" if asked.report else "stopped\n")
        return 130
    return progress.verdict()


if __name__ == "__main__":
    sys.exit(main())
