"""Told again, the facts after a frame give what the live projection held."""

import zlib
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlmsite.journal.intake import gap, take_in
from dlmsite.journal.moments import Base, gap_bounds, pack, replay, unpack, unsqueeze
from dlmsite.journal.projection import ENDING, FOREVER, Fact, Held, Life, Order, Projection
from lockcore.core.events import Event, EventBatch, EventKind, NumberedEvent

SOURCES = ("10.0.0.1:1.10001", "10.0.0.2:1.10001")
KEYS = ("a", "b", "\ud800")  # the last one is no text that could be sent as UTF-8
START_NS = 1_790_000_000_000_000_000
KINDS = (
    EventKind.GRANTED, EventKind.RELEASED, EventKind.EXPIRED, EventKind.PROMOTED, EventKind.DEMOTED,
    EventKind.TRANSFERRED, EventKind.READMITTED, EventKind.MIGRATED, EventKind.REFUSED, EventKind.DIED,
)  # fmt: skip


@dataclass
class Live:
    """What the writer does with batches, without a database: rows, what was held and how far each life had told.

    An ending that only came as a late filler is known to rows and not to this memory: a new process knows more than
    the old one did. That is not what is tested here, so only endings that were folded are found.
    """

    projection: Projection = field(default_factory=lambda: Projection([], START_NS))
    rows: list[Fact] = field(default_factory=list)
    folded: list[bool] = field(default_factory=list)
    cursors: dict[Life, int] = field(default_factory=dict)

    def write(self, batch: EventBatch) -> None:
        life = (batch.source, batch.incarnation)
        intake = take_in(batch, self.cursors.get(life, 0))
        changes = self.projection.fold(
            intake.fresh, self.endings(len(self.rows), self.projection.suspects(intake.fresh))
        )
        known = {(row.source, row.told.number) for row in self.rows}
        fillers = [fact for fact in intake.fillers if (fact.source, fact.told.number) not in known]
        self.rows += [*fillers, *intake.fresh]
        self.folded += [False] * len(fillers) + [True] * len(intake.fresh)
        self.cursors[life] = intake.number
        self.projection.commit(changes, START_NS)

    def frame(self) -> Base:
        """Take a frame as the recorder does, with its way through the database."""
        newest_ns = max((row.told.wall_ns for row in self.rows), default=0)
        return Base(unpack(pack(self.projection.held.values())), len(self.rows), newest_ns, dict(self.cursors))

    def endings(self, through: int, suspects: dict[str, int]) -> dict[str, Order]:
        """Return what the first rows know of endings, as the writer's query does."""
        found: dict[str, Order] = {}
        for row, folded in zip(self.rows[:through], self.folded[:through], strict=True):
            event = row.told.event
            if folded and event.kind in ENDING and event.key in suspects:
                last = (FOREVER, FOREVER) if event.kind is EventKind.RELEASED else (event.seq, row.told.wall_ns)
                found[event.key] = max((event.generation, *last), found.get(event.key, (0, 0, 0)))
        return found


@st.composite
def histories(draw: st.DrawFn) -> list[EventBatch]:
    """Batches of two nodes: late, with holes, some of which are filled later."""
    numbers = dict.fromkeys(SOURCES, 0)
    batches = []
    for at in range(draw(st.integers(1, 12))):
        source = draw(st.sampled_from(SOURCES))
        told = []
        for _ in range(draw(st.integers(1, 4))):
            numbers[source] = max(1, numbers[source] + draw(st.sampled_from((1, 1, 1, 1, 3, -1))))
            event = Event(
                draw(st.sampled_from(KINDS)), draw(st.sampled_from(KEYS)), owner="ada", ttl_ms=7000,
                generation=draw(st.integers(1, 3)), seq=draw(st.integers(1, 3)), peer=draw(st.sampled_from(SOURCES)),
            )  # fmt: skip
            wall_ns = START_NS + 20_000_000_000 + at * 1_000_000 + draw(st.integers(-1_000, 1_000)) * 1_000_000
            told.append(NumberedEvent(numbers[source], wall_ns, event))
        batches.append(EventBatch(source, 1, tuple({one.number: one for one in told}.values())))
    return batches


@given(histories(), st.data())
def test_a_moment_told_again_is_what_the_live_projection_held_then(
    batches: list[EventBatch], data: st.DataObject
) -> None:
    """The page of the past and the page of that time must not differ (M1, M2)."""
    live = Live()
    frames = [live.frame()]
    held = [dict(live.projection.held)]
    for batch in batches:
        live.write(batch)
        frames.append(live.frame())
        held.append(dict(live.projection.held))
    base = data.draw(st.integers(0, len(batches)))
    moment = data.draw(st.integers(base, len(batches)))
    before, until = frames[base].through_id, frames[moment].through_id
    told = replay(frames[base], live.rows[before:until], lambda suspects: live.endings(before, suspects))
    assert told.held == held[moment]


def fact(number: int, kind: EventKind, key: str = "k", *, source: str = SOURCES[0], peer: str = "") -> Fact:
    event = Event(kind, key, owner="ada", generation=1, seq=number, peer=peer)
    return Fact(source, 5, NumberedEvent(number, START_NS + number, event))


def nothing_ended(suspects: dict[str, int]) -> dict[str, Order]:
    del suspects
    return {}


def test_missing_facts_are_counted_where_they_are_missing() -> None:
    """A picture that is told with holes must say so (M3)."""
    hole = Fact(SOURCES[0], 5, gap(2, 1_201, 5, START_NS + 7))
    told = replay(Base(), [fact(1, EventKind.GRANTED), hole, fact(1_202, EventKind.RELEASED)], nothing_ended)
    assert [(each.missing, each.wall_ns) for each in told.gaps] == [(1_200, START_NS + 7)]
    assert told.held == {}


def test_what_fills_a_hole_that_the_replay_has_seen_moves_no_lock() -> None:
    """It moved none when it was recorded."""
    hole = Fact(SOURCES[0], 5, gap(1, 3, 5, START_NS))
    assert replay(Base(), [hole, fact(2, EventKind.GRANTED)], nothing_ended).held == {}


def test_the_bounds_of_a_gap_are_read_from_its_text() -> None:
    assert gap_bounds(gap(7, 7, 5, 0).event.detail) == (7, 7)
    assert gap_bounds(gap(1, 12_345, 5, 0, "could not be written: DataError").event.detail) == (1, 12_345)
    assert gap_bounds("somebody changed this row") == (0, -1)


def test_nodes_that_died_or_were_fenced_since_are_known_by_their_facts() -> None:
    """What was seen of nodes is up to a look old; their facts are not."""
    facts = [
        fact(1, EventKind.FENCED, ""), fact(2, EventKind.DIED, "", source="master", peer=SOURCES[1]),
        fact(3, EventKind.UNFENCED, ""),
    ]  # fmt: skip
    assert replay(Base(), facts, nothing_ended).states == {
        SOURCES[0]: ("up", 5, START_NS + 3),
        SOURCES[1]: ("down", 0, START_NS + 2),
    }


def test_a_damaged_part_is_an_error_and_no_lock() -> None:
    lock = Held("k", SOURCES[0], 5, "ada", 1, 1, 1, 1, 7000)
    with pytest.raises(ValueError, match="damaged"):
        unpack(pack([lock])[:-9] + b"\0" * 9)
    with pytest.raises(ValueError):  # noqa: PT011 - JSON's own
        unsqueeze(zlib.compress(b"{"))
