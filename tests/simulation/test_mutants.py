"""A representative part of `make sim-mutants`: each rule taken out here is missed within some dozen seeds.

Elsewhere: the whole table (mutants).
"""

from __future__ import annotations

import inspect

import pytest

from tests.simulation import faulty
from tests.simulation.mutants import MUTANTS, Mutant, find

QUICK_SEEDS = 80


@pytest.mark.parametrize("mutant", [m for m in MUTANTS if m.quick], ids=lambda m: m.name)
def test_the_simulator_finds_a_rule_that_was_taken_out(mutant: Mutant) -> None:
    """A checker that never fails proves nothing."""
    assert find(mutant, 0, QUICK_SEEDS) is not None


def test_every_weakness_has_a_row() -> None:
    """W1 to W18 of SeaweedFS's lock ring are each taken in, or named with the test that holds them."""
    named = {word for mutant in MUTANTS for word in mutant.rule.split()}
    assert {f"W{i}" for i in range(1, 19)} <= named


def test_every_fault_of_this_folder_is_in_the_table() -> None:
    faults = {name for name, f in inspect.getmembers(faulty, inspect.isfunction) if f.__module__ == faulty.__name__}
    assert faults <= {mutant.name for mutant in MUTANTS}
