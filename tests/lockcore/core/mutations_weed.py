"""For each invariant of a member of a SeaweedFS ring: a change that breaks it, and the test that has to fail.

Elsewhere: trying them (test_mutations).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockcore.core import weedmember
from lockcore.core.weedlocks import Held, LockState, WeedLocks
from lockcore.core.weedmember import WeedMember
from tests.lockcore.core import test_weedlocks, test_weedmember

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    import pytest

    from lockcore.core.weedmember import Errand


def take_the_latest(patch: pytest.MonkeyPatch) -> None:
    """C1: whatever comes last counts."""
    original = WeedLocks.take

    def take(self: WeedLocks, state: LockState, now_ns: int, *, serving: bool) -> bool:
        known = self.get(state.key)
        if known is not None:
            known.generation = known.seq = -1
        return original(self, state, now_ns, serving=serving)

    patch.setattr(WeedLocks, "take", take)


def demote_by_copies(patch: pytest.MonkeyPatch) -> None:
    """C1: a primary that is told of its own lock as a copy has only a copy from then on."""
    original = WeedLocks.take

    def take(self: WeedLocks, state: LockState, now_ns: int, *, serving: bool) -> bool:
        known = self.get(state.key)
        if known is not None:
            known.serving = serving
        return original(self, state, now_ns, serving=serving)

    patch.setattr(WeedLocks, "take", take)


def count_generations_alone(patch: pytest.MonkeyPatch) -> None:
    """C2."""
    patch.setattr(WeedLocks, "raise_floor", lambda *_: None)


def leave_no_tombstone(patch: pytest.MonkeyPatch) -> None:
    """C3."""
    patch.setattr(WeedLocks, "release", lambda self, held, _: self.drop(held.key))


def honour_the_newest_token_only(patch: pytest.MonkeyPatch) -> None:
    """C4."""
    patch.setattr(Held, "opens_with", lambda self, token: bool(token) and token == self.token)


def honour_every_token(patch: pytest.MonkeyPatch) -> None:
    """C4: also those from long ago."""
    patch.setattr(Held, "opens_with", lambda _, token: bool(token))


def ask_nobody(patch: pytest.MonkeyPatch) -> None:
    """C5."""
    patch.setattr(WeedMember, "_priors_of", lambda *_: ())


def adopt_any_ring(patch: pytest.MonkeyPatch) -> None:
    """C6."""
    original = WeedMember.adopt

    def adopt(self: WeedMember, servers: Iterable[str], version: int, now_ns: int) -> bool:
        self.version = min(self.version, version)
        return original(self, servers, version, now_ns)

    patch.setattr(WeedMember, "adopt", adopt)


def come_back_as_if_never_away(patch: pytest.MonkeyPatch) -> None:
    """C7."""
    patch.setattr(WeedMember, "_doubt", lambda _: None)


def never_fence(patch: pytest.MonkeyPatch) -> None:
    """C8."""
    patch.setattr(WeedMember, "_fenced", lambda *_: False)


def give_up_what_has_changed(patch: pytest.MonkeyPatch) -> None:
    """C9."""
    original = WeedMember.done

    def done(self: WeedMember, errand: Errand) -> None:
        held = self.locks.get(errand.state.key)
        if held is not None:
            held.generation, held.seq = errand.state.order
        original(self, errand)

    patch.setattr(WeedMember, "done", done)


def send_back_at_once(patch: pytest.MonkeyPatch) -> None:
    """C9: before the ring is known by which it came."""
    patch.setattr(weedmember, "HANDOVER_NS", 0)
    patch.setattr(WeedMember, "_priors_of", lambda *_: ())


def forward_for_ever(patch: pytest.MonkeyPatch) -> None:
    """C10."""
    original = WeedMember._decide_elsewhere

    def decide(self: WeedMember, *arguments: Any, moved: bool) -> Any:
        del moved
        return original(self, *arguments, moved=False)

    patch.setattr(WeedMember, "_decide_elsewhere", decide)


ROWS: tuple[tuple[str, Callable[[pytest.MonkeyPatch], None], Callable[..., Any]], ...] = (
    ("C1", take_the_latest, test_weedlocks.test_only_what_is_newer_is_taken),
    ("C1", demote_by_copies, test_weedlocks.test_who_serves_a_lock_goes_on_serving_it_whatever_it_is_told),
    ("C2", count_generations_alone, test_weedlocks.test_a_grant_is_above_every_generation_that_was_seen),
    ("C3", leave_no_tombstone, test_weedlocks.test_a_released_lock_is_not_brought_back),
    (
        "C4",
        honour_the_newest_token_only,
        test_weedlocks.test_the_token_before_is_good_until_the_holder_has_shown_the_new_one,
    ),
    ("C4", honour_every_token, test_weedlocks.test_the_token_before_is_good_until_the_holder_has_shown_the_new_one),
    ("C5", ask_nobody, test_weedmember.test_who_served_a_key_before_us_is_asked_before_it_is_granted),
    ("C6", adopt_any_ring, test_weedmember.test_rings_are_adopted_in_their_order),
    (
        "C7",
        come_back_as_if_never_away,
        test_weedmember.test_who_was_away_while_the_ring_changed_serves_nothing_from_before_until_it_is_confirmed,
    ),
    ("C8", never_fence, test_weedmember.test_without_a_master_nothing_fresh_is_granted),
    (
        "C9",
        give_up_what_has_changed,
        test_weedmember.test_a_lock_that_changes_under_way_is_sent_again_before_it_is_given_up,
    ),
    ("C9", send_back_at_once, test_weedmember.test_what_came_by_a_ring_that_is_not_known_yet_is_not_sent_back),
    ("C10", forward_for_ever, test_weedmember.test_what_another_serves_is_sent_there_once),
)
