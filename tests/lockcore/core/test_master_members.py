"""Whom the master counts as alive: silence, deaths, goodbyes, incarnations, claims.

Elsewhere: when changes are published (test_master), restarts (test_master_restart).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockcore.core import admission
from lockcore.core.limits import MASTER_STALL_MS, NODE_LEASE_MARGIN_MS, NODE_LEASE_MS, NS_PER_MS
from lockcore.core.messages import (
    ConnectionLost,
    DeathSeen,
    Disconnect,
    Farewell,
    FromNode,
    Heartbeat,
    Register,
    Tick,
)
from lockcore.core.view import MemberId
from tests.lockcore.core.desk import Desk, Played

if TYPE_CHECKING:
    import pytest

# --- silence ---------------------------------------------------------------------------------


def test_a_silent_member_is_marked_down_after_node_lease_and_margin_and_not_before() -> None:
    """M2: it fences itself after the node lease, counted from earlier: nobody ever serves beside its successor."""
    desk = Desk()
    _, b = desk.start("a:1", "b:2")
    b.silent = True
    desk.live(NODE_LEASE_MS + NODE_LEASE_MARGIN_MS - 100)
    assert desk.up() == {"a:1", "b:2"}
    desk.live(100)
    assert desk.up() == {"a:1"}
    assert "died" in desk.facts()


def test_a_master_that_slept_does_not_take_its_own_sleep_for_silence() -> None:
    """M2: after a stall it has to listen first."""
    desk = Desk()
    desk.start("a:1", "b:2")
    desk.now_ms += 60_000
    desk.step(Tick())
    assert desk.up() == {"a:1", "b:2"}
    desk.live(5_000)
    assert desk.up() == {"a:1", "b:2"}


def test_a_member_that_is_silent_after_the_sleep_is_still_found() -> None:
    desk = Desk()
    _, b = desk.start("a:1", "b:2")
    desk.now_ms += 60_000
    b.silent = True
    desk.live(NODE_LEASE_MS + NODE_LEASE_MARGIN_MS + 100)
    assert desk.up() == {"a:1"}


def test_the_masters_timer_is_often_enough_to_tell_a_sleep_from_a_wait() -> None:
    desk = Desk()
    assert desk.master.next_timer_ns() is None
    desk.start("a:1")
    at_ns = desk.master.next_timer_ns()
    assert at_ns is not None
    assert desk.now.boot_ns < at_ns <= desk.now.boot_ns + MASTER_STALL_MS * NS_PER_MS


def test_a_member_that_was_marked_down_by_mistake_comes_back() -> None:
    desk = Desk()
    _, b = desk.start("a:1", "b:2")
    b.silent = True
    desk.live(3_000)
    assert desk.up() == {"a:1"}
    b.silent = False
    desk.live(1_500)
    assert desk.up() == {"a:1", "b:2"}


# --- death, goodbye, incarnations -----------------------------------------------------------------


def test_a_death_that_was_seen_is_published_at_once() -> None:
    """Not after the node lease: who saw the process end knows."""
    desk = Desk()
    _, b = desk.start("a:1", "b:2")
    desk.die(b)
    assert desk.up() == {"a:1"}
    assert [m.down for m in desk.view.members] == [False, True]


def test_a_death_of_somebody_else_than_a_member_changes_nothing() -> None:
    desk = Desk()
    desk.start("a:1", "b:2")
    count = len(desk.views())
    for member in (MemberId("z:9", 1), MemberId("b:2", 99)):
        desk.step(DeathSeen(member))
    assert len(desk.views()) == count


def test_what_is_still_in_a_dead_nodes_socket_proves_nothing() -> None:
    """Otherwise the dead would come back as a member that nobody can reach."""
    desk = Desk()
    _, b = desk.start("a:1", "b:2")
    desk.die(b)
    beat = Heartbeat(b.id, 99, desk.view.number, settled=True, floor=0)
    desk.step(FromNode(b.connection, beat))
    desk.live(3_000)
    assert desk.up() == {"a:1"}


def test_a_goodbye_is_published_without_waiting_for_the_delay() -> None:
    desk = Desk()
    _, b = desk.start("a:1", "b:2")
    version = desk.view.version
    desk.goodbye(b)
    assert (desk.up(), desk.view.version) == ({"a:1"}, version)
    desk.live(1_200)
    assert [m.address for m in desk.view.members] == ["a:1"]


def test_two_goodbyes_at_once_are_published_one_after_the_other() -> None:
    """Both hand everything over: their common arcs need no grace, in which nobody could take a lock."""
    desk = Desk()
    nodes = desk.start("a:1", "b:2", "c:3")
    nodes[2].settles = False
    desk.join("d:4")
    desk.live(1_200)
    desk.goodbye(nodes[0])
    desk.goodbye(nodes[1])
    nodes[2].settles = True
    desk.live(5_000)
    assert desk.up() == {"c:3", "d:4"}
    assert desk.view.graces == ()


def test_the_late_closing_stream_of_an_old_incarnation_is_harmless() -> None:
    """M4, W14: in SeaweedFS it evicts the node that has just come back."""
    desk = Desk()
    _, b = desk.start("a:1", "b:2")
    desk.die(b)
    again = desk.join("b:2", incarnation=2)
    desk.live(1_200)
    desk.step(ConnectionLost(b.connection))
    desk.live(3_000)
    assert desk.view.is_up(again.id)


def test_a_newer_connection_of_the_same_node_ends_the_older_one() -> None:
    """Were it left open, what is said there would be heard by nobody, and its node would never know."""
    desk = Desk()
    a, _ = desk.start("a:1", "b:2")
    start = len(desk.out)
    again = desk.join("a:1", view=a.view)
    assert [e.connection for e in desk.out[start:] if isinstance(e, Disconnect)] == [a.connection]
    start = len(desk.out)
    desk.step(FromNode(again.connection, Register(a.id, 0, a.view)))
    assert [e for e in desk.out[start:] if isinstance(e, Disconnect)] == []


def test_a_replaced_connection_of_the_same_node_may_close_late() -> None:
    """M4."""
    desk = Desk()
    a, _ = desk.start("a:1", "b:2")
    del desk.nodes[a.connection]
    desk.join("a:1", view=a.view)
    desk.step(ConnectionLost(a.connection))
    desk.step(FromNode(a.connection, Heartbeat(a.id, 1, 0, settled=False, floor=0)))
    desk.live(5_000)
    assert desk.up() == {"a:1", "b:2"}
    assert desk.master.settled


def test_a_connection_that_closes_says_nothing_about_the_node() -> None:
    desk = Desk()
    _, b = desk.start("a:1", "b:2")
    desk.hang_up(b)
    desk.live(1_000)
    assert desk.up() == {"a:1", "b:2"}


def test_a_claim_of_anothers_address_is_refused_while_the_incumbent_lives() -> None:
    """Two processes at one address would both be right about who they are."""
    desk = Desk()
    desk.start("a:1", "b:2")
    claimant = desk.join("b:2", incarnation=2)
    desk.live(2_000)
    assert "in use by a living node" in claimant.refused
    assert "another address" in claimant.refused
    assert desk.view.is_up(MemberId("b:2", 1))
    assert "refused" in desk.facts()


def test_a_claim_is_admitted_once_the_incumbent_is_dead() -> None:
    desk = Desk()
    _, b = desk.start("a:1", "b:2")
    b.silent = True
    claimant = desk.join("b:2", incarnation=2)
    desk.live(5_000)
    assert desk.view.is_up(claimant.id)
    assert claimant.refused == ""


def test_a_node_that_joined_and_went_before_it_was_a_member_is_forgotten() -> None:
    desk = Desk()
    desk.start("a:1")
    b = desk.join("b:2")
    desk.hang_up(b)
    desk.live(1_200)
    assert desk.up() == {"a:1"}
    assert [s.address for s in desk.master.members()] == ["a:1"]


def test_the_ring_has_a_greatest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MEMBERS_MAX", 2)
    desk = Desk()
    desk.start("a:1", "b:2")
    third = desk.join("c:3")
    assert "2 members" in third.refused
    assert desk.up() == {"a:1", "b:2"}


def test_a_nonsensical_message_changes_nothing() -> None:
    desk = Desk()
    desk.start("a:1")
    before = desk.master.members()
    desk.step(FromNode(1, Farewell(MemberId("z:9", 1), 5)))
    desk.step(FromNode(77, Heartbeat(MemberId("z:9", 1), 1, 0, settled=True, floor=0)))
    desk.goodbye(Played(MemberId("z:9", 1), 77))
    assert desk.master.members() == before
