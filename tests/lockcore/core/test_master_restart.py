"""A master that dies and comes back, with its journal or without.

Elsewhere: its ordinary life (test_master), the journal's content (test_ledger).
"""

from __future__ import annotations

import json

import pytest

from lockcore.core.config import MasterConfig
from lockcore.core.limits import LEASE_MS_MAX, NODE_LEASE_MARGIN_MS, NODE_LEASE_MS, VIEW_REPEAT_MS
from lockcore.core.messages import Close, Farewell, FromNode, Granted, Lock, SendNode
from lockcore.core.region import EVERYWHERE
from lockcore.core.view import MemberId
from lockcore.testing.world import World
from tests.lockcore.core.desk import WALL_NS, Desk, closed
from tests.lockcore.core.test_ledger import owed

SILENT_MS = NODE_LEASE_MS + NODE_LEASE_MARGIN_MS


def come_back(old: Desk, new: Desk, *addresses: str) -> None:
    """Have nodes of the old life connect to the new master with the view they know."""
    for address in addresses:
        new.join(address, view=old.view, floor=old.view.number)


@pytest.mark.parametrize("with_journal", [True, False])
@pytest.mark.parametrize("wall_ms", [0, -3_600_000])
def test_versions_rise_across_a_restart_whatever_the_clock_says(with_journal: bool, wall_ms: int) -> None:  # noqa: FBT001 - a parameter of pytest
    """8860:wall-clock-version. M1, W12: the larger of the clock, the journal + 1 and what nodes report + 1."""
    old = Desk()
    old.start("a:1", "b:2")
    new = old.restarted(with_journal=with_journal, wall_ms=wall_ms)
    come_back(old, new, "a:1", "b:2")
    new.join("c:3")
    new.live(8_000)
    assert new.up() == {"a:1", "b:2", "c:3"}
    assert all(v.number > old.view.number for v in new.views())
    assert new.view.version > old.view.version


def test_a_new_view_is_above_the_generations_granted_under_a_faster_clock() -> None:
    """Else a node that adopts it would grant below what it has granted."""
    desk = Desk()
    a, _ = desk.start("a:1", "b:2")
    a.floor = WALL_NS + 10**15
    desk.live(500)
    desk.join("c:3")
    desk.live(1_500)
    assert desk.view.number > a.floor


def test_a_restarted_master_publishes_nothing_while_its_members_come_back() -> None:
    """M5, W13: SeaweedFS's publishes a ring of whoever was first."""
    old = Desk()
    old.start("a:1", "b:2", "c:3")
    new = old.restarted()
    come_back(old, new, "a:1")
    new.live(SILENT_MS - 200)
    assert new.views() == []
    come_back(old, new, "b:2", "c:3")
    new.live(5_000)
    assert new.views() == []
    assert new.view.number == old.view.number
    assert new.master.settled


def test_a_join_waits_until_the_known_members_are_back() -> None:
    """M5."""
    old = Desk()
    old.start("a:1", "b:2")
    new = old.restarted()
    new.join("c:3")
    come_back(old, new, "a:1")
    new.live(SILENT_MS - 200)
    assert new.views() == []
    come_back(old, new, "b:2")
    new.live(1_500)
    assert new.up() == {"a:1", "b:2", "c:3"}


def test_a_known_member_that_does_not_come_back_is_marked_down_after_the_node_lease() -> None:
    old = Desk()
    old.start("a:1", "b:2", "c:3")
    new = old.restarted()
    come_back(old, new, "a:1", "c:3")
    new.live(SILENT_MS + 100)
    assert new.up() == {"a:1", "c:3"}
    assert new.view.graces == ()


def test_all_members_that_died_with_the_master_leave_a_grace() -> None:
    old = Desk()
    old.start("a:1", "b:2")
    new = old.restarted()
    new.live(SILENT_MS + 100)
    new.join("a:1", incarnation=2)
    new.live(2_000)
    assert new.view.is_up(MemberId("a:1", 2))
    assert owed(new.view) == EVERYWHERE


def test_a_master_without_a_journal_waits_out_the_longest_lease() -> None:
    """It cannot know who died, nor what they held: nodes serve on, and nobody new is granted what may be held."""
    old = Desk()
    old.start("a:1", "b:2")
    new = old.restarted(with_journal=False)
    come_back(old, new, "a:1", "b:2")
    new.live(SILENT_MS - 100)
    assert new.views() == []
    new.live(300)
    assert new.up() == {"a:1", "b:2"}
    assert owed(new.view) == EVERYWHERE
    assert new.view.previous == 0
    new.live(LEASE_MS_MAX)
    assert new.view.graces == ()


def test_a_master_that_lost_its_journal_waits_for_those_it_does_not_know() -> None:
    """Their node leases may run still: a newcomer must not be alone in a ring beside theirs."""
    desk = Desk(unknown_past=True)
    desk.join("c:3")
    desk.live(SILENT_MS - 100)
    assert desk.views() == []
    desk.live(200)
    assert desk.up() == {"c:3"}
    assert owed(desk.view) == EVERYWHERE


def test_a_master_that_lost_its_journal_publishes_nothing_without_a_node() -> None:
    desk = Desk(unknown_past=True)
    desk.live(2 * SILENT_MS)
    assert desk.views() == []
    desk.join("c:3")
    desk.live(1_200)
    assert owed(desk.view) == EVERYWHERE


