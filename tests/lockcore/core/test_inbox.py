"""What other nodes send is taken in its view, in its order, and only where the ring says so.

Elsewhere: building batches (test_outbox), what clients are answered (test_serving).
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockcore.core.events import FORWARDED, EventKind
from lockcore.core.limits import NODE_LEASE_MS
from lockcore.core.messages import (
    BatchStatus,
    Forward,
    ForwardReply,
    Granted,
    Lock,
    Outcome,
    PeerAck,
    PeerBatch,
    SendPeer,
)
from lockcore.core.ring import HashRing
from lockcore.core.view import MemberId
from tests.lockcore.core.bench import BOTH_SEALS, Bench, granted, record, refused

STALE, ACCEPTED = Outcome.STALE, Outcome.ACCEPTED


def replica_for(bench: Bench, generation: int = 50) -> tuple[str, PeerBatch]:
    """Return a key that b:2 is primary and the node backup for, and a batch that replicates it."""
    key = bench.key("b:2", "a:1")
    return key, PeerBatch(bench.peers["b:2"], bench.me, bench.number, 1_000, (record(key, generation),))


# --- which batches are taken at all ------------------------------------------------------


def test_a_replica_of_this_view_is_accepted_and_kept_as_a_copy() -> None:
    """8860:replicate-handler, 8860:lock-is-backup."""
    bench = Bench().settle()
    key, batch = replica_for(bench)
    ack = bench.deliver(batch)
    assert ack is not None
    assert (ack.status, ack.replicas) == (BatchStatus.OK, (ACCEPTED,))
    assert not bench.lease(key).serving


@pytest.mark.parametrize("offset", [-1, 1])
def test_a_batch_of_another_view_changes_nothing_and_is_told_so(offset: int) -> None:
    """I1, W3, W11: the sender may have lost its place; a newer sender must wait until this node has followed."""
    bench = Bench().settle()
    _, batch = replica_for(bench)
    before = bench.table()
    ack = bench.deliver(replace(batch, view=bench.number + offset, seal=BOTH_SEALS))
    assert ack is not None
    assert (ack.status, ack.view) == (BatchStatus.WRONG_VIEW, bench.number)
    assert bench.table() == before


def test_a_replica_from_an_older_view_is_refused_after_the_view_has_changed() -> None:
    """W3: a stale primary that wakes up can no longer get anything acknowledged."""
    bench = Bench(peers=("b:2", "c:3")).settle()
    key, batch = replica_for(bench)
    bench.view(down=["b:2"])
    ack = bench.deliver(batch)
    assert ack is not None
    assert ack.status is BatchStatus.WRONG_VIEW
    assert not bench.knows(key)


def test_a_batch_for_another_incarnation_is_not_even_answered() -> None:
    """I1: it was meant for a node that no longer exists."""
    bench = Bench().settle()
    _, batch = replica_for(bench)
    before = bench.table()
    assert bench.deliver(replace(batch, receiver=MemberId("a:1", 99))) is None
    assert bench.table() == before


def test_a_batch_from_an_incarnation_that_is_not_in_the_view_is_refused() -> None:
    bench = Bench().settle()
    _, batch = replica_for(bench)
    ack = bench.deliver(replace(batch, sender=MemberId("b:2", 99)))
    assert ack is not None
    assert ack.status is BatchStatus.WRONG_VIEW


def test_a_duplicate_or_an_overtaken_batch_changes_nothing() -> None:
    """I1: what was said before must not be heard after what was said later."""
    bench = Bench().settle()
    key, batch = replica_for(bench)
    other = bench.key("b:2", "a:1", nth=1)
    assert bench.deliver(batch) is not None
    before = bench.table()
    assert bench.deliver(batch) is None
    assert bench.deliver(replace(batch, lsn=999, replicas=(record(other, 60),))) is None
    assert bench.table() == before
    assert not bench.knows(other)
    assert bench.lease(key).generation == 50


def test_a_fenced_node_accepts_nothing() -> None:
    """A backup that cannot reach the master may already have been replaced."""
    bench = Bench().settle()
    key, batch = replica_for(bench)
    bench.wait(NODE_LEASE_MS)
    ack = bench.deliver(batch)
    assert ack is not None
    assert ack.status is BatchStatus.NOT_SERVING
    assert not bench.knows(key)


def test_a_node_that_is_marked_down_accepts_nothing() -> None:
    bench = Bench().settle()
    _, batch = replica_for(bench)
    bench.view(down=["a:1"])
    ack = bench.deliver(replace(batch, view=bench.number))
    assert ack is not None
    assert ack.status is BatchStatus.WRONG_VIEW


# --- which records are taken ----------------------------------------------------------------


def test_a_record_is_taken_only_in_the_role_the_ring_gives() -> None:
    """I2: a sender that is mistaken about the ring must not make this node keep, or serve, the wrong locks."""
    bench = Bench(peers=("b:2", "c:3")).settle()
    mine, elsewhere = bench.key("a:1"), bench.key("c:3", "b:2")
    others_backup = bench.key("c:3", "a:1")
    as_replica = tuple(record(k, 50) for k in (mine, elsewhere, others_backup))
    ack = bench.send("b:2", replicas=as_replica, transfers=(record(elsewhere, 50),))
    assert ack is not None
    assert (ack.replicas, ack.transfers) == ((STALE, STALE, STALE), (STALE,))
    assert not any(bench.knows(k) for k in (mine, elsewhere, others_backup))


def test_each_record_is_answered_by_itself() -> None:
    """8860:stale-seq. W5: SeaweedFS's receiver refuses silently and the sender deletes."""
    bench = Bench().settle()
    first, second = bench.key("b:2"), bench.key("b:2", nth=1)
    bench.send("b:2", replicas=(record(first, 50, seq=3),))
    ack = bench.send("b:2", replicas=(record(first, 50, seq=2), record(second, 50)))
    assert ack is not None
    assert ack.replicas == (STALE, ACCEPTED)


