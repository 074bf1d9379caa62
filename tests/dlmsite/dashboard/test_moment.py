"""The picture of a past moment, over HTTP."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from dlmsite.journal.models import NodesSeen, RingVersion
from dlmsite.journal.momentnodes import VALID_NS, Sights, seen_at
from dlmsite.journal.nodes import NodeBook, NodeSample
from dlmsite.journal.writer import JournalWriter
from dlmsite.operations.models import OperatorAction
from lockcore.core.events import Event, EventBatch, EventKind, NumberedEvent
from tests.dlmsite.dashboard.conftest import ADDRESSES
from tests.dlmsite.dashboard.test_openapi import check

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("people")]

AsUser = Callable[[str], Client]
N1, N2 = ADDRESSES["n1"], ADDRESSES["n2"]
NOW_NS = 1_790_000_000_000_000_000
S = 1_000_000_000


def tell(writer: JournalWriter, source: str, number: int, at_s: float, event: Event) -> None:
    writer.write([EventBatch(source, 5, (NumberedEvent(number, NOW_NS + int(at_s * S), event),))])


def look(at_s: float, **states: str) -> None:
    """Write down what the nodes were like."""
    samples = [
        NodeSample(label, ADDRESSES[label], state, incarnation=5, heartbeat_at_ns=NOW_NS + int(at_s * S))
        for label, state in states.items()
    ]
    NodeBook().write(samples, NOW_NS + int(at_s * S))


def publish(at_s: float, number: int, *, down: str = "", version: int = 1) -> None:
    members = [{"address": a, "incarnation": "5", "down": label == down} for label, a in ADDRESSES.items()]
    at_ns = NOW_NS + int(at_s * S)
    RingVersion.objects.create(number=number, version=version, members=members, at_ns=at_ns, settled_at_ns=at_ns + S)


@pytest.fixture
def failover() -> JournalWriter:
    """N1 holds k at 1 s, dies at 5 s; n2 has it from 6 s on, and releases it at 9 s."""
    writer = JournalWriter(lambda: NOW_NS + 60 * S)
    publish(0, 1)
    look(0.5, n1="up", n2="up")
    tell(writer, N1, 1, 1, Event(EventKind.GRANTED, "k", owner="ada", generation=7, seq=1, ttl_ms=7000))
    tell(writer, "master", 1, 5, Event(EventKind.DIED, peer=N1, detail="not heard for 2 s"))
    publish(5.5, 2, down="n1")
    look(5.8, n1="killed", n2="up")
    tell(writer, N2, 1, 6, Event(EventKind.PROMOTED, "k", owner="ada", generation=7, seq=2, ttl_ms=7000))
    tell(writer, N2, 2, 9, Event(EventKind.RELEASED, "k", owner="ada", generation=7, seq=3))
    return writer


def at(client: Client, at_s: float) -> Any:
    response = client.get(f"/api/moment/?at_ns={NOW_NS + int(at_s * S)}")
    assert response.status_code == 200
    return response.json()


@pytest.mark.usefixtures("failover")
def test_locks_nodes_and_view_are_shown_as_they_were(as_user: AsUser) -> None:
    client = as_user("eve")
    before, after, over = at(client, 2), at(client, 7), at(client, 9)
    assert [lock[0:5] for lock in before["locks"]] == [["k", "ada", "7", "1", N1]]
    assert [node["state"] for node in before["nodes"]] == ["up", "up"]
    assert [member["down"] for member in before["view"]["members"]] == [False] * 3
    assert [lock[0:5] for lock in after["locks"]] == [["k", "ada", "7", "2", N2]]
    assert [node["state"] for node in after["nodes"]] == ["killed", "up"]
    assert [member["down"] for member in after["view"]["members"]] == [True, False, False]
    assert after["nodes"][1]["held_primary"] == 1
    assert over["locks"] == []
    assert (before["moment"]["where"], before["moment"]["doubts"]) == ("within", [])


@pytest.mark.usefixtures("failover")
def test_a_node_that_died_since_it_was_looked_at_is_down(as_user: AsUser) -> None:
    """Five times a second somebody looks; the fact is there at once."""
    assert [node["state"] for node in at(as_user("eve"), 5.1)["nodes"]] == ["down", "up"]


@pytest.mark.usefixtures("failover")
def test_a_view_is_settled_only_from_when_it_was(as_user: AsUser) -> None:
    client = as_user("eve")
    assert at(client, 6)["view"]["settled"] is False
    assert at(client, 7)["view"]["settled"] is True


@pytest.mark.usefixtures("failover")
def test_a_moment_can_be_named_by_its_event(as_user: AsUser) -> None:
    client = as_user("eve")
    ids = {event["kind"]: event["id"] for event in client.get("/api/events/").json()["events"]}
    assert client.get(f"/api/moment/?event={ids['promoted']}").json()["locks"][0][4] == N2
    found = client.get(f"/api/moment/?event={ids['released']}").json()
    assert found["locks"] == []
    assert found["moment"]["at_ns"] == str(NOW_NS + 9 * S)


@pytest.mark.usefixtures("failover")
def test_times_outside_of_what_is_recorded_have_answers_that_say_so(as_user: AsUser) -> None:
    client = as_user("eve")
    before, after = at(client, -100), at(client, 10_000)
    assert before["moment"]["where"] == "before"
    assert (before["locks"], before["view"], before["nodes"]) == ([], None, [])
    assert "before the first row" in before["moment"]["doubts"][0]
    assert after["moment"]["where"] == "after"
    assert after["moment"]["last_ns"] == str(NOW_NS + 9 * S)


def test_an_empty_journal_has_an_answer(as_user: AsUser) -> None:
    found = at(as_user("eve"), 0)
    assert found["moment"]["where"] == "empty"


@pytest.mark.usefixtures("failover")
def test_who_was_not_looked_at_for_long_is_not_said_to_have_been_well(as_user: AsUser) -> None:
    """The site was off: the page shows an old sight as unknown."""
    later = at(as_user("eve"), 6 + VALID_NS / S)
    assert min(node["seen_age_ms"] for node in later["nodes"]) > 60_000
    assert at(as_user("eve"), 7)["nodes"][1]["seen_age_ms"] == 0


def test_members_that_nobody_looked_at_are_unknown(as_user: AsUser, failover: JournalWriter) -> None:
    del failover
    NodesSeen.objects.all().delete()
    assert {node["state"] for node in at(as_user("eve"), 2)["nodes"]} == {"unknown"}


def test_missing_facts_are_told_with_the_picture(as_user: AsUser, failover: JournalWriter) -> None:
    tell(failover, N2, 9, 10, Event(EventKind.GRANTED, "k2", generation=8, seq=1))
    found = at(as_user("eve"), 11)["moment"]
    assert found["missing"] == 6
    assert found["gaps"][0]["node"] == N2
    assert at(as_user("eve"), 9)["moment"]["missing"] == 0


@pytest.mark.usefixtures("failover")
def test_actions_are_shown_as_far_as_they_had_got(as_user: AsUser) -> None:
    OperatorAction.objects.create(
        who="ada", what="kill", target="n1", state="done", detail="it is dead", requested_at_ns=NOW_NS + 4 * S,
        started_at_ns=NOW_NS + 5 * S, ended_at_ns=NOW_NS + 6 * S,
    )  # fmt: skip
    client = as_user("eve")
    assert [action["state"] for at_s in (3, 4.5, 5.5, 6.5) for action in at(client, at_s)["actions"]] == [
        "requested", "running", "done",
    ]  # fmt: skip


@pytest.mark.usefixtures("failover")
def test_answers_are_as_the_document_says(as_user: AsUser) -> None:
    client = as_user("eve")
    for at_s in (-5, 2, 7, 100):
        check("/api/moment/", "get", client.get(f"/api/moment/?at_ns={NOW_NS + at_s * S}"))
    check("/api/moment/", "get", client.get("/api/moment/?event=999999"))


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("", 400, "Say which moment"),
        ("?at_ns=1&event=1", 400, "Say which moment"),
        ("?at_ns=yesterday", 400, "whole number"),
        ("?at_ns=99999999999999999999", 400, "whole number"),
        ("?event=0", 400, "whole number"),
        ("?event=77", 404, "no event 77"),
        ("?when=1", 400, "no parameter"),
    ],
)
def test_what_is_no_moment_is_refused(as_user: AsUser, query: str, status: int, says: str) -> None:
    response = as_user("eve").get(f"/api/moment/{query}")
    assert response.status_code == status
    assert says in json.loads(response.content)["detail"]


def test_only_who_may_see_sees_the_past(as_user: AsUser) -> None:
    for path in ("/api/moment/?at_ns=1", "/api/timeline/", "/api/compare/?a_ns=1&b_ns=2"):
        assert Client().get(path).status_code == 401
        assert as_user("nobody").get(path).status_code == 403


def test_nodes_are_written_down_when_something_about_them_changes(db: None) -> None:
    """And figures alone only now and then (momentnodes, S2)."""
    del db
    sights = Sights()
    look(0, n1="up")
    assert NodesSeen.objects.count() == 1
    nodes = [_node("up", 1)]
    assert sights.note(nodes, NOW_NS)
    assert not sights.note([_node("up", 2)], NOW_NS + S)
    assert sights.note([_node("fenced", 2)], NOW_NS + 2 * S)
    assert sights.note([_node("fenced", 3)], NOW_NS + 13 * S)
    assert not sights.note([_node("fenced", 3)], NOW_NS + 30 * S)
    assert sights.note([_node("fenced", 3)], NOW_NS + 74 * S)
    seen = seen_at(NOW_NS + 20 * S)
    assert seen is not None
    assert (seen[0], seen[1][0]["held_primary"]) == (NOW_NS + 13 * S, 3)


def _node(state: str, held: int) -> Any:
    from dlmsite.journal.models import Node

    return Node(label="n1", address=N1, color=0, state=state, held_primary=held)
