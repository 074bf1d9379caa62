"""The ring master: who is a member, and when that is published.

Elsewhere: graces and the journal's content (test_ledger), restarts (test_master_restart).
"""

from __future__ import annotations

from lockcore.core.limits import STABILISATION_MS
from lockcore.core.messages import (
    Close,
    CloseCluster,
    Closed,
    Farewell,
    FromNode,
    HeartbeatAck,
    Persist,
    Publish,
    Register,
    SendNode,
    ViewUpdate,
)
from lockcore.core.view import MemberId
from tests.lockcore.core.desk import Desk, closed

# --- stabilisation -------------------------------------------------------------------------


def test_a_join_is_published_after_the_stabilisation_delay() -> None:
    desk = Desk()
    desk.join("a:1")
    desk.live(STABILISATION_MS - 100)
    assert desk.views() == []
    desk.live(100)
    assert [set(v.up) for v in desk.views()] == [{"a:1"}]


def test_each_change_starts_the_delay_anew() -> None:
    """8860:batching. Rapid changes are one update, not many."""
    desk = Desk()
    for address in ("a:1", "b:2", "c:3"):
        desk.join(address)
        desk.live(STABILISATION_MS - 100)
    assert desk.views() == []
    desk.live(100)
    assert [set(v.up) for v in desk.views()] == [{"a:1", "b:2", "c:3"}]


def test_a_drop_and_a_join_within_a_second_are_one_ring_update() -> None:
    """One version, so locks move once. The death itself is marked at once, in a view of the same version.

    8860:one-update, 8860:snapshot.
    """
    desk = Desk()
    _, b, _ = desk.start("a:1", "b:2", "c:3")
    before = desk.versions()
    desk.die(b)
    assert (desk.versions(), desk.up()) == (before, {"a:1", "c:3"})
    desk.live(500)
    desk.join("d:4")
    desk.live(STABILISATION_MS - 100)
    assert desk.versions() == before
    desk.live(200)
    assert len(desk.versions()) == len(before) + 1
    assert {m.address for m in desk.view.members} == {"a:1", "c:3", "d:4"}


def test_a_clean_restart_within_a_second_is_one_ring_update_and_the_members_stay_as_many() -> None:
    desk = Desk()
    _, b = desk.start("a:1", "b:2")
    before = desk.versions()
    desk.die(b)
    desk.join("b:2", incarnation=2)
    desk.live(1_200)
    assert len(desk.versions()) == len(before) + 1
    assert desk.view.is_up(MemberId("b:2", 2))


def test_a_death_that_changes_nothing_else_still_gets_its_own_version_later() -> None:
    desk = Desk()
    _, b = desk.start("a:1", "b:2")
    version = desk.view.version
    desk.die(b)
    assert desk.view.version == version
    desk.live(1_200)
    assert desk.view.version > version
    assert [m.address for m in desk.view.members] == ["a:1"]


def test_an_age_is_of_now_and_not_of_the_last_step() -> None:
    """A master that nothing reaches takes few steps: who is silent would look younger than it is."""
    desk = Desk()
    desk.join("a:1")
    desk.now_ms += 300
    (before,), (now,) = desk.master.members(), desk.master.members(desk.now)
    assert before.heartbeat_age_ms is not None
    assert now.heartbeat_age_ms == before.heartbeat_age_ms + 300


def test_the_delay_can_be_seen() -> None:
    desk = Desk()
    assert desk.master.stabilising_ms() is None
    desk.join("a:1")
    assert desk.master.stabilising_ms() == STABILISATION_MS
    desk.now_ms += 300
    assert desk.master.stabilising_ms(desk.now) == STABILISATION_MS - 300, "now, not at the last step"
    desk.live(1_200)
    assert desk.master.stabilising_ms() is None


def test_planned_changes_wait_until_all_nodes_are_settled() -> None:
    """A join while locks are still on their way would leave some of them with nobody who knows all."""
    desk = Desk()
    a, b = desk.start("a:1", "b:2")
    a.settles = False
    desk.join("c:3")
    desk.live(1_200)
    assert desk.up() == {"a:1", "b:2", "c:3"}
    count = len(desk.views())
    desk.join("d:4")
    desk.goodbye(b)
    desk.live(10_000)
    assert len(desk.views()) == count
    a.settles = True
    desk.live(2_500)
    assert desk.up() == {"a:1", "c:3", "d:4"}


def test_a_death_does_not_wait_for_anybody_to_settle() -> None:
    desk = Desk()
    a, b = desk.start("a:1", "b:2")
    a.settles = False
    desk.join("c:3")
    desk.live(1_200)
    desk.die(b)
    assert desk.up() == {"a:1", "c:3"}


