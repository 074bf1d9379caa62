"""`python -m lockcore.testing.campaign`: many seeds, one verdict.

Elsewhere: one seed (simulate), one fault (single), all short runs (exhaust).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from lockcore.testing.simulate import Verdict, simulate
from lockcore.testing.single import simulate_single

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LEAST_PER_SEED = {
    "granted": 5.0,
    "contested": 5.0,
    "promoted": 0.3,
    "transferred": 0.3,
    "fenced": 0.3,
    "readmitted": 0.05,
    "unknown": 1.0,
    "writes fenced": 0.2,
}
"""Below these averages a batch proved nothing: too little happened in it."""
LEAST_PER_SINGLE = {"granted": 5.0, "contested": 5.0, "promoted": 0.3, "transferred": 0.3, "locks kept": 5.0}
SHOWN_MAX = 5
BATCH = 100
"""Averages need at least so many seeds."""


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


def told(verdict: Verdict) -> str:
    """Return a failure as people need it: how to repeat it, what contradicts what, and how it came to that."""
    lines = [f"seed {verdict.seed} at commit {commit()}: {len(verdict.violations)} violations"]
    for violation in verdict.violations[:SHOWN_MAX]:
        lines.append(f"  {violation.rule} {violation.text}")
        lines += [f"      {record}" for record in violation.calls]
    lines += ["  what was done to it:", *(f"    {line}" for line in verdict.faults)]
    return "\n".join([*lines, verdict.transcript, ""])


def commit() -> str:
    """Return what the code is: a seed says something only together with it."""
    asked = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description="Simulate clusters under random faults.")
    parser.add_argument("--seeds", type=int, default=200, help="how many (default 200)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--single", action="store_true", help="one fault for each seed, and holders that must keep all")
    asked = parser.parse_args()
    run, least = (simulate_single, LEAST_PER_SINGLE) if asked.single else (simulate, LEAST_PER_SEED)
    bad, counts = campaign(range(asked.first, asked.first + asked.seeds), run)
    out = sys.stdout
    out.writelines(told(verdict) for verdict in bad)
    kind = "seeds with one fault" if asked.single else "seeds"
    out.write(f"{asked.seeds} {kind} from {asked.first}, {len(bad)} with violations\n")
    out.writelines(f"  {name:24} {n}\n" for name, n in sorted(counts.items()))
    too_quiet = vacuous(counts, asked.seeds, least) if asked.seeds >= BATCH else []
    out.writelines(f"vacuous: {line}\n" for line in too_quiet)
    return 1 if bad or too_quiet else 0


if __name__ == "__main__":
    sys.exit(main())
