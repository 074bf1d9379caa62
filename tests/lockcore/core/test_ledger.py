"""What the master remembers: numbers, orphans, graces, and its journal.

Elsewhere: when views are made (test_master), what a grace means (test_serving_waits).
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockcore.core.ledger import Ledger
from lockcore.core.limits import NS_PER_MS
from lockcore.core.messages import Instant
from lockcore.core.region import EVERYWHERE, NOWHERE, Region
from lockcore.core.view import Member, MemberId, View

WALL_NS = 1_700_000_000_000_000_000
A, B, C = MemberId("a:1", 1), MemberId("b:2", 1), MemberId("c:3", 1)
GRACE_MS = 60_000


def at(ms: int, *, wall_ms: int | None = None) -> Instant:
    return Instant(ms * NS_PER_MS, WALL_NS + (ms if wall_ms is None else wall_ms) * NS_PER_MS)


def publish(ledger: Ledger, *members: MemberId, down: tuple[MemberId, ...] = (), ms: int = 0) -> View:
    shown = tuple(Member(m.address, m.incarnation, down=m in down) for m in members)
    number = ledger.next_number(at(ms), (), 0)
    ledger.lose(down)
    return ledger.publish(View(number, number, shown), at(ms), GRACE_MS, unknown_past=False)


def settled(*members: MemberId) -> Ledger:
    ledger = Ledger()
    publish(ledger, *members)
    ledger.settle()
    return ledger


def owed(view: View) -> Region:
    out = NOWHERE
    for grace in view.graces:
        out |= grace.region
    return out


# --- numbers -----------------------------------------------------------------------------


def test_a_number_is_the_wall_clock_where_nothing_forbids_it() -> None:
    """8860:wall-clock-version. Wall-clock nanoseconds survive a restart of the master without persistence."""
    assert Ledger().next_number(at(5), (), 1_000) == at(5).wall_ns


@given(st.lists(st.tuples(st.integers(-(10**6), 10**6), st.integers(0, 2 * WALL_NS)), min_size=1, max_size=8))
def test_numbers_only_rise_whatever_the_clock_and_the_nodes_say(moments: list[tuple[int, int]]) -> None:
    """G2, W12: a clock set back must not freeze the ring."""
    ledger, numbers = Ledger(), [0]
    for wall_ms, floor in moments:
        numbers.append(ledger.next_number(at(0, wall_ms=wall_ms), [floor], 1_000))
        ledger.raise_numbers(numbers[-1])
    assert numbers == sorted(set(numbers))


def test_a_number_is_well_above_every_generation_that_was_reported() -> None:
    """A node goes on granting between its report and the view: the view must still be above."""
    assert Ledger().next_number(at(0), [WALL_NS + 500], 1_000) == WALL_NS + 1_500


# --- what is lost ------------------------------------------------------------------------------


def test_nothing_is_owed_while_one_of_each_pair_lives() -> None:
    ledger = settled(A, B, C)
    assert publish(ledger, A, B, C, down=(A,)).graces == ()


def test_a_pair_that_dies_together_leaves_its_region_to_a_grace() -> None:
    ledger = settled(A, B, C)
    ring = View(1, 1, tuple(Member(m.address, 1) for m in (A, B, C))).ring
    view = publish(ledger, A, B, C, down=(A, B))
    assert owed(view) == ring.region(primary="a:1", backup="b:2") | ring.region(primary="b:2", backup="a:1")
    assert [g.remaining_ms for g in view.graces] == [GRACE_MS]


def test_a_pair_that_dies_one_after_the_other_before_settling_is_lost_too() -> None:
    """The survivor's copy went with it before anybody else had one."""
    ledger = settled(A, B, C)
    publish(ledger, A, B, C, down=(A,))
    view = publish(ledger, A, B, C, down=(A, B), ms=10)
    assert owed(view)


def test_a_pair_that_dies_one_after_the_other_with_a_settled_view_between_is_not_lost() -> None:
    ledger = settled(A, B, C)
    publish(ledger, A, B, C, down=(A,))
    ledger.settle()
    assert publish(ledger, A, B, C, down=(A, B), ms=10).graces == ()


def test_a_lone_node_that_dies_leaves_everything_to_a_grace() -> None:
    ledger = settled(A)
    assert owed(publish(ledger, A, down=(A,))) == EVERYWHERE


def test_a_restarted_node_counts_as_a_loss() -> None:
    """It has the same address and none of the locks."""
    ledger = settled(A)
    assert owed(publish(ledger, MemberId("a:1", 2))) == EVERYWHERE


def test_a_grace_is_in_every_view_until_it_has_run_out_whoever_joins() -> None:
    """G1."""
    ledger = settled(A)
    publish(ledger, A, down=(A,))
    joined = publish(ledger, B, C, ms=20_000)
    assert owed(joined) == EVERYWHERE
    assert [g.remaining_ms for g in joined.graces] == [GRACE_MS - 20_000]
    ledger.settle()
    assert [g.remaining_ms for g in publish(ledger, B, ms=59_999).graces] == [1]
    assert publish(ledger, B, C, ms=60_000).graces == ()


def test_a_region_is_not_owed_twice_for_one_loss() -> None:
    """A second view in the same trouble must not start the wait anew."""
    ledger = settled(A, B)
    publish(ledger, A, B, down=(A, B))
    view = publish(ledger, A, B, C, down=(A, B), ms=5_000)
    assert [g.remaining_ms for g in view.graces] == [GRACE_MS - 5_000]


