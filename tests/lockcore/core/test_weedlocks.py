"""One lock at a member of a SeaweedFS ring: what is newer wins, and what was released stays so."""

from __future__ import annotations

from dataclasses import replace

from lockcore.core.limits import NS_PER_S
from lockcore.core.weedlocks import PROMOTED_SEQ_STEP, TOMBSTONE_NS, LockState, WeedLocks

T = 100 * NS_PER_S
LEASE = 30 * NS_PER_S
STATE = LockState("k", "token", "ada", generation=7, seq=3, remaining_ns=LEASE)


def test_only_what_is_newer_is_taken() -> None:
    """A replica that was overtaken on its way, or comes twice, is none."""
    locks = WeedLocks()
    assert locks.take(STATE, T, serving=False)
    for stale in (STATE, replace(STATE, seq=2), replace(STATE, generation=6, seq=9)):
        assert not locks.take(replace(stale, token="stale"), T, serving=False)
    assert not locks.take(replace(STATE, gone=True, seq=2), T, serving=False)
    held = locks.get("k")
    assert held is not None
    assert (held.token, held.order, held.serving, held.live(T)) == ("token", (7, 3), False, True)
    assert locks.take(replace(STATE, seq=4, token="next"), T, serving=False)
    assert locks.take(replace(STATE, generation=8, seq=1, token="after"), T, serving=False)


def test_who_serves_a_lock_goes_on_serving_it_whatever_it_is_told() -> None:
    """SeaweedFS sends a primary's own news back to it as a copy, after a ring change."""
    locks = WeedLocks()
    locks.grant("k", "ada", "t1", T + LEASE)
    assert locks.take(replace(STATE, generation=2), T, serving=False)
    held = locks.get("k")
    assert held is not None
    assert held.serving


def test_a_grant_is_above_every_generation_that_was_seen() -> None:
    """Those of released locks, and of what was refused because it came too late, count as well."""
    locks = WeedLocks()
    locks.take(replace(STATE, generation=40), T, serving=False)
    locks.take(replace(STATE, key="old", generation=90, remaining_ns=-1), T, serving=False)
    assert locks.get("old") is None
    assert locks.grant("other", "bob", "t", T + LEASE).generation == 91
    locks.take(replace(STATE, key="gone", generation=200, gone=True), T, serving=False)
    assert locks.grant("another", "bob", "t", T + LEASE).generation == 201


def test_a_released_lock_is_not_brought_back() -> None:
    """The replica of its last renewal may come after the unlock, from whoever held a copy."""
    locks = WeedLocks()
    held = locks.grant("k", "ada", "t1", T + LEASE)
    granted = held.state(T)
    locks.renew(held, "t1", "ada", "t2", T + LEASE)
    renewed = held.state(T)
    locks.release(held, T)
    for late in (granted, renewed):
        assert not locks.take(late, T + 1, serving=True)
    locks.expire(T + LEASE)
    assert not locks.take(renewed, T + LEASE, serving=True)
    locks.expire(T + LEASE + TOMBSTONE_NS)
    assert len(locks) == 0


def test_a_copy_is_released_by_what_its_primary_says() -> None:
    locks = WeedLocks()
    locks.take(STATE, T, serving=False)
    assert locks.take(replace(STATE, seq=4, gone=True), T, serving=False)
    held = locks.get("k")
    assert held is not None
    assert not held.live(T)
    assert not locks.take(STATE, T, serving=False)


def test_the_token_before_is_good_until_the_holder_has_shown_the_new_one() -> None:
    """A reply that gets lost does not cost the lock, as it does at a filer (W17)."""
    locks = WeedLocks()
    held = locks.grant("k", "ada", "t1", T + LEASE)
    locks.renew(held, "t1", "ada", "t2", T + LEASE)
    assert held.opens_with("t1")
    assert held.opens_with("t2")
    locks.renew(held, "t2", "ada", "t3", T + LEASE)
    assert not held.opens_with("t1")
    assert not held.opens_with("")


def test_what_a_promoted_member_decides_outranks_its_predecessor() -> None:
    """Who was stopped, and is not dead, may renew the same lock in the same generation (W10)."""
    locks = WeedLocks()
    locks.take(STATE, T, serving=False)
    held = locks.get("k")
    assert held is not None
    held.serving = held.promoted = True
    locks.renew(held, "token", "ada", "t2", T + LEASE)
    assert held.order == (7, 3 + PROMOTED_SEQ_STEP)
    locks.renew(held, "t2", "ada", "t3", T + LEASE)
    assert held.order == (7, 4 + PROMOTED_SEQ_STEP)
