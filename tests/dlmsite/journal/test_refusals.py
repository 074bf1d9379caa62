"""Refused views are counted once for each fact."""

import pytest

from dlmsite.journal.models import RefusedViews
from dlmsite.journal.writer import JournalWriter
from lockcore.core.config import NodeConfig
from lockcore.core.events import Event, EventBatch, EventKind, NumberedEvent
from lockcore.core.messages import Emit, FromMaster, Instant, ViewUpdate
from lockcore.core.node import NodeCore
from lockcore.core.view import Member, MemberId, View

pytestmark = pytest.mark.django_db

ADDRESS = "127.0.0.1:8001.18001"
NEWER, OLDER = 1_800_000_000_000_000_009, 1_800_000_000_000_000_005


def told_by_a_node() -> Event:
    """Return what a real node says of an older view."""
    me = MemberId(ADDRESS, 1)
    node = NodeCore(me, b"secret", NodeConfig())
    effects = []
    for number in (NEWER, OLDER):
        view = View(number, number, (Member(ADDRESS, 1),))
        effects += node.step(FromMaster(ViewUpdate(view)), Instant(1, 1))
    (fact,) = [e.event for e in effects if isinstance(e, Emit) and e.event.kind is EventKind.REFUSED]
    return fact


def batch(first: int, *events: Event, incarnation: int = 1) -> EventBatch:
    return EventBatch(ADDRESS, incarnation, tuple(NumberedEvent(first + i, first + i, e) for i, e in enumerate(events)))


def counted() -> list[tuple[int, int, int, int]]:
    return list(
        RefusedViews.objects.order_by("incarnation").values_list("incarnation", "count", "last_view", "last_ns")
    )


def test_a_view_that_a_real_node_refuses_is_counted_with_its_number() -> None:
    """The words are the core's: should they change, this says so."""
    JournalWriter().write([batch(1, told_by_a_node())])
    assert counted() == [(1, 1, OLDER, 1)]


def test_counts_add_up_over_reports_and_restarts_and_lives_are_apart() -> None:
    refused = told_by_a_node()
    JournalWriter().write([batch(1, refused, refused)])
    JournalWriter().write([batch(1, refused, refused), batch(3, refused), batch(1, refused, incarnation=2)])
    assert counted() == [(1, 3, OLDER, 3), (2, 1, OLDER, 1)]


@pytest.mark.parametrize(
    "event",
    [
        Event(EventKind.REFUSED, "stale view 5", detail="a token"),
        Event(EventKind.REFUSED, "k", detail="stale view 5"),
        Event(EventKind.REFUSED, detail="127.0.0.1:8001 is in use"),
        Event(EventKind.GRANTED, detail="stale view 5"),
        Event(EventKind.REFUSED, detail="stale view 99999999999999999999999"),
    ],
)
def test_other_refusals_are_not_counted(event: Event) -> None:
    JournalWriter().write([batch(1, event)])
    assert counted() == []
