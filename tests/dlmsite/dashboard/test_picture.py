"""Rows as the browser gets them: exactly the shapes of static/js/contract.js."""

import json
import time

import pytest

from dlmsite.dashboard import picture
from dlmsite.journal.models import Node, Pulse
from tests.dlmsite.dashboard.conftest import ADDRESSES, GENERATION, VIEW, add_events, hold

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("cluster")]


def test_a_snapshot_has_everything_with_wide_numbers_as_strings() -> None:
    (event_id,) = add_events(1)
    hold("k")
    found = json.loads(json.dumps(picture.snapshot()))
    assert list(found) == [
        "type", "last_event_id", "view", "nodes", "locks", "actions", "workload", "events", "lag_ms",
    ]  # fmt: skip
    assert found["last_event_id"] == str(event_id)
    assert found["locks"] == [["k", "ada", str(GENERATION), "2", ADDRESSES["n1"], 2.0, 7000]]
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
