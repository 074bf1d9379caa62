"""Reading over HTTP."""

import json
from collections.abc import Callable
from http import HTTPStatus
from zlib import crc32

import pytest
from django.test import Client

from dlmsite.dashboard import finding
from dlmsite.dashboard.problems import Refusal
from dlmsite.journal.models import LockEvent, RingVersion
from tests.dlmsite.dashboard.conftest import ADDRESSES, add_events, hold

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("cluster")]

AsUser = Callable[[str], Client]


def test_a_visitor_sees_nothing_but_the_way_in() -> None:
    assert Client().get("/")["Location"].startswith("/login/")
    for path in ("/api/snapshot/", "/api/events/", "/api/find/?key=k", "/api/nothing/"):
        response = Client().get(path)
        assert response.status_code == 401
        assert response["WWW-Authenticate"].startswith("Bearer")
        assert "manage.py token create" in response.json()["detail"]


def test_somebody_without_a_role_is_told_so(as_user: AsUser) -> None:
    response = as_user("nobody").get("/api/snapshot/")
    assert response.status_code == 403
    assert response["Content-Type"] == "application/problem+json"
    assert "have no role" in response.json()["detail"]
    assert as_user("nobody").get("/").status_code == 403


def test_the_page_says_whether_its_reader_may_act(as_user: AsUser) -> None:
    assert b'data-operate="yes"' in as_user("ada").get("/").content
    assert b'data-operate="no"' in as_user("eve").get("/").content


def test_a_viewer_gets_the_snapshot(as_user: AsUser) -> None:
    hold("k")
    response = as_user("eve").get("/api/snapshot/")
    assert response.json()["locks"][0][0] == "k"
    assert "no-store" in response["Cache-Control"]


def test_history_comes_in_pages_newest_first(as_user: AsUser) -> None:
    ids = add_events(5)
    client = as_user("eve")
    first = client.get("/api/events/?limit=3").json()
    assert [int(event["id"]) for event in first["events"]] == ids[:1:-1]
    rest = client.get(f"/api/events/?limit=3&before={first['next_before']}").json()
    assert [int(event["id"]) for event in rest["events"]] == ids[1::-1]
    assert rest["next_before"] is None


def test_history_of_a_key_is_all_of_it_and_nothing_else(as_user: AsUser) -> None:
    """Who held this lock, and when?"""
    add_events(2, key="other")
    ids = add_events(2, key="wanted")
    LockEvent.objects.filter(id__in=ids).update(position=crc32(b"wanted"))
    found = as_user("eve").get("/api/events/?key=wanted").json()["events"]
    assert [int(event["id"]) for event in found] == ids[::-1]


def test_history_is_narrowed_by_kind_and_node(as_user: AsUser) -> None:
    add_events(2)
    add_events(1, kind="expired")
    client = as_user("eve")
    assert len(client.get("/api/events/?kind=expired").json()["events"]) == 1
    assert len(client.get(f"/api/events/?node={ADDRESSES['n1']}").json()["events"]) == 3
    assert client.get(f"/api/events/?node={ADDRESSES['n2']}").json()["events"] == []


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("limit=0", "limit must be a whole number from 1 to 500"),
        ("limit=501", "limit must be"),
        ("limit=x", "limit must be"),
        ("before=-1", "before must be"),
        ("before=" + "9" * 40, "before must be"),
        ("kind=nonsense", "There is no kind 'nonsense'"),
        ("key=" + "k" * 4097, "A key has at most 4,096 bytes"),
    ],
)
def test_a_question_that_cannot_be_answered_is_explained(as_user: AsUser, query: str, told: str) -> None:
    response = as_user("eve").get(f"/api/events/?{query}")
    assert response.status_code == 400
    assert told in response.json()["detail"]


def test_find_walks_past_a_down_member_and_asks_the_primary(as_user: AsUser, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def answer(address: str, key: str) -> tuple[str, int]:
        asked.append(address)
        return f"owner of {key}", 1 << 60

    monkeypatch.setattr(finding, "ask_owner", answer)
    for key in ("a", "b", "c", "d"):
        found = as_user("eve").get(f"/api/find/?key={key}").json()
        assert found["owner"] == f"owner of {key}"
        assert found["generation"] == str(1 << 60)
        assert {found["primary"], found["backup"]} == {ADDRESSES["n1"], ADDRESSES["n2"]}
        assert asked[-1] == found["primary"]


def test_find_says_when_nobody_answers(as_user: AsUser) -> None:
    """Nothing listens at the addresses of these rows."""
    response = as_user("eve").get("/api/find/?key=k")
    assert response.status_code == 503
    assert "did not answer" in response.json()["detail"]


def test_find_without_a_ring_or_a_key_is_explained(as_user: AsUser) -> None:
    assert as_user("eve").get("/api/find/").status_code == 400
    RingVersion.objects.all().delete()
    assert as_user("eve").get("/api/find/?key=k").json()["title"] == "No ring"


def test_a_wrong_method_is_refused_as_a_problem(as_user: AsUser) -> None:
    response = as_user("eve").delete("/api/snapshot/")
    assert (response.status_code, response.json()["detail"]) == (405, "Use GET here.")
    assert response["Allow"] == "GET"


def test_a_refusal_has_the_parts_that_the_page_reads_and_a_type_for_programs() -> None:
    response = Refusal(HTTPStatus.CONFLICT, "Not possible", "why").response()
    assert response["Content-Type"] == "application/problem+json"
    assert json.loads(response.content) == {
        "type": "urn:problem-type:lockring:not-possible",
        "title": "Not possible",
        "status": 409,
        "detail": "why",
    }


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("limt=5", "There is no parameter 'limt' here. It takes limit, before, key, kind, node, session."),
        ("limit=5&limit=6", "limit is there 2 times. Say it once."),
    ],
)
def test_a_parameter_is_never_ignored(as_user: AsUser, query: str, told: str) -> None:
    """A filter with a typing error would look like one that matched everything."""
    response = as_user("eve").get(f"/api/events/?{query}")
    assert (response.status_code, response.json()["detail"]) == (400, told)
