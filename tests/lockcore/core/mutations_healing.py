"""For each invariant of healing: a change that breaks it, made from outside, and the test that has to fail.

Elsewhere: trying them (test_mutations).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lockcore.core import healing, rangeheal, ranges
from lockcore.core.state import NodeState
from tests.lockcore.core import test_healing, test_healing_ranges
from tests.lockcore.core.healworld import READ

if TYPE_CHECKING:
    import pytest

    from lockcore.core.leases import Lease
    from lockcore.core.rangechange import RangeState
    from lockcore.core.rangerecords import Row, Step
    from lockcore.core.tokens import TokenClaims


def come_back_at_any_time(patch: pytest.MonkeyPatch) -> None:
    """W1."""

    def comes_in_time(state: NodeState, _key: str, lease: Lease | None, claims: TokenClaims) -> bool:
        return lease is None or (not lease.live(state.now.boot_ns) and claims.generation >= lease.generation)

    patch.setattr(healing, "_comes_in_time", comes_in_time)


def let_the_first_stay(patch: pytest.MonkeyPatch) -> None:
    """W2."""
    original = healing._comes_in_time

    def comes_in_time(state: NodeState, key: str, lease: Lease | None, claims: TokenClaims) -> bool:
        taken = lease is not None and lease.live(state.now.boot_ns)
        return not taken and original(state, key, lease, claims)

    patch.setattr(healing, "_comes_in_time", comes_in_time)


def undo_unlocks(patch: pytest.MonkeyPatch) -> None:
    """W3."""
    patch.setattr(healing, "_was_unlocked", lambda *_: False)


def wait_for_nobody(patch: pytest.MonkeyPatch) -> None:
    """W4."""
    patch.setattr(healing, "_all_are_back", lambda _state: True)


def believe_to_know_all(patch: pytest.MonkeyPatch) -> None:
    """W4: at a node that knows no session, all have reported."""
    patch.setattr(NodeState, "informed", property(lambda _self: True))


def compare_in_any_view(patch: pytest.MonkeyPatch) -> None:
    """W5."""
    patch.setattr(NodeState, "settled_view", property(lambda self: self.view_number))


def give_a_new_fence(patch: pytest.MonkeyPatch) -> None:
    """B12."""
    original = rangeheal.reassert

    def reassert(state: RangeState, piece: Row, now_ns: int) -> Step:
        return original(state, replace(piece, fence=max(piece.fence, state.floor) + 1), now_ns)

    patch.setattr(ranges, "reassert", reassert)


ROWS = (
    ("W1", come_back_at_any_time, test_healing.test_after_the_grace_nothing_comes_back, ()),
    (
        "W2",
        let_the_first_stay,
        test_healing.test_of_two_claims_the_later_grant_wins_whichever_comes_first,
        ("older",),
    ),
    ("W3", undo_unlocks, test_healing_ranges.test_an_unlock_that_was_sent_later_and_arrives_first_is_not_undone, ()),
    (
        "W4",
        wait_for_nobody,
        test_healing_ranges.test_ranges_wait_no_longer_when_everybody_has_reported_and_named_locks_do,
        (),
    ),
    (
        "W4",
        believe_to_know_all,
        test_healing_ranges.test_where_nobody_knows_all_sessions_the_whole_grace_is_waited_for,
        (),
    ),
    ("W5", compare_in_any_view, test_healing.test_a_digest_is_told_only_when_everybody_has_settled, ()),
    (
        "B12",
        give_a_new_fence,
        test_healing_ranges.test_a_piece_comes_back_with_its_fence_and_nobody_gets_in_between,
        (READ,),
    ),
)
