"""What is on a key and which sessions there are: told by nodes, dated by facts."""

import time
from collections.abc import Callable
from zlib import crc32

import pytest
from django.test import Client

from dlmsite.journal.models import LockEvent, RingVersion
from dlmsite.operations import asking
from lockcore.core.inspecting import Holder, KeySeen, Place, RangePlace, SessionSeen, SessionsSeen
from lockcore.core.operations import HeldRange
from lockcore.core.rangerecords import Kind
from tests.dlmsite.dashboard.conftest import ADDRESSES

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("cluster")]

AsUser = Callable[[str], Client]
G = 1_790_000_000_000_000_777
ROW = HeldRange("s1", "ada", "t1", Kind.READ, 10, 90, G)
TO_THE_END = HeldRange("s1", "ada", "t1", Kind.WRITE, 2**62, 0, G + 1)
WANTED = HeldRange("s3", "eve", "t9", Kind.WRITE, 0, 50, 0)
SEEN = KeySeen(
    decides=True,
    holder=Holder("owner", "s1", "ada", G, 3, 9_000, 8_000),
    queue=(Place("bob's", "s2", "bob", None), Place("eve's", "s3", "eve", 500), Place("bob's", "s2", "bob", None)),
    queue_total=3,
    ranges=(ROW, TO_THE_END),
    ranges_total=7,
    waiting=(RangePlace(WANTED, True, None),),
    waiting_total=1,
)


def tell(number: int, kind: str, session: str, **fields: object) -> int:
    """Record a fact about the key k."""
    wall_ns = time.time_ns()
    values = {"source": ADDRESSES["n1"], "incarnation": 5, "wall_ns": wall_ns, "key": "k", "position": crc32(b"k")}
    LockEvent.objects.create(number=number, kind=kind, session=session, **{**values, **fields})
    return wall_ns


def node_says(monkeypatch: pytest.MonkeyPatch, seen: KeySeen | None) -> list[tuple[str, str]]:
    """Let the primary answer this; return who was asked what."""
    asked: list[tuple[str, str]] = []

    async def answer(address: str, key: str) -> KeySeen | None:
        asked.append((address, key))
        return seen

    monkeypatch.setattr(asking, "ask_key", answer)
    return asked


def test_a_key_is_told_as_its_primary_has_it(as_user: AsUser, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = node_says(monkeypatch, SEEN)
    found = as_user("eve").get("/api/key/?key=k").json()
    assert asked == [(found["primary"], "k")]
    assert found["primary"] in ADDRESSES.values()
    assert found["holder"]["generation"] == str(G)
    assert [(place["label"], place["remaining_ms"]) for place in found["queue"]] == [
        ("bob", None),
        ("eve", 500),
        ("bob", None),
    ]
    assert [(row["kind"], row["start"], row["end"]) for row in found["ranges"]] == [
        ("read", "10", "99"),
        ("write", str(2**62), None),
    ]
    assert found["ranges_total"] == 7
    assert (found["waiting"][0]["label"], found["waiting"][0]["end"], found["waiting"][0]["fair"]) == (
        "eve",
        "49",
        True,
    )


def test_who_waits_since_when_is_what_the_facts_say(as_user: AsUser, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place that no fact tells of has no time, rather than a wrong one."""
    node_says(monkeypatch, SEEN)
    tell(1, "queued", "s2")  # of a place that it has no more
    times = [tell(n, "queued", "s2") for n in (2, 3)]
    tell(4, "queued", "s3", key="another", position=1)
    ranged = tell(5, "range-queued", "s3")
    found = as_user("eve").get("/api/key/?key=k").json()
    assert [place["since_ms"] for place in found["queue"]] == [times[0] / 1_000_000, None, times[1] / 1_000_000]
    assert found["waiting"][0]["since_ms"] == ranged / 1_000_000


def test_migrations_say_from_which_session_to_which(as_user: AsUser, monkeypatch: pytest.MonkeyPatch) -> None:
    node_says(monkeypatch, SEEN)
    tell(1, "migrated", "new", peer="old", owner="ada")
    tell(2, "range-migrated", "newer", peer="new", detail="2 pieces and 0 places from session new")
    found = as_user("eve").get("/api/key/?key=k").json()["migrations"]
    assert [(m["kind"], m["from"], m["to"]) for m in found] == [
        ("range-migrated", "new", "newer"),
        ("migrated", "old", "new"),
    ]


def test_a_primary_that_does_not_answer_is_no_free_key(as_user: AsUser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown is told as unknown."""
    for seen, text in ((None, "did not answer"), (KeySeen(decides=False), "does not decide yet")):
        node_says(monkeypatch, seen)
        response = as_user("eve").get("/api/key/?key=k")
        assert response.status_code == 503
        assert text in response.json()["detail"]


def test_a_key_without_a_ring_and_no_key_are_told_so(as_user: AsUser) -> None:
    assert as_user("eve").get("/api/key/").status_code == 400
    RingVersion.objects.all().delete()
    assert as_user("eve").get("/api/key/?key=k").json()["title"] == "No ring"


def test_visitors_see_neither_keys_nor_sessions() -> None:
    for path in ("/api/key/?key=k", "/api/sessions/"):
        assert Client().get(path).status_code == 401


def session(name: str, incarnation: int, state: str, **has: int) -> SessionSeen:
    """Return a session as a node tells it."""
    return SessionSeen(f"s{incarnation}", incarnation, name, state, 5_000, **has)


def test_sessions_are_added_up_and_the_silent_are_named(as_user: AsUser, monkeypatch: pytest.MonkeyPatch) -> None:
    """n3 is down and is not asked; n2 does not answer."""
    one = SessionsSeen((session("new", G + 1, "alive", locks=2), session("old", G, "alive", waits=1)), 2)
    answers = {ADDRESSES["n1"]: one, ADDRESSES["n2"]: None}

    async def ask(addresses: list[str]) -> dict[str, SessionsSeen | None]:
        assert addresses == sorted(answers)
        return answers

    monkeypatch.setattr(asking, "ask_sessions", ask)
    found = as_user("eve").get("/api/sessions/").json()
    assert [(s["label"], s["locks"], s["waits"]) for s in found["sessions"]] == [("new", 2, 0), ("old", 0, 1)]
    assert (found["total"], found["asked"], found["silent"], found["counted"]) == (2, 2, ["n2"], True)
    assert found["sessions"][0]["incarnation"] == str(G + 1)
    other = SessionsSeen((session("new", G + 1, "lapsed", locks=1, ranges=4),), 300, counted=False)
    answers[ADDRESSES["n2"]] = other
    found = as_user("eve").get("/api/sessions/").json()
    new = found["sessions"][0]
    assert (new["locks"], new["ranges"], new["state"]) == (3, 4, "lapsed")
    assert (found["total"], found["silent"], found["counted"]) == (300, [], False)


def test_history_is_found_by_session_and_by_the_new_kinds(as_user: AsUser) -> None:
    tell(1, "opened", "s1", key="", position=None)
    tell(2, "range-locked", "s1")
    tell(3, "range-locked", "s2")
    client = as_user("eve")
    found = client.get("/api/events/?session=s1").json()["events"]
    assert [(e["kind"], e["session"]) for e in found] == [("range-locked", "s1"), ("opened", "s1")]
    found = client.get("/api/events/?kind=range-locked&session=s2").json()["events"]
    assert [e["session"] for e in found] == ["s2"]
