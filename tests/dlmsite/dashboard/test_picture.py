"""Rows as the browser gets them: exactly the shapes of static/js/contract.js."""

import json
import time

import pytest

from dlmsite.dashboard import picture
from dlmsite.journal.models import MasterSight, Node, Pulse, RefusedViews
from tests.dlmsite.dashboard.conftest import ADDRESSES, GENERATION, VIEW, add_events, hold

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("cluster")]


def test_a_snapshot_has_everything_with_wide_numbers_as_strings() -> None:
    (event_id,) = add_events(1)
    hold("k")
    found = json.loads(json.dumps(picture.snapshot()))
    assert list(found) == [
        "type", "last_event_id", "view", "master", "nodes", "locks", "actions", "workload", "holds", "rehearsal",
        "scenario", "invariants", "events", "lag_ms",
    ]  # fmt: skip
    assert found["last_event_id"] == str(event_id)
    assert found["locks"] == [["k", "ada", str(GENERATION), "2", ADDRESSES["n1"], 2.0, 7000, ""]]
    assert (found["view"]["number"], found["view"]["version"], found["view"]["settled"]) == (
        str(VIEW), str(VIEW - 1), True,
    )  # fmt: skip
    assert found["view"]["members"][2] == {
        "address": ADDRESSES["n3"], "incarnation": "5", "down": True, "label": "n3",
    }  # fmt: skip
    assert found["workload"] == {"available": True, "on": False}
    (event,) = found["events"]
    assert (event["id"], event["label"], event["generation"], event["version"]) == (
        str(event_id), "n1", str(GENERATION), "",
    )  # fmt: skip


def test_nodes_are_in_the_order_of_their_numbers() -> None:
    Node.objects.create(label="n10", address="x", color=9)
    assert [node["label"] for node in picture.nodes(0)] == ["n1", "n2", "n3", "n10"]


def test_a_heartbeat_that_was_never_heard_has_no_age() -> None:
    node = Node.objects.create(label="n9", address="x", color=9)
    assert picture.node_of(node, time.time_ns())["heartbeat_age_ms"] is None


def test_a_node_comes_with_how_old_its_picture_is_and_with_the_views_it_refused() -> None:
    """What was seen long ago is no health; refusals of an earlier life are not this one's."""
    second_ns = 1_000_000_000
    Node.objects.update(updated_at_ns=5 * second_ns, settled=True)
    RefusedViews.objects.create(source=ADDRESSES["n1"], incarnation=5, count=3, last_view=VIEW, last_ns=2 * second_ns)
    RefusedViews.objects.create(source=ADDRESSES["n2"], incarnation=4, count=9, last_view=VIEW, last_ns=2 * second_ns)
    n1, n2, _ = picture.nodes(7 * second_ns)
    assert (n1["seen_age_ms"], n1["settled"]) == (2_000, True)
    assert (n1["refused_views"], n1["refused_last"], n1["refused_ms"]) == (3, str(VIEW), 2_000.0)
    assert (n2["refused_views"], n2["refused_last"], n2["refused_ms"]) == (0, "", None)


def test_the_stabilisation_delay_is_told_as_what_is_left_of_it() -> None:
    """The two clocks need not agree, so no moment is sent."""
    second_ns = 1_000_000_000
    assert picture.master_of(None, 0) is None
    sight = MasterSight(at_ns=10 * second_ns, stabilising_until_ns=11 * second_ns)
    assert picture.master_of(sight, 10 * second_ns + 400_000_000) == {"seen_age_ms": 400, "stabilising_ms": 600}
    assert picture.master_of(sight, 12 * second_ns) == {"seen_age_ms": 2_000, "stabilising_ms": 0}
    assert picture.master_of(MasterSight(at_ns=1), 1) == {"seen_age_ms": 0, "stabilising_ms": None}


def test_only_the_newest_events_and_actions_are_in_a_snapshot() -> None:
    add_events(picture.SNAPSHOT_EVENTS + 5)
    found = picture.snapshot()
    ids = [int(event["id"]) for event in found["events"]]
    assert len(ids) == picture.SNAPSHOT_EVENTS
    assert ids == sorted(ids)
    assert str(ids[-1]) == found["last_event_id"]


def test_lag_is_unknown_until_it_is_measured_and_grows_when_the_recorder_is_silent() -> None:
    """A picture that lags says by how much; an unmeasured health is not claimed."""
    second_ns = 1_000_000_000
    assert picture.lag_ms_of(None, 0) is None
    pulse = Pulse(at_ns=100 * second_ns, lag_ms=12.0, waiting=0)
    assert picture.lag_ms_of(pulse, 101 * second_ns) == 12.0
    assert picture.lag_ms_of(pulse, 160 * second_ns) == 60_012.0


def test_a_workload_is_off_when_nobody_is_there_to_run_it() -> None:
    assert picture.workload_of(None) == {"available": False, "on": False}


def test_no_token_is_in_anything_that_leaves() -> None:
    add_events(1)
    hold("k")
    assert "token" not in json.dumps(picture.snapshot())
