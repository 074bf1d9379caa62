"""The diagram over HTTP: which events are around a moment, and what is said of those that are not."""

import time
from collections.abc import Callable

import pytest
from django.test import Client

from dlmsite.dashboard import auditquery, spacetimepage
from dlmsite.dashboard.spacetimepage import stretch
from dlmsite.journal.chain import write_spans
from dlmsite.journal.models import LockEvent
from lockcore.core.events import Event, EventKind
from tests.dlmsite.dashboard.conftest import ADDRESSES, VIEW
from tests.dlmsite.dashboard.test_audit import BASE_NS, grants, record

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("cluster")]

AsUser = Callable[[str], Client]
N1 = ADDRESSES["n1"]
SECOND_NS = 10**9


def test_a_stretch_lies_around_its_moment_or_ends_now() -> None:
    assert stretch(5 * SECOND_NS, 2_000, 0) == spacetimepage.Around(5 * SECOND_NS, 4 * SECOND_NS, 6 * SECOND_NS)
    assert stretch(None, 2_000, 9 * SECOND_NS) == spacetimepage.Around(9 * SECOND_NS, 7 * SECOND_NS, 9 * SECOND_NS)
    assert stretch(10, 2_000, 0).from_ns == 0
    assert stretch(2**63 - 1, 86_400_000, 0).to_ns == 2**63 - 1


def test_events_around_a_moment_come_with_lanes_and_arrows(as_user: AsUser) -> None:
    record(Event(EventKind.VIEW, view=VIEW), source="master")
    record(Event(EventKind.VIEW, view=VIEW, detail="adopted"), *grants(8))
    body = as_user("eve").get(f"/api/spacetime/?at_ns={BASE_NS + 2 * SECOND_NS}&span_ms=2500").json()
    assert [(e["kind"], e["label"]) for e in body["events"]] == [
        ("view", "master"), ("view", "n1"), ("granted", "n1"), ("granted", "n1"),
    ]  # fmt: skip
    assert body["wall_ns"][-1] == str(BASE_NS + 3 * SECOND_NS)
    assert [lane["label"] for lane in body["lanes"]] == ["master", "n1", "ada"]
    view = next(arrow for arrow in body["arrows"] if arrow["kind"] == "view")
    assert (view["from"], view["to"], view["why"]) == ("master", N1, "")
    assert (view["from_event"], view["to_event"]) == (body["events"][0]["id"], body["events"][1]["id"])
    assert (body["live"], body["left_out"], body["at_least"], body["says"]) == (False, 0, False, "")


def test_the_nearest_are_shown_and_the_others_counted(as_user: AsUser, monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy second must not be a picture nobody can read, nor one that hides how much it hides."""
    rows = record(*grants(20))
    path = f"/api/spacetime/?at_ns={BASE_NS + 10 * SECOND_NS}&span_ms=60000&limit=3"
    body = as_user("eve").get(path).json()
    assert [int(e["id"]) for e in body["events"]] == rows[8:11]
    assert (body["left_out"], body["at_least"]) == (17, False)
    monkeypatch.setattr(spacetimepage, "COUNTED_MAX", 2)
    body = as_user("eve").get(path).json()
    assert (body["left_out"], body["at_least"]) == (7, True)


def test_an_event_is_in_the_middle_of_its_diagram(as_user: AsUser) -> None:
    rows = record(*grants(20))
    body = as_user("eve").get(f"/api/spacetime/?event={rows[9]}&span_ms=2000").json()
    assert [int(e["id"]) for e in body["events"]] == rows[8:11]
    assert (body["at_ns"], body["event"]["id"]) == (str(BASE_NS + 10 * SECOND_NS), str(rows[9]))


def test_a_key_is_shown_with_what_befell_the_ring_unless_that_is_not_wanted(as_user: AsUser) -> None:
    """A lock that moves without the view that moved it explains nothing."""
    record(Event(EventKind.VIEW, view=VIEW), source="master")
    record(*grants(1), *grants(1, "other"))
    path = f"/api/spacetime/?at_ns={BASE_NS}&span_ms=60000&key=k"
    kinds = [(e["kind"], e["key"]) for e in as_user("eve").get(path).json()["events"]]
    assert sorted(kinds) == [("granted", "k"), ("view", "")]
    kinds = [(e["kind"], e["key"]) for e in as_user("eve").get(f"{path}&context=no").json()["events"]]
    assert kinds == [("granted", "k")]


def test_what_was_last_is_shown_when_no_moment_is_asked_for(as_user: AsUser) -> None:
    record(*grants(1))
    now_ns = time.time_ns()
    fresh = record(*grants(1))
    LockEvent.objects.filter(pk=fresh[-1]).update(wall_ns=now_ns)
    # Its block of ids has another time then, as if it had been recorded so.
    write_spans([(0, BASE_NS, now_ns)])
    body = as_user("eve").get("/api/spacetime/?span_ms=60000").json()
    assert ([int(e["id"]) for e in body["events"]], body["live"]) == (fresh[-1:], True)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("at_ns=5&event=1", "not both"),
        ("span_ms=0", "span_ms must be"),
        ("span_ms=999999999", "span_ms must be"),
        ("limit=2001", "limit must be"),
        ("context=perhaps", "no context"),
        ("kind=nonsense", "no kind"),
        ("before=5", "no parameter"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_would_be_right(as_user: AsUser, query: str, says: str) -> None:
    response = as_user("eve").get(f"/api/spacetime/?{query}")
    assert (response.status_code, says in response.json()["detail"]) == (400, True)


def test_an_event_that_is_not_kept_any_more_is_said_to_be_gone(as_user: AsUser) -> None:
    response = as_user("eve").get("/api/spacetime/?event=77")
    assert (response.status_code, "never was" in response.json()["detail"]) == (404, True)


def test_a_stretch_without_events_says_what_there_is(as_user: AsUser) -> None:
    assert as_user("eve").get("/api/spacetime/").json()["says"] == "Nothing has been recorded yet."
    record(*grants(1))
    body = as_user("eve").get("/api/spacetime/?at_ns=1000").json()
    assert (body["events"], body["arrows"], "that is kept" in body["says"]) == ([], [], True)


def test_a_search_that_was_cut_says_so(as_user: AsUser, monkeypatch: pytest.MonkeyPatch) -> None:
    record(*grants(3))
    monkeypatch.setattr(auditquery, "BUDGET_S", -1.0)
    monkeypatch.setattr(auditquery, "CHUNK_FIRST", 1)
    body = as_user("eve").get(f"/api/spacetime/?at_ns={BASE_NS + 2 * SECOND_NS}&span_ms=60000").json()
    assert body["cut"]
    assert len(body["events"]) < 3


def test_only_people_with_a_role_see_the_page(as_user: AsUser) -> None:
    assert as_user("eve").get("/spacetime/").status_code == 200
    assert as_user("nobody").get("/spacetime/").status_code == 403
    assert Client().get("/spacetime/").status_code == 302
    assert Client().get("/api/spacetime/").status_code == 401
