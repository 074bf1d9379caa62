"""Pages of events: whatever the filter, they add up to what a look at every row finds."""

import itertools
import random
from collections.abc import Callable, Iterator

import pytest
from django.db import connection

from dlmsite.dashboard import auditquery
from dlmsite.dashboard.auditclauses import successor
from dlmsite.dashboard.auditfilter import Filter
from dlmsite.dashboard.auditquery import page
from dlmsite.journal import chain
from dlmsite.journal.models import LockEvent
from dlmsite.journal.writer import JournalWriter
from lockcore.core.events import Event, EventBatch, EventKind, NumberedEvent

pytestmark = pytest.mark.django_db

BASE_NS = 1_790_000_000_000_000_000
LONG = "long/" + "x" * 100
KEYS = ["", "a", "a/1", "a/2", "b", "ab", LONG, LONG + "y", "\U0010ffff", "a\U0010ffff", "100%_\\"]
OWNERS = ["", "ada", "eve", "o" * 70, "o" * 64]
KINDS = [EventKind.GRANTED, EventKind.RELEASED, EventKind.OPERATOR, EventKind.VIEW]
NODES = ["127.0.0.1:8001.18001", "127.0.0.1:8002.18002", "master", "site"]


def fill(count: int = 400, seed: int = 7) -> list[LockEvent]:
    """Record random events; one node's clock lags, another tells late."""
    chance = random.Random(seed)  # noqa: S311 - to be had again
    writer = JournalWriter(lambda: BASE_NS)
    for number in range(1, count // 4 + 1):
        for node in NODES:
            event = Event(
                chance.choice(KINDS),
                chance.choice(KEYS),
                chance.choice(OWNERS),
                generation=chance.randrange(4),
                view=chance.randrange(4),
                version=chance.randrange(3),
                detail=chance.choice(["", "process 12 was killed", "a stale token"]),
                session=chance.choice(["", "s1", "s2"]),
            )
            lag = 40 if node == "master" else chance.randrange(8)
            writer.write([EventBatch(node, 1, (NumberedEvent(number, BASE_NS + number - lag, event),))])
    return list(LockEvent.objects.order_by("id"))


def matches(row: LockEvent, asked: Filter) -> bool:
    """Say the same as the filter, row by row."""
    return all(
        (
            not asked.key or row.key == asked.key,
            not asked.prefix or row.key.startswith(asked.prefix),
            not asked.owner or row.owner == asked.owner,
            not asked.node or row.source == asked.node,
            not asked.kinds or row.kind in asked.kinds,
            not asked.session or row.session == asked.session,
            not asked.operator or (row.kind == "operator" and row.owner == asked.operator),
            not asked.view or row.view == asked.view,
            not asked.version or row.version == asked.version,
            not asked.generation or row.generation == asked.generation,
            asked.from_ns is None or row.wall_ns >= asked.from_ns,
            asked.to_ns is None or row.wall_ns <= asked.to_ns,
            not asked.text
            or any(
                asked.text.lower() in field.lower()
                for field in (row.key, row.owner, row.detail, row.peer, row.session or "", row.source)
            ),
        )
    )


FILTERS = [
    Filter(),
    *(Filter(key=key) for key in KEYS if key),
    *(Filter(prefix=prefix) for prefix in ("a", "a/", "long", LONG, LONG + "y", "\U0010ffff", "nothing", "100%")),
    *(Filter(owner=owner) for owner in OWNERS if owner),
    *(Filter(node=node) for node in NODES),
    Filter(kinds=("granted",)),
    Filter(kinds=("granted", "operator")),
    Filter(kinds=("died",)),
    Filter(kinds=("granted", "view"), generation=3),
    Filter(kinds=("released", "operator", "view", "died"), text="killed"),
    Filter(session="s1"),
    Filter(operator="ada"),
    Filter(view=2),
    Filter(version=1),
    Filter(generation=3),
    Filter(text="STALE"),
    Filter(text="%_\\"),
    Filter(text="%"),
    Filter(from_ns=BASE_NS + 20),
    Filter(to_ns=BASE_NS + 20),
    Filter(from_ns=BASE_NS + 20, to_ns=BASE_NS + 25),
    Filter(from_ns=BASE_NS + 10**12),
    Filter(to_ns=0),
    Filter(key="a/1", kinds=("granted", "released"), from_ns=BASE_NS + 10, to_ns=BASE_NS + 90),
    Filter(prefix="a", node=NODES[0], text="ada"),
    Filter(owner="ada", view=1, version=1, session="s1"),
    Filter(prefix="a/", kinds=("granted",), to_ns=BASE_NS + 60),
]


@pytest.fixture(params=["small", "usual"])
def sizes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Small: chunks, probes and spans end in the middle of everything."""
    if request.param == "small":
        monkeypatch.setattr(auditquery, "CHUNK_FIRST", 7)
        monkeypatch.setattr(auditquery, "CHUNK_MAX", 20)
        monkeypatch.setattr(auditquery, "PROBE_ROWS", 9)
        monkeypatch.setattr(auditquery, "PREFIX_ROWS_MAX", 60)
        monkeypatch.setattr(auditquery, "INTERVALS_MAX", 3)
        monkeypatch.setattr(auditquery, "SPAN_ROWS", 16)
        monkeypatch.setattr(chain, "SPAN_ROWS", 16)
    return str(request.param)


def walk_back(asked: Filter, limit: int) -> Iterator[LockEvent]:
    before = None
    while True:
        found = page(asked, limit, before=before)
        yield from found.rows
        if not found.more:
            return
        before = found.through


def walk_on(asked: Filter, limit: int) -> Iterator[LockEvent]:
    after = 0
    while True:
        found = page(asked, limit, after=after)
        yield from found.rows
        after = found.through
        if not found.more:
            return


@pytest.mark.usefixtures("sizes")
def test_pages_add_up_to_all_that_matches_in_both_directions() -> None:
    """Nothing twice, nothing left out, whatever the filter and the size of the page."""
    rows = fill()
    for asked, limit in itertools.product(FILTERS, (3, 50)):
        wanted = [row.pk for row in rows if matches(row, asked)]
        assert [row.pk for row in walk_back(asked, limit)] == wanted[::-1], asked
        assert [row.pk for row in walk_on(asked, limit)] == wanted, asked


@pytest.mark.usefixtures("sizes")
def test_a_budget_that_is_used_up_ends_the_page_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditquery, "CHUNK_FIRST", 7)
    monkeypatch.setattr(auditquery, "CHUNK_MAX", 7)
    monkeypatch.setattr(auditquery, "ROWS_MAX", 7)
    rows = fill(200)
    asked = Filter(text="killed")
    first = page(asked, 50)
    assert (first.cut, first.more, first.scanned) == (True, True, 7)
    assert first.through == rows[-7].pk
    assert [row.pk for row in walk_back(asked, 50)] == [row.pk for row in reversed(rows) if matches(row, asked)]
    assert [row.pk for row in walk_on(asked, 50)] == [row.pk for row in rows if matches(row, asked)]


def test_only_the_time_of_a_view_is_looked_through_for_a_busy_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key may have a hundred thousand events, and the view a few of them."""
    monkeypatch.setattr(auditquery, "PROBE_ROWS", 5)  # both have more: the key leads
    writer = JournalWriter(lambda: BASE_NS)
    told = [Event(EventKind.GRANTED, "a", generation=n, view=1 if 50 <= n < 60 else 2) for n in range(1, 201)]
    writer.write([EventBatch("n", 1, tuple(NumberedEvent(n, BASE_NS + n, event) for n, event in enumerate(told, 1)))])
    found = page(Filter(key="a", view=1), 100)
    assert (len(found.rows), found.scanned, found.more) == (10, 10, False)


def test_a_slow_database_ends_the_page_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditquery, "CHUNK_FIRST", 10)
    fill(100)
    now = itertools.count()
    assert page(Filter(text="killed"), 100, clock=lambda: float(next(now))).cut


