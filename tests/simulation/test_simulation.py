"""The cluster under random faults: by the thousand it is `make sim`.

Elsewhere: the proof that this can fail (test_mutants), the checker (test_checker, test_online).
"""

from __future__ import annotations

from collections import Counter

from lockcore.testing.campaign import LEAST_PER_SINGLE, campaign, told, vacuous
from lockcore.testing.simulate import simulate
from lockcore.testing.single import simulate_single

SEEDS = 80
SINGLE_SEEDS = 40


def test_no_seed_breaks_an_invariant() -> None:
    """Safety under a random subset of two dozen kinds of fault, then agreement."""
    bad, counts = campaign(range(SEEDS))
    assert "".join(told(v) for v in bad) == ""
    assert vacuous(counts, SEEDS) == []


def test_after_one_fault_every_holder_still_has_its_lock() -> None:
    """I5: what a lock service is for."""
    bad, counts = campaign(range(SINGLE_SEEDS), simulate_single)
    assert "".join(told(v) for v in bad) == ""
    assert vacuous(counts, SINGLE_SEEDS, LEAST_PER_SINGLE) == []


def test_a_batch_in_which_nothing_happens_is_refused() -> None:
    """Without the gate a simulator that grants nothing would pass for ever."""
    assert vacuous(Counter(), 10)


def test_the_same_seed_gives_the_same_trace() -> None:
    """A failure that cannot be repeated cannot be mended."""
    first, second, other = simulate(7), simulate(7), simulate(8)
    assert first.trace == second.trace
    assert first.trace != other.trace
