"""One link to one peer: numbered batches, repeated until acknowledged.

Elsewhere: what is put on a link (test_serving, test_views), what a receiver does (test_inbox).
"""

from __future__ import annotations

from lockcore.core.leases import Lease, LeaseTable, Waiter
from lockcore.core.limits import (
    NS_PER_MS,
    OWNER_BYTES_MAX,
    PEER_BATCH_RECORDS_MAX,
    PEER_RETRY_MS,
    PEER_RETRY_MS_MAX,
    WAITERS_MAX,
)
from lockcore.core.messages import BatchStatus, Instant, LeaseRecord, Outcome, PeerAck, PeerBatch, SessionId
from lockcore.core.outbox import FIRST_RETRY_MS, Delivered, Part, PeerLink
from lockcore.core.tokens import TokenMint
from lockcore.core.view import MemberId

ME, PEER = MemberId("a:1", 1), MemberId("b:2", 1)
VIEW = 9
OK = Outcome.ACCEPTED
MS = NS_PER_MS


class Shelf:
    """One table, as a node's state shows it."""

    def __init__(self, table: LeaseTable) -> None:
        self.table = table
        self.sessions = table.sessions
        self.informed = True

    def item(self, key: str) -> Lease | None:
        return self.table.get(key)

    def vouches(self, lease: Lease) -> bool:
        return lease.serving


def table_with(*keys: str) -> LeaseTable:
    table = LeaseTable(TokenMint(b"secret"))
    for key in keys:
        table.grant(key, "ada", 5_000, Instant(0, 0), VIEW)
    return table


def delivered(link: PeerLink, ack: PeerAck) -> list[Delivered]:
    """Return which keys an answer delivers."""
    return [item for item in link.acknowledge(ack, 0) if isinstance(item, Delivered)]


def quiet_link(table: LeaseTable) -> PeerLink:
    """Return a link whose seals are delivered, so that only records make it speak."""
    link = PeerLink(ME, PEER, VIEW)
    batch = send(link, table)
    link.acknowledge(answer(batch), 0)
    return link


def send(link: PeerLink, table: LeaseTable, now_ms: int = 0, *, may_seal_backup: bool = True) -> PeerBatch:
    batch = link.next_batch(Shelf(table), now_ms * MS, may_seal_backup=may_seal_backup)
    assert batch is not None
    return batch


def answer(batch: PeerBatch, status: BatchStatus = BatchStatus.OK, outcome: Outcome = OK) -> PeerAck:
    replicas, transfers = (outcome,) * len(batch.replicas), (outcome,) * len(batch.transfers)
    return PeerAck(PEER, ME, batch.view, batch.lsn, status, replicas, transfers)


def keys(records: tuple[LeaseRecord, ...]) -> list[str]:
    return [r.key for r in records]


def test_ten_renewals_under_way_cost_one_record() -> None:
    """Keys are queued, not states: the batch reads the newest when it leaves."""
    table = table_with("k")
    link = quiet_link(table)
    lease = table.get("k")
    assert lease is not None
    for i in range(10):
        table.renew(lease, 5_000, lease.seq, Instant(i, 0))
        link.put("k", Part.REPLICA)
    batch = send(link, table)
    assert [(r.key, r.seq) for r in batch.replicas] == [("k", lease.seq)]


def test_one_batch_is_under_way_at_a_time() -> None:
    table = table_with("a", "b")
    link = quiet_link(table)
    link.put("a", Part.REPLICA)
    first = send(link, table)
    link.put("b", Part.REPLICA)
    assert link.next_batch(Shelf(table), 0, may_seal_backup=True) is None
    link.acknowledge(answer(first), 0)
    assert keys(send(link, table).replicas) == ["b"]


