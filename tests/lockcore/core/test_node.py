"""The node's own life: lease, heartbeats, timers, leaving, closing.

Elsewhere: clients (test_serving), peers (test_inbox), views (test_views), whole clusters (acceptance/scenarios).
"""

from __future__ import annotations

from lockcore.core.events import EventKind
from lockcore.core.limits import HEARTBEAT_MS, NODE_LEASE_MS, NS_PER_MS
from lockcore.core.messages import (
    ClientCall,
    Close,
    Code,
    Farewell,
    FindOwner,
    Goodbye,
    Heartbeat,
    HeartbeatAck,
    Leave,
    Lock,
    PeerBatch,
    RegisterRefused,
    SendPeer,
    Stop,
    Tick,
)
from lockcore.core.region import EVERYWHERE
from lockcore.core.view import Grace
from tests.lockcore.core.bench import Bench, granted, record, refused


def stops(bench: Bench) -> list[Stop]:
    return [e for e in bench.out if isinstance(e, Stop)]


# --- the node lease ----------------------------------------------------------------------


def test_a_node_that_cannot_reach_the_master_fences_itself() -> None:
    """N1: the master marks it down later than this; in between nobody serves, and nobody serves twice."""
    bench = Bench(peers=()).settle()
    granted(bench.acquire("k"))
    bench.wait(NODE_LEASE_MS - 1)
    assert granted(bench.acquire("k2"))
    bench.wait(1)
    for operation in (Lock("k3", 5_000, "ada"), Lock("k", 5_000, "ada", "lr1.x"), FindOwner("k")):
        assert refused(bench.ask(operation)).code is Code.NOT_SERVING
    assert bench.facts()[-1].kind in {EventKind.FENCED, EventKind.REFUSED}


def test_a_node_that_slept_serves_nothing_before_it_has_spoken_to_the_master() -> None:
    """SIGSTOP, SIGCONT: the first request after waking is decided with the new time."""
    bench = Bench(peers=()).settle()
    bench.now_ms += 60_000
    assert refused(bench.acquire("k")).code is Code.NOT_SERVING


def test_a_fenced_node_answers_what_was_parked() -> None:
    bench = Bench()
    bench.view()
    call = bench.call(Lock(bench.key("a:1"), 5_000, "ada"), timeout_ms=60_000)
    bench.wait(NODE_LEASE_MS)
    assert refused(bench.answers[call]).code is Code.NOT_SERVING


def test_a_fenced_node_serves_again_when_a_heartbeat_is_acknowledged() -> None:
    bench = Bench(peers=()).settle()
    lease = granted(bench.acquire("k"))
    bench.wait(NODE_LEASE_MS)
    bench.live(HEARTBEAT_MS)
    assert granted(bench.renew("k", lease.token)).generation == lease.generation
    assert [f.kind for f in bench.facts()].count(EventKind.UNFENCED) == 2


def test_fencing_and_its_end_are_facts_once_each() -> None:
    bench = Bench(peers=()).settle()
    for _ in range(5):
        bench.wait(NODE_LEASE_MS)
    assert [f.kind for f in bench.facts()].count(EventKind.FENCED) == 1


def test_heartbeats_say_view_floor_settled_and_gauges() -> None:
    bench = Bench(peers=()).settle()
    lease = granted(bench.acquire("k"))
    bench.live(HEARTBEAT_MS)
    beat = bench.sent_to_master(Heartbeat)[-1]
    assert (beat.view, beat.settled, beat.member) == (bench.number, True, bench.me)
    assert beat.floor >= lease.generation
    assert (beat.gauges.held_primary, beat.gauges.held_backup, beat.gauges.operations) == (1, 0, 1)


def test_a_node_that_is_not_complete_says_that_it_has_not_settled() -> None:
    bench = Bench()
    bench.view()
    assert not bench.sent_to_master(Heartbeat)[-1].settled
    assert bench.core.gauges(bench.now).acquiring