def test_a_page_ends_with_what_was_there_when_it_began() -> None:
    """Whoever follows begins there, and misses nothing that comes meanwhile."""
    rows = fill(40)
    found = page(Filter(key="no such key"), 10, after=0)
    assert (found.rows, found.through, found.more) == ([], rows[-1].pk, False)
    assert page(Filter(), 10, after=rows[-1].pk + 5).through == rows[-1].pk + 5


def test_an_empty_history_gives_empty_pages() -> None:
    assert page(Filter(), 10).rows == []
    assert page(Filter(from_ns=1), 10, after=0).rows == []


def served_by(asked: Filter, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the plans of all statements on events that the page takes, but for the newest id."""
    plans: list[str] = []
    original = auditquery._run
    raw: Callable[..., object] = LockEvent.objects.raw

    def explain(sql: str, values: list[str | int]) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}", values)
            plans.extend(row[-1] for row in cursor.fetchall())

    def run(sql: str, values: list[str | int]) -> object:
        explain(sql, values)
        return original(sql, values)

    def fetch(sql: str, values: list[str | int]) -> object:
        explain(sql, values)
        return raw(sql, values)

    monkeypatch.setattr(auditquery, "_run", run)
    monkeypatch.setattr(LockEvent.objects, "raw", fetch)
    page(asked, 10)
    return "\n".join(plans)


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        (Filter(key="a"), "journal_event_key"),
        (Filter(prefix="a/"), "journal_event_key_head"),
        (Filter(owner="ada"), "journal_event_owner_head"),
        (Filter(node="site"), "journal_event_source"),
        (Filter(kinds=("granted", "died")), "journal_event_kind"),
        (Filter(session="s1"), "journal_event_session"),
        (Filter(view=2), "journal_event_view"),
        (Filter(version=2), "journal_event_version"),
        (Filter(text="x"), "PRIMARY KEY"),
        (Filter(key="a", kinds=("granted",), text="x"), "journal_event_key"),
    ],
)
def test_an_index_serves_every_filter(asked: Filter, index: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten million rows are not read to show ten."""
    if connection.vendor != "sqlite":
        pytest.skip("reads SQLite's plans")
    fill(80)
    plans = served_by(asked, monkeypatch)
    assert index in plans
    scans = [line for line in plans.splitlines() if line.startswith("SCAN journal_lockevent")]
    # Without a leading clause the rows are read by their ids, as many as the LIMIT inside says.
    assert not scans, plans


def test_what_comes_after_a_prefix_is_the_next_text() -> None:
    assert successor("a") == "b"
    assert successor("a\U0010ffff") == "b"
    assert successor("\ud7ff") == "\ue000"
    assert successor("\U0010ffff") is None
