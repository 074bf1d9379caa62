"""Every order of what can happen, near the start: deeper with `python -m lockcore.testing.exhaust`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lockcore.testing.clone import clone, frozen
from lockcore.testing.exhaust import search, small_cluster
from tests.lockcore.core import mutations as m

if TYPE_CHECKING:
    from collections.abc import Callable

STATES = 600


def test_no_order_of_a_few_steps_breaks_an_invariant() -> None:
    found = search(14, STATES)
    assert (found.violations, found.path) == ([], ())
    assert found.states == STATES
    assert found.steps >= 3


def test_no_longer_run_in_the_order_of_sending_breaks_an_invariant() -> None:
    """All that clients, a crash and views can do, at any moment; the whole of it by `make sim`."""
    found = search(14, STATES, postponed=0)
    assert (found.violations, found.path) == ([], ())
    assert found.steps >= 6


@pytest.mark.parametrize(("mutate", "postponed"), [(m.acknowledge_alone, 1), (m.count_generations_alone, 0)])
def test_the_search_finds_a_rule_that_was_taken_out(
    mutate: Callable[[pytest.MonkeyPatch], None], postponed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It returns the shortest way to the contradiction."""
    mutate(monkeypatch)
    found = search(14, 8_000, postponed)
    assert found.violations
    assert ("crash",) in found.path


def test_what_may_be_out_of_order_is_bounded() -> None:
    """Or a bound of none would prove less than it says."""
    cluster = small_cluster()
    cluster.left = 0
    cluster.do(("acquire", "ada", cluster.views[-1].ring.primary("k") or ""))
    cluster.do(("crash",))
    assert len(cluster.deliveries()) > 1
    assert sum(1 for action, _ in cluster.actions() if action[0] in {"deliver", "tell"}) == 1
    cluster.left = 1
    assert [cost for action, cost in cluster.actions() if action[0] in {"deliver", "tell"}][:2] == [0, 1]


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
