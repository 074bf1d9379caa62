"""The history over HTTP: pages, one event, actions."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from dlmsite.dashboard import auditlinks, auditquery
from dlmsite.journal.models import LockEvent, RingVersion
from dlmsite.journal.writer import JournalWriter
from dlmsite.operations import requests
from dlmsite.operations.models import OperatorAction
from lockcore.core.events import Event, EventBatch, EventKind, NumberedEvent
from tests.dlmsite.dashboard.conftest import ADDRESSES, VIEW

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("cluster")]

AsUser = Callable[[str], Client]
N1, N2 = ADDRESSES["n1"], ADDRESSES["n2"]
BASE_NS = 1_790_000_000_000_000_000


def record(*events: Event, source: str = N1) -> list[int]:
    """Record events a second apart; return the ids of all rows."""
    writer = JournalWriter(time.time_ns)
    last = LockEvent.objects.filter(source=source).count()
    told = [NumberedEvent(last + n, BASE_NS + (last + n) * 10**9, event) for n, event in enumerate(events, 1)]
    writer.write([EventBatch(source, 1, tuple(told))])
    return list(LockEvent.objects.order_by("id").values_list("id", flat=True))


def grants(count: int, key: str = "k") -> list[Event]:
    return [Event(EventKind.GRANTED, key, owner="ada", generation=BASE_NS + n, seq=1, view=VIEW) for n in range(count)]


def ids(body: dict[str, Any]) -> list[int]:
    return [int(event["id"]) for event in body["events"]]


def test_pages_go_back_by_key_and_forth_again(as_user: AsUser) -> None:
    rows = record(*grants(7))
    client = as_user("eve")
    first = client.get("/api/audit/?limit=3").json()
    second = client.get(f"/api/audit/?limit=3&before={first['next_before']}").json()
    third = client.get(f"/api/audit/?limit=3&before={second['next_before']}").json()
    assert (ids(first), ids(second), ids(third)) == (rows[:3:-1], rows[3:0:-1], rows[:1])
    assert third["next_before"] is None
    assert ids(client.get(f"/api/audit/?limit=3&after={third['next_after']}").json()) == ids(second)


def test_whoever_follows_resumes_where_it_stopped(as_user: AsUser) -> None:
    """Also if nothing matched meanwhile: what was looked at is not looked at again."""
    client = as_user("eve")
    record(*grants(2, "other"))
    first = client.get("/api/audit/?key=k").json()
    assert first["events"] == []
    rows = record(*grants(5))
    found = client.get(f"/api/audit/?key=k&limit=3&after={first['next_after']}").json()
    assert (ids(found), found["more_after"]) == (rows[4:1:-1], True)
    rest = client.get(f"/api/audit/?key=k&limit=3&after={found['next_after']}").json()
    assert (ids(rest), rest["more_after"]) == (rows[:4:-1], False)
    assert rest["next_after"] == str(rows[-1])


def test_a_time_that_nothing_can_match_is_explained(as_user: AsUser) -> None:
    client = as_user("eve")
    assert client.get("/api/audit/").json()["says"] == "Nothing has been recorded yet."
    record(*grants(2))
    told = client.get("/api/audit/?to=1999-01-01").json()
    assert (told["events"], told["says"][:36]) == ([], "The oldest event that is kept is of ")
    assert "nothing is newer" in client.get("/api/audit/?from=2200-01-01").json()["says"]
    assert "matches" in client.get("/api/audit/?owner=nobody").json()["says"]
    assert "no version 12345" in client.get("/api/audit/?version=12345").json()["says"]
    assert "no view 12345" in client.get("/api/audit/?view=12345").json()["says"]


def test_a_bound_that_was_reached_is_said_and_gone_on_from(as_user: AsUser, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ROWS_MAX", "CHUNK_FIRST", "CHUNK_MAX"):
        monkeypatch.setattr(auditquery, name, 2)
    rows = record(*grants(5))
    found = as_user("eve").get("/api/audit/?text=nowhere").json()
    assert (found["cut"], found["scanned"], found["next_before"]) == (True, 2, str(rows[-2]))
    assert "as far as one request looks" in found["says"]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("limit=501", "limit must be"),
        ("before=1&after=1", "before or after"),
        ("from=nonsense", "from is no time"),
        ("colour=red", "There is no parameter 'colour'"),
        ("kind=granted&kind=died", "Say it once"),
    ],
)
def test_nonsense_is_a_problem(as_user: AsUser, query: str, told: str) -> None:
    response = as_user("eve").get(f"/api/audit/?{query}")
    assert (response.status_code, response["Content-Type"]) == (400, "application/problem+json")
    assert told in response.json()["detail"]


def test_the_page_needs_a_role(as_user: AsUser) -> None:
    assert Client().get("/audit/").status_code == 302
    assert as_user("nobody").get("/audit/").status_code == 403
    assert as_user("eve").get("/audit/").status_code == 200


def test_an_event_that_is_not_there_is_said_to_be_so(as_user: AsUser) -> None:
    response = as_user("eve").get("/api/audit/event/?id=999")
    assert response.status_code == 404
    assert "never was, or is older" in response.json()["detail"]


def kill(label: str, *, view_from: int, view_to: int) -> OperatorAction:
    """Carry out an action as the helm writes it down."""
    action = requests.ask("ada", "kill", label)
    requests.claim()
    reach = requests.Reach(ADDRESSES[label], view_from, view_to)
    requests.finish(action.pk, done=True, detail="process 7 was killed", target=label, reach=reach)
    return action


def view(number: int, **down: bool) -> None:
    """Publish a view in which some nodes are down; left out: n3."""
    members = [{"address": ADDRESSES[label], "incarnation": "5", "down": mark} for label, mark in down.items()]
    RingVersion.objects.create(number=number, version=VIEW, members=members, at_ns=time.time_ns())


def test_an_event_leads_to_the_action_that_caused_its_view(as_user: AsUser) -> None:
    """Action -> view -> locks moved, and back."""
    view(VIEW + 1, n1=False, n2=True, n3=True)
    view(VIEW + 2, n1=True, n2=True, n3=True)
    action = kill("n2", view_from=VIEW, view_to=VIEW + 1)
    promoted = Event(EventKind.PROMOTED, "k", owner="ada", generation=9, seq=1, view=VIEW + 1)
    told = Event(EventKind.OPERATOR, owner="ada", seq=action.pk, view=VIEW, detail="ada: kill n2 requested")
    rows = record(promoted, promoted, Event(EventKind.GRANTED, "k", view=VIEW + 1), told)
    client = as_user("eve")

    found = client.get(f"/api/audit/event/?id={rows[0]}").json()
    assert found["view"]["number"] == str(VIEW + 1)
    assert found["view"]["changes"] == ["n2 is down"]
    assert [(a["id"], a["how"]) for a in found["actions"]] == [(str(action.pk), "recorded")]

    (shown,) = client.get(f"/api/audit/event/?id={rows[3]}").json()["actions"]
    assert [(v["number"], v["how"]) for v in shown["views"]] == [(str(VIEW + 1), "recorded")]
    assert shown["views"][0]["moved"] == {"kinds": {"promoted": 2}, "total": 2, "at_least": False}


def test_what_moved_is_counted_up_to_a_bound_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = [Event(EventKind.PROMOTED, f"k{n}", generation=n + 1, seq=1, view=VIEW + n % 2) for n in range(6)]
    record(*moved)
    assert auditlinks.moved(VIEW) == {"kinds": {"promoted": 3}, "total": 3, "at_least": False}
    monkeypatch.setattr(auditlinks, "MOVED_ROWS_MAX", 1)
    assert auditlinks.moved(VIEW) == {"kinds": {"promoted": 1}, "total": 1, "at_least": True}
    assert auditlinks.moved(VIEW + 9) == {"kinds": {}, "total": 0, "at_least": False}


def test_a_view_soon_after_an_action_on_the_same_node_is_likely_its_doing(as_user: AsUser) -> None:
    """A paused node is marked down when the pause has long been done; another node's fate is not laid to it."""
    action = kill("n2", view_from=VIEW, view_to=VIEW)
    view(VIEW + 1, n1=True, n2=False, n3=True)
    view(VIEW + 2, n1=True, n2=True, n3=True)
    (found,) = as_user("eve").get("/api/audit/actions/").json()["actions"]
    assert found["id"] == str(action.pk)
    assert [(v["number"], v["how"]) for v in found["views"]] == [(str(VIEW + 2), "likely")]