def test_nodes_of_a_past_that_a_new_master_did_not_know_of_come_with_a_grace() -> None:
    """G4: somebody emptied the folder; its first view is newer than theirs, and must not be believed for that."""
    old = Desk()
    old.start("a:1", "b:2")
    new = old.restarted(with_journal=False)
    new.join("c:3")
    new.live(1_200)
    assert new.up() == {"c:3"}
    first = new.view
    come_back(old, new, "a:1")
    new.live(SILENT_MS + 1_000)
    assert new.up() == {"a:1", "c:3"}
    assert owed(new.view) == EVERYWHERE
    assert new.view.previous == 0
    assert first.graces == ()


def test_a_first_start_owes_nothing() -> None:
    """An empty cluster has no past: its first lock is granted at once."""
    desk = Desk()
    desk.start("a:1")
    assert desk.view.graces == ()


def test_a_journal_survives_json_and_gives_the_same_view() -> None:
    old = Desk()
    _, b, _ = old.start("a:1", "b:2", "c:3")
    old.die(b)
    new = Desk(json.loads(json.dumps(old.journal())), now_ms=old.now_ms)
    assert new.view == old.view
    assert new.up() == {"a:1", "c:3"}


def test_a_death_before_the_restart_and_one_after_it_leave_a_grace() -> None:
    """A pair is lost however the two deaths are spread over the master's lives."""
    old = Desk()
    a, b, c = old.start("a:1", "b:2", "c:3")
    a.settles = c.settles = False
    old.die(b)
    new = old.restarted()
    come_back(old, new, "c:3")
    new.live(SILENT_MS + 100)
    assert new.up() == {"c:3"}
    assert owed(new.view)


def test_a_member_of_a_newer_view_than_the_journals_makes_the_past_unknown() -> None:
    """The journal was restored from a backup, or its disk was full: it must not be believed."""
    old = Desk()
    old.start("a:1", "b:2")
    stale = old.journal()
    old.join("c:3")
    old.live(1_500)
    new = Desk(stale, now_ms=old.now_ms)
    come_back(old, new, "a:1", "b:2", "c:3")
    new.live(4_000)
    assert new.view.number > old.view.number
    assert owed(new.view) == EVERYWHERE


def test_the_goodbye_of_the_last_node_leaves_only_its_longest_lease_to_the_next_start() -> None:
    """It has nobody to hand over to, and yet its locks are known: it says how long they go on."""
    old = Desk()
    (a,) = old.start("a:1")
    old.goodbye(a)
    assert [e.message for e in old.effects(SendNode)][-1] == Close()
    assert old.up() == {"a:1"}
    old.step(FromNode(a.connection, Farewell(a.id, 7_000)))
    assert old.up() == set()
    new = old.restarted(after_ms=2_000)
    new.join("a:1", incarnation=2)
    new.live(1_200)
    assert [g.remaining_ms for g in new.view.graces] == [7_000 - 2_000 - 1_200]


def test_the_last_node_is_asked_again_to_close_while_it_has_not() -> None:
    """The word may have been lost."""
    desk = Desk()
    (a,) = desk.start("a:1")
    desk.goodbye(a)
    desk.live(2 * VIEW_REPEAT_MS)
    assert [e.message for e in desk.effects(SendNode)].count(Close()) > 1


def test_the_last_node_hands_over_to_one_that_wants_in_before_it_goes() -> None:
    desk = Desk()
    (a,) = desk.start("a:1")
    desk.join("b:2")
    desk.goodbye(a)
    desk.live(1_200)
    assert desk.up() == {"b:2"}
    assert all(view.graces == () for view in desk.views())


def test_a_clean_close_leaves_only_the_longest_farewell_to_the_next_start() -> None:
    old = Desk()
    old.start("a:1", "b:2")
    closed(old, 3_000, 7_000)
    new = old.restarted(after_ms=2_000)
    new.join("a:1", incarnation=2)
    new.live(1_200)
    assert new.view.is_up(MemberId("a:1", 2))
    assert [g.remaining_ms for g in new.view.graces] == [7_000 - 2_000 - 1_200]
    new.live(4_000)
    assert new.view.graces == ()


def test_a_restarted_master_removes_from_the_ring_who_was_marked_down_before() -> None:
    """The stabilisation delay may have been running when it died."""
    old = Desk()
    _, b, _ = old.start("a:1", "b:2", "c:3")
    old.die(b)
    assert old.view.up.keys() == {"a:1", "c:3"}
    new = old.restarted()
    come_back(old, new, "a:1", "c:3")
    new.live(8_000)
    assert {m.address for m in new.view.members} == {"a:1", "c:3"}


def test_nodes_that_only_want_to_leave_are_let_go_by_a_master_that_lost_its_journal() -> None:
    """They would serve nobody, and wait for a view without them for ever."""
    old = Desk()
    old.start("a:1", "b:2")
    new = old.restarted(with_journal=False)
    for address in ("a:1", "b:2"):
        new.goodbye(new.join(address, view=old.view, floor=old.view.number))
    new.live(8_000)
    assert new.view.members == ()
    assert new.view.number > old.view.number
    assert new.view.graces[0].region == EVERYWHERE


def test_a_master_that_lost_its_journal_does_not_let_one_serve_that_was_put_out() -> None:
    """M9: found by simulation: back from a cut, alone in the view it had, it granted what another had granted since."""
    world = World(3, master_config=MasterConfig(longest_lease_ms=3_000))
    world.start("a:1")
    world.settle()
    world.cut("a:1", "master")
    world.run_ms(3_000)
    world.start_node("b:2")
    world.run_ms(9_000)
    assert isinstance(world.ask("b:2", Lock("k", 3_000, "bob")), Granted)
    world.kill_master()
    world.ensure_master(with_journal=False)
    world.mend("a:1", "master")
    for _ in range(12):
        world.run_ms(120)
        assert not isinstance(world.ask("a:1", Lock("k", 3_000, "eve"), 100), Granted)