# --- what everybody is told --------------------------------------------------------------------


def test_whoever_connects_is_told_the_current_view_first() -> None:
    """8860:view-on-reconnect. A node that comes back bootstraps its ring on reconnect."""
    desk = Desk()
    desk.start("a:1", "b:2")
    start = len(desk.out)
    c = desk.join("c:3")
    first = next(e for e in desk.out[start:] if isinstance(e, SendNode) and e.connection == c.connection)
    assert first.message == ViewUpdate(desk.view)


def test_the_journal_is_written_before_a_view_leaves() -> None:
    """M3: a master that dies in between must not publish the same number again for something else."""
    desk = Desk()
    desk.start("a:1", "b:2")
    for at, effect in enumerate(desk.out):
        if isinstance(effect, SendNode) and isinstance(effect.message, ViewUpdate):
            journals = [e.journal for e in desk.out[:at] if isinstance(e, Persist)]
            assert any(int(str(j["highest"])) >= effect.message.view.number for j in journals)


def test_every_member_is_told_when_all_have_settled() -> None:
    desk = Desk()
    nodes = desk.start("a:1", "b:2")
    settled = [e for e in desk.effects(Publish) if e.settled]
    assert [e.view.number for e in settled] == [desk.view.number]
    acks = [e for e in desk.effects(SendNode) if e.message == HeartbeatAck(0, desk.view.number, desk.view.number)]
    assert [e.connection for e in acks] == [n.connection for n in nodes]


def test_a_node_that_missed_a_view_is_told_again() -> None:
    desk = Desk()
    a, _ = desk.start("a:1", "b:2")
    old = a.view
    desk.join("c:3")
    desk.live(1_200)
    a.view = old  # the message got lost
    desk.live(800)
    assert a.view is not None
    assert old is not None
    assert a.view.number > old.number


def test_a_heartbeat_is_acknowledged_with_the_current_view_and_the_newest_settled_one() -> None:
    desk = Desk()
    a, _ = desk.start("a:1", "b:2")
    acks = [e.message for e in desk.beat(a) if isinstance(e, SendNode)]
    assert HeartbeatAck(a.beats, desk.view.number, desk.view.number) in acks


# --- what people see ---------------------------------------------------------------------------


def test_members_are_shown_with_their_states() -> None:
    desk = Desk()
    a, b = desk.start("a:1", "b:2")
    a.settles = False
    desk.join("c:3")
    desk.live(1_200)
    desk.goodbye(b)  # waits: a:1 has not settled
    desk.join("d:4")
    states = {s.address: s.state for s in desk.master.members()}
    assert states == {"a:1": "up", "b:2": "leaving", "c:3": "up", "d:4": "joining"}
    ages = {s.address: s.heartbeat_age_ms for s in desk.master.members()}
    assert ages["a:1"] is not None
    assert ages["a:1"] <= 400


# --- closing ---------------------------------------------------------------------------------


def test_a_cluster_is_closed_when_every_node_has_said_farewell() -> None:
    desk = Desk()
    desk.start("a:1", "b:2")
    desk.step(CloseCluster())
    assert [e.connection for e in desk.effects(SendNode) if isinstance(e.message, Close)] == [1, 2]
    assert desk.effects(Closed) == []
    desk.step(FromNode(1, Farewell(MemberId("a:1", 1), 0)))
    assert desk.effects(Closed) == []
    desk.step(FromNode(2, Farewell(MemberId("b:2", 1), 0)))
    assert desk.effects(Closed)


def test_a_clean_close_needs_no_full_grace() -> None:
    """Everybody said how long its leases go on: the next start waits no longer, and not at all after 0."""
    desk = Desk()
    desk.start("a:1", "b:2")
    closed(desk, 4_000, 1_000)
    assert [g.remaining_ms for g in desk.view.graces] == [4_000]
    idle = Desk()
    idle.start("a:1", "b:2")
    closed(idle, 0, 0)
    assert idle.view.graces == ()


def test_closing_an_empty_ring_is_done_at_once() -> None:
    desk = Desk()
    desk.step(CloseCluster())
    assert desk.effects(Closed)


def test_nobody_joins_a_ring_that_is_being_closed() -> None:
    desk = Desk()
    desk.start("a:1")
    desk.step(CloseCluster())
    desk.step(FromNode(50, Register(MemberId("z:9", 1))))
    desk.live(1_500)
    assert desk.up() == {"a:1"}
