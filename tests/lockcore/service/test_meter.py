"""What a node measures: answers and replication, in counts that are bounded."""

from __future__ import annotations

from lockcore.core.messages import PROBE_LSN, BatchStatus, FindOwner, Gauges, Lock, PeerAck, PeerBatch
from lockcore.core.timing import BUCKETS_US, COUNTS, Timing
from lockcore.core.view import MemberId
from lockcore.service.meter import Histogram, Meter

ME = MemberId("127.0.0.1:1.10001", 7)
PEER = MemberId("127.0.0.1:2.10002", 8)
US = 1_000


class Clock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.ns = 1

    def __call__(self) -> int:
        return self.ns


def counts(**at: int) -> tuple[int, ...]:
    """Return counts that are zero but at the bound `us<bound>`."""
    found = [0] * COUNTS
    for name, count in at.items():
        found[COUNTS - 1 if name == "longer" else BUCKETS_US.index(int(name.removeprefix("us")))] = count
    return tuple(found)


def test_a_duration_counts_up_to_its_bound_and_the_longest_have_a_place_too() -> None:
    histogram = Histogram()
    for took_us in (0, 100, 101, 200, 10_000_001):
        histogram.observe(took_us * US)
    assert histogram.read() == Timing(counts(us100=2, us200=2, longer=1), 10_000_402)


def test_an_answer_is_measured_and_a_wait_for_others_is_not() -> None:
    clock = Clock()
    meter = Meter(clock)
    began = meter.begin(FindOwner("k"))
    waiting = meter.begin(Lock("k", 1_000, "ada", wait_ms=5_000))
    clock.ns += 300 * US
    meter.end(began)
    meter.end(waiting)
    assert meter.fill(Gauges(operations=3)).answered == Timing(counts(us500=1), 300)


def batch(lsn: int) -> PeerBatch:
    return PeerBatch(ME, PEER, 5, lsn)


def ack(lsn: int, status: BatchStatus = BatchStatus.OK) -> PeerAck:
    return PeerAck(PEER, ME, 5, lsn, status)


def test_replication_takes_until_the_peer_has_accepted_it_however_often_it_is_sent() -> None:
    """E2: a retry has a new number and is the same batch."""
    clock = Clock()
    meter = Meter(clock)
    meter.sent(PEER.address, batch(1))
    clock.ns += 700 * US
    meter.heard(ack(1, BatchStatus.WRONG_VIEW))
    meter.sent(PEER.address, batch(2))
    assert meter.fill(Gauges()).replication_lag_us == 700
    clock.ns += 800 * US
    meter.heard(ack(1))
    assert meter.fill(Gauges()).replicated.counts == counts()
    meter.heard(ack(2))
    told = meter.fill(Gauges())
    assert told.replicated == Timing(counts(us2000=1), 1_500)
    assert told.replication_lag_us == 0
    meter.heard(ack(2))
    assert meter.fill(Gauges()).replicated == told.replicated


def test_what_was_under_way_in_the_view_before_is_not_waited_for() -> None:
    """Its peer may be dead, and what is left of it leaves in other batches."""
    clock = Clock()
    meter = Meter(clock)
    meter.sent(PEER.address, batch(1))
    meter.new_view()
    clock.ns += 5_000 * US
    assert meter.fill(Gauges()).replication_lag_us == 0


def test_a_probe_is_no_replication_and_hides_none() -> None:
    """E3: it goes to every member all the time, and is never acknowledged as a batch is."""
    clock = Clock()
    meter = Meter(clock)
    meter.sent(PEER.address, batch(PROBE_LSN))
    clock.ns += 400 * US
    assert meter.fill(Gauges()).replication_lag_us == 0
    meter.sent(PEER.address, batch(3))
    meter.sent(PEER.address, batch(PROBE_LSN))
    clock.ns += 90 * US
    meter.heard(ack(PROBE_LSN))
    meter.heard(ack(3))
    assert meter.fill(Gauges()).replicated == Timing(counts(us100=1), 90)


def test_what_the_core_measures_stays() -> None:
    assert Meter().fill(Gauges(held_primary=4, serving=True)).held_primary == 4