def test_what_comes_of_a_later_action_is_not_laid_to_the_one_before(as_user: AsUser) -> None:
    first = kill("n2", view_from=VIEW, view_to=VIEW)
    second = kill("n2", view_from=VIEW, view_to=VIEW + 1)
    view(VIEW + 1, n1=False, n2=True, n3=True)
    found = as_user("eve").get("/api/audit/actions/").json()["actions"]
    assert [(a["id"], len(a["views"])) for a in found] == [(str(second.pk), 1), (str(first.pk), 0)]


def test_a_view_long_after_an_action_is_nobodys_doing(as_user: AsUser) -> None:
    action = kill("n2", view_from=VIEW, view_to=VIEW)
    OperatorAction.objects.filter(pk=action.pk).update(ended_at_ns=time.time_ns() - 60 * 10**9)
    view(VIEW + 1, n1=False, n2=True, n3=True)
    assert as_user("eve").get("/api/audit/actions/").json()["actions"][0]["views"] == []


def test_refused_requests_are_among_the_actions(as_user: AsUser) -> None:
    requests.refuse("eve", "kill", "n1", "refused: only an operator may act")
    kill("n1", view_from=VIEW, view_to=VIEW)
    client = as_user("eve")
    assert len(client.get("/api/audit/actions/").json()["actions"]) == 2
    (found,) = client.get("/api/audit/actions/?operator=eve&target=n1&what=kill").json()["actions"]
    assert (found["state"], found["views"]) == ("failed", [])
    page = client.get("/api/audit/actions/?limit=1").json()
    assert len(client.get(f"/api/audit/actions/?before={page['next_before']}").json()["actions"]) == 1
