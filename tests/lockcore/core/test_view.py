"""A view says which incarnation serves what.

Elsewhere: who makes views (test_master), what a node does with one (test_views).
"""

from __future__ import annotations

from lockcore.core.ring import HashRing
from lockcore.core.view import Member, MemberId, View


def test_the_ring_of_a_view_skips_who_is_down() -> None:
    view = View(2, 1, (Member("a:1", 1), Member("b:2", 1, down=True), Member("c:3", 1)))
    assert view.ring == HashRing(["a:1", "b:2", "c:3"], down=["b:2"])
    assert set(view.up) == {"a:1", "c:3"}


def test_a_restarted_node_is_another_member() -> None:
    """V2: it has no memory, however fast it was back."""
    view = View(2, 1, (Member("a:1", 7), Member("b:2", 7, down=True)))
    assert view.is_up(MemberId("a:1", 7))
    assert not view.is_up(MemberId("a:1", 8))
    assert not view.is_up(MemberId("b:2", 7))
    assert not view.is_up(MemberId("c:3", 7))
    assert view.members[1].id == MemberId("b:2", 7)


def test_a_view_promises_no_continuity_unless_it_says_so() -> None:
    """V1: 0 names no view, so nothing is carried over by default."""
    assert View(2, 1, ()).previous == 0
    assert View(2, 1, ()).ring.owners("k") == (None, None)
