"""Marks on the line of time: all kinds, bounded, and honest about what was put together."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from dlmsite.dashboard import timeline
from dlmsite.dashboard.timeline import KINDS, MARKS_MAX, Mark, thin, told_members
from dlmsite.journal.models import LockEvent, Violation
from dlmsite.journal.writer import JournalWriter
from dlmsite.operations.models import OperatorAction
from tests.dlmsite.dashboard.test_moment import NOW_NS, S, failover, publish  # noqa: F401 - a fixture
from tests.dlmsite.dashboard.test_openapi import check

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("people")]

AsUser = Callable[[str], Client]


def ask(client: Client, query: str = "") -> Any:
    response = client.get(f"/api/timeline/{query}")
    assert response.status_code == 200, response.content
    return response.json()


@pytest.mark.usefixtures("failover")
def test_views_faults_actions_and_violations_are_marked(as_user: AsUser) -> None:
    publish(8, NOW_NS, version=NOW_NS)
    OperatorAction.objects.create(
        who="ada", what="kill", target="n1", state="done", requested_at_ns=NOW_NS + 4 * S, ended_at_ns=NOW_NS + 5 * S
    )
    Violation.objects.create(mark="m", rule="I1", text="granted twice", evidence=[{}, {}], found_at_ns=NOW_NS + 7 * S)
    found = ask(as_user("eve"))
    assert [(mark["kind"], mark["text"]) for mark in found["marks"]] == [
        ("action", "kill n1 by ada"),
        ("fault", "n1 died: not heard for 2 s"),
        ("view", "A new view of the same version: 2 of 3 members up"),
        ("violation", "I1: granted twice"),
        ("version", "A new version of the ring: n1 up again; 3 of 3 members up"),
    ]
    assert (found["first_ns"], found["last_ns"]) == (str(NOW_NS + S), str(NOW_NS + 9 * S))
    check("/api/timeline/", "get", as_user("eve").get("/api/timeline/"))


@pytest.mark.usefixtures("failover")
def test_a_range_holds_its_own_marks_only(as_user: AsUser) -> None:
    found = ask(as_user("eve"), f"?from_ns={NOW_NS + 5 * S}&to_ns={NOW_NS + 5 * S}")
    assert [mark["kind"] for mark in found["marks"]] == ["fault"]
    assert ask(as_user("eve"), "?from_ns=1&to_ns=2")["marks"] == []


def test_an_empty_journal_has_an_empty_line(as_user: AsUser) -> None:
    found = ask(as_user("eve"))
    assert (found["first_ns"], found["marks"], found["total"]) == ("", [], 0)


def test_a_range_that_ends_before_it_begins_is_refused(as_user: AsUser) -> None:
    assert as_user("eve").get("/api/timeline/?from_ns=5&to_ns=4").status_code == 400


def test_where_not_all_were_looked_at_it_says_since_when(as_user: AsUser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "SCANNED_MAX", 3)
    JournalWriter(lambda: NOW_NS)
    LockEvent.objects.bulk_create(
        LockEvent(source="a", incarnation=1, number=n, wall_ns=NOW_NS + n, kind="fenced") for n in range(1, 9)
    )
    found = ask(as_user("eve"))
    assert found["cut"] == [{"kind": "fault", "since_ns": str(NOW_NS + 6)}]
    assert [mark["at_ns"] for mark in found["marks"]] == [str(NOW_NS + n) for n in (6, 7, 8)]


MARKS = st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(KINDS)), min_size=0, max_size=200)


@given(MARKS, st.integers(1, 20))
def test_thinned_marks_stand_for_all_and_stay_in_order(marks: list[tuple[int, str]], times: int) -> None:
    """Bounded whatever there is (T1); the counts add up, each in the time that it says."""
    made = [Mark(at, kind, "", number) for number, (at, kind) in enumerate(marks * times)]
    found = thin(made, 0, 10_000)
    assert len(found) <= MARKS_MAX
    assert sum(mark.count for mark in found) == len(made)
    assert [mark.at_ns for mark in found] == sorted(mark.at_ns for mark in found)
    for kind in KINDS:
        of_kind = [mark for mark in found if mark.kind == kind]
        spans = [(mark.at_ns, max(mark.at_ns, mark.until_ns)) for mark in of_kind]
        for at, kind_of in marks:
            if kind_of == kind:
                assert any(low <= at <= high for low, high in spans)


def test_members_are_told_by_what_is_new() -> None:
    def members(**down: bool) -> list[dict[str, Any]]:
        return [{"address": name, "incarnation": "1", "down": is_down} for name, is_down in down.items()]

    labels = {"a": "n1"}
    assert told_members(None, members(a=False), labels) == "1 of 1 members up"
    assert told_members(members(a=False), members(a=True, b=False), labels) == "b joined, n1 down; 1 of 2 members up"
    assert told_members(members(a=True, b=False), members(a=False), labels) == "b left, n1 up again; 1 of 1 members up"
