"""One lock's life, made of its events; and how far both of its nodes are."""

import time
from collections.abc import Callable
from zlib import crc32

import pytest
from django.test import Client

from dlmsite.dashboard import lock
from dlmsite.dashboard.life import holds_of
from dlmsite.journal.models import LockEvent
from dlmsite.operations import asking
from lockcore.core.inspecting import KeySeen
from lockcore.core.ring import HashRing
from tests.dlmsite.dashboard.conftest import ADDRESSES

AsUser = Callable[[str], Client]
N1, N2 = ADDRESSES["n1"], ADDRESSES["n2"]


class Story:
    """Events of one key, told one after the other, a second apart."""

    def __init__(self) -> None:
        """Begin."""
        self.rows: list[LockEvent] = []
        self.now_ns = time.time_ns() - 3_600 * 10**9

    def tell(self, kind: str, generation: int, owner: str = "ada", source: str = N1, **fields: object) -> int:
        """Add an event; return when it was."""
        self.now_ns += 10**9
        known = {"source": source, "incarnation": 5, "wall_ns": self.now_ns, "key": "k", "position": crc32(b"k")}
        number = len(self.rows) + 1
        row = LockEvent(number=number, kind=kind, generation=generation, owner=owner, **{**known, **fields})
        row.pk = number
        self.rows.append(row)
        return self.now_ns

    def save(self) -> None:
        """Write it down."""
        LockEvent.objects.bulk_create(self.rows)


# --- a life, pure --------------------------------------------------------------------------------------------------


def test_a_hold_lasts_from_its_grant_to_its_release_wherever_it_was_served() -> None:
    story = Story()
    begin_ns = story.tell("granted", 7, ttl_ms=5_000)
    story.tell("demoted", 7, renewals=3)
    story.tell("promoted", 7, source=N2)
    end_ns = story.tell("released", 7, source=N2, renewals=4)
    (held,) = holds_of(story.rows)
    assert (held.begin_ns, held.end_ns, held.how, held.renewals) == (begin_ns, end_ns, "released", 7)
    assert [(stay.node, stay.how) for stay in held.stays] == [(N1, "granted"), (N2, "promoted")]
    assert held.ttl_ms == 5_000


def test_the_newest_hold_comes_first_and_one_that_goes_on_has_no_end() -> None:
    story = Story()
    story.tell("granted", 7)
    story.tell("expired", 7)
    story.tell("granted", 8, "bob")
    newest, older = holds_of(story.rows)
    assert (newest.generation, newest.end_ns, newest.how) == (8, None, "")
    assert (older.generation, older.how) == (7, "expired")


def test_a_migration_gives_a_hold_another_owner_and_no_other_generation() -> None:
    story = Story()
    story.tell("granted", 7, "worker-1", session="s1")
    story.tell("migrated", 7, "worker-2", session="s2", peer="s1")
    (held,) = holds_of(story.rows)
    assert [(owner.name, owner.session) for owner in held.owners] == [("worker-1", "s1"), ("worker-2", "s2")]


def test_what_an_operator_took_away_is_told_with_who_and_why() -> None:
    story = Story()
    story.tell("granted", 7)
    story.tell("released", 7, detail="by an operator: olga: its owner left")
    (held,) = holds_of(story.rows)
    assert (held.how, held.why) == ("taken away", "olga: its owner left")


def test_what_began_before_the_rows_says_so() -> None:
    """L1: the older rows have been pruned, or are on the next page."""
    story = Story()
    story.tell("released", 7)
    (held,) = holds_of(story.rows)
    assert held.begin_ns is None


def test_events_of_two_nodes_may_have_been_recorded_in_another_order() -> None:
    story = Story()
    first_ns = story.tell("granted", 7)
    story.tell("released", 7, source=N2)
    story.rows.reverse()
    (held,) = holds_of(story.rows)
    assert (held.begin_ns, held.how) == (first_ns, "released")


# --- told over HTTP ------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.usefixtures("cluster")
def test_a_life_is_told_newest_first_with_what_was_refused(as_user: AsUser) -> None:
    story = Story()
    story.tell("granted", 7)
    story.tell("refused", 0, "mallory", detail="lock: token mismatch")
    story.tell("released", 7)
    story.tell("granted", 8, "bob")
    story.tell("granted", 9, "other", key="another", position=crc32(b"another"))
    story.save()
    found = as_user("eve").get("/api/lock/?key=k").json()
    assert [(held["generation"], held["how"]) for held in found["holds"]] == [("8", ""), ("7", "released")]
    assert [event["owner"] for event in found["refused"]] == ["mallory"]
    assert (found["read"], found["next_before"]) == (4, None)
    assert found["holds"][0]["stays"][0]["label"] == "n1"


@pytest.mark.django_db
@pytest.mark.usefixtures("cluster")
def test_a_long_life_comes_in_pages(as_user: AsUser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "ROWS_MAX", 6)
    story = Story()
    for generation in range(1, 6):
        story.tell("granted", generation)
        story.tell("queued", generation)  # read, and no part of it
        story.tell("released", generation)
    story.save()
    seen: list[str] = []
    path = "/api/lock/?key=k"
    while path:
        page = as_user("eve").get(path).json()
        seen += [held["generation"] for held in page["holds"]]
        path = f"/api/lock/?key=k&before={page['next_before']}" if page["next_before"] else ""
    assert seen == ["5", "4", "3", "2", "1"]


@pytest.mark.django_db
@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("query", ["", "?key=", "?key=k&before=x", "?key=k&what=7"])
def test_what_cannot_be_meant_is_refused(as_user: AsUser, query: str) -> None:
    answer = as_user("eve").get(f"/api/lock/{query}")
    assert answer.status_code == 400
    assert answer.json()["detail"]


@pytest.mark.django_db
@pytest.mark.usefixtures("cluster")
def test_both_nodes_tell_how_far_they_are_and_who_does_not_answer_is_unknown(
    as_user: AsUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def answer(addresses: list[str], key: str) -> dict[str, KeySeen | None]:
        assert key == "k"
        asked.extend(addresses)
        return {addresses[0]: KeySeen(decides=True, order=(7, 3)), addresses[1]: None}

    monkeypatch.setattr(asking, "ask_keys", answer)
    nodes = as_user("eve").get("/api/lock/pair/?key=k").json()["nodes"]
    primary, backup = HashRing(ADDRESSES.values(), down=(ADDRESSES["n3"],)).owners("k")
    assert asked == [primary, backup]
    assert [(n["role"], n["generation"], n["seq"], n["answers"]) for n in nodes] == [
        ("primary", "7", "3", True),
        ("backup", "", "", False),
    ]


@pytest.mark.django_db
@pytest.mark.usefixtures("cluster")
def test_the_page_is_for_who_is_logged_in(as_user: AsUser) -> None:
    assert as_user("eve").get("/lock/?key=k").status_code == 200
    assert Client().get("/lock/?key=k").status_code == 302
