"""Alive, ready, and figures for Prometheus: nothing is told that was not measured."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from django.db import DatabaseError
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from dlmsite.access import tokens
from dlmsite.access.tokens import Scope
from dlmsite.dashboard import picture
from dlmsite.journal.models import Checking, LockEvent, MasterSight, Node, Pulse
from lockcore.core.timing import COUNTS
from tests.dlmsite.dashboard.conftest import VIEW, add_events
from tests.dlmsite.dashboard.test_openapi import check

pytestmark = pytest.mark.django_db

AsUser = Callable[[str], Client]
NS_PER_MS = 1_000_000
GAUGES = {
    "held_primary": 3,
    "held_backup": 2,
    "operations": 70,
    "renewals": 9,
    "waiting": 1,
    "parked": 0,
    "answered": {"counts": [1, 2, *[0] * (COUNTS - 3), 4], "total_us": 2_500_000},
    "replicated": {"counts": [], "total_us": 0},
    "replication_lag_us": 1_500,
}


def measure(*, pulse_ms: float = 0, lag_ms: float = 12, master_ms: float = 0) -> None:
    """Let recorder and master have been seen so long ago."""
    now_ns = time.time_ns()
    Pulse.objects.update_or_create(
        pk=1, defaults={"at_ns": now_ns - int(pulse_ms * NS_PER_MS), "lag_ms": lag_ms, "waiting": 4}
    )
    MasterSight.objects.update_or_create(pk=1, defaults={"at_ns": now_ns - int(master_ms * NS_PER_MS)})


def test_who_answers_is_alive_whatever_else_is_broken(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        response = Client().get("/healthz")
    assert response.json() == {"alive": True}
    check("/healthz", "get", response)


def test_ready_is_who_can_do_its_work() -> None:
    measure()
    response = Client().get("/readyz")
    assert response.status_code == 200
    assert response.json()["recorder_lag_ms"] == 12
    check("/readyz", "get", response)


def test_what_was_never_measured_is_not_ready() -> None:
    response = Client().get("/readyz")
    assert response.status_code == 503
    assert response.json()["reasons"] == ["the recorder was never there", "the master was never there"]


@pytest.mark.parametrize(
    ("late", "reason"),
    [
        ({"lag_ms": 6_000}, r"the recorder is \d+\.\d s behind"),
        ({"pulse_ms": 60_000}, r"the recorder is \d+\.\d s behind"),
        ({"master_ms": 9_000}, r"the master was last seen \d+\.\d s ago"),
    ],
)
def test_what_is_late_is_not_ready_and_says_so(late: dict[str, float], reason: str) -> None:
    measure(**late)
    response = Client().get("/readyz")
    assert (response.status_code, response["Content-Type"]) == (503, "application/problem+json")
    (told,) = response.json()["reasons"]
    assert re.fullmatch(reason, told)


def test_a_journal_that_cannot_be_read_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(now_ns: int) -> NoReturn:
        raise DatabaseError(f"/secret/place {now_ns}")

    measure()
    monkeypatch.setattr(picture, "master", broken)
    response = Client().get("/readyz")
    assert response.json()["reasons"] == ["the journal cannot be read"]
    assert "secret" not in response.content.decode()


def test_health_is_only_read() -> None:
    for path in ("/healthz", "/readyz"):
        assert Client().post(path).status_code == 405


# --- metrics --------------------------------------------------------------------------------------------------------


def scrape(client: Client | None = None) -> dict[str, dict[tuple[str, ...], float]]:
    """Return samples by name and by the values of their labels (in the order of the labels' names)."""
    token = tokens.create(f"p{time.time_ns()}", Scope.READ)
    response = (client or Client()).get("/metrics", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 200, response.content
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(response.content.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels[name] for name in sorted(sample.labels))] = (
                sample.value
            )
    return found


def test_metrics_are_for_who_may_see(as_user: AsUser) -> None:
    assert Client().get("/metrics").status_code == 401
    assert as_user("nobody").get("/metrics").status_code == 403
    assert as_user("eve").get("/metrics")["Content-Type"].startswith("text/plain")


@pytest.mark.usefixtures("cluster")
def test_metrics_tell_what_the_rows_say() -> None:
    measure()
    Node.objects.filter(label="n1").update(gauges=GAUGES, settled=True)
    ids = add_events(3)
    Checking.objects.create(pk=1, at_ns=1, since_ns=1, remembers_since_ns=1, checked=77)
    found = scrape()
    assert found["lockring_node_up"] == {("n1",): 1, ("n2",): 1, ("n3",): 0}
    assert found["lockring_nodes"]["up",] == 2
    assert found["lockring_held_locks"] == {("n1", "primary"): 3, ("n1", "backup"): 2}
    assert found["lockring_operations_total"] == {("n1",): 70}
    assert found["lockring_operation_duration_seconds_bucket"]["0.0002", "n1"] == 3
    assert found["lockring_operation_duration_seconds_bucket"]["+Inf", "n1"] == 7
    assert found["lockring_operation_duration_seconds_sum"] == {("n1",): 2.5}
    assert "lockring_replication_duration_seconds_bucket" not in found, "nobody measured it"
    assert found["lockring_replication_lag_seconds"] == {("n1",): 0.0015}
    assert found["lockring_events_recorded_total"] == {(): ids[-1]}
    assert found["lockring_recorder_lag_seconds"] == {(): 0.012}
    assert found["lockring_view_members_down"] == {(): 1}
    assert found["lockring_events_checked_total"] == {(): 77}
    assert found["lockring_violations_total"] == {(): 0}
    assert found["process_cpu_seconds_total"]


@pytest.mark.usefixtures("cluster")
def test_what_is_not_seen_any_more_has_no_figures() -> None:
    """Zero held locks would be a lie, and an alarm that never rings."""
    Node.objects.filter(label="n1").update(gauges=GAUGES, updated_at_ns=VIEW - 60 * 10**9)
    found = scrape()
    assert found["lockring_node_up"]["n1",] == 0
    assert found["lockring_nodes"]["unknown",] == 1
    assert "lockring_held_locks" not in found
    assert "lockring_recorder_lag_seconds" not in found


def test_an_empty_journal_has_metrics_too() -> None:
    assert scrape()["lockring_events_recorded_total"] == {(): 0}
    assert not LockEvent.objects.exists()


def test_requests_are_counted_by_route_and_not_by_what_strangers_type() -> None:
    client = Client()
    before = scrape().get("lockring_http_requests_total", {})
    for path in ("/healthz", "/nowhere/x", "/nowhere/y"):
        client.get(path)
    client.generic("BREW", "/healthz")
    after = scrape()["lockring_http_requests_total"]
    grown = {labels: count - before.get(labels, 0) for labels, count in after.items() if count > before.get(labels, 0)}
    assert grown["GET", "healthz", "200"] == 1
    assert grown["GET", "none", "404"] == 2
    assert grown["other", "healthz", "405"] == 1


def test_times_of_requests_are_a_histogram_in_seconds() -> None:
    Client().get("/healthz")
    found = scrape()
    assert found["lockring_http_request_duration_seconds_count"]["healthz",] >= 1
    assert ("+Inf", "healthz") in found["lockring_http_request_duration_seconds_bucket"]


@pytest.mark.usefixtures("cluster")
def test_the_grafana_dashboard_asks_only_for_what_there_is() -> None:
    """A panel of a metric that was renamed is empty, and looks like a quiet cluster."""
    measure()
    timed = {"replicated": GAUGES["answered"]}
    Node.objects.filter(label="n1").update(gauges={**GAUGES, **timed})
    Checking.objects.create(pk=1, at_ns=1, since_ns=1, remembers_since_ns=1)
    Client().get("/healthz")
    board = json.loads((Path(__file__).parents[3] / "docs/grafana/lockring.json").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    names = {name for expression in asked for name in re.findall(r"lockring_\w+", expression)}
    assert len(names) > 15
    assert names - set(scrape()) == set()
