"""Which locks the page calls held, whatever the order in which nodes report."""

from dataclasses import replace

from dlmsite.journal.projection import ENDED_MAX, FOREVER, LOST_AFTER_NS, SUSPECT_SLACK_NS, Fact, Held, Projection
from lockcore.core.events import Event, EventKind, NumberedEvent

A, B, C = "10.0.0.1:1.10001", "10.0.0.2:1.10001", "10.0.0.3:1.10001"
START_NS = 1_000_000_000_000
G = 1_800_000_000_000_000_000


def fact(  # noqa: PLR0913 - an event is all of this
    kind: EventKind, source: str = A, *, generation: int = 1, seq: int = 1, at: int = 0, key: str = "k", peer: str = ""
) -> Fact:
    event = Event(kind, key=key, peer=peer, owner="ada", generation=G + generation, seq=seq, ttl_ms=7000)
    return Fact(source, 5, NumberedEvent(1, START_NS + 60_000_000_000 + at, event))


def empty() -> Projection:
    return Projection([], START_NS)


def tell(projection: Projection, *facts: Fact) -> Held | None:
    projection.commit(projection.fold(facts), START_NS)
    return projection.held.get("k")


def test_a_grant_is_held_where_it_was_granted() -> None:
    held = tell(empty(), fact(EventKind.GRANTED))
    assert held is not None
    assert (held.node, held.owner, held.generation, held.incarnation) == (A, "ada", G + 1, 5)


def test_a_released_lock_is_not_held() -> None:
    assert tell(empty(), fact(EventKind.GRANTED), fact(EventKind.RELEASED, seq=2, at=1)) is None


def test_nothing_is_kept_before_the_commit() -> None:
    """A transaction that fails is folded again (writer, W1)."""
    projection = empty()
    projection.fold([fact(EventKind.GRANTED)])
    assert projection.held == {}


def test_a_late_grant_does_not_bring_a_released_lock_back() -> None:
    """The backup told of promotion and release before the killed primary's last events were read."""
    projection = empty()
    tell(projection, fact(EventKind.PROMOTED, B, at=5), fact(EventKind.RELEASED, B, seq=2, at=9))
    assert tell(projection, fact(EventKind.GRANTED, A, at=0)) is None


def test_a_later_generation_is_held_after_a_release() -> None:
    projection = empty()
    tell(projection, fact(EventKind.GRANTED), fact(EventKind.RELEASED, seq=2))
    held = tell(projection, fact(EventKind.GRANTED, B, generation=2, at=9))
    assert held is not None
    assert held.generation == G + 2


def test_a_promotion_takes_the_lock_over_and_keeps_its_beginning() -> None:
    projection = empty()
    first = tell(projection, fact(EventKind.GRANTED, A, at=0))
    held = tell(projection, fact(EventKind.PROMOTED, B, seq=3, at=50))
    assert held is not None
    assert first is not None
    assert (held.node, held.seq, held.since_ns) == (B, 3, first.since_ns)


def test_a_promotion_from_an_older_state_takes_nothing_over() -> None:
    projection = empty()
    tell(projection, fact(EventKind.TRANSFERRED, C, generation=2, seq=4, at=9))
    held = tell(projection, fact(EventKind.PROMOTED, B, generation=2, seq=3, at=10))
    assert held is not None
    assert held.node == C


def test_the_grant_that_is_told_after_its_promotion_changes_nothing() -> None:
    projection = empty()
    tell(projection, fact(EventKind.PROMOTED, B, at=50))
    held = tell(projection, fact(EventKind.GRANTED, A, at=0))
    assert held is not None
    assert held.node == B


def test_a_demotion_says_who_has_the_lock_now() -> None:
    held = tell(empty(), fact(EventKind.GRANTED, A), fact(EventKind.DEMOTED, A, at=7, peer=B))
    assert held is not None
    assert (held.node, held.incarnation) == (B, 0)


def test_a_demotion_of_an_unknown_lock_creates_none() -> None:
    assert tell(empty(), fact(EventKind.DEMOTED, A, peer=B)) is None


def test_a_copy_that_runs_out_elsewhere_ends_nothing() -> None:
    """A fenced node's copy expires while the lock lives on at its successor."""
    projection = empty()
    tell(projection, fact(EventKind.GRANTED, A), fact(EventKind.PROMOTED, B, seq=2, at=5))
    held = tell(projection, fact(EventKind.EXPIRED, A, seq=1, at=9))
    assert held is not None
    assert held.node == B