def test_a_stale_replica_cannot_bring_back_a_released_lock() -> None:
    """8860:failure-is-visible. W9."""
    bench = Bench().settle()
    key = bench.key("b:2")
    bench.send("b:2", replicas=(record(key, 50),))
    bench.send("b:2", replicas=(record(key, 50, seq=2, gone=True),))
    ack = bench.send("b:2", replicas=(record(key, 50),))
    assert ack is not None
    assert ack.replicas == (STALE,)
    assert bench.lease(key).gone
    assert "stale replica" in bench.facts()[-1].detail


def test_a_generation_that_is_heard_of_is_never_granted_again() -> None:
    """W2: in replicas, in seals, in acknowledgements."""
    bench = Bench(peers=("b:2",)).settle()
    high = bench.number + 5_000
    bench.send("b:2", replicas=(record(bench.key("b:2"), high),))
    assert granted(bench.acquire(bench.key("a:1"))).generation > high
    bench.send("b:2", seal=replace(BOTH_SEALS, floor=high + 1_000))
    assert granted(bench.acquire(bench.key("a:1", nth=1))).generation > high + 1_000
    ack = PeerAck(bench.peers["b:2"], bench.me, bench.number, 0, BatchStatus.OK, floor=high + 2_000)
    bench.hear(ack)
    assert granted(bench.acquire(bench.key("a:1", nth=2))).generation > high + 2_000


def test_a_received_lock_is_served_and_copied_to_this_nodes_backup() -> None:
    """8860:replicate-received. A new primary replicates what it received."""
    bench = Bench(peers=("b:2", "c:3"))
    bench.view()
    key = bench.key("a:1", "c:3")
    bench.send("b:2", transfers=(record(key, 50),))
    bench.seal()
    bench.take_in_all()
    assert bench.lease(key).serving
    assert EventKind.TRANSFERRED in {f.kind for f in bench.facts()}
    assert key in {r.key for b in bench.batches("c:3") for r in b.replicas}


def test_a_lock_that_comes_after_the_tombstone_of_an_older_one_is_told_of_too() -> None:
    """Observers learn where it is from then on; found by simulation: its holder was looked for at the old primary."""
    bench = Bench(peers=("b:2", "c:3"))
    bench.view()
    key = bench.key("a:1", "b:2")
    bench.send("b:2", transfers=(record(key, 40, gone=True),))
    bench.send("c:3", transfers=(record(key, 50),))
    told = [f for f in bench.facts() if f.kind is EventKind.TRANSFERRED]
    assert [(f.generation, f.peer) for f in told] == [(50, "c:3")]


def test_an_older_copy_is_never_served_beside_a_handover() -> None:
    """P1: a copy from before may be renewed, released or superseded by now."""
    bench = Bench().settle()
    key = bench.key("b:2")
    bench.send("b:2", replicas=(record(key, 50),))
    bench.view(skips=True)  # continuity is lost: nothing here is known to be complete
    mine = bench.key("a:1")
    assert not bench.lease(key).serving
    assert not bench.knows(mine)
    call = bench.call(Lock(mine, 5_000, "bob"))
    assert call not in bench.answers


# --- handing over -------------------------------------------------------------------------------


def handing_over() -> tuple[Bench, str]:
    """Return a bench that has just sent a lock to its new primary, c:3."""
    bench = Bench(peers=("b:2", "c:3"))
    bench.view(without=["c:3"])
    bench.seal("b:2")
    bench.take_in_all()
    ring = ("a:1", "b:2", "c:3")
    key = next(k for k in (bench.key("a:1", nth=i) for i in range(200)) if HashRing(ring).primary(k) == "c:3")
    granted(bench.acquire(key))
    bench.view()
    assert [r.key for r in bench.batches("c:3")[-1].transfers] == [key]
    return bench, key