def test_the_timer_never_lies_in_the_past_after_its_tick() -> None:
    """Otherwise the shell would spin."""
    bench = Bench().settle()
    granted(bench.acquire(bench.key("a:1")))
    bench.call(Lock(bench.key("a:1", nth=1), 5_000, "ada"))
    for _ in range(200):
        at_ns = bench.core.next_timer_ns()
        assert at_ns is not None
        bench.now_ms = max(bench.now_ms, -(-at_ns // NS_PER_MS))
        bench.step(Tick())
        following_ns = bench.core.next_timer_ns()
        assert following_ns is not None
        assert following_ns > bench.now.boot_ns


# --- facts -------------------------------------------------------------------------------


def test_an_expiry_is_a_fact_of_the_primary_and_of_nobody_else() -> None:
    bench = Bench().settle()
    key = bench.key("a:1")
    granted(bench.acquire(key))
    bench.send("b:2", replicas=(record(bench.key("b:2"), 50),))
    bench.live(6_000)
    assert [f.key for f in bench.facts() if f.kind is EventKind.EXPIRED] == [key]


def test_renewals_are_counted_not_told_one_by_one() -> None:
    bench = Bench(peers=()).settle()
    token = granted(bench.acquire("k")).token
    for _ in range(5):
        token = granted(bench.renew("k", token)).token
    bench.unlock("k", token)
    told = [(f.kind, f.renewals) for f in bench.facts() if f.key == "k"]
    assert told == [(EventKind.GRANTED, 0), (EventKind.RELEASED, 5)]
    assert bench.core.gauges(bench.now).renewals == 5


def test_a_client_in_a_loop_cannot_fill_the_journal_with_refusals() -> None:
    bench = Bench(peers=()).settle()
    granted(bench.acquire("k"))
    for _ in range(500):
        refused(bench.renew("k", "lr1.wrong"))
    assert [f.kind for f in bench.facts()].count(EventKind.REFUSED) <= 20
    bench.live(1_000)
    refused(bench.renew("k", "lr1.wrong"))
    assert "480 more" in bench.facts()[-1].detail


# --- leaving and closing --------------------------------------------------------------------


def test_a_leaving_node_serves_until_a_view_without_it_arrives() -> None:
    bench = Bench().settle()
    key = bench.key("a:1")
    token = granted(bench.acquire(key)).token
    bench.step(Leave())
    assert bench.sent_to_master(Goodbye)
    assert granted(bench.renew(key, token))
    assert stops(bench) == []


def test_a_leaving_node_ends_when_the_others_have_all_of_its_locks() -> None:
    bench = Bench().settle()
    key = bench.key("a:1")
    granted(bench.acquire(key))
    bench.step(Leave())
    bench.view(down=["a:1"])
    assert stops(bench) == []
    assert key in {r.key for r in bench.batches("b:2")[-1].transfers}
    bench.take_in("b:2")
    bench.step(Tick())
    assert [s.exit_code for s in stops(bench)][:1] == [0]


def test_a_goodbye_is_repeated_because_it_may_be_lost_and_told_once() -> None:
    bench = Bench().settle()
    bench.step(Leave())
    bench.step(Leave())
    bench.live(2_000)
    assert len(bench.sent_to_master(Goodbye)) > 2
    assert [f.kind for f in bench.facts()].count(EventKind.LEFT) == 1


def test_a_node_that_never_joined_may_leave_at_once() -> None:
    bench = Bench()
    bench.step(Leave())
    bench.step(Tick())
    assert stops(bench)


def test_a_refused_registration_ends_the_node_with_what_to_do() -> None:
    """A node that claims another's address must say so, not serve beside it."""
    bench = Bench()
    bench.tell(RegisterRefused("a:1 is in use by a living node; start this node at another address"))
    assert [(s.exit_code != 0, s.text) for s in stops(bench)] == [
        (True, "a:1 is in use by a living node; start this node at another address")
    ]


def test_closing_stops_serving_and_says_how_long_leases_go_on() -> None:
    """The next start of the cluster waits no longer than that."""
    bench = Bench(peers=()).settle()
    granted(bench.acquire("k", ttl_ms=5_000))
    bench.live(1_000)
    bench.tell(Close())
    assert [f.longest_ms for f in bench.sent_to_master(Farewell)] == [4_000]
    assert refused(bench.acquire("k2")).code is Code.NOT_SERVING
    assert stops(bench)


def test_a_farewell_counts_a_running_grace_as_a_lease() -> None:
    """Holders whom nobody knows yet may still come back."""
    bench = Bench(peers=())
    bench.view(grace=Grace(EVERYWHERE, 30_000))
    bench.tell(Close())
    assert [f.longest_ms for f in bench.sent_to_master(Farewell)] == [30_000]


def test_registration_says_the_newest_view_and_floor() -> None:
    """W12, W13: a master without a journal learns from it."""
    bench = Bench(peers=()).settle()
    lease = granted(bench.acquire("k"))
    first_words = bench.core.registration()
    assert (first_words.member, first_words.view) == (bench.me, bench.core.view)
    assert first_words.floor >= lease.generation


def test_a_node_shows_what_it_holds() -> None:
    bench = Bench(peers=()).settle()
    granted(bench.acquire("k"))
    assert [le.key for le in bench.core.held(bench.now)] == ["k"]
    assert bench.core.member == bench.me
    assert bench.core.serving(bench.now)
    assert bench.core.lease_until_ns > bench.now.boot_ns


def test_an_acknowledgement_in_a_view_not_yet_heard_of_does_not_extend_the_lease() -> None:
    """F2: who missed a view may have lost its place in it."""
    bench = Bench(peers=()).settle()
    until_ns = bench.core.lease_until_ns
    bench.wait(HEARTBEAT_MS)
    beat = bench.sent_to_master(Heartbeat)[-1]
    bench.tell(HeartbeatAck(beat.number, bench.number + 1, 0))
    assert bench.core.lease_until_ns == until_ns


def test_a_node_whose_grace_is_over_says_farewell_with_nothing_left_to_wait_for() -> None:
    """It once said a negative time, which does not fit the wire: the cluster did not end, and restarted in a grace."""
    bench = Bench().settle()
    bench.view(grace=Grace(EVERYWHERE, 1_000))
    bench.live(3_000)
    bench.tell(Close())
    assert [m.longest_ms for m in bench.sent_to_master(Farewell)] == [0]


def test_what_arrives_together_leaves_for_the_backup_together() -> None:
    """One batch is under way at a time: sent alone, the first operation would make the others wait for its answer."""
    bench = Bench().settle()
    keys = [
        key
        for key in (f"key-{i}" for i in range(200))
        if bench.core.view and bench.core.view.ring.primary(key) == "a:1"
    ]
    for number, key in enumerate(keys[:5], 1):
        effects = bench.step(ClientCall(900 + number, Lock(key, 5_000, "ada"), 5_000, may_park=True), more=number < 5)
        assert bool(effects) is (number == 5)
    (batch,) = [e.message for e in effects if isinstance(e, SendPeer)]
    assert isinstance(batch, PeerBatch)
    assert [record.key for record in batch.replicas] == keys[:5]
