"""Every order of what can happen, near the start: deeper with `python -m lockcore.testing.exhaust`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lockcore.testing.clone import clone, frozen
from lockcore.testing.exhaust import search, small_cluster
from tests.lockcore.core import mutations as m

if TYPE_CHECKING:
    from collections.abc import Callable

STATES = 1_500


def test_no_order_of_a_few_steps_breaks_an_invariant() -> None:
    found = search(14, STATES)
    assert (found.violations, found.path) == ([], ())
    assert found.states == STATES
    assert found.steps >= 3


@pytest.mark.parametrize("mutate", [m.acknowledge_alone])
def test_the_search_finds_a_rule_that_was_taken_out(
    mutate: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It returns the shortest way to the contradiction."""
    mutate(monkeypatch)
    found = search(14, 20_000)
    assert found.violations
    assert ("crash",) in found.path


def test_a_copy_of_a_cluster_is_equal_and_independent() -> None:
    """Or one branch of the search would change another."""
    cluster = small_cluster()
    before = cluster.key()
    other = clone(cluster)
    assert other.key() == before
    other.do(("acquire", "ada", "a:1"))
    assert other.key() != before
    assert cluster.key() == before
    assert frozen({"a": [1]}) != frozen({"a": [2]})
