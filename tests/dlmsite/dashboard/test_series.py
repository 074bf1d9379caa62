"""Figures over time, as the API tells them: bounded, and null where nobody measured."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from dlmsite.dashboard.series import POINTS_MAX, quantile_us
from dlmsite.journal.models import RingVersion, Sample
from dlmsite.journal.moments import squeeze
from dlmsite.journal.samples import LEVELS, NS_PER_S
from lockcore.core.timing import BUCKETS_US
from tests.dlmsite.dashboard.conftest import ADDRESSES
from tests.dlmsite.dashboard.test_openapi import check

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("cluster")]

AsUser = Callable[[str], Client]
NOW_S = (int(time.time()) - 300) // 1_200 * 1_200  # an hour after this, seconds are no longer kept


def figures(ops: int = 10, **more: Any) -> dict[str, Any]:
    return {
        "held": 3, "copies": 2, "waiting": 1, "lag_us": 500, "seconds": 1, "ops": ops, "renewals": 0,
        "answered": [[0, 0, ops], ops * 300], **more,
    }  # fmt: skip


def add(second: int, step: int = 1, **nodes: dict[str, Any]) -> None:
    """Let a row say what nodes did."""
    Sample.objects.create(step_s=step, at_ns=(NOW_S + second) * NS_PER_S, blob=squeeze(nodes))


def ask(client: Client, first: int, last: int, **more: int) -> Any:
    """Ask for a time; seconds count from NOW_S."""
    query = {"from_ns": (NOW_S + first) * NS_PER_S, "to_ns": (NOW_S + last) * NS_PER_S, **more}
    response = client.get("/api/series/", query)
    if response.status_code == 200:
        check("/api/series/", "get", response)
    return response.json()


def test_a_point_is_what_was_done_in_its_time(as_user: AsUser) -> None:
    add(0, n1=figures(10), n2=figures(30))
    add(1, n1=figures(20))
    told = ask(as_user("eve"), 0, 3, step_s=1)
    assert told["at_ms"] == [(NOW_S + second) * 1_000 for second in range(3)]
    assert [node["label"] for node in told["nodes"]] == ["n1", "n2"]
    assert told["nodes"][1]["ops_per_s"] == [30, None, None]
    assert told["total"]["ops_per_s"] == [40, 20, None]
    assert told["total"]["held"] == [6, 3, None]
    assert told["total"]["lag_ms"] == [0.5, 0.5, None]


def test_a_time_that_nobody_measured_is_null_and_not_zero(as_user: AsUser) -> None:
    told = ask(as_user("eve"), 0, 10)
    assert told["nodes"] == []
    assert set(told["total"]["held"]) == {None}


def test_a_rate_without_a_beginning_is_null(as_user: AsUser) -> None:
    unknown = {"held": 3, "copies": 2, "waiting": 1, "lag_us": 500}
    add(0, n1=unknown)
    told = ask(as_user("eve"), 0, 1, step_s=1)
    assert (told["total"]["ops_per_s"], told["total"]["p99_ms"], told["total"]["held"]) == ([None], [None], [3])


def test_nodes_and_seconds_are_put_together_by_their_counts(as_user: AsUser) -> None:
    """T2: of a fast node with many operations and a slow one with few, the median is fast."""
    slow = figures(1, answered=[[0] * 9 + [1], 100_000])
    add(0, n1=figures(98), n2=slow)
    add(1, n1=figures(1), n2=slow)
    told = ask(as_user("eve"), 0, 2, step_s=2)
    assert told["total"]["p50_ms"][0] < 0.5
    assert told["total"]["p99_ms"][0] > 50
    assert told["nodes"][1]["p50_ms"][0] > 50


def test_a_long_time_is_read_from_coarse_rows(as_user: AsUser) -> None:
    day_s = 24 * 3_600
    add(-day_s, step=60, n1=figures(600, seconds=60))
    add(-day_s, step=1, n1=figures(7))
    told = ask(as_user("eve"), -day_s, 0)
    assert told["step_s"] % 20 == 0
    with CaptureQueriesContext(connection) as seen:
        told = ask(as_user("eve"), -day_s, 0, step_s=120)
    assert told["nodes"][0]["ops_per_s"][0] == 10
    assert not any('"step_s" = 1 ' in query["sql"] for query in seen.captured_queries)


def test_a_short_time_long_ago_gets_the_finest_rows_that_are_still_there(as_user: AsUser) -> None:
    told = ask(as_user("eve"), -20 * 24 * 3_600, -20 * 24 * 3_600 + 600, step_s=1)
    assert told["step_s"] == 60


@pytest.mark.parametrize("span_s", [1, 59, 900, 3_600, 86_400, 30 * 86_400, 31 * 86_400])
@pytest.mark.parametrize("offset", [0, 1, 7])
def test_points_are_bounded_whatever_is_asked(as_user: AsUser, span_s: int, offset: int) -> None:
    told = ask(as_user("eve"), -span_s + offset, offset)
    assert 1 <= len(told["at_ms"]) <= POINTS_MAX
    assert any(told["step_s"] % level == 0 and told["step_s"] // level <= 20 for level in LEVELS)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("from_ns=2000000000&to_ns=1000000000", "from_ns must be before to_ns"),
        ("from_ns=1&to_ns=9000000000000000000", "at most 2,678,400 s"),
        (f"from_ns=1&to_ns={10**12 * 3}&step_s=1", None),
        ("step_s=0", "step_s must be a whole number"),
        ("from_ns=-1", "from_ns must be a whole number"),
        ("from_ns=9223372036854775808", "from_ns must be a whole number"),
    ],
)
def test_times_that_make_no_sense_are_explained(as_user: AsUser, query: str, told: str | None) -> None:
    response = as_user("eve").get(f"/api/series/?{query}")
    assert response.status_code == (400 if told else 200)
    assert told is None or told in response.json()["detail"]


def test_too_many_points_are_refused_with_the_step_that_would_do(as_user: AsUser) -> None:
    now_s = int(time.time())  # of what is older than an hour there are no seconds any more
    response = as_user("eve").get(
        f"/api/series/?from_ns={(now_s - 1_150) * NS_PER_S}&to_ns={now_s * NS_PER_S}&step_s=1"
    )
    assert response.json()["detail"].endswith("choose step_s of at least 2.")
    assert len(ask(as_user("eve"), -1_150, 0, step_s=2)["at_ms"]) <= POINTS_MAX


def test_the_rows_are_found_by_their_index(as_user: AsUser) -> None:
    del as_user
    found = Sample.objects.filter(step_s=1, at_ns__gte=1, at_ns__lt=2).order_by("at_ns")
    plan = found.explain()
    assert connection.vendor != "sqlite" or plan.split()[3] == "SEARCH", plan
    assert "TEMP B-TREE" not in plan


# --- quantiles --------------------------------------------------------------------------------------------------------


def test_a_quantile_lies_where_so_many_were_faster() -> None:
    assert quantile_us([10], 0.5) == 50
    assert quantile_us([0, 10], 0.5) == 150
    assert quantile_us([1, 1], 0.99) == pytest.approx(198)
    assert quantile_us([1, 0, 0, 1], 0.5) == 100


def test_of_nothing_there_is_no_quantile_and_beyond_the_bounds_it_is_the_last_bound() -> None:
    assert quantile_us([], 0.5) is None
    assert quantile_us([0, 0], 0.5) is None
    assert quantile_us([0] * len(BUCKETS_US) + [3], 0.5) == BUCKETS_US[-1]


# --- failovers --------------------------------------------------------------------------------------------------------


def view(second: float, *down: str, settled: float | None = None) -> None:
    """Publish a view of three nodes of which some are down."""
    at_ns = int((NOW_S + second) * NS_PER_S)
    RingVersion.objects.create(
        number=at_ns,
        version=at_ns,
        members=[{"address": a, "incarnation": "5", "down": label in down} for label, a in ADDRESSES.items()],
        at_ns=at_ns,
        settled_at_ns=None if settled is None else int((NOW_S + settled) * NS_PER_S),
    )


def test_a_failover_lasts_until_a_view_that_knows_of_it_is_settled(as_user: AsUser) -> None:
    RingVersion.objects.all().delete()
    view(-50, settled=-49)
    view(10, "n1", settled=10.25)
    view(11, "n1", settled=11.5)
    view(20, "n1", "n2")
    view(21, "n1", "n2", settled=21.5)
    view(30, "n3")
    told = ask(as_user("eve"), 0, 60)["failovers"]
    assert [(turn["nodes"], turn["duration_ms"]) for turn in told] == [(["n1"], 250), (["n2"], 1_500), (["n3"], None)]


def test_where_nobody_is_left_there_is_no_failover(as_user: AsUser) -> None:
    """A cluster that was stopped; the view of its next start says that all are gone."""
    RingVersion.objects.all().delete()
    view(-5, settled=-4)
    view(5, "n1", "n2", "n3", settled=5)
    assert ask(as_user("eve"), 0, 60)["failovers"] == []


def test_what_was_down_before_and_who_came_back_is_no_failover(as_user: AsUser) -> None:
    RingVersion.objects.all().delete()
    view(-5, "n1", settled=-4)
    view(5, "n1", settled=6)
    view(15, settled=16)
    assert ask(as_user("eve"), 0, 60)["failovers"] == []
