"""Watched clusters over HTTP: who may see them, who may attach them, and what they are told of."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from dlmsite.dashboard import churn, clusters
from dlmsite.observing import book, weedask
from dlmsite.observing.models import ObservedCluster, ObservedEvent
from dlmsite.observing.naming import read_observe
from dlmsite.observing.sight import Sight
from dlmsite.operations.models import OperatorAction
from lockcore.core.ring import HashRing
from lockcore.wire.seaweed_client import MasterTold, RingUpdate
from tests.dlmsite.dashboard.test_openapi import check

pytestmark = pytest.mark.django_db

AsUser = Callable[[str], Client]
A, B = "10.0.0.1:8888.18888", "10.0.0.2:8888.18888"


@pytest.fixture
def prod(db: None) -> ObservedCluster:  # noqa: ARG001 - rows need the database
    """A cluster that is watched, with three versions of its ring."""
    row = book.attach(read_observe("prod=m1:9333"), "ada")
    sight = Sight()
    for version, servers in ((1 << 60, (A,)), (2 << 60, (A, B)), (3 << 60, (B,))):
        facts = sight.told("m1:19333", MasterTold(ring=RingUpdate("", servers, version)), time.time_ns())
        book.write(row.pk, facts, book.State(sight.state, sight.leader, "", time.time_ns(), None))
    return row


def post(client: Client, path: str, body: dict[str, Any]) -> Any:
    return client.post(path, json.dumps(body), content_type="application/json")


@pytest.mark.usefixtures("prod")
def test_a_viewer_sees_a_watched_cluster_as_the_document_says(as_user: AsUser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "STALE_S", 3_600)  # however slow the machine
    eve = as_user("eve")
    found = eve.get("/api/cluster/prod/").json()
    version = str(3 << 60)
    assert found["ring"] == {"version": version, "renewed": version, "servers": [B], "at_ms": found["ring"]["at_ms"]}
    assert found["cluster"]["state"] == "following"
    assert [(f["label"], f["on_ring"]) for f in found["filers"]] == [("f2", True), ("f1", False)]
    assert found["events"][0]["kind"] == "left"
    check("/api/clusters/", "get", eve.get("/api/clusters/"))
    for part in ("", "rings/", "events/", "churn/"):
        check("/api/cluster/{name}/" + part, "get", eve.get(f"/api/cluster/prod/{part}"))
    for page in ("/clusters/", "/cluster/prod/"):
        assert eve.get(page).status_code == 200


def test_churn_is_counted_by_step_and_by_filer(prod: ObservedCluster, as_user: AsUser) -> None:
    eve = as_user("eve")
    for over, (step_s, count) in churn.STEPS.items():
        told = eve.get(f"/api/cluster/prod/churn/?over={over}").json()
        assert (told["step_ms"], len(told["steps"])) == (step_s * 1_000, count)
        steps = [(step["joined"], step["left"]) for step in told["steps"] if step["joined"] or step["left"]]
        assert [sum(numbers) for numbers in zip(*steps, strict=True)] == [2, 1]
        assert told["to_ms"] - told["from_ms"] == step_s * count * 1_000
        assert [(f["label"], f["joined"], f["left"]) for f in told["filers"]] == [("f1", 1, 1), ("f2", 1, 0)]
        assert not told["cut"]
    assert eve.get("/api/cluster/prod/churn/?over=year").status_code == 400
    ObservedEvent.objects.filter(cluster=prod).update(at_ns=time.time_ns() - 2 * 3_600 * 10**9)
    assert eve.get("/api/cluster/prod/churn/").json()["filers"] == [], "what was before is not of the last hour"
    assert eve.get("/api/cluster/prod/churn/?over=day").json()["filers"] != []


def test_more_changes_than_are_looked_at_are_said(
    prod: ObservedCluster, as_user: AsUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    del prod
    monkeypatch.setattr(churn, "CHANGES_MAX", 2)
    told = as_user("eve").get("/api/cluster/prod/churn/").json()
    assert told["cut"]
    assert sum(step["joined"] + step["left"] for step in told["steps"]) == 2


def test_alerts_are_on_the_page_in_the_list_and_among_the_figures(
    prod: ObservedCluster, as_user: AsUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "STALE_S", 3_600)
    eve = as_user("eve")
    (alert,) = eve.get("/api/cluster/prod/").json()["alerts"]
    assert (alert["kind"], alert["severity"], alert["label"]) == ("alone", "warn", "f2")
    assert eve.get("/api/clusters/").json()["clusters"][0]["alerts"] == [alert]
    figures = eve.get("/metrics").content.decode()
    assert 'lockring_watched_alerts{cluster="prod",kind="alone"} 1.0' in figures
    assert 'lockring_watched_alerts{cluster="prod",kind="away"} 0.0' in figures
    book.detach(prod, "ada")
    assert eve.get("/api/cluster/prod/").json()["alerts"] == []
    assert 'cluster="prod"' not in eve.get("/metrics").content.decode()


@pytest.mark.usefixtures("prod")
def test_versions_and_events_come_page_by_page(as_user: AsUser) -> None:
    eve = as_user("eve")
    first = eve.get("/api/cluster/prod/rings/?limit=2").json()
    assert [ring["version"] for ring in first["rings"]] == [str(3 << 60), str(2 << 60)]
    rest = eve.get(f"/api/cluster/prod/rings/?limit=2&before={first['next_before']}").json()
    assert ([ring["servers"] for ring in rest["rings"]], rest["next_before"]) == ([[A]], None)
    page = eve.get("/api/cluster/prod/events/?limit=2&kind=joined").json()
    assert ([event["label"] for event in page["events"]], page["next_before"]) == (["f2", "f1"], None)
    older = eve.get("/api/cluster/prod/events/?limit=1").json()["next_before"]
    assert eve.get(f"/api/cluster/prod/events/?before={older}").json()["events"]


def test_nobody_else_sees_them(as_user: AsUser) -> None:
    for path in ("/api/clusters/", "/api/cluster/prod/"):
        assert Client().get(path).status_code == 401
        assert as_user("nobody").get(path).status_code == 403
    assert as_user("nobody").get("/clusters/").status_code == 403
    assert as_user("eve").get("/api/cluster/never/").status_code == 404
    assert as_user("eve").get("/cluster/never/").status_code == 404


def test_an_operator_attaches_and_detaches_and_each_is_recorded(as_user: AsUser) -> None:
    ada = as_user("ada")
    attached = post(ada, "/api/clusters/attach/", {"masters": "m1:9333, m2:9333", "name": "", "group": "blue"})
    check("/api/clusters/attach/", "post", attached)
    assert attached.json()["cluster"]["name"] == "m1-9333-blue"
    assert post(ada, "/api/cluster/m1-9333-blue/canary/", {"on": True}).json()["cluster"]["canary"] is True
    detached = post(ada, "/api/cluster/m1-9333-blue/detach/", {})
    check("/api/cluster/{name}/detach/", "post", detached)
    assert detached.json()["cluster"]["state"] == "detached"
    assert post(ada, "/api/cluster/m1-9333-blue/detach/", {}).status_code == 409
    assert post(ada, "/api/cluster/m1-9333-blue/canary/", {"on": True}).status_code == 409
    done = list(OperatorAction.objects.order_by("id").values_list("who", "what", "target", "state"))
    assert done[:3] == [("ada", what, "m1-9333-blue", "done") for what in ("attach", "canary", "detach")]
    assert {state for *_, state in done[3:]} == {"failed"}


def test_a_viewer_may_not_attach_and_that_is_recorded(as_user: AsUser) -> None:
    assert post(as_user("eve"), "/api/clusters/attach/", {"masters": "m1:9333"}).status_code == 403
    assert ObservedCluster.objects.count() == 0
    assert OperatorAction.objects.get().state == "failed"


def test_attaching_needs_the_page_s_own_token(people: dict[str, Any]) -> None:
    """A foreign page could else have the site connect to where it likes."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(people["ada"])
    assert post(client, "/api/clusters/attach/", {"masters": "m1:9333"}).status_code == 403
    assert ObservedCluster.objects.count() == 0


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "say where a master listens"),
        ({"masters": "m1"}, "write HOST:PORT"),
        ({"masters": "https://m1:9333"}, "TLS is not spoken here"),
        ({"masters": ["m1:9333"]}, "Say "),
        ({"masters": "m1:9333", "name": "<img>"}, "cannot name a cluster"),
        ({"masters": "x" * 3_000}, "Say "),
    ],
)
def test_what_cannot_be_attached_says_what_could(as_user: AsUser, body: dict[str, Any], why: str) -> None:
    refused = post(as_user("ada"), "/api/clusters/attach/", body)
    assert refused.status_code == 400
    assert why in refused.json()["detail"]


