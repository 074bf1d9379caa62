"""What moved between two moments."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from dlmsite.dashboard.compare import LISTED, WHATS, locks_between
from dlmsite.journal.projection import Held
from tests.dlmsite.dashboard.test_moment import N1, N2, NOW_NS, S, failover  # noqa: F401 - a fixture
from tests.dlmsite.dashboard.test_openapi import check

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("people")]

AsUser = Callable[[str], Client]


def ask(client: Client, a_s: float, b_s: float) -> Any:
    response = client.get(f"/api/compare/?a_ns={NOW_NS + int(a_s * S)}&b_ns={NOW_NS + int(b_s * S)}")
    assert response.status_code == 200, response.content
    return response.json()


@pytest.mark.usefixtures("failover")
def test_a_failover_moves_locks_and_arcs_and_changes_a_node(as_user: AsUser) -> None:
    found = ask(as_user("eve"), 2, 7)
    (lock,) = found["locks"]["list"]
    assert (lock["key"], lock["what"], lock["a"]["node"], lock["b"]["node"]) == ("k", "moved", N1, N2)
    assert 0.2 < found["arcs"]["share"] < 0.5
    assert {flow["source"] for flow in found["arcs"]["flows"]} == {N1}
    assert [(node["a"], node["b"]) for node in found["nodes"]] == [("up", "killed")]
    assert found["views"] == {"a": "1", "b": "2", "between": 1}


@pytest.mark.usefixtures("failover")
def test_the_same_moment_twice_has_moved_nothing(as_user: AsUser) -> None:
    found = ask(as_user("eve"), 7, 7)
    assert (found["locks"]["stayed"], found["locks"]["list"], found["arcs"]["share"], found["nodes"]) == (1, [], 0, [])


@pytest.mark.usefixtures("failover")
def test_answers_are_as_the_document_says(as_user: AsUser) -> None:
    for a_s, b_s in ((2, 7), (9, 2), (-5, 3)):
        path = f"/api/compare/?a_ns={NOW_NS + a_s * S}&b_ns={NOW_NS + b_s * S}"
        check("/api/compare/", "get", as_user("eve").get(path))
    assert as_user("eve").get("/api/compare/?a_ns=1").status_code == 400


def test_a_moment_before_the_first_is_compared_as_empty(as_user: AsUser, failover: object) -> None:  # noqa: F811
    del failover
    found = ask(as_user("eve"), -10, 2)
    assert (found["a"]["where"], found["locks"]["granted"]) == ("before", 1)


HOLDS = st.dictionaries(
    st.integers(0, 400).map(str), st.tuples(st.sampled_from((N1, N2)), st.integers(1, 2)), max_size=400
)


@given(HOLDS, HOLDS)
def test_every_lock_is_counted_once_and_the_list_is_bounded(
    a: dict[str, tuple[str, int]], b: dict[str, tuple[str, int]]
) -> None:
    held = [
        {key: Held(key, node, 5, "ada", generation, 1, 1, 1, 1) for key, (node, generation) in each.items()}
        for each in (a, b)
    ]
    found = locks_between(held[0], held[1], {})
    assert sum(found[what] for what in (*WHATS, "stayed")) == len(a.keys() | b.keys())
    assert len(found["list"]) == min(LISTED, sum(found[what] for what in WHATS))
    assert found["moved"] == sum(a[k][0] != b[k][0] and a[k][1] == b[k][1] for k in a.keys() & b.keys())
