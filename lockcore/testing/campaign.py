"""`python -m lockcore.testing.campaign`: many seeds, one verdict.

Elsewhere: one seed (simulate).
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from typing import TYPE_CHECKING

from lockcore.testing.simulate import Verdict, simulate

if TYPE_CHECKING:
    from collections.abc import Iterable

LEAST_PER_SEED = {"granted": 5.0, "promoted": 0.3, "transferred": 0.3, "fenced": 0.3, "unknown": 1.0}
"""Below these averages a batch proved nothing: too little happened in it."""


def vacuous(counts: Counter[str], seeds: int) -> list[str]:
    """Return what happened too rarely for a batch to mean anything."""
    return [
        f"{name}: {counts[name] / seeds:.2f} a seed, {least} needed"
        for name, least in LEAST_PER_SEED.items()
        if counts[name] < least * seeds
    ]


def campaign(seeds: Iterable[int]) -> tuple[list[Verdict], Counter[str]]:
    """Run seeds; return the verdicts with violations, and what happened."""
    counts: Counter[str] = Counter()
    bad: list[Verdict] = []
    for seed in seeds:
        verdict = simulate(seed)
        counts.update(verdict.counts)
        if verdict.violations:
            bad.append(verdict)
    return bad, counts


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description="Simulate clusters under random faults.")
    parser.add_argument("--seeds", type=int, default=200, help="how many (default 200)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default 0)")
    asked = parser.parse_args()
    bad, counts = campaign(range(asked.first, asked.first + asked.seeds))
    out = sys.stdout
    for verdict in bad:
        out.write(f"seed {verdict.seed}: {len(verdict.violations)} violations\n")
        out.writelines(f"  {v.rule} {v.text}\n" for v in verdict.violations[:5])
        out.writelines(f"  {line}\n" for line in verdict.faults)
    out.write(f"{asked.seeds} seeds from {asked.first}, {len(bad)} with violations\n")
    out.writelines(f"  {name:12} {n}\n" for name, n in sorted(counts.items()))
    too_quiet = vacuous(counts, asked.seeds) if asked.seeds >= 100 else []  # noqa: PLR2004 - averages need a batch
    out.writelines(f"vacuous: {line}\n" for line in too_quiet)
    return 1 if bad or too_quiet else 0


if __name__ == "__main__":
    sys.exit(main())