def test_a_lock_that_expires_where_it_is_served_is_gone() -> None:
    assert tell(empty(), fact(EventKind.GRANTED, A), fact(EventKind.EXPIRED, A, at=9)) is None


def test_an_event_from_before_the_memory_is_a_suspect() -> None:
    """After a restart nothing is remembered, so old news is checked against the rows."""
    projection = empty()
    old = Fact(A, 5, NumberedEvent(1, START_NS + SUSPECT_SLACK_NS - 1, Event(EventKind.GRANTED, "k", generation=7)))
    assert projection.suspects([old, fact(EventKind.GRANTED, key="new")]) == {"k": 7}
    assert projection.fold([old], {"k": (7, FOREVER, FOREVER)}).held == {}


def test_the_memory_of_endings_is_bounded_and_knows_since_when() -> None:
    projection = empty()
    for at in range(ENDED_MAX + 1):
        changes = projection.fold([fact(EventKind.RELEASED, key=f"k{at}")])
        projection.commit(changes, START_NS + at)
    assert projection.horizon_ns == START_NS
    projection.commit(projection.fold([fact(EventKind.RELEASED, key="more")]), START_NS + 9)
    assert projection.horizon_ns == START_NS + 1


def test_locks_of_a_pair_that_died_are_dropped_when_no_lease_can_last() -> None:
    projection = empty()
    tell(projection, fact(EventKind.GRANTED, A))
    assert projection.lost([(B, 5)], START_NS).held == {}
    assert projection.lost([(B, 5)], START_NS + LOST_AFTER_NS - 1).held == {}
    assert projection.lost([(B, 5)], START_NS + LOST_AFTER_NS).held == {"k": None}


def test_locks_of_a_living_node_are_never_dropped() -> None:
    projection = empty()
    tell(projection, fact(EventKind.GRANTED, A))
    projection.lost([], START_NS)
    projection.lost([(A, 5)], START_NS + 1)  # it is back
    assert projection.lost([], START_NS + LOST_AFTER_NS).held == {}


def test_a_migrated_lock_goes_to_another_session_and_was_never_free() -> None:
    """The generation stays, so what was held since when stays as well."""
    projection = empty()
    tell(projection, session_fact(EventKind.GRANTED, "old"))
    held = tell(projection, session_fact(EventKind.MIGRATED, "new", seq=2, at=9))
    assert held is not None
    assert (held.session, held.generation, held.since_ns) == ("new", G + 1, START_NS + 60_000_000_000)
    late = tell(projection, session_fact(EventKind.GRANTED, "old"))
    assert late is not None
    assert late.session == "new"


def test_a_lock_goes_on_when_its_old_session_ends_after_the_migration() -> None:
    """The end of a session is not the end of what it has handed on."""
    projection = empty()
    tell(projection, session_fact(EventKind.GRANTED, "old"), session_fact(EventKind.MIGRATED, "new", seq=2, at=9))
    assert tell(projection, Fact(A, 5, NumberedEvent(9, START_NS, Event(EventKind.ENDED, session="old")))) is not None


def test_what_happens_to_the_ranges_of_a_key_says_nothing_of_its_lock() -> None:
    """A key may be a lock and have ranges."""
    projection = empty()
    assert tell(projection, session_fact(EventKind.RANGE_LOCKED, "s")) is None
    assert tell(projection, session_fact(EventKind.RANGE_PROMOTED, "")) is None
    tell(projection, session_fact(EventKind.GRANTED, "s"))
    assert tell(projection, session_fact(EventKind.RANGE_UNLOCKED, "s", seq=9, at=99)) is not None


def session_fact(kind: EventKind, session: str, *, seq: int = 1, at: int = 0) -> Fact:
    """Return a fact of generation 1 about a session."""
    told = fact(kind, seq=seq, at=at).told
    return Fact(A, 5, replace(told, event=replace(told.event, session=session)))


def test_a_copy_that_ran_out_elsewhere_hides_no_later_change_though_rows_of_endings_have_it() -> None:
    """P3, when a history is told again from a frame: what did not end the lock then does not end it now."""
    projection = empty()
    tell(projection, fact(EventKind.GRANTED, A), fact(EventKind.EXPIRED, B, seq=2, at=4))
    changes = projection.fold([fact(EventKind.GRANTED, A, at=8)], {"k": (G + 1, 2, START_NS + 60_000_000_004)})
    held = changes.held["k"]
    assert held is not None
    assert held.order_ns == START_NS + 60_000_000_008
