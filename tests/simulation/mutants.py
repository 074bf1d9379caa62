"""Rules taken out one at a time, and how long the simulator needs to miss each of them.

`make sim-mutants` prints the table. A rule whose absence no invariant can see is listed with the unit test that
holds it instead: most of those cost time or locks that nobody was promised, not safety.

Elsewhere: the mutations themselves (faulty, tests/lockcore/core/mutations), the part in `make test` (test_mutants).
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import pytest

from lockcore.testing.simulate import simulate
from lockcore.testing.single import simulate_single
from tests.lockcore.core import mutations as m
from tests.simulation import faulty as f

if TYPE_CHECKING:
    from collections.abc import Callable

    from lockcore.testing.simulate import Verdict

STARTS = (0, 10_000, 20_000, 30_000, 40_000)
SEEDS_MAX = 200


@dataclass(frozen=True)
class Mutant:
    """A rule, what takes it out, and how to look for it.

    `unit` names the test that holds a rule which the simulator cannot see broken.
    """

    rule: str
    mutate: Callable[[pytest.MonkeyPatch], None]
    run: Callable[[int], Verdict] = simulate
    quick: bool = False
    unit: str = ""

    @property
    def name(self) -> str:
        """The mutation's name."""
        return self.mutate.__name__


MUTANTS = (
    Mutant("W1", m.serve_without_state, quick=True),
    Mutant("W2", m.count_generations_alone, quick=True),
    Mutant("W3 fence", m.never_fence),
    Mutant("W3 F2", m.take_any_acknowledgement),
    Mutant("W3 W8 pair rule", m.acknowledge_alone, quick=True),
    Mutant("W3 W11", f.take_batches_of_older_views),
    Mutant("W4", m.give_up_what_has_changed),
    Mutant("W5", f.refuse_silently),
    Mutant("W5", f.lose_what_is_handed_over),
    Mutant("W5 O1", f.take_refusals_for_answers),
    Mutant("W6 W7", f.never_send_again),
    Mutant("W9", f.forget_tombstones),
    Mutant("W9 L3", m.take_any_order, quick=True),
    Mutant("W10", f.count_seqs_alone),
    Mutant("W12", m.number_by_the_clock, quick=True),
    Mutant("W13", m.publish_whoever_is_first),
    Mutant("W14", m.know_connections_by_address),
    Mutant("W15", f.answer_without_a_token),
    Mutant("W15 S3", m.forward_for_ever),
    Mutant("W16", f.expire_by_the_wall_clock),
    Mutant("W17 L4", m.honour_the_newest_token_only, simulate_single),
    Mutant("W18", f.take_back_nothing),
    Mutant("4 new life", m.know_members_by_address),
    Mutant("4 silence", m.judge_too_early),
    Mutant("4 tokens", f.forgive_superseded_tokens),
    Mutant("4 readmission", f.readmit_without_a_grace),
    Mutant("4 lease", f.shorten_leases, quick=True),
    Mutant("4 grace", m.owe_no_grace, quick=True),
    Mutant("4 grace", f.keep_the_grace_short),
    Mutant("4 grace G1", m.forgive_when_settled),
    Mutant("5 one at a time", f.plan_while_unsettled),
    Mutant("6 A1", m.carry_everything_over),
    Mutant("6 A2", m.believe_in_continuity),
    Mutant("6 V1", m.promise_continuity_always),
    Mutant("6 N3", m.enter_any_view),
    Mutant("6 roles I2", m.take_records_of_any_role),
    Mutant("6 seal O2", m.seal_at_once),
    Mutant("6 window", f.acknowledge_in_the_window),
    Mutant("6 window P2", m.stop_serving_at_once, simulate_single),
    Mutant("6 window S2", m.redirect_in_the_window, simulate_single),
    Mutant("6 surplus", f.drop_copies_at_once),
    Mutant("6 replicate", f.replicate_nothing_received),
    Mutant("6 order", f.take_batches_in_any_order),
)


def find(mutant: Mutant, first: int, seeds_max: int = SEEDS_MAX) -> tuple[int, str] | None:
    """Return how many seeds it took, and which invariants spoke; None where none did.

    "no rest": the cluster never settles, or goes in a circle (I8).
    """
    with pytest.MonkeyPatch.context() as patch:
        mutant.mutate(patch)
        for seed in range(first, first + seeds_max):
            try:
                verdict = mutant.run(seed)
            except AssertionError:
                return seed - first + 1, "no rest"
            except Exception as error:  # noqa: BLE001 - a core without one of its rules may do anything
                return seed - first + 1, type(error).__name__
            if verdict.violations:
                return seed - first + 1, "+".join(sorted({v.rule for v in verdict.violations}))
    return None


def row(mutant: Mutant, starts: tuple[int, ...], seeds_max: int) -> str:
    """Return a line of the table."""
    if mutant.unit:
        return f"{mutant.rule:16} {mutant.name:32} {'-':>6}  held by {mutant.unit}"
    found = [find(mutant, start, seeds_max) for start in starts]
    counts = [each[0] if each else seeds_max + 1 for each in found]
    rules = Counter(rule for each in found if each for rule in each[1].split("+"))
    missed = sum(1 for each in found if each is None)
    middle = median(counts)
    shown = f"{middle:.0f}" if middle <= seeds_max else f">{seeds_max}"
    named = ", ".join(f"{rule} {n}" for rule, n in rules.most_common())
    return f"{mutant.rule:16} {mutant.name:32} {shown:>6}  {named}" + (f"  (missed {missed} times)" if missed else "")


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Take rules out, and count the seeds until the simulator says so.")
    parser.add_argument("--seeds", type=int, default=SEEDS_MAX, help=f"at most, for each start (default {SEEDS_MAX})")
    parser.add_argument("--starts", type=int, default=len(STARTS), help="how many starting points (default 5)")
    parser.add_argument("--only", default="", help="mutations whose name contains this")
    asked = parser.parse_args()
    out = sys.stdout
    out.write(f"{'rule':16} {'mutation':32} {'median':>6}  found by (times of {asked.starts})\n")
    for mutant in MUTANTS:
        if asked.only in mutant.name:
            out.write(row(mutant, STARTS[: asked.starts], asked.seeds) + "\n")
            out.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
