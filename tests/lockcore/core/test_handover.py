"""Completeness: what a node may serve in a view, and how it gets there.

Elsewhere: moving the locks (test_inbox, test_views).
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lockcore.core.handover import Handover
from lockcore.core.leases import Lease
from lockcore.core.limits import NS_PER_MS
from lockcore.core.messages import Seal
from lockcore.core.region import EVERYWHERE, NOWHERE, Region
from lockcore.core.view import Grace, Member, MemberId, View

A, B, C = MemberId("a:1", 1), MemberId("b:2", 1), MemberId("c:3", 1)
BOTH_SEALS = Seal(handover=True, backup=True, floor=0)
HANDOVER = Seal(handover=True, backup=False, floor=0)


def view(
    number: int, *members: MemberId, previous: int = 0, down: tuple[MemberId, ...] = (), grace_ms: int = 0
) -> View:
    shown = tuple(Member(m.address, m.incarnation, down=m in down) for m in members)
    graces = (Grace(EVERYWHERE, grace_ms),) if grace_ms else ()
    return View(number, number, shown, previous, graces)


def settled_pair() -> Handover:
    """Return A in view 1 with B, complete for everything."""
    handover = Handover(A)
    handover.adopt(view(1, A, B), 0)
    handover.take_seal(B, BOTH_SEALS)
    assert handover.settled()
    return handover


def lease_at(position: int) -> Lease:
    return Lease("k", position, "t", "ada", 5, 1, 10**9, 1_000)


def test_a_node_alone_has_nobody_to_wait_for() -> None:
    handover = Handover(A)
    assert not handover.settled()
    handover.adopt(view(1, A), 0)
    assert handover.complete == EVERYWHERE
    assert handover.settled()
    assert not handover.acquiring()


def test_a_new_member_is_acquiring_until_every_living_member_has_sealed() -> None:
    """W1: a node with no state must not grant what somebody else may hold."""
    handover = Handover(C)
    handover.adopt(view(1, A, B, C), 0)
    assert handover.acquiring()
    handover.take_seal(A, HANDOVER)
    assert handover.complete == NOWHERE
    handover.take_seal(B, HANDOVER)
    assert handover.complete == handover.primary_region
    assert not handover.acquiring()
    assert not handover.settled()  # nobody has given it its copies yet


def test_a_dead_member_is_not_waited_for() -> None:
    handover = Handover(C)
    handover.adopt(view(1, A, B, C, down=(B,)), 0)
    handover.take_seal(A, HANDOVER)
    assert not handover.acquiring()


def test_a_backup_seal_completes_what_its_sender_is_primary_for_and_no_more() -> None:
    handover = Handover(C)
    handover.adopt(view(1, A, B, C), 0)
    handover.take_seal(A, Seal(handover=False, backup=True, floor=0))
    assert handover.complete == view(1, A, B, C).ring.region(primary="a:1", backup="c:3")


def test_a_backup_becomes_primary_at_once_when_its_primary_is_marked_down() -> None:
    """It was complete as backup in the view before, so no acknowledged mutation happened without it."""
    handover = settled_pair()
    handover.adopt(view(2, A, B, previous=1, down=(B,)), 0)
    assert handover.complete == EVERYWHERE
    assert handover.settled()


def test_completeness_is_carried_over_only_within_the_new_pair() -> None:
    """A1: what is neither primary nor backup here is not known any more."""
    handover = settled_pair()
    handover.adopt(view(2, A, B, C, previous=1), 0)
    assert handover.complete == handover.primary_region | handover.backup_region
    assert handover.complete != EVERYWHERE


def test_a_view_that_skips_one_carries_nothing_over() -> None:
    """A2: in the view that was missed, others may have acknowledged what this node never saw."""
    handover = settled_pair()
    handover.adopt(view(3, A, B, C, previous=2), 0)
    assert handover.complete == NOWHERE


def test_a_view_without_a_promise_of_continuity_carries_nothing_over() -> None:
    """A2: a master that lost its journal does not know what happened before."""
    handover = settled_pair()
    handover.adopt(view(2, A, B, C, previous=0), 0)
    assert handover.complete == NOWHERE


def test_a_node_that_was_marked_down_carries_nothing_back() -> None:
    """A2: others have served its range in the meantime."""
    handover = settled_pair()
    handover.adopt(view(2, A, B, previous=1, down=(A,)), 0)
    assert handover.complete == NOWHERE
    assert (handover.primary_region, handover.backup_region) == (NOWHERE, NOWHERE)
    handover.adopt(view(3, A, B, previous=2), 0)
    assert handover.complete == NOWHERE


def test_a_new_incarnation_of_the_same_address_is_somebody_else() -> None:
    handover = Handover(MemberId("a:1", 2))
    handover.adopt(view(1, A, B), 0)
    assert handover.primary_region == NOWHERE


def test_seals_of_an_earlier_view_do_not_count() -> None:
    handover = Handover(C)
    handover.adopt(view(1, A, B, C), 0)
    handover.take_seal(A, BOTH_SEALS)
    handover.adopt(view(2, A, B, C, previous=1), 0)
    handover.take_seal(B, HANDOVER)
    assert handover.acquiring()


def test_a_seal_before_any_view_is_ignored() -> None:
    handover = Handover(A)
    handover.take_seal(B, BOTH_SEALS)
    assert handover.complete == NOWHERE
    assert handover.living() == []


@given(st.lists(st.tuples(st.sampled_from(["view", "skip", "seal"]), st.sets(st.sampled_from([A, B, C]))), max_size=8))
def test_complete_is_always_within_what_the_view_gives_the_node(steps: list[tuple[str, set[MemberId]]]) -> None:
    """A1, whatever the order of views and seals."""
    handover, number = Handover(A), 0
    for what, members in steps:
        if what == "seal":
            for member in members:
                handover.take_seal(member, BOTH_SEALS)
        else:
            previous, number = number, number + (2 if what == "skip" else 1)
            handover.adopt(view(number, *sorted(members), previous=previous if what == "view" else number - 1), 0)
        assert (handover.primary_region | handover.backup_region).covers(handover.complete)


# --- graces ---------------------------------------------------------------------------------


def test_a_grace_counts_from_where_it_became_known() -> None:
    """A3: later is safer; nobody can hold longer than the longest lease."""
    handover = Handover(A)
    region = Region.of([(0, 1_000)])
    handover.adopt(View(1, 1, (Member("a:1", 1),), graces=(Grace(region, 500),)), 1_000 * NS_PER_MS)
    assert handover.in_grace(5, 1_499 * NS_PER_MS)
    assert not handover.in_grace(5, 1_500 * NS_PER_MS)
    assert not handover.in_grace(1_000, 1_100 * NS_PER_MS)
    assert handover.ready(5)  # complete all the same: everybody who knew more has died
    assert handover.grace_ends_ns(0) == 1_500 * NS_PER_MS


def test_a_view_without_graces_ends_none_early_only_if_the_master_says_so() -> None:
    handover = Handover(A)
    handover.adopt(view(1, A, grace_ms=500), 0)
    assert handover.in_grace(0, 0)
    handover.adopt(view(2, A, previous=1), 0)
    assert not handover.in_grace(0, 0)
    assert handover.grace_ends_ns(7) == 7


# --- what has to be sent -------------------------------------------------------------------------


def test_after_a_settled_view_who_was_of_the_pair_needs_no_copy() -> None:
    """Saves sending every lock at each change: the backup that takes over has it all."""
    handover = settled_pair()
    handover.settled_view = 1
    handover.adopt(view(2, A, B, C, previous=1), 0)
    for position in range(0, 1 << 32, 1 << 27):
        primary, backup = view(2, A, B, C).ring.owners_at(position)
        assert handover.must_hand_over(lease_at(position)) == (primary == "c:3")
        assert handover.must_replicate(lease_at(position)) == (backup == "c:3")


def test_after_an_unsettled_view_everything_is_sent() -> None:
    handover = settled_pair()
    handover.adopt(view(2, A, B, previous=1), 0)
    assert handover.must_hand_over(lease_at(0))
    assert handover.must_replicate(lease_at(0))


def test_a_restarted_peer_is_sent_everything() -> None:
    """It has the same address, and no memory."""
    handover = settled_pair()
    handover.settled_view = 1
    reborn = MemberId("b:2", 2)
    handover.adopt(view(2, A, reborn, previous=1), 0)
    for position in range(0, 1 << 32, 1 << 28):
        primary, backup = view(2, A, reborn).ring.owners_at(position)
        assert handover.must_hand_over(lease_at(position)) == (primary == "b:2")
        assert handover.must_replicate(lease_at(position)) == (backup == "b:2")