def test_an_unanswered_batch_is_sent_again_with_a_new_number_and_the_newest_state() -> None:
    table = table_with("k")
    link = quiet_link(table)
    link.put("k", Part.REPLICA)
    first = send(link, table)
    lease = table.get("k")
    assert lease is not None
    table.renew(lease, 5_000, 1, Instant(1, 0))
    assert link.due_ns() == PEER_RETRY_MS * MS
    assert link.next_batch(Shelf(table), PEER_RETRY_MS * MS - 1, may_seal_backup=True) is None
    again = send(link, table, PEER_RETRY_MS)
    assert again.lsn > first.lsn
    assert [r.seq for r in again.replicas] == [lease.seq]


def test_the_answer_to_a_batch_that_was_given_up_counts_nothing() -> None:
    """O1: what it says is about another state than the one that is under way now."""
    table = table_with("k")
    link = quiet_link(table)
    link.put("k", Part.REPLICA)
    first = send(link, table)
    second = send(link, table, PEER_RETRY_MS)
    assert link.acknowledge(answer(first), 0) == []
    assert link.queued("k", Part.REPLICA)
    assert link.acknowledge(answer(second), 0) == [Delivered("k", Part.REPLICA, second_order(second), OK)]
    assert not link.queued("k", Part.REPLICA)


def second_order(batch: PeerBatch) -> tuple[int, int]:
    return batch.replicas[0].generation, batch.replicas[0].seq


def test_an_answer_from_another_view_or_without_a_lease_delivers_nothing() -> None:
    """O1: the pair rule holds only within one view."""
    table = table_with("k")
    link = quiet_link(table)
    link.put("k", Part.REPLICA)
    batch = send(link, table)
    ack = answer(batch)
    elsewhere = PeerAck(PEER, ME, VIEW + 1, batch.lsn, BatchStatus.OK, ack.replicas)
    assert link.acknowledge(elsewhere, 0) == []
    assert link.acknowledge(answer(batch, BatchStatus.WRONG_VIEW), 0) == []
    assert link.acknowledge(answer(batch, BatchStatus.NOT_SERVING), 0) == []
    assert link.queued("k", Part.REPLICA)
    assert send(link, table, PEER_RETRY_MS).replicas


def test_each_record_is_answered_by_itself() -> None:
    """W5: one lock that the receiver refuses says nothing about the others."""
    table = table_with("a", "b", "c")
    link = quiet_link(table)
    link.put("a", Part.REPLICA)
    link.put("b", Part.TRANSFER)
    link.put("c", Part.TRANSFER)
    batch = send(link, table)
    assert (keys(batch.replicas), keys(batch.transfers)) == (["a"], ["b", "c"])
    ack = PeerAck(PEER, ME, VIEW, batch.lsn, BatchStatus.OK, (OK,), (Outcome.STALE, OK))
    assert [(d.key, d.outcome) for d in delivered(link, ack)] == [("a", OK), ("b", Outcome.STALE), ("c", OK)]


def test_an_answer_with_too_few_outcomes_delivers_only_what_it_names() -> None:
    table = table_with("a", "b")
    link = quiet_link(table)
    for key in ("a", "b"):
        link.put(key, Part.REPLICA)
    batch = send(link, table)
    short = PeerAck(PEER, ME, VIEW, batch.lsn, BatchStatus.OK, (OK,))
    assert [d.key for d in delivered(link, short)] == ["a"]


def test_a_first_batch_seals_a_peer_that_has_nothing_to_get() -> None:
    link, table = PeerLink(ME, PEER, VIEW), table_with()
    batch = send(link, table)
    assert batch.seal is not None
    assert (batch.seal.handover, batch.seal.backup) == (True, True)
    link.acknowledge(answer(batch), 0)
    assert (link.handover_sealed, link.backup_sealed) == (True, True)
    assert link.next_batch(Shelf(table), 0, may_seal_backup=True) is None


def test_a_seal_leaves_only_in_the_batch_that_empties_the_queue() -> None:
    """O2: sealed too early, the receiver would grant what is still on its way."""
    names = [f"k{i}" for i in range(PEER_BATCH_RECORDS_MAX + 1)]
    table = table_with(*names)
    link = PeerLink(ME, PEER, VIEW)
    for name in names:
        link.put(name, Part.TRANSFER)
    first = send(link, table)
    assert len(first.transfers) == PEER_BATCH_RECORDS_MAX
    assert first.seal is not None
    assert (first.seal.handover, first.seal.backup) == (False, True)
    link.acknowledge(answer(first), 0)
    last = send(link, table)
    assert last.seal is not None
    assert (len(last.transfers), last.seal.handover) == (1, True)


