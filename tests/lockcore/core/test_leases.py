"""The lease table of one node: orders, tombstones, tokens, time.

Elsewhere: who asks it (test_serving, test_inbox).
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockcore.core.leases import Lease, LeaseTable
from lockcore.core.limits import NS_PER_MS, TOMBSTONE_MARGIN_MS
from lockcore.core.messages import Instant, LeaseRecord, Outcome
from lockcore.core.tokens import TokenClaims, TokenMint

MINT = TokenMint(b"the secret of a test cluster")
WALL_NS = 1_700_000_000_000_000_000


def at(ms: int) -> Instant:
    return Instant(ms * NS_PER_MS, WALL_NS + ms * NS_PER_MS)


def new_table(floor: int = 100) -> LeaseTable:
    table = LeaseTable(MINT)
    table.raise_floor(floor)
    return table


def record(generation: int, seq: int, *, key: str = "k", gone: bool = False, remaining_ms: int = 5_000) -> LeaseRecord:
    return LeaseRecord(key, f"t{generation}.{seq}", "ada", generation, seq, remaining_ms * NS_PER_MS, 5_000, gone=gone)


def snapshot(table: LeaseTable) -> list[Lease]:
    return [replace(lease) for lease in table]


# --- granting --------------------------------------------------------------------------


def test_a_new_lease_has_the_next_generation_and_seq_one() -> None:
    table = new_table(floor=100)
    lease = table.grant("k", "ada", 5_000, at(0), tenure=7)
    assert (lease.generation, lease.seq, lease.owner, lease.serving) == (101, 1, "ada", True)
    assert lease.live(4_999 * NS_PER_MS)
    assert not lease.live(5_000 * NS_PER_MS)


def test_each_acquisition_has_a_greater_generation_whatever_the_key() -> None:
    """8860:generation-rises. L2: a fencing token that repeats protects nothing."""
    table = new_table()
    generations = [table.grant(key, "ada", 5_000, at(0), 0).generation for key in ("a", "b", "a", "c", "a")]
    assert generations == sorted(set(generations))


@given(st.lists(st.integers(0, 500), max_size=8))
def test_a_grant_is_above_every_generation_ever_seen(seen: list[int]) -> None:
    """8860:backup-raises-generation. L2: seen in replicas, in tombstones, in views, in anything a peer says."""
    table = new_table(floor=0)
    for i, generation in enumerate(seen):
        table.merge(record(generation, 1, key=f"k{i % 2}", gone=i % 3 == 0), 0)
    assert table.grant("new", "ada", 5_000, at(0), 0).generation > max(seen, default=0)


def test_the_floor_never_falls() -> None:
    table = new_table(floor=100)
    table.raise_floor(50)
    assert table.floor == 100


# --- renewing and releasing ----------------------------------------------------------------


def test_a_renewal_keeps_the_generation_and_takes_a_new_token_and_the_next_seq() -> None:
    """8860:generation-stays, 8860:seq-rises."""
    table = new_table()
    lease = table.grant("k", "ada", 5_000, at(0), 0)
    before = replace(lease)
    table.renew(lease, 7_000, lease.seq, at(1_000))
    assert (lease.generation, lease.seq) == (before.generation, 2)
    assert lease.token != before.token
    assert (lease.expires_ns, lease.renewals) == (8_000 * NS_PER_MS, 1)


def test_a_shorter_renewal_does_not_end_the_lease_before_what_was_promised() -> None:
    """The holder may never get this answer, and still count on the one before."""
    table = new_table()
    lease = table.grant("k", "ada", 5_000, at(0), 0)
    table.renew(lease, 100, lease.seq, at(1_000))
    assert lease.expires_ns == 5_000 * NS_PER_MS


def test_seqs_given_after_a_takeover_continue_above_the_view_of_it() -> None:
    """W10: two nodes that serve one generation in different views must not produce one (generation, seq) twice."""
    table = new_table()
    lease = table.grant("k", "ada", 5_000, at(0), 0)
    lease.tenure = 1_000
    table.renew(lease, 5_000, lease.seq, at(1))
    assert lease.seq == 1_000
    table.release(lease)
    assert lease.seq == 1_001


def test_a_released_lease_stays_as_a_tombstone() -> None:
    table = new_table()
    lease = table.grant("k", "ada", 5_000, at(0), 0)
    table.release(lease)
    assert (lease.gone, lease.seq, lease.live(1)) == (True, 2, False)
    assert table.get("k") is lease


def test_a_key_has_one_lease_at_most() -> None:
    """L1: a second grant takes the place of the first."""
    table = new_table()
    first = table.grant("k", "ada", 5_000, at(0), 0)
    second = table.grant("k", "bob", 5_000, at(0), 0)
    assert list(table) == [second]
    assert second.order > first.order


# --- tokens -----------------------------------------------------------------------------


def test_the_previous_token_is_good_until_the_holder_has_shown_a_newer_one() -> None:
    """L4: the reply to a renewal may get lost; that must not cost the lock."""
    table = new_table()
    lease = table.grant("k", "ada", 5_000, at(0), 0)
    first = lease.token
    table.renew(lease, 5_000, 1, at(1))
    second = lease.token
    assert table.accepts(lease, first) == 1
    table.renew(lease, 5_000, 2, at(2))  # shown: the second token arrived
    assert table.accepts(lease, first) is None
    assert table.accepts(lease, second) == 2
    assert table.accepts(lease, lease.token) == 3


def test_a_token_of_an_older_generation_is_never_good() -> None:
    """L4: who lost the lock may still hold its token."""
    table = new_table()
    old = table.grant("k", "ada", 5_000, at(0), 0).token
    lease = table.grant("k", "bob", 5_000, at(0), 0)
    assert table.accepts(lease, old) is None
    assert table.accepts(lease, "") is None
    assert table.accepts(lease, "nonsense") is None


def test_a_token_of_a_future_seq_is_not_good() -> None:
    """It is authentic, so another node granted it: this one does not know enough to serve it."""
    table, ahead = new_table(), new_table()
    lease = table.grant("k", "ada", 5_000, at(0), 0)
    other = ahead.grant("k", "ada", 5_000, at(0), 0)
    ahead.renew(other, 5_000, 1, at(1))
    assert table.accepts(lease, other.token) is None


def test_a_restored_lease_keeps_generation_and_owner_and_goes_on_above_the_view() -> None:
    source, table = new_table(), LeaseTable(MINT)
    token = source.grant("k", "ada", 5_000, at(0), 0).token
    claims = MINT.read("k", token)
    assert claims is not None
    lease = table.readmit("k", claims, 5_000, at(1), tenure=900)
    assert (lease.generation, lease.owner, lease.seq, lease.confirmed_seq) == (101, "ada", 900, 1)
    assert table.floor >= 101


# --- replicas ----------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3), st.booleans()), max_size=12))
def test_merged_states_end_at_the_greatest_order_whatever_the_arrival(states: list[tuple[int, int, bool]]) -> None:
    """L3: an older state never replaces a newer one, nor one of the same order.

    8860:order-by-generation, 8860:stale-seq.
    """
    table = new_table(floor=0)
    best: tuple[int, int] = (0, 0)
    kept = False
    for generation, seq, gone in states:
        outcome = table.merge(record(generation, seq, gone=gone), 0)
        if (generation, seq) > best:
            best, kept = (generation, seq), gone
            assert outcome is Outcome.ACCEPTED
        else:
            same = (generation, seq) == best and gone == kept
            assert outcome is (Outcome.ACCEPTED if same else Outcome.STALE)
        lease = table.get("k")
        assert lease is not None
        assert (lease.order, lease.gone) == (best, kept)


def test_a_repeated_replica_is_accepted_again_and_changes_nothing() -> None:
    """An acknowledgement may get lost: the sender must not conclude that it was refused."""
    table = new_table(floor=0)
    table.merge(record(5, 1), 0)
    before = snapshot(table)
    assert table.merge(record(5, 1), 3_000 * NS_PER_MS) is Outcome.ACCEPTED
    assert snapshot(table) == before


def test_a_replica_of_equal_order_and_another_token_is_refused_and_changes_nothing() -> None:
    table = new_table(floor=0)
    table.merge(record(5, 1), 0)
    before = snapshot(table)
    assert table.merge(replace(record(5, 1), token="other"), 0) is Outcome.STALE
    assert snapshot(table) == before


def test_a_late_replica_does_not_bring_a_released_lock_back() -> None:
    """W9: the tombstone knows better."""
    table = new_table(floor=0)
    table.merge(record(5, 1), 0)
    table.merge(record(5, 2, gone=True), 0)
    assert table.merge(record(5, 1), 0) is Outcome.STALE
    lease = table.get("k")
    assert lease is not None
    assert lease.gone


def test_a_late_release_does_not_remove_a_newer_lock() -> None:
    """8860:unlock-seq."""
    table = new_table(floor=0)
    table.merge(record(6, 1), 0)
    assert table.merge(record(5, 9, gone=True), 0) is Outcome.STALE
    lease = table.get("k")
    assert lease is not None
    assert lease.live(0)


def test_a_lease_travels_as_time_that_remains() -> None:
    """8860:transfer-keeps-order. W16: the clocks of two nodes have nothing in common but their rate."""
    source, target = new_table(), new_table(floor=0)
    lease = source.grant("k", "ada", 5_000, at(1_000), 0)
    target.merge(lease.record(3_000 * NS_PER_MS), 50_000 * NS_PER_MS)
    copy = target.get("k")
    assert copy is not None
    assert copy.expires_ns == 53_000 * NS_PER_MS
    assert (copy.order, copy.token, copy.serving) == (lease.order, lease.token, False)


def test_an_expired_lease_travels_with_nothing_remaining() -> None:
    lease = new_table().grant("k", "ada", 5_000, at(0), 0)
    assert lease.record(99_000 * NS_PER_MS).remaining_ns == 0


# --- time ---------------------------------------------------------------------------------


def test_an_expired_lease_becomes_a_tombstone_once_and_is_forgotten_later() -> None:
    table = new_table()
    table.grant("k", "ada", 5_000, at(0), 0)
    assert table.next_deadline_ns() == 5_000 * NS_PER_MS
    assert table.expire(4_999 * NS_PER_MS) == []
    assert [le.key for le in table.expire(5_000 * NS_PER_MS)] == ["k"]
    assert table.expire(5_001 * NS_PER_MS) == []
    assert len(table) == 1
    table.expire((5_000 + TOMBSTONE_MARGIN_MS) * NS_PER_MS)
    assert len(table) == 0
    assert table.next_deadline_ns() is None


def test_a_renewed_lease_does_not_expire_at_its_old_end() -> None:
    table = new_table()
    lease = table.grant("k", "ada", 5_000, at(0), 0)
    table.renew(lease, 5_000, 1, at(3_000))
    assert table.expire(5_000 * NS_PER_MS) == []
    assert [le.key for le in table.expire(8_000 * NS_PER_MS)] == ["k"]


def test_a_tombstone_outlives_the_lease_that_a_late_copy_could_have() -> None:
    """Forgotten earlier, a delayed replica of the released lock would be news."""
    table = new_table()
    lease = table.grant("k", "ada", 5_000, at(0), 0)
    table.release(lease)
    table.expire((5_000 + TOMBSTONE_MARGIN_MS) * NS_PER_MS - 1)
    assert table.get("k") is lease


def test_what_is_dropped_is_forgotten_and_dropping_nothing_is_harmless() -> None:
    table = new_table()
    table.grant("k", "ada", 5_000, at(0), 0)
    table.drop("k")
    table.drop("never there")
    assert len(table) == 0
    assert table.expire(9_000 * NS_PER_MS) == []


@pytest.mark.parametrize("ends_first", ["a", "b"])
def test_deadlines_come_in_order_of_time_not_of_granting(ends_first: str) -> None:
    table = new_table()
    for key in ("a", "b"):
        table.grant(key, "ada", 1_000 if key == ends_first else 2_000, at(0), 0)
    assert [le.key for le in table.expire(1_000 * NS_PER_MS)] == [ends_first]


deeds = st.tuples(
    st.sampled_from(["grant", "renew", "release", "merge", "readmit", "drop", "serve", "yield", "pass"]),
    st.sampled_from("abc"),
    st.integers(1, 4_000),
)


@given(st.lists(deeds, max_size=40))
def test_the_counts_of_held_locks_are_those_of_the_whole_table(story: list[tuple[str, str, int]]) -> None:
    """Heartbeats tell them; going through a large table for each would keep clients waiting."""
    table, now_ms = new_table(), 0
    for deed, key, number in story:
        now, lease = at(now_ms), table.get(key)
        match deed:
            case "grant":
                table.grant(key, "ada", number, now, 0)
            case "merge":
                table.merge(record(number, 1, key=key, gone=number % 3 == 0, remaining_ms=number), now.boot_ns)
            case "readmit":
                table.readmit(key, TokenClaims(number, 1, 0, "ada"), number, now, 0)
            case "drop":
                table.drop(key)
            case "pass":
                now_ms += number * 5
            case _ if lease is not None:
                if deed == "renew":
                    table.renew(lease, number, 0, now)
                elif deed == "release":
                    table.release(lease)
                else:
                    table.serve(lease, serving=deed == "serve")
        now_ns = at(now_ms).boot_ns
        table.expire(now_ns)
        live = [lease.serving for lease in table if lease.live(now_ns)]
        assert (table.held(serving=True), table.held(serving=False)) == (live.count(True), live.count(False))
