"""The node lease counts from when a heartbeat was sent.

Elsewhere: how the master judges silence (test_master).
"""

from __future__ import annotations

from lockcore.core.limits import HEARTBEAT_MS, NODE_LEASE_MARGIN_MS, NODE_LEASE_MS, NS_PER_MS
from lockcore.core.liveness import NodeLease
from lockcore.core.messages import HeartbeatAck

MS = NS_PER_MS


def acked(number: int, view: int = 5) -> HeartbeatAck:
    return HeartbeatAck(number, view, 0)


def test_a_new_node_has_no_lease() -> None:
    assert not NodeLease(2_000, 400).valid(0)


def test_the_lease_runs_from_when_the_heartbeat_was_sent() -> None:
    """F1: the master counts from when it received it, which is later: it never counts less."""
    lease = NodeLease(2_000, 400)
    number = lease.send(1_000 * MS)
    assert lease.acknowledge(acked(number), 5)  # however late the acknowledgement comes
    assert lease.valid(2_999 * MS)
    assert not lease.valid(3_000 * MS)


def test_an_acknowledgement_in_a_view_that_the_node_does_not_have_counts_nothing() -> None:
    """F2: who has not heard of a newer view may have lost its place in it."""
    lease = NodeLease(2_000, 400)
    number = lease.send(0)
    assert not lease.acknowledge(acked(number, view=6), 5)
    assert not lease.valid(1)
    assert lease.acknowledge(acked(number, view=5), 6)


def test_acknowledgements_out_of_order_never_shorten_the_lease() -> None:
    lease = NodeLease(2_000, 400)
    first, second = lease.send(0), lease.send(400 * MS)
    assert lease.acknowledge(acked(second), 5)
    assert lease.acknowledge(acked(first), 5)
    assert lease.valid(2_399 * MS)


def test_an_acknowledgement_of_what_was_never_sent_counts_nothing() -> None:
    lease = NodeLease(2_000, 400)
    lease.send(0)
    assert not lease.acknowledge(acked(99), 5)
    assert not lease.acknowledge(acked(0), 5)


def test_a_node_that_hears_nothing_forgets_heartbeats_that_are_of_no_use() -> None:
    """Bounded: a node without a master for ten minutes must not grow."""
    lease = NodeLease(2_000, 400)
    for i in range(1_000):
        lease.send(i * 400 * MS)
    assert len(lease._sent_ns) <= 2_000 // 400 + 1


def test_heartbeats_are_frequent_enough_to_lose_three_in_a_row() -> None:
    assert NodeLease(2_000, 400).send(0) == 1
    assert NODE_LEASE_MS >= 4 * HEARTBEAT_MS
    assert NODE_LEASE_MARGIN_MS > 0