def test_a_lock_stays_here_until_its_new_primary_has_accepted_it() -> None:
    """8860:demote-after-handoff, 8860:transfer. P2: transfer first, demote after the acknowledgement."""
    bench, key = handing_over()
    assert bench.lease(key).serving
    bench.take_in("c:3")
    assert not bench.lease(key).serving
    assert EventKind.DEMOTED in {f.kind for f in bench.facts()}


def test_a_lock_that_changed_under_way_is_sent_again_before_it_is_given_up() -> None:
    """I3, W4: the acknowledgement is about another state than the one held now."""
    bench, key = handing_over()
    old = bench.batches("c:3")[-1]
    call = bench.call(Lock(key, 5_000, "ada", bench.lease(key).token))
    bench.hear(PeerAck(bench.peers["c:3"], bench.me, old.view, old.lsn, BatchStatus.OK, (), (ACCEPTED,)))
    assert bench.lease(key).serving
    assert call not in bench.answers
    again = bench.batches("c:3")[-1]
    assert [(r.key, r.seq) for r in again.transfers] == [(key, bench.lease(key).seq)]
    bench.take_in("c:3")
    assert not bench.lease(key).serving
    assert call not in bench.answers
    bench.answer_forward("c:3", Granted("lr1.new", "ada", 5, 9, 5_000))
    assert granted(bench.answers[call]).moved_to == "c:3"


def test_a_transfer_without_an_answer_is_sent_again() -> None:
    """8860:failed-transfer-keeps. W6: SeaweedFS's failed transfer is not retried."""
    bench, key = handing_over()
    count = len(bench.batches("c:3"))
    bench.live(1_000)
    assert len(bench.batches("c:3")) > count
    assert [r.key for r in bench.batches("c:3")[-1].transfers] == [key]
    assert bench.lease(key).serving


def test_what_the_new_primary_knows_better_is_served_here_no_longer_and_the_holder_sent_there() -> None:
    """8860:after-the-window."""
    bench, key = handing_over()
    token = bench.lease(key).token
    call = bench.call(Lock(key, 5_000, "ada", token))
    bench.live(300)
    bench.take_in("c:3", STALE)
    assert refused(bench.answers[call]).moved_to == "c:3"
    assert not bench.lease(key).serving


def test_a_backup_keeps_the_copy_that_its_primary_calls_stale() -> None:
    """What it helped to acknowledge must not rest on one node until the newer state has come (I8)."""
    bench = Bench(peers=("b:2", "c:3"))
    bench.view(without=["c:3"])
    bench.seal("b:2")
    bench.take_in_all()
    after = HashRing(("a:1", "b:2", "c:3"))
    key = next(k for k in (bench.key("a:1", nth=i) for i in range(200)) if after.owners(k) == ("c:3", "a:1"))
    granted(bench.acquire(key))
    bench.view()
    bench.take_in("c:3", STALE)
    assert bench.knows(key)
    assert not bench.lease(key).serving


def test_an_answer_from_another_incarnation_counts_nothing() -> None:
    bench, key = handing_over()
    batch = bench.batches("c:3")[-1]
    ack = PeerAck(MemberId("c:3", 99), bench.me, batch.view, batch.lsn, BatchStatus.OK, (), (ACCEPTED,))
    bench.hear(ack)
    bench.hear(replace(ack, sender=bench.peers["c:3"], receiver=MemberId("a:1", 99)))
    assert bench.lease(key).serving


# --- requests on their one hop ---------------------------------------------------------------------


def test_a_forwarded_request_is_answered_to_who_forwarded_it() -> None:
    bench = Bench().settle()
    bench.hear(Forward(bench.peers["b:2"], 7, Lock(bench.key("a:1"), 5_000, "ada"), 5_000, may_park=True))
    bench.take_in_all()
    replies = [e for e in bench.out if isinstance(e, SendPeer) and isinstance(e.message, ForwardReply)]
    assert [(e.address, e.message.forward_id) for e in replies if isinstance(e.message, ForwardReply)] == [("b:2", 7)]


def test_the_fact_of_a_forwarded_grant_names_who_forwarded_it() -> None:
    """The hop is part of what happened, and nothing else records it."""
    bench = Bench().settle()
    bench.hear(Forward(bench.peers["b:2"], 7, Lock(bench.key("a:1"), 5_000, "ada"), 5_000, may_park=True))
    bench.take_in_all()
    assert [f.detail for f in bench.facts() if f.kind is EventKind.GRANTED] == [f"{FORWARDED}b:2"]


def test_a_request_is_asked_anew_when_the_node_it_was_forwarded_to_serves_no_longer() -> None:
    bench = Bench(peers=("b:2", "c:3")).settle()
    key = bench.key("b:2", "c:3")
    bench.call(Lock(key, 5_000, "ada"))
    bench.view(down=["b:2"])
    sent = [e.address for e in bench.out if isinstance(e, SendPeer) and isinstance(e.message, Forward)]
    assert sent == ["b:2", "c:3"]
