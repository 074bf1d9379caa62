"""`/metrics` for Prometheus: what the journal's rows say at this moment, and how this process is doing.

Names follow Prometheus: `lockring_`, base units, `_total` for what only grows, `_seconds` for times. The dashboard of
docs/grafana uses them; a test compares.

A read token (or a session) is needed: behind a proxy on the same machine every visitor comes from loopback, so that
address proves nothing (docs/decisions).

Invariants
  X1  What nobody knows is absent, not zero: a node that is not seen has no figures but that it is not up.
  X2  Labels are bounded: nodes, states, rules, watched clusters, and the site's own URL patterns.
Elsewhere: counting requests (measured), who may (dlmsite.access.door).
"""

import time
from collections import Counter as Tally
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from dlmsite.dashboard import clusters, picture
from dlmsite.dashboard.gate import json_view
from dlmsite.dashboard.measured import REGISTRY as REQUESTS
from dlmsite.dashboard.openapi import Operation
from dlmsite.journal.models import Checking, MasterSight, Node, Pulse, Violation
from dlmsite.journal.nodes import STATES
from dlmsite.observing import book
from dlmsite.observing.alerts import KINDS
from dlmsite.operations import requests
from lockcore.core.timing import BUCKETS_US

NS_PER_S: Final = 1e9
MS_PER_S: Final = 1e3
US_PER_S: Final = 1e6
BOUNDS_S: Final = (*(f"{bound_us / US_PER_S:g}" for bound_us in BUCKETS_US), "+Inf")
FRESH_NS: Final = 3_000_000_000
"""A look at a node that is older says nothing of now."""
UP: Final = frozenset({"up", "acquiring", "leaving"})
"""It serves, or is about to."""


class Cluster(Collector):
    """Makes the figures of the cluster out of rows, at each scrape."""

    def describe(self) -> list[Metric]:
        """Return none: asking would mean a query at import."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every figure."""
        now_ns = time.time_ns()
        yield from _of_nodes(list(Node.objects.all()), now_ns)
        yield from _of_view()
        yield from _of_journal(now_ns)
        yield from _of_check()
        yield from _of_watched()


def registry() -> CollectorRegistry:
    """Return what is told: cluster, requests, and the process itself."""
    found = CollectorRegistry(auto_describe=False)
    found.register(Cluster())
    found.register(REQUESTS)
    ProcessCollector(registry=found)
    return found


@json_view("GET", Operation("Figures for Prometheus.", None, media="text/plain"))
def metrics(request: HttpRequest) -> HttpResponse:
    """Tell all figures."""
    del request
    return HttpResponse(generate_latest(_REGISTRY), content_type=CONTENT_TYPE_LATEST)


def _of_nodes(rows: list[Node], now_ns: int) -> Iterator[Metric]:
    fresh = [row for row in rows if now_ns - row.updated_at_ns < FRESH_NS]
    states = Tally(row.state for row in fresh)
    states["unknown"] += len(rows) - len(fresh)
    yield _gauge(
        "nodes", "Nodes by state, as last seen.", ((state, states[state]) for state in sorted(STATES)), "state"
    )
    yield _gauge("node_up", "Whether the node serves.", ((row.label, row in fresh and row.state in UP) for row in rows))
    seen = [row for row in fresh if row.gauges]
    told = [(row.label, row.gauges) for row in seen]
    yield _gauge("node_settled", "Whether it lacks nothing in its view.", ((row.label, row.settled) for row in seen))
    ages = ((row.label, (now_ns - row.heartbeat_at_ns) / NS_PER_S) for row in seen if row.heartbeat_at_ns is not None)
    yield _gauge("node_heartbeat_age_seconds", "Since the master last heard of it.", ages)
    held = GaugeMetricFamily("lockring_held_locks", "Locks held, by the node's part in them.", labels=["node", "role"])
    for label, gauges in told:
        held.add_metric([label, "primary"], gauges["held_primary"])
        held.add_metric([label, "backup"], gauges["held_backup"])
    yield held
    yield _gauge("waiting_requests", "Requests whose answer waits.", ((name, g["waiting"]) for name, g in told))
    yield _gauge("parked_requests", "Requests parked until state arrives.", ((name, g["parked"]) for name, g in told))
    yield _count("operations", "Lock operations since the node started.", ((name, g["operations"]) for name, g in told))
    yield _times("operation_duration_seconds", "From request to answer, without waits for others.", "answered", told)
    yield _times("replication_duration_seconds", "Until a peer had what a batch told it.", "replicated", told)
    lags = (
        (label, gauges["replication_lag_us"] / US_PER_S) for label, gauges in told if "replication_lag_us" in gauges
    )
    yield _gauge("replication_lag_seconds", "Since the oldest batch that no peer has yet left.", lags)
    yield _count("renewals", "Renewals since the node started.", ((name, g["renewals"]) for name, g in told))