@pytest.mark.parametrize("body", [b"[]", b"{", b"\xff", b"1"])
def test_a_body_that_is_no_object_is_explained(as_user: AsUser, body: bytes) -> None:
    refused = as_user("ada").post("/api/clusters/attach/", body, content_type="application/json")
    assert (refused.status_code, refused.json()["detail"]) == (400, "Send a JSON object.")


def test_what_nobody_watches_is_unknown(as_user: AsUser, prod: ObservedCluster) -> None:
    """W1: a state from before is not shown as if it were now."""
    ObservedCluster.objects.filter(pk=prod.pk).update(seen_at_ns=time.time_ns() - 60 * 10**9)
    told = as_user("eve").get("/api/cluster/prod/").json()["cluster"]
    assert told["state"] == "unknown"
    assert "nobody watches it now" in told["trouble"]


@pytest.mark.usefixtures("prod")
def test_a_holder_is_asked_of_the_primary(as_user: AsUser, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    async def holder_of(address: str, key: str) -> str | None:
        asked.append((address, key))
        if key == "hangs":
            raise weedask.NoAnswer("it hangs, is stopped")
        return "ada" if key == "held" else None

    monkeypatch.setattr(weedask, "holder_of", holder_of)
    eve = as_user("eve")
    held = eve.get("/api/cluster/prod/holder/?key=held")
    check("/api/cluster/{name}/holder/", "get", held)
    assert (held.json()["held"], held.json()["owner"], held.json()["backup"]) == (True, "ada", None)
    assert eve.get("/api/cluster/prod/holder/?key=free").json()["held"] is False
    silent = eve.get("/api/cluster/prod/holder/?key=hangs")
    assert (silent.status_code, silent.json()["detail"]) == (503, f"{B}: it hangs, is stopped")
    assert asked == [(HashRing([B]).primary(key), key) for key in ("held", "free", "hangs")]


def test_where_there_is_no_ring_nobody_is_asked(as_user: AsUser) -> None:
    book.attach(read_observe("new=m1:9333"), "ada")
    refused = as_user("eve").get("/api/cluster/new/holder/?key=k")
    assert (refused.status_code, refused.json()["title"]) == (503, "The holder is unknown")