def test_a_node_that_is_still_acquiring_does_not_seal_its_backup() -> None:
    """It cannot promise a copy of everything while it has not got everything."""
    link, table = PeerLink(ME, PEER, VIEW), table_with()
    batch = send(link, table, may_seal_backup=False)
    assert batch.seal is not None
    assert (batch.seal.handover, batch.seal.backup) == (True, False)


def test_a_key_that_was_forgotten_meanwhile_is_left_out() -> None:
    table = table_with("a", "b")
    link = quiet_link(table)
    link.put("a", Part.REPLICA)
    link.put("b", Part.REPLICA)
    table.drop("a")
    assert keys(send(link, table).replicas) == ["b"]


def test_a_silent_peer_is_asked_again_less_often_and_never_given_up() -> None:
    """One that answers after 300 ms would never be heard if each answer came to a batch given up."""
    table = table_with("k")
    link = quiet_link(table)
    link.put("k", Part.REPLICA)
    waits, now_ns = [], 0
    for _ in range(8):
        assert link.next_batch(Shelf(table), now_ns, may_seal_backup=True)
        due_ns = link.due_ns()
        assert due_ns is not None
        waits.append((due_ns - now_ns) // MS)
        now_ns = due_ns
    assert waits == [250, 500, 1_000, *[PEER_RETRY_MS_MAX] * 5]


def test_a_peer_in_another_view_is_asked_again_soon_then_less_often() -> None:
    """A peer that is a view behind is there within milliseconds; one that stays elsewhere must not be hammered."""
    table = table_with("k")
    link = quiet_link(table)
    link.put("k", Part.REPLICA)
    waits, now_ns = [], 0
    for _ in range(8):
        batch = link.next_batch(Shelf(table), now_ns, may_seal_backup=True)
        assert batch is not None
        link.acknowledge(answer(batch, BatchStatus.WRONG_VIEW), now_ns)
        due_ns = link.due_ns()
        assert due_ns is not None
        waits.append((due_ns - now_ns) // MS)
        now_ns = due_ns
    assert waits[0] == FIRST_RETRY_MS
    assert waits == sorted(waits)
    assert waits[-1] == PEER_RETRY_MS


def test_what_somebody_waits_for_goes_first() -> None:
    """After a failover the table may be full of copies to send; the first renewal must not wait for all of them."""
    names = [f"k{i}" for i in range(PEER_BATCH_RECORDS_MAX)]
    table = table_with(*names, "renewed")
    link = quiet_link(table)
    for name in [*names, "renewed"]:
        link.put(name, Part.REPLICA)
    link.put("renewed", Part.REPLICA, urgent=True)
    link.put("renewed", Part.REPLICA)
    assert keys(send(link, table).replicas)[0] == "renewed"
    assert not {"renewed"} & set(link._queue.keys())


def test_locks_with_long_queues_leave_in_several_batches() -> None:
    """With a thousand places of a kilobyte each, a few of them would not fit into a message, now or ever."""
    names = [f"k{n}" for n in range(20)]
    table = table_with(*names)
    session = table.sessions.open(SessionId("s", 1), "", 5_000, 0)
    for name in names:
        lease = table.get(name)
        assert lease is not None
        lease.waiters = [Waiter(session, n + 1, "o" * OWNER_BYTES_MAX) for n in range(WAITERS_MAX)]
    link = quiet_link(table)
    seen: list[str] = []
    for name in names:
        link.put(name, Part.REPLICA)
    while len(seen) < len(names):
        batch = send(link, table)
        assert sum(len(record.waiters) for record in batch.replicas) <= 2 * WAITERS_MAX
        seen += keys(batch.replicas)
        link.acknowledge(answer(batch), 0)
    assert seen == names
