"""Things to try over HTTP: the list says what is in the way, starting is asked for or refused with the reason."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from dlmsite.dashboard import picture
from dlmsite.journal.models import MasterSight, Node, RingVersion
from dlmsite.operations.models import Hold, OperatorAction, ScenarioRun
from dlmsite.operations.scenarios import rows
from tests.dlmsite.dashboard.conftest import ADDRESSES, HOUR_NS, VIEW
from tests.dlmsite.dashboard.test_openapi import check

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("well")]

AsUser = Callable[[str], Client]


@pytest.fixture
def well(cluster: None) -> None:  # noqa: ARG001 - its rows are the ground
    """Three nodes that serve, and a master that was seen now."""
    Node.objects.update(state="up", pid=1)
    members = [{"address": address, "incarnation": "5", "down": False} for address in ADDRESSES.values()]
    RingVersion.objects.filter(number=VIEW).update(members=members)
    MasterSight.objects.create(pk=1, at_ns=time.time_ns() + HOUR_NS)


def lacks(client: Client) -> dict[str, Any]:
    return {found["id"]: found["lack"] for found in client.get("/api/scenarios/").json()["scenarios"]}


def test_the_list_is_as_the_document_says_and_nothing_is_in_the_way(as_user: AsUser) -> None:
    rows.begin("eve", "freeze")
    ScenarioRun.objects.update(state="kept")
    response = as_user("eve").get("/api/scenarios/")
    check("/api/scenarios/", "get", response)
    assert (response.json()["tried"], response.json()["run"]["scenario"]) == (True, "freeze")
    assert list(lacks(as_user("ada")).values()) == [None] * 6
    assert not as_user("ada").get("/api/scenarios/").json()["tried"]


def test_starting_one_is_asked_for_and_told(as_user: AsUser) -> None:
    response = as_user("ada").post("/api/scenarios/freeze/start/")
    check("/api/scenarios/{name}/start/", "post", response)
    action = OperatorAction.objects.get()
    assert (response.status_code, action.who, action.what, action.target) == (202, "ada", "try", "freeze")
    again = as_user("ada").post("/api/scenarios/kill-both/start/")
    assert again.status_code == 409
    assert again.json()["detail"].startswith("One at a time: ada tries “Freeze a node")
    assert as_user("ada").post("/api/rehearsal/", {"seconds": 15, "nodes": 3, "seed": 1}, "application/json").json()[
        "detail"
    ] == ("ada tries something on the cluster now. Wait for its end, or cancel it.")


def test_a_viewer_sees_and_may_not_try(as_user: AsUser) -> None:
    for path in ("/api/scenarios/freeze/start/", "/api/scenarios/cancel/"):
        assert as_user("eve").post(path).status_code == 403
    assert set(OperatorAction.objects.values_list("who", "state")) == {("eve", "failed")}
    assert as_user("nobody").get("/api/scenarios/").status_code == 403


def test_a_foreign_page_cannot_start_one(as_user: AsUser) -> None:
    ada = as_user("ada")
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = ada.cookies
    assert strict.post("/api/scenarios/freeze/start/").status_code == 403
    assert not OperatorAction.objects.exists()


def test_a_scenario_that_does_not_exist_is_named_beside_those_that_do(as_user: AsUser) -> None:
    response = as_user("ada").post("/api/scenarios/fly/start/")
    assert response.status_code == 404
    assert response.json()["detail"].startswith("There are kill-primary, drop-join, ")


@pytest.mark.parametrize(
    ("way", "told", "remedy"),
    [
        (lambda: RingVersion.objects.update(settled_at_ns=None), "The cluster is settling", "wait"),
        (lambda: MasterSight.objects.update(at_ns=1), "The master was last seen", "wait"),
        (
            lambda: MasterSight.objects.update(stabilising_until_ns=time.time_ns() + 10**12),
            "The cluster is settling",
            "wait",
        ),
        (
            lambda: Hold.objects.create(label="n2", kind="paused", who="eve", pid=1, since_ns=1),
            "n2 is paused. Resume it first",
            "resume",
        ),
        (
            lambda: OperatorAction.objects.create(who="eve", what="rehearse", requested_at_ns=1),
            "eve rehearses now",
            "stop",
        ),
        (
            lambda: OperatorAction.objects.create(who="eve", what="restart", target="n1", requested_at_ns=1),
            "restart n1 is under way",
            "wait",
        ),
        (lambda: rows.begin("eve", "cut-master"), "One at a time: eve tries “Cut a node off", "cancel"),
    ],
)
def test_what_is_in_the_way_refuses_it_and_is_told(
    as_user: AsUser, way: Callable[[], object], told: str, remedy: str
) -> None:
    way()
    lack = lacks(as_user("ada"))["kill-primary"]
    assert told in lack["text"]
    assert lack["remedy"] == remedy
    response = as_user("ada").post("/api/scenarios/kill-primary/start/")
    detail = response.json()["detail"]
    assert response.status_code == 409
    assert told in detail
    assert OperatorAction.objects.order_by("-id")[0].detail == f"refused: {detail}"


def test_too_few_nodes_are_told_only_of_what_needs_more(as_user: AsUser) -> None:
    members = [{"address": ADDRESSES[label], "incarnation": "5", "down": False} for label in ("n1", "n2")]
    RingVersion.objects.update(members=members)
    Node.objects.filter(label="n3").update(state="killed", pid=None)
    found = lacks(as_user("ada"))
    assert found["kill-primary"] is None
    assert found["kill-both"] == {
        "text": "It needs 3 nodes, and 2 are up. Start n3 again.", "remedy": "restart", "label": "n3",
    }  # fmt: skip


def test_cancelling_is_asked_for_where_there_is_something_to_cancel(as_user: AsUser) -> None:
    nothing = as_user("ada").post("/api/scenarios/cancel/")
    assert (nothing.status_code, nothing.json()["detail"]) == (
        409, "Nothing is being tried: there is nothing to cancel.",
    )  # fmt: skip
    rows.begin("eve", "freeze")
    assert as_user("ada").post("/api/scenarios/cancel/").status_code == 202


def test_runs_come_page_by_page_and_one_by_its_number(as_user: AsUser) -> None:
    made = [rows.begin("ada", "freeze") for _ in range(25)]
    first = as_user("eve").get("/api/scenarios/runs/")
    check("/api/scenarios/runs/", "get", first)
    assert [run["id"] for run in first.json()["runs"]] == [str(pk) for pk in made[:4:-1]]
    rest = as_user("eve").get(f"/api/scenarios/runs/?before={first.json()['next_before']}").json()
    assert ([run["id"] for run in rest["runs"]], rest["next_before"]) == ([str(pk) for pk in made[4::-1]], None)
    one = as_user("eve").get(f"/api/scenarios/runs/?id={made[0]}").json()["runs"]
    assert [run["id"] for run in one] == [str(made[0])]
    assert as_user("eve").get("/api/scenarios/runs/?id=999999").status_code == 404


def test_a_page_is_told_that_a_run_has_changed(as_user: AsUser) -> None:
    """And no more than that: it reads the rest when it shows it."""
    assert picture.snapshot()["scenario"] is None
    run_id = rows.begin("ada", "freeze")
    rows.write(run_id, key="k")
    response = as_user("eve").get("/api/snapshot/")
    assert response.json()["scenario"] == {"id": str(run_id), "state": "running", "changed": "1"}
    check("/api/snapshot/", "get", response)
