"""Who may become a member: newcomers at once, and who was marked down when it has shown that it can take part.

Elsewhere: addresses, incarnations and claims (test_master_members), when joins are published (test_master).
"""

from __future__ import annotations

from lockcore.core.limits import NODE_LEASE_MARGIN_MS, NODE_LEASE_MS, STABILISATION_MS
from tests.lockcore.core.desk import Desk, Played

LIMIT_MS = NODE_LEASE_MS + NODE_LEASE_MARGIN_MS


def parted() -> tuple[Desk, Played, Played]:
    """Return a desk where the younger of two that are apart was marked down, and the two."""
    desk = Desk()
    a, b = desk.start("a:1", "b:2")
    b.apart[a.id] = a.apart[b.id] = desk.now_ms
    desk.live(2 * LIMIT_MS)
    (kept,) = desk.up()
    lost = b if kept == "a:1" else a
    return desk, lost, a if lost is b else b


def test_who_was_marked_down_stays_out_while_it_does_not_reach_a_member() -> None:
    """M7: or it would come and go for as long as the cut lasts, and everybody's locks would move each time."""
    desk, lost, kept = parted()
    count = len(desk.views())
    desk.live(60_000)
    assert len(desk.views()) == count
    lost.apart.clear()
    kept.apart.clear()
    desk.live(STABILISATION_MS + 500)
    assert desk.up() == {"a:1", "b:2"}


def test_who_was_marked_down_stays_out_while_it_does_not_hear_the_master() -> None:
    """M7: it would never enter the view in which it is a member."""
    desk = Desk()
    _, b, _ = desk.start("a:1", "b:2", "c:3")
    b.deaf = True
    desk.live(2 * LIMIT_MS)
    count = len(desk.views())
    desk.live(60_000)
    assert len(desk.views()) == count
    b.deaf = False
    desk.live(STABILISATION_MS + 2_000)
    assert desk.up() == {"a:1", "b:2", "c:3"}


def test_a_new_connection_of_a_node_that_knows_a_view_is_no_way_in() -> None:
    """M7: connections come and go in a cut."""
    desk, lost, _ = parted()
    count = len(desk.views())
    desk.hang_up(lost)
    again = desk.join(lost.id.address, lost.id.incarnation, view=lost.view)
    again.apart.update(lost.apart)
    desk.live(10_000)
    assert len(desk.views()) == count


def test_not_to_reach_who_is_no_member_keeps_nobody_out() -> None:
    desk, lost, kept = parted()
    lost.apart = {lost.id: desk.now_ms}
    kept.apart.clear()
    desk.live(STABILISATION_MS + 500)
    assert desk.up() == {"a:1", "b:2"}


def test_a_newcomer_that_does_not_reach_a_member_waits_until_it_does() -> None:
    """It has everything before it still; once it is in, a handover waits for it."""
    desk = Desk()
    a, _ = desk.start("a:1", "b:2")
    c = desk.join("c:3")
    c.apart[a.id] = desk.now_ms
    desk.live(5_000)
    assert desk.up() == {"a:1", "b:2"}
    c.apart.clear()
    desk.live(STABILISATION_MS + 500)
    assert desk.up() == {"a:1", "b:2", "c:3"}


def test_a_master_without_a_view_lets_in_who_knows_one() -> None:
    """Its journal is gone: there is nothing that could be shown."""
    desk = Desk()
    a, b = desk.start("a:1", "b:2")
    again = desk.restarted(with_journal=False)
    again.join("a:1", view=a.view)
    again.join("b:2", view=b.view)
    again.live(LIMIT_MS + 500)
    assert again.up() == {"a:1", "b:2"}