def test_an_unknown_past_owes_a_grace_everywhere_and_promises_no_continuity() -> None:
    """A master without its journal does not know who died."""
    view = Ledger().publish(View(5, 5, (Member("a:1", 1),)), at(0), GRACE_MS, unknown_past=True)
    assert (owed(view), view.previous) == (EVERYWHERE, 0)


def test_a_view_names_the_one_that_it_follows() -> None:
    ledger = settled(A)
    first = ledger.view
    assert first is not None
    assert publish(ledger, A, B, ms=1).previous == first.number


# --- the journal --------------------------------------------------------------------------------


def test_the_journal_brings_back_everything_through_json() -> None:
    ledger = settled(A, B, C)
    publish(ledger, A, B, C, down=(A, B), ms=10)
    again = Ledger.load(json.loads(json.dumps(ledger.dump(at(20)))), at(20))
    assert again == ledger
    assert again.current_view(at(20)) == ledger.current_view(at(20))


def remaining_ms(ledger: Ledger, now: Instant) -> list[int]:
    view = ledger.current_view(now)
    assert view is not None
    return [g.remaining_ms for g in view.graces]


@pytest.mark.parametrize("wall_ms", [20_000, -3_600_000, 86_400_000], ids=["right", "set back", "set forward"])
def test_a_grace_goes_on_through_a_restart_whatever_the_wall_clock_says(wall_ms: int) -> None:
    """G3: a date that somebody sets must neither let a held lock be granted nor close the ring for an hour."""
    ledger = settled(A)
    publish(ledger, A, down=(A,))
    later = at(20_000, wall_ms=wall_ms)
    again = Ledger.load(json.loads(json.dumps(ledger.dump(at(0)))), later)
    assert remaining_ms(again, later) == [GRACE_MS - 20_000]


def test_after_a_boot_a_grace_lasts_for_what_was_left_when_it_was_written() -> None:
    """G3: nobody knows how long the machine was off."""
    ledger = settled(A)
    ledger.boot_id = "one"
    publish(ledger, A, down=(A,))
    journal = ledger.dump(at(5_000))
    again = Ledger.load(journal, at(9_000), "another")
    assert remaining_ms(again, at(9_000)) == [GRACE_MS - 5_000]
    assert remaining_ms(Ledger.load(journal, at(9_000), "one"), at(9_000)) == [GRACE_MS - 9_000]


def test_a_boot_clock_that_has_gone_back_is_another_one() -> None:
    """G3: whatever names the boot."""
    ledger = settled(A)
    publish(ledger, A, down=(A,), ms=30_000)
    again = Ledger.load(ledger.dump(at(30_000)), at(1_000))
    assert remaining_ms(again, at(1_000)) == [GRACE_MS]


def test_a_journal_of_another_format_is_refused() -> None:
    """What it says would be misread."""
    with pytest.raises(ValueError, match="format 1"):
        Ledger.load({**settled(A).dump(at(0)), "format": 1}, at(0))


def test_who_began_with_nothing_takes_older_views_as_an_unknown_past() -> None:
    """G4: its folder was new, and yet somebody serves: what that one knows was somebody's."""
    older = View(at(0).wall_ns - 1, 1, (Member("a:1", 1),))
    ledger = settled(B)
    assert ledger.is_foreign(older, at(1_000))
    assert Ledger.load(ledger.dump(at(0)), at(1_000)).is_foreign(older, at(1_000))
    assert ledger.view is not None
    assert not ledger.is_foreign(ledger.view, at(1_000))
    assert not ledger.is_foreign(older, at(2 * GRACE_MS))


def test_who_knows_that_it_forgot_has_its_grace_already() -> None:
    """G4: each node that comes late would begin another minute."""
    ledger = Ledger()
    ledger.publish(View(5, 5, (Member("b:2", 1),)), at(0), GRACE_MS, unknown_past=True)
    assert not ledger.is_foreign(View(4, 4, (Member("a:1", 1),)), at(1_000))


def test_a_loss_before_a_restart_and_one_after_make_a_lost_pair() -> None:
    """The eras since the last settled view are in the journal, too."""
    ledger = settled(A, B, C)
    publish(ledger, A, B, C, down=(A,))
    again = Ledger.load(ledger.dump(at(5)), at(5))
    assert owed(publish(again, A, B, C, down=(A, B), ms=10))


def test_no_journal_is_an_empty_memory() -> None:
    ledger = Ledger.load(None, at(0))
    assert (ledger.view, ledger.highest, ledger.current_view(at(0))) == (None, 0, None)


def test_a_second_loss_of_both_owners_owes_a_second_grace() -> None:
    """What was granted after the first grace is lost as well, and nobody has settled in between."""
    ledger = Ledger()
    now = Instant(0, 10**18)
    ids = {a: MemberId(a, 1) for a in ("a:1", "b:2", "c:3", "d:4")}

    def publish(number: int, up: str) -> None:
        members = tuple(Member(a, 1, down=a[0] not in up) for a in ids)
        ledger.publish(View(number, 1, members), now, 60_000, unknown_past=False)

    publish(1, "abcd")
    ledger.settle()
    publish(2, "cd")
    first = sum(region.share for region, _ in ledger.graces)
    now = Instant(70 * 10**9, 10**18)
    ledger.current_view(now)
    assert ledger.graces == []
    publish(3, "")
    assert first > 0
    assert sum(region.share for region, _ in ledger.graces) > first