def _of_view() -> Iterator[Metric]:
    view = picture.newest_view()
    if view is None:
        return
    yield GaugeMetricFamily(
        "lockring_view_published_timestamp_seconds", "When the newest view was published.", view.at_ns / NS_PER_S
    )
    yield GaugeMetricFamily("lockring_view_settled", "Whether it is settled.", float(view.settled_at_ns is not None))
    yield GaugeMetricFamily("lockring_view_members", "Members of the newest view.", len(view.members))
    down = sum(1 for member in view.members if member["down"])
    yield GaugeMetricFamily("lockring_view_members_down", "Members that are marked down.", down)


def _of_journal(now_ns: int) -> Iterator[Metric]:
    yield CounterMetricFamily("lockring_events_recorded", "Events, by the id of the newest.", picture.last_event_id())
    pulse = Pulse.objects.filter(pk=1).first()
    lag_ms = picture.lag_ms_of(pulse, now_ns)
    if pulse is not None and lag_ms is not None:
        yield GaugeMetricFamily("lockring_recorder_lag_seconds", "Rows behind the cluster.", lag_ms / MS_PER_S)
        yield GaugeMetricFamily("lockring_recorder_waiting_events", "Events that are no rows yet.", pulse.waiting)
    sight = MasterSight.objects.filter(pk=1).first()
    if sight is not None:
        yield GaugeMetricFamily(
            "lockring_master_seen_timestamp_seconds", "When the master was last looked at.", sight.at_ns / NS_PER_S
        )
    present = requests.present_helm() is not None
    yield GaugeMetricFamily("lockring_supervisor_present", "Whether somebody can start nodes.", float(present))


def _of_watched() -> Iterator[Metric]:
    """Yield what is wrong in clusters that are watched; they are few, and so are the kinds (X2)."""
    told = GaugeMetricFamily(
        "lockring_watched_alerts", "What is wrong in a watched cluster now, by kind.", labels=["cluster", "kind"]
    )
    for row in book.attached():
        found = Tally(alert.kind for alert in clusters.alerts_in(row))
        for kind in KINDS:
            told.add_metric([row.name, kind], found[kind])
    yield told


def _of_check() -> Iterator[Metric]:
    row = Checking.objects.filter(pk=1).first()
    if row is None:
        return
    yield CounterMetricFamily("lockring_events_checked", "Events that the running check judged.", row.checked)
    yield CounterMetricFamily("lockring_events_unchecked", "Events that it missed.", row.unchecked)
    yield GaugeMetricFamily("lockring_check_running", "Whether it runs.", float(not row.trouble))
    yield CounterMetricFamily("lockring_violations", "Contradictions found.", Violation.objects.count() + row.unlisted)


def _gauge(name: str, says: str, values: Iterable[tuple[str, Any]], label: str = "node") -> Metric:
    family = GaugeMetricFamily(f"lockring_{name}", says, labels=[label])
    for labelled, value in values:
        family.add_metric([labelled], float(value))
    return family


def _times(name: str, says: str, member: str, told: Iterable[tuple[str, Any]]) -> Metric:
    """Return a histogram of what nodes have timed; who does not measure is absent (X1)."""
    family = HistogramMetricFamily(f"lockring_{name}", says, labels=["node"])
    for label, gauges in told:
        timing = gauges.get(member) or {}
        if counts := timing.get("counts"):
            sums = zip(BOUNDS_S, accumulate(counts), strict=True)
            family.add_metric([label], buckets=list(sums), sum_value=timing["total_us"] / US_PER_S)
    return family


def _count(name: str, says: str, values: Iterable[tuple[str, int]]) -> Metric:
    family = CounterMetricFamily(f"lockring_{name}", says, labels=["node"])
    for labelled, value in values:
        family.add_metric([labelled], value)
    return family


_REGISTRY: Final = registry()
