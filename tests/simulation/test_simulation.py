"""The cluster under random faults: by the thousand it is `make sim`.

Elsewhere: the proof that this can fail (test_mutants), the checker (test_checker, test_online).
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from lockcore.testing.campaign import LEAST_PER_SINGLE, campaign, main, told, vacuous
from lockcore.testing.simulate import simulate
from lockcore.testing.single import simulate_single

SEEDS = 100
SINGLE_SEEDS = 30
SECONDS = float(os.environ.get("LOCKRING_SIM_SECONDS", "0"))
"""For how long `make test` simulates beyond the seeds that are always run."""
FIRST = int(os.environ.get("LOCKRING_SIM_FIRST", "1000"))


def test_no_seed_breaks_an_invariant() -> None:
    """Safety under a random subset of two dozen kinds of fault, then agreement."""
    bad, counts = campaign(range(SEEDS))
    assert "".join(told(v) for v in bad) == ""
    assert vacuous(counts, SEEDS) == []


@pytest.mark.skipif(not SECONDS, reason="LOCKRING_SIM_SECONDS says for how long")
@pytest.mark.timeout(SECONDS + 60)
def test_no_seed_breaks_an_invariant_for_as_long_as_was_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """The seeds that `make sim` would run, bounded by time."""
    failed = main(["--seconds", str(SECONDS), "--first", str(FIRST)])
    assert not failed, capsys.readouterr().out


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
